"""The notebooks of the tutorials and of the article's job, as the site offers them, have run.

`EDCORE_TEST_SITE` names the folder of a site that is built; without it the notebooks are made here.
"""

import base64
import importlib.util
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

nbformat = pytest.importorskip("nbformat")
for package in ("nbclient", "ipykernel"):
    pytest.importorskip(package)
image = pytest.importorskip("matplotlib.image")

DOCS = Path(__file__).parents[2] / "docs"
spec = importlib.util.spec_from_file_location("to_notebooks", DOCS / "to_notebooks.py")
to_notebooks = importlib.util.module_from_spec(spec)
spec.loader.exec_module(to_notebooks)
pages = pytest.mark.parametrize("page", to_notebooks.PAGES)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Without MNIST's files, so with the embedded digits: every machine learns the same images."""
    if "EDCORE_TEST_SITE" in os.environ:
        return Path(os.environ["EDCORE_TEST_SITE"])
    folder = tmp_path_factory.mktemp("notebooks")
    environment = {name: value for name, value in os.environ.items() if name not in ("EDCORE_DATA", "EDCORE_BACKEND")}
    # In a process of its own: nbclient leaves sockets and event loops to the end of its process, which is a warning.
    subprocess.run([sys.executable, DOCS / "to_notebooks.py", folder], env=environment, check=True)
    return folder


def read(folder, page):
    return nbformat.read(folder / f"{page}.ipynb", as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def printed(notebook):
    """Return all that the cells printed, to either stream."""
    outputs = [output for cell in code_cells(notebook) for output in cell.outputs]
    return "".join(output.text for output in outputs if output.output_type == "stream")


@pages
def test_all_cells_ran_in_order(folder, page):
    """They show no warning, and nothing of the machine that made them."""
    notebook = read(folder, page)
    nbformat.validate(notebook)
    assert len(code_cells(notebook)) >= 5
    assert [cell.execution_count for cell in code_cells(notebook)] == list(range(1, len(code_cells(notebook)) + 1))
    outputs = [output for cell in code_cells(notebook) for output in cell.outputs]
    assert {output.get("name", "stdout") for output in outputs} == {"stdout"}  # no warnings
    assert not any(output.output_type == "error" for output in outputs)
    assert not re.search(r"/\w+/|[A-Z]:\\", printed(notebook))  # no paths


@pages
def test_it_stands_alone(folder, page):
    """A notebook is downloaded without the pages and pictures that are beside it."""
    text = "\n".join(cell.source for cell in read(folder, page).cells if cell.cell_type == "markdown")
    assert {address.partition(":")[0] for address in re.findall(r"\]\(([^)]*)\)", text)} <= {"https", "data"}


def test_the_articles_job_learns(folder):
    notebook = read(folder, "notebooks/article")
    assert "these are scikit-learn's digits" in printed(notebook)
    found = re.findall(r"^batch +\d+: ([\d.]+)% of the test images$", printed(notebook), re.MULTILINE)
    assert len(found) == 4
    assert float(found[-1]) > 90


@pages
def test_the_committed_pictures_are_those_that_the_code_draws(folder, page):
    """But for fonts; `python docs/to_notebooks.py --pictures` draws them again."""
    ran = {cell.id: to_notebooks.drawn(cell) for cell in read(folder, page).cells}
    blocks = list(to_notebooks.BLOCK.finditer((DOCS / f"{page}.md").read_text(encoding="utf-8")))
    for number, block in enumerate(blocks):
        picture = ran[f"code-{number}"]
        if not block["picture"]:
            assert not picture, f"{page}: a reader of the page does not see the picture of block {number}"
        elif block["file"].endswith(".png"):
            committed = image.imread((DOCS / page).parent / block["file"])[..., :3]
            drawn = image.imread(io.BytesIO(base64.b64decode(picture)))[..., :3]
            height, width = np.minimum(committed.shape, drawn.shape)[:2]
            larger = np.subtract(committed.shape, drawn.shape).tolist()
            difference = float(np.abs(committed[:height, :width] - drawn[:height, :width]).mean())
            assert max(map(abs, larger)) <= 20, block["file"]
            assert difference < 0.05, block["file"]


def test_the_parts_of_a_page(tmp_path, monkeypatch):
    monkeypatch.setattr(to_notebooks, "DOCS", tmp_path)
    skipped = "<!-- not run: slow -->\n```python\nb\n```"
    text = f"# A\n\n```python\na\n```\n\n```text\n1\n```\n\n![P](p.png)\n\n{skipped}\n\n```python\nc\n```\n\nEnd.\n"
    (tmp_path / "page.md").write_text(text, encoding="utf-8")
    found = [(cell.cell_type, cell.source) for cell in to_notebooks.cells("page")]
    assert found == [
        ("markdown", "# A"),
        ("code", "a"),
        ("markdown", "![P](p.png)"),
        ("markdown", skipped),
        ("code", "c"),
        ("markdown", "End."),
    ]


def test_a_drawn_picture_stands_once(tmp_path, monkeypatch):
    monkeypatch.setattr(to_notebooks, "DOCS", tmp_path)
    (tmp_path / "page.md").write_text(
        "```python\na\n```\n\n![P](p.png)\n\n```python\nb\n```\n\n![Q](q.svg)\n", encoding="utf-8"
    )
    ran = to_notebooks.notebook("page")
    ran.cells[0].outputs = [nbformat.v4.new_output("display_data", {"image/png": "AAAA"})]
    found = to_notebooks.notebook("page", ran).cells
    assert [cell.source for cell in found] == ["a", "b", "![Q](q.svg)"]
    assert found[0].metadata.mystnb.image.alt == "P"
