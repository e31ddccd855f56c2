"""A run as one self-contained HTML page: results, pictures, the setting, versions, the command."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib import resources
from string import Template

from edcore.datasets.catalogue import Dataset
from edcore.diagnostics.diagnosis import Diagnosis
from edcore.environment import here, versions
from edcore.errors import printable
from edcore.model.ed import ED
from edcore.plots.canvas import new_figure, rendered
from edcore.plots.panels import Panel, Result, panels
from edcore.training.history import History
from edcore.training.loop import Progress

SVG_BYTES = 150_000
"""A larger SVG is replaced by a PNG."""

DPI = 144
"""Resolution of a PNG, and of images within an SVG."""


def html(
    ed: ED,
    data: Dataset,
    run: Sequence[Progress] | History,
    *,
    diagnoses: Sequence[Diagnosis] = (),
    at: Sequence[float] | None = None,
    setting: Mapping[str, str],
    command: str,
) -> str:
    """Return a report of a run as one HTML page, pictures included, that loads nothing and runs no script.

    Parameters
    ----------
    ed : ED
        The network, trained.
    data : Dataset
        Its data set.
    run : sequence of Progress, or History
        The items that `edcore.training.train` yielded, or their `edcore.training.History`. It may be
        empty, if nothing was learnt.
    diagnoses : sequence of Diagnosis
        Results of `edcore.diagnostics.diagnose`, once or during training. The last one becomes a table.
    at : sequence of float, optional
        The number of batches before each diagnosis. Left out, they are numbered.
    setting : mapping of str to str
        Further facts of the setting, by name.
    command : str
        The command that repeats the run.

    Returns
    -------
    str
        The page; write it as UTF-8.

    Raises
    ------
    EDCoreError
        If matplotlib is not installed.

    Examples
    --------
    >>> import edcore
    >>> from edcore.plots import report
    >>> from edcore.training import train
    >>> data = edcore.datasets.xor()
    >>> ed = edcore.ED(in_=2, hidden_depth=0, rule="split", seed=1)
    >>> run = list(train(ed, data, epochs=20))
    >>> page = report.html(ed, data, run, setting={"seed": "1"}, command="python xor.py")
    >>> page.count("<img "), "<script" in page
    (3, False)
    """
    found = list(panels(Result(ed, data, run, diagnoses, at)))
    template = Template(resources.files("edcore.plots").joinpath("report.html").read_text(encoding="utf-8"))
    return template.substitute(
        title=_text(f"Training report: {data.name}"),
        reached=_facts(_reached(data, History.of(run))),
        command=_text(command),
        figures="\n".join(_figure(panel) for panel in found),
        layers=_layers(diagnoses[-1]) if diagnoses else "",
        setting=_facts(setting),
        environment=_facts({name: value for name, value in _environment(ed).items() if name not in setting}),
    )


def _text(text: str) -> str:
    """Return a text as HTML shows it; the name of a folder may be no UTF-8, and have anything in it."""
    return escape(printable(text))


def _reached(data: Dataset, run: History) -> dict[str, str]:
    """Return accuracy, error and time of the latest evaluation, and whether the run was stopped early."""
    if (last := run.latest) is None:
        return {"stopped": "before the first batch was learnt"}
    stopped = {} if last.batch >= last.batches else {"stopped": f"after {last.batch:,} of {last.batches:,} batches"}
    if not run.evaluations:
        return stopped | {"accuracy": "not evaluated", "error of the last batch": f"{last.error:.4f}"}
    evaluated = run.evaluations[-1]
    return stopped | {
        "accuracy": f"{evaluated.accuracy:.2%} of {len(data.x_test):,} test samples",
        "mean error": f"{run.mean_error:.4f}, mean |target − output| of the last {run.averaged:,} batches before it",
        "time in training": f"{evaluated.seconds:,.2f} s",
        "learnt": f"{evaluated.samples:,} samples in {evaluated.batch:,} batches, epoch {evaluated.epoch:,}",
    }


def _environment(ed: ED) -> dict[str, str]:
    where = here()
    loaded = {"edcore": where.edcore, "Python": where.python, "NumPy": where.numpy} | {
        name: version for name, version in versions().items() if name not in ("edcore", "numpy")
    }
    facts = {
        "versions": ", ".join(f"{name} {version}" for name, version in loaded.items()),
        "commit": where.commit,
        "backend": ed.backend,
        "device": ed.device or "not chosen yet",
        "machine": f"{where.system}, {where.cores} cores{', ' * bool(where.cpu)}{where.cpu}",
        "date": where.date,
    }
    return {name: value for name, value in facts.items() if value}


def _facts(facts: Mapping[str, str]) -> str:
    """Return a table with a row for each fact, its name as the heading of the row."""
    rows = (f'<tr><th scope="row">{_text(name)}</th><td>{_text(value)}</td></tr>' for name, value in facts.items())
    return _table(rows)


def _layers(found: Diagnosis) -> str:
    heads = "".join(f'<th scope="col">{_text(name)}</th>' for name in found.columns)
    rows = (_row(first, others) for first, *others in found.rows)
    warning = f'<p class="warning">Warning: {_text(found.warning)}</p>\n' if found.warning else ""
    note = (
        "hidden 1: the weights from the inputs to the first hidden cells; output: from the last ones. mean g: "
        "derivative of the activation, small where cells are saturated. flipped: weights that changed sign. growth: "
        "mean |W| over that at the start. + / −: sum of positive over sum of negative weights. angle: between the "
        "update and steepest descent. update: its size over that of the weights. dead: no error changes the layer."
    )
    note = " ".join(filter(None, [note, found.floor_in_words, found.sampled]))
    table = _table([f"<tr>{heads}</tr>", *rows], ' class="layers"')
    return f'<h2>Layers</h2>\n{warning}{table}\n<p class="note">{note}</p>'


def _row(first: str, others: Iterable[str]) -> str:
    cells = "".join(f"<td>{_text(cell)}</td>" for cell in others)
    return f'<tr><th scope="row">{_text(first)}</th>{cells}</tr>'


def _table(rows: Iterable[str], attributes: str = "") -> str:
    return f'<div class="wide"><table{attributes}>\n' + "\n".join(rows) + "\n</table></div>"


def _figure(panel: Panel) -> str:
    figure = new_figure(panel.size)
    panel.draw(figure)
    kind, picture = "svg+xml", rendered(figure, "svg", DPI)
    if len(picture) > SVG_BYTES:
        kind, picture = "png", rendered(figure, "png", DPI)
    address = f"data:image/{kind};base64,{base64.b64encode(picture).decode('ascii')}"
    width = round(96 * panel.size[0])
    return (
        f'<figure><img src="{address}" alt="{_text(panel.shows)}" width="{width}">\n'
        f"<figcaption>{_text(panel.reading)}</figcaption></figure>"
    )
