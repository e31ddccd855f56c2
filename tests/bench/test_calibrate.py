"""`edcore bench --calibrate`: the measurements, and the table made of them."""

import dataclasses
import re

import pytest

from edcore import EDCoreError, Network, Rule
from edcore.adapters import ArrayAPIBackend
from edcore.arrays import numpy_namespace
from edcore.bench import calibrate, machine
from edcore.bench.timings import Benchmark, Timings
from edcore.cli.app import main
from edcore.contract.backend import Availability
from edcore.dispatch import calibration, registry
from edcore.dispatch.calibration import Calibration
from edcore.dispatch.choose import choose_backend, make_request
from edcore.dispatch.explain import explain
from edcore.dispatch.preferences import preferences
from edcore.environment import here

BOARD = machine.Machine("a board", 1e9, "NumPy", 1e8, "NumPy")
MS = {"numba": (1, 2, 9), "numpy": (3, 4, 5), "torch": (9, 9, 9)}


@pytest.fixture
def measured(monkeypatch):
    """What was asked to be measured; a made-up machine answers."""
    asked = []

    def bench(names, setting, announce, bounds):
        asked.append((tuple(names), setting, bounds))
        rows = [Timings(name, "cpu", {}, {"step": [ms / 1e3 for ms in MS[name]]}) for name in names if name in MS]
        rows += [Timings(name, reason="it broke") for name in names if name not in MS]
        return Benchmark(here(), setting, BOARD, "", rows)

    monkeypatch.setattr(calibrate, "bench", bench)
    monkeypatch.setattr(calibrate, "WIDTHS", (8, 512))
    monkeypatch.setattr(calibrate, "BATCHES", (1, 64))
    ready = ("numpy", "numba", "jax")
    monkeypatch.setattr(registry, "probe", lambda info, device: Availability(info.name in ready, "it has no driver"))
    return asked


def test_the_table_has_a_row_for_each_width_and_batch_with_the_fastest_first(measured):
    table = calibrate.calibrate("cpu", 3)
    assert [names for names, _, _ in measured] == [("numba", "numpy", "jax")] * 4
    assert [bounds for _, _, bounds in measured] == [None, BOARD, BOARD, BOARD]  # the machine is measured once
    sizes = [(8, 1), (8, 64), (512, 1), (512, 64)]
    assert [(setting.width, setting.batch) for _, setting, _ in measured] == sizes
    assert [(row.width, row.batch) for row in table.rows] == sizes
    assert {(row.fastest, row.ms) for row in table.rows} == {(("numba", "numpy"), (2.0, 4.0))}
    assert "a board" in table.source
    assert all(setting.repeats == 3 for _, setting, _ in measured)


@pytest.mark.parametrize(
    ("width", "batch", "depth"),
    [(4, 1, 16), (128, 64, 16), (256, 64, 16), (256, 512, 4), (512, 1, 4), (512, 512, 1), (1024, 1, 1), (4096, 64, 1)],
)
def test_layers_are_fewer_where_they_take_long(width, batch, depth):
    setting = calibrate.setting_of(width, batch, 3, "cpu")
    assert (setting.depth, setting.batch) == (depth, batch)


def test_what_is_nearly_as_fast_is_ordered_by_priority(measured, monkeypatch):
    monkeypatch.setitem(MS, "numba", (4.5, 4.5, 4.5))
    assert calibrate.calibrate("cpu", 3).rows[0].fastest == ("numba", "numpy")
    monkeypatch.setitem(MS, "numba", (4.7, 4.7, 4.7))
    assert calibrate.calibrate("cpu", 3).rows[0].fastest == ("numpy", "numba")


def test_nothing_to_measure_is_an_error_and_saves_nothing(measured, monkeypatch, capsys):
    monkeypatch.setattr(calibrate, "BACKENDS", ("jax",))
    with pytest.raises(EDCoreError, match=r"--calibrate: .* 'cpu'.* jax: it broke\."):
        calibrate.calibrate("cpu", 3)
    monkeypatch.setattr(calibrate, "BACKENDS", ("torch",))
    with pytest.raises(SystemExit) as raised:
        main(["bench", "--calibrate"])
    assert raised.value.code == 2
    assert re.search(r"--calibrate: .* 'cpu'.* torch: it has no driver\.", capsys.readouterr().err)
    assert not calibration.user_file("cpu").exists()


def test_the_command_saves_what_auto_then_goes_by(measured, capsys):
    with pytest.raises(SystemExit) as raised:
        main(["bench", "--calibrate", "--repeats", "3"])
    assert raised.value.code == 0
    out = capsys.readouterr().out
    assert "numba 2, numpy 4" in out
    assert str(calibration.user_file("cpu")) in out
    saved = calibration.calibration("cpu")
    assert isinstance(saved, Calibration)
    assert saved.rows[0].ms == (2.0, 4.0)


