"""The compiled functions, shared by all networks: one program for each set of shapes and each `How`."""

from __future__ import annotations

from typing import TypeAlias

import jax
import jax.numpy as jnp
from jax import lax

from edcore.arrays import Array

from . import method
from .method import Arrays, Cells, How, Scalars

State: TypeAlias = tuple[Arrays, Array, Cells]
"""The weights, the sums of abs(error) of each column, and the room for the hidden cells of one batch."""


def _copy(weights: Arrays) -> Arrays:
    return {key: jnp.copy(value) for key, value in weights.items()}


def _run(
    weights: Arrays,
    total: Array,
    room: Cells,
    x: Array,
    target: Array,
    order: Array,
    first: Array,
    batches: Array,
    learning: Array,
    scalars: Scalars,
    how: How,
) -> State:
    """Return the state after some batches more: their samples stand in `order`, from `first` on.

    The room says how many samples make a batch. How many batches there are is a number that the program is given, so
    it is the same program for all.
    """
    size = room.y.shape[2]

    def step(number: Array, state: State) -> State:
        weights, total, room = state
        rows = lax.dynamic_slice_in_dim(order, first + number * size, size)
        batch, wanted = (jnp.take(array, rows, axis=0, mode="clip") for array in (x, target))  # there is none to clip
        outputs, trace = method.trace(room, weights, batch, scalars, how)
        error = (wanted - outputs) * learning  # an error of 0 leaves every bit of a head
        weights = method.update(weights, trace, error, scalars, how)
        return weights, total + jnp.abs(error).sum(axis=0), trace.hidden

    state: State = lax.fori_loop(jnp.int32(0), batches, step, (weights, total, room))
    return state


copy = jax.jit(_copy)
forward = jax.jit(method.forward, static_argnums=3)
trace = jax.jit(method.trace, donate_argnums=0, static_argnums=4)
update = jax.jit(method.update, donate_argnums=0, static_argnums=4)
run = jax.jit(_run, donate_argnums=(0, 1, 2), static_argnums=10)
