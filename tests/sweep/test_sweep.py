"""Sweeps: which runs there are, a row for each, and a file of rows that survives whatever stops the sweep."""

import contextlib
import copy
import csv
import dataclasses
import hashlib
import json
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import edcore
from edcore.errors import DataFileError, EDCoreError, InputError, LockedError, UnknownNameError
from edcore.parallel import tasks
from edcore.sweep import Results, Sweep, one_run, results

pytestmark = pytest.mark.usefixtures("in_a_folder_of_its_own")

TRAIN = {"dataset": "xor", "rule": "kaneko", "backend": "numpy", "epochs": 4}
CONFIG = """
seeds = 3

[train]
dataset = "xor"
rule = "kaneko"
backend = "numpy"
epochs = 4

[grid]
width = [2, 3]
alpha = [0.5, 1]
"""


@pytest.fixture
def config():
    Path("xor.toml").write_text(CONFIG)
    return "xor.toml"


def rows_of(path):
    """Return the rows of a .csv by their runs, but for what differs from one time to the next."""
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    assert len({row["run"] for row in rows}) == len(rows)
    return {row["run"]: {key: value for key, value in row.items() if key != "seconds"} for row in rows}


def test_the_runs_are_all_combinations_with_each_seed(config):
    sweep = Sweep.read(config)
    assert len(sweep) == 12
    assert sweep.points == (
        {"width": 2, "alpha": 0.5},
        {"width": 2, "alpha": 1.0},
        {"width": 3, "alpha": 0.5},
        {"width": 3, "alpha": 1.0},
    )
    assert [(sweep.run(n).seed, sweep.run(n).options.width) for n in (0, 3, 4, 11)] == [
        (0, 2),
        (0, 3),
        (1, 2),
        (2, 3),
    ]


def test_more_seeds_leave_the_runs_that_were_there_as_they_are():
    few, many = Sweep(TRAIN, {"width": [2, 3]}, 2), Sweep(TRAIN, {"width": [2, 3]}, 5)
    assert [few.run(n) for n in range(4)] == [many.run(n) for n in range(4)]
    assert few.fingerprint == many.fingerprint


def test_a_sweep_without_a_grid_is_one_run_for_each_seed():
    assert [Sweep(TRAIN, seeds=[7, 5]).run(n).seed for n in range(2)] == [7, 5]


def test_names_may_have_hyphens_and_classes_may_be_a_list():
    sweep = Sweep({"batch-size": 4, "classes": [3, 7]}, {"initial-fan-in": [0, 0.5]})
    assert sweep.train == {"batch_size": 4, "classes": "3,7"}
    assert sweep.grid == {"initial_fan_in": (0.0, 0.5)}


@pytest.mark.parametrize(
    "other",
    [
        Sweep(TRAIN | {"epochs": 5}, {"width": [2, 3]}),
        Sweep(TRAIN, {"width": [3, 2]}),
        Sweep(TRAIN, {"width": [2, 3], "depth": [0]}),
    ],
)
def test_another_option_is_another_sweep(other):
    assert other.fingerprint != Sweep(TRAIN, {"width": [2, 3]}).fingerprint


