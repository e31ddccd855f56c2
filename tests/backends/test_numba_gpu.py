"""What must hold for the Numba backend on a real NVIDIA GPU; what is marked emulated also holds on the emulator."""

import numpy as np
import pytest

from edcore import Network, Rule
from edcore.contract.steps import Schedule
from edcore.core.network import Initial
from edcore.core.presets import PRESETS
from edcore.dispatch.choose import choose_backend, make_request
from edcore.testing import parametrize_with_backend_checks
from edcore.testing.strategies import drawn_case
from edcore_numba.gpu.probe import unavailable
from fitting import learned

MISSING = unavailable("cuda")

WAIT = """
extern "C" __global__ void wait() {
    long long start = clock64();
    while (clock64() - start < 1000000000LL);
}
"""

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(
        bool(MISSING), reason=f"{MISSING}. CUDA_EMULATOR=1 runs the tests marked emulated without a GPU"
    ),
]


def on(device):
    from edcore_numba.gpu.backend import NumbaCUDA

    return NumbaCUDA(device)


@pytest.fixture
def backend():
    return on("cuda")


@pytest.fixture(params=["float32", "float64"])
def case(request):
    network = Network(in_=20, width=8, depth=6, heads=2, u0=1.0, dtype=request.param)
    return drawn_case(network, Rule("split"), batch=37, scale=0.3, seed=5)


@pytest.fixture(params=["torch", "cupy"])
def library(request):
    """A library's function from NumPy to the device, its way back, and its new stream."""
    module = pytest.importorskip(request.param)
    if request.param == "torch":
        if not module.cuda.is_available():
            pytest.skip("this PyTorch sees no CUDA device")
        return Library(
            module, lambda array: module.asarray(array.copy(), device="cuda"), module.cuda.Stream, module.cuda.stream
        )
    return Library(module, module.asarray, lambda: module.cuda.Stream(non_blocking=True), lambda stream: stream)


class Library:
    def __init__(self, module, put, new_stream, using):
        self.module, self.put, self.new_stream, self.using = module, put, new_stream, using

    def get(self, array):
        return array.cpu().numpy() if self.module.__name__ == "torch" else self.module.asnumpy(array)

    def put_off(self, stream):
        """Give the stream work for about half a second; return a function that says whether all is done."""
        if self.module.__name__ == "torch":
            self.module.cuda._sleep(10**9)
            event = self.module.cuda.Event()
            event.record()
            return event.query
        self.module.RawKernel(WAIT, "wait")((1,), (1,), ())
        event = self.module.cuda.Event()
        event.record(stream)
        return lambda: event.done


@pytest.mark.slow
@pytest.mark.emulated
@parametrize_with_backend_checks([] if MISSING else [on("cuda")])
def test_conformance(backend, check):
    check(backend)


def test_arrays_of_a_library_come_back_as_its_own_with_the_same_bits(backend, library, case):
    expected, expected_weights = learned(backend, case, case.x, case.error)
    outputs, weights = learned(backend, case, library.put(case.x), library.put(case.error))
    assert type(outputs) is type(library.put(case.x))
    assert (library.get(outputs) == expected).all()
    for key, value in expected_weights.items():
        assert (weights[key] == value).all()


def test_an_array_that_is_not_contiguous_is_read_where_it_is(backend, library, case):
    weights = backend.from_host(case.weights)
    wide = library.put(np.repeat(case.x, 2, axis=1))
    outputs = backend.forward(case.network, weights, wide[:, ::2])
    assert (library.get(outputs) == backend.forward(case.network, weights, case.x)).all()


def test_work_follows_the_stream_in_use_and_nothing_waits_for_it(backend, library, case):
    expected, expected_weights = learned(backend, case, case.x, case.error)
    # Compiled, and its memory at hand, before: the first call may wait.
    learned(backend, case, library.put(case.x), library.put(case.error))
    x, error = library.put(case.x), library.put(case.error)
    late_x, late_error = library.put(0 * case.x), library.put(0 * case.error)
    weights = backend.from_host(case.weights)
    stream = library.new_stream()
    backend.synchronize()
    with library.using(stream):
        done = library.put_off(stream)
        late_x += x
        late_error += error
        outputs, trace = backend.trace(case.network, weights, late_x)
        weights = backend.update(case.network, case.rule, weights, trace, late_error)
        assert not done(), "a call returned no sooner than the stream had finished what came before"
    # On another stream, and on the host: after all that.
    for key, value in backend.to_host(weights).items():
        assert (value == expected_weights[key]).all()
    assert done()
    assert (library.get(outputs) == expected).all()


