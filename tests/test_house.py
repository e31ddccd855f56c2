"""How the files lie: a folder for each floor, no import circles, no large files.

That imports only go down the floors is for `lint-imports`, which reads the floors in pyproject.toml.
"""

import ast
import tomllib
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MOST_LINES, MOST_FILES = 400, 10


@pytest.fixture(scope="module")
def edcore():
    folder = ROOT / "edcore"
    if not folder.is_dir():
        pytest.skip("these tests are not beside edcore")
    return folder


def modules(root):
    """Return the files of a checkout by the names of their modules."""
    files = {path: path.relative_to(root) for path in root.glob("edcore/**/*.py")}
    files |= {path: path.relative_to(root / "backends") for path in root.glob("backends/**/*.py")}
    return {".".join(name.with_suffix("").parts).removesuffix(".__init__"): path for path, name in files.items()}


def imported(name, path, files):
    """Return the modules that a module imports, at its top, in a function or for type checkers."""
    package = name.split(".") if path.stem == "__init__" else name.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*above, *([node.module] if node.module else [])])
            yield from (inner if (inner := f"{source}.{alias.name}") in files else source for alias in node.names)


def graph(root):
    """Return which modules each module of a checkout imports."""
    files = modules(root)
    arrows = {name: set(imported(name, path, files)) & files.keys() - {name} for name, path in files.items()}
    for name in arrows:
        if not name.startswith("edcore."):  # a backend's class may know the entry that loads it
            arrows[name].discard(name.split(".")[0])
    return arrows


def circle(root):
    """Return the modules of one import circle, or none."""
    try:
        TopologicalSorter(graph(root)).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def test_there_are_no_import_circles(edcore):
    assert {"edcore.core.method", "edcore_loop.loops"} <= graph(ROOT).keys()
    assert "edcore.core.network" in graph(ROOT)["edcore.core.method"]
    assert circle(ROOT) == []


@pytest.mark.parametrize(
    "line", ["import edcore.b", "from edcore import b", "from . import b", "def f():\n    from .b import x"]
)
def test_a_circle_is_seen(tmp_path, line):
    folder = tmp_path / "edcore"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "b.py").write_text("from edcore.a import y\n")
    (folder / "a.py").write_text("y = 0\n")
    assert circle(tmp_path) == []
    (folder / "a.py").write_text(line)
    assert set(circle(tmp_path)) == {"edcore.a", "edcore.b"}


def test_no_file_has_more_than_400_lines(edcore):
    lines = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in modules(ROOT).items()}
    assert lines
    assert {name: count for name, count in lines.items() if count > MOST_LINES} == {}


def test_few_files_lie_beside_the_folders(edcore):
    assert 0 < len([path for path in edcore.iterdir() if path.is_file()]) <= MOST_FILES


def test_each_file_and_folder_stands_on_a_floor(edcore):
    contract, *others = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    floors = {name for layer in contract["layers"] for name in layer.replace("|", " ").replace(":", " ").split()}
    top = {".".join(name.split(".")[: 1 + name.startswith("edcore.")]) for name in modules(ROOT)}
    assert (contract["type"], others) == ("layers", [])
    assert floors == top - {"edcore"}