@pytest.mark.parametrize(
    ("train", "grid", "seeds", "sentence"),
    [
        ({"widht": 3}, {}, 1, r"train: given 'widht'; accepted: .* Did you mean 'width'\?"),
        ({"seed": 3}, {}, 1, r"train: given 'seed'; accepted: .* seeds = 10"),
        ({}, {"seeds": [1]}, 1, r"grid: given 'seeds'; accepted: .* above all tables"),
        ({"eval-every": 3}, {}, 1, r"train: given 'eval-every'; accepted: .* once"),
        ({"checkpoint": "x"}, {}, 1, "train: given 'checkpoint'"),
        ({"width": "3"}, {}, 1, "train, width: given '3'; accepted: a whole number"),
        ({"width": True}, {}, 1, "train, width: given True; accepted: a whole number"),
        ({"alpha": "x"}, {}, 1, "train, alpha: given 'x'; accepted: a number"),
        ({"rms": 1}, {}, 1, "train, rms: given 1; accepted: true or false"),
        ({"rule": 1}, {}, 1, "train, rule: given 1; accepted: a text"),
        ({"data-dir": "a\nb"}, {}, 1, "train, data-dir: .*; accepted: a text of one line"),
        ({"tolerance": -1}, {}, 1, "train, tolerance: given -1.0"),
        ({}, {"width": 3}, 1, "grid, width: given 3; accepted: a list of at least one value"),
        ({}, {"width": []}, 1, "grid, width: given"),
        ({}, {"width": [3, 4, 3]}, 1, "grid, width: given 3; accepted: each value once"),
        ({}, {"alpha": [float("nan")]}, 1, "grid, alpha: given nan"),
        ({}, {"batch-size": [3], "batch_size": [4]}, 1, r"grid, batch_size: given twice in \[grid\]; accepted: "),
        ({"batch-size": 1, "batch_size": 4}, {}, 1, r"train, batch_size: given twice in \[train\]; accepted: "),
        ({"width": 3}, {"width": [3]}, 1, r"grid, width: given twice, in \[train\] and in \[grid\]; accepted: "),
        ({}, {}, 0, "seeds: given 0"),
        ({}, {}, [], "seeds: given"),
        ({}, {}, [1, 1], "seeds: given 1; accepted: each value once"),
        ({}, {}, [2**63], "seeds: given 9223372036854775808"),
        ({}, {}, "3", "seeds: given '3'"),
        ({}, {}, {"a": 1}, "seeds: given {'a': 1}"),
        ({"alpha": 10**400}, {}, 1, "train, alpha: given a number of 1,329 bits; accepted: whole numbers up to 9"),
        ({"width": 2**63}, {}, 1, "train, width: given a number of 64 bits"),
        ({"classes": [1, 16**5000]}, {}, 1, "train, classes: given a number of 20,001 bits"),
        ({}, {"epochs": [1, -(16**5000)]}, 1, "grid, epochs: given a number of 20,001 bits"),
        ({}, {"epochs": 16**5000}, 1, "grid, epochs: given a number of 20,001 bits"),
        ({}, {}, [16**5000], "seeds: given a number of 20,001 bits"),
        ({}, {}, {"a": 16**5000}, "seeds: given a number of 20,001 bits"),
        ({}, {}, 10**12, "seeds: given 1,000,000,000,000 of them; accepted: at most 10,000,000 for this grid"),
        ({}, {"width": [2, 3]}, 5_000_001, "seeds: given 5,000,001 of them; accepted: at most 5,000,000"),
        (
            {},
            {name: list(range(1000)) for name in ("width", "depth", "epochs")},
            1,
            "grid: given 1,000,000,000 combinations; accepted: a sweep of at most 10,000,000 runs",
        ),
    ],
)
def test_what_is_no_sweep_is_refused(train, grid, seeds, sentence):
    with pytest.raises(InputError, match=f"^{sentence}"):
        Sweep(train, grid, seeds)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("seeds = ", r"^xor\.toml is not TOML \("),
        ("\xff", r"^xor\.toml is not TOML \(.*UTF-8"),
        ("train = 0x1" + 5000 * "0", r"xor\.toml, train: given a number of 20,001 bits"),
        ("train = 3", r"xor\.toml, train: given 3; accepted: a table"),
        ("[tain]", r"xor\.toml: given 'tain'; .* Did you mean 'train'\?"),
        ("[grid]\nwidht = [3]", r"xor\.toml, grid: given 'widht'; .* Did you mean 'width'\?"),
    ],
)
def test_a_file_that_tells_of_no_sweep_is_refused(text, sentence):
    Path("xor.toml").write_bytes(text.encode("latin-1"))
    with pytest.raises(EDCoreError, match=sentence):
        Sweep.read("xor.toml")


def checksum(weights):
    """Return the column ``weights``, as another program would compute it."""
    sha256 = hashlib.sha256()
    for key, value in weights.items():
        sha256.update(f"{key} {value.dtype} {value.shape} ".encode())
        sha256.update(value.astype(value.dtype.newbyteorder("<")).tobytes())
    return sha256.hexdigest()


def test_a_row_tells_what_came_out_of_a_run():
    sweep = Sweep(TRAIN | {"tolerance": 0.1, "epochs": 500, "width": 4})
    (row,) = sweep.rows(n_jobs=1)
    data = edcore.datasets.xor()
    ed = edcore.ED(2, hidden_width=4, rule="kaneko", seed=0, backend="numpy")
    ed.fit(data.x_train, data.y_train, epochs=500, tolerance=0.1)
    assert row["seconds"] > 0
    assert (row["run"], row["seed"], row["width"], row["failed"]) == (0, 0, 4, None)
    assert (row["accuracy"], row["learnt_epochs"]) == (1.0, ed.epochs[0])
    assert row["error"] == pytest.approx(abs(data.y_train - ed.predict(data.x_train)).mean())
    assert (row["backend"], row["device"]) == ("numpy", "cpu")
    assert row["weights"] == checksum(ed.weights)


def test_the_checksum_is_that_of_version_0_1():
    (row,) = Sweep({"dataset": "xor", "width": 2, "depth": 0, "backend": "loop", "epochs": 1}).rows(n_jobs=1)
    assert row["weights"] == "f48ef12130d38aad181ab33afd7d51ec59ec9f4ce05223a39f67490860819555"


def test_a_run_has_the_batches_of_edcore_train(command_line):
    code, out, _ = command_line(
        *("train", "--dataset", "parity3", "--rule", "split", "--width", "3", "--depth", "1", "--seed", "4"),
        *("--epochs", "3", "--batch-size", "3", "--backend", "loop", "--checkpoint", "net", "--json"),
    )
    assert code == 0
    train = {"dataset": "parity3", "rule": "split", "width": 3, "depth": 1, "epochs": 3, "batch_size": 3}
    (row,) = Sweep(train | {"backend": "loop"}, seeds=[4]).rows(n_jobs=1)
    assert row["accuracy"] == json.loads(out)["accuracy"]
    assert row["weights"] == checksum(edcore.io.load("net").weights)


