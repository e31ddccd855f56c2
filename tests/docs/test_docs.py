"""Every Python example of the documentation runs and prints the right text, and every path that a page names exists.

A block that cannot run here stands after the comment ``<!-- not run: REASON -->``. A ``text`` block that directly
follows a Python block is what that block prints, wrapped at 88 columns. It may have "…" for a part of a line, or as a
line for some lines, and a percentage may be three points off.

On the pages of `SHELL`, commands run too, and a ``toml`` block is a file, whose name stands before it.

All Python blocks can be pasted at a prompt, but for those after the comment ``<!-- a file: REASON -->``.
"""

import contextlib
import io
import pkgutil
import re
import shlex
import shutil
import textwrap
import unicodedata
from code import InteractiveConsole
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "README.ja.md", *sorted((ROOT / "docs").rglob("*.md"))]
# The code of a Japanese page is held to that of its English twin (test_translations.py), so it runs once.
RUN = [page for page in PAGES if page.name != "README.ja.md" and ("ja" not in page.parts or page.name == "index.md")]
SHELL = [ROOT / f"docs/how-to/{page}.md" for page in ("your-table", "compare", "write-text")]
OTHERS = [ROOT / name for name in ("CONTRIBUTING.md", "edcore/README.md", "backends/README.md")]
MODULE = re.compile(r"`(edcore\.[a-z_.]+[a-z_])")
PATH = re.compile(r"(?<![\w/.])((?:edcore|backends|tests|docs)/[\w/.-]*\w/?)")
GROUP = "edcore.backends"  # of entry points
PERCENTAGE = re.compile(r"\d+(?:\.\d+)?(?= ?%)")
LANGUAGES = tuple(f"```{language}" for language in ("python", "sh", "console", "text", "toml", "yaml"))
AS_IT_IS = {"replace_whitespace": False, "break_long_words": False, "break_on_hyphens": False}
WIDTH = 88  # columns of code and of what it prints, which the site shows without a scroll bar
MADE = {"docs/_build/html", *(f"docs/benchmarks/gpu-{stage}.md" for stage in ("first", "bench"))}  # by commands
BLOCK = re.compile(
    r"(?P<skip><!-- not run: .+? -->\s*)?(?P<module><!-- a file: .+? -->\s*)?(?:`(?P<file>[\w.-]+)`:\s*)?"
    r"^```(?P<language>python|shell|toml)\n(?P<code>.*?)^```$"
    r"(?:\s*^```text\n(?P<printed>.*?)^```$)?",
    re.DOTALL | re.MULTILINE,
)


def blocks(text, languages=("python",)):
    """Yield the line number, the match and the printed text of each block that is to be run."""
    for match in BLOCK.finditer(text):
        if not match["skip"] and match["language"] in languages:
            yield line_number(text, match), match, match["printed"]


def line_number(text, block):
    return text.count("\n", 0, block.start("code"))


def shown(expected, printed):
    """Whether this has been printed; "…" stands for anything, and a percentage may be three points off."""
    wrapped = [part for line in printed.splitlines() for part in textwrap.wrap(line, WIDTH, **AS_IT_IS) or [""]]
    lines = [r"(?:.*\n)*" if line == "…" else f"{pattern(line)} *\n" for line in expected.splitlines()]
    found = re.fullmatch("".join(lines), "".join(f"{line}\n" for line in wrapped))
    return found is not None and all(
        abs(float(ours) - float(theirs)) <= 3
        for ours, theirs in zip(PERCENTAGE.findall(expected), found.groups(), strict=True)
    )


def pattern(line):
    """Return the regular expression of a line, with a group for each percentage."""
    parts = [re.escape(part).replace("…", ".*") for part in PERCENTAGE.split(line)]
    return rf"({PERCENTAGE.pattern})".join(parts)


@pytest.mark.filterwarnings("error")
@pytest.mark.usefixtures("no_activation_stays")
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
            found = printed.getvalue()
            assert shown(expected, found), f"{page}:{line}: the block prints something else:\n{found}"


