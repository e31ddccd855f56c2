"""Every Python example of the documentation runs and prints the right text, and every path that a page names exists.

A block that cannot run here stands after the comment ``<!-- not run: REASON -->``. A ``text`` block that directly
follows a Python block is what that block prints.
"""

import contextlib
import io
import pkgutil
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "README.ja.md", *sorted((ROOT / "docs").rglob("*.md"))]
OTHERS = [ROOT / name for name in ("CONTRIBUTING.md", "edcore/README.md", "backends/README.md")]
MODULE = re.compile(r"`(edcore\.[a-z_.]+[a-z_])")
PATH = re.compile(r"(?<![\w/.])((?:edcore|backends|tests|docs)/[\w/.-]*\w/?)")
GROUP = "edcore.backends"  # of entry points
MADE = {"docs/_build/html", *(f"docs/benchmarks/gpu-{stage}.md" for stage in ("first", "bench"))}  # by commands
BLOCK = re.compile(
    r"(?P<skip><!-- not run: .+? -->\s*)?^```python\n(?P<code>.*?)^```$"
    r"(?:\s*^```text\n(?P<printed>.*?)^```$)?",
    re.DOTALL | re.MULTILINE,
)


def blocks(text):
    """Yield the line number, the code and the printed text of each block that is to be run."""
    for match in BLOCK.finditer(text):
        if not match["skip"]:
            yield text.count("\n", 0, match.start("code")), match["code"], match["printed"]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("page", [pytest.param(page, id=str(page.relative_to(ROOT))) for page in PAGES])
def test_examples_run(page, tmp_path, monkeypatch, fresh_registry):
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "__docs__"}
    for line, code, expected in blocks(page.read_text(encoding="utf-8")):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            # Blank lines before the code, so that a traceback has the page's own line numbers.
            exec(compile("\n" * line + code, str(page), "exec"), names)
        if expected is not None:
            assert printed.getvalue() == expected, f"{page}:{line}: the block prints something else"


def test_blocks_are_found():
    text = "# A\n```python\na\n```\n\n```text\n1\n```\n<!-- not run: slow -->\n```python\nb\n```\n```python\nc\n```\n"
    assert list(blocks(text)) == [(2, "a\n", "1\n"), (13, "c\n", None)]


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
