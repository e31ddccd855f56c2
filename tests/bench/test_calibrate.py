"""`edcore bench --calibrate`: the measurements, and the table made of them."""

import re

import pytest

from edcore import EDCoreError
from edcore.bench import calibrate, machine
from edcore.bench.timings import Benchmark, Timings
from edcore.cli.app import main
from edcore.contract.backend import Availability
from edcore.dispatch import calibration, registry
from edcore.dispatch.calibration import Calibration
from edcore.environment import here

MS = {"numba": (1, 2, 9), "numpy": (3, 4, 5), "torch": (9, 9, 9)}


@pytest.fixture
def measured(monkeypatch):
    """What was asked to be measured; a made-up machine answers."""
    asked = []

    def bench(names, setting, announce):
        asked.append((tuple(names), setting))
        rows = [Timings(name, "cpu", {}, {"step": [ms / 1e3 for ms in MS[name]]}) for name in names if name in MS]
        rows += [Timings(name, reason="it broke") for name in names if name not in MS]
        return Benchmark(here(), setting, machine.Machine("a board", 1e9, "NumPy", 1e8, "NumPy"), "", rows)

    monkeypatch.setattr(calibrate, "bench", bench)
    monkeypatch.setattr(calibrate, "WIDTHS", (8, 512))
    ready = ("numpy", "numba", "jax")
    monkeypatch.setattr(registry, "probe", lambda info, device: Availability(info.name in ready, "it has no driver"))
    return asked


def test_the_table_has_a_row_for_each_width_with_the_fastest_first(measured):
    table = calibrate.calibrate("cpu", 3)
    assert [names for names, _ in measured] == [("numba", "numpy", "jax")] * 2
    assert [(row.width, row.fastest, row.ms) for row in table.rows] == [
        (8, ("numba", "numpy"), (2.0, 4.0)),
        (512, ("numba", "numpy"), (2.0, 4.0)),
    ]
    assert "a board" in table.source
    assert all(setting.repeats == 3 for _, setting in measured)


@pytest.mark.parametrize(("width", "depth"), [(4, 1024), (32, 1024), (64, 256), (512, 4), (1024, 1), (4096, 1)])
def test_wide_layers_are_fewer(width, depth):
    assert calibrate.setting_of(width, 3, "cpu").depth == depth


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


@pytest.mark.parametrize("beside", [["numpy"], ["--width", "3"], ["--markdown"]])
def test_what_is_measured_cannot_be_changed(measured, capsys, beside):
    with pytest.raises(SystemExit) as raised:
        main(["bench", "--calibrate", *beside])
    assert raised.value.code == 2
    assert re.search(r"--calibrate.*; accepted: .*--device.*--repeats", capsys.readouterr().err)
    assert not measured


def test_a_real_measurement(monkeypatch, tmp_path):
    monkeypatch.setattr(calibrate, "WIDTHS", (2,))
    monkeypatch.setattr(calibrate, "BACKENDS", ("numpy",))
    monkeypatch.setattr(calibrate, "DEEPEST", 2)
    monkeypatch.setattr(machine, "CPU", machine.Sizes(4, 64, 1))
    row = calibrate.calibrate("cpu", 1).rows[0]
    assert (row.width, row.fastest) == (2, ("numpy",))
    assert row.ms[0] > 0