def test_a_run_that_fails_is_a_row_and_not_the_end(monkeypatch):
    def surprise(*arguments, **options):
        raise ZeroDivisionError("of a\nbackend's")

    grid = {"width": [2, 0], "activation": ["sigmoid", "linear"]}
    sweep = Sweep(TRAIN | {"rule": "signed", "depth": 2, "alpha": 1e18, "epochs": 60}, grid)
    rows = {row["run"]: row for row in sweep.rows(n_jobs=1)}
    assert rows[0]["failed"] is None
    assert rows[1]["failed"].startswith("learning has diverged")
    assert rows[1]["weights"] is None
    assert rows[2]["failed"].startswith("hidden_width: given 0")
    monkeypatch.setattr(edcore.ED, "fit", surprise)
    (row,) = sweep.rows(n_jobs=1, done={1, 2, 3})
    assert row["failed"] == "ZeroDivisionError: of a backend's"


@pytest.mark.parametrize("ending", ["csv", "parquet"])
@pytest.mark.parametrize(
    ("said", "written"),
    [
        ('a, "b"\nc\rd', 'ValueError: a, "b" c d'),
        ("\udcff.bin", r"ValueError: \udcff.bin"),  # a name of a file that is no UTF-8
        ("x" * 200_000, "ValueError: " + "x" * 1986 + " …"),
        ("\x1b[31mred\0\u2028", r"ValueError: \x1b[31mred\x00"),
    ],
)
def test_whatever_an_error_says_the_sweep_goes_on_in_its_file(monkeypatch, ending, said, written):
    if ending == "parquet":
        pytest.importorskip("pyarrow")

    def surprise(*arguments, **options):
        raise ValueError(said)

    monkeypatch.setattr(edcore.ED, "fit", surprise)
    sweep = Sweep(TRAIN)
    with Results(f"xor.{ending}", sweep) as kept:
        for row in sweep.rows(n_jobs=1):
            kept.add(row)
    with Results(f"xor.{ending}", sweep) as kept:
        assert (kept.done, kept.failed) == ({0}, 1)
        assert [row["failed"] for row in kept._table.rows] == [written]


def test_a_worker_with_another_version_ends_the_sweep():
    class Other(Sweep):
        def run(self, number):
            run = super().run(number)
            return dataclasses.replace(run, version="99") if number else run

    rows = Other(TRAIN, seeds=3).rows(n_jobs=1)
    assert next(rows)["run"] == 0
    with pytest.raises(EDCoreError, match=f"edcore {edcore.__version__}.* 99"):
        next(rows)


def test_a_sweep_none_of_whose_runs_could_begin_is_refused():
    Sweep(TRAIN, {"width": [0, 2]}).check()
    with pytest.raises(InputError, match="hidden_width: given 0"):
        Sweep(TRAIN | {"width": 0}).check()
    with pytest.raises(UnknownNameError, match="backend"):
        Sweep(TRAIN | {"backend": "nmpy"}).check()
    Sweep(TRAIN | {"backend": "nmpy"}).check(local=False)
    with pytest.raises(DataFileError):
        Sweep({"dataset": "mnist"}).check()
    Sweep({"dataset": "mnist"}).check(local=False)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_what_is_missing_is_added_and_nothing_else(ending):
    if ending == "parquet":
        pytest.importorskip("pyarrow")
    sweep, path = Sweep(TRAIN, {"width": [2, 3], "rms": [True, False]}, 2), f"xor.{ending}"
    with Results(path, sweep) as first:
        for row in sweep.rows(n_jobs=1):
            first.add(row)
            first.add(row | {"accuracy": -1.0})
            if len(first.done) == 3:
                break
    with Results(path, sweep) as second:
        assert second.done == first.done
        found = list(sweep.rows(n_jobs=1, done=second.done))
        assert len(found) == len(sweep) - 3
        for row in found:
            second.add(row)
    with Results(path, sweep) as third:
        assert third.done == set(range(len(sweep)))
        assert third.failed == 0
    if ending == "parquet":
        from pyarrow import parquet

        table = parquet.read_table(path)
        assert sorted(table["run"].to_pylist()) == list(range(8))
        assert set(table["rms"].to_pylist()) == {True, False}
        assert min(table["accuracy"].to_pylist()) >= 0
    else:
        rows = rows_of(path)
        assert sorted(map(int, rows)) == list(range(8))
        assert {row["rms"] for row in rows.values()} == {"True", "False"}


def test_a_file_cut_anywhere_loses_the_cut_line_alone():
    sweep = Sweep(TRAIN, seeds=3)
    with Results("whole.csv", sweep) as kept:
        for row in sweep.rows(n_jobs=1):
            kept.add(row)
    content = Path("whole.csv").read_bytes()
    whole = rows_of("whole.csv")
    header = content.index(b"\n") + 1
    for cut in [0, *range(header, len(content), 7)]:
        Path("cut.csv").write_bytes(content[:cut])
        with Results("cut.csv", sweep) as kept:
            assert len(kept.done) == max(content[:cut].count(b"\n") - 1, 0)
            for row in sweep.rows(n_jobs=1, done=kept.done):
                kept.add(row)
        assert rows_of("cut.csv") == whole


