"""A network in stages, all in this process: the conformance suite goes through it as through any backend."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from edcore import ED, Initial, Network
from edcore.adapters.array_api import NUMPY
from edcore.arrays import to_numpy
from edcore.contract.backend import Backend
from edcore.contract.stages import Stage, Staged, divide, initialise_stage, join_weights
from edcore.core.weights import initialise
from edcore.dispatch import registry
from edcore.errors import InputError
from edcore.testing import iter_checks

STAGED = ("numpy", "numba", "array_api_strict", "torch", "jax")
DEEP = Network(in_=5, width=3, depth=6, heads=2, n_bias=2)


class InStages(Backend):
    """A backend whose networks are divided, and whose batches come in parts."""

    def __init__(self, backend, stages, rows):
        self.inner, self.stages, self.rows = backend, stages, rows
        self.info = dataclasses.replace(backend.info, namespaces=())
        self.device = backend.device

    def supports(self, network, rule):
        return self.inner.supports(network, rule)

    def from_host(self, weights):
        return {key: value.copy() for key, value in weights.items()}

    to_host = from_host

    def _workers(self, network, weights):
        parts = divide(network, min(self.stages, network.depth + 2))
        return [self.inner.stage(part, part.of(weights)) for part in parts]

    def forward(self, network, weights, x):
        for worker in self._workers(network, weights):
            x = worker.predict(x)
        return to_numpy(x)

    def trace(self, network, weights, x):
        workers = self._workers(network, weights)
        for worker in workers:
            worker.begin(len(x))
        outputs = []
        for start in range(0, len(x), self.rows):
            rows = slice(start, min(start + self.rows, len(x)))
            passing = np.array(x[rows])
            for worker in workers:
                passing = worker.forward(rows, passing)
            outputs.append(to_numpy(passing))
        return np.concatenate(outputs), workers

    def update(self, network, rule, weights, trace, error):
        for worker in trace:
            worker.update(rule, error)
        return join_weights([worker.to_host() for worker in trace])


def backend_of(name):
    info = registry.installed()[name]
    if not info.probe("cpu").ok:
        pytest.skip(f"{name}: {info.probe('cpu').reason}")
    return info.load("cpu")


CHECKS = (
    *("check_forward", "check_update_signed", "check_update_split", "check_deep_stack", "check_sizes_beyond_one_tile"),
    *("check_presets", "check_variants", "check_floor", "check_empty_batch", "check_zero_error_leaves_every_bit"),
    "check_softmax",
)


@pytest.mark.parametrize("stages", [3, 99])
@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("name", ["numpy", "numba", "torch"])
def test_a_network_in_stages_conforms(name, check, stages):
    dict(iter_checks(quick=True))[check](InStages(backend_of(name), stages, rows=2))


@pytest.mark.parametrize("name", STAGED)
def test_backends_have_stages(name):
    assert isinstance(backend_of(name), Staged)


def test_the_loop_has_none():
    assert not isinstance(registry.installed()["loop"].load(None), Staged)


@pytest.mark.parametrize("stages", [1, 2, 3, 8])
def test_numba_gives_the_bits_of_the_whole(stages):
    pytest.importorskip("numba")
    backend = registry.installed()["numba"].load("cpu")
    weights = initialise(DEEP, 1)
    x, error = np.random.default_rng(0).random((2, 12, 5), np.float32)
    rule = ED(5, seed=1).rule
    whole, divided = [], []
    for one, found in ((backend, whole), (InStages(backend, stages, 5), divided)):
        own = one.from_host(weights)
        outputs, trace = one.trace(DEEP, own, x)
        found += [outputs.copy(), one.forward(DEEP, own, x)]
        own = one.update(DEEP, rule, own, trace, error[:, :2])
        found += one.to_host(own).values()
    assert all(np.array_equal(*pair) for pair in zip(whole, divided, strict=True))


@pytest.mark.parametrize(
    "network", [DEEP, dataclasses.replace(DEEP, depth=0), Network(40, 2, 5, initial=Initial(fan_in=0.5))]
)
@pytest.mark.parametrize("stages", [1, 2, 3, 7])
def test_stages_are_the_network(network, stages):
    if stages > network.depth + 2:
        with pytest.raises(InputError, match=r"stages: given \d; accepted: at most 2, the layers of the network"):
            divide(network, stages)
        return
    parts, weights = divide(network, stages), initialise(network, 3, 0.01)
    assert [part.start for part in parts] == [0, *(part.stop for part in parts[:-1])]
    assert parts[0].first
    assert parts[-1].last
    assert sum(part.parameters for part in parts) == network.parameters
    drawn = [initialise_stage(part, 3, 0.01) for part in parts]
    for part, own in zip(parts, drawn, strict=True):
        assert {key: value.shape for key, value in own.items()} == part.weight_shapes
        assert all(np.array_equal(own[key], value) for key, value in part.of(weights).items())
    whole = join_weights(drawn)
    assert {key: value.shape for key, value in whole.items()} == network.weight_shapes
    assert all(np.array_equal(whole[key], weights[key]) for key in weights)


def test_stages_have_the_same_share_of_the_work():
    sizes = [part.parameters for part in divide(Network(in_=784, width=32, depth=4096), 4)]
    assert max(sizes) < 1.01 * min(sizes)


@pytest.mark.parametrize(("start", "stop"), [(-1, 2), (2, 2), (3, 2), (0, 9)])
def test_layers_that_are_not_there(start, stop):
    with pytest.raises(InputError, match=f"layers {start} to {stop}; accepted: some of the network's 8 layers"):
        Stage(DEEP, start, stop)


def test_a_batch_forgets_the_one_before():
    backend = NUMPY.load(None)
    worker = backend.stage(Stage(DEEP, 0, 8), initialise(DEEP, 1))
    x = np.ones((2, 5), np.float32)
    worker.begin(2)
    worker.forward(slice(0, 2), x)
    worker.begin(2)
    outputs = worker.forward(slice(0, 2), x)
    worker.update(ED(5, seed=1).rule, 1 - outputs)
    own = backend.from_host(initialise(DEEP, 1))
    outputs, trace = backend.trace(DEEP, own, x)
    expected = backend.to_host(backend.update(DEEP, ED(5, seed=1).rule, own, trace, 1 - outputs))
    assert all(np.array_equal(value, expected[key]) for key, value in worker.to_host().items())
