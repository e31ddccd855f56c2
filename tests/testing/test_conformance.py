"""Every registered backend that is ready keeps the contract."""

import pytest

from edcore import Network, Rule, list_backends
from edcore import arrays as libraries
from edcore.adapters.array_api import ArrayAPIBackend
from edcore.dispatch.choose import choose_backend, make_request
from edcore.testing import iter_checks, parametrize_with_backend_checks


@parametrize_with_backend_checks([status.name for status in list_backends()])
def test_registered_backend(backend, check):
    check(backend)


def test_the_oracle_and_numpy_are_ready():
    ready = {status.name for status in list_backends() if status.ready}
    assert ready >= {"loop", "numpy"}


@pytest.mark.slow
@pytest.mark.parametrize("device", ["device1", "no_float64"])
def test_array_api_strict_on_its_made_up_devices(device):
    pytest.importorskip("array_api_strict")
    backend = choose_backend(make_request("array_api_strict", device), Network(in_=1), Rule())
    for _, check in iter_checks():
        check(backend)


def test_a_library_that_no_backend_is_registered_for():
    dpnp = pytest.importorskip("dpnp")
    try:
        xp = libraries.namespace_of(dpnp)
    except Exception as error:  # of its own kind
        pytest.skip(f"dpnp finds no device: {error}")
    for _, check in iter_checks(quick=True):
        check(ArrayAPIBackend(xp))


@pytest.mark.parametrize("check", [pytest.param(check, id=name) for name, check in iter_checks()])
def test_third_partys_backend_that_is_not_installed(plugin_example, check):
    check(choose_backend(make_request("example", None), Network(in_=1), Rule()))
