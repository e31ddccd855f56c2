"""The program that `test_distributed` starts as each of several processes.

    python ranks.py RANK SIZE FILE SCENARIO [BACKEND]

FILE is where the processes find each other. A scenario ends with exit code 0, or with a traceback.
"""

import dataclasses
import sys
from datetime import timedelta
from functools import partial

import numpy as np
import pytest
import torch.distributed as dist

from edcore import ED, Network, Rule, use_backend
from edcore.contract.backend import Backend
from edcore.contract.stages import join_weights
from edcore.core.randomness import permutation
from edcore.dispatch import registry
from edcore.distributed import DataParallel, Pipeline
from edcore.errors import BackendUnavailableError, DivergedError, InputError
from edcore.testing import iter_checks

CHECKS = (
    *("check_forward", "check_update_signed", "check_update_split", "check_deep_stack", "check_presets"),
    *("check_variants", "check_widths", "check_floor", "check_zero_error_leaves_every_bit"),
)
LANGUAGE = "check_one_hot", "check_softmax"
"""For numba, whose kernels of categories take a minute to compile, `a_language_model` compares one network."""


def everyones(value):
    """Return the values of all ranks, by rank."""
    values = [None] * dist.get_world_size()
    dist.all_gather_object(values, value)
    return values


class InPipeline(Backend):
    """A backend whose networks are pipelines of all processes, or of as many as it has layers."""

    def __init__(self, backend):
        self.inner, self.info, self.device = backend, backend.info, backend.device
        self.rank, size = dist.get_rank(), dist.get_world_size()
        self.groups = {count: dist.new_group(list(range(count))) for count in range(1, size + 1)}

    def supports(self, network, rule):
        return self.inner.supports(network, rule)

    def from_host(self, weights):
        return {key: value.copy() for key, value in weights.items()}

    to_host = from_host

    def forward(self, network, weights, x):
        pipeline = self._begun(network, weights)
        outputs = pipeline.predict(x) if pipeline else None
        return everyones(outputs)[0].reshape(len(x), network.columns)

    def trace(self, network, weights, x):
        pipeline, outputs = self._begun(network, weights), None
        if pipeline:
            pipeline._worker.begin(len(x))
            outputs = pipeline._run_stage(x, len(x), pipeline._worker.forward)
            outputs = outputs if pipeline.stage.last else None
        return next(found for found in everyones(outputs) if found is not None), pipeline

    def update(self, network, rule, weights, trace, error):
        if trace:
            trace._worker.update(rule, error)
        return join_weights([part for part in everyones(trace.weights if trace else None) if part is not None])

    def _begun(self, network, weights):
        count = min(len(self.groups), network.depth + 2)
        if self.rank >= count:
            return None
        return Pipeline(network, Rule(), seed=0, weights=weights, backend=self.inner, parts=3, group=self.groups[count])


