"""What must hold for CuPy, PyTorch and JAX on a real NVIDIA GPU. Numba has a file of its own."""

import dataclasses
import logging

import numpy as np
import pytest

import edcore
from edcore import Network, Rule
from edcore import arrays as libraries
from edcore.core.activations import ACTIVATIONS
from edcore.dispatch import registry
from edcore.errors import BackendUnavailableError
from edcore.testing import iter_checks
from edcore.testing.strategies import drawn_case
from fitting import learned

pytestmark = pytest.mark.gpu


def libraries_that(may_use):
    """Return the libraries as parameters; one that cannot compute on a GPU here is skipped, with the reason."""
    reasons = {name: registry.probe(registry.installed()[name], "cuda").reason for name in may_use}
    return [pytest.param(name, marks=pytest.mark.skipif(bool(why), reason=why)) for name, why in reasons.items()]


each_library = pytest.mark.parametrize("library", libraries_that(["cupy", "torch", "jax"]))
each_with_streams = pytest.mark.parametrize("library", libraries_that(["cupy", "torch"]))


def on(library, device="cuda"):
    return registry.installed()[library].load(device)


def put(library, array, device="cuda"):
    """Return a NumPy array as one of the library's, on the device."""
    module = pytest.importorskip(library)
    native = libraries.native_device(library, device)
    with libraries.exact(library, native):  # CuPy allocates on the device in use
        return libraries.namespace_of(module).asarray(array.copy(), device=native)


@pytest.fixture(params=["float32", "float64"])
def case(request):
    network = Network(in_=20, width=8, depth=6, heads=2, u0=1.0, dtype=request.param)
    return drawn_case(network, Rule("split"), batch=37, scale=0.3, seed=5)


@each_library
@pytest.mark.parametrize("name", [name for name, _ in iter_checks()])
def test_conformance(library, name):
    # JAX compiles for every size again, so the whole suite would take it many minutes.
    dict(iter_checks(quick=library == "jax"))[name](on(library))


@each_with_streams
@pytest.mark.parametrize("name", [name for name, _ in iter_checks()])
def test_conformance_of_three_products_of_tf32(library, name):
    backend = registry.installed()[library].load("cuda", "tf32x3")
    if (reason := backend.supports(Network(in_=2), Rule())) is not True:
        pytest.skip(reason)
    dict(iter_checks())[name](backend)


@each_library
def test_both_precisions_learn_as_numpy_does(library, case):
    expected, expected_weights = learned(on("numpy", "cpu"), case, case.x, case.error)
    outputs, weights = learned(on(library), case, case.x, case.error)
    tolerance = 1e-5 if case.network.dtype == "float32" else 1e-12
    assert libraries.to_numpy(outputs).dtype == case.network.dtype
    np.testing.assert_allclose(libraries.to_numpy(outputs), expected, rtol=tolerance, atol=tolerance)
    for key, value in expected_weights.items():
        assert weights[key].dtype == case.network.dtype
        np.testing.assert_allclose(weights[key], value, rtol=tolerance, atol=tolerance)


@each_library
def test_outputs_are_of_the_library_of_x_and_on_its_device(library, case):
    shape = {"in_": 20, "hidden_width": 8, "hidden_depth": 6, "heads": 2, "dtype": case.network.dtype, "seed": 0}
    x = put(library, case.x)
    for ed in (edcore.ED(**shape, backend=library, device="cuda"), edcore.ED(**shape)):  # the second follows x
        outputs = ed(x)
        assert type(outputs) is type(x)
        assert outputs.device == x.device
        ed.update(put(library, case.error))
        assert ed.device.partition(":")[0] == "cuda"
    assert type(edcore.ED(**shape, backend=library, device="cuda")(case.x)) is np.ndarray


@each_library
def test_the_articles_size_gives_the_same_bits_each_time(library):
    # Weights so small that no cell saturates to where it learns no more.
    case = drawn_case(Network(in_=784, width=32, depth=4096), Rule("split"), batch=64, scale=0.05, seed=0)
    backend, x, error = on(library), put(library, case.x), put(library, case.error)
    outputs, weights = learned(backend, case, x, error)
    first = libraries.to_numpy(outputs).copy()
    for key, value in weights.items():
        assert np.isfinite(value).all()
        assert not np.array_equal(value, case.weights[key])
    for _ in range(2):
        again, weights_again = learned(backend, case, x, error)
        assert np.array_equal(libraries.to_numpy(again), first)
        for key, value in weights.items():
            assert np.array_equal(value, weights_again[key])