@pytest.mark.parametrize("content", ["r", "run", "run,seed", "run,seed,dataset,rule,epochs,", "whole but for its end"])
def test_what_may_be_a_file_of_another_program_stays_though_it_begins_as_a_table(content):
    # The header is written as a whole, so a crash leaves none that is cut.
    sweep = Sweep(TRAIN)
    if "whole" in content:
        with Results("xor.csv", sweep):
            pass
        content = Path("xor.csv").read_text().rstrip("\n")
    Path("xor.csv").write_text(content)
    with (
        pytest.raises(DataFileError, match=r"^xor\.csv has a part of a header, and no rows\. Remove it, or "),
        Results("xor.csv", sweep),
    ):
        pass
    assert Path("xor.csv").read_text() == content


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_row_that_could_not_be_read_again_is_not_written(ending):
    if ending == "parquet":
        pytest.importorskip("pyarrow")
    sweep, path = Sweep(TRAIN, {"width": [2, 3]}, [7, 5]), f"xor.{ending}"
    rows = list(sweep.rows(n_jobs=1))
    with Results(path, sweep) as kept:
        kept.add(rows[0])
        kept.save()
        before = Path(path).read_bytes()
        for name, value, sentence in [
            ("run", 77, "given 77; accepted: the number of a run, from 0 to 3"),
            ("run", -1, "given -1; accepted: the number of a run, from 0 to 3"),
            ("run", None, "given None; accepted: the number of a run, from 0 to 3"),
            ("run", "x", "given 'x'; accepted: a whole number"),
            ("run", True, "given True; accepted: a whole number"),
            ("run", 16**5000, "given a number of 20,001 bits"),
            ("seed", 9, "given 9; accepted: 7, as run 1 of this sweep has"),
            ("width", 64, "given 64; accepted: 3, as run 1 of this sweep has"),
            ("rule", None, "given None; accepted: 'kaneko', as run 1 of this sweep has"),
            ("sweep", "zzz", f"given 'zzz'; accepted: '{sweep.fingerprint}', as run 1 of this sweep has"),
            ("accuracy", object(), "given <object object at .*; accepted: a number"),
            ("accuracy", "1.0", "given '1.0'; accepted: a number"),
            ("learnt_epochs", 2**63, "given a number of 64 bits"),
            ("learnt_epochs", 1.0, "given 1.0; accepted: a whole number"),
            ("failed", "\udc80", r"given '\\udc80'; accepted: a text of one line"),
            ("failed", "a\nb", "given .*; accepted: a text of one line"),
            ("weights", 200_000 * "x", "given 'xxx.*; accepted: a text of one line, of at most 100,000 characters"),
        ]:
            with pytest.raises(InputError, match=f"^row, {name}: {sentence}"):
                kept.add(rows[1] | {name: value})
        with pytest.raises(InputError, match="^row, seed: given 7; accepted: 5, as run 2 of this sweep has"):
            kept.add(rows[1] | {"run": 2})
        for row in 5, None, [], {}, {name: value for name, value in rows[1].items() if name != "error"}:
            with pytest.raises(
                InputError, match=r"^row: given .*; accepted: a row of Sweep\.rows, which has run, seed"
            ):
                kept.add(row)
        kept.save()
        assert Path(path).read_bytes() == before
        assert (kept.done, kept.failed) == ({0}, 0)
        kept.add(rows[1])
    with Results(path, sweep) as kept:
        assert (kept.done, kept.failed) == ({0, 1}, 0)


def test_a_row_may_have_the_numbers_of_numpy():
    sweep = Sweep(TRAIN, {"alpha": [0.5, 1]})
    with Results("python.csv", sweep) as python, Results("numpy.csv", sweep) as numpy:
        for row in sweep.rows(n_jobs=1):
            python.add(row)
            numpy.add({name: value if value is None else np.asarray(value)[()] for name, value in row.items()})
    assert Path("numpy.csv").read_bytes() == Path("python.csv").read_bytes()


def test_rows_are_added_within_the_block_alone():
    sweep = Sweep(TRAIN)
    (row,) = sweep.rows(n_jobs=1)
    kept = Results("xor.csv", sweep)
    for _ in range(2):
        for outside in lambda: kept.add(row), kept.save:
            with pytest.raises(InputError, match="^results: given a file that is not open"):
                outside()
        with kept:
            kept.add(row)
        assert (kept.done, kept.failed) == ({0}, 0)
    assert len(rows_of("xor.csv")) == 1


