"""The summary of a sweep: its means, the file that it is made of, and its picture."""

import csv
import json
import math
from pathlib import Path
from statistics import fmean, stdev

import pytest

from edcore.errors import DataFileError, EDCoreError, InputError
from edcore.sweep import Results, Sweep, summarise
from edcore.sweep.summary import MOST

OPTIONS = {"dataset": "xor", "rule": "kaneko", "backend": "numpy", "epochs": 200, "tolerance": 0.1}
GRID = {"width": [2, 4], "alpha": [0.4, 0.8]}
T = 4.302652729911275  # Student's t of 95 % for 2 degrees of freedom, by a table


@pytest.fixture(scope="module")
def sweep():
    return Sweep(OPTIONS, GRID, seeds=3)


@pytest.fixture(scope="module")
def rows(sweep):
    return list(sweep.rows(n_jobs=1))


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write(path, sweep, rows):
    with Results(path, sweep) as results:
        for row in rows:
            results.add(row)


def test_each_point_has_the_means_of_its_seeds(sweep, rows):
    found = summarise(rows)
    assert found.by == ("width", "alpha")
    assert [tuple(point.options.values()) for point in found.points] == [(2, 0.4), (2, 0.8), (4, 0.4), (4, 0.8)]
    for point in found.points:
        own = [row for row in rows if all(row[name] == value for name, value in point.options.items())]
        for name in ("accuracy", "learnt_epochs"):
            values, mean = [row[name] for row in own], getattr(point, name)
            assert mean.value == pytest.approx(fmean(values))
            assert mean.half == pytest.approx(T * stdev(values) / math.sqrt(3))
        assert (point.runs, point.failed) == (3, 0)
    assert summarise(iter(reversed(rows)), sweep) == found


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_file_says_what_its_rows_say(sweep, rows, ending):
    if ending == "parquet":
        pytest.importorskip("pyarrow")
    write(f"xor.{ending}", sweep, rows)
    found = summarise(f"xor.{ending}")
    assert found == summarise(rows)
    assert summarise(Path(f"xor.{ending}"), sweep) == found
    if ending == "csv":
        with open("xor.csv", newline="") as file:
            assert summarise(csv.DictReader(file), sweep) == found
        whole = Path("xor.csv").read_bytes()
        Path("cut.csv").write_bytes(whole[:-9])
        assert sum(point.runs for point in summarise("cut.csv").points) == 11


def test_options_that_are_the_same_in_all_runs_are_no_columns():
    options = {**OPTIONS, "epochs": 2, "rms": False, "activation": "sigmoid"}
    alone = Sweep(options, {"width": [4]}, seeds=2)
    rows = list(alone.rows(n_jobs=1))
    (point,) = summarise(rows).points
    assert (point.options, point.runs) == ({}, 2)
    assert summarise(rows, alone).by == ("width",)
    wide = Sweep({k: v for k, v in options.items() if k != "rms"}, {"rms": [True, False]}, seeds=1)
    write("rms.csv", wide, wide.rows(n_jobs=1))
    assert [point.options for point in summarise("rms.csv").points] == [{"rms": True}, {"rms": False}]
    assert summarise([]).points == ()


def test_runs_that_failed_are_counted_and_left_out():
    sweep = Sweep({**OPTIONS, "epochs": 2}, {"width": [2, 0]}, seeds=2)
    good, bad = summarise(sweep.rows(n_jobs=1)).points
    assert (good.runs, good.failed, bad.runs, bad.failed) == (2, 0, 2, 2)
    assert bad.accuracy is bad.learnt_epochs is None
    lines = str(summarise(sweep.rows(n_jobs=1))).splitlines()
    assert " ".join(lines[0].split()) == "width runs failed accuracy ± 95 % learnt epochs ± 95 %"
    assert lines[2].split() == ["0", "2", "2", "–", "–", "–", "–"]