VARIANTS = {
    "article": {},
    **{name: {"activation": name, "rms": True, "outputs": 3, "bias": 0.8, "n_bias": 2} for name in ACTIVATIONS},
}


@each_with_streams
@pytest.mark.parametrize("variant", VARIANTS)
def test_layers_that_are_recorded_and_played_again_give_the_same_bits(library, case, variant, caplog):
    if VARIANTS[variant]:
        network = dataclasses.replace(case.network, **VARIANTS[variant])
        case = drawn_case(network, Rule(centred=True, floor=0.01), batch=37, scale=0.3, seed=5)
    backend, x, error = on(library), put(library, case.x), put(library, case.error)
    _, expected = learned(backend, case, x, error)
    weights, unchanged = backend.from_host(case.weights), put(library, 0 * case.error)
    with caplog.at_level(logging.INFO, "edcore"):
        all_outputs = []
        for _ in range(4):
            outputs, trace = backend.trace(case.network, weights, x)
            weights = backend.update(case.network, case.rule, weights, trace, unchanged)
            all_outputs.append(libraries.to_numpy(outputs).copy())
        inferred = [libraries.to_numpy(backend.forward(case.network, weights, x)).copy() for _ in range(4)]
    assert "not recorded" not in caplog.text
    assert all(np.array_equal(one, all_outputs[0]) for one in all_outputs + inferred)
    outputs, trace = backend.trace(case.network, weights, x)
    for key, value in backend.to_host(backend.update(case.network, case.rule, weights, trace, error)).items():
        assert np.array_equal(value, expected[key])


@each_with_streams
def test_work_follows_the_stream_in_use(library, case):
    expected, expected_weights = learned(on(library), case, case.x, case.error)
    module, backend = pytest.importorskip(library), on(library)
    x, error, zeros = put(library, case.x), put(library, case.error), put(library, 0 * case.x)
    libraries.synchronize(library, x.device, None)
    stream = module.cuda.Stream() if library == "torch" else module.cuda.Stream(non_blocking=True)
    with module.cuda.stream(stream) if library == "torch" else stream:
        busy(library, module)
        zeros += x  # which any other stream sees too late
        outputs, weights = learned(backend, case, zeros, error)
        assert np.array_equal(libraries.to_numpy(outputs), libraries.to_numpy(expected))
    for key, value in expected_weights.items():
        assert np.array_equal(weights[key], value)


def busy(library, module):
    """Give the stream in use work for about half a second."""
    if library == "torch":
        module.cuda._sleep(10**9)
        return
    wait = (
        'extern "C" __global__ void wait() { long long start = clock64(); while (clock64() - start < 1000000000LL); }'
    )
    module.RawKernel(wait, "wait")((1,), (1,), ())


@each_library
def test_a_second_device(library, case):
    if reason := libraries.unavailable(library, "cuda:1"):
        pytest.skip(reason)
    expected, expected_weights = learned(on(library, "cuda:0"), case, case.x, case.error)
    backend, x = on(library, "cuda:1"), put(library, case.x, "cuda:1")
    outputs, weights = learned(backend, case, x, put(library, case.error, "cuda:1"))
    assert backend.device == "cuda:1"
    assert outputs.device == x.device
    own = backend.from_host(case.weights)
    for _ in range(3):  # recorded at the second time, played at the third
        assert np.array_equal(libraries.to_numpy(backend.forward(case.network, own, x)), libraries.to_numpy(outputs))
    np.testing.assert_allclose(libraries.to_numpy(outputs), libraries.to_numpy(expected), rtol=1e-6)
    for key, value in expected_weights.items():
        np.testing.assert_allclose(weights[key], value, atol=1e-6)


@each_library
def test_a_device_that_does_not_exist_is_named(library):
    with pytest.raises(BackendUnavailableError, match=r"so there is no 'cuda:99'\. Nothing else was tried"):
        edcore.ED(in_=2, backend=library, device="cuda:99")
