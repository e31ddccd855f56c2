"""A library that has its packages for a GPU uses one that is here: its tests are not all skipped, unseen."""

import ctypes
from types import SimpleNamespace

import pytest

import gpu_here
from benchmarks.gpu_tests import LIBRARIES
from edcore.dispatch import registry

FAILED = pytest.fail.Exception
SKIPPED = pytest.skip.Exception


@pytest.mark.gpu
@pytest.mark.parametrize("library", LIBRARIES)
def test_the_library_is_ready(library):
    state = registry.probe(registry.installed()[library], "cuda")
    if not state.ok:
        gpu_here.skip_or_fail(library, state.reason)


@pytest.mark.parametrize(("packages", "devices"), [(False, 0), (False, 1), (True, 0)])
def test_no_packages_or_no_gpu_is_an_excuse(monkeypatch, packages, devices):
    monkeypatch.setattr(gpu_here, "packages", lambda library: packages)
    monkeypatch.setattr(gpu_here, "devices", lambda: devices)
    with pytest.raises(SKIPPED, match="there is no libcuda"):
        gpu_here.skip_or_fail("numba", "there is no libcuda")


def test_nothing_is_an_excuse_where_both_are(monkeypatch):
    monkeypatch.setattr(gpu_here, "packages", lambda library: True)
    monkeypatch.setattr(gpu_here, "devices", lambda: 1)
    with pytest.raises(FAILED, match="numba's packages.*there is no libNVVM"):
        gpu_here.skip_or_fail("numba", "there is no libNVVM")


def test_a_warning_is_no_excuse_anywhere(monkeypatch):
    monkeypatch.setattr(gpu_here, "devices", lambda: 0)
    with pytest.raises(FAILED, match="DeprecationWarning"):
        gpu_here.skip_or_fail("jax", "jax does not work on 'cuda' here (DeprecationWarning: old)")


@pytest.mark.parametrize(("failed", "seen"), [({}, 3), ({"cuInit"}, 0), ({"cuDeviceGetCount"}, 0)])
def test_the_driver_says_how_many_gpus_there_are(monkeypatch, failed, seen):
    def count(place):
        place._obj.value = 3
        return "cuDeviceGetCount" in failed

    driver = SimpleNamespace(cuInit=lambda flags: "cuInit" in failed, cuDeviceGetCount=count)
    monkeypatch.setattr(ctypes, "CDLL", lambda name: driver)
    assert gpu_here.devices() == seen


def test_without_a_driver_there_are_no_gpus(monkeypatch):
    def missing(name):
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", missing)
    assert gpu_here.devices() == 0


def test_the_packages_for_a_gpu_are_those_that_bring_cuda(monkeypatch):
    monkeypatch.setattr(gpu_here, "find_spec", lambda name: object() if name in ("numba", "torch", "jax") else None)
    torch = SimpleNamespace(version=SimpleNamespace(cuda=None))
    monkeypatch.setattr(gpu_here.importlib, "import_module", lambda name: torch)
    monkeypatch.setattr(gpu_here, "distributions", lambda: [SimpleNamespace(name="jax"), SimpleNamespace(name=None)])
    assert not any(map(gpu_here.packages, LIBRARIES))
    monkeypatch.setattr(gpu_here, "find_spec", lambda name: object())
    torch.version.cuda = "13.0"
    monkeypatch.setattr(gpu_here, "distributions", lambda: [SimpleNamespace(name="jax-cuda13-plugin")])
    assert all(map(gpu_here.packages, LIBRARIES))
