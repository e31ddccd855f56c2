"""One update as a strip of pictures: forward, the error at each layer, and the change of each weight matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from edcore.arguments import yes_or_no
from edcore.core.network import Network
from edcore.model.ed import ED, checked_ed
from edcore.plots.canvas import ACTIVITY, DIVERGING, METHODS, Picture, evenly_picked, new_figure
from edcore.plots.cells import cell_names, figures, ink, layer_name, of_head, places_for
from edcore.plots.sample import Pass, checked_head, ed_pass, gradient_pass, one_sample

Floats: TypeAlias = npt.NDArray[Any]

MOST_LAYERS = 6
"""Of a deeper network this number of layers is drawn, from the first to the last."""

FEW_ROWS, FEW_COLUMNS, FEW_NUMBERS = 8, 4, 2
"""Up to these rows and columns a matrix has the names of its cells, and up to these columns its values in figures."""

CENTRED = {"ha": "center", "va": "center"}


def step(ed: ED, x: npt.ArrayLike, target: npt.ArrayLike, *, compare: bool = True, head: int = 0) -> Picture:
    """Draw one update: the activities, the error that each layer gets, and the change ΔW of all its weights.

    Parameters
    ----------
    ed : ED
        The network. It is left as it is: a copy makes the step.
    x : array_like, shape (in_,) or (1, in_)
        One sample.
    target : array_like, shape (columns,) or (1, columns)
        What the outputs should be.
    compare : bool
        Draw the step of back-propagation below: of the same network, with the same weights and learning rates.
    head : int
        Which of the independent networks is drawn.

    Returns
    -------
    matplotlib.figure.Figure
        The figure. A column of cells has the excitatory ones above the line, the inhibitory ones below. A matrix has a
        row for each source, the bias cells last, and a column for each target cell. The matrices of a method share one
        scale, red above 0 and blue below. "step" counts what has to be computed one after the other, from the error on.
        Of a network with more than 6 layers of synapses, 6 are drawn.

    Raises
    ------
    InputError
        If x or target are not one sample, the head does not exist, or the rule learns nothing from one sample.
    EDCoreError
        If matplotlib is not installed.

    Notes
    -----
    ED (Kaneko 1999) adds ΔW_ij = α · x_i · E_ij · g(y_j) · s_j, as `ED.step` does: every layer gets the error e itself.
    Back-propagation (Rumelhart, Hinton and Williams 1986) adds ΔW_ij = −α ∂L/∂W_ij = α · x_i · δ_j · f′(z_j), for
    L = ½ Σ_k e_k². Here δ is e at the outputs, and δ_i = Σ_j W_ij · δ_j · f′(z_j) in each layer before them, so it has
    to pass one layer after the other. α is that of ED's rule in both; f′ has the factor 2 / u0, which g leaves out.

    Examples
    --------
    >>> import edcore
    >>> from edcore import plots
    >>> ed = edcore.ED(in_=2, hidden_width=2, hidden_depth=1, rule="split", seed=0)
    >>> figure = plots.step(ed, [1, 0], 1)
    >>> [ax.get_title().splitlines() for ax in figure.axes][2:4]
    [['ΔW to hidden 1', 'step 1'], ['ΔW to hidden 2', 'step 1']]
    """
    network = checked_ed(ed).network
    head, compare = checked_head(network, head), yes_or_no("compare", compare)
    sample, wanted = one_sample("x", x, network.features), one_sample("target", target, network.columns)
    rows = {"ED": ed_pass(ed, sample, wanted, head)}
    if compare:
        rows["back-propagation"] = gradient_pass(ed, sample, wanted, head)
    shown = evenly_picked(len(network.layers), MOST_LAYERS).tolist()
    widths = [0.5 * (len(shown) + 1), max(0.5 * len(shown), 1.3), *[1.0] * len(shown)]
    figure = new_figure((1.0 + 1.4 * sum(widths), 0.5 + 3.1 * len(rows)))
    grid = figure.add_gridspec(len(rows), len(widths), width_ratios=widths)
    first = figure.add_subplot(grid[:, 0])
    _draw_forward(first, network, rows["ED"], shown)
    for row, (method, passed) in enumerate(rows.items()):
        axes = [figure.add_subplot(grid[row, column]) for column in range(1, len(widths))]
        _draw_error(axes[0], network, passed, shown, method)
        _draw_changes(axes[1:], network, passed, shown, backwards=method != "ED")
    output, error = rows["ED"].activities[-1][: network.outputs], rows["ED"].error
    words = f"output {_listed(output)}, error {_listed(error, '+')}"
    more = f", {len(shown)} of {len(network.layers):,} layers" if len(shown) < len(network.layers) else ""
    heading = f"{network.hidden_layers}{of_head(network, head)}: {words}{more}"
    figure.suptitle(heading, x=0.01, ha="left", fontsize="medium", parse_math=False)
    return figure


def _listed(values: Floats, plus: str = "") -> str:
    texts = [figures(value, plus) for value in values[:4]]
    return ", ".join(texts) + (", …" if len(values) > 4 else "")


def _draw_forward(ax: Picture, network: Network, passed: Pass, shown: Sequence[int]) -> None:
    """Draw the activities of the input cells and of each layer."""
    columns = [passed.activities[0], *(passed.activities[number + 1] for number in shown)]
    signs = [network.input_signs, *(network.layers[number].target_signs for number in shown)]
    most = max(1.0, *(float(np.abs(column).max()) for column in columns))
    names = ["input", *(layer_name(network, number) for number in shown)]
    draw_columns(ax, [np.abs(column) for column in columns], signs, names, (0, most, ACTIVITY), columns)
    ax.set_title("Forward:\nthe activities", loc="left", fontsize="small")


def _draw_error(ax: Picture, network: Network, passed: Pass, shown: Sequence[int], method: str) -> None:
    """Draw the error as it reaches the cells of each layer."""
    columns = [passed.arriving[number] for number in shown]
    signs = [network.layers[number].target_signs for number in shown]
    most = max(float(np.abs(column).max()) for column in columns) or 1.0
    draw_columns(ax, columns, signs, [layer_name(network, n) for n in shown], (-most, most, DIVERGING), columns)
    name = "ED" if method == "ED" else "Back-propagation"
    what = "the error, at all layers" if method == "ED" else "the error, passed back"
    band = {"facecolor": METHODS[method], "alpha": 0.3, "edgecolor": "none", "pad": 2}
    ax.set_title(f"{name}:\n{what}", loc="left", fontsize="small", bbox=band)


def draw_columns(
    ax: Picture,
    columns: Sequence[Floats],
    signs: Sequence[Sequence[int]],
    names: Sequence[str],
    scale: tuple[float, float, str],
    texts: Sequence[Floats],
) -> None:
    """Draw the cells of each layer as a column of squares, the excitatory ones above a line."""
    low, high, colours = scale
    for number, (values, kinds, written) in enumerate(zip(columns, signs, texts, strict=True)):
        for above in (True, False):
            own = [i for i, kind in enumerate(kinds) if (kind > 0) == above]
            if not own:
                continue
            bottom, top = (0.52, 1.0) if above else (0.0, 0.48)
            extent = (number, number + 0.72, bottom, top)
            picture = {"cmap": colours, "vmin": low, "vmax": high, "interpolation": "nearest", "aspect": "auto"}
            image = ax.imshow(values[own][:, None], extent=extent, **picture)
            edge = {"fill": False, "edgecolor": "0.5", "linewidth": 0.8}
            _frame(ax, extent, edge)
            if max(len(column) for column in columns) <= FEW_ROWS:
                for place, cell in enumerate(own):
                    y = top - (place + 0.5) / len(own) * (top - bottom)
                    ink_of = ink(image, values[cell])
                    ax.text(number + 0.36, y, figures(written[cell], places=2), color=ink_of, fontsize=7.5, **CENTRED)
    ax.set(xlim=(-0.15, len(columns) - 0.13), ylim=(-0.03, 1.03))
    ax.set_xticks([number + 0.36 for number in range(len(columns))], names, rotation=35, ha="right", fontsize="small")
    ax.set_yticks([0.76, 0.24], ["+", "−"])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)


def _frame(ax: Picture, extent: tuple[float, float, float, float], edge: dict[str, Any]) -> None:
    from matplotlib.patches import Rectangle

    left, right, bottom, top = extent
    ax.add_patch(Rectangle((left, bottom), right - left, top - bottom, **edge))


def _draw_changes(
    axes: Sequence[Picture], network: Network, passed: Pass, shown: Sequence[int], *, backwards: bool
) -> None:
    """Draw the change of each layer's weights, with its biases below, all in one scale."""
    changes = passed.changes
    most = max(float(np.abs(part).max(initial=0.0)) for change in changes for part in change) or 1.0
    places = places_for(most, True)
    for ax, number in zip(axes, shown, strict=True):
        matrix = np.concatenate(list(changes[number]))
        rows, columns = matrix.shape
        style = {"cmap": DIVERGING, "vmin": -most, "vmax": most, "interpolation": "nearest", "aspect": "auto"}
        image = ax.imshow(matrix, **style)
        ax.axhline(len(changes[number].weight) - 0.5, color="0.5", linewidth=0.8)
        if rows <= FEW_ROWS and columns <= FEW_COLUMNS:
            for row, column in np.ndindex(rows, columns if columns <= FEW_NUMBERS else 0):
                value = float(matrix[row, column])
                if abs(value) >= 0.5 * 10**-places:
                    colour = ink(image, value)
                    ax.text(column, row, figures(value, "+", places), color=colour, fontsize=7.5, **CENTRED)
            biases = ["b+", "b−"][: network.n_bias]
            ax.set_yticks(range(rows), cell_names(network, number) + biases, fontsize=7)
            ax.set_xticks(range(columns), cell_names(network, number + 1), fontsize=7)
        else:
            ax.set(xticks=[], yticks=[])
            ax.set_xlabel(f"{columns:,} cells", fontsize="small")
            ax.set_ylabel(f"{rows:,} sources", fontsize="small")
        ax.tick_params(length=0)
        time = len(network.layers) - number if backwards else 1
        ax.set_title(f"ΔW to {layer_name(network, number)}\nstep {time:,}", fontsize="small")
    bar = axes[-1].figure.colorbar(image, ax=list(axes), shrink=0.8, aspect=25, pad=0.01)
    bar.ax.tick_params(labelsize="small")
    bar.set_label("ΔW")
