"""``edcore plot``, ``edcore report``, and the files that a run draws at its end."""

import re
import shutil
import signal

import numpy as np
import pytest

import edcore
from edcore import io, plots, training
from edcore.cli import app as cli
from edcore.cli import run as run_module
from edcore.cli import show
from edcore.files.locking import locked
from edcore.training import setup

pytest.importorskip("matplotlib")

from edcore.plots.canvas import new_figure
from edcore.plots.kinds import KINDS

SMALL = "boundary", "network"
"""Kinds that suit a network for XOR, and none for digits."""

pytestmark = pytest.mark.usefixtures("in_a_folder_of_its_own")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with the files of two runs."""
    folder = tmp_path_factory.mktemp("runs")
    for name, *options in (
        ("digits", "--depth", "2", "--epochs", "1", "--width", "8"),
        ("xor", "--dataset", "xor", "--depth", "0", "--width", "2", "--epochs", "5", "--rule", "split"),
    ):
        with pytest.raises(SystemExit) as end:
            cli.main(["train", *options, "--seed", "1", "--checkpoint", str(folder / name)])
        assert not end.value.code
    return folder


@pytest.fixture
def kept(made, tmp_path):
    """The files of the runs, in the folder of the test."""
    for name in ("digits", "xor"):
        shutil.copy(made / name, tmp_path / name)
    return tmp_path


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_drawn_and_the_run_stays_as_it_is(run, kept, kind):
    name = "xor" if kind in SMALL else "digits"
    before = (kept / name).read_bytes()
    code, out, err = run("plot", name, "--kind", kind)
    assert (code, err) == (0, "")
    picture = kept / (f"{name}.png" if kind == "summary" else f"{name}-{kind}.png")
    assert re.fullmatch(rf"drawing {picture.name} … done in [\d.]+ s\n", out)
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert (kept / name).read_bytes() == before


def test_the_help_lists_each_kind(run):
    out = " ".join(run("plot", "--help")[1].replace("│", " ").split())
    assert f"{', '.join([*KINDS][:-1])} or {[*KINDS][-1]}." in out


def test_a_report_is_that_of_the_run(run, kept):
    code, out, err = run("report", "digits")
    assert (code, err) == (0, "")
    assert re.fullmatch(r"writing digits\.html … done in [\d.]+ s\n", out)
    page = (kept / "digits.html").read_text()
    evaluated = setup.resume(kept / "digits", {}, fewer_epochs=False).learnt.evaluations[-1]
    assert f"{evaluated.accuracy:.2%} of 72 test samples" in page
    assert page.count("<img ") == 4
    assert "3 hidden layers of 8 + 8 cells (depth 2)" in page


def test_a_run_that_goes_on_can_be_drawn(run, kept):
    with locked(kept / "digits"):
        assert run("plot", "digits", "--kind", "curve", "--out", "now.svg")[0] == 0
    assert (kept / "now.svg").read_bytes().startswith(b"<?xml")


def test_a_file_is_not_overwritten_without_force(run, kept):
    for command, name in (("plot", "xor.png"), ("report", "xor.html")):
        (kept / name).write_text("mine")
        code, _, err = run(command, "xor")
        assert (code, (kept / name).read_text()) == (2, "mine")
        assert err == (
            f"edcore: --out: given '{name}', which exists; accepted: the name of a new file. --force overwrites it.\n"
        )
        assert run(command, "xor", "--force")[0] == 0
        assert (kept / name).read_bytes() != b"mine"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["digits", "--kind", "curv"], r"--kind: given 'curv'; accepted: .*'curve'\?"),
        (["digits", "--kind", "boundary"], r"--kind: given boundary for this run; accepted: data with two features\. "),
        (["digits", "--kind", "network"], r"--kind: given network for this run; accepted: a network of at most 40 "),
        (["xor", "--kind", "mistakes"], r"--kind: given mistakes for this run; accepted: square images\. .* boundary,"),
        (["digits", "--out", "digits"], r"--out: given 'digits'; accepted: another file than that of RUN"),
        (["digits", "--out", "a.gif"], r"--out: given 'a.gif'; accepted: a file whose name ends in \.pdf, "),
        (["digits", "--data", "t.csv"], r"--data: given 't.csv'; accepted: the table of a run on a table"),
        (["nowhere"], r".*nowhere"),
        (["plain"], r"RUN: given 'plain'; accepted: a file of edcore train --checkpoint\."),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_one_line(run, kept, arguments, message):
    io.save(edcore.ED(2, 2, 0, seed=1), kept / "plain")
    code, out, err = run("plot", *arguments)
    assert (code, out) == (2, "")
    assert not message or re.match(f"edcore: {message}", err)
    assert not list(kept.glob("*.png"))


def test_a_run_that_has_not_begun(run, kept, monkeypatch):
    def stopped(*arguments, **options):
        raise KeyboardInterrupt
        yield

    with monkeypatch.context() as patched:
        patched.setattr(training, "train", stopped)
        run(*QUICK, "--checkpoint", "new")
    for kind in ("curve", "layers"):
        refusal = f"--kind: given {kind} for this run; accepted: a run with at least one batch. "
        assert refusal in run("plot", "new", "--kind", kind)[2]
    assert run("report", "new")[0] == 0
    assert "before the first batch was learnt" in (kept / "new.html").read_text()


# Estimators and tables


@pytest.fixture
def table(kept, run):
    """The file of a run on a table, and the table."""
    pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 2))
    rows = [f"{a:.3f},{b:.3f},{'yes' if a > b else 'no'}" for a, b in x]
    (kept / "t.csv").write_text("\n".join(["a,b,c", *rows]) + "\n")
    code, _, _ = run("train", "--data", "t.csv", "--target", "c", "--epochs", "3", "--seed", "1", "--checkpoint", "t")
    assert code == 0


def test_a_run_on_a_table_has_a_curve_and_a_confusion_matrix(run, kept, table):
    assert run("plot", "t")[0] == 0
    (kept / "t.csv").rename(kept / "moved.csv")
    assert run("plot", "t", "--kind", "confusion", "--data", "moved.csv")[0] == 0
    assert (kept / "t.png").exists()
    assert (kept / "t-confusion.png").exists()


def test_what_a_table_has_not_is_refused(run, table):
    assert (
        "--kind: given fields for an estimator; accepted: one of curve, confusion"
        in run("plot", "t", "--kind", "fields")[2]
    )
    assert "RUN: given 't', which holds an estimator; " in run("report", "t")[2]


def test_an_estimator_that_was_saved_has_a_curve(run, kept):
    classifier = edcore.EDClassifier(max_iter=3, random_state=0).fit([[0.0], [1.0]] * 4, [0, 1] * 4)
    io.save(classifier, kept / "e")
    assert run("plot", "e", "--kind", "curve")[0] == 0
    assert "--kind: given confusion for 'e'; accepted: " in run("plot", "e", "--kind", "confusion")[2]


# The end of a run

QUICK = ["train", "--dataset", "xor", "--depth", "0", "--width", "4", "--epochs", "9", "--seed", "1"]


@pytest.fixture
def quick(monkeypatch):
    """Draw nothing in a summary: what it shows is not looked at here."""
    monkeypatch.setattr(plots, "training_summary", lambda *arguments, **options: new_figure((1, 1)))


def test_files_are_announced_below_the_summary(run, kept, quick):
    code, out, err = run(*QUICK, "--plot", "p.png", "--report", "r.html")
    assert (code, err) == (0, "")
    assert re.search(r"\nseed +1 *\n\ndrawing p\.png … done in .* s\nwriting r\.html … done in .* s\n$", out)


@pytest.mark.parametrize("option", ["--plot", "--report"])
def test_no_picture_is_overwritten_and_nothing_is_learnt_before(run, kept, quick, monkeypatch, option):
    name = "p.png" if option == "--plot" else "r.html"
    (kept / name).write_text("mine")
    with monkeypatch.context() as patched:
        patched.setattr(training, "train", None)
        for start in (QUICK, ["train", "--resume", "digits"]):
            code, out, err = run(*start, option, name)
            assert (code, out) == (2, "")
            assert err.startswith(f"edcore: {option}: given '{name}', which exists; accepted: the name of a new file.")
    assert (kept / name).read_text() == "mine"
    assert run(*QUICK, option, name, "--force")[0] == 0
    assert (kept / name).read_bytes() != b"mine"


def test_a_file_that_another_program_writes_during_the_run_stays(run, kept, quick, monkeypatch):
    learn = training.train

    def learn_beside_another(ed, data, **options):
        (kept / "p.png").write_text("theirs")
        return learn(ed, data, **options)

    monkeypatch.setattr(training, "train", learn_beside_another)
    code, _, err = run(*QUICK, "--plot", "p.png")
    assert (code, (kept / "p.png").read_text()) == (2, "theirs")
    assert "--plot: p.png cannot be written" in err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_while_it_draws_says_what_was_not_written(run, kept, monkeypatch, number, code):
    monkeypatch.setattr(plots, "training_summary", lambda *arguments, **options: signal.raise_signal(number))
    found, out, err = run(*QUICK, "--plot", "p.png", "--report", "r.html", "--checkpoint", "c")
    assert (found, err) == (code, "")
    assert re.search(r"\ndrawing p\.png … \nnot written: p\.png; to make it: edcore plot c --out p\.png\n", out)
    assert out.endswith("\nnot written: r.html; to make it: edcore report c --out r.html\n")
    assert not (kept / "p.png").exists()
    assert not (kept / "r.html").exists()
    assert io.inspect("c").run["batch"] == 9


def test_a_signal_that_a_library_makes_an_error_of(run, kept, monkeypatch):
    def draw(*arguments, **options):
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt as error:
            raise ValueError from error

    monkeypatch.setattr(plots, "training_summary", draw)
    code, out, err = run("plot", "digits")
    assert (code, err) == (130, "")
    assert out.endswith("\nnot written: digits.png\n")


def test_a_signal_while_layers_are_measured(run, kept, monkeypatch):
    monkeypatch.setattr(run_module, "show_diagnosis", lambda *arguments: signal.raise_signal(signal.SIGINT))
    code, out, _ = run(*QUICK, "--diagnose", "--plot", "p.png")
    assert code == 130
    assert out.endswith("\nnot written: p.png\n")


def test_a_run_that_was_stopped_is_still_drawn_and_a_second_signal_stops_that(run, kept, quick, monkeypatch):
    learn = training.train

    def stopped(ed, data, **options):
        for progress in learn(ed, data, **options):
            if progress.batch == 3:
                signal.raise_signal(signal.SIGINT)
            yield progress

    monkeypatch.setattr(training, "train", stopped)
    code, out, _ = run(*QUICK, "--plot", "p.png", "--checkpoint", "a b")
    assert (code, (kept / "p.png").exists()) == (130, True)
    assert "\nsaved in a b; to go on: edcore train --resume 'a b'\n" in out
    _, out, _ = run(*QUICK)
    assert out.endswith("\n\nthe run was not kept; with --checkpoint FILE a run can go on\n")
    monkeypatch.setattr(plots, "training_summary", lambda *arguments, **options: signal.raise_signal(signal.SIGINT))
    code, out, _ = run(*QUICK, "--plot", "q.png")
    assert (code, (kept / "q.png").exists()) == (130, False)
    assert out.endswith("\nnot written: q.png\n")


def test_the_layers_of_a_deep_stack_are_sampled_and_the_report_says_so(run, kept, monkeypatch):
    monkeypatch.setattr(show, "MOST_LAYERS", 20)
    deep = ["--dataset", "xor", "--depth", "40", "--width", "2", "--epochs", "1", "--seed", "1"]
    assert run("train", *deep, "--report", "r.html")[0] == 0
    page = (kept / "r.html").read_text()
    assert page.count("Of 42 layers 20 were measured") == 2  # below the layer map, and below the table


@pytest.mark.parametrize(("work", "samples"), [(10**9, 256), (1, 32)])
def test_a_large_network_is_measured_on_fewer_samples(run, kept, monkeypatch, work, samples):
    measured, diagnose = [], show.diagnose

    def recorded(ed, x, *others, **options):
        measured.append(len(x))
        return diagnose(ed, x, *others, **options)

    monkeypatch.setattr(show, "WORK", work)
    monkeypatch.setattr(show, "diagnose", recorded)
    assert run("plot", "digits", "--kind", "layers")[0] == 0
    assert measured == [samples]
