"""What must hold for Numba's CUDA kernels on a GPU, and on the emulator of one, tests/cuda_emulator."""

import numpy as np
import pytest

import edcore
from edcore import Network, Rule
from edcore.contract.steps import Schedule
from edcore.testing import parametrize_with_backend_checks
from edcore.testing.checks.oracle import compare_forward, compare_update, updated
from edcore.testing.strategies import drawn_case
from edcore_loop.loops import LoopBackend
from edcore_numba.gpu.probe import unavailable
from fitting import check_fit, check_fit_by_head, check_nan, check_negative_zero, learned

MISSING = unavailable("cuda")

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.emulated,
    pytest.mark.skipif(bool(MISSING), reason=f"{MISSING}. CUDA_EMULATOR=1 runs it without a GPU"),
]


def numba_cuda():
    from edcore_numba.gpu.backend import NumbaCUDA

    return NumbaCUDA("cuda")


@pytest.fixture
def backend():
    return numba_cuda()


NAMES, CHECKS = parametrize_with_backend_checks([] if MISSING else [numba_cuda()], quick=True).args
# These take minutes to compile for the emulator, where test_numba_gpu.py has the presets at another size.
MINUTES = "check_presets", "check_second_call"
SLOW = [one._replace(marks=[*one.marks, *([pytest.mark.slow] * one.id.endswith(MINUTES))]) for one in CHECKS]


@pytest.mark.parametrize(NAMES, SLOW)
def test_quick_conformance(backend, check):
    check(backend)


def test_a_model_of_one_head_learns_as_on_the_oracle():
    ed = edcore.ED(2, 2, seed=0, backend="numba", device="cuda")
    expected = edcore.ED(2, 2, seed=0, backend="loop")
    x = np.asarray([[0, 1], [1, 1]], np.float32)
    for _ in range(2):
        np.testing.assert_allclose(ed(x), expected(x), rtol=1e-6)
        for model in (ed, expected):
            model.update(np.asarray([0.5, -0.25], np.float32))
    assert ed.device == "cuda:0"


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
    outputs, weights = learned(backend, case, case.x, case.error)
    tolerance = 200 * np.finfo(dtype).eps
    np.testing.assert_allclose(outputs, expected, rtol=tolerance)
    assert (backend.forward(case.network, backend.from_host(case.weights), case.x) == outputs).all()
    for key, value in oracle.update(exact.network, rule, exact.weights, activities, exact.error).items():
        np.testing.assert_allclose(weights[key], value, atol=tolerance, err_msg=key)


@pytest.mark.parametrize(("dtype", "width"), [("float32", 32), ("float64", 5)])
def test_a_sample_has_the_same_bits_in_a_batch_of_any_size(backend, dtype, width):
    from edcore_numba.gpu.tiles import FEW_BLOCKS, ROWS

    network = Network(in_=2, width=width, depth=3, u0=1.0, dtype=dtype)
    case = drawn_case(network, Rule("signed"), batch=ROWS * FEW_BLOCKS + 1, scale=1 / width, seed=0)
    weights = backend.from_host(case.weights)
    outputs = backend.forward(network, weights, case.x)  # in blocks of more samples than those of a few
    assert (backend.forward(network, weights, case.x[:7]) == outputs[:7]).all()
    assert len(np.unique(outputs)) > len(outputs) / 2


VARIANTS = [
    # Outputs of two tiles, and more of them than a block of the forward pass has threads.
    (
        {"width": 5, "heads": 2, "n_bias": 2, "bias": 0.8, "outputs": 5, "activation": "relu", "rms": True},
        {"centred": True, "floor": 0.05},
    ),
    # No cell beyond a tile of the forward pass, and no − output cells.
    (
        {"width": 8, "heads": 2, "outputs": 3, "activation": "tanh", "output_activation": "linear", "rms": True}
        | {"inhibitory_output": False, "dtype": "float64"},
        {"reduction": "sum"},
    ),
    ({"width": 5, "activation": "relu6", "rms": True, "inhibitory_output": False, "bias": 0}, {"error": "split"}),
    (
        {"width": 9, "activation": "linear", "output_activation": "relu6", "rms": True, "dtype": "float64"},
        {"error": "split", "floor": 0.1},
    ),
    ({"width": 3, "activation": "relu6", "output_activation": "tanh", "n_bias": 2}, {"error": "split"}),
    ({"width": 3, "activation": "linear", "output_activation": "relu", "outputs": 2, "dtype": "float64"}, {}),
    ({"width": 9, "heads": 2, "outputs": 5, "output_activation": "softmax", "inhibitory_output": False}, {}),
]


