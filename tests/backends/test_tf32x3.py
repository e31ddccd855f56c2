"""`precision="tf32x3"` of CuPy and PyTorch without a GPU, over stand-ins that read TF32 as tensor cores do."""

import contextlib
import importlib
import sys
import threading

import array_api_compat.numpy as xp
import numpy as np
import pytest

import cupy_over_numpy
from cupy_over_numpy import HANDLE, TF32, CuBLAS, Graph, Stream, address
from edcore import Network, Rule
from edcore.adapters import tf32x3
from edcore.adapters.array_api import NUMPY
from edcore.adapters.operations import Form, StreamOrder
from edcore.adapters.tf32x3 import TF32x3Backend, terms
from edcore.arrays import namespace_of
from edcore.testing import iter_checks
from edcore.testing.strategies import drawn_case
from edcore.testing.tolerance import C
from edcore_cupy import BACKEND as CUPY
from edcore_cupy import cublas
from tensor_cores import product_of_tf32, read

CHECKS, QUICK = dict(iter_checks()), dict(iter_checks(quick=True))
FAULTS = {
    "one product": lambda a, b: ((a.high, b.high),),
    "without low · high": lambda a, b: terms(a, b)[1:],
    "without high · low": lambda a, b: terms(a, b)[::2],
    "without high · high": lambda a, b: terms(a, b)[:2],
    "low · high in the place of high · low": lambda a, b: ((a.low, b.high), (a.low, b.high), (a.high, b.high)),
    "added twice": lambda a, b: (*terms(a, b), terms(a, b)[0]),
}
NARROW, WIDE = "check_update_signed", "check_sizes_beyond_one_tile"


def on_hopper(backend):
    backend.capability = 90
    return backend


def over_cupy(monkeypatch, library):
    cupy_over_numpy.make(monkeypatch)
    from edcore_cupy.tf32x3 import TF32x3Operations

    current = lambda: (HANDLE, Stream.current.ptr)  # noqa: E731
    product = cublas.Product(library, current, address, lambda: cublas.Workspace(None, 4096, 64))
    order = StreamOrder(lambda: Stream.current, lambda stream, before: stream.wait_event(before.record()))
    operations = TF32x3Operations(256, product, order)
    return on_hopper(TF32x3Backend(cupy_over_numpy.namespace(xp), "cpu", NUMPY, operations))


def products_of(torch):
    return torch.ops.aten.addmm.out, torch.ops.aten.baddbmm.out, torch.ops.aten.baddbmm_.default


def over_torch(monkeypatch, called=None):
    """Return a backend whose products go to tensor cores where PyTorch says so; `called` gets all that it does."""
    torch = pytest.importorskip("torch")
    from torch.utils._python_dispatch import TorchDispatchMode

    from edcore_torch import BACKEND
    from edcore_torch.tf32x3 import TF32x3Operations

    switch = torch.backends.cuda.matmul

    class TensorCores(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, arguments=(), options=None):
            options = options or {}
            if called is not None:
                called.append((function, switch.fp32_precision))
            if function not in products_of(torch) or switch.fp32_precision != "tf32":
                return function(*arguments, **options)
            added, a, b = arguments
            product = torch.from_numpy(product_of_tf32(a.numpy(), b.numpy()))
            return options.get("out", added).copy_(options.get("beta", 1) * added + options.get("alpha", 1) * product)

    class Operations(TF32x3Operations):
        def computing(self):
            return TensorCores()

    cpu = torch.device("cpu")
    return on_hopper(TF32x3Backend(namespace_of(torch), cpu, BACKEND, Operations(cpu)))


def module_of(backend):
    return f"edcore_{'torch' if backend.library == 'torch' else 'cupy'}.tf32x3"


@pytest.fixture(autouse=True)
def all_devices_are_gpus(monkeypatch):
    monkeypatch.setattr(tf32x3, "device_type", lambda device: "cuda")


@pytest.fixture
def library():
    return CuBLAS()


@pytest.fixture(params=["cupy", "torch"])
def backend(request, monkeypatch, library):
    return over_cupy(monkeypatch, library) if request.param == "cupy" else over_torch(monkeypatch)


@pytest.fixture
def case():
    network = Network(in_=3, width=4, depth=5, heads=2, u0=1.0)
    return drawn_case(network, Rule("split"), batch=6, scale=0.3, seed=5)


@pytest.mark.slow
@pytest.mark.parametrize("name", CHECKS)
def test_three_products_keep_the_bounds_of_float32(backend, name):
    CHECKS[name](backend)


@pytest.mark.parametrize("name", QUICK)
def test_they_keep_them_in_fewer_examples(backend, name):
    QUICK[name](backend)


@pytest.mark.parametrize("check", [NARROW, WIDE])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_product_less_or_a_wrong_one_does_not(monkeypatch, backend, fault, check):
    monkeypatch.setattr(f"{module_of(backend)}.terms", FAULTS[fault])
    with pytest.raises(AssertionError, match="but the oracle has"):
        QUICK[check](backend)


