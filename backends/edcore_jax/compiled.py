"""The compiled functions, shared by all networks: one program for each set of shapes and each `Variant`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from jax import lax

from edcore.arrays import Array
from edcore.contract.compilation import add_compiling, say_compiling

from . import method
from .method import Arrays, Scalars, States, Variant

State: TypeAlias = tuple[Arrays, Array, States]
"""The weights, the sums of abs(error) of each column, and the memory for the hidden states of one batch."""


def _copy(weights: Arrays) -> Arrays:
    return {key: jnp.copy(value) for key, value in weights.items()}


def _run(
    weights: Arrays,
    total: Array,
    room: States,
    x: Array,
    target: Array,
    order: Array,
    first: Array,
    batches: Array,
    learning: Array,
    scalars: Scalars,
    variant: Variant,
) -> State:
    """Return the state after a number of batches, whose samples stand in `order`, from `first` on."""
    # The size of a batch is a shape, that of the room. The number of batches is an argument, so that one program does
    # for all numbers.
    size = jax.tree.leaves(room)[0].shape[-2]

    def step(number: Array, state: State) -> State:
        weights, total, room = state
        rows = lax.dynamic_slice_in_dim(order, first + number * size, size)
        batch, wanted = (jnp.take(array, rows, axis=0, mode="clip") for array in (x, target))  # all are inside
        outputs, trace = method.trace(room, weights, batch, scalars, variant)
        error = (wanted - outputs) * learning  # an error of 0 leaves every bit of a head
        weights = method.update(weights, trace, error, scalars, variant)
        return weights, total + jnp.abs(error).sum(axis=0), trace.hidden

    state: State = lax.fori_loop(jnp.int32(0), batches, step, (weights, total, room))
    return state


def _compiled(function: Callable[..., Any], **options: Any) -> Any:
    """Return the function compiled, which says so; JAX calls what it is given only to compile it."""

    @functools.wraps(function)
    def say_and_call(*arguments: Any) -> Any:
        say_compiling("jax", kept=False)
        return function(*arguments)

    return jax.jit(say_and_call, **options)


def _stop_clock(event: str, seconds: float, **_: Any) -> None:
    # The durations of tracing contain each other, and are short.
    if event in ("/jax/core/compile/jaxpr_to_mlir_module_duration", "/jax/core/compile/backend_compile_duration"):
        add_compiling(seconds)


jax.monitoring.register_event_duration_secs_listener(_stop_clock)

# Arguments in `donate_argnums` are given away: the results take their memory. `Variant` is static.
copy = _compiled(_copy)
forward = _compiled(method.forward, static_argnums=3)
trace = _compiled(method.trace, donate_argnums=0, static_argnums=4)
update = _compiled(method.update, donate_argnums=0, static_argnums=4)
run = _compiled(_run, donate_argnums=(0, 1, 2), static_argnums=10)