@pytest.mark.parametrize(("fields", "rule_fields"), VARIANTS)
def test_variants_that_fit_no_tile(backend, fields, rule_fields):
    network, rule = Network(**{"in_": 3, "depth": 2, "dtype": "float32", **fields}), Rule(**rule_fields)
    case = drawn_case(network, rule, batch=6, scale=0.5, seed=2)
    compare_forward(backend, case)
    compare_update(backend, case)


def test_an_error_of_zero_leaves_a_negative_zero(backend):
    check_negative_zero(backend)


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
    check_nan(backend, fields, rule)


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
    check_fit_by_head(backend)


def test_fit_of_several_outputs_stops_head_by_head(backend):
    network = Network(in_=2, width=3, depth=0, heads=3, u0=4.0, outputs=2, dtype="float64")
    rule = Rule("signed", alpha=0.1, alpha_output=0.1, centred=True, floor=1e-4)
    case = drawn_case(network, rule, batch=5, scale=0.3, seed=3)
    learning = np.asarray([True, True, False])
    orders = np.stack([np.roll(np.arange(5), epoch) for epoch in range(3)])
    target = np.abs(case.error).round()
    sums = abs(target - LoopBackend().forward(network, case.weights, case.x)).sum(axis=0).reshape(3, 2).sum(axis=1)
    assert sums[0] != sums[1]
    schedule = Schedule(orders=orders, batch_size=3, tolerance=sums[:2].mean(), learning=learning)
    assert sorted(check_fit(backend, case, target, schedule, 1e-12)) == [0, 0, 1]


class OnDevice:
    """Stands for another library's array on the device; NumPy can have no look at it."""

    __array__ = None

    def __init__(self, array, stream=None):
        self.array, self.shape = array, array.shape  # which keeps the memory
        self.__cuda_array_interface__ = {**array.__cuda_array_interface__, "stream": stream}


def test_arrays_on_the_device_are_taken_where_they_are_and_wait_for_nobody(backend, monkeypatch):
    from edcore_numba.gpu.compiler import cuda

    waited, streams = [], []
    as_cuda_array, external_stream = cuda.as_cuda_array, cuda.external_stream
    monkeypatch.setattr(cuda, "as_cuda_array", lambda array, sync: waited.append(sync) or as_cuda_array(array, sync))
    monkeypatch.setattr(cuda, "external_stream", lambda handle: streams.append(handle) or external_stream(handle))
    case = drawn_case(Network(in_=3, width=2, depth=1), Rule("signed"), batch=4, scale=1.0, seed=0)
    own = backend.from_host(case.weights)
    expected, trace = backend.trace(case.network, own, case.x)
    stream = cuda.stream()
    wide = cuda.to_device(np.repeat(case.x, 2, axis=1))
    outputs = backend.forward(case.network, own, OnDevice(wide[:, ::2], stream=int(stream.handle)))
    assert (outputs == expected).all()
    assert (waited, streams) == ([False], [int(stream.handle)])
    error = OnDevice(cuda.to_device(case.error), stream=1)  # the legacy default stream
    del stream  # nothing may wait for a stream that is gone
    weights = backend.to_host(backend.update(case.network, case.rule, own, trace, error))
    for key, value in updated(backend, case).items():
        assert (weights[key] == value).all()
    assert (waited, len(streams)) == ([False, False], 1)
