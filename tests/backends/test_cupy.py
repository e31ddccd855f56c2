"""The CuPy backend without a GPU: its array code over NumPy, and over stand-ins for CuPy and cuBLAS."""

import ctypes
import dataclasses
import gc
import importlib
import logging
import sys
import weakref
from types import SimpleNamespace

import array_api_compat.numpy as xp
import numpy as np
import pytest

import cupy_over_numpy
from cupy_over_numpy import HANDLE, CuBLAS, Graph, Stream, address
from edcore import Network, Rule
from edcore.adapters.array_api import NUMPY
from edcore.adapters.in_place import InPlaceBackend
from edcore.adapters.operations import StreamOrder
from edcore.core.activations import ACTIVATIONS
from edcore.testing import iter_checks, parametrize_with_backend_checks
from edcore.testing.strategies import drawn_case
from edcore_cupy import BACKEND, cublas
from edcore_cupy.arrays import ArrayOperations

SLAB = 64
"""Few enough numbers that a small stack learns in several slabs."""

WORKSPACE = cublas.Workspace(None, 4096, 64)


def product(library=None, workspace=WORKSPACE, **options):
    """Return the product over a stand-in, ready for the current stream."""
    library = CuBLAS() if library is None else library
    made = cublas.Product(library, lambda: (HANDLE, Stream.current.ptr), address, lambda: workspace, **options)
    made.prepare()
    return made


def order():
    return StreamOrder(lambda: Stream.current, lambda stream, before: stream.wait_event(before.record()))


def backend_over(library, workspace=WORKSPACE):
    from edcore_cupy.recorded import RecordedOperations

    operations = RecordedOperations(SLAB, product(library, workspace), order())
    return InPlaceBackend(cupy_over_numpy.namespace(xp), "cpu", NUMPY, operations)


@pytest.fixture
def library():
    return CuBLAS()


@pytest.fixture
def recorded(monkeypatch, library):
    """A backend whose kernels, product and graphs are the GPU's, over stand-ins."""
    cupy_over_numpy.make(monkeypatch)
    yield backend_over(library)
    monkeypatch.undo()
    sys.modules.pop("edcore_cupy.recorded", None)


@pytest.fixture
def case():
    network = Network(in_=3, width=4, depth=5, heads=2, u0=1.0)
    return drawn_case(network, Rule("split"), batch=6, scale=0.3, seed=5)


@pytest.fixture
def wide():
    """What the kernels of narrow networks leave to the batched products."""
    return drawn_case(Network(in_=3, width=130, depth=5, u0=1.0), Rule("split"), batch=6, scale=0.05, seed=5)


@parametrize_with_backend_checks([InPlaceBackend(xp, "cpu", NUMPY, ArrayOperations(np, SLAB))])
def test_array_code_over_numpy(backend, check):
    check(backend)


@pytest.mark.parametrize("check", [pytest.param(check, id=name) for name, check in iter_checks()])
def test_kernels_product_and_graphs_over_stand_ins(recorded, check):
    check(recorded)


def test_the_layers_are_recorded_at_the_second_batch_and_played_from_then_on(recorded, case):
    weights = recorded.from_host(case.weights)
    for launched in (0, 1, 2, 3):
        outputs, trace = recorded.trace(case.network, weights, case.x)
        assert Graph.launched == launched
        weights = recorded.update(case.network, case.rule, weights, trace, case.error)
    outputs, trace = recorded.trace(case.network, weights, case.x[:4])
    assert Graph.launched == 3, "a batch of another size was played in the memory of the first"
    plain = InPlaceBackend(xp, "cpu", NUMPY, ArrayOperations(np, SLAB))
    expected = plain.forward(case.network, plain.from_host(recorded.to_host(weights)), case.x[:4])
    np.testing.assert_allclose(outputs, expected, atol=1e-6)