def test_what_is_done_is_read_only_and_a_copy_is_ready_for_the_file():
    sweep = Sweep(TRAIN)
    with Results("xor.csv", sweep) as kept:
        for row in sweep.rows(n_jobs=1):
            kept.add(row)
    assert not hasattr(kept.done, "clear")
    with pytest.raises(TypeError):
        kept.columns["more"] = int
    for other in copy.deepcopy(kept), pickle.loads(pickle.dumps(kept)):
        assert (other.done, other.columns) == (set(), kept.columns)
        with other:
            assert other.done == {0}


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda sweep: Results(5, sweep), "out: given 5; accepted: the path of a file"),
        (lambda sweep: Results(None, sweep), "out: given None; accepted: the path of a file"),
        (lambda sweep: Results("a\0.csv", sweep), r"out: given 'a\\x00\.csv'; accepted: the path of a file"),
        (lambda sweep: Results("a.csv", "x"), "sweep: given 'x'; accepted: an edcore"),
        (lambda sweep: Sweep(5), "train: given 5; accepted: a dictionary"),
        (lambda sweep: Sweep({}, 5), "grid: given 5; accepted: a dictionary"),
        (lambda sweep: Sweep({}, []), r"grid: given \[\]; accepted: a dictionary"),
        (lambda sweep: Sweep({1: 2}), "train: given 1; accepted: 'activation'"),
        (lambda sweep: Sweep({}, {16**5000: [2]}), "grid: given a value of type int; accepted: 'activation'"),
        (lambda sweep: Sweep({"alpha": float("nan")}), "train, alpha: given nan; accepted: a number other than NaN"),
        (lambda sweep: Sweep({"data_dir": 200_000 * "x"}), "train, data_dir: given 'xxx"),
        (lambda sweep: Sweep({}, {"width": b"ab"}), "grid, width: given b'ab'; accepted: a list"),
        (lambda sweep: Sweep({}, {"width": range(1, 10**30)}), "grid, width: given range"),
        (lambda sweep: Sweep({}, {"depth": np.ones((2, 2), int)}), r"grid, depth: given \[1, 1\]; accepted: a whole"),
        (lambda sweep: Sweep({"width": np.ndarray}), "train, width: given <class 'numpy.ndarray'>; accepted: a whole"),
        (lambda sweep: Sweep({}, {}, b"ab"), "seeds: given b'ab'"),
        (lambda sweep: Sweep({}, {}, np.float64(2)), "seeds: given 2.0"),
        (lambda sweep: Sweep({}, {}, range(10**30)), "seeds: given range"),
        (lambda sweep: Sweep.read(5), "path: given 5; accepted: the path of a file"),
        (lambda sweep: Sweep.read("a\0"), r"path: given 'a\\x00'; accepted: the path of a file"),
        (lambda sweep: sweep.run(1), "number: given 1; accepted: the number of a run, from 0 to 0"),
        (lambda sweep: sweep.run(-1), "number: given -1"),
        (lambda sweep: sweep.check("no"), "local: given 'no'"),
        (lambda sweep: list(sweep.rows(done=5)), "done: given 5; accepted: a collection of numbers"),
        (lambda sweep: list(sweep.rows(done="01")), "done: given '01'; accepted: a collection of numbers"),
        (lambda sweep: list(sweep.rows(done=["0"])), "done: given '0'; accepted: a whole number"),
        (lambda sweep: list(sweep.rows(n_jobs=0)), "n_jobs: given 0"),
    ],
)
def test_what_is_no_argument_is_refused_by_its_name(call, sentence):
    with pytest.raises(InputError, match=f"^{sentence}"):
        call(Sweep(TRAIN))


def test_the_numbers_of_numpy_are_those_of_python():
    python = Sweep({"width": 3, "rms": True, "classes": "3,7"}, {"alpha": [0.5, 2], "rule": ["edla", "split"]}, 2)
    numpy = Sweep(
        {"width": np.int64(3), "rms": np.True_, "classes": np.array([3, 7])},
        {"alpha": np.array([0.5, 2], np.float32), "rule": np.array(["edla", "split"])},
        np.int8(2),
    )
    assert (numpy.train, numpy.grid, numpy.seeds) == (python.train, python.grid, python.seeds)
    assert numpy.fingerprint == python.fingerprint
    kinds = [type(value) for value in (*numpy.train.values(), *numpy.grid["alpha"], *numpy.grid["rule"])]
    assert kinds == [int, bool, str, float, float, str, str]
    assert Sweep({"alpha": np.longdouble(0.5)}).fingerprint == Sweep({"alpha": 0.5}).fingerprint
    assert Sweep({}, {"width": np.arange(2, 4)}, np.array([5, 3], np.uint8)).seeds == (5, 3)
    assert Sweep({}, {"width": range(2, 4)}, range(4, 6)).run(3) == Sweep({}, {"width": [2, 3]}, [4, 5]).run(3)