def test_a_stream_that_is_gone_is_not_waited_for(backend, library, case):
    weights = backend.from_host(case.weights)
    stream = library.new_stream()
    backend.synchronize()
    with library.using(stream):
        first = backend.forward(case.network, weights, library.put(case.x))
    backend.synchronize()
    expected = library.get(first)
    del stream, first
    assert (backend.forward(case.network, weights, case.x) == expected).all()


def test_fit_takes_samples_that_are_on_the_device(backend, library, case):
    target = (case.error > 0).astype(case.x.dtype)
    orders = np.stack([np.random.default_rng(epoch).permutation(len(case.x)) for epoch in range(3)])
    schedule = Schedule(orders=orders, batch_size=16, tolerance=1e-3, learning=np.asarray([True, False]))
    arguments = (case.network, case.rule)
    expected, _ = backend.fit(*arguments, backend.from_host(case.weights), case.x, target, schedule)
    samples = (library.put(case.x), library.put(target))
    result, stopped = backend.fit(*arguments, backend.from_host(case.weights), *samples, schedule)
    assert stopped.tolist() == [0, 0]
    for key, value in backend.to_host(expected).items():
        assert (backend.to_host(result)[key] == value).all()


VARIANTS = {
    **{name: (found.rule, dict(found.network)) for name, found in PRESETS.items()},
    "modulo of 40": (PRESETS["modulo"].rule, {**PRESETS["modulo"].network, "outputs": 40}),
    "rms": (Rule("split"), {"activation": "tanh", "output_activation": "linear", "rms": True, "n_bias": 2}),
    "relu": (Rule(floor=0.01), {"activation": "relu6", "output_activation": "relu", "depth": 3}),
}


@pytest.mark.emulated
@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize(
    "width", [45, pytest.param(64, marks=pytest.mark.slow), pytest.param(200, marks=pytest.mark.slow)]
)
def test_every_variant_at_sizes_beyond_a_tile(backend, name, width):
    rule, fields = VARIANTS[name]
    network = Network(**{"in_": 150, "width": width, "heads": 2, "dtype": "float64", **fields, "initial": Initial()})
    case = drawn_case(network, rule, batch=75, scale=1 / width, seed=2)
    known = choose_backend(make_request("numpy", None), network, rule)
    expected, expected_weights = learned(known, case, case.x, case.error)
    outputs, weights = learned(backend, case, case.x, case.error)
    np.testing.assert_allclose(outputs, expected, atol=1e-9)
    for key, value in expected_weights.items():
        np.testing.assert_allclose(weights[key], value, atol=1e-9, err_msg=key)


@pytest.mark.parametrize("name", VARIANTS)
def test_a_fit_of_every_variant_gives_the_same_bits_again(backend, library, name):
    rule, fields = VARIANTS[name]
    network = Network(**{"in_": 20, "width": 45, "heads": 2, **fields, "initial": Initial()})
    case = drawn_case(network, rule, batch=37, scale=0.05, seed=5)
    target = np.abs(case.error).round()
    orders = np.stack([np.random.default_rng(epoch).permutation(len(case.x)) for epoch in range(2)])
    schedule = Schedule(orders=orders, batch_size=16, tolerance=1e-3, learning=np.asarray([True, False]))
    given = (network, rule, backend.from_host(case.weights))
    expected, _ = backend.fit(*given, case.x, target, schedule)
    result, _ = backend.fit(*given, library.put(case.x), library.put(target), schedule)
    for key, value in backend.to_host(expected).items():
        assert np.isfinite(value).all()
        assert (backend.to_host(result)[key] == value).all()
        assert (value[1] == case.weights[key][1]).all()


@pytest.mark.emulated
@pytest.mark.slow  # a minute on the emulator
def test_the_articles_size(backend):
    network, rule = Network(in_=784, width=32, depth=4096), Rule("split")
    case = drawn_case(network, rule, batch=64, scale=0.05, seed=0)  # larger weights saturate the outputs
    outputs, weights = learned(backend, case, case.x, case.error)
    again, weights_again = learned(backend, case, case.x, case.error)
    assert (outputs == again).all()
    for key, value in weights.items():
        assert np.isfinite(value).all()
        assert (value == weights_again[key]).all()
        assert not (value == case.weights[key]).all()


@pytest.mark.emulated
def test_a_second_device(case):
    if reason := unavailable("cuda:1"):
        pytest.skip(reason)
    expected, expected_weights = learned(on("cuda:0"), case, case.x, case.error)
    backend = on("cuda:1")
    outputs, weights = learned(backend, case, case.x, case.error)
    assert backend.device == "cuda:1"
    np.testing.assert_allclose(outputs, expected, rtol=1e-6)
    for key, value in expected_weights.items():
        np.testing.assert_allclose(weights[key], value, atol=1e-6)
