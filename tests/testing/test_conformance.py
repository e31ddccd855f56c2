"""Every registered backend that is ready keeps the contract."""

import dataclasses
import json
import os
import subprocess
import sys

import pytest

from edcore import Network, Rule, list_backends
from edcore import arrays as libraries
from edcore.adapters.array_api import NUMPY, ArrayAPIBackend
from edcore.contract.backend import Availability
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


def test_backend_that_cannot_run_is_skipped_with_the_reason(fresh_registry):
    info = dataclasses.replace(NUMPY, name="absent", probe=lambda device: Availability(False, "no such device"))
    fresh_registry.register(info)
    mark = parametrize_with_backend_checks(["absent"])
    for parameter in mark.args[1]:
        assert parameter.marks[0].name == "skip"
        assert "no such device" in parameter.marks[0].kwargs["reason"]


WRONG = """
import dataclasses

import array_api_compat.numpy as xp
from edcore.adapters.array_api import NUMPY, ArrayAPIBackend


class Wrong(ArrayAPIBackend):
    def update(self, network, rule, weights, trace, error):
        return super().update(network, rule, weights, trace, -error)


BACKEND = dataclasses.replace(NUMPY, name="wrong", load=lambda device: Wrong(xp, "cpu", BACKEND))
"""


@pytest.mark.parametrize("optimised", [False, True], ids=["python", "python -O"])
def test_command_fails_for_a_wrong_backend(tmp_path, optimised):
    (tmp_path / "wrong.py").write_text(WRONG)
    (tmp_path / "wrong-1.dist-info").mkdir()
    (tmp_path / "wrong-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: wrong\nVersion: 1\n")
    (tmp_path / "wrong-1.dist-info" / "entry_points.txt").write_text("[edcore.backends]\nwrong = wrong:BACKEND\n")
    command = [sys.executable, *["-O"] * optimised, "-m", "edcore", "check", "wrong", "--quick", "--json"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 1, done.stderr
    found = json.loads(done.stdout)
    assert [finding["cause"] for finding in found["findings"]] == ["sign"]
    failed = found["failed"]
    assert failed.keys() >= {"check_update_signed", "check_update_split", "check_presets", "check_fit"}
    assert "but the oracle has" in failed["check_update_signed"]
