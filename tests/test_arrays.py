"""What differs between array libraries, with stand-ins for those (and those devices) that are not here."""

import contextlib
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from edcore import arrays as libraries
from edcore.arrays import device_string, synchronize, unavailable
from edcore.contract.memory import host_memory, memory
from edcore.errors import BackendUnavailableError


def module(monkeypatch, name, **members):
    made = ModuleType(name)
    made.__spec__ = ModuleSpec(name, None)
    for key, value in members.items():
        setattr(made, key, value)
    monkeypatch.setitem(sys.modules, name, made)
    return made


def raising(error):
    def function(*arguments):
        raise error

    return function


def test_package_that_is_not_installed():
    assert unavailable("no_such_library", "cpu") == "the package no_such_library is not installed"


def test_cupy_without_a_driver_is_a_reason(monkeypatch):
    runtime = SimpleNamespace(getDeviceCount=raising(RuntimeError("cudaErrorInsufficientDriver: too old")))
    module(monkeypatch, "cupy", cuda=SimpleNamespace(runtime=runtime))
    reason = "cupy does not work on 'cuda' here (RuntimeError: cudaErrorInsufficientDriver: too old)"
    assert unavailable("cupy", "cuda") == reason
    from edcore import ED

    with pytest.raises(BackendUnavailableError) as raised:
        ED(2, backend="cupy")
    assert str(raised.value).startswith(
        f"backend='cupy' cannot run here: {reason}. Nothing else was tried. Its packages"
    )


def test_cupy_counts_its_devices(monkeypatch):
    runtime = SimpleNamespace(getDeviceCount=lambda: 1)
    module(monkeypatch, "cupy", cuda=SimpleNamespace(runtime=runtime))
    assert unavailable("cupy", "cuda") == ""
    assert unavailable("cupy", "cuda:1") == "cupy sees 1 device of type 'cuda' here, so there is no 'cuda:1'"


