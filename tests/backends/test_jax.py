"""The compiled JAX backend: what is compiled and how often, whose memory is whose, and runs over many batches."""

import logging
import os
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("jax")

import jax
import jax.numpy as jnp

from edcore import Network, Rule
from edcore.contract.backend import Backend
from edcore.contract.steps import Schedule
from edcore.core.activations import FUNCTIONS
from edcore.core.weights import initialise
from edcore.testing.compare import all_close, same_bits
from edcore_jax import BACKEND, compiled
from edcore_jax.method import Activities, LayerState, Scalars, Variant

PROGRAMS = ("forward", "trace", "update", "run")
NETWORK = Network(in_=5, width=3, depth=70, heads=2)
VARIANT = replace(
    NETWORK, outputs=3, activation="relu6", output_activation="tanh", rms=True, bias=0.8, inhibitory_output=False
)
KINDS = pytest.mark.parametrize(
    ("network", "rule"),
    [(NETWORK, Rule()), (VARIANT, Rule(centred=True, floor=1e-4))],
    ids=["the article's", "a variant"],
)


@pytest.fixture
def backend():
    return BACKEND.load(None)


@pytest.fixture
def compilations(caplog):
    """The programs that are compiled, as they are."""
    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        yield lambda: [record.getMessage() for record in caplog.records if record.getMessage().startswith("Compiling")]


def samples(network, n, seed=0):
    random = np.random.default_rng(seed)
    x = random.random((n, network.in_)).astype(network.dtype)
    return x, random.integers(0, 2, (n, network.columns)).astype(network.dtype)


def schedule(network, n, epochs, batch_size=4, tolerance=0.0):
    orders = np.stack([np.random.default_rng(epoch).permutation(n) for epoch in range(epochs)])
    learning = np.ones(network.heads, np.bool_)
    return Schedule(orders=orders, batch_size=batch_size, tolerance=tolerance, learning=learning)


def step(backend, network, rule, weights, x, target):
    outputs, trace = backend.trace(network, weights, x)
    return backend.update(network, rule, weights, trace, target - np.asarray(outputs))


def arguments(network, rule, batch=4):
    """Return the arguments of each compiled function, as shapes."""

    def array(*shape, dtype=network.dtype):
        return jax.ShapeDtypeStruct(shape, dtype)

    weights = {
        key: array(*((shape[1], shape[0], *shape[2:]) if key.startswith("hidden") else shape))
        for key, shape in network.weight_shapes.items()
    }
    hidden = array(network.depth + 1, network.heads, batch, 2 * network.width)
    room = LayerState(hidden, hidden if network.rms else None)
    x, error = array(batch, network.in_), array(batch, network.columns)
    kind = network.outputs, FUNCTIONS[network.activation], FUNCTIONS[network.output_activation], network.rms
    given = Scalars(*[array()] * 5), Variant(*kind, rule.error == "split", rule.centred, rule.floor is not None)
    trace = Activities(array(1, batch, 2 * network.in_), room, array(network.heads, batch, len(network.output_signs)))
    whole, columns = array(dtype="int32"), array(network.columns)
    return {
        "forward": (weights, x, *given),
        "trace": (room, weights, x, *given),
        "update": (weights, trace, error, *given),
        "run": (weights, columns, room, x, error, array(batch, dtype="int32"), whole, whole, columns, *given),
    }


@KINDS
@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_do_not_grow_with_depth(name, network, rule):
    texts, memory = [], []
    for depth in (128, 2048):
        lowered = getattr(compiled, name).lower(*arguments(replace(network, depth=depth), rule)[name])
        texts.append(lowered.as_text())
        memory.append(lowered.compile().memory_analysis().temp_size_in_bytes)
    assert len(texts[1].splitlines()) == len(texts[0].splitlines())
    assert memory[1] < memory[0] + 1000


@KINDS
@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize(("dtype", "other"), [("float32", "f64"), ("float64", "f32")])
def test_programs_compute_in_the_networks_dtype_alone(name, dtype, other, network, rule):
    given = arguments(replace(network, dtype=dtype), rule)[name]
    text = getattr(compiled, name).lower(*given).as_text()
    assert f"x{dtype[0]}{dtype[-2:]}>" in text
    assert other not in text


