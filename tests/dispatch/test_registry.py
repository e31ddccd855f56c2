import dataclasses
import os
import sys
from importlib.util import find_spec

import pytest

import edcore
from edcore.adapters.array_api import NUMPY
from edcore.dispatch.registry import installed
from edcore.errors import InputError

BROKEN = {
    "raises": "raise RuntimeError('no driver')",
    "is_no_info": "BACKEND = 3",
    "is_old": (
        "import dataclasses, edcore.adapters.array_api as a\nBACKEND = dataclasses.replace(a.NUMPY, api_version=0)"
    ),
}


def write_plugin(folder, name, code, entry="BACKEND", distribution=None):
    (folder / f"{name}_module.py").write_text(code)
    info = folder / f"{distribution or name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution or name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[edcore.backends]\n{name} = {name}_module:{entry}\n")


def test_all_backends_are_listed_the_preferred_ones_first(fresh_registry):
    statuses = edcore.list_backends()
    assert {"cupy", "numba", "numpy", "loop", "torch", "jax", "array_api_strict"} <= {
        status.name for status in statuses
    }
    assert [status.priority for status in statuses] == sorted((status.priority for status in statuses), reverse=True)
    for status in statuses:
        assert status.summary
        assert bool(status.reason) is not status.ready
        assert bool(status.devices) is status.ready


def test_numba_and_cupy_say_the_truth_and_how_to_install_them(fresh_registry):
    statuses = {status.name: status for status in edcore.list_backends()}
    numba = statuses["numba"]
    assert numba.ready or numba.reason == "the package numba is not installed"
    assert numba.ready == bool(find_spec("numba"))
    assert "cudasim" not in numba.devices or os.environ.get("NUMBA_ENABLE_CUDASIM") == "1"
    assert numba.install == 'pip install "edcore[numba]"'
    cupy = statuses["cupy"]
    assert 'pip install "edcore[cupy]"' in cupy.install
    assert cupy.ready or cupy.reason


def test_numba_that_is_not_installed(monkeypatch):
    import edcore_numba

    monkeypatch.setitem(sys.modules, "numba", None)
    assert edcore_numba.probe("cpu").reason == "the package numba is not installed"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("raises", r"its plug-in 'raises_module:BACKEND' is broken \(RuntimeError\('no driver'\)\)"),
        ("is_no_info", r"\(TypeError\('is_no_info_module:BACKEND is no BackendInfo'\)\)"),
        ("is_old", r"\(TypeError\('it was written for version 0 of the contract, and this is 1'\)\)"),
    ],
)
def test_broken_plugin_warns_once_and_breaks_nothing(tmp_path, monkeypatch, fresh_registry, name, reason):
    write_plugin(tmp_path, name, BROKEN[name])
    monkeypatch.syspath_prepend(tmp_path)
    fresh_registry.refresh()
    with pytest.warns(RuntimeWarning, match=f"the backend '{name}' cannot be used: .*{reason}"):
        edcore.list_backends()
    statuses = {status.name: status for status in edcore.list_backends()}  # a second warning would be an error here
    assert not statuses[name].ready
    assert reason.partition("(")[0].replace("\\", "") in statuses[name].reason
    assert statuses["numpy"].ready
    with pytest.raises(
        edcore.errors.BackendUnavailableError, match=f"backend='{name}' cannot run here: its plug-in .* is broken"
    ):
        edcore.ED(2, backend=name)
    assert edcore.ED(2)([[0, 1]]).shape == (1,)


def test_two_plugins_of_one_name(tmp_path, monkeypatch, fresh_registry):
    write_plugin(tmp_path, "loop", "from edcore_loop import BACKEND", distribution="other")
    monkeypatch.syspath_prepend(tmp_path)
    fresh_registry.refresh()
    with pytest.warns(RuntimeWarning, match="the backend 'loop' is registered twice; the one of '.*' is left out"):
        assert installed()["loop"]


def test_third_partys_backend_is_found_without_being_installed(plugin_example):
    status = {status.name: status for status in edcore.list_backends()}["example"]
    assert status.ready
    assert status.summary == "a third party's backend"
    ed = edcore.ED(2, backend="example", seed=1)
    assert ed.backend == "example"
    data = edcore.datasets.xor()
    ed.fit(data.x_train, data.y_train, epochs=50)
    ed.synchronize()
    assert (ed.predict(data.x_test).round() == data.y_test).all()


def test_register_adds_and_refresh_drops(fresh_registry):
    edcore.dispatch.register(dataclasses.replace(NUMPY, name="of_this_test"))
    assert edcore.ED(2, backend="of_this_test").backend == "of_this_test"
    edcore.dispatch.refresh()
    with pytest.raises(InputError, match="backend: given 'of_this_test'"):
        edcore.ED(2, backend="of_this_test")


def test_register_refuses(fresh_registry):
    with pytest.raises(InputError, match="info: given 3; accepted: a BackendInfo"):
        edcore.dispatch.register(3)
    with pytest.raises(InputError, match="info: given api_version=2; accepted: api_version=1. Port the backend."):
        edcore.dispatch.register(dataclasses.replace(NUMPY, api_version=2))


def test_probe_that_raises_is_a_reason(fresh_registry):
    edcore.dispatch.register(dataclasses.replace(NUMPY, name="of_this_test", probe=lambda device: 1 / 0))
    status = {status.name: status for status in edcore.list_backends()}["of_this_test"]
    assert status.reason == "its probe failed (ZeroDivisionError('division by zero'))"