def test_package_that_breaks_on_import(monkeypatch, tmp_path):
    (tmp_path / "broken_library").mkdir()
    (tmp_path / "broken_library" / "__init__.py").write_text(
        "raise OSError('libcudart.so: cannot open shared object file')"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert unavailable("broken_library", "cpu") == (
        "broken_library does not work on 'cpu' here (OSError: libcudart.so: cannot open shared object file)"
    )


def test_torch_devices(monkeypatch):
    cuda = SimpleNamespace(is_available=lambda: False, device_count=lambda: 2)
    mps = SimpleNamespace(is_available=lambda: False)
    switch = SimpleNamespace(matmul=SimpleNamespace(fp32_precision="none"))
    torch = module(monkeypatch, "torch", cuda=cuda, backends=SimpleNamespace(mps=mps, cuda=switch), __version__="2.8")
    assert unavailable("torch", "cpu") == ""
    assert unavailable("torch", "cuda") == "PyTorch sees no CUDA device here, so there is no 'cuda'"
    assert unavailable("torch", "mps") == "PyTorch sees no Apple GPU here, so there is no 'mps'"
    torch.cuda.is_available = lambda: True
    assert unavailable("torch", "cuda:1") == ""
    assert unavailable("torch", "cuda:x").startswith(
        "torch does not work on 'cuda:x' here (ValueError: invalid literal"
    )
    assert unavailable("torch", "cuda:2") == "torch sees 2 devices of type 'cuda' here, so there is no 'cuda:2'"


def test_jax_without_a_gpu():
    pytest.importorskip("jax")
    assert unavailable("jax", "cpu") == ""
    assert unavailable("jax", "cuda").startswith("jax does not work on 'cuda' here (RuntimeError: ")


def test_device_strings():
    assert device_string("numpy", "cpu") == "cpu"
    assert device_string("cupy", SimpleNamespace(id=1)) == "cuda:1"
    assert device_string("jax", SimpleNamespace(platform="gpu", id=1)) == "cuda:1"
    assert device_string("jax", SimpleNamespace(platform="cpu", id=0)) == "cpu"
    sycl = SimpleNamespace(filter_string="level_zero:gpu:0")
    assert device_string("dpnp", SimpleNamespace(sycl_device=sycl)) == "gpu:0"
    assert device_string("other", "tpu:0") == "tpu:0"


def test_memory_of_each_kind_of_device(monkeypatch):
    cuda = SimpleNamespace(
        mem_get_info=lambda device: (1, 70), memory_reserved=lambda device: 20, memory_allocated=lambda device: 15
    )
    module(monkeypatch, "torch", cuda=cuda)
    assert memory("torch", SimpleNamespace(type="cuda")) == (6, 70)
    module(monkeypatch, "cupy", get_default_memory_pool=lambda: SimpleNamespace(free_bytes=lambda: 4))

    class Device(contextlib.nullcontext):
        mem_info = 1, 80

    assert memory("cupy", Device()) == (5, 80)
    stats = {"bytes_limit": 90, "bytes_in_use": 30}
    assert memory("jax", SimpleNamespace(memory_stats=lambda: stats)) == (60, 90)
    here = host_memory()
    assert 2**20 < here.free < here.total
    for library, device in (
        ("jax", SimpleNamespace(memory_stats=lambda: None)),
        ("torch", SimpleNamespace(type="cpu")),
    ):
        assert memory(library, device).total == here.total


def test_synchronize_waits_for_each_kind_of_device(monkeypatch):
    waited = []
    module(
        monkeypatch,
        "torch",
        cuda=SimpleNamespace(synchronize=waited.append),
        mps=SimpleNamespace(synchronize=lambda: waited.append("mps")),
    )
    cuda = SimpleNamespace(type="cuda")
    synchronize("torch", cuda, None)
    synchronize("torch", SimpleNamespace(type="mps"), None)
    synchronize("torch", SimpleNamespace(type="cpu"), None)
    leaves = SimpleNamespace(leaves=lambda latest: latest)
    module(monkeypatch, "jax", block_until_ready=waited.extend, tree=leaves)
    gone, there = (SimpleNamespace(is_deleted=lambda deleted=deleted: deleted) for deleted in (True, False))
    synchronize("jax", None, [gone, there])
    synchronize("jax", None, None)
    synchronize("cupy", SimpleNamespace(synchronize=lambda: waited.append("cupy")), None)
    synchronize("numpy", "cpu", None)
    assert waited == [cuda, "mps", there, "cupy"]


def test_arrays_on_their_way_to_numpy_and_back():
    torch = pytest.importorskip("torch")
    array = torch.arange(3.0, requires_grad=True)
    assert libraries.to_numpy(array).tolist() == [0, 1, 2]
    back = libraries.like(np.arange(3.0), array)
    assert isinstance(back, torch.Tensor)
    assert libraries.like(array, np.zeros(1)).tolist() == [0, 1, 2]


def test_libraries_are_found_by_their_namespaces():
    import array_api_compat.numpy

    assert libraries.library_name(array_api_compat.numpy) == "numpy"
    assert libraries.library_name(np) == "numpy"


def test_exact_restores_what_the_user_has_set():
    with np.errstate(over="raise"):
        with libraries.exact("numpy", "cpu"):
            assert np.exp(np.float32(1000)) == np.inf
        with pytest.raises(FloatingPointError):
            np.exp(np.float32(1000))


class CuPysSwitch(SimpleNamespace):
    """CuPy's internal switch of how products are computed."""

    def get_compute_type(self, dtype):
        assert dtype == np.float32
        return self.number

    def set_compute_type(self, dtype, number):
        assert dtype == np.float32
        self.number = number


@pytest.mark.parametrize("number", [1, 7])
def test_exact_makes_cupys_device_the_current_one_and_switches_tf32_off(monkeypatch, number):
    entered, switch = [], CuPysSwitch(number=number)
    module(monkeypatch, "cupy", _core=switch)

    class Device:
        def __enter__(self):
            entered.append("in")

        def __exit__(self, *error):
            entered.append("out")

    with libraries.exact("cupy", Device()):
        assert entered == ["in"]
        assert switch.number == 1
    assert entered == ["in", "out"]
    assert switch.number == number


def test_cupy_still_has_the_switch_that_exact_uses():
    core = pytest.importorskip("cupy._core")
    assert core.get_compute_type(np.dtype("float32")) in (0, 1, 7)


def test_an_apple_gpu_has_no_float64():
    torch = pytest.importorskip("torch")
    xp = libraries.namespace_of(torch)
    assert not libraries.has_dtype(xp, torch.device("mps"), "float64")
    assert libraries.has_dtype(xp, torch.device("cpu"), "float64")


def test_exact_leaves_inference_mode_and_autocast():
    torch = pytest.importorskip("torch")
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16), libraries.exact("torch", torch.device("cpu")):
        made = torch.ones((2, 2)) @ torch.ones((2, 2))
    assert made.dtype == torch.float32
    assert not made.is_inference()
    assert not made.requires_grad