@KINDS
def test_a_structure_is_compiled_once(backend, compilations, network, rule):
    network = replace(network, in_=6)  # of no other test
    x, target = samples(network, 4)

    def all_calls(backend, network, rule, epochs):
        weights = backend.from_host(initialise(network, 0))
        backend.forward(network, weights, x)
        weights, _ = backend.fit(network, rule, weights, x, target, schedule(network, 4, epochs))
        step(backend, network, rule, weights, x, target)

    all_calls(backend, network, rule, 1)
    first = compilations()
    for name in ("forward", "trace", "update", "_run"):
        assert sum(name in program for program in first) == 1, first
    floor = rule.floor and 0.05
    all_calls(backend, network, replace(rule, alpha=0.1, alpha_output=0.2, reduction="sum", floor=floor), 3)
    all_calls(BACKEND.load("cpu"), replace(network, u0=1.0, bias=0.5), rule, 2)
    assert compilations() == first
    other = replace(rule, centred=not rule.centred)
    step(backend, network, other, backend.from_host(initialise(network, 0)), x, target)
    assert ["update" in program for program in compilations()[len(first) :]] == [True]


@pytest.mark.parametrize("rule", [Rule(), Rule("split"), Rule(order="online"), Rule(reduction="sum")])
@pytest.mark.parametrize("depth", [0, 3])
def test_fit_is_a_step_for_each_batch(backend, rule, depth):
    network = Network(in_=5, width=3, depth=depth, heads=2, u0=1.0, n_bias=2, dtype="float64")
    (x, target), plan = samples(network, 11), schedule(network, 11, 3)
    start = initialise(network, 1)
    learned, stopped = backend.fit(network, rule, backend.from_host(start), x, target, plan)
    weights, size = backend.from_host(start), 1 if rule.order == "online" else 4
    for order in plan.orders:
        for first in range(0, 11, size):
            rows = order[first : first + size]
            weights = step(backend, network, rule, weights, x[rows], target[rows])
    got, expected = backend.to_host(learned), backend.to_host(weights)
    all_close(got, expected, {key: np.full(value.shape, 1e-9) for key, value in expected.items()}, "after fit")
    assert not stopped.any()
    assert np.abs(got["input.weight"] - start["input.weight"]).max() > 1e-3


@pytest.mark.parametrize(("error", "outputs"), [("split", 1), ("signed", 2)])
def test_fit_stops_heads_at_the_tolerance_as_the_inherited_one_does(backend, error, outputs):
    network = Network(in_=2, width=4, depth=0, heads=20, n_bias=2, outputs=outputs)
    rule = Rule(error, order="online")
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
    target = np.tile(np.stack([x[:, 0] != x[:, 1], x[:, 0] > x[:, 1]], axis=1)[:, :outputs], 20).astype(np.float32)
    plan = schedule(network, 4, 60, tolerance=0.5)
    plan.learning[3] = False
    start = initialise(network, 0)
    learned, stopped = backend.fit(network, rule, backend.from_host(start), x, target, plan)
    _, expected = Backend.fit(backend, network, rule, backend.from_host(start), x, target, plan)
    assert stopped.tolist() == expected.tolist()
    assert 0 < (stopped > 0).sum() < 19, "some are to stop, and some are not"
    silent = {key: value[3] for key, value in backend.to_host(learned).items()}
    same_bits(silent, {key: value[3] for key, value in start.items()}, "of a head that does not learn")


