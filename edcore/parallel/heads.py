"""Train the heads of one network in parallel, on processes of this machine or of a cluster."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from edcore.arguments import real, whole_number, yes_or_no
from edcore.arrays import Array, HostWeights, to_numpy
from edcore.core.rule import check_centred
from edcore.dispatch import registry
from edcore.errors import DivergedError
from edcore.model.ed import ED, checked_ed
from edcore.parallel.tasks import run_tasks


def fit_heads(
    ed: ED,
    x: Array,
    target: Array,
    *,
    epochs: int = 1,
    batch_size: int = 64,
    shuffle: bool = True,
    tolerance: float = 0.0,
    heads_per_task: int = 1,
    n_jobs: int | None = None,
) -> ED:
    """Train as `ED.fit` does, with the heads spread over workers.

    ``joblib.parallel_config`` chooses the workers: processes of this machine (``"loky"``), threads (``"threading"``),
    or a cluster (``"dask"``, ``"ray"``). Heads whose worker is lost are trained again on another one.

    Parameters
    ----------
    ed : ED
        The network. It does not change.
    x : array, shape (samples, in_)
        As for `ED.fit`. Each worker gets all of it.
    target : array, shape (samples,) for one output, else (samples, columns)
        The outputs to learn. Each worker gets the columns of its heads.
    epochs, batch_size, shuffle, tolerance : optional
        As for `ED.fit`.
    heads_per_task : int
        Heads that a worker trains together, at least 1; the last group may have fewer.
    n_jobs : int, optional
        Workers, as for ``joblib.Parallel``. Left out, that of ``parallel_config``.

    Returns
    -------
    ED
        A new network with the trained weights and the epochs of all heads, bound by name to the backend and the device
        that trained them.

    Raises
    ------
    InputError
        If an argument is not accepted.
    DivergedError
        If weights of a head would be NaN or infinite.
    EDCoreError
        If workers are lost again and again.

    Notes
    -----
    This process chooses the backend, as `ED.fit` does. Every worker uses it by name, or says why it cannot.
    With the same `heads_per_task`, every head gets the same bits in every worker, on processors of one kind. BLAS has
    one thread in each worker. With ``numba`` and ``loop``, the bits are those of `ED.fit` for any `heads_per_task`.
    With ``numpy`` too, with two exceptions: layers so wide that BLAS shares a product among threads in `ED.fit`, and
    networks with a single output cell (``inhibitory_output=False``), whose products with a vector are rounded in
    another way with more heads. PyTorch, JAX and GPUs may also round products in another way.

    Examples
    --------
    >>> import numpy as np
    >>> import edcore
    >>> from edcore.parallel import fit_heads
    >>> data = edcore.datasets.xor()
    >>> ed = edcore.ED(2, hidden_width=4, heads=4, rule="kaneko", seed=1, backend="numpy")
    >>> targets = np.repeat(data.y_train[:, None], 4, axis=1)
    >>> learnt = fit_heads(ed, data.x_train, targets, epochs=50)
    >>> bool((learnt.predict(data.x_test) == ed.fit(data.x_train, targets, epochs=50).predict(data.x_test)).all())
    True
    """
    epochs, batch_size = whole_number("epochs", epochs, 0), whole_number("batch_size", batch_size, 1)
    shuffle = yes_or_no("shuffle", shuffle)
    tolerance, size = real("tolerance", tolerance), whole_number("heads_per_task", heads_per_task, 1)
    x, target = checked_ed(ed).check(x, target)
    check_centred(ed.rule, batch_size)
    bound = ed if ed.is_bound else copy.copy(ed)  # the given network stays free to choose
    chosen = bound.bind(x, min(batch_size, x.shape[0]))
    # Other processes find a backend by its name; one that is not registered is sent to them.
    backend = chosen.info.name if chosen.info.name in registry.installed() else chosen
    network, weights, before = bound.network, bound.weights, ed.epochs
    x, columns = to_numpy(x), to_numpy(target).reshape(x.shape[0], network.columns)
    options = {"epochs": epochs, "batch_size": batch_size, "shuffle": shuffle, "tolerance": tolerance}
    # The order of the samples follows from the epochs, so all groups start with those of the whole network.
    common: dict[str, Any] = {"rule": ed.rule, "seed": ed.seed, "epochs": int(before.max())}
    common |= {"backend": backend, "device": chosen.device, "precision": getattr(chosen, "precision", "full")}
    tasks: dict[int, tuple[Any, ...]] = {}
    for first in range(0, network.heads, size):
        heads = slice(first, min(first + size, network.heads))
        group = replace(network, heads=heads.stop - first)
        part = {key: value[heads] for key, value in weights.items()}
        wanted = columns[:, first * network.outputs : heads.stop * network.outputs]
        wanted = wanted[:, 0] if group.columns == 1 else wanted
        tasks[first] = {"network": group, "weights": part, **common}, first, network.heads, x, wanted, options
    learnt = np.zeros(network.heads, np.intp)
    for first, (part, count) in run_tasks(_fit, tasks, n_jobs=n_jobs, label=lambda first: f"head {first + 1}"):
        for key, value in part.items():
            weights[key][first : first + size] = value
        learnt[first : first + size] = count
    return ED.from_network(network, weights=weights, **{**common, "epochs": before + learnt})


def _fit(
    arguments: dict[str, Any], first: int, of: int, x: Any, target: Any, options: dict[str, Any]
) -> tuple[HostWeights, npt.NDArray[np.intp]]:
    """Train heads from number `first` on, out of `of`; return their weights, and the epochs that each has learnt."""
    ed = ED.from_network(**arguments)
    try:
        ed.fit(x, target, **options)
    except DivergedError as error:
        heads, kept = tuple(first + head for head in error.heads), "The given network has not changed."
        step = error.epoch, error.batch
        raise DivergedError(error.part, error.layer, heads, of, kept, error.fix, *step) from error
    return ed.weights, ed.epochs - arguments["epochs"]