@pytest.mark.parametrize("rms", [False, True])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_variant_is_recorded(recorded, caplog, activation, rms):
    network = Network(3, 4, 2, 2, outputs=3, activation=activation, output_activation="tanh", rms=rms, bias=0.8)
    case = drawn_case(network, Rule(centred=True, floor=0.01), batch=6, scale=0.3, seed=5)
    other = dataclasses.replace(case, x=1 - case.x)
    weights = recorded.from_host(case.weights)
    with caplog.at_level(logging.INFO, "edcore"):
        for _ in range(2):
            recorded.update(network, case.rule, weights, recorded.trace(network, weights, case.x)[1], 0 * case.error)
            recorded.forward(network, weights, case.x)
        launched = Graph.launched
        outputs = recorded.forward(network, weights, other.x)
        _, trace = recorded.trace(network, weights, other.x)
    assert (launched, Graph.launched) == (2, 4)
    assert not caplog.records
    plain = InPlaceBackend(xp, "cpu", NUMPY, ArrayOperations(np, SLAB))
    own = plain.from_host(case.weights)
    expected, expected_trace = plain.trace(network, own, other.x)
    np.testing.assert_allclose(outputs, expected, rtol=1e-5, atol=1e-6)
    learned = recorded.to_host(recorded.update(network, case.rule, weights, trace, case.error))
    for key, value in plain.to_host(plain.update(network, case.rule, own, expected_trace, case.error)).items():
        np.testing.assert_allclose(learned[key], value, rtol=1e-5, atol=1e-6)


def test_stream_and_workspace_are_set_once_a_pass_and_around_a_recording(recorded, library, case):
    layers = case.network.depth + 2
    weights = recorded.from_host(case.weights)
    for times, products in [(1, layers), (3, layers), (1, 0)]:
        library.called.clear()
        _, trace = recorded.trace(case.network, weights, case.x)
        assert library.called == {"stream": times, "workspace": times, **({"product": products} if products else {})}
        library.called.clear()
        recorded.update(case.network, case.rule, weights, trace, case.error)
        assert library.called["stream"] == library.called["workspace"] == 1
        assert library.called["product"] > 1


def test_a_graph_has_the_backends_workspace_while_it_is_there(monkeypatch, library, case):
    class Memory:
        pass

    cupy_over_numpy.make(monkeypatch)
    workspace = cublas.Workspace(Memory(), 8192, 128)
    kept = weakref.ref(workspace.memory)
    backend = backend_over(library, workspace)
    weights = backend.from_host(case.weights)
    for _ in range(2):
        backend.forward(case.network, weights, case.x)
    assert set(library.in_graphs) == {(8192, 128)}
    del backend, workspace
    gc.collect()
    assert kept() is not None
    del weights
    gc.collect()
    assert kept() is None


def test_a_library_that_has_no_workspace_to_set_is_used_without(recorded, case):
    class Older(CuBLAS):
        def __getattribute__(self, name):
            if name == "cublasSetWorkspace_v2":
                raise AttributeError(name)
            return super().__getattribute__(name)

    older = backend_over(Older())
    weights, expected = older.from_host(case.weights), recorded.from_host(case.weights)
    for _ in range(3):
        outputs = older.forward(case.network, weights, case.x)
        assert (outputs == recorded.forward(case.network, expected, case.x)).all()
    assert Graph.launched == 4


@pytest.mark.parametrize(("capability", "size"), [("75", 4), ("89", 4), ("90", 32), ("120", 32)])
def test_the_workspace_has_the_size_that_nvidia_advises(monkeypatch, library, capability, size):
    finder = SimpleNamespace(load_nvidia_dynamic_lib=lambda name: SimpleNamespace(abs_path=""))
    monkeypatch.setitem(sys.modules, "cuda", SimpleNamespace(pathfinder=finder))
    monkeypatch.setitem(sys.modules, "cuda.pathfinder", finder)
    monkeypatch.setattr(ctypes, "CDLL", lambda path: library)
    allocated = []
    cuda = SimpleNamespace(
        Device=lambda: SimpleNamespace(compute_capability=capability),
        device=SimpleNamespace(get_cublas_handle=lambda: HANDLE),
        get_current_stream=lambda: SimpleNamespace(ptr=7),
        alloc=lambda size: allocated.append(size) or SimpleNamespace(ptr=4096),
    )
    made = cublas.load(SimpleNamespace(cuda=cuda))
    for _ in range(2):
        made.prepare()
    assert allocated == [size * 2**20]
    assert library.workspace == (4096, size * 2**20)