def test_fit_leaves_its_weights_whole(backend, monkeypatch):
    x, target = samples(NETWORK, 9)
    start = initialise(NETWORK, 0)
    weights = backend.from_host(start)
    plan = schedule(NETWORK, 9, 2)
    backend.fit(NETWORK, Rule(), weights, x, target, plan)
    same_bits(backend.to_host(weights), start, "after fit")
    real, calls = compiled.run, []

    def interrupted(*arguments):
        if calls:
            raise KeyboardInterrupt
        calls.append(real(*arguments))
        return calls[0]

    monkeypatch.setattr(compiled, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        backend.fit(NETWORK, Rule(), weights, x, target, plan)
    same_bits(backend.to_host(weights), start, "after an interrupt")
    monkeypatch.undo()
    backend.to_host(step(backend, NETWORK, Rule(), weights, x, target))


def test_the_inherited_fit_leaves_its_weights_whole(backend):
    x, target = samples(NETWORK, 4)
    start = initialise(NETWORK, 0)
    weights = backend.from_host(start)
    Backend.fit(backend, NETWORK, Rule(), weights, x, target, schedule(NETWORK, 4, 1))
    same_bits(backend.to_host(weights), start, "after fit")


def test_update_learns_in_the_memory_of_the_weights(backend):
    x, target = samples(NETWORK, 4)
    weights = step(backend, NETWORK, Rule(), backend.from_host(initialise(NETWORK, 0)), x, target)
    before = weights[0]["hidden.weight"]  # that of the host may have been NumPy's memory
    where = before.unsafe_buffer_pointer()
    learned = step(backend, NETWORK, Rule(), weights, x, target)
    assert learned is weights
    assert before.is_deleted()
    assert weights[0]["hidden.weight"].unsafe_buffer_pointer() == where


@KINDS
def test_a_trace_takes_the_memory_of_one_that_was_learnt_from_and_of_no_other(backend, network, rule):
    def places(trace):
        return [part.unsafe_buffer_pointer() for part in jax.tree.leaves(trace.hidden)]

    x, target = samples(network, 4)
    weights = backend.from_host(initialise(network, 0))
    (outputs, first), (_, second) = (backend.trace(network, weights, x) for _ in range(2))
    where = [places(trace) for trace in (first, second)]
    assert len({place for places in where for place in places}) == (4 if network.rms else 2)
    backend.update(network, rule, weights, first, target - np.asarray(outputs))
    third = backend.trace(network, weights, x)[1]
    assert places(third) == where[0]
    assert first.hidden.y.is_deleted()
    assert not second.hidden.y.is_deleted()
    other_batch = backend.trace(network, weights, x[:3])[1]
    assert other_batch.hidden.y.shape[2] == 3


def test_a_trace_with_slopes_takes_no_room_without_and_the_other_way_round(backend):
    x, _ = samples(NETWORK, 4)
    for rms in (True, False, True):
        network = replace(NETWORK, rms=rms)
        weights = backend.from_host(initialise(network, 0))
        outputs, trace = backend.trace(network, weights, x)
        assert (trace.hidden.slope is not None) == rms
        backend.update(network, Rule(), weights, trace, 1 - np.asarray(outputs))


def test_an_update_that_is_refused_leaves_the_weights_whole(backend):
    x, _ = samples(NETWORK, 4)
    start = initialise(NETWORK, 0)
    weights = backend.from_host(start)
    _, trace = backend.trace(NETWORK, weights, x)
    with pytest.raises((TypeError, ValueError)):
        backend.update(NETWORK, Rule(), weights, trace, np.ones((3, 5), np.float32))
    same_bits(backend.to_host(weights), start, "after an update that was refused")


def test_an_interrupt_in_update_waits_for_its_weights(backend, monkeypatch):
    x, target = samples(NETWORK, 4)
    start = initialise(NETWORK, 0)
    expected = backend.to_host(step(backend, NETWORK, Rule(), backend.from_host(start), x, target))
    real = compiled.update

    def interrupted(*arguments):
        learned = real(*arguments)
        signal.raise_signal(signal.SIGINT)
        return learned

    monkeypatch.setattr(compiled, "update", interrupted)
    weights = backend.from_host(start)
    with pytest.raises(KeyboardInterrupt):
        step(backend, NETWORK, Rule(), weights, x, target)
    same_bits(backend.to_host(weights), expected, "after an interrupted update")
    backend.synchronize()


@pytest.mark.parametrize("name", PROGRAMS)
def test_products_are_in_full_precision(backend, monkeypatch, name):
    real, precisions = getattr(compiled, name), []

    def watched(*arguments):
        precisions.append(jax.config.jax_default_matmul_precision)
        return real(*arguments)

    monkeypatch.setattr(compiled, name, watched)
    x, target = samples(NETWORK, 4)
    weights = backend.from_host(initialise(NETWORK, 0))
    with jax.default_matmul_precision("bfloat16"):
        backend.forward(NETWORK, weights, x)
        weights, _ = backend.fit(NETWORK, Rule(), weights, x, target, schedule(NETWORK, 4, 1))
        step(backend, NETWORK, Rule(), weights, x, target)
    assert set(precisions) == {"highest"}


def test_jax_arrays_are_taken_and_returned(backend):
    x, target = samples(NETWORK, 6)
    plan, start = schedule(NETWORK, 6, 2), initialise(NETWORK, 0)

    def run(x, target):
        weights, _ = backend.fit(NETWORK, Rule(), backend.from_host(start), x, target, plan)
        outputs, trace = backend.trace(NETWORK, weights, x)
        error = target - (outputs if isinstance(target, jax.Array) else np.asarray(outputs))
        weights = backend.update(NETWORK, Rule(), weights, trace, error)
        last = backend.forward(NETWORK, weights, x)
        assert isinstance(outputs, jax.Array)
        assert isinstance(last, jax.Array)
        return {"outputs": np.asarray(last), **backend.to_host(weights)}

    given_x, given_target = jnp.asarray(x), jnp.asarray(target)
    same_bits(run(given_x, given_target), run(x, target), "for JAX's arrays")
    assert not given_x.is_deleted()
    assert not given_target.is_deleted()


def test_a_trace_outlives_the_arrays_it_was_made_of(backend):
    x, target = samples(NETWORK, 4)
    start = initialise(NETWORK, 0)
    expected = backend.to_host(step(backend, NETWORK, Rule(), backend.from_host(start), x, target))
    given, weights = jnp.asarray(x), backend.from_host(start)
    outputs, trace = backend.trace(NETWORK, weights, given)
    error = target - np.asarray(outputs)
    given.delete()
    outputs.delete()
    learned = backend.update(NETWORK, Rule(), weights, trace, error)
    same_bits(backend.to_host(learned), expected, "where x and the outputs were deleted")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_saturated_cells_are_0_or_1(backend, dtype):
    network = replace(NETWORK, dtype=dtype)
    weights = {key: value * 1e6 for key, value in initialise(network, 0).items()}
    for scaled in (weights, {key: -value for key, value in weights.items()}):
        outputs = np.asarray(backend.forward(network, backend.from_host(scaled), samples(network, 4)[0]))
        assert np.isin(outputs, [0, 1]).all()


def in_a_process(code, **environment):
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], env={**os.environ, **environment}, check=False)
    return done.returncode == 0


