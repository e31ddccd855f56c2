"""Options from a TOML file, completion in a shell, and what a run of ``edcore train`` leaves behind."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from edcore import ED, io

pytestmark = pytest.mark.usefixtures("in_a_folder_of_its_own")

QUICK = ["train", "--depth", "1", "--epochs", "2", "--seed", "1", "--backend", "numpy"]


# --config


def test_a_file_has_options_and_what_is_typed_wins(run):
    Path("run.toml").write_text(
        '[train]\nwidth = 5\ndepth = 1\nbatch-size = 8\neval_every = 20\nclasses = [3, 7]\nrule = "split"\nseed = 4\n'
        'alpha = 0.5\nbackend = "numpy"\nepochs = 1\njson = true\n\n[bench]\nwidth = 9\n'
    )
    result = json.loads(run("train", "--config", "run.toml", "--seed", "5")[1])
    assert (result["network"]["width"], result["network"]["depth"], result["classes"]) == (5, 1, [3, 7])
    assert (result["rule"]["error"], result["rule"]["alpha"], result["seed"], result["backend"]) == (
        "split",
        0.5,
        5,
        "numpy",
    )


def test_a_file_for_kaneko(run):
    Path("run.toml").write_text("[kaneko]\ninputs = 2\n")
    assert run("kaneko", "--config", "run.toml")[1].startswith("stopped at epoch 41")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "--config: given run.toml with nothing in it; accepted: a TOML file with a table [train]."),
        ("[bench]\n", "--config: given run.toml with [bench]; accepted: a TOML file with a table [train]."),
        ("train = 3\n", "accepted: a TOML file with a table [train]."),
        ("[train\n", "--config: run.toml is not TOML"),
        ("[train]\nrule = split\n", "--config: run.toml is not TOML"),
        ("[train]\nwidht = 3\n", "run.toml, [train]: given 'widht'; accepted: 'activation', "),
        ("[train]\nwidht = 3\n", "'width'?"),
        ('[train]\nconfig = "other.toml"\n', "given 'config'"),
        ("[train]\nwidth = {a = 1}\n", "width: given {'a': 1}; accepted: a whole number."),
        ("[train]\nwidth = 2024-01-01\n", "width: given datetime.date(2024, 1, 1)"),
        ("[train]\nwidth = 0\n", "--width: given 0; accepted: a whole number of at least 1."),
        ("[train]\nclasses = [[1]]\n", "classes: given [[1]]; accepted: a text, a number, or a list of them."),
        ("[train]\nwidth = true\n", "width: given true; accepted: a whole number."),
        ("[train]\nwidth = [3]\n", "width: given [3]; accepted: a whole number."),
        ("[train]\njson = 1\n", "json: given 1; accepted: true or false."),
        ('[train]\nrms = "yes"\n', "rms: given 'yes'; accepted: true or false."),
        (f"[train]\nseed = 0x{'f' * 5000}\n", "--config: run.toml is not TOML (Exceeds the limit"),
        (f"[train]\nwidth{'.a' * 2000} = 1\n", "run.toml"),  # too deep for Python before 3.13, no width in any
        (f"[train]\n{'#' * 2**14}", "--config: run.toml is not TOML (more than 16,384 bytes)"),
        (
            "[train]\nbatch-size = 1\nbatch_size = 4\n",
            "batch_size: given twice in [train]; accepted: each option once.",
        ),
        ('[train]\ndtype = "1.5"\n', "--dtype: given '1.5'; accepted: 'float32', 'float64'."),
    ],
)
def test_a_wrong_file_is_refused(run, content, sentence):
    Path("run.toml").write_text(content)
    code, out, err = run("train", "--config", "run.toml")
    assert (code, out) == (2, "")
    assert err.startswith("edcore: ")
    assert sentence in err


@pytest.mark.parametrize(
    ("option", "command"),
    [
        ("seed", ["train", "--seed", "5", "--epochs", "1", "--seed", "7"]),
        ("seed", ["kaneko", "--seed=5", "--seed", "5"]),
        ("rms", ["train", "--rms", "--no-rms"]),
        ("json", ["train", "--json", "--json"]),
        ("config", ["train", "--config", "a.toml", "--config", "b.toml"]),
    ],
)
def test_an_option_that_is_typed_twice_is_refused(run, option, command):
    code, out, err = run(*command)
    assert (code, out) == (2, "")
    assert err == f"edcore: --{option}: given 2 times; accepted: each option once. Give it once.\n"


@pytest.mark.parametrize("option", ["width", "depth", "epochs", "batch-size", "eval-every", "every", "seed"])
def test_a_number_beyond_all_counting_is_refused(run, option):
    code, out, err = run("train", "--dataset", "xor", f"--{option}", "9" * 400)
    assert (code, out) == (2, "")
    assert err.startswith(f"edcore: --{option}: given ")


def test_a_file_that_never_ends_is_not_read_to_its_end(run):
    assert "is not TOML (more than 16,384 bytes)" in run("train", "--config", "/dev/zero")[2]


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are texts here")
def test_names_that_cannot_be_printed_are_escaped(run):
    name = os.fsdecode(b"net\xff")
    io.save(ED(in_=2, hidden_width=1, hidden_depth=0, seed=0, backend="numpy"), name, classes=("\x1b[2J", "b"))
    code, out, err = run("inspect", name)
    assert (code, err) == (0, "")
    assert "net\\udcff, " in out
    assert "\\x1b[2J, b" in out
    assert "\x1b" not in out


def test_a_value_of_a_wrong_type_is_shown(run):
    Path("run.toml").write_text('[train]\nwidth = "wide"\n')
    code, _, err = run("train", "--config", "run.toml")
    assert (code, err) == (2, "edcore: config, run.toml, width: given 'wide'; accepted: a whole number.\n")


def test_a_missing_or_foreign_file_is_refused(run):
    assert "--config: nowhere cannot be read (No such file or directory)" in run("train", "--config", "nowhere")[2]
    Path("binary").write_bytes(b"\xff\xfe\x00")
    assert "--config: binary is not TOML" in run("train", "--config", "binary")[2]
    Path("deep").write_text("[train]\nwidth = " + "[" * 5000)
    assert "--config: deep is not TOML" in run("train", "--config", "deep")[2]


def test_a_file_beside_resume_may_say_what_the_checkpoint_says(run):
    Path("run.toml").write_text('[train]\nwidth = 5\ndepth = 1\nseed = 4\nepochs = 1\nbackend = "numpy"\n')
    assert run("train", "--config", "run.toml", "--checkpoint", "net")[0] == 0
    assert run("train", "--config", "run.toml", "--resume", "net")[0] == 0
    Path("run.toml").write_text("[train]\nwidth = 6\n")
    assert "--width: given 6 beside --resume" in run("train", "--config", "run.toml", "--resume", "net")[2]


# Completion


def completed(line):
    environment = os.environ | {
        "_EDCORE_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(line.split(" ")) - 1),
    }
    done = subprocess.run(
        [sys.executable, "-m", "edcore"], capture_output=True, text=True, env=environment, check=False
    )
    assert done.stderr == ""
    return done.stdout.split()


def test_a_shell_completes_commands_options_and_names():
    assert completed("edcore in") == ["inspect", "info"]
    assert completed("edcore train --init") == ["--initial-weight", "--initial-fan-in"]
    assert completed("edcore train --backend num") == ["numba", "numpy"]
    assert completed("edcore train --rule s") == ["signed", "split"]
    assert completed("edcore train --dataset parity2") == ["parity2", "parity20"]
    assert completed("edcore check lo") == ["loop"]
    assert completed("edcore reproduce kaneko-x") == ["kaneko-xor"]
    assert completed("edcore compare dig") == ["digits"]
    assert completed("edcore compare digits --methods fro") == ["frozen"]


# What a run leaves behind


def test_plot_and_report_are_drawn(run):
    pytest.importorskip("matplotlib")
    code, _, err = run(*QUICK, "--plot", "run.png", "--report", "run.html")
    assert (code, err) == (0, "")
    assert Path("run.png").read_bytes().startswith(b"\x89PNG")
    page = Path("run.html").read_text("utf-8")
    assert "edcore train --dataset digits --data-dir data --classes 0,1" in page
    assert page.count("<figure") >= 4


@pytest.mark.parametrize("ending", ["svg", "pdf"])
def test_plots_of_other_kinds(run, ending):
    pytest.importorskip("matplotlib")
    assert run("train", "--dataset", "xor", "--depth", "0", "--epochs", "5", "--plot", f"run.{ending}")[0] == 0
    assert Path(f"run.{ending}").stat().st_size > 1000


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--plot", "run.jpg"], "--plot: given 'run.jpg'; accepted: a file whose name ends in .pdf, .png, .svg."),
        (["--report", "run.htm"], "--report: given 'run.htm'; accepted: a file whose name ends in .html."),
        (["--plot", "no/run.png"], "--plot: given 'no/run.png'; accepted: a file in a folder that exists"),
        (["--tensorboard", "file"], "--tensorboard: given 'file'; accepted: a folder"),
    ],
)
def test_what_could_not_be_written_is_refused_at_once(run, options, sentence):
    pytest.importorskip("matplotlib")
    Path("file").touch()
    code, out, err = run(*QUICK, *options)
    assert (code, out) == (2, "")
    assert err.startswith(f"edcore: {sentence}")


@pytest.mark.parametrize(
    "options",
    [
        ["--checkpoint", "run.png", "--plot", "run.png"],
        ["--checkpoint", "run.html", "--report", "./run.html"],
        ["--checkpoint", "run", "--tensorboard", "run"],
        ["--resume", "run.png", "--plot", "run.png"],
    ],
)
def test_no_file_is_overwritten_by_another_of_the_run(run, options):
    code, out, err = run(*QUICK, *options)
    assert (code, out) == (2, "")
    assert "accepted: another file than that of" in err
    assert not list(Path().iterdir())


def test_a_name_that_is_too_long_is_one_line(run):
    code, _, err = run(*QUICK, "--checkpoint", "n" * 300)
    assert code == 2
    assert "File name too long" in err
    assert err.count("\n") == 1


def test_a_folder_of_events_below_a_file_is_refused(run):
    Path("file").touch()
    assert "--tensorboard: given 'file/events'; accepted: a folder" in run(*QUICK, "--tensorboard", "file/events")[2]


def test_an_older_file_beside_resume_does_not_shorten_the_run(run):
    Path("run.toml").write_text("[train]\nepochs = 1\n")
    run(*QUICK, "--checkpoint", "net")
    assert run("train", "--resume", "net", "--config", "run.toml")[0] == 0
    assert io.inspect("net").run["epochs"] == 2


def test_without_matplotlib_a_plot_is_refused_at_once(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    code, out, err = run(*QUICK, "--report", "run.html")
    assert (code, out) == (2, "")
    assert '--report needs the package matplotlib, which is not installed. Install it with: pip install "edcore' in err


def logged(folder):
    """Return the scalars of a folder of events, by their tags."""
    from tensorboardX.proto.event_pb2 import Event

    found = {}
    for file in sorted(Path(folder).iterdir()):
        content = file.read_bytes()
        while content:
            size = int.from_bytes(content[:8], "little")
            event = Event.FromString(content[12 : 12 + size])
            content = content[16 + size :]
            for value in event.summary.value:
                found.setdefault(value.tag, []).append((event.step, value.simple_value))
    return found


def test_events_for_tensorboard(run):
    pytest.importorskip("tensorboardX")
    code, out, _ = run(*QUICK, "--eval-every", "70", "--tensorboard", "events", "--checkpoint", "net")
    assert code == 0
    found = logged("events")
    assert [step for step, _ in found["error/batch"]] == list(range(1, 145))
    assert [step for step, _ in found["accuracy/test"]] == [70, 140, 144]
    assert f"accuracy {found['accuracy/test'][-1][1]:7.2%}" in out
    run("train", "--resume", "net", "--epochs", "3", "--tensorboard", "events")
    assert [step for step, _ in logged("events")["error/batch"]][-1] == 216
    assert io.inspect("net").run["batch"] == 216


def test_without_tensorboardx_it_says_what_to_install(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    code, _, err = run(*QUICK, "--tensorboard", "events")
    assert code == 2
    assert 'Install it with: pip install "edcore[tensorboard]".' in err