class InParallel(Backend):
    """A backend that splits each batch over all processes."""

    def __init__(self, backend):
        self.inner, self.info, self.device = backend, backend.info, backend.device

    def supports(self, network, rule):
        return self.inner.supports(network, rule)

    def from_host(self, weights):
        return {key: value.copy() for key, value in weights.items()}

    to_host = from_host

    def forward(self, network, weights, x):
        return np.array(self.inner.forward(network, self.inner.from_host(weights), x))

    def trace(self, network, weights, x):
        return self.forward(network, weights, x), x

    def update(self, network, rule, weights, trace, error):
        batch = dataclasses.replace(rule, order="batch")  # of one sample, where it is online
        shared = DataParallel(network, batch, seed=0, weights=weights, backend=self.inner)
        own = slice(len(error) * shared.rank // shared.size, len(error) * (shared.rank + 1) // shared.size)
        traced = None
        if len(error[own]):
            _, traced = self.inner.trace(network, shared._weights, trace[own])
        shared._update(traced, error[own])
        return shared.weights


def conform(kind, name):
    """The conformance suite; all ranks compute each example together."""
    backend = kind(registry.installed()[name].load("cpu"))
    checks = dict(iter_checks(quick=True))
    for check in CHECKS + LANGUAGE * (name == "numpy"):
        checks[check](backend)


def the_articles_depth(name):
    """A run at depth 4096 ends with the weights of one process, bit for bit."""
    network = Network(in_=8, width=4, depth=4096)
    x, target = samples(network, 24)
    pipeline = Pipeline(network, Rule(), seed=1, backend=name)
    rank0 = pipeline.rank == 0
    pipeline.fit(x if rank0 else None, target, epochs=2, batch_size=10)
    error = pipeline.step(x if rank0 else None, target)
    outputs = pipeline.predict(x if rank0 else None, len(x))
    ed = pipeline.to_ed()
    assert (ed is None) != rank0
    if ed is None:
        return
    alone = ED(8, 4, 4096, seed=1, backend=name).fit(x, target, epochs=2, batch_size=10)
    assert np.array_equal(target - alone(x), error)
    alone.update(error)
    assert all(np.array_equal(value, alone.weights[key]) for key, value in ed.weights.items())
    assert np.array_equal(outputs, alone.predict(x))
    assert ed.epochs.tolist() == [2]


def a_language_model(name):
    """Categories in the first stage and softmax in the last end with the bits of one process, whatever the parts."""
    cells = {"activation": "tanh", "output_activation": "softmax", "u0": 6.0}
    network = Network(in_=40, width=12, depth=4, one_hot=10, outputs=10, **cells)
    rule = Rule(alpha=3.0, centred=True, floor=1e-4)
    random = np.random.default_rng(1)
    x = random.integers(0, 10, (150, 4)).astype(np.float32)
    target = np.eye(10, dtype=np.float32)[random.integers(0, 10, 150)]
    alone = ED.from_network(network, rule, seed=1, backend=name)
    before = alone.weights
    alone.fit(x, target, epochs=2, batch_size=140)
    for parts in (None, 3):
        pipeline = Pipeline(network, rule, seed=1, backend=name, parts=parts)
        pipeline.fit(x if pipeline.stage.first else None, target, epochs=2, batch_size=140)
        outputs = pipeline.predict(x if pipeline.stage.first else None, len(x))
        assert np.array_equal(outputs, alone.predict(x))
        ed = pipeline.to_ed()
        if ed is not None:
            assert all(np.array_equal(value, alone.weights[key]) for key, value in ed.weights.items())
            assert all((value != before[key]).any() for key, value in ed.weights.items())


def runs(name):
    """Runs of both kinds, with several heads, an online rule, and weights that go on from another run."""
    network = Network(in_=5, width=6, depth=3, heads=2, dtype="float64")
    x, target = samples(network, 11)
    for rule in (Rule(), Rule("split", order="online"), Rule(centred=True, floor=1e-3)):
        alone = ED.from_network(network, rule, seed=4, backend=name)
        alone.fit(x, target, epochs=3, batch_size=4)
        for kind in (Pipeline, DataParallel):
            if rule.order == "online" and kind is DataParallel:
                continue
            shared = kind(network, rule, seed=4, backend=name)
            shared.fit(x, target, epochs=1, batch_size=4).fit(x, target, epochs=2, batch_size=4)
            same(alone, shared.to_ed())
            assert shared.epochs == 3
            begun = kind(network, rule, seed=4, backend=name).fit(x, target, epochs=1, batch_size=4)
            on = kind(network, rule, seed=4, weights=begun.weights, epochs=begun.epochs, backend=name)
            same(alone, on.fit(x, target, epochs=2, batch_size=4).to_ed())
            again = kind(network, rule, seed=4, weights=shared.weights, epochs=3, backend=name)
            again.step(x[:1], target[:1])
            more = again.to_ed()
            if more is not None:
                one = ED.from_network(network, rule, seed=4, weights=alone.weights, epochs=3, backend=name)
                one.step(x[:1], target[:1]) if kind is Pipeline else one.step(
                    *[np.repeat(part[:1], again.size, 0) for part in (x, target)]
                )
                same(one, more)
    assert np.array_equal(shared.predict(x), DataParallel(network, rule, seed=4, weights=shared.weights).predict(x))


def same(alone, shared):
    if shared is not None:
        assert alone.epochs.tolist() == shared.epochs.tolist()
        # Parts of a batch, and sums of several ranks, are rounded in another order.
        bounds = {"float64": (1e-9, 1e-11), "float32": (1e-4, 1e-6)}
        rtol, atol = bounds[shared.network.dtype]
        for key, value in shared.weights.items():
            np.testing.assert_allclose(value, alone.weights[key], rtol=rtol, atol=atol)


def refusals(name):
    """Values that differ between ranks are refused at each rank."""
    rank, size = dist.get_rank(), dist.get_world_size()
    network = Network(in_=5, width=3, depth=size)
    x, target = samples(network, 4)
    other = dataclasses.replace(network, width=3 + rank)
    for given, sentence in (
        (lambda: Pipeline(other, Rule(), seed=1), "network: given Network(.*) at rank 1; accepted: .* as at rank 0"),
        (lambda: Pipeline(network, Rule(), seed=rank), "seed: given 1 at rank 1; accepted: 0 as at rank 0"),
        (lambda: Pipeline(network, Rule(), seed=1, parts=1 + rank), "parts: given 2 at rank 1"),
        (
            lambda: Pipeline(dataclasses.replace(network, depth=0), Rule(), seed=1),
            "stages: given 3; accepted: at most 2",
        ),
        (
            lambda: DataParallel(network, Rule(order="online"), seed=1),
            "order='online'.*accepted: a rule of order 'batch'",
        ),
        (lambda: Pipeline(network, "signed", seed=1), r"rule: given 'signed'; accepted: an edcore.Rule"),
        (lambda: Pipeline(network, Rule(), seed=1).fit(x, target / (1 + rank)), "a checksum of target"),
        (lambda: Pipeline(network, Rule(), seed=1).fit(x, target, epochs=1 + rank), "epochs: given 2 at rank 1"),
        (lambda: Pipeline(network, Rule(), seed=1).fit(x, target, shuffle="no"), "shuffle: given 'no'"),
        (lambda: Pipeline(network, Rule(order="online"), seed=1).step(x, target), "target: given 4 samples"),
        (lambda: Pipeline(network, Rule(), seed=1).step(x, target[:0]), "target: given an empty batch"),
        (lambda: Pipeline(network, Rule(), seed=1).step(x, target + 2), "target: given values from 2"),
        (lambda: Pipeline(network, Rule(), seed=1).predict(None), "samples: given None beside x=None"),
        (lambda: Pipeline(network, Rule(), seed=1, epochs=rank), "epochs: given 1 at rank 1"),
        (lambda: Pipeline(network, Rule(), seed=1, epochs=-1), "epochs: given -1"),
        (
            lambda: Pipeline(network, Rule(), seed=1).step(x[: 2 + rank], target[: 2 + rank]),
            "number of samples: given 3 at rank 1; accepted: 2 as at rank 0",
        ),
        (
            lambda: Pipeline(network, Rule(), seed=1).predict(x[: 3 + (rank > 0)]),
            "number of samples: given 4 at rank 1",
        ),
        (lambda: DataParallel(network, Rule(), seed=1).fit(x + rank, target), "a checksum of x: given .* at rank 1"),
        (
            lambda: DataParallel(network, Rule(), seed=1, weights=ED.from_network(network, Rule(), seed=rank).weights),
            "a checksum of weights: given .* at rank 1",
        ),
    ):
        refused(InputError, given, sentence)
    own = Pipeline(network, Rule(), seed=1).weights
    for spoilt, rule, sentence in (
        (lambda value: value + np.float32(np.nan), Rule(), r"weights\['.*'\]: given \d+ NaN or infinite values"),
        (lambda value: value.astype(float), Rule(), r"weights\['.*'\]: given dtype float64; accepted: dtype float32"),
        (np.copy, Rule(floor=10.0), r"weights\['.*weight'\]: given \d+ values that are below the rule's floor"),
    ):
        weights = {key: spoilt(value) for key, value in own.items()}
        refused(InputError, partial(Pipeline, network, rule, seed=1, weights=weights), sentence)
    with use_backend("numpy"):
        assert Pipeline(network, Rule(), seed=1).backend == "numpy"
    refused(
        BackendUnavailableError,
        lambda: Pipeline(network, Rule(), seed=1, backend="loop"),
        "'loop' on 'cpu' has no stages",
    )
    seeds = everyones(Pipeline(network, Rule()).seed)
    assert len(set(seeds)) == 1


def divergence(name):
    """Learning that diverges stops at each rank, in the same step and layer as in one process."""
    stopped = 0
    for options, alpha, order in (
        ({"activation": "linear", "depth": 6}, 30.0, "batch"),
        ({"activation": "relu", "output_activation": "linear", "heads": 2}, 3e3, "batch"),
        ({"activation": "linear", "output_activation": "linear"}, 1e18, "online"),
    ):
        network = Network(**({"in_": 5, "width": 3, "depth": 4} | options))
        x, target = samples(network, 40)
        rule = Rule(alpha=alpha, alpha_output=alpha, order=order)
        for kind in (Pipeline, DataParallel):
            if order == "online" and kind is DataParallel:
                continue
            shared = kind(network, rule, seed=2, backend=name)
            alone = ED.from_network(network, rule, seed=2, backend=name)
            with pytest.raises(DivergedError) as here:
                shared.fit(x, target, epochs=200, batch_size=4)
            first = alone.weights
            with pytest.raises(DivergedError) as there:
                alone.fit(x, target, epochs=200, batch_size=4)
            stopped += here.value.epoch * 100 + here.value.batch > 101
            what = ("epoch", "batch", "part", "layer", "heads")
            steps = [[getattr(error, name) for name in what] for error in (here.value, there.value)]
            assert steps[0] == steps[1] or kind is DataParallel, steps  # its sums differ in the last digit
            assert "weights from before that step" in str(here.value)
            assert all(np.isfinite(value).all() for value in shared.weights.values())
            ed = shared.to_ed()
            if ed is None:
                continue
            assert ed.epochs.tolist() == [here.value.epoch - 1] * network.heads
            if kind is Pipeline:
                epochs = here.value.epoch - 1
                one = ED.from_network(network, rule, seed=2, weights=first, epochs=epochs, backend=name)
                for epoch in range(1, here.value.epoch + 1):
                    order_of = permutation(2, epoch - 1, len(x))
                    size = 1 if order == "online" else 4
                    for number in range(1, len(x) // size + 1):
                        if (epoch, number) < (here.value.epoch, here.value.batch):
                            rows = order_of[(number - 1) * size : number * size]
                            one.step(x[rows], target[rows])
                same(one, ed)
    assert stopped, "none of them has learnt before it diverged"


def saturation(name):
    """Outputs that are right hide no infinite weights, and nothing of that step is kept."""
    network = Network(in_=5, width=3, depth=4, bias=1e18)
    x, target = np.ones((8000, 5), np.float32), np.ones(8000, np.float32)
    rule = Rule(alpha=0.0, alpha_output=1e18, reduction="sum")
    zeros = {key: np.zeros(shape, np.float32) for key, shape in network.weight_shapes.items()}
    for kind in (Pipeline, DataParallel):
        shared = kind(network, rule, seed=2, weights=zeros, backend=name)
        for learn in (partial(shared.fit, batch_size=len(x)), shared.step):
            with pytest.raises(DivergedError, match="learning has diverged.*: the weights of the output layer are NaN"):
                learn(x, target)
            assert not any(value.any() for value in shared.weights.values())
        assert not shared.step(x, target / 2).any()


def refused(kind, given, sentence):
    with pytest.raises(kind, match=sentence):
        given()


def samples(network, count):
    random = np.random.default_rng(7)
    x = random.random((count, network.in_)).astype(network.dtype)
    target = random.integers(0, 2, (count, network.columns)).astype(network.dtype)
    return x, target[:, 0] if network.columns == 1 else target


SCENARIOS = {
    "pipeline": lambda name: conform(InPipeline, name),
    "parallel": lambda name: conform(InParallel, name),
    "depth": the_articles_depth,
    "language": a_language_model,
    "runs": runs,
    "refusals": refusals,
    "divergence": divergence,
    "saturation": saturation,
}


def main(rank, size, file, *scenarios):
    dist.init_process_group(
        "gloo", init_method=f"file://{file}", rank=int(rank), world_size=int(size), timeout=timedelta(seconds=100)
    )
    for scenario in scenarios:
        name, _, backend = scenario.partition(":")
        SCENARIOS[name](backend)
        if int(rank) == 0:
            print(scenario, "holds", flush=True)
    dist.destroy_process_group()


if __name__ == "__main__":
    main(*sys.argv[1:])