def test_the_entry_loads_no_jax():
    assert in_a_process("import sys, edcore_jax; sys.exit('jax' in sys.modules)")


def test_all_is_on_the_device_that_was_asked_for():
    code = """
import numpy as np
from edcore import Network, Rule
from edcore.contract.steps import Schedule
from edcore.core.weights import initialise
from edcore_jax import BACKEND
import jax, jax.numpy as jnp

backend, network = BACKEND.load("cpu:1"), Network(2, 3, 70)
device, weights = jax.devices()[1], backend.from_host(initialise(network, 0))
x, target = jnp.ones((5, 2), "float32"), jnp.ones((5, 1), "float32")
assert x.devices() != {device}
plan = Schedule(orders=np.arange(5)[None], batch_size=2, tolerance=0.1, learning=np.ones(1, bool))
learned, _ = backend.fit(network, Rule(), weights, x, target, plan)
outputs, trace = backend.trace(network, learned, x)
made = [weights[0], learned[0], outputs, trace, backend.update(network, Rule(), learned, trace, target)[0]]
learned = backend.copy(learned)
made += [backend.forward(network, learned, x), learned[0]]
arrays = [array for array in jax.tree.leaves(made) if not array.is_deleted()]
assert all(array.devices() == {device} for array in arrays)
"""
    assert in_a_process(code, XLA_FLAGS="--xla_force_host_platform_device_count=2")
