"""A small network as a drawing: its cells by sign and activity, its synapses by sign and size, and a step's change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edcore.core.network import Network
from edcore.errors import InputError, shown
from edcore.model.ed import ED, checked_ed
from edcore.plots.canvas import Picture, new_figure, set_title
from edcore.plots.cells import Columns, add_legend, arrange, draw, figures, largest_of, of_head
from edcore.plots.sample import activities, checked_head, ed_pass, one_sample, weights_of

MOST_CELLS, MOST_LAYERS = 40, 12
"""The most cells of a layer, both streams together, and the most layers that are still told apart."""

FEW_SYNAPSES = 48
"""Up to this number of synapses each has its weight in figures."""


def network(
    ed: ED,
    x: npt.ArrayLike | None = None,
    *,
    target: npt.ArrayLike | None = None,
    head: int = 0,
    numbers: bool | None = None,
    ax: Picture | Sequence[Picture] | None = None,
) -> Picture:
    """Draw a small network: cells from left to right, layer by layer, and a line for each synapse.

    Parameters
    ----------
    ed : ED
        The network. It has at most 12 layers of synapses, and at most 40 cells in each layer.
    x : array_like, shape (in_,) or (1, in_), optional
        One sample. Each cell is filled by the size of its activity, from white (0) to black. Left out, all are white.
    target : array_like, shape (columns,) or (1, columns), optional
        What the outputs should be. Then a second drawing shows how one `ED.step` would change each weight. The network
        is left as it is.
    head : int
        Which of the independent networks is drawn.
    numbers : bool, optional
        Write the weight at each synapse. Left out, it is done for up to 48 synapses.
    ax : matplotlib.axes.Axes, optional
        Where to draw; two of them with a target. Left out, a new figure.

    Returns
    -------
    matplotlib.figure.Figure
        The figure. An excitatory cell has a red edge and an inhibitory one a blue edge. A positive weight is a red
        line, a negative one a blue line, and the largest is the thickest. A bias cell, b, is a source of the layer
        behind it. Of a change, red lines are those that rise.

    Raises
    ------
    InputError
        If the network is larger, x or target are not one sample, target comes without x, or the head does not exist.
    EDCoreError
        If matplotlib is not installed.

    See Also
    --------
    weights : The matrices of a larger network.
    receptive_fields : The weights of its first layer, as images.

    Examples
    --------
    >>> import edcore
    >>> from edcore import plots
    >>> ed = edcore.ED(in_=2, hidden_width=1, hidden_depth=0, rule="split", inhibitory_output=False, seed=0)
    >>> figure = plots.network(ed, [1, 0], target=1)
    >>> [ax.get_title(loc="left") for ax in figure.axes][0]
    '1 hidden layer of 1 + 1 cells'
    """
    shape = checked_ed(ed).network
    check_size(shape)
    head = checked_head(shape, head)
    if x is None and target is not None:
        raise InputError("x", "None with a target", "one sample with a target", "A step is made of both.")
    sample = None if x is None else one_sample("x", x, shape.features)
    wanted = None if target is None else one_sample("target", target, shape.columns)
    weights = ed.weights
    layers = weights_of(shape, weights, head)
    if numbers is None:
        numbers = ax is None and sum(part.size for layer in layers for part in layer) <= FEW_SYNAPSES
    columns = arrange(shape, numbers)
    axes = _checked_axes(ax, columns, 1 if wanted is None else 2)
    cells = None if sample is None else activities(shape, weights, sample, head)
    draw(axes[0], shape, columns, layers, cells, numbers=numbers)
    set_title(axes[0], shape.hidden_layers + of_head(shape, head))
    add_legend(axes[0], largest_of(layers), cells is not None)
    if wanted is not None and sample is not None:
        step = ed_pass(ed, sample, wanted, head)
        draw(axes[1], shape, columns, step.changes, cells, numbers=numbers, change=True)
        set_title(axes[1], f"Change of one step: error {', '.join(figures(value, '+') for value in step.error)}")
        add_legend(axes[1], largest_of(step.changes), True, change=True)
    return axes[0].figure


def check_size(network: Network) -> None:
    """Refuse a network whose cells and synapses could not be told apart."""
    fix = "Draw it with edcore.plots.weights or, of images, edcore.plots.receptive_fields."
    for name, given, most in (
        ("in_", f"{network.in_:,} features, 2 cells each", network.in_ <= MOST_CELLS // 2),
        ("hidden_width", network.hidden_cells, network.widest <= MOST_CELLS // 2),
        ("outputs", f"{network.outputs:,} outputs, up to 2 cells each", network.outputs <= MOST_CELLS // 2),
        ("hidden_depth", f"{network.depth:,}", network.depth <= MOST_LAYERS - 2),
    ):
        if not most:
            limit = f"at most {MOST_LAYERS - 2}" if name == "hidden_depth" else f"at most {MOST_CELLS} cells in a layer"
            raise InputError(name, given, f"{limit}, to be drawn cell by cell", fix)


def _checked_axes(ax: Any, columns: Columns, count: int) -> Sequence[Picture]:
    if ax is None:
        width, height = (high - low for low, high in columns.limits)
        shape = (1, count) if height > width else (count, 1)
        figure = new_figure((max(width + 0.2, 4.6) * shape[1], (height + 1.0) * shape[0]))
        return list(np.ravel(figure.subplots(*shape, squeeze=False)))
    axes = [ax] if hasattr(ax, "figure") else list(ax)
    if len(axes) != count:
        raise InputError(
            "ax", shown(ax), "two axes with a target, for weights and their change" if count > 1 else "one"
        )
    return axes