def test_a_parquet_without_pyarrow_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with (
        pytest.raises(
            EDCoreError, match=r'^xor\.parquet needs the package pyarrow.* pip install "edcore\[parquet\]"\.$'
        ),
        Results("xor.parquet", Sweep(TRAIN)),
    ):
        pass
    assert not list(Path().iterdir())


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda text: text.replace(",1,", ","), "is damaged. Remove it"),
        (lambda text: text.replace("\n1,1,", "\nx,1,"), "line 3 is damaged"),
        (lambda text: text.replace("\n1,1,", "\n0,0,"), "run 0 has two rows"),
        (lambda text: text.replace("\n1,1,", "\n1,0,"), "run 1 has seed 0"),
        (lambda text: text.replace("\n1,1,", "\n-1,1,"), "run -1 has seed 1"),
        (lambda text: text.replace("\n1,1,", "\n9,1,"), "run 9 has seed 1"),
        (lambda text: text.replace("accuracy", "accurate"), "which has other columns"),
        (lambda text: "something else", "which has other columns"),
        (lambda text: text + '"\x00\n', r"^xor\.csv(, line 5 is damaged| is not a CSV table)"),
        (lambda text: text.replace("kaneko", "\udcff"), r"^xor\.csv is not a CSV table \(.*utf-8"),
    ],
)
def test_a_file_that_is_not_of_the_sweep_is_refused_and_stays(change, sentence):
    sweep = Sweep(TRAIN, seeds=3)
    with Results("xor.csv", sweep) as kept:
        for row in sweep.rows(n_jobs=1):
            kept.add(row)
    content = change(Path("xor.csv").read_text()).encode("utf-8", "surrogateescape")
    Path("xor.csv").write_bytes(content)
    with pytest.raises(EDCoreError, match=sentence), Results("xor.csv", sweep):
        pass
    assert Path("xor.csv").read_bytes() == content


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_rows_of_another_sweep_are_refused_and_stay(ending):
    if ending == "parquet":
        pytest.importorskip("pyarrow")
    path = Path(f"xor.{ending}")
    sweep = Sweep(TRAIN)
    with Results(path, sweep) as kept:
        for row in sweep.rows(n_jobs=1):
            kept.add(row)
    content = path.read_bytes()
    with pytest.raises(InputError, match="with rows of sweep"), Results(path, Sweep(TRAIN | {"epochs": 5})):
        pass
    with pytest.raises(InputError, match="other columns"), Results(path, Sweep(TRAIN | {"width": 5})):
        pass
    assert path.read_bytes() == content


def test_a_damaged_parquet_is_refused_and_stays():
    pytest.importorskip("pyarrow")
    sweep = Sweep(TRAIN, seeds=5)
    with Results("xor.parquet", sweep) as kept:
        for row in sweep.rows(n_jobs=1):
            kept.add(row)
    whole, text = Path("xor.parquet").read_bytes(), sweep.fingerprint.encode()
    assert text in whole
    for damaged in (
        b"PAR1 and no more",
        whole[:-3],
        whole[:4] + bytes(400) + whole[404:],  # PyArrow says each in another way
        whole.replace(text, b"\xff" + text[1:]),
    ):
        Path("xor.parquet").write_bytes(damaged)
        with (
            pytest.raises(DataFileError, match=r"^xor\.parquet .* damaged \("),
            Results("xor.parquet", sweep),
        ):
            pass
        assert Path("xor.parquet").read_bytes() == damaged


def test_a_parquet_whose_run_is_missing_is_refused():
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    sweep = Sweep(TRAIN)
    with Results("xor.parquet", sweep) as kept:
        for row in sweep.rows(n_jobs=1):
            kept.add(row)
    table = parquet.read_table("xor.parquet")
    none = pyarrow.array([None], pyarrow.int64())
    parquet.write_table(table.set_column(0, table.schema.field(0), none), "xor.parquet")
    with pytest.raises(InputError, match="whose run None has seed 0"), Results("xor.parquet", sweep):
        pass


def test_another_ending_is_refused():
    with pytest.raises(InputError, match=r"out: given 'xor\.txt'; accepted: a file whose name ends in \.csv or"):
        Results("xor.txt", Sweep(TRAIN))


def test_a_file_has_one_sweep_at_a_time():
    sweep = Sweep(TRAIN)
    with (
        Results("xor.csv", sweep),
        pytest.raises(LockedError, match="--out"),
        Results("xor.csv", sweep),
    ):
        pass
    with Results("xor.csv", sweep):
        pass


def test_a_full_disk_leaves_no_part_of_a_row():
    resource = pytest.importorskip("resource")
    sweep = Sweep(TRAIN, seeds=3)
    rows = list(sweep.rows(n_jobs=1))
    with Results("xor.csv", sweep) as kept:
        kept.add(rows[0])
        before = Path("xor.csv").read_bytes()
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 5, hard))  # room for a part of the next row
        try:
            with pytest.raises(DataFileError, match=r"^xor\.csv .*\(File too large\)"):
                kept.add(rows[1])
            assert Path("xor.csv").read_bytes() == before
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert kept.done == {0}
        for row in rows:
            kept.add(row)
    assert len(rows_of("xor.csv")) == 3


def test_a_parquet_is_written_on_the_way(monkeypatch):
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr(results, "SHARE", 0)
    sweep = Sweep(TRAIN, seeds=3)
    with Results("xor.parquet", sweep) as kept:
        assert parquet.read_table("xor.parquet").num_rows == 0
        for row in sweep.rows(n_jobs=1):
            kept.add(row)
            assert parquet.read_table("xor.parquet").num_rows == len(kept.done)


def test_the_command_makes_a_file_and_goes_on_with_it(command_line, config):
    code, out, err = command_line("sweep", config, "--jobs", "1")
    assert (code, err) == (0, "")
    assert "xor.csv has 12 of 12 runs\n12 of them were made now, in" in out
    assert "6 of 12 runs, 0 failed, " in out
    whole = rows_of("xor.csv")
    lines = Path("xor.csv").read_bytes().splitlines(keepends=True)
    Path("xor.csv").write_bytes(b"".join(lines[:6]))
    code, out, _ = command_line("sweep", config, "--jobs", "2", "--json")
    result = json.loads(out)
    assert result.pop("seconds") > 0
    assert len(result.pop("points")) == 4
    assert result == {"runs": 12, "done": 12, "failed": 0, "new": 7, "out": "xor.csv"}
    assert rows_of("xor.csv") == whole
    code, out, _ = command_line("sweep", config)
    assert code == 0
    assert "12 of 12 runs are in xor.csv" in out
    assert "0 of them were made now" in out


