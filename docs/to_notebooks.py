"""Turn the tutorials and the article's job into Jupyter notebooks, and run them.

`python docs/to_notebooks.py FOLDER` writes the notebooks. The site shows these pages with what their cells gave, and
offers the notebooks for download. A picture that stands below a block of Python is what the block draws:
`python docs/to_notebooks.py --pictures` draws these files again.
"""

from __future__ import annotations

import base64
import itertools
import logging
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

DOCS = Path(__file__).parent
ENGLISH = ("tutorial/1-xor-by-hand", "tutorial/2-two-digits", "tutorial/3-ten-classes", "notebooks/article")
PAGES = (*ENGLISH, *(f"ja/{page}" for page in ENGLISH))
BLOCK = re.compile(
    r"(?<!-->\n)^```python\n(?P<code>.*?)^```$"
    r"(?:\s*^```text\n.*?^```$)?"
    r"(?P<picture>\s*^!\[(?P<alt>[^]]*)\]\((?P<file>[^)]*)\)$)?",
    re.DOTALL | re.MULTILINE,
)
LINK = re.compile(r"(?P<image>!?)\[(?P<words>[^]]*)\]\((?!\w+:)(?P<file>[^)]*)\)")  # to a file, not to the network
OTHER_LANGUAGE = re.compile(r"^\[(?:日本語|English)\]\(.*\)\n", re.MULTILINE)  # of the page
DOWNLOAD = {"en": "Download this page as a Jupyter notebook", "ja": "このページをJupyterノートブックとしてダウンロード"}


def cells(page: str) -> Iterator[NotebookNode]:
    """Yield the cells of a page: its Python blocks, without the text that they print, and what is between them."""
    text, end = (DOCS / f"{page}.md").read_text(encoding="utf-8"), 0
    for number, block in enumerate(BLOCK.finditer(text)):
        if between := text[end : block.start()].strip():
            yield new_markdown_cell(between, id=f"text-{number}")
        alt = {"mystnb": {"image": {"alt": block["alt"]}}} if block["picture"] else {}
        yield new_code_cell(block["code"].rstrip(), id=f"code-{number}", metadata=alt)
        if block["picture"]:
            yield new_markdown_cell(block["picture"].strip(), id=f"picture-{number}")
        end = block.end()
    if after := text[end:].strip():
        yield new_markdown_cell(after, id="end")


def drawn(cell: NotebookNode) -> str:
    """Return the picture that a cell has drawn, as base64, or nothing."""
    return next(
        (data["image/png"] for out in cell.get("outputs", ()) if "image/png" in (data := out.get("data", {}))), ""
    )


def notebook(page: str, ran: NotebookNode | None = None) -> NotebookNode:
    """Return a page as a notebook, with what the cells of another gave; what a cell has drawn stands there once."""
    found = new_notebook(cells=list(cells(page)))
    found.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    if ran:
        given = {cell.id: cell for cell in ran.cells}
        for cell in found.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = given[cell.id].outputs, given[cell.id].execution_count
        pairs = itertools.pairwise([new_markdown_cell(), *found.cells])
        found.cells = [cell for before, cell in pairs if not (cell.id.startswith("picture") and drawn(before))]
    return found


def run(page: str) -> NotebookNode:
    """Return a page as a notebook that has run, in an empty folder."""
    logging.getLogger("traitlets").setLevel(logging.WARNING)  # it would tell of each run
    with tempfile.TemporaryDirectory() as folder:
        options = {"resources": {"metadata": {"path": folder}}, "extra_arguments": ["--log-level=ERROR"]}
        return NotebookClient(notebook(page), timeout=120, record_timing=False, **options).execute()


def portable(text: str, folder: Path) -> str:
    """Return Markdown that stands alone: with its pictures in it, and without links to other pages."""

    def replace(link: re.Match[str]) -> str:
        if not link["image"]:
            return link["words"]
        kind = {".png": "png", ".svg": "svg+xml"}[Path(link["file"]).suffix]
        data = base64.b64encode((folder / link["file"]).read_bytes()).decode()
        return f"![{link['words']}](data:image/{kind};base64,{data})"

    return LINK.sub(replace, OTHER_LANGUAGE.sub("", text))


def write(page: str, folder: Path) -> None:
    """Write a page and its Japanese twin, whose code differs in comments alone, unless their files are up to date."""
    twins = {twin: folder / f"{twin}.ipynb" for twin in (page, f"ja/{page}") if twin in PAGES}
    changed = max((DOCS / f"{twin}.md").stat().st_mtime for twin in twins)
    if not all(file.exists() and file.stat().st_mtime > changed for file in twins.values()):
        ran = run(page)
        for twin, file in twins.items():
            found = notebook(twin, ran)
            for cell in found.cells:
                if cell.cell_type == "markdown":
                    cell.source = portable(cell.source, (DOCS / twin).parent)
            file.parent.mkdir(parents=True, exist_ok=True)
            nbformat.write(found, file)


def write_all(folder: Path) -> None:
    """Write all notebooks into a folder, two at a time."""
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda page: write(page, folder), ENGLISH))


def read(text: str, page: str, folder: str) -> NotebookNode:
    """Return a page for the site: with what the cells of its notebook gave, and with a link to it."""
    found = notebook(page, nbformat.read(Path(folder, f"{page}.ipynb"), as_version=4))
    address = os.path.relpath(f"{page}.ipynb", Path(page).parent)
    words = DOWNLOAD["ja" if page.startswith("ja/") else "en"]
    link = f'<a href="{address}" download>{words}</a>'
    title, rest = found.cells[0].source.split("\n\n", 1)
    found.cells[0].source = f"{title}\n\n{link}" + (" · " if rest.startswith("[") else "\n\n") + rest
    return found


def write_pictures() -> None:
    """Write the pictures that the cells draw into the files that stand below them."""
    for page in ENGLISH:
        ran = {cell.id: cell for cell in run(page).cells}
        for number, block in enumerate(BLOCK.finditer((DOCS / f"{page}.md").read_text(encoding="utf-8"))):
            if block["picture"] and (picture := drawn(ran[f"code-{number}"])):
                (DOCS / page).parent.joinpath(block["file"]).write_bytes(base64.b64decode(picture))


if __name__ == "__main__":
    if sys.argv[1:] == ["--pictures"]:
        write_pictures()
    else:
        write_all(Path(*sys.argv[1:]))
