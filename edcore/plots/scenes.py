"""The scenes of animations: each returns a figure, the function that draws one frame on it, and how many there are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from edcore.arrays import HostWeights, to_numpy
from edcore.core.network import Network
from edcore.core.randomness import permutation
from edcore.diagnostics.gradient import layer_part
from edcore.errors import InputError
from edcore.model.ed import ED
from edcore.plots.boundary import decision_boundary
from edcore.plots.canvas import ACTIVITY, COLOURS, ERROR, Picture, evenly_picked, new_figure, set_title
from edcore.plots.cells import Columns, add_legend, arrange, draw, figures, largest_of, of_head
from edcore.plots.drawing import check_size
from edcore.plots.sample import (
    Pass,
    activities,
    copy_of,
    ed_pass,
    gradient_pass,
    one_sample,
    weights_of,
)

Floats: TypeAlias = npt.NDArray[Any]


WIDE = 12.0
"""Two drawings that are narrower together stand beside each other, in inches."""


class Scene(NamedTuple):
    """What an animation shows."""

    figure: Picture
    draw: Callable[[int], None]
    frames: int


def learning(ed: ED, x: Any, target: Any, head: int, epochs: int, batch_size: int, frames: int) -> Scene:
    """Show a network with two inputs and its decision boundary, while a copy of it learns."""
    network = ed.network
    if network.in_ != 2:
        fix = 'Take a network of two inputs, or kind="layers".'
        raise InputError("ed", f"{network.in_} inputs", "2 inputs, as the boundary is drawn in their plane", fix)
    check_size(network)
    copy = copy_of(ed)
    x, target = _checked(copy, x, target)
    classes = (target > 0.5).astype(int) if network.columns == 1 else target.argmax(axis=1)
    states: list[tuple[int, HostWeights, float]] = []
    chosen = set(evenly_picked(epochs + 1, frames).tolist())
    for epoch in range(epochs + 1):
        if epoch:
            copy.fit(x, target, epochs=1, batch_size=batch_size)
        if epoch in chosen:
            states.append((epoch, copy.weights, _error(copy, x, target)))
    columns = arrange(network, numbers=False)
    layers = [weights_of(network, weights, head) for _, weights, _ in states]
    largest = max(largest_of(each) for each in layers)
    width, height = (high - low for low, high in columns.limits)
    figure = new_figure((max(width, 4.4) + 5.0, max(height + 1.0, 4.2)))
    predictor = copy_of(ed)

    def draw_frame(number: int) -> None:
        epoch, weights, error = states[number]
        figure.clear()
        left, right = figure.subplots(1, 2, width_ratios=(max(width, 4.4), 5.0))
        draw(left, network, columns, layers[number], largest=largest)
        set_title(left, network.hidden_layers + of_head(network, head))
        add_legend(left, largest, active=False)
        predictor.load_weights(weights)
        decision_boundary(predictor, x, classes, ax=right)
        right.set(xlabel="x1", ylabel="x2")
        set_title(right, f"Epoch {epoch:,}: error {error:.2f}")

    return Scene(figure, draw_frame, len(states))


def broadcast(ed: ED, x: Any, target: Any, head: int) -> Scene:
    """Show one step: the sample goes forward, then the error reaches all layers at once, or one after the other."""
    network = ed.network
    check_size(network)
    sample, wanted = one_sample("x", x, network.features), one_sample("target", target, network.columns)
    passes = {"ED": ed_pass(ed, sample, wanted, head), "Back-propagation": gradient_pass(ed, sample, wanted, head)}
    columns, weights = arrange(network, numbers=False), weights_of(network, ed.weights, head)
    width, height = (high - low for low, high in columns.limits)
    shape = (1, 2) if height > width or 2 * width < WIDE else (2, 1)
    figure = new_figure((max(width + 0.2, 4.6) * shape[1], (height + 1.1) * shape[0]))
    layers = len(network.layers)

    def draw_frame(number: int) -> None:
        figure.clear()
        for ax, (method, passed) in zip(np.ravel(figure.subplots(*shape)), passes.items(), strict=True):
            if number <= layers:  # forward
                seen = [cells if place <= number else None for place, cells in enumerate(passed.activities)]
                draw(ax, network, columns, weights, seen)
                words = "the sample" if number == 0 else f"forward, layer {number} of {layers}"
                if number == layers:
                    words = f"error {', '.join(figures(value, '+') for value in passed.error)}"
                set_title(ax, f"{method}: {words}")
                add_legend(ax, largest_of(weights), active=True)
            else:
                _draw_arrival(ax, network, columns, method, passed, number - layers)
            ax.set_ylim(columns.limits[1][0] - 0.35, columns.limits[1][1])

    return Scene(figure, draw_frame, 2 * layers + 1)


def _draw_arrival(ax: Picture, network: Network, columns: Columns, method: str, passed: Pass, step: int) -> None:
    """Draw the changes of those layers that the error has reached, and mark the cells where it arrives."""
    layers = len(network.layers)
    at_once = method == "ED"
    reached = range(layers) if at_once else range(max(layers - step, 0), layers)
    new = (range(layers) if step == 1 else range(0)) if at_once else reached[:1]
    changes = [passed.changes[n] if n in reached else None for n in range(layers)]
    largest = largest_of(passed.changes)
    draw(ax, network, columns, changes, passed.activities, change=True, largest=largest)
    for layer in new:
        _mark(ax, columns, layer + 1)
    style = {"color": ERROR, "fontsize": 9, "ha": "center", "va": "top", "weight": "bold"}
    for layer in reached:
        arriving = passed.arriving[layer]
        same = np.ptp(arriving) == 0 or (layer == layers - 1 and network.outputs == 1)
        words = figures(arriving[0], "+") if same else f"±{figures(np.abs(arriving).max())}"
        ax.text(columns.x[layer + 1], columns.limits[1][0], words, **style)
    if at_once:
        words = "the error, to all layers at once" if step == 1 else "done after 1 step"
    else:
        words = f"the error, step {step} of {layers}"
    set_title(ax, f"{method}: {words}")
    add_legend(ax, largest, active=True, change=True)


def _mark(ax: Picture, columns: Columns, column: int) -> None:
    """Draw a halo around each cell of a column."""
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Circle

    halos = [Circle((columns.x[column], y), 1.5 * columns.radius) for y in columns.y[column]]
    marks = PatchCollection(halos, facecolors=ERROR, edgecolors="none", alpha=0.4, zorder=2)
    ax.add_collection(marks).set_gid(f"error {column}")


def deep_layers(ed: ED, x: Any, target: Any, head: int, epochs: int, batch_size: int, frames: int) -> Scene:
    """Show the activities of the hidden cells and the growth of each layer, while a copy of the network learns."""
    network, copy = ed.network, copy_of(ed)
    x, target = _checked(copy, x, target)
    start, states = _sizes(network, copy.weights, head), []
    batches = epochs * -(-len(x) // batch_size)
    chosen = set(evenly_picked(batches + 1, frames).tolist())
    for batch, error in enumerate(_batches(copy, x, target, epochs, batch_size)):
        if batch in chosen:
            weights = copy.weights
            hidden = _in_rows(activities(network, weights, x[:1].astype(np.float64), head)[1:-1], network.widest)
            with np.errstate(invalid="ignore", divide="ignore"):  # weights that were 0 have no growth
                states.append((batch, error, hidden, _sizes(network, weights, head) / start))
    growths = np.stack([growth for *_, growth in states])
    known = growths[np.isfinite(growths) & (growths > 0)]
    low, high = min(known.min(initial=1.0), 0.99), max(known.max(initial=1.0), 1.01)
    margin = (high / low) ** 0.05
    most = max(1.0, *(float(np.nanmax(np.abs(hidden))) for _, _, hidden, _ in states))
    figure, rows = new_figure((9.0, 4.8)), len(network.layers)

    from matplotlib.ticker import MaxNLocator

    def draw_frame(number: int) -> None:
        batch, error, hidden, growth = states[number]
        figure.clear()
        left, right = figure.subplots(1, 2, sharey=True)
        extent = (-0.5, hidden.shape[1] - 0.5, len(hidden) + 0.5, 0.5)
        style = {"cmap": ACTIVITY, "vmin": 0, "vmax": most, "interpolation": "nearest", "aspect": "auto"}
        figure.colorbar(left.imshow(np.abs(hidden), extent=extent, **style), ax=left)
        left.axvline(network.widest - 0.5, color=COLOURS[0], linewidth=1)
        left.set_xticks([network.widest / 2 - 0.5, 1.5 * network.widest - 0.5], ["+ cells", "− cells"])
        left.tick_params(axis="x", length=0)
        left.set_ylabel("hidden layer (last: output)")
        layers = np.arange(1, rows + 1)
        right.plot(growth, layers, color=COLOURS[0], marker="o" if rows <= 40 else None, markersize=4)
        right.axvline(1, color="0.4", linewidth=0.8, linestyle=":")
        right.set(xlim=(low / margin, high * margin), ylim=(rows + 0.5, 0.5), xlabel="mean |W|, over that at the start")
        right.yaxis.set_major_locator(MaxNLocator(integer=True))
        if high / low > 10:
            right.set_xscale("log")
        right.grid(alpha=0.25)
        set_title(left, "Activities, first sample")
        set_title(right, f"Batch {batch:,} of {batches:,}" + (f": error {error:.2f}" if batch else ""))
        figure.suptitle(network.hidden_layers, x=0.01, ha="left", fontsize="medium")

    return Scene(figure, draw_frame, len(states))


def _in_rows(hidden: Sequence[Floats], widest: int) -> Floats:
    """Return the cells of each layer as a row, which meet in the middle; narrower layers leave its ends empty."""
    rows = np.full((len(hidden), 2 * widest), np.nan)
    for row, cells in zip(rows, hidden, strict=True):
        row[widest - len(cells) // 2 : widest + len(cells) // 2] = cells
    return rows


def _checked(copy: ED, x: Any, target: Any) -> tuple[Floats, Floats]:
    """Return samples and targets as arrays of NumPy, as `ED.fit` would accept them."""
    x, target = (to_numpy(value) if hasattr(value, "shape") else np.asarray(value) for value in (x, target))
    x, target = copy.check(x, target)
    return np.asarray(x), np.asarray(target)


def _error(ed: ED, x: Floats, target: Floats) -> float:
    return float(np.abs(target - ed.predict(x).reshape(target.shape)).mean())


def _batches(ed: ED, x: Floats, target: Floats, epochs: int, batch_size: int) -> Iterator[float]:
    """Yield 0, then learn batch by batch in the order of `ED.fit`, and yield each batch's mean error before it."""
    yield 0.0
    first = int(ed.epochs.max())
    for epoch in range(first, first + epochs):
        order = permutation(ed.seed, epoch, len(x))
        for start in range(0, len(x), batch_size):
            rows = order[start : start + batch_size]
            before = ed.step(x[rows], target[rows])
            yield float(np.abs(target[rows] - np.asarray(before).reshape(target[rows].shape)).mean())


def _sizes(network: Network, weights: HostWeights, head: int) -> Floats:
    """Return the mean size of each layer's weights."""
    matrices = (layer_part(weights, layer, "weight")[head] for layer in network.layers)
    return np.array([np.abs(matrix).mean(dtype=np.float64) for matrix in matrices])
