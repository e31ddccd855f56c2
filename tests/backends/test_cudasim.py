"""What must hold under Numba's CUDA simulator. Runs in a process of its own, with NUMBA_ENABLE_CUDASIM=1."""

import os
import sys
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest

import edcore
from edcore import Network, Rule
from edcore.contract.steps import Schedule
from edcore.testing import parametrize_with_backend_checks
from edcore.testing.compare import all_close, close
from edcore.testing.strategies import drawn_case
from edcore.testing.tolerance import Bounds
from edcore_loop.loops import LoopBackend

SIMULATED = os.environ.get("NUMBA_ENABLE_CUDASIM") == "1"

pytestmark = [
    pytest.mark.cudasim,
    pytest.mark.skipif(not SIMULATED, reason="NUMBA_ENABLE_CUDASIM is not 1"),
]


def simulator():
    pytest.importorskip("numba")
    from edcore_numba.gpu.backend import NumbaCUDA

    return NumbaCUDA("cudasim")


@pytest.fixture
def backend():
    return simulator()


@pytest.fixture(autouse=True)
def _threads_take_short_turns():
    """At each barrier one thread of the simulator's polls, and the others wait for its turn to end."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(5e-4)
    yield
    sys.setswitchinterval(before)


@pytest.fixture
def small_tiles(monkeypatch):
    """Cut the update's weights so small that few cells are many tiles: a simulated thread takes long."""
    from edcore_numba.gpu import backend as gpu
    from edcore_numba.gpu.tiles import UpdateTile

    monkeypatch.setattr(gpu, "update_tile", lambda cells: UpdateTile(2, 2, 2, 2, 4))


@parametrize_with_backend_checks([simulator()] if SIMULATED else [], quick=True)
def test_conformance(backend, check):
    check(backend)


def test_the_simulator_looks_like_a_gpu_and_auto_stays_away_from_it(fresh_registry):
    cuda = pytest.importorskip("numba.cuda")
    assert cuda.is_available()  # which is why no probe may trust it
    ed = edcore.ED(2, seed=0)
    ed([[0, 1]])
    assert ed.device == "cpu"


def test_the_simulator_is_there_by_name(fresh_registry):
    ed = edcore.ED(2, 2, seed=0, backend="numba", device="cudasim")
    expected = edcore.ED(2, 2, seed=0, backend="loop")
    x = np.asarray([[0, 1], [1, 1]], np.float32)
    np.testing.assert_allclose(ed(x), expected(x), rtol=1e-6)
    assert (ed.backend, ed.device) == ("numba", "cudasim")


def test_what_a_device_lacks_is_said():
    pytest.importorskip("numba")
    from edcore_numba.gpu.probe import unavailable

    assert unavailable(None) == unavailable("cudasim") == ""
    assert unavailable("cuda") == unavailable("cuda:1") != ""
    assert "NUMBA_ENABLE_CUDASIM=1" in unavailable("cuda")
    assert unavailable("cudasim:1") == "Numba sees 1 CUDA device here, so there is no 'cudasim:1'"
    assert unavailable("cpu") == "Numba has no CUDA device 'cpu'"
    assert "invalid literal" in unavailable("cudasim:first")


def test_a_layer_too_wide_for_a_block_is_refused_with_the_reason(backend):
    assert backend.supports(Network(in_=1, width=512), Rule()) is True
    reason = backend.supports(Network(in_=1, width=513), Rule())
    assert reason == "a block of threads holds layers of width 512 at most, not 513"