def test_parts_are_numbers_of_tf32_and_leave_little_out(backend):
    bits = np.random.default_rng(0).integers(0, 2**32, 20_000, np.uint32)
    special = np.array([0, -0.0, 1, 1 / 3, 1e-45, 1.17549435e-38, 1e30, -3.4e38, 2049, 2047.5], np.float32)
    numbers = np.concatenate([special, bits.view(np.float32)])
    # Above this a high part would be infinite.
    numbers = numbers[np.abs(numbers) < np.float32(3.402e38)]
    operations = backend._ops.with_memory(numbers.size, 0)
    array = backend.on_device(numbers)
    parts = importlib.import_module(module_of(backend))._split(array, operations._left)
    high, low = (np.asarray(part) for part in parts)
    for part in (high, low):
        assert (read(part).view(np.uint32) == part.view(np.uint32)).all()
    rest = numbers.astype(np.float64) - high.astype(np.float64) - low.astype(np.float64)
    smallest = 2.0**-137  # half of the last digit that TF32 has below its exponents
    assert (np.abs(rest) <= np.maximum(2.0**-23 * np.abs(numbers), smallest)).all()
    assert (np.abs(low) <= np.maximum(2.0**-11 * np.abs(numbers), 2 * smallest)).all()


def test_memory_is_not_asked_for_while_layers_are_recorded(monkeypatch, library, case):
    backend = over_cupy(monkeypatch, library)
    weights, silent = backend.from_host(case.weights), 0 * case.error
    expected = np.asarray(backend.forward(case.network, weights, case.x)).copy()
    cupy, asked = sys.modules["cupy"], []
    empty = cupy.empty

    def counted(*arguments, **options):
        asked.append(Stream.current.recording)
        return empty(*arguments, **options)

    monkeypatch.setattr(cupy, "empty", counted)
    for _ in range(4):
        outputs, trace = backend.trace(case.network, weights, case.x)
        assert (outputs == expected).all()
        assert (backend.forward(case.network, weights, case.x) == expected).all()
        backend.update(case.network, case.rule, weights, trace, silent)
    assert Graph.launched == 7
    assert asked
    assert not any(asked)
    assert backend.forward(case.network, weights, case.x[:2]).shape == (2, 2)
    assert (backend.forward(case.network, weights, case.x) == expected).all(), "another size has used this one's memory"


@pytest.mark.parametrize("device", [None, "cuda:1"])
def test_cupy_is_loaded_with_it_for_all_but_narrow_networks(monkeypatch, library, device):
    cupy_over_numpy.make(monkeypatch)
    monkeypatch.setattr(cupy_over_numpy.Device, "compute_capability", "80", raising=False)
    current = lambda: (HANDLE, Stream.current.ptr)  # noqa: E731
    workspace = cublas.Workspace(None, 4096, 64)
    monkeypatch.setattr(cublas, "load", lambda cupy: cublas.Product(library, current, address, lambda: workspace))
    precise, plain = CUPY.load(device, "tf32x3"), CUPY.load(device)
    assert isinstance(precise, type(plain)), "narrow networks lose their kernels"
    assert (precise.precision, precise.capability) == ("tf32x3", 80)
    assert precise.supports(Network(3), Rule()) is True
    assert "float64" in precise.supports(Network(3, dtype="float64"), Rule())
    assert plain.supports(Network(3, dtype="float64"), Rule()) is True
    wide = drawn_case(Network(in_=3, width=130, depth=2, u0=1.0), Rule("split"), batch=6, scale=0.05, seed=5)
    weights = [backend.from_host(wide.weights) for backend in (precise, plain)]
    for backend, own, mode in zip((precise, plain) * 2, weights * 2, (TF32, 0) * 2, strict=True):
        library.modes.clear()
        backend.forward(wide.network, own, wide.x)  # on one device they share the product, and not its mode
        assert library.modes.keys() == {mode}


@pytest.mark.parametrize("rms", [False, True])
def test_cublas_reads_tf32_in_products_of_layers_and_updates_alone(monkeypatch, library, rms):
    network = Network(3, 4, 5, rms=rms)
    case = drawn_case(network, Rule(), batch=6, scale=0.3, seed=5)
    backend = over_cupy(monkeypatch, library)
    weights = backend.from_host(case.weights)
    library.mode = 16  # one that the user has set
    _, trace = backend.trace(network, weights, case.x)
    layers = network.depth + 2
    squares = {16: layers - 1} if rms else {}
    assert library.modes == {TF32: 3 * layers, **squares}
    library.modes.clear()
    backend.update(network, case.rule, weights, trace, case.error)
    assert library.modes.keys() == {TF32}
    assert library.mode == 16
    monkeypatch.setattr(library, "cublasSgemmStridedBatched", lambda *arguments: 13)
    with pytest.raises(RuntimeError, match="cublasSgemmStridedBatched failed with status 13"):
        backend.forward(network, weights, case.x[:1])
    assert library.mode == 16


