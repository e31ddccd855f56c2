"""``edcore train --data``: a user's table from the shell, its file, and what is refused."""

import io
import re
import signal
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas
import pytest

import edcore
from edcore.cli.table import _Progress
from edcore.estimators import table_pipeline
from edcore.estimators.table import Table

ROWS = 100
TRAIN = ["train", "--data", "t.csv", "--seed", "3", "--backend", "numpy", "--width", "6", "--batch-size", "8"]
FRUIT = [*TRAIN, "--target", "fruit", "--epochs", "12"]
PARAMETERS = {"random_state": 3, "backend": "numpy", "hidden_width": 6, "batch_size": 8, "max_iter": 12}


@pytest.fixture(autouse=True)
def frame(monkeypatch, tmp_path):
    """A table in t.csv of which `fruit` and `price` follow from the other columns, which have gaps."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    size, skin = random.uniform(0, 10, ROWS).round(3), random.choice(["red", "green"], ROWS)
    fruit = np.where(size > 5, "melon", np.where(skin == "red", "cherry", "pea"))
    price = (2 * size + np.where(skin == "red", 3, 0)).round(3)
    frame = pandas.DataFrame({"size": size, "skin": skin, "price": price, "fruit": fruit})
    frame.loc[[3, 4, 5], "size"] = np.nan
    frame.loc[[6, 7], "skin"] = None
    frame.to_csv("t.csv", index=False)
    return frame


def summary(out):
    return dict(re.findall(r"^(\w[\w² ]*?) {2,}(.*?) *$", out, re.MULTILINE))


@pytest.fixture
def interrupted(monkeypatch):
    """Send Ctrl-C during an epoch, while its line is printed."""
    line = _Progress._line

    def interrupted(epoch, times=1):
        def interrupting(self, record, seconds):
            for _ in range(times if record.epoch == epoch else 0):
                signal.raise_signal(signal.SIGINT)
            return line(self, record, seconds)

        monkeypatch.setattr(_Progress, "_line", interrupting)

    return interrupted


def test_what_is_learnt_is_said_beside_a_guess(run, frame):
    code, out, err = run(*FRUIT)
    assert (code, err) == (0, "")
    assert out.startswith("t.csv: 100 rows, 2 numbers, 1 text → 5 features; 5 gaps filled\nepoch  2/12  loss 0.")
    assert len(re.findall(r"^epoch [ \d]+/12  loss 0\.\d{4}  [\d,]+ rows/s$", out, re.MULTILINE)) == 10
    said = summary(out)
    test = Table(frame, "fruit").split(0.2, 3)[1]
    melons = (frame["fruit"][test] == "melon").mean()
    assert re.fullmatch(r"\d+\.00% of 20 test rows", said["accuracy"])
    assert said["to compare"] == f"the class that comes most often, 'melon', has {melons:.2%}"
    assert (said["classes"], said["target"]) == ("cherry, melon, pea", "fruit, classification")
    assert (said["seed"], said["backend"]) == ("3", "numpy")
    assert said["learnt from"].startswith("80 rows in 12 epochs, ")


def test_one_json_object_has_the_results(results):
    found = results(*FRUIT)
    expected = {"task": "classification", "epoch": 12, "epochs": 12, "rows": 100, "train_rows": 80, "test_rows": 20}
    expected |= {"numbers": ["size", "price"], "texts": ["skin"], "features": 5, "gaps": 5, "notes": [], "seed": 3}
    assert {name: found[name] for name in expected} == expected
    assert 0.5 < found["accuracy"] <= 1 > found["baseline_accuracy"]
    assert found["command"] == (
        "edcore train --data t.csv --target fruit --task classification --test-size 0.2 --epochs 12 --seed 3 "
        "--width 6 --batch-size 8 --backend numpy"
    )


def test_the_command_in_the_results_repeats_the_run(results, run):
    first = results(*FRUIT, "--early-stopping", "--alpha", "0.3", "--rule", "split")
    again = results(*first["command"].split()[1:])
    assert {**first, "seconds": 0} == {**again, "seconds": 0}


def test_file_python_and_predict_give_the_same_labels(run):
    frame = pandas.read_csv("t.csv")
    assert run(*FRUIT, "--checkpoint", "m.safetensors")[0] == 0
    train, _ = Table(frame, "fruit").split(0.2, 3)
    rows = frame.iloc[train]
    python = table_pipeline(rows, "fruit", **PARAMETERS).fit(rows, rows["fruit"])
    from_file = edcore.io.load("m.safetensors")
    assert np.array_equal(python.predict_proba(frame), from_file.predict_proba(frame))
    code, out, err = run("predict", "m.safetensors", "t.csv")
    assert code == 0
    assert out.splitlines() == python.predict(frame).tolist() == from_file.predict(frame).tolist()
    assert f"{python.score(frame, frame['fruit']):.2%} of 100 rows are predicted right" in err


@pytest.mark.parametrize("stopping", [[], ["--early-stopping", "--validation", "0.25"]])
def test_ctrl_c_and_resume_are_as_one_run(run, frame, interrupted, stopping):
    target = ["--target", "price", "--epochs", "12"] if not stopping else FRUIT[-4:]
    run(*TRAIN, *target, *stopping, "--checkpoint", "one.safetensors")
    interrupted(5)
    code, out, _ = run(*TRAIN, *target, *stopping, "--checkpoint", "two.safetensors")
    assert code == 130
    assert summary(out)["stopped"] == "after 5 of 12 epochs"
    assert edcore.io.load("two.safetensors")[-1].n_iter_ == 5
    interrupted(None)
    code, out, _ = run("train", "--resume", "two.safetensors")
    assert code == 0
    assert summary(out)["learnt from"].startswith("80 rows in 12 epochs")
    one, two = (edcore.io.load(f"{name}.safetensors") for name in ("one", "two"))
    assert one.predict(frame).tolist() == two.predict(frame).tolist()
    assert one[-1].ed_.weights["input.weight"].tolist() == two[-1].ed_.weights["input.weight"].tolist()


def test_early_stopping_holds_out_rows_and_keeps_the_best_weights(run):
    stopping = ["--early-stopping", "--validation", "0.25", "--epochs", "400", "--alpha", "1"]
    code, out, _ = run(*FRUIT[:-2], *stopping, "--checkpoint", "m.safetensors")
    assert code == 0
    pipeline = edcore.io.load("m.safetensors")
    estimator = pipeline[-1]
    assert (estimator.early_stopping, estimator.validation_fraction) == (True, 0.25)
    assert estimator.n_iter_ < 400
    assert (
        summary(out)["stopped"] == f"after {estimator.n_iter_} of 400 epochs, as no rows held out were predicted better"
    )
    assert run("train", "--resume", "m.safetensors", "--json")[1].count(f'"epoch": {estimator.n_iter_},') == 1
    more = str(estimator.n_iter_ + 3)
    assert run("train", "--resume", "m.safetensors", "--epochs", more, "--json")[1].count(f'"epoch": {more},') == 1
    assert re.search(r"^epoch +40/400  loss 0\.\d{4}  accuracy of those held out [01]\.\d{4}", out, re.MULTILINE)


def test_a_second_ctrl_c_stops_at_once_and_keeps_what_is_learnt(run, interrupted):
    interrupted(5, times=2)
    code, out, _ = run(*FRUIT, "--checkpoint", "m.safetensors")
    assert code == 130
    assert summary(out)["stopped"] == "after 5 of 12 epochs"
    assert edcore.io.load("m.safetensors")[-1].n_iter_ == 5


@pytest.mark.parametrize(("raised", "code"), [(SystemExit(1), 1), (OSError(28, "No space left on device"), 1)])
def test_a_reader_that_is_gone_costs_no_epochs(run, monkeypatch, raised, code):
    def gone(self, record, seconds):
        if record.epoch > 4:
            raise raised
        return ""

    monkeypatch.setattr(_Progress, "_line", gone)
    assert run(*FRUIT, "--checkpoint", "m.safetensors")[0] == code
    assert edcore.io.load("m.safetensors")[-1].n_iter_ == 5


@pytest.mark.parametrize("stopping", [[], ["--early-stopping", "--validation", "0.25"]])
def test_the_file_is_written_while_the_run_goes_on(run, monkeypatch, frame, stopping):
    line = _Progress._line

    def diverging(self, record, seconds):
        if record.epoch == 5:
            raise edcore.errors.DivergedError("weights", "input layer", (0,), 1, "Kept.", "Fix.")
        return ""

    monkeypatch.setattr(_Progress, "_line", diverging)
    monkeypatch.setattr("edcore.cli.table.SECONDS", -1)
    code, _, err = run(*FRUIT, *stopping, "--checkpoint", "m.safetensors")
    assert code == 2
    assert err.startswith("edcore: m.safetensors stands at epoch 4, where it was last written.\n")
    estimator = edcore.io.load("m.safetensors")[-1]
    assert (estimator.n_iter_, estimator.max_iter, estimator.callbacks) == (4, 12, None)
    monkeypatch.setattr(_Progress, "_line", line)
    run("train", "--resume", "m.safetensors")
    run(*FRUIT, *stopping, "--checkpoint", "whole.safetensors")
    again, whole = edcore.io.load("m.safetensors"), edcore.io.load("whole.safetensors")
    assert again.predict_proba(frame).tolist() == whole.predict_proba(frame).tolist()


def test_a_run_goes_on_with_its_backend(results, interrupted, run, monkeypatch):
    arguments = [one for one in FRUIT if one not in ("--backend", "numpy")]
    monkeypatch.setenv("EDCORE_BACKEND", "loop")
    assert results(*arguments[:-1], "2", "--checkpoint", "m.safetensors")["backend"] == "loop"
    monkeypatch.setenv("EDCORE_BACKEND", "numpy")
    assert results("train", "--resume", "m.safetensors", "--epochs", "3")["backend"] == "loop"
    assert edcore.io.load("m.safetensors")[-1].backend == "auto"


def test_only_typed_epochs_shorten_a_run(results, run, interrupted):
    interrupted(5)
    run(*FRUIT, "--checkpoint", "m.safetensors")
    interrupted(None)
    Path("run.toml").write_text("[train]\nepochs = 6\n")
    resume = ["train", "--resume", "m.safetensors"]
    Path("copy.safetensors").write_bytes(Path("m.safetensors").read_bytes())
    assert results("train", "--resume", "copy.safetensors", "--config", "run.toml")["epoch"] == 12
    assert results(*resume, "--epochs", "6")["epoch"] == 6


def test_ctrl_c_before_the_first_epoch_writes_nothing(run, monkeypatch):
    def interrupting(self, x, y):
        raise KeyboardInterrupt

    monkeypatch.setattr(edcore.EDClassifier, "fit", interrupting)
    code, out, _ = run(*FRUIT, "--checkpoint", "m.safetensors")
    assert (code, summary(out)) == (130, {"stopped": "before the first epoch was learnt"})
    assert not Path("m.safetensors").exists()


def test_rates_and_epochs_may_change_when_a_run_goes_on(results):
    results(*FRUIT, "--checkpoint", "m.safetensors")
    found = results("train", "--resume", "m.safetensors", "--epochs", "14", "--alpha", "0.125", "--backend", "loop")
    assert (found["epoch"], found["epochs"], found["backend"]) == (14, 14, "loop")
    estimator = edcore.io.load("m.safetensors")[-1]
    assert (estimator.alpha, estimator.n_iter_, estimator.max_iter, estimator.warm_start) == (0.125, 14, 14, False)
    assert "--alpha 0.125" in found["command"]
    again = results("train", "--resume", "m.safetensors")
    assert {**again, "seconds": 0} == {**found, "seconds": 0}


def test_a_moved_table_is_named_and_another_is_refused(results, refused, frame):
    results(*FRUIT, "--checkpoint", "m.safetensors")
    Path("t.csv").rename("moved.csv")
    resume = ["train", "--resume", "m.safetensors"]
    assert refused(*resume).startswith("t.csv: it cannot be read")
    assert results(*resume, "--data", "moved.csv")["epoch"] == 12
    frame.loc[50, "size"] = 5.5
    frame.to_csv("t.csv", index=False)
    message = r"m.safetensors: t.csv has other cells than where the run started\. .*--data"
    assert re.match(message, refused(*resume))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--width", "7"], r"--width: given 7 beside --resume; accepted: 6, as in m.safetensors\. Leave it out"),
        (["--target", "price"], "--target: given 'price' beside --resume; accepted: 'fruit'"),
        (["--seed", "4"], "--seed: given 4 beside --resume; accepted: 3"),
        (["--early-stopping"], "--early-stopping: given True beside --resume; accepted: False"),
        (["--epochs", "2"], "--epochs: given 2; accepted: at least the 3 that are learnt already"),
        (["--dtype", "float64"], "--dtype: given 'float64' beside --resume of a run on a table"),
        (["--diagnose"], "--diagnose: given it for a table"),
        (["--every", "5"], "--every: given it for a table"),
    ],
)
def test_what_cannot_change_when_a_run_goes_on(run, refused, options, message):
    run(*FRUIT[:-1], "3", "--checkpoint", "m.safetensors")
    assert re.match(message, refused("train", "--resume", "m.safetensors", *options))


def test_a_file_without_a_run_is_no_run(refused, frame):
    edcore.io.save(table_pipeline(frame, "fruit", **PARAMETERS).fit(frame, frame["fruit"]), "m.safetensors")
    message = "--resume: given 'm.safetensors'; accepted: a file of edcore train --data --checkpoint"
    assert refused("train", "--resume", "m.safetensors").startswith(message)
    ed = edcore.ED(in_=2, seed=1)
    edcore.io.save(ed, "ed.safetensors")
    assert refused("train", "--resume", "ed.safetensors", "--data", "t.csv").startswith("--resume: given 'ed.saf")


def test_a_regression_is_compared_with_the_mean(results, run, frame):
    found = results(*TRAIN, "--target", "price", "--epochs", "30")
    assert found["r2"] > 0.5 > found["baseline_r2"]
    assert found["mean_absolute_error"] < found["baseline_mean_absolute_error"]
    said = summary(run(*TRAIN, "--target", "price", "--epochs", "30")[1])
    assert said["R²"] == f"{found['r2']:.4f} on 20 test rows"
    assert said["to compare"].startswith(f"the mean of the training rows has R² {found['baseline_r2']:.4f} and mean")
    table = Table(frame, "price")
    train, test = table.split(0.2, 3)
    assert found["baseline_mean_absolute_error"] == pytest.approx(abs(table.y[test] - table.y[train].mean()).mean())


def test_the_share_of_the_test_and_the_task(results):
    assert results(*FRUIT, "--test-size", "0.35")["test_rows"] == 35
    everything = results(*FRUIT, "--test-size", "0")
    assert (everything["train_rows"], everything["test_rows"]) == (100, 0)
    pandas.DataFrame({"a": [1, 2, 3, 4] * 5, "b": [5, 6] * 10}).to_csv("n.csv", index=False)
    numbers = ["train", "--data", "n.csv", "--target", "b", "--epochs", "2", "--backend", "numpy"]
    assert results(*numbers)["task"] == "classification"
    assert "r2" in results(*numbers, "--task", "regression")


def test_lines_about_the_table_are_printed(run, results, frame):
    frame.loc[:1, "fruit"] = None
    frame.assign(same=1).to_csv("t.csv", encoding="utf-16")
    notes = [
        "t.csv: its first column, which has no name, is left out: it numbers or names the rows",
        "left out: 2 rows with no 'fruit'",
        "left out: column with a single value, 'same'",
    ]
    assert run(*FRUIT)[1].startswith("\n".join(notes) + "\nt.csv: 100 rows, ")
    assert results(*FRUIT)["notes"] == notes


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "t.csv"], "--target: given none; accepted: the name of the column of --data to predict"),
        (["--target", "fruit"], "--target: given 'fruit' without --data"),
        (["--task", "regression"], "--task: given 'regression' without --data"),
        (["--data", "t.csv", "--target", "fruits"], "--target: given 'fruits'; .*Did you mean 'fruit'"),
        ([*FRUIT[1:], "--classes", "0,1"], "--classes: given '0,1' beside --data"),
        ([*FRUIT[1:], "--dataset", "xor"], "--dataset: given 'xor' beside --data"),
        ([*FRUIT[1:], "--dtype", "float64"], "--dtype: given 'float64' beside --data"),
        ([*FRUIT[1:], "--eval-every", "3"], "--eval-every: given 3 beside --data"),
        ([*FRUIT[1:], "--initial-weight", "3"], "--initial-weight: given 3.0 beside --data"),
        ([*FRUIT[1:], "--report", "r.html"], "--report: given it for a table"),
        ([*FRUIT[1:], "--task", "both"], "--task: given 'both'; accepted: 'classification', 'regression'"),
        ([*FRUIT[1:], "--task", "regression"], "--task: given 'regression' with column 'fruit' of texts"),
        ([*FRUIT[1:], "--validation", "0.2"], "--validation: given 0.2 without --early-stopping"),
        ([*FRUIT[1:], "--early-stopping", "--validation", "1"], "--validation: given 1.0; accepted: a number between"),
        ([*FRUIT[1:], "--test-size", "1"], "--test-size: given 1; accepted: a number from 0 to 1, without 1"),
        ([*FRUIT[1:-1], "0"], "--epochs: given 0"),
        ([*FRUIT[1:], "--alpha", "-1"], "--alpha: given -1.0"),
        ([*FRUIT[1:], "--rule", "spilt"], "--rule: given 'spilt'; .*Did you mean 'split'"),
        (["--data", "t.csv", "--target", "fruit", "--seed", str(2**32)], r"--seed: given .*from 0 to 2\*\*32 - 1"),
        (["--data", "t.xlsx", "--target", "fruit"], "t.xlsx: it cannot be read "),
        ([*FRUIT[1:], "--checkpoint", "t.csv"], "--checkpoint: given 't.csv'; accepted: a name such as "),
    ],
)
def test_what_is_refused_is_named(refused, arguments, message):
    assert re.match(message, refused("train", *arguments))


def test_dates_are_refused_with_the_column(refused, frame):
    frame.assign(born="2001-02-03").to_csv("t.csv", index=False)
    message = r"t.csv, column 'born': given dates or times, such as '2001-02-03'; .* the year and the month"
    assert re.match(message, refused(*FRUIT))


def test_diverging_is_one_line(refused):
    assert "learning has diverged" in refused(*TRAIN, "--target", "price", "--alpha-output", "1e18", "--epochs", "3")


def test_arrays_with_the_target_in_the_archive_or_in_a_file(results, frame):
    x, y = frame[["size", "price"]].to_numpy(), frame["fruit"].to_numpy(str)
    np.savez("t.npz", x=x, y=y)
    np.save("x.npy", x)
    np.save("y.npy", y)
    options = ["--epochs", "2", "--backend", "numpy", "--seed", "3"]
    archive = results("train", "--data", "t.npz", "--target", "y", *options)
    assert (archive["numbers"], archive["target"]) == (["x[0]", "x[1]"], "y")
    files = results("train", "--data", "x.npy", "--target", "y.npy", *options, "--checkpoint", "m.safetensors")
    assert files["accuracy"] == archive["accuracy"]
    assert results("train", "--resume", "m.safetensors", "--epochs", "3")["epoch"] == 3


def test_a_target_in_a_file_has_the_rows_of_the_table(refused):
    np.save("y.npy", np.arange(7))
    message = r"--target: given y.npy with 7 rows and 1 columns; accepted: one column with the 100 rows of t.csv"
    assert re.match(message, refused("train", "--data", "t.csv", "--target", "y.npy"))


def test_standard_input(results, monkeypatch, frame):
    stdin = SimpleNamespace(buffer=io.BytesIO(frame.to_csv(index=False, sep=";").encode()))
    monkeypatch.setattr(sys, "stdin", stdin)
    found = results("train", "--data", "-", *FRUIT[3:])
    assert (found["rows"], found["data"]) == (100, "-")


def test_options_from_a_file(results):
    options = 'data = "t.csv"\ntarget = "fruit"\nepochs = 2\nbackend = "numpy"\ntest-size = 0.5\nearly_stopping = true'
    Path("run.toml").write_text(f"[train]\n{options}\n")
    found = results("train", "--config", "run.toml")
    assert (found["test_rows"], found["epoch"]) == (50, 2)
    assert "--early-stopping" in found["command"]


def test_a_picture_of_the_run(run):
    assert run(*FRUIT, "--plot", "p.SVG")[0] == 0
    assert "<svg" in Path("p.SVG").read_text()


def test_the_home_folder_and_endings_in_capitals(run, monkeypatch, tmp_path):
    (tmp_path / "home").mkdir()
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    Path("t.csv").rename("home/T.CSV")
    files = ["--checkpoint", "~/m.safetensors", "--plot", "~/p.PNG"]
    assert run(*[{"t.csv": "~/T.CSV"}.get(one, one) for one in FRUIT], *files)[0] == 0
    assert {path.name for path in Path("home").iterdir()} == {"T.CSV", "m.safetensors", "p.PNG"}
    Path("home/run.toml").write_text('[train]\ndataset = "xor"\nepochs = 1\nbackend = "numpy"\n')
    files = ["--config", "~/run.toml", "--plot", "~/q.SVG", "--checkpoint", "~/x.safetensors"]
    assert run("train", *files)[0] == 0
    assert {"q.SVG", "x.safetensors"} < {path.name for path in Path("home").iterdir()}
    assert Path("home/q.SVG").read_text().startswith("<?xml")


@pytest.mark.parametrize(
    "arguments",
    [
        ["inspect", "~no one/m.safetensors"],
        ["predict", "~no one/m.safetensors", "t.csv"],
        ["predict", "m.safetensors", "~no one/t.csv"],
        ["train", "--data", "~no one/t.csv", "--target", "fruit"],
        ["train", "--config", "~no one/run.toml"],
        ["train", "--plot", "~no one/p.png"],
    ],
)
def test_the_home_folder_of_an_unknown_user_is_one_line(refused, arguments):
    edcore.io.save(edcore.ED(in_=2, seed=1), "m.safetensors")
    assert "~no one/" in refused(*arguments)


def test_inspect_shows_a_run_on_a_table(run):
    run(*FRUIT, "--checkpoint", "m.safetensors")
    code, out, _ = run("inspect", "m.safetensors")
    assert code == 0
    assert summary(out)["target"] == "fruit"