@pytest.mark.parametrize(
    ("sizes", "batch", "rule"),
    [
        ({"in_": 3, "width": 1, "depth": 2, "heads": 3, "n_bias": 2}, 18, Rule("split", reduction="sum")),
        # More than a chunk of features, fewer weights than a block holds, two chunks in each float64 layer.
        ({"in_": 41, "width": 17, "depth": 2, "n_bias": 2}, 5, Rule("signed")),
        # Four tiles of the update in each hidden layer, of which three have few cells; a part of the batch left over.
        ({"in_": 2, "width": 33, "depth": 1}, 34, Rule("split")),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sizes_that_fit_no_tile(backend, dtype, sizes, batch, rule):
    case = drawn_case(Network(**sizes, u0=1.0, dtype=dtype), rule, batch, 1 / sizes["width"], seed=1)
    exact, oracle = case.in_float64, LoopBackend()
    expected, activities = oracle.trace(exact.network, exact.weights, exact.x)
    own = backend.from_host(case.weights)
    outputs, trace = backend.trace(case.network, own, case.x)
    tolerance = 200 * np.finfo(dtype).eps
    np.testing.assert_allclose(outputs, expected, rtol=tolerance)
    assert (backend.forward(case.network, own, case.x) == outputs).all()
    learned = backend.to_host(backend.update(case.network, rule, own, trace, case.error))
    for key, value in oracle.update(exact.network, rule, exact.weights, activities, exact.error).items():
        np.testing.assert_allclose(learned[key], value, atol=tolerance, err_msg=key)


VARIANTS = [
    # Outputs of two tiles, and more of them than a block of the forward pass has threads.
    (
        {"width": 5, "heads": 2, "n_bias": 2, "bias": 0.8, "outputs": 5, "activation": "relu", "rms": True},
        {"centred": True, "floor": 0.05},
    ),
    # No cell beyond a tile of the forward pass, and no − output cells.
    (
        {"width": 8, "heads": 2, "outputs": 3, "activation": "tanh", "output_activation": "linear", "rms": True}
        | {"inhibitory_output": False},
        {"reduction": "sum"},
    ),
    ({"width": 5, "activation": "relu6", "rms": True, "inhibitory_output": False, "bias": 0}, {"error": "split"}),
    ({"width": 9, "activation": "linear", "output_activation": "relu6", "rms": True}, {"error": "split", "floor": 0.1}),
    ({"width": 3, "activation": "relu6", "output_activation": "tanh", "n_bias": 2}, {"error": "split"}),
    ({"width": 3, "activation": "linear", "output_activation": "relu", "outputs": 2}, {}),
]


@pytest.mark.parametrize(("fields", "rule_fields"), VARIANTS)
@pytest.mark.usefixtures("small_tiles")
def test_variants_that_fit_no_tile(backend, fields, rule_fields):
    for dtype in ("float32", "float64"):
        network, rule = Network(in_=3, depth=2, dtype=dtype, **fields), Rule(**rule_fields)
        case = drawn_case(network, rule, batch=6, scale=0.5, seed=2)
        exact, oracle = case.in_float64, LoopBackend()
        expected, activities = oracle.trace(exact.network, exact.weights, exact.x)
        bounds = Bounds(network, exact.weights)
        own = backend.from_host(case.weights)
        outputs, trace = backend.trace(network, own, case.x)
        close(outputs, expected, bounds.outputs(activities), "outputs")
        assert (backend.forward(network, own, case.x[1:]) == outputs[1:]).all()
        learned = backend.to_host(backend.update(network, rule, own, trace, case.error))
        updated = oracle.update(exact.network, rule, exact.weights, activities, exact.error)
        all_close(learned, updated, bounds.updated(rule, activities, exact.error), "after an update")


@pytest.mark.usefixtures("small_tiles")
def test_a_thread_of_the_update_reads_the_weights_alone_that_it_writes(backend, monkeypatch):
    from numba.cuda.simulator.cudadrv.devicearray import FakeWithinKernelCUDAArray as Seen

    read, written = [], {}
    plain_read, plain_write = Seen.__getitem__, Seen.__setitem__
    case = drawn_case(Network(in_=3, width=3, depth=1, n_bias=2), Rule(), batch=4, scale=1.0, seed=0)
    size = sum(value.size for value in case.weights.values())
    own = backend.from_host(case.weights)
    _, trace = backend.trace(case.network, own, case.x)

    def reading(array, place):
        if array.size == size:
            read.append((int(place), threading.current_thread()))
        return plain_read(array, place)

    def writing(array, place, value):
        if array.size == size:
            assert written.setdefault(int(place), threading.current_thread()) is threading.current_thread()
        plain_write(array, place, value)

    monkeypatch.setattr(Seen, "__getitem__", reading)
    monkeypatch.setattr(Seen, "__setitem__", writing)
    backend.update(case.network, case.rule, own, trace, case.error)
    assert len(read) == len(written) == size
    assert all(written[place] is thread for place, thread in read)


def test_an_error_of_zero_leaves_a_negative_zero(backend):
    case = drawn_case(Network(in_=2, width=2), Rule("signed"), batch=3, scale=1.0, seed=0)
    weights = {key: np.negative(np.zeros_like(value)) for key, value in case.weights.items()}
    own = backend.from_host(weights)
    _, trace = backend.trace(case.network, own, case.x)
    learned = backend.to_host(backend.update(case.network, case.rule, own, trace, 0 * case.error))
    assert all(np.signbit(value).all() for value in learned.values())


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({}, Rule("signed")),
        ({}, Rule("split")),
        ({"activation": "tanh", "output_activation": "tanh", "rms": True}, Rule(centred=True, floor=0.1)),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_a_nan_stays_one_and_stays_in_its_head(backend, fields, rule):
    case = drawn_case(Network(in_=2, width=2, heads=2, **fields), rule, batch=3, scale=1.0, seed=0)
    case.weights["input.weight"][1] = np.nan
    own = backend.from_host(case.weights)
    outputs, trace = backend.trace(case.network, own, case.x)
    assert np.isnan(outputs).tolist() == [[False, True]] * 3
    learned = backend.to_host(backend.update(case.network, rule, own, trace, case.error))
    for value in learned.values():
        assert not np.isnan(value[0]).any()
        assert np.isnan(value[1]).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_cells_saturate_within_the_numbers_that_are_quick_to_divide(backend, dtype):
    network = Network(in_=1, width=2, u0=1e-3, dtype=dtype)
    weights = {key: np.full(shape, 1e6, dtype) for key, shape in network.weight_shapes.items()}
    x = np.asarray([[1.0], [-1.0]], dtype)
    weights["input.bias"][...] = weights["hidden.bias"][...] = weights["output.bias"][...] = -1e6
    (highest,), (lowest,) = backend.forward(network, backend.from_host(weights), x)
    assert highest == 1
    assert np.finfo(dtype).tiny < lowest < np.finfo(dtype).eps ** 2


def test_fit_stops_head_by_head_and_keeps_what_it_was_given(backend):
    rule = Rule("split")
    case = drawn_case(Network(in_=2, width=2, heads=3, u0=4.0), rule, batch=5, scale=1.0, seed=3)
    target = (case.x[:, :1] > 0.5).astype(np.float32) * np.asarray([1, 0, 1], np.float32)
    orders = np.broadcast_to(np.asarray([3, 1, 4, 0, 2]), (4, 5))
    learning = np.asarray([True, True, False])
    schedule = Schedule(orders=orders, batch_size=2, tolerance=2.85, learning=learning)
    given = backend.from_host(case.weights)
    learned, stopped = backend.fit(case.network, rule, given, case.x, target, schedule)
    oracle = LoopBackend()
    expected, expected_stopped = oracle.fit(case.network, rule, case.weights, case.x, target, schedule)
    assert stopped.tolist() == expected_stopped.tolist()
    assert stopped[1] > stopped[0] == 1
    assert learning.tolist() == [True, True, False]
    for key, value in backend.to_host(learned).items():
        np.testing.assert_allclose(value, expected[key], atol=1e-5)
        assert (value[2] == case.weights[key][2]).all()
        assert (backend.to_host(given)[key] == case.weights[key]).all()


@pytest.mark.usefixtures("small_tiles")
def test_fit_of_several_outputs_stops_head_by_head(backend):
    network = Network(in_=2, width=3, depth=0, heads=3, u0=4.0, outputs=2, dtype="float64")
    rule = Rule("signed", alpha=0.1, alpha_output=0.1, centred=True, floor=1e-4)
    case = drawn_case(network, rule, batch=5, scale=0.3, seed=3)
    learning = np.asarray([True, True, False])
    orders = np.stack([np.roll(np.arange(5), epoch) for epoch in range(3)])
    target = np.abs(case.error).round()
    oracle, given = LoopBackend(), backend.from_host(case.weights)
    sums = abs(target - oracle.forward(network, case.weights, case.x)).sum(axis=0).reshape(3, 2).sum(axis=1)
    assert sums[0] != sums[1]
    schedule = Schedule(orders=orders, batch_size=3, tolerance=sums[:2].mean(), learning=learning)
    expected, expected_stopped = oracle.fit(network, rule, case.weights, case.x, target, schedule)
    learned, stopped = backend.fit(network, rule, given, case.x, target, schedule)
    assert stopped.tolist() == expected_stopped.tolist()
    assert sorted(stopped) == [0, 0, 1]
    for key, value in backend.to_host(learned).items():
        np.testing.assert_allclose(value, expected[key], atol=1e-12)
        assert (value[2] == case.weights[key][2]).all()


class OnDevice:
    """Stands for another library's array on the device; NumPy can have no look at it."""

    __array__ = None

    def __init__(self, array, stream=None):
        self.array = array
        interface = {"version": 3, "shape": array.shape, "strides": array.strides, "typestr": array.dtype.str}
        self.__cuda_array_interface__ = {**interface, "data": (array.ctypes.data, False), "stream": stream}

    @property
    def shape(self):
        return self.array.shape


def test_arrays_on_the_device_are_taken_where_they_are_and_wait_for_nobody(backend, monkeypatch):
    from edcore_numba.gpu import device as gpu_arrays

    waited, streams = [], []

    def as_cuda_array(array, sync=True):
        waited.append(sync)
        return gpu_arrays.cuda.simulator.cudadrv.devicearray.FakeCUDAArray(array.array)

    def external_stream(handle):
        streams.append(handle)
        return gpu_arrays.cuda.stream()

    monkeypatch.setattr(gpu_arrays.cuda, "as_cuda_array", as_cuda_array, raising=False)
    monkeypatch.setattr(gpu_arrays.cuda, "external_stream", external_stream, raising=False)
    case = drawn_case(Network(in_=3, width=2, depth=1), Rule("signed"), batch=4, scale=1.0, seed=0)
    own = backend.from_host(case.weights)
    expected, trace = backend.trace(case.network, own, case.x)
    wide = np.repeat(case.x, 2, axis=1)
    outputs = backend.forward(case.network, own, OnDevice(wide[:, ::2], stream=7))
    assert (outputs == expected).all()
    assert (waited, streams) == ([False], [7])
    learned = backend.to_host(backend.update(case.network, case.rule, own, trace, OnDevice(case.error, stream=1)))
    again = backend.from_host(case.weights)
    _, trace = backend.trace(case.network, again, case.x)
    for key, value in backend.to_host(backend.update(case.network, case.rule, again, trace, case.error)).items():
        assert (learned[key] == value).all()
    assert (waited, streams) == ([False, False], [7])


def test_threads_of_a_block_get_one_shared_array(backend, monkeypatch):
    from numba.cuda.simulator import kernelapi

    def slow_empty(shape, dtype):
        time.sleep(0.05)  # time enough for the other thread to look for it as well
        return np.zeros(shape, dtype)

    monkeypatch.setattr(kernelapi, "np", SimpleNamespace(empty=slow_empty, byte=np.byte, zeros=np.zeros))
    shared, found = kernelapi.FakeCUDAShared(0), []
    threads = [threading.Thread(target=lambda: found.append(shared.array(2, np.float32))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found[0] is found[1]
    assert found[0] is found[2]