def test_backends_on_one_device_share_the_workspace_and_follow_one_another(monkeypatch, wide):
    cupy_over_numpy.make(monkeypatch)
    made = []
    monkeypatch.setattr(cublas, "load", lambda cupy: made.append(product()) or made[-1])
    first, same, other = (BACKEND.load(device) for device in (None, "cuda:0", "cuda:1"))
    assert len(made) == 2
    before, stream = Stream.current, Stream(non_blocking=True)
    first.forward(wide.network, first.from_host(wide.weights), wide.x)
    with stream:
        other.forward(wide.network, other.from_host(wide.weights), wide.x)
        assert stream.waited_for == []
        same.forward(wide.network, same.from_host(wide.weights), wide.x)
    assert stream.waited_for == [before]


def test_inference_is_recorded_apart_from_training(recorded, case):
    weights = recorded.from_host(case.weights)
    results = [recorded.forward(case.network, weights, case.x) for _ in range(3)]
    assert Graph.launched == 2
    assert (results[0] == results[1]).all()
    assert (results[0] == results[2]).all()


def test_work_that_cannot_be_recorded_is_done_anew(recorded, case, monkeypatch, caplog):
    def refuse(self):
        raise RuntimeError("cudaErrorStreamCaptureUnsupported")

    monkeypatch.setattr(Stream, "end_capture", refuse)
    before = Stream.current
    weights = recorded.from_host(case.weights)
    with caplog.at_level(logging.INFO, "edcore"):
        results = [recorded.forward(case.network, weights, case.x) for _ in range(3)]
    assert "not recorded as a CUDA graph: RuntimeError('cudaErrorStreamCaptureUnsupported')" in caplog.text
    assert len(caplog.records) == 1
    assert Stream.current is before
    assert Graph.launched == 0
    assert (results[0] == results[2]).all()


def test_a_new_stream_waits_for_the_one_before(recorded, case):
    weights = recorded.from_host(case.weights)
    first, second = Stream.current, Stream(non_blocking=True)
    recorded.forward(case.network, weights, case.x)
    with second:
        recorded.forward(case.network, weights, case.x)
        recorded.forward(case.network, weights, case.x)
    assert second.waited_for == [first]
    recorded.forward(case.network, weights, case.x)
    assert first.waited_for == [second]


SHAPES = [
    ((3, 4), (4, 5)),
    ((1, 4), (4, 1)),
    ((2, 3, 4), (2, 4, 5)),
    ((3, 2, 3, 4), (3, 2, 4, 5)),
    ((2, 1, 1), (2, 1, 1)),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("a_shape", "b_shape"), SHAPES)
@pytest.mark.parametrize("turned", ["neither", "a", "b"])
@pytest.mark.parametrize("beta", [0, 1])
def test_product_by_cublas(monkeypatch, dtype, a_shape, b_shape, turned, beta):
    cupy_over_numpy.make(monkeypatch)
    random = np.random.default_rng(0)
    a, b = (random.random(shape).astype(dtype) for shape in (a_shape, b_shape))
    if turned == "a":
        a = np.ascontiguousarray(a.swapaxes(-1, -2)).swapaxes(-1, -2)
    if turned == "b":
        b = np.ascontiguousarray(b.swapaxes(-1, -2)).swapaxes(-1, -2)
    wide = np.full((*a_shape[:-1], b_shape[-1] + 2), np.nan, dtype)  # the result is a part of wider rows
    out = wide[..., : b_shape[-1]]
    out[...] = 2
    product()(a, b, beta, out)
    np.testing.assert_allclose(out, a @ b + 2 * beta, rtol=1e-6)
    assert np.isnan(wide[..., b_shape[-1] :]).all()


def test_product_by_cublas_of_one_matrix_for_all_heads(monkeypatch):
    cupy_over_numpy.make(monkeypatch)
    random = np.random.default_rng(0)
    x, w = random.random((1, 1, 4, 3)), random.random((1, 5, 3, 2))
    out = np.empty((1, 5, 4, 2))
    product()(np.broadcast_to(x, (1, 5, 4, 3)), w, 0, out)
    np.testing.assert_allclose(out, x @ w)


