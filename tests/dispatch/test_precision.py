"""`ED(precision=…)`: which backend gets it, each sentence that says why one does not, and that no file keeps it."""

import copy
import dataclasses
import logging
import pickle
import sys

import numpy as np
import pytest

import cupy_over_numpy
import edcore
from edcore import ED, Network, Rule, use_backend
from edcore.adapters.array_api import NUMPY, ArrayAPIBackend
from edcore.adapters.tf32x3 import TF32x3Backend
from edcore.arrays import numpy_namespace
from edcore.contract.backend import Availability
from edcore.errors import BackendUnavailableError, InputError
from edcore.parallel import fit_heads
from edcore_cupy.arrays import ArrayOperations

X = np.array([[0.0, 1.0], [1.0, 1.0]], np.float32)
LACKS = "it has no precision 'tf32x3'; these have it on cuda in float32: cupy, precise, torch"


class Precise(ArrayAPIBackend):
    precision = "tf32x3"


@pytest.fixture(autouse=True)
def asked(fresh_registry):
    """What a stand-in that has another precision was loaded with; auto prefers another one, that lacks it."""
    asked = []

    def load(device, *precision):
        asked.append(precision)
        return (Precise if precision else ArrayAPIBackend)(numpy_namespace(), "cpu", info)

    info = dataclasses.replace(NUMPY, name="precise", priority=900, load=load, precisions=("tf32x3",))
    for name in fresh_registry.installed():
        fresh_registry.register(dataclasses.replace(fresh_registry.installed()[name], priority=0))
    fresh_registry.register(info)
    fresh_registry.register(dataclasses.replace(NUMPY, name="vendor", priority=1000))
    return asked


def test_it_is_full_unless_asked_for(asked):
    for ed in (ED(2, backend="precise"), ED(2, backend="precise", precision="full")):
        ed(X)
        assert "precision" not in repr(ed)
    assert asked == [(), ()]


def test_a_backend_is_loaded_for_it(asked):
    ed = ED(2, 4, 1, backend="precise", precision="tf32x3")
    ed(X)
    assert asked == [("tf32x3",)]
    assert "precision='tf32x3'" in repr(ed)
    ED.from_network(ed.network, ed.rule, backend="precise", precision="tf32x3")(X)
    with use_backend("precise"):
        ED(2, precision="tf32x3")(X)
    assert asked == [("tf32x3",)] * 3


@pytest.mark.parametrize("name", ["numpy", "loop", "vendor"])
def test_a_backend_without_it_is_refused_with_those_that_have_it(name):
    with pytest.raises(BackendUnavailableError, match=f"backend='{name}' cannot run here: {LACKS}. Nothing else was"):
        ED(2, backend=name, precision="tf32x3")
    with use_backend(name), pytest.raises(BackendUnavailableError, match=rf"use_backend\('{name}'\) .*: {LACKS}"):
        ED(2, precision="tf32x3")


def test_auto_passes_over_those_that_lack_it_and_says_why(caplog):
    ed = ED(2, precision="tf32x3")
    with caplog.at_level(logging.INFO, "edcore"):
        ed(X)
    assert ed.backend == "precise"
    assert caplog.messages == [
        "auto: vendor passed over: it has no precision 'tf32x3'",
        "auto: precise on cpu",
    ]
    edcore.dispatch.registry.installed().pop("precise")
    with pytest.raises(BackendUnavailableError, match="no backend can run .* vendor: it has no precision 'tf32x3'; "):
        ED(2, precision="tf32x3")(X)


def test_auto_refuses_arrays_of_a_library_that_lacks_it():
    strict = pytest.importorskip("array_api_strict")
    ed = ED(2, precision="tf32x3")
    with pytest.raises(BackendUnavailableError, match=f"follows x to array_api_strict, cannot run here: {LACKS}"):
        ed(strict.asarray(X))
    edcore.dispatch.registry.installed().pop("array_api_strict")  # then x has no backend of its own
    with pytest.raises(BackendUnavailableError, match=f"follows x to array_api_strict, cannot run here: {LACKS}"):
        ed(strict.asarray(X))


@pytest.mark.parametrize("wrong", ["tf32", "TF32x3", None, 3, ["tf32x3"]])
def test_an_unknown_precision_is_refused(wrong):
    with pytest.raises(InputError, match="precision: given .*; accepted: 'full', 'tf32x3'"):
        ED(2, precision=wrong)


