"""The usual faults of a run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np

from edcore.arrays import Array
from edcore.core.rule import Rule

Steps: TypeAlias = "list[tuple[Array, float]]"


def fit_suspects(rule: Rule, orders: Array, batch_size: int) -> Iterator[tuple[str, str, Steps]]:
    """Yield the usual faults of a run: hint, detail, and the rows of each step with the factor of their error."""
    size = rule.samples_per_update(batch_size)
    samples = orders.shape[1]

    def parts(order: Array, size: int = size) -> Steps:
        return [(order[start : start + size], 1.0) for start in range(0, len(order), size)]

    def run(orders: Any, size: int = size) -> Steps:
        return [step for order in orders for step in parts(np.asarray(order), size)]

    yield "last_batch", "", [step for step in run(orders) if len(step[0]) == min(size, samples)]
    yield (
        "last_batch",
        "all batches but the last are learnt",
        run([order[: (samples - 1) // size * size] for order in orders]),
    )
    plain = np.arange(samples)
    yield "orders", "each epoch goes through the rows from 0 on", run([plain] * len(orders))
    yield "orders", "each epoch has the order of the first", run([orders[0]] * len(orders))
    yield "orders", "the epochs are in reverse", run(orders[::-1])
    yield "online_as_batch", "", run(orders, batch_size)
    yield "batch_as_online", "", run(orders, 1)
    yield "whole_epoch", "", run(orders, samples)
    yield "epochs", "the last epoch is left out", run(orders[:-1])
    yield "epochs", "one epoch too many is learnt", run([*orders, orders[-1]])
    if rule.reduction == "mean":
        yield "mean_by_batch_size", "", [(rows, len(rows) / batch_size) for rows, _ in run(orders)]
