"""Every Python example of the documentation runs and prints the right text, and every path that a page names exists.

A block that cannot run here stands after the comment ``<!-- not run: REASON -->``. A ``text`` block that directly
follows a Python block is what that block prints.

On the pages of `SHELL`, commands run too, and a ``toml`` block is a file, whose name stands before it. What a command
prints may have "…" for a part of a line, or as a line for some lines.
"""

import contextlib
import io
import pkgutil
import re
import shlex
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "README.ja.md", *sorted((ROOT / "docs").rglob("*.md"))]
# The code of a Japanese page is held to that of its English twin (test_translations.py), so it runs once.
RUN = [page for page in PAGES if page.name != "README.ja.md" and ("ja" not in page.parts or page.name == "index.md")]
SHELL = [ROOT / "docs/how-to/your-table.md"]
OTHERS = [ROOT / name for name in ("CONTRIBUTING.md", "edcore/README.md", "backends/README.md")]
MODULE = re.compile(r"`(edcore\.[a-z_.]+[a-z_])")
PATH = re.compile(r"(?<![\w/.])((?:edcore|backends|tests|docs)/[\w/.-]*\w/?)")
GROUP = "edcore.backends"  # of entry points
MADE = {"docs/_build/html", *(f"docs/benchmarks/gpu-{stage}.md" for stage in ("first", "bench"))}  # by commands
BLOCK = re.compile(
    r"(?P<skip><!-- not run: .+? -->\s*)?(?:`(?P<file>[\w.-]+)`:\s*)?"
    r"^```(?P<language>python|shell|toml)\n(?P<code>.*?)^```$"
    r"(?:\s*^```text\n(?P<printed>.*?)^```$)?",
    re.DOTALL | re.MULTILINE,
)


def blocks(text, languages=("python",)):
    """Yield the line number, the match and the printed text of each block that is to be run."""
    for match in BLOCK.finditer(text):
        if not match["skip"] and match["language"] in languages:
            yield text.count("\n", 0, match.start("code")), match, match["printed"]


def shown(expected, printed):
    """Whether a command has printed this; "…" in it stands for anything."""
    lines = [
        r"(?:.*\n)*" if line == "…" else rf"{re.escape(line).replace('…', '.*')} *\n" for line in expected.splitlines()
    ]
    return re.fullmatch("".join(lines), printed) is not None


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("page", [pytest.param(page, id=str(page.relative_to(ROOT))) for page in RUN])
def test_examples_run(page, tmp_path, monkeypatch, fresh_registry, command_line):
    monkeypatch.chdir(tmp_path)
    for table in (ROOT / "docs" / "data").glob("*.csv"):
        shutil.copy(table, tmp_path)
    names = {"__name__": "__docs__"}
    languages = ("python", "shell", "toml") if page in SHELL else ("python",)
    for line, block, expected in blocks(page.read_text(encoding="utf-8"), languages):
        code = block["code"]
        if block["language"] == "toml":
            Path(block["file"]).write_text(code, encoding="utf-8")
            continue
        if block["language"] == "shell":
            found = [command_line(*words[1:]) for command in code.splitlines() if (words := shlex.split(command, True))]
            assert not any(status for status, _, _ in found), f"{page}:{line}: {found}"
            printed = "".join(out + err for _, out, err in found)
            assert expected is None or shown(expected, printed), f"{page}:{line}: the command prints:\n{printed}"
            continue
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            # Blank lines before the code, so that a traceback has the page's own line numbers.
            exec(compile("\n" * line + code, str(page), "exec"), names)
        if expected is not None:
            assert printed.getvalue() == expected, f"{page}:{line}: the block prints something else"


def test_the_readme_trains_on_a_table(tmp_path, monkeypatch, command_line):
    shutil.copytree(ROOT / "docs" / "data", tmp_path / "docs" / "data")
    monkeypatch.chdir(tmp_path)
    train, predict = re.findall(r"^edcore (.* docs/data/.*)$", PAGES[0].read_text(encoding="utf-8"), re.MULTILINE)
    assert command_line(*train.split())[0] == 0
    assert len(command_line(*predict.split())[1].split()) == 4


def test_blocks_are_found():
    text = "# A\n```python\na\n```\n\n```text\n1\n```\n<!-- not run: slow -->\n```python\nb\n```\n```python\nc\n```\n"
    found = [(line, block["code"], printed) for line, block, printed in blocks(text)]
    assert found == [(2, "a\n", "1\n"), (13, "c\n", None)]


def test_blocks_of_a_shell_are_found():
    text = "```shell\na\n```\n\n```text\n1\n```\nWrite `b.toml`:\n\n```toml\nc\n```\n"
    found = [(block["file"], block["code"], printed) for _, block, printed in blocks(text, ("shell", "toml"))]
    assert found == [(None, "a\n", "1\n"), ("b.toml", "c\n", None)]
    assert not list(blocks(text))


def test_what_a_command_prints_is_compared():
    assert shown("a\n…\nb … d\n", "a  \nx\ny\nb c d\n")
    assert not shown("a\n", "a\nb\n")
    assert not shown("a\n…\n", "c\na\n")


def test_paths_and_modules_exist():
    if not (ROOT / "edcore").is_dir():
        pytest.skip("the pages are not beside edcore")
    lost = []
    for page in [page for page in (*PAGES, *OTHERS) if "generated" not in page.parts]:
        text = page.read_text(encoding="utf-8")
        lost += [f"{page}: {path}" for path in set(PATH.findall(text)) - MADE if not (ROOT / path).exists()]
        lost += [f"{page}: {name}" for name in set(MODULE.findall(text)) - {GROUP} if not found(name)]
    assert not lost


def found(name):
    """Whether a dotted name can be imported, or is an attribute of a module that can."""
    try:
        pkgutil.resolve_name(name)
    except (AttributeError, ModuleNotFoundError):
        return False
    return True