def test_a_given_backend_has_its_own():
    precise, plain = ED(2, backend="precise", precision="tf32x3").bind(), ED(2, backend="precise").bind()
    assert "precision='tf32x3'" in repr(ED(2, backend=precise))
    with pytest.raises(InputError, match="precision: given 'tf32x3'; accepted: 'full', that of the given backend"):
        ED(2, backend=plain, precision="tf32x3")


def test_it_cannot_be_set():
    with pytest.raises(AttributeError, match=r"from_network\(.*precision=…\)"):
        ED(2).precision = "tf32x3"


def test_copies_have_it_and_files_do_not(asked, tmp_path):
    ed = ED(2, 4, 1, seed=1, backend="precise", precision="tf32x3")
    ed.fit(X, [0.0, 1.0])
    for other in (copy.copy(ed), pickle.loads(pickle.dumps(ed))):
        asked.clear()
        assert (other.predict(X) == ed.predict(X)).all()
        assert asked == [("tf32x3",)]
    asked.clear()
    edcore.io.save(ed, tmp_path / "a.safetensors")
    again = edcore.io.load(tmp_path / "a.safetensors", backend="precise")
    assert (again.predict(X) == ed.predict(X)).all()
    assert asked == [()]
    edcore.io.load(tmp_path / "a.safetensors", backend="numpy").predict(X)


def test_heads_are_trained_with_it(asked):
    ed = ED(2, 4, 1, heads=2, seed=1, backend="precise", precision="tf32x3")
    other = fit_heads(ed, X, np.eye(2), epochs=1, n_jobs=1, heads_per_task=1)
    assert set(asked) == {("tf32x3",)}
    assert "precision='tf32x3'" in repr(other)


@pytest.mark.parametrize(
    ("capability", "device", "fields", "reason"),
    [
        (80, "cuda:0", {}, True),
        (90, "cuda:0", {"dtype": "float64"}, "it has the precision 'tf32x3' in float32 alone, and not in float64"),
        (0, "cpu", {}, "it has the precision 'tf32x3' on cuda alone, and not on 'cpu'"),
        (75, "cuda:1", {}, "'tf32x3' on GPUs of compute capability 8.0 or later, and 'cuda:1' has 7.5"),
        (90, "cuda:0", {"activation": "softplus"}, "it has no activation 'softplus'"),
    ],
)
def test_a_backend_says_where_it_has_it(capability, device, fields, reason):
    backend = TF32x3Backend(numpy_namespace(), "cpu", NUMPY, ArrayOperations(np, 64))
    backend.capability, backend.device = capability, device
    network = Network(2, 3)
    for name, value in fields.items():
        object.__setattr__(network, name, value)
    answer = backend.supports(network, Rule())
    assert answer is True if reason is True else reason in answer


def test_pytorch_has_it_on_cuda_alone(fresh_registry):
    pytest.importorskip("torch")
    info = fresh_registry.installed()["torch"]
    for device in (None, "cpu"):
        with pytest.raises(BackendUnavailableError, match=r"backend='torch' .* on cuda alone, and not on 'cpu'\. Noth"):
            ED(2, backend="torch", device=device, precision="tf32x3")
    there = Precise(numpy_namespace(), "cpu", NUMPY)
    there.device = "cuda:0"
    probe = lambda device: Availability(True)  # noqa: E731
    load = lambda device, precision: there if device == "cuda" else info.load(device, precision)  # noqa: E731
    fresh_registry.register(dataclasses.replace(info, probe=probe, load=load))
    ed = ED(2, backend="torch", precision="tf32x3")
    assert (ed.backend, ed.device) == ("torch", "cuda:0")


def test_cupy_without_its_cublas_is_refused_with_the_cause(monkeypatch, fresh_registry):
    cupy_over_numpy.make(monkeypatch)
    for name in ("cuda", "cuda.pathfinder"):
        monkeypatch.setitem(sys.modules, name, None)
    info = dataclasses.replace(fresh_registry.installed()["cupy"], probe=lambda device: Availability(True))
    fresh_registry.register(info)
    with pytest.raises(BackendUnavailableError, match="backend='cupy' cannot run here: it failed to load .*cuda"):
        ED(2, backend="cupy", precision="tf32x3")