def test_a_point_without_a_run_is_there_if_the_sweep_is_known(sweep, rows):
    found = summarise(rows[:1], sweep)
    assert [point.runs for point in found.points] == [1, 0, 0, 0]
    assert found.points[0].accuracy.half is None
    assert str(found).splitlines()[1].split()[-1] == "–"
    assert found.to_dict()[1] == {
        "width": 2,
        "alpha": 0.8,
        "runs": 0,
        "failed": 0,
        **dict.fromkeys(("accuracy", "accuracy_low", "accuracy_high")),
        **dict.fromkeys(("learnt_epochs", "learnt_epochs_low", "learnt_epochs_high")),
    }


def test_a_long_table_says_what_it_leaves_out():
    sweep = Sweep(OPTIONS, {"width": list(range(1, MOST + 4))})
    lines = str(summarise([], sweep)).splitlines()
    assert len(lines) == MOST + 2
    assert lines[-1].startswith("… and 3 more")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: 5, "rows: given 5; accepted: the file of a sweep"),
        (lambda rows: {"run": 1}, "rows: given "),
        (lambda rows: [1, 2], "rows: given 1; accepted: rows of Sweep.rows"),
        (lambda rows: [{"run": 1}], "rows: given "),
        (lambda rows: [{**rows[0], "run": "x"}], "rows: given "),
        (lambda rows: [{**rows[0], "accuracy": None}], "rows: given "),
        (lambda rows: [*rows, rows[0]], "rows: given two rows of run"),
        (lambda rows: [{**rows[0], "seed": None}], "rows: given "),
        (lambda rows: "xor.txt", "rows: given 'xor.txt'; accepted: a file of edcore sweep"),
    ],
)
def test_what_is_no_row_is_refused(rows, change, message):
    with pytest.raises(InputError, match=f"^{message}"):
        summarise(change(rows))


def test_a_seed_counts_once(rows):
    other = list(Sweep(OPTIONS, {"width": [4, 8], "alpha": [0.4]}, seeds=3).rows(n_jobs=1))
    with pytest.raises(InputError, match="^rows: given 6 runs of 3 seeds with width 4, alpha 0.4; accepted: one run"):
        summarise([*rows, *other])
    assert [point.runs for point in summarise([*rows, *other[1::2]]).points] == [3] * 5


def test_rows_of_another_sweep_are_refused(rows):
    with pytest.raises(InputError, match="^rows: given run .* of sweep .*; accepted: rows of this sweep"):
        summarise(rows, Sweep(OPTIONS, {"width": [2, 8]}, seeds=3))
    with pytest.raises(InputError, match="^sweep: given 5"):
        summarise(rows, 5)


@pytest.mark.parametrize("content", [b"a,b\n1,2\n", b"run,seed\n\xff\n", b'run\n"1\n', b"\0" * 100 + b"\n"])
def test_another_file_is_refused(content):
    Path("other.csv").write_bytes(content)
    with pytest.raises(EDCoreError, match="rows|other.csv"):
        summarise("other.csv")