def test_dpnps_arrays_come_to_numpy_by_its_own_function(monkeypatch):
    class Array:
        def __array_namespace__(self, api_version=None):
            return SimpleNamespace(__name__="dpnp")

    module(monkeypatch, "dpnp", asnumpy=lambda array: np.arange(3))
    assert libraries.to_numpy(Array()).tolist() == [0, 1, 2]


def test_torch_that_is_too_old_for_the_precision_switches(monkeypatch):
    old = SimpleNamespace(matmul=SimpleNamespace())
    module(monkeypatch, "torch", backends=SimpleNamespace(cuda=old), __version__="2.8.0")
    assert unavailable("torch", "cpu") == "it needs PyTorch 2.9 or later, and this is 2.8.0"


def test_torchs_switches_are_restored_by_the_last_thread_out():
    torch = pytest.importorskip("torch")
    switch = torch.backends.cuda.matmul
    before, switch.fp32_precision = switch.fp32_precision, "tf32"
    try:
        first, second = (libraries.exact("torch", torch.device("cpu")) for _ in range(2))
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert switch.fp32_precision == "ieee"
        second.__exit__(None, None, None)
        assert switch.fp32_precision == "tf32"
    finally:
        switch.fp32_precision = before


def test_a_switch_that_follows_pytorchs_general_one_goes_on_following_it():
    torch = pytest.importorskip("torch")
    before, torch.backends.fp32_precision = torch.backends.fp32_precision, "tf32"
    try:
        with libraries.exact("torch", torch.device("cpu")):
            assert torch.backends.cuda.matmul.fp32_precision == "ieee"
        assert torch.backends.cuda.matmul.fp32_precision == "tf32"
        torch.backends.fp32_precision = "ieee"
        assert torch.backends.cuda.matmul.fp32_precision == "ieee"
    finally:
        torch.backends.fp32_precision = before


@pytest.mark.parametrize("library", ["numpy", "torch", "jax", "array_api_strict"])
def test_numbers_of_several_arrays_are_read_at_once(library, monkeypatch):
    module = pytest.importorskip(library)
    xp = module.numpy if library == "jax" else module
    reads, to_numpy = [], libraries.to_numpy
    monkeypatch.setattr(libraries, "to_numpy", lambda array: reads.append(array.shape) or to_numpy(array))
    one, other = np.float32([[1, -2], [3, 0.5]]), np.float32([4, np.nan])
    wanted = [libraries.squares, libraries.least, libraries.most]
    wanted = [(reduction, xp.asarray(array)) for array in (one, other) for reduction in wanted]
    np.testing.assert_array_equal(libraries.read(*wanted), [14.25, -2, 3, np.nan, np.nan, np.nan])
    assert libraries.read((libraries.most, xp.asarray(one))) == [3.0]
    assert reads == [(6,), (1,)]


def test_jax_computes_the_numbers_in_one_compiled_call(monkeypatch):
    jax = pytest.importorskip("jax")
    arrays = [jax.numpy.arange(5.0), jax.numpy.arange(3.0)]
    wanted = [(libraries.squares, arrays[0]), (libraries.least, arrays[1])]
    first, calls = libraries.read(*wanted), []
    monkeypatch.setattr(jax.numpy, "stack", lambda arrays: calls.append(arrays))  # compiled code does not call it
    assert libraries.read(*wanted) == first == [30.0, 0.0]
    assert not calls
