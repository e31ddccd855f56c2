"""All layers of a network at a glance: how active their cells are, and their weights as matrices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from edcore.arrays import Array, HostWeights, to_numpy
from edcore.core.activations import SOFTMAX
from edcore.core.network import Network
from edcore.diagnostics.gradient import forward_layer, input_state, layer_part, read_out
from edcore.errors import InputError
from edcore.model.ed import ED, checked_ed
from edcore.model.inputs import checked_x
from edcore.plots.canvas import (
    DIVERGING,
    EXCITATORY,
    INHIBITORY,
    Picture,
    axes_or_new,
    evenly_picked,
    new_figure,
    set_title,
)
from edcore.plots.cells import layer_name, of_head
from edcore.plots.sample import checked_head

Floats: TypeAlias = npt.NDArray[Any]

MOST_LAYERS, ALL_AT_START = 12, 4
"""The most layers that are drawn, and how many at the start are drawn in any case: these are the ones that learn."""

MOST_SAMPLES = 200
"""Samples whose activities are drawn; of more, they are evenly picked."""

BINS = 40

HIGH = 0.85
"""The height of a histogram's highest bar, where rows are 1 apart."""


def activities(ed: ED, x: Array, *, head: int = 0, ax: Picture | None = None) -> Picture:
    """Draw how the activities of each layer's cells are spread, as a histogram for each layer.

    Parameters
    ----------
    ed : ED
        The network.
    x : array, shape (samples, in_)
        The samples, as for `ED.predict`. Of more than 200 samples 200 are evenly picked.
    head : int
        Which of the independent networks is drawn.
    ax : matplotlib.axes.Axes, optional
        Where to draw. Left out, a new figure.

    Returns
    -------
    matplotlib.figure.Figure
        The figure: a row for each layer of cells, the excitatory ones in red and the inhibitory ones in blue. Each row
        has its own scale. Of more than 12 layers the first four, the last and others between them are drawn.

    Raises
    ------
    InputError
        If x is not accepted or has no sample, the head does not exist, or the network does not know ``in_`` yet.
    EDCoreError
        If matplotlib is not installed.

    See Also
    --------
    layer_map : Saturation and growth of all layers during training.

    Examples
    --------
    >>> import edcore
    >>> from edcore import plots
    >>> data = edcore.datasets.digits()
    >>> figure = plots.activities(edcore.ED(in_=64, hidden_depth=2, u0=2.0, seed=0), data.x_train)
    >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
    ['hidden 1', 'hidden 2', 'hidden 3', 'output']
    """
    network = checked_ed(ed).network
    head = checked_head(network, head)
    samples = to_numpy(checked_x(x, network, True, None).array)
    if not len(samples):
        raise InputError("x", "no sample", "at least one")
    samples = samples[evenly_picked(len(samples), MOST_SAMPLES)]
    chosen = chosen_layers(len(network.layers))
    found = _activities(network, ed.weights, samples, head, chosen)
    signs = [network.layers[number].target_signs for number in chosen]
    values = [[cells[:, np.equal(sign, way)] for way in (1, -1)] for cells, sign in zip(found, signs, strict=True)]
    if network.output_activation == SOFTMAX:  # the inhibitory output cells are sums, which nobody reads
        values[-1][1] = values[-1][1][:, :0]
    ax = axes_or_new(ax, (6.5, 1.4 + 0.4 * len(chosen)))
    names = ["excitatory cells", "inhibitory cells"]
    draw_histograms(ax, [layer_name(network, number) for number in chosen], values, [(EXCITATORY, INHIBITORY)], names)
    ax.set_xlabel("activity")
    set_title(ax, f"Activities of {len(samples):,} samples\n{_layers_in_words(network, chosen, head)}")
    return ax.figure