INVENTED = {  # milliseconds on a GPU, in an order that edcore does not expect; in some sizes one of them fails
    (8, 1): {"numba": 1, "cupy": 9, "torch": 5},
    (8, 64): {"numba": 5, "cupy": 2, "torch": 9},
    (512, 1): {"numba": 3, "cupy": 9, "torch": 2},
    (512, 64): {"numba": 4, "cupy": 8, "torch": 9},
    (1024, 1): {"cupy": 3, "torch": 2},
    (1024, 64): {"torch": 9},
}


@pytest.fixture
def a_gpu(monkeypatch, fresh_registry):
    """A GPU as far as the registry and the measurements see it; return what was asked to be measured."""
    asked = []

    class OnGPU(ArrayAPIBackend):
        def __init__(self, info, device):
            super().__init__(numpy_namespace(), "cpu", info)
            self.device = device

    def installed(info, ready):
        def probe(device):
            return Availability(ready and device is not None and device.startswith("cuda"), "it sees no GPU")

        fresh_registry.register(
            dataclasses.replace(info, probe=probe, load=lambda device: OnGPU(info, device or "cuda"))
        )

    def bench(names, setting, announce, bounds):
        asked.append((tuple(names), setting.device))
        times = INVENTED[setting.width, setting.batch]
        rows = [Timings(name, setting.device, {}, {"step": [times[name] / 1e3]}) for name in names if name in times]
        rows += [Timings(name, reason="it broke") for name in names if name not in times]
        return Benchmark(here(), setting, BOARD, "", rows)

    for name in ("numba", "cupy", "torch", "jax"):
        installed(fresh_registry.installed()[name], ready=name != "jax")
    monkeypatch.setattr(calibrate, "bench", bench)
    monkeypatch.setattr(calibrate, "WIDTHS", (8, 512, 1024))
    monkeypatch.setattr(calibrate, "BATCHES", (1, 64))
    return asked


def taken(device):
    """Return what ``auto`` takes at each size that was measured."""
    asked = make_request("auto", device)
    return [choose_backend(asked, Network(2, width), Rule(), batch=batch).info.name for width, batch in INVENTED]


@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_the_command_on_a_gpu_saves_rows_that_decide_there_as_they_do_on_the_cpu(a_gpu, capsys, device):
    places = (None, "cuda", "cuda:1")
    brought = [calibration.brought("cuda").nearest(*size).fastest for size in INVENTED]
    for place in places:  # what edcore expects, without a user's table
        assert taken(place) == [next(name for name in names if name in ("numba", "cupy")) for names in brought]
    with pytest.raises(SystemExit) as raised:
        main(["bench", "--calibrate", "--device", device])
    assert raised.value.code == 0
    assert str(calibration.user_file("cuda")) in capsys.readouterr().out
    assert not calibration.user_file("cpu").exists()
    assert a_gpu == [(("numba", "cupy", "torch"), device)] * len(INVENTED)
    rows = {(row.width, row.batch): (row.fastest, row.ms) for row in calibration.calibration("cuda").rows}
    assert rows.keys() == INVENTED.keys()
    assert rows[512, 1] == (("torch", "numba", "cupy", "jax"), (2, 3, 9))  # what was not measured comes last
    assert rows[1024, 64] == (("torch", *(name for name in brought[-1] if name != "torch")), (9,))
    for place in places:
        assert taken(place) == ["numba", "cupy", "numba", "numba", "cupy", "cupy"]  # torch has its own arrays only
    order = [[one.info.name for one in preferences(512, "cuda:1", "torch", batch=n).candidates] for n in (1, 64)]
    assert order == [["torch", "numba"], ["numba", "torch"]]
    found = [(one.name, one.ms) for one in explain(Network(2, 512), Rule(), batch=1) if one.device == "cuda"]
    assert found == [("numba", 3), ("cupy", 9)]


@pytest.mark.parametrize("beside", [["numpy"], ["--width", "3"], ["--markdown"]])
def test_what_is_measured_cannot_be_changed(measured, capsys, beside):
    with pytest.raises(SystemExit) as raised:
        main(["bench", "--calibrate", *beside])
    assert raised.value.code == 2
    assert re.search(r"--calibrate.*; accepted: .*--device.*--repeats", capsys.readouterr().err)
    assert not measured


def test_a_real_measurement(monkeypatch, tmp_path):
    monkeypatch.setattr(calibrate, "WIDTHS", (2,))
    monkeypatch.setattr(calibrate, "BATCHES", (3,))
    monkeypatch.setattr(calibrate, "BACKENDS", ("numpy",))
    monkeypatch.setattr(calibrate, "DEEPEST", 2)
    monkeypatch.setattr(machine, "CPU", machine.Sizes(4, 64, 1))
    row = calibrate.calibrate("cpu", 1).rows[0]
    assert (row.width, row.batch, row.fastest) == (2, 3, ("numpy",))
    assert row.ms[0] > 0