def test_product_by_cublas_of_more_matrices_than_a_grid_is_deep(monkeypatch):
    cupy_over_numpy.make(monkeypatch)
    random = np.random.default_rng(0)
    a, b = random.random((10, 2, 3)), random.random((10, 3, 2))
    out = np.empty((10, 2, 2))
    product(most=4)(a, b, 0, out)
    np.testing.assert_allclose(out, a @ b)


def test_product_by_cublas_refuses_what_it_cannot_see(monkeypatch):
    cupy_over_numpy.make(monkeypatch)
    a = np.zeros((4, 6, 8))
    with pytest.raises(ValueError, match=r"contiguous.*\(4, 3, 4\)"):
        product()(a[:, ::2, ::2], np.zeros((4, 4, 3)), 0, np.zeros((4, 3, 3)))
    with pytest.raises(ValueError, match=r"evenly.*\(4, 2\)"):
        product()(np.zeros((4, 4, 6, 8))[:, :2], np.zeros((4, 2, 8, 3)), 0, np.zeros((4, 2, 6, 3)))


def test_product_that_fails_is_an_error():
    library = SimpleNamespace(cublasSetStream_v2=lambda handle, stream: 1)
    failing = cublas.Product(library, lambda: (HANDLE, 0), address, lambda: WORKSPACE)
    with pytest.raises(RuntimeError, match="cublasSetStream_v2 failed with status 1"):
        failing.prepare()


def test_cublas_is_the_one_that_cupy_finds(monkeypatch):
    opened = []
    monkeypatch.setattr(ctypes, "CDLL", opened.append)
    finder = SimpleNamespace(load_nvidia_dynamic_lib=lambda name: SimpleNamespace(abs_path=f"/found/{name}.so"))
    monkeypatch.setitem(sys.modules, "cuda", SimpleNamespace(pathfinder=finder))
    monkeypatch.setitem(sys.modules, "cuda.pathfinder", finder)
    cublas.load(None)
    assert opened == ["/found/cublas.so"]


def test_cupy_has_what_the_backend_calls(monkeypatch):
    cupy = pytest.importorskip("cupy")
    monkeypatch.delitem(sys.modules, "edcore_cupy.recorded", raising=False)
    recorded = importlib.import_module("edcore_cupy.recorded")  # which makes its kernels
    assert [one.name for one in recorded.activate.params[:4]] == ["bias", "active", "slope", "y"]
    assert [one.name for one in recorded.add_bias.params[:3]] == ["bias", "active", "y"]
    for name in ("begin_capture", "end_capture", "record", "wait_event"):
        assert callable(getattr(cupy.cuda.Stream, name))
    assert callable(cupy.cuda.device.get_cublas_handle)
    assert callable(cupy.cuda.alloc)
    assert hasattr(cupy.cuda.Device, "compute_capability")
    assert callable(cupy.cuda.Graph.launch)
    assert callable(importlib.import_module("cuda.pathfinder").load_nvidia_dynamic_lib)


def test_without_cublas_the_array_code_runs(monkeypatch, wide, caplog):
    cupy = cupy_over_numpy.make(monkeypatch)
    for name in ("cuda", "cuda.pathfinder"):  # which may have been imported
        monkeypatch.setitem(sys.modules, name, None)
    multiplied = []
    cupy.matmul = lambda a, b, out: multiplied.append(np.matmul(a, b, out=out))

    def three_passes():
        backend = BACKEND.load("cuda:1")
        weights = backend.from_host(wide.weights)
        return [backend.forward(wide.network, weights, wide.x) for _ in range(3)]

    with caplog.at_level(logging.INFO, "edcore"):
        plain = three_passes()
    assert "cupy: no graph is recorded, as CuPy's cuBLAS was not found" in caplog.text
    assert len(multiplied) == 3 * (wide.network.depth + 2)
    assert Graph.launched == 0
    monkeypatch.setattr(cublas, "load", lambda cupy: product())
    recorded = three_passes()
    assert len(multiplied) == 3 * (wide.network.depth + 2)
    assert Graph.launched == 2
    np.testing.assert_allclose(recorded, plain, atol=1e-6)