def test_a_file_that_cannot_be_read_is_refused():
    with pytest.raises(DataFileError, match="none.csv cannot be read"):
        summarise("none.csv")
    pytest.importorskip("pyarrow")
    Path("bad.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataFileError, match="bad.parquet is not a Parquet file"):
        summarise("bad.parquet")


# The command.


@pytest.fixture
def config():
    lines = ["seeds = 3", "[train]", *(f"{name} = {json.dumps(value)}" for name, value in OPTIONS.items())]
    Path("xor.toml").write_text("\n".join([*lines, "[grid]", "width = [2, 4]"]))
    return "xor.toml"


def test_the_command_ends_with_the_table_also_of_a_finished_file(command_line, config):
    code, out, _ = command_line("sweep", config, "--jobs", "1")
    assert code == 0
    table = str(summarise("xor.csv")).splitlines()
    assert [line.rstrip() for line in out.splitlines()][-3:] == table
    code, out, _ = command_line("sweep", config, "--jobs", "1")
    assert [line.rstrip() for line in out.splitlines()][-3:] == table
    code, out, _ = command_line("sweep", config, "--jobs", "1", "--json")
    assert json.loads(out)["points"] == summarise("xor.csv").to_dict()


def test_the_command_draws_the_means(command_line, config):
    pytest.importorskip("matplotlib")
    code, out, _ = command_line("sweep", config, "--jobs", "1", "--plot", "xor.svg")
    assert code == 0
    assert "drawing xor.svg" in out
    assert Path("xor.svg").read_bytes().startswith(b"<?xml")
    code, _, err = command_line("sweep", config, "--plot", "xor.svg")
    assert (code, "--force overwrites it" in err) == (2, True)
    assert command_line("sweep", config, "--jobs", "1", "--plot", "xor.svg", "--force")[0] == 0
    code, _, err = command_line("sweep", config, "--plot", "xor.gif")
    assert (code, err.startswith("edcore: --plot: given 'xor.gif'")) == (2, True)


def test_of_failed_runs_alone_nothing_is_drawn(command_line):
    pytest.importorskip("matplotlib")
    train = 'dataset = "xor"\nbackend = "numpy"\nactivation = "linear"\nepochs = 500'
    Path("bad.toml").write_text(f"[train]\n{train}\n[grid]\nalpha = [1e17, 1e18]\n")
    code, out, _ = command_line("sweep", "bad.toml", "--jobs", "1", "--plot", "bad.png")
    assert code == 1
    assert "bad.png is not drawn, as no run has learnt" in out
    assert not Path("bad.png").exists()


# The picture.


def test_a_picture_has_a_curve_for_each_combination(rows):
    pytest.importorskip("matplotlib")
    from edcore import plots

    summary = summarise(rows)
    accuracy, epochs = summary.plot().axes
    assert (accuracy.get_xlabel(), accuracy.get_ylabel(), epochs.get_ylabel()) == ("width", "accuracy", "learnt epochs")
    first, second = epochs.containers
    assert (first.get_label(), second.get_label()) == ("alpha 0.4", "alpha 0.8")
    assert first.lines[0].get_xdata().tolist() == [2, 4]
    assert first.lines[0].get_ydata().tolist() == [summary.points[n].learnt_epochs.value for n in (0, 2)]
    low, high = (line.get_ydata() for line in first.lines[1])
    assert high[0] - low[0] == pytest.approx(2 * summary.points[0].learnt_epochs.half)
    assert len(plots.sweep(summary, of="accuracy").axes) == 1


def test_options_that_are_no_numbers_are_rows(rows):
    pytest.importorskip("matplotlib")
    from edcore import plots

    sweep = Sweep({**OPTIONS, "epochs": 2} | {"rule": "split"}, {"activation": ["sigmoid", "tanh"]}, seeds=2)
    (ax,) = plots.sweep(summarise(sweep.rows(n_jobs=1)), of="accuracy").axes
    assert [label.get_text() for label in ax.get_yticklabels()] == ["activation sigmoid", "activation tanh"]
    (ax,) = plots.sweep(summarise(rows[:1])).axes
    assert [label.get_text() for label in ax.get_yticklabels()] == ["all runs"]
    wide = Sweep({**OPTIONS, "epochs": 2}, {"alpha": [0.01, 0.1, 1.0]}, seeds=1)
    (ax,) = plots.sweep(summarise(wide.rows(n_jobs=1))).axes
    assert ax.get_xscale() == "log"
    assert [label.get_text() for label in ax.get_xticklabels()] == ["0.01", "0.1", "1"]


def test_what_cannot_be_drawn_is_refused(sweep, rows):
    pytest.importorskip("matplotlib")
    from edcore import plots

    with pytest.raises(InputError, match="^summary: given list"):
        plots.sweep(rows)
    with pytest.raises(InputError, match="^summary: given no run that has learnt"):
        plots.sweep(summarise([], sweep))
    with pytest.raises(InputError, match="^of: given 'loss'"):
        plots.sweep(summarise(rows), of="loss")
    many = [{**rows[0], "run": run, "alpha": run / 100, "width": 2 + run % 30} for run in range(60)]
    with pytest.raises(InputError, match="^summary: given .* curves; accepted: at most 24"):
        plots.sweep(summarise([{**row, "depth": row["run"] % 50} for row in many]))