def test_the_command_tells_of_failures(command_line):
    Path("xor.toml").write_text('[train]\ndataset = "xor"\nbackend = "numpy"\nepochs = 2\n[grid]\nwidth = [2, 0]\n')
    code, out, _ = command_line("sweep", "xor.toml", "--jobs", "1")
    assert code == 1
    assert "1 of them failed: the column failed says why" in out
    assert rows_of("xor.csv")["1"]["failed"].startswith("hidden_width: given 0")
    assert command_line("sweep", "xor.toml", "--jobs", "1")[0] == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["none.toml"], "none.toml cannot be read"),
        (["xor.toml", "--out", "no/xor.csv"], "--out: given 'no/xor.csv'"),
        (
            ["xor.toml", "--out", "xor.txt"],
            "--out: given 'xor.txt'; accepted: a file whose name ends in .csv, .parquet",
        ),
        (["xor.toml", "--jobs", "0"], "--jobs: given 0"),
        (["xor.toml", "--jobs", "2", "--dask", "tcp://x:1"], "--jobs: given two of --jobs, --dask and --ray"),
        (["bad.toml"], "bad.toml: hidden_width: given 0"),
    ],
)
def test_what_the_command_refuses(command_line, config, arguments, sentence):
    Path("bad.toml").write_text("[train]\nwidth = 0\n")
    code, out, err = command_line("sweep", *arguments)
    assert (code, out) == (2, "")
    assert err.startswith(f"edcore: {sentence}")
    assert not list(Path().glob("*.csv"))


@pytest.mark.parametrize(
    ("package", "option"), [("distributed", "--dask"), ("ray", "--ray"), ("pyarrow", "--out of a .parquet")]
)
def test_a_package_that_is_missing_is_named(command_line, config, monkeypatch, package, option):
    monkeypatch.setitem(sys.modules, package, None)
    given = ["--out", "xor.parquet"] if package == "pyarrow" else [option, "tcp://127.0.0.1:1"]
    code, _, err = command_line("sweep", config, *given)
    assert code == 2
    assert err.startswith(f"edcore: {option} needs the package {package}, which is not installed. Install it with: pip")


def test_a_row_that_failed_by_a_signal_is_not_kept(command_line, config, monkeypatch):
    def rows(self, **options):
        with contextlib.suppress(KeyboardInterrupt):  # as a library may
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(60)
        yield {"run": 0, "failed": "whatever a library made of the signal"}

    monkeypatch.setattr(Sweep, "rows", rows)
    code, out, _ = command_line("sweep", config, "--jobs", "1")
    assert code == 143
    assert "xor.csv has 0 of 12 runs" in out


def test_a_signal_while_a_row_is_written_waits_for_its_end(command_line, config, monkeypatch):
    add = Results.add

    def disturbed(self, row):
        os.kill(os.getpid(), signal.SIGINT)
        add(self, row)

    monkeypatch.setattr(Results, "add", disturbed)
    code, out, _ = command_line("sweep", config, "--jobs", "1")
    assert code == 130
    assert "xor.csv has 1 of 12 runs" in out
    assert "stopped before the end: the same command goes on" in out


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals as of POSIX")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_a_sweep_that_is_stopped_goes_on_to_the_same_rows(command_line, number, code):
    Path("xor.toml").write_text(CONFIG.replace("epochs = 4", "epochs = 100").replace("seeds = 3", "seeds = 10"))
    program = [sys.executable, "-m", "edcore", "sweep", "xor.toml", "--jobs", "2"]
    with open("out", "wb") as out, open("err", "wb") as err:
        process = subprocess.Popen(program, stdout=out, stderr=err, start_new_session=True)
    end = time.monotonic() + 60
    while not Path("xor.csv").exists() or Path("xor.csv").read_bytes().count(b"\n") < 3:
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.01)
    process.send_signal(number)
    assert process.wait(60) == code
    if number == signal.SIGKILL:
        os.killpg(process.pid, signal.SIGKILL)  # its workers would wait for work for some minutes
    else:
        assert Path("err").read_bytes() == b""
        assert b"stopped before the end" in Path("out").read_bytes()
    stopped = Path("xor.csv").read_bytes()
    assert 3 <= stopped.count(b"\n") < 41
    assert command_line("sweep", "xor.toml", "--jobs", "2")[0] == 0
    assert Path("xor.csv").read_bytes().startswith(stopped[: stopped.rfind(b"\n") + 1])
    assert command_line("sweep", "xor.toml", "--jobs", "1", "--out", "serial.csv")[0] == 0
    assert rows_of("xor.csv") == rows_of("serial.csv")