def weights(ed: ED, *, head: int = 0) -> Picture:
    """Draw the weights of each layer as a matrix: positive ones red, negative ones blue.

    Parameters
    ----------
    ed : ED
        The network.
    head : int
        Which of the independent networks is drawn.

    Returns
    -------
    matplotlib.figure.Figure
        The figure. Each matrix has a row for each source and a column for each target, the excitatory cells first, so
        its four blocks have the signs +, −, −, +. All share one scale, whose ends are the largest weight but for the
        topmost thousandth. Biases are left out. Of more than 12 layers the first four, the last and others between
        them are drawn.

    Raises
    ------
    InputError
        If the head does not exist, or the network does not know ``in_`` yet.
    EDCoreError
        If matplotlib is not installed.

    See Also
    --------
    network : A small network with a line for each synapse.
    receptive_fields : The weights of the first layer, as images.

    Examples
    --------
    >>> import edcore
    >>> from edcore import plots
    >>> figure = plots.weights(edcore.ED(in_=2, hidden_width=4, hidden_depth=1, seed=0))
    >>> [axes.get_title() for axes in figure.axes[:3]]
    ['x → hidden 1', 'hidden 1 → 2', 'hidden 2 → output']
    """
    network = checked_ed(ed).network
    head = checked_head(network, head)
    chosen = chosen_layers(len(network.layers))
    host = ed.weights
    matrices = [layer_part(host, network.layers[number], "weight")[head].astype(np.float64) for number in chosen]
    largest = max(float(np.nanquantile(np.abs(matrix), 0.999)) for matrix in matrices) or 1.0
    across = min(len(chosen), 4)
    down = -(-len(chosen) // across)
    figure = new_figure((max(1.8 * across + 1, 5.6), 2.0 * down + 0.5))
    panels = figure.subplots(down, across, squeeze=False).ravel()
    for ax in panels[len(chosen) :]:
        ax.set_axis_off()
    for ax, number, matrix in zip(panels, chosen, matrices, strict=False):
        image = _draw_matrix(ax, network, number, matrix, largest)
    figure.colorbar(image, ax=list(panels), label="weight", aspect=30, extend="both")
    figure.suptitle(f"Weights: {_layers_in_words(network, chosen, head)}", x=0.01, ha="left", fontsize="medium")
    return figure


def chosen_layers(layers: int) -> list[int]:
    """Return the numbers of the layers that are drawn: all, or the first ones, the last, and others between them."""
    if layers <= MOST_LAYERS:
        return list(range(layers))
    later = np.linspace(ALL_AT_START, layers - 1, MOST_LAYERS - ALL_AT_START).round().astype(int).tolist()
    return [*range(ALL_AT_START), *later]


def draw_histograms(
    ax: Picture,
    rows: Sequence[str],
    values: Sequence[Sequence[Floats]],
    colours: Sequence[Sequence[Any]],
    names: Sequence[str] = (),
) -> None:
    """Draw a row of histograms over each other for each name, from the top; rows may share one tuple of colours."""
    finite = [array[np.isfinite(array)] for row in values for array in row]
    low = min((float(array.min()) for array in finite if array.size), default=0.0)
    high = max((float(array.max()) for array in finite if array.size), default=1.0)
    low, high = min(low, 0.0), max(high, 1.0)
    edges = np.linspace(low, high, BINS + 1)
    for place, row in enumerate(values):
        # Shares, so that a group of few samples is seen beside one of many.
        counts = [np.histogram(array[np.isfinite(array)], edges)[0] / max(array.size, 1) for array in row]
        top = max(float(count.max()) for count in counts) or 1.0
        for number, (count, colour) in enumerate(zip(counts, colours[place % len(colours)], strict=True)):
            style = {"color": colour, "linewidth": 1.2}
            base = len(values) - 1 - place
            steps = base + HIGH * count / top
            label = names[number] if names and not place else None
            ax.stairs(steps, edges, baseline=base, fill=True, alpha=0.3, color=colour, label=label)
            ax.stairs(steps, edges, baseline=base, **style)
        ax.axhline(len(values) - 1 - place, color="0.6", linewidth=0.6)
    ax.set_yticks(range(len(values))[::-1], rows, parse_math=False)
    ax.tick_params(axis="y", length=0)
    margin = 0.02 * (high - low)
    ax.set_xlim(low - margin, high + margin)
    ax.set_ylim(-0.1, len(values))
    ax.spines[["top", "right", "left"]].set_visible(False)
    if names:
        below = {"loc": "upper center", "bbox_to_anchor": (0.5, 0), "borderaxespad": 4}  # below the axis' name
        ax.legend(**below, ncols=2, fontsize="small", frameon=False)


def _activities(network: Network, weights: HostWeights, x: Floats, head: int, chosen: list[int]) -> list[Floats]:
    """Return the activities (samples, cells) of some layers; only one layer's activities are held besides these."""
    one = replace(network, heads=1)
    part = {key: value[head : head + 1] for key, value in weights.items()}
    state, found = input_state(network, x), []
    with np.errstate(all="ignore"):  # activities that overflow are left out
        for number, layer in enumerate(network.layers):
            state = forward_layer(one, layer, part, state)
            if number in chosen:
                found.append(state.y[0] if layer.name != "output" else read_out(network, state.y)[0])
    return found


def _draw_matrix(ax: Picture, network: Network, number: int, matrix: Floats, largest: float) -> Any:
    """Draw the weights of a layer, with lines between the blocks of excitatory and inhibitory cells."""
    layer = network.layers[number]
    image = ax.imshow(matrix, cmap=DIVERGING, vmin=-largest, vmax=largest, aspect="auto")
    source, target = layer_name(network, number - 1) if number else "x", layer_name(network, number)
    ax.set_title(f"{source} → {target.removeprefix('hidden ') if number else target}", fontsize="small")
    for axis, signs, line in ((ax.yaxis, layer.source_signs, ax.axhline), (ax.xaxis, layer.target_signs, ax.axvline)):
        excitatory = signs.count(1)
        blocks = [("+", 0, excitatory), ("−", excitatory, len(signs))]
        middles = [((start + end - 1) / 2, f"{end - start:,} {sign}") for sign, start, end in blocks if end > start]
        axis.set_ticks(*zip(*middles, strict=True))
        if excitatory < len(signs):
            line(excitatory - 0.5, color="black", linewidth=0.8)
    ax.tick_params(length=0, labelsize="small")
    return image


def _layers_in_words(network: Network, chosen: list[int], head: int) -> str:
    part = "" if len(chosen) == len(network.layers) else f", {len(chosen)} of {len(network.layers):,} layers drawn"
    return f"{network.hidden_layers}{part}{of_head(network, head)}"