@pytest.mark.parametrize("heads", [1, 2])
@pytest.mark.parametrize("rms", [False, True])
def test_pytorch_reads_tf32_in_products_alone_and_writes_into_given_memory(monkeypatch, heads, rms):
    torch = pytest.importorskip("torch")
    network = Network(3, 4, 5, heads, rms=rms, n_bias=2)
    case, called = drawn_case(network, Rule(), batch=6, scale=0.3, seed=5), []
    backend, switch = over_torch(monkeypatch, called), torch.backends.cuda.matmul
    monkeypatch.setattr(type(backend._ops), "scales_biases", lambda self, heads: heads == 1)
    weights = backend.from_host(case.weights)
    before = switch.fp32_precision
    try:
        for users, ours in (("none", "none"), ("tf32", "ieee"), ("ieee", "ieee")):
            switch.fp32_precision = users
            backend.forward(network, weights, case.x)
            called.clear()
            backend.forward(network, weights, case.x)
            products = [seen for one, seen in called if one in products_of(torch)]
            made = {str(one) for one, _ in called if not one._schema.is_mutable and not one.is_view}
            assert len(products) == 3 * (network.depth + 2)
            assert made <= {"aten.clone.default", "aten._to_copy.default", "aten.lift_fresh.default"}, (
                "of x and outputs"
            )
            _, trace = backend.trace(network, weights, case.x)
            backend.update(network, case.rule, weights, trace, 0 * case.error)
            assert {seen for one, seen in called if one in products_of(torch)} == {"tf32"}
            assert {seen for one, seen in called if not one.is_view and one not in products_of(torch)} == {ours}
            assert switch.fp32_precision == users
    finally:
        switch.fp32_precision = before


def test_calls_at_full_precision_go_side_by_side_and_one_with_tf32_alone(monkeypatch):
    pytest.importorskip("torch")
    from edcore_torch import operations

    calls, happened = operations._Calls(), []
    waits, inside, leave = threading.Event(), threading.Event(), threading.Event()
    monkeypatch.setattr(operations.time, "sleep", lambda seconds: waits.set())

    def lowered():
        with calls.lowered():
            happened.append("lowered")
            inside.set()
            leave.wait()
            happened.append("lowered no more")

    def full():
        with calls.full():
            happened.append("full")

    with calls.full(), calls.full():
        first = threading.Thread(target=lowered)
        first.start()
        waits.wait()
        happened.append("all full ones are over")
    inside.wait()
    second = threading.Thread(target=full)
    second.start()
    leave.set()
    for thread in (first, second):
        thread.join()
    assert happened == ["all full ones are over", "lowered", "lowered no more", "full"]
    with contextlib.suppress(KeyboardInterrupt), calls.lowered():
        raise KeyboardInterrupt
    full()
    assert not calls._full


def test_the_call_of_each_precision_is_of_its_kind(monkeypatch):
    torch = pytest.importorskip("torch")
    from edcore_torch import operations
    from edcore_torch.tf32x3 import TF32x3Operations

    entered = []

    class Calls:
        @contextlib.contextmanager
        def full(self):
            entered.append("full")
            yield

        @contextlib.contextmanager
        def lowered(self):
            entered.append("lowered")
            yield

    monkeypatch.setattr(operations, "calls", Calls())
    monkeypatch.setattr("edcore_torch.tf32x3.calls", operations.calls)
    monkeypatch.setattr(operations, "_shared", {})
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: "a stream")
    for kind in (operations.TorchOperations, TF32x3Operations):
        made = kind(torch.device("cpu"))
        made._device = torch.device("cuda:0")
        with made.computing():
            pass
    assert entered == ["full", "lowered"]


@pytest.mark.parametrize("lowest", [0, -1])
@pytest.mark.parametrize("terms", [1, 64, 2048, 16384])
def test_sums_of_many_terms_keep_the_bound_of_float32(backend, terms, lowest):
    random = np.random.default_rng(0)
    x, weight = (random.uniform(lowest, 1, shape).astype(np.float32) for shape in ((8, terms), (terms, 4)))
    y, bias = backend.on_device(np.empty((8, 4), np.float32)), backend.on_device(np.zeros((1, 4), np.float32))
    operations = backend._ops.with_memory(x.size, weight.size)
    with backend._computing():
        operations.layer(backend.on_device(x), backend.on_device(weight), bias, Form("linear", 1.0, 1.0), y)
    exact = x @ weight.astype(np.float64)
    bound = C * np.finfo(np.float32).eps * np.sqrt(terms) * (abs(x) @ abs(weight).astype(np.float64))
    assert (abs(np.asarray(y) - exact) <= bound).all()
    if lowest == 0:
        assert (abs(product_of_tf32(x, weight) - exact) > bound).any(), "one product of TF32 would do"