def test_the_readme_trains_on_a_table(tmp_path, monkeypatch, command_line):
    shutil.copytree(ROOT / "docs" / "data", tmp_path / "docs" / "data")
    monkeypatch.chdir(tmp_path)
    train, predict = re.findall(r"^edcore (.* docs/data/.*)$", PAGES[0].read_text(encoding="utf-8"), re.MULTILINE)
    assert command_line(*train.split())[0] == 0
    assert len(command_line(*predict.split())[1].split()) == 4


def test_the_first_screen_shows_what_the_command_prints(command_line):
    """The digits are not compared: times differ, and so does the last bit of a sum."""
    block = re.search(
        r"^```console\n\$ edcore (.*)\n((?:.*\n)+?)```$", PAGES[0].read_text(encoding="utf-8"), re.MULTILINE
    )
    status, printed, _ = command_line(*block[1].split())
    assert status == 0
    figures = re.compile(r" *\d[\d.,]*")
    assert shown(figures.sub("0", block[2]), figures.sub("0", printed)), printed


def test_the_sources_are_linked_everywhere():
    addresses = re.findall(r"^ +url: (.+)$", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(addresses) >= 6
    for page in ("README.md", "README.ja.md", "docs/explanation/method.md", "docs/ja/method.md"):
        text = (ROOT / page).read_text(encoding="utf-8")
        assert not [address for address in addresses if f"({address})" not in text], page


class Prompt(InteractiveConsole):
    """Compiles what is pasted, line by line, and runs nothing."""

    def __init__(self):
        super().__init__()
        self.errors = []

    def runcode(self, code):
        pass

    def showsyntaxerror(self, filename=None, **options):
        self.errors.append(self.buffer[-1])


def paste(source):
    """Return the lines at which a prompt says that what was pasted so far is no Python."""
    prompt = Prompt()
    for line in [*source.splitlines(), ""]:  # at the end, Enter
        prompt.push(line)
    return prompt.errors + prompt.buffer


def test_examples_can_be_pasted_at_a_prompt():
    broken = [
        f"{page}:{line_number(text, block)}: {lines[0]}"
        for page, text in read_pages()
        for block in BLOCK.finditer(text)
        if block["language"] == "python" and not block["module"] and (lines := paste(block["code"]))
    ]
    assert not broken, "an empty line is missing after an indented block, or stands inside of one"


def test_what_cannot_be_pasted_is_found():
    assert paste("for i in x:\n    f(i)\nprint(i)\n") == ["print(i)"]
    assert paste("class A:\n    a = 1\n\n    b = 2\n") == ["    b = 2"]
    assert paste("f(\n") == ["f(", ""]
    assert not paste("for i in x:\n    f(i)\n\nprint(i)\n\n\ndef g():\n    return 1\n")


def test_code_is_narrow():
    wide = [
        f"{page}:{number}: {columns(line)} columns: {line}"
        for page, text in read_pages()
        for number, line in in_blocks(text)
        if columns(line) > WIDTH
    ]
    assert not wide, "code that the site would show with a scroll bar"


def columns(line):
    """Return the width of a line of code; a Chinese character has two columns."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in line)


def read_pages():
    """Yield the name and the text of each page that was written by hand."""
    for page in PAGES:
        if "generated" not in page.parts:
            yield page.relative_to(ROOT), page.read_text(encoding="utf-8")


def in_blocks(text):
    """Yield the number and the text of each line that stands in a block, but for those of directives."""
    inside = False
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("```"):
            inside = line.startswith(LANGUAGES)
        elif inside:
            yield number, line


def test_lines_of_blocks_are_found():
    assert list(in_blocks("a\n```text\nb\n\n```\nc\n```{toctree}\nd\n```\n")) == [(3, "b"), (4, "")]


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
    assert shown("about 97.2 % of 72\n", "about 95 % of 72\n")
    assert not shown("about 97.2 % of 72\n", "about 94 % of 72\n")
    assert not shown("about 97.2 % of 72\n", "about 97.2 % of 73\n")
    assert shown("a\n" + "b" * 80 + " -c\n(d-e)  f\n", "a\n" + "b" * 80 + " -c (d-e)  f\n")


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