def test_the_rows_do_not_depend_on_how_they_are_handed_out(monkeypatch):
    sweep = Sweep(TRAIN, {"width": [2, 3]}, 5)

    def found(**options):
        return sorted((row | {"seconds": 0} for row in sweep.rows(**options)), key=lambda row: row["run"])

    serial = found(n_jobs=1)
    assert found(n_jobs=2) == serial
    monkeypatch.setattr(tasks, "Parallel", lambda **options: tasks_parallel(**options, batch_size=4))
    assert found(n_jobs=2) == serial


tasks_parallel = tasks.Parallel


def mnist_files(folder, scale):
    """Write MNIST's four files with a few samples of three classes."""
    raw = Path(folder) / "MNIST" / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    labels = np.arange(6, dtype=np.uint8) % 3
    images = (np.random.default_rng(0).random((6, 28, 28)) * scale).astype(np.uint8)
    for name in ("train", "t10k"):
        for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
            header = bytes((0, 0, 8, array.ndim)) + np.asarray(array.shape, ">u4").tobytes()
            (raw / f"{name}-{kind}-ubyte").write_bytes(header + array.tobytes())


def test_runs_on_data_that_have_changed_are_marked(tmp_path):
    options = {"dataset": "mnist", "data_dir": str(tmp_path), "width": 2, "depth": 0, "backend": "numpy"}
    sweep = Sweep(options, {"classes": ["0,1", "0,2", "1,2"]}, seeds=2)  # more data than a process keeps
    mnist_files(tmp_path, 255)
    rows = []
    for row in sweep.rows(n_jobs=1):
        rows.append(row)
        if row["run"] == 2:
            mnist_files(tmp_path, 100)
    assert [row["failed"] for row in rows[:3]] == [None] * 3
    sentence = "mnist has other samples here than where the runs before it were made"
    assert [row["failed"] for row in rows[3:]] == [sentence] * 3
    assert {row[name] for row in rows[3:] for name in ("accuracy", "error", "weights")} == {None}
    assert "samples" not in rows[0]


# A user's own table

TABLE = {"data": "t.csv", "target": "y", "backend": "numpy", "epochs": 3}


@pytest.fixture
def table():
    random = np.random.default_rng(0)
    a, b = random.uniform(0, 1, 60).round(3), random.choice(["p", "q"], 60)
    lines = [f"{x},{text},{'yes' if (x > 0.5) == (text == 'p') else 'no'}" for x, text in zip(a, b, strict=True)]
    Path("t.csv").write_text("\n".join(["a,b,y", *lines]) + "\n")


def test_runs_on_a_table_have_the_seeded_split_of_train(table, command_line):
    sweep = Sweep(TABLE, {"width": [2, 3], "alpha": [0.5]}, seeds=2)
    sweep.check()
    rows = sorted(sweep.rows(n_jobs=1), key=lambda row: row["run"])
    assert [(row["run"], row["seed"], row["width"], row["failed"]) for row in rows] == [
        (0, 0, 2, None),
        (1, 0, 3, None),
        (2, 1, 2, None),
        (3, 1, 3, None),
    ]
    assert len({row["weights"] for row in rows}) == 4
    for row in rows[1:3]:
        options = {**TABLE, "width": row["width"], "alpha": 0.5, "seed": row["seed"]}
        _, out, _ = command_line(
            "train", "--json", *(text for pair in options.items() for text in (f"--{pair[0]}", str(pair[1])))
        )
        found = json.loads(out)
        assert (row["accuracy"], row["learnt_epochs"], row["backend"]) == (found["accuracy"], 3, "numpy")


def test_the_rows_of_a_table_are_in_a_file(table, command_line):
    Path("t.toml").write_text('[train]\ndata = "t.csv"\ntarget = "a"\nbackend = "numpy"\n[grid]\nepochs = [1, 2]\n')
    code, _, err = command_line("sweep", "t.toml", "--jobs", "1", "--out", "rows.CSV")
    assert (code, err) == (0, "")
    rows = rows_of("rows.CSV")
    assert [row["learnt_epochs"] for row in rows.values()] == ["1", "2"]
    assert all(-5 < float(row["accuracy"]) < 1 for row in rows.values())  # R²


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dataset": "xor"}, "dataset: given 'xor' beside --data"),
        ({"tolerance": 0.1}, "tolerance: given 0.1 beside --data"),
        ({"target": "c"}, "target: given 'c'; accepted: 'a', 'b', 'y'"),
        ({"data": "none.csv"}, "none.csv: it cannot be read"),
    ],
)
def test_a_sweep_over_a_table_that_cannot_begin_is_refused(table, options, message):
    with pytest.raises(EDCoreError, match=message):
        Sweep({**TABLE, **options}).check()
    (row,) = Sweep({**TABLE, **options}).rows(n_jobs=1)
    assert message in row["failed"]


def test_a_table_that_is_another_elsewhere_fails_its_runs(table):
    rows = Sweep(TABLE, seeds=2).rows(n_jobs=1)
    assert next(rows)["failed"] is None
    lines = Path("t.csv").read_text().splitlines()
    Path("t.csv").write_text("\n".join([*lines, lines[-1]]) + "\n")
    one_run._cached_table.cache_clear()
    assert "t.csv has other samples here" in next(rows)["failed"]
