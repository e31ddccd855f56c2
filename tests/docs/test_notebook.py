"""The notebook of the article's job runs, and what is committed of it is what one run of all cells left."""

import re
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
PAGE = Path(__file__).parents[2] / "docs" / "notebooks" / "article.ipynb"


def read():
    return nbformat.read(PAGE, as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def printed(notebook):
    """Return all that the cells printed, to either stream."""
    outputs = [output for cell in code_cells(notebook) for output in cell.outputs]
    return "".join(output.text for output in outputs if output.output_type == "stream")


def accuracies(notebook):
    """Return the percentages that the training loop printed."""
    found = re.findall(r"^batch +\d+: ([\d.]+)% of the test images$", printed(notebook), re.MULTILINE)
    return [float(percent) for percent in found]


def test_it_runs(tmp_path, monkeypatch):
    """Without MNIST's files, so with the embedded digits: every machine learns the same images."""
    client = pytest.importorskip("nbclient")
    for package in ("ipykernel", "matplotlib"):
        pytest.importorskip(package)
    for name in ("EDCORE_DATA", "EDCORE_BACKEND"):
        monkeypatch.delenv(name, raising=False)
    notebook = read()
    for cell in code_cells(notebook):
        cell.outputs = []
    resources = {"metadata": {"path": tmp_path}}
    client.NotebookClient(notebook, timeout=120, kernel_name="python3", resources=resources).execute()
    assert "these are scikit-learn's digits" in printed(notebook)
    assert len(accuracies(notebook)) == 4
    assert accuracies(notebook)[-1] > 90


def test_committed_outputs():
    """They are those of one run of all cells in their order, and show nothing of the machine that made them."""
    notebook = read()
    nbformat.validate(notebook)
    assert [cell.execution_count for cell in code_cells(notebook)] == list(range(1, len(code_cells(notebook)) + 1))
    assert notebook.metadata.kernelspec.name == "python3"
    assert accuracies(notebook)[-1] > 90
    outputs = [output for cell in code_cells(notebook) for output in cell.outputs]
    assert {output.get("name", "stdout") for output in outputs} == {"stdout"}  # no warnings
    assert not any(output.output_type == "error" for output in outputs)
    assert not re.search(r"/\w+/|[A-Z]:\\", printed(notebook))  # no paths
    assert all(cell.metadata == {} for cell in notebook.cells)
    assert PAGE.stat().st_size < 100_000
