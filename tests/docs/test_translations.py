"""The Japanese pages keep up with the English ones: headings, code, links and figures are compared, prose cannot be.

Comments in code are translated, so they are left out. A link to a page that has a Japanese twin may lead to the twin.
"""

import os
import re
from difflib import unified_diff
from pathlib import Path
from urllib.parse import unquote

import pytest
from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]
TWINS = {  # English: Japanese
    "README.md": "README.ja.md",
    "docs/explanation/method.md": "docs/ja/method.md",
    "docs/explanation/language-model.md": "docs/ja/language-model.md",
    **{
        f"docs/{page}.md": f"docs/ja/{page}.md"
        for page in (
            "tutorial/first-network",
            "tutorial/1-xor-by-hand",
            "tutorial/2-two-digits",
            "tutorial/3-ten-classes",
            "how-to/your-table",
            "how-to/write-text",
            "how-to/use-your-data",
            "how-to/plots",
            "how-to/play",
            "how-to/command-line",
            "notebooks/article",
        )
    },
}
ENGLISH = {japanese: english for english, japanese in TWINS.items()} | {"docs/ja/index.md": "docs/index.md"}
FENCED = re.compile(r"^```(?P<language>\S*)\n(?P<code>.*?)^```$", re.DOTALL | re.MULTILINE)
COMMENT = re.compile(r"(^|\s+)#\s.*$", re.MULTILINE)
HEADING = re.compile(r"^(#+)\s", re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")
ROW = re.compile(r"^\|", re.MULTILINE)
JAPANESE_PICTURE = re.compile(r"-ja(?=[-.][^/]*$)")  # broadcast-ja-light.svg, synapses-ja.svg
FIGURE = re.compile(r"\d+(?:[.,]\d+)+|\d{2,}|\.\d+")


def prose(text):
    """Return a page without its code blocks."""
    return FENCED.sub("", text)


def code_blocks(text):
    """Yield the line, the language and the code of each block, without comments."""
    for match in FENCED.finditer(text):
        code = match["code"] if match["language"] == "text" else COMMENT.sub("", match["code"])
        yield text.count("\n", 0, match.start()) + 1, match["language"], code


def links(text, page):
    """Return where a page leads to: paths from the root, with the English page or picture in place of its twin."""
    found = set()
    for target in LINK.findall(prose(text)):
        path, _, anchor = unquote(target).partition("#")
        if not path or "://" in path:
            found.add(path and target)
            continue
        path = os.path.normpath(Path(page).parent / path).replace(os.sep, "/")
        english = ENGLISH.get(path) or JAPANESE_PICTURE.sub("", path)
        # The headings of a twin are translated, so an anchor can only be there or not.
        found.add(f"{english}#{'…' if english in TWINS else anchor}" if anchor else english)
    return found - {"", ENGLISH.get(page, page)}


def difference(english, japanese, names=("English", "Japanese")):
    return "\n".join(unified_diff(english.splitlines(), japanese.splitlines(), *names, lineterm=""))


pages = pytest.mark.parametrize(("english", "japanese"), TWINS.items())


def read(page):
    return (ROOT / page).read_text(encoding="utf-8")


@pages
def test_headings(english, japanese):
    levels = [HEADING.findall(prose(read(page))) for page in (english, japanese)]
    assert levels[1] == levels[0], f"{japanese}: other headings than {english}, as levels from the top"


@pages
def test_code(english, japanese):
    ours, theirs = ([*code_blocks(read(page))] for page in (english, japanese))
    for (line, *block), (ja_line, *ja_block) in zip(ours, theirs, strict=False):
        where = f"{japanese}:{ja_line} is not the block of {english}:{line}"
        assert ja_block == block, f"{where}\n{difference(block[1], ja_block[1])}"
    assert len(theirs) == len(ours), f"{japanese} has {len(theirs)} blocks of code, {english} has {len(ours)}"


@pages
def test_links(english, japanese):
    ours, theirs = links(read(english), english), links(read(japanese), japanese)
    assert theirs == ours, f"{japanese} lacks {sorted(ours - theirs)} and has {sorted(theirs - ours)} beside {english}"


@pages
def test_rows_of_tables(english, japanese):
    ours, theirs = (len(ROW.findall(prose(read(page)))) for page in (english, japanese))
    assert theirs == ours, f"{japanese} has {theirs} rows in its tables, {english} has {ours}"


@pages
def test_figures(english, japanese):
    """What was measured anew is to be changed in both. Japanese has more: it also writes small numbers as figures."""
    ours, theirs = (set(FIGURE.findall(LINK.sub("", prose(read(page))))) for page in (english, japanese))
    assert ours <= theirs, f"{japanese} lacks these figures of {english}: {sorted(ours - theirs)}"


@pages
def test_the_other_language_is_linked(english, japanese):
    target = os.path.relpath(ROOT / english, (ROOT / japanese).parent).replace(os.sep, "/")
    assert f"[English]({target})" in read(japanese)


@pytest.mark.parametrize("page", sorted({*TWINS.values(), *ENGLISH} - {*TWINS}))
def test_a_paragraph_is_one_line(page):
    """A line break in a paragraph becomes a blank, which Japanese has not between its sentences."""
    assert not broken_paragraphs(read(page)), f"{page}: paragraphs of several lines start at these lines"


def broken_paragraphs(text):
    """Return the first lines of the paragraphs that go on over a line break; options and formulas are none."""
    return [
        token.map[0] + 1
        for token in MarkdownIt().parse(text)
        if token.type == "inline" and "\n" in token.content and not token.content.startswith((":", "|", "$$"))
    ]


@pytest.mark.parametrize("page", sorted({*TWINS.values(), *ENGLISH} - {*TWINS}))
def test_a_formula_stands_after_a_blank(page):
    """GitHub takes a dollar sign for a formula only there."""
    for line in prose(read(page)).splitlines():
        before = line.replace("$$", "").split("$")[:-1:2]
        assert all(not text or text[-1].isspace() for text in before), f"{page}: {line}"


def test_broken_paragraphs_are_found():
    text = "# あ\n\nい。\nう。\n\n- え。\n  お。\n- か。\n\n```text\nき\nく\n```\n\n| け |\n|---|\n| こ |\n"
    assert broken_paragraphs(text) == [3, 6]


def test_every_japanese_page_has_a_twin():
    found = {path.relative_to(ROOT).as_posix() for path in (ROOT / "docs/ja").rglob("*.md")}
    assert found | {"README.ja.md"} == {*ENGLISH}


def test_comments_are_left_out():
    text = "```python\na = '#1'  # one\n# two\n```\n```text\n# three\n```\n"
    assert list(code_blocks(text)) == [(1, "python", "a = '#1'\n"), (5, "text", "# three\n")]


def test_a_twin_stands_for_its_page():
    text = "[a](../../tutorial/2-two-digits.md) [b](../method.md#深さ) [c](https://example.org/#d) [e](../index.md)"
    text += " ![f](../../_static/a-ja-b.svg)"
    expected = {
        "docs/tutorial/2-two-digits.md",
        "docs/explanation/method.md#…",
        "https://example.org/#d",
        "docs/index.md",
        "docs/_static/a-b.svg",
    }
    assert links(text, "docs/ja/tutorial/3-ten-classes.md") == expected
