"""The command line: what it prints, where, and with which exit code."""

import itertools
import json
import os
import re
import signal
import subprocess
import sys

import numpy as np
import pytest
from typer.main import get_command

import edcore
from edcore import datasets, training
from edcore.cli import app as cli
from edcore.contract.backend import API_VERSION, Availability, BackendInfo
from edcore.dispatch.calibration import Calibration, Ranking, save
from edcore.training import Progress
from edcore_loop.loops import LoopBackend

QUICK = ["train", "--depth", "2", "--epochs", "2", "--seed", "1"]
ESCAPE = "\x1b"


def summary(out):
    return dict(re.findall(r"^(?!batch )(\w[\w ]*?) {2,}(.*?) *$", out, re.MULTILINE))


def accuracies(out):
    return [float(share) for share in re.findall(r"^batch.*accuracy +([\d.]+)%", out, re.MULTILINE)]


# train


def test_train_shows_each_evaluation_and_a_summary(run):
    code, out, err = run(*QUICK)
    assert (code, err) == (0, "")
    assert re.findall(r"^batch +(\d+)/144 .* error [\d.]+ .* samples/s  epoch (\d)$", out, re.MULTILINE) == [
        ("50", "1"),
        ("100", "2"),
        ("144", "2"),
    ]
    result = summary(out)
    assert result.pop("accuracy") == f"{accuracies(out)[-1]:.2f}% of 72 test samples"
    assert re.fullmatch(r"0\.\d{4}", result.pop("mean error"))
    assert re.fullmatch(r"[\d.]+ s", result.pop("time in training"))
    assert re.fullmatch(r"[\d,]+ samples/s", result.pop("speed"))
    ed = edcore.ED(in_=64, hidden_depth=2)
    ed.predict(np.zeros((1, 64)))
    assert result == {
        "data set": "digits, 288 training samples",
        "classes": "0, 1",
        "network": "3 hidden layers of 32 + 32 cells (depth 2)",
        "inputs": "64",
        "outputs": "1",
        "parameters": f"{ed.network.parameters:,}",
        "rule": "signed error, learning rate 0.8",
        "backend": ed.backend,
        "device": ed.device,
        "dtype": "float32",
        "seed": "1",
    }


@pytest.mark.parametrize("seed", ["0", "5", "10"])
def test_train_with_no_options_ends_above_97_percent(run, seed):
    code, out, _ = run("train", "--seed", seed)
    assert code == 0
    assert accuracies(out)[-1] >= 97
    assert "33 hidden layers" in summary(out)["network"]


@pytest.mark.parametrize("colours", [{}, {"FORCE_COLOR": "1"}])
def test_train_shows_no_bar_where_stdout_is_no_terminal(run, monkeypatch, colours):
    for name, value in {"TERM": "xterm", **colours}.items():
        monkeypatch.setenv(name, value)
    _, out, _ = run(*QUICK)
    assert (ESCAPE in out) == bool(colours)
    without_colours = re.sub(rf"{ESCAPE}\[[\d;]*m", "", out)
    assert not {ESCAPE, "\r"} & set(without_colours)
    assert "batches" not in out


def test_the_seed_that_is_printed_repeats_the_run(run):
    _, first, _ = run("train", "--depth", "2", "--epochs", "1", "--eval-every", "9")
    _, again, _ = run("train", "--depth", "2", "--epochs", "1", "--eval-every", "9", "--seed", summary(first)["seed"])
    _, other, _ = run("train", "--depth", "2", "--epochs", "1", "--eval-every", "9")
    assert accuracies(first) == accuracies(again)
    assert summary(first)["mean error"] == summary(again)["mean error"]
    assert summary(first)["seed"] != summary(other)["seed"]


def test_train_on_more_than_two_classes(run):
    code, out, _ = run(*QUICK, "--classes", "3,0,7", "--width", "16")
    assert code == 0
    assert accuracies(out)[-1] > 80
    assert summary(out)["classes"] == "3, 0, 7"
    assert summary(out)["network"] == "3 hidden layers of 16 + 16 cells (depth 2)"
    assert summary(out)["outputs"] == "3"


def test_train_on_xor(run):
    code, out, _ = run("train", "--dataset", "xor", "--rule", "split", "--depth", "1", "--seed", "1")
    assert code == 0
    assert accuracies(out)[-1] == 100
    assert summary(out)["rule"] == "split error, learning rate 0.8"
    assert summary(out)["network"] == "2 hidden layers of 32 + 32 cells (depth 1)"


def test_every_option_arrives(run):
    options = {"--alpha": "0.5", "--batch-size": "100", "--backend": "loop", "--device": "cpu", "--dtype": "float64"}
    code, out, _ = run("train", "--depth", "0", "--width", "1", "--epochs", "1", *sum(options.items(), ()))
    assert code == 0
    assert "batch 3/3" in out
    result = summary(out)
    assert result["rule"] == "signed error, learning rate 0.5"
    assert (result["backend"], result["device"], result["dtype"]) == ("loop", "cpu", "float64")


def test_diagnose_shows_each_layer_below_the_summary(run):
    code, out, err = run(*QUICK, "--diagnose")
    assert (code, err) == (0, "")
    result, _, table = out.partition("\nlayers, on 256 training samples:\n")
    assert summary(result.rstrip("\n"))["seed"] == "1"
    lines = [line.split() for line in table.splitlines() if line]
    assert lines[0] == ["layer", "mean", "g", "flipped", "growth", "+", "/", "−", "angle", "update", "dead"]
    assert [line[0] for line in lines[1:]] == ["hidden", "hidden", "hidden", "output"]
    assert all(re.fullmatch(r"\d\.\de-\d+", line[2 if line[0] == "hidden" else 1]) for line in lines[1:])


def test_diagnose_warns_of_a_dead_stack_in_one_line(run):
    code, out, err = run("train", "--depth", "64", "--epochs", "1", "--seed", "1", "--diagnose")
    assert (code, err) == (0, "")
    assert re.search(r"^hidden \d+ … 65 .* dead *$", out, re.MULTILINE)
    assert re.fullmatch(
        r"warning: \d\d of 65 hidden layers are dead: .* float32\. What helps: .*, fewer layers\.",
        out.rstrip().rpartition("\n")[2],
    )


def test_diagnose_tells_the_share_of_weights_at_the_floor(run):
    code, out, _ = run("train", "--rule", "modulo", "--epochs", "2", "--seed", "1", "--diagnose")
    assert code == 0
    assert re.search(r"layer +mean g +flipped +growth +floor ", out)
    assert re.search(r"\n\n\d+\.\d% of these weights are at the floor of 0\.0001\.\n", out)


def test_diagnose_keeps_its_figures_whole_in_60_columns(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    code, out, _ = run("train", "--epochs", "1", "--seed", "1", "--diagnose")
    assert code == 0
    table = out.partition("training samples:\n\n")[2].partition("\nwarning")[0]
    assert all(len(line) <= 60 for line in table.splitlines())
    upper, lower = (part.splitlines() for part in table.rstrip().split("\n\n"))
    assert [line.split()[0] for line in upper] == [line.split()[0] for line in lower]
    assert lower[0].split() == ["layer", "update", "dead"]
    for rows, place in ((upper, r"\d\.\de-\d\d .*°"), (lower, r"\d\.\de-\d+\b( +dead)?")):
        assert all(re.search(rf" {place} *$", line) for line in rows[1:])


def test_diagnose_fits_an_old_terminal_and_takes_any_outputs(run):
    code, out, _ = run("train", "--epochs", "2", "--classes", "3,0,7", "--rule", "split", "--depth", "40", "--diagnose")
    assert code == 0
    table = out.partition("training samples:\n")[2].partition("warning")[0]
    assert all(re.match(r"layer|input|hidden \d|output|$", line) for line in table.splitlines())


@pytest.fixture
def asked(monkeypatch):
    """What train asks of the data sets and of the training loop, which both do nothing."""
    asked = {}

    def load(name, **options):
        asked.update(options)
        x, y = np.zeros((2, 3)), np.array([0, 1])
        return datasets.Dataset(name, x, y, x, y, (0, 1))

    def train(ed, data, **options):
        asked.update(options)
        return iter([Progress(1, 1, 1, 2, 0.5, 1.0, 0.5)])

    monkeypatch.setattr(datasets, "load", load)
    monkeypatch.setattr(training, "train", train)
    return asked


@pytest.mark.parametrize(
    ("name", "epochs", "batch_size"),
    [("digits", 10, 4), ("mnist", 1, 64), ("fashion_mnist", 1, 64), ("xor", 1000, 64), ("parity6", 1000, 64)],
)
def test_epochs_and_batch_size_depend_on_the_data_set(run, asked, name, epochs, batch_size):
    assert run("train", "--dataset", name)[0] == 0
    assert (asked["epochs"], asked["batch_size"], asked["eval_every"]) == (epochs, batch_size, 50)
    run("train", "--dataset", name, "--epochs", "7", "--batch-size", "8", "--eval-every", "9")
    assert (asked["epochs"], asked["batch_size"], asked["eval_every"]) == (7, 8, 9)


@pytest.mark.parametrize(
    ("options", "classes"), [([], (0, 1)), (["--classes", "all"], None), (["--classes", "4,2,9"], (4, 2, 9))]
)
def test_classes(run, asked, options, classes):
    run("train", *options)
    assert asked["classes"] == classes


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--dataset", "mnits"], r"--dataset: given 'mnits'; accepted: .*'digits'.* 'mnist'\?"),
        (["--dataset", "parity99"], r"--dataset: given 'parity99'; accepted: parity1 to parity20\."),
        (["--backend", "nump"], r"--backend: given 'nump'; accepted: .*'auto'.* 'numpy'\?"),
        (["--backend", "loop", "--device", "cuda"], r"--device: given 'cuda'; accepted: a device of loop: cpu\."),
        (["--device", "CPU"], r"--device: given 'CPU'; accepted: None or a device string, such as 'cpu'"),
        (["--dtype", "float16"], r"--dtype: given 'float16'; accepted: 'float32', 'float64'"),
        (
            ["--rule", "back-prop"],
            r"--rule: given 'back-prop'; accepted: 'edla', 'kaneko', 'modulo', 'sign",
        ),
        (["--width", "0"], r"--width: given 0; accepted: a whole number of at least 1\."),
        (["--depth", "-1"], r"--depth: given -1; accepted: a whole number of at least 0\."),
        (["--alpha", "-0.1"], r"--alpha: given -0.1; accepted: a finite number of at least 0\."),
        (["--alpha", "nan"], r"--alpha: given nan; accepted: a finite number of at least 0\."),
        (["--seed", "-1"], r"--seed: given -1; accepted: .*a whole number from 0 to 2\*\*128 - 1\."),
        (["--epochs", "0"], r"--epochs: given 0; accepted: a whole number of at least 1\."),
        (["--batch-size", "0"], r"--batch-size: given 0; accepted: a whole number of at least 1\."),
        (["--eval-every", "0"], r"--eval-every: given 0; accepted: a whole number of at least 1\."),
        (
            ["--classes", "0,x"],
            r"--classes: given '0,x'; accepted: whole numbers with commas between .* or all\.",
        ),
        (["--classes", "0"], r"--classes: given \(0,\); accepted: at least two different labels"),
        (["--classes", "0,12"], r"--classes: given \(0, 12\); accepted: at least two of 0, 1, .*, 9"),
        (["--dataset", "mnist", "--data-dir", "nowhere"], r"nowhere.MNIST.raw: missing train-images-idx3-ubyte, .*"),
    ],
)
def test_a_bad_option_is_one_line_that_names_it(refused, monkeypatch, options, message):
    monkeypatch.setitem(sys.modules, "torchvision", None)  # or it would download what is missing
    others = [pair for pair in zip(QUICK[1::2], QUICK[2::2], strict=True) if pair[0] not in options]
    assert re.match(message, refused("train", *itertools.chain(*others), *options))


@pytest.mark.parametrize("arguments", [["train", "--momentum", "1"], ["fly"], ["check"]])
def test_usage_errors(run, arguments):
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert "Usage: edcore" in err


def test_a_backend_that_cannot_run_says_why(refused, unready):
    message = refused(*QUICK, "--backend", "unready")
    assert message.startswith("--backend unready cannot run here: it was left at home. ")
    assert ' pip install "edcore[unready]" --extra-index-url https://wheels.example.org/simple' in message


def test_too_little_memory_is_one_line(refused, monkeypatch):
    def load(name, **options):
        raise MemoryError

    monkeypatch.setattr(datasets, "load", load)
    assert "--depth" in refused(*QUICK)


# Ctrl-C


def stopped_after(*progress):
    def train(ed, data, **options):
        yield from progress
        raise KeyboardInterrupt

    return train


def test_ctrl_c_sums_up_the_latest_evaluation(run, monkeypatch):
    run_so_far = [Progress(1, 1, 9, 64, 0.5, 2.0, 0.75), Progress(1, 2, 9, 128, 0.25, 2.0, None)]
    monkeypatch.setattr(training, "train", stopped_after(*run_so_far))
    code, out, _ = run(*QUICK)
    assert code == 130
    result = summary(out)
    assert result["stopped"] == "after 2 of 9 batches; the figures are of batch 1"
    assert result["accuracy"] == "75.00% of 72 test samples"
    assert (result["mean error"], result["time in training"], result["speed"]) == ("0.5000", "2.00 s", "32 samples/s")
    assert result["seed"] == "1"
    assert out.endswith("\n\nthe run was not kept; with --checkpoint FILE a run can go on\n")


@pytest.mark.parametrize(
    ("run_so_far", "stopped"),
    [
        ([], "before the first batch was learnt"),
        ([Progress(1, 1, 9, 64, 0.5, 0.0, None)], "after 1 of 9 batches; none was evaluated"),
    ],
)
def test_ctrl_c_before_the_first_evaluation(run, monkeypatch, run_so_far, stopped):
    monkeypatch.setattr(training, "train", stopped_after(*run_so_far))
    code, out, _ = run(*QUICK)
    assert code == 130
    result = summary(out)
    assert result["stopped"] == stopped
    assert "accuracy" not in result
    assert result["seed"] == "1"


def start(*arguments, before="", **options):
    """Start the command line as a process of its own, with the usual answer to Ctrl-C wherever the tests run."""
    code = f"""
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from edcore import cli, datasets
{before}
cli.main({list(arguments)!r})
"""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.Popen([sys.executable, "-c", code], text=True, **options)


needs_signals = pytest.mark.skipif(os.name == "nt", reason="a process cannot be sent SIGINT there")


@needs_signals
def test_a_real_ctrl_c_while_training():
    endless = ["train", "--depth", "2", "--epochs", "1000000", "--eval-every", "20", "--seed", "1"]
    with start(*endless) as process:
        first = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        rest, err = process.communicate(timeout=60)
    assert first.startswith("batch")
    assert (process.returncode, err) == (130, "")
    assert summary(rest)["stopped"].startswith("after ")
    assert "accuracy" in summary(rest)


@needs_signals
def test_a_real_ctrl_c_while_the_data_are_loaded():
    before = """
def load(name, **options):
    print("loading", file=sys.__stdout__, flush=True)
    signal.pause()
datasets.load = load
"""
    with start("train", before=before) as process:
        assert process.stdout.readline() == "loading\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, "", "")


# A terminal, and none


@needs_signals
def test_a_terminal_shows_a_bar_and_its_end_leaves_the_summary():
    controller, terminal = os.openpty()
    environment = {**os.environ, "TERM": "xterm"}
    with start(*QUICK, stdout=terminal, stderr=terminal, env=environment) as process:
        os.close(terminal)
        shown = read_all(controller)
    assert process.returncode == 0
    assert re.search(r"batches +0/144 .* left", re.sub(rf"{ESCAPE}\[[\d;?]*[a-zA-Z]", "", shown))
    assert ESCAPE in shown
    after_the_bar = shown.rpartition("batches")[2]
    assert f"{ESCAPE}[2K" in after_the_bar  # its line is erased
    assert "accuracy" in after_the_bar


def read_all(controller):
    parts = []
    try:
        while part := os.read(controller, 1024):
            parts.append(part)
    except OSError:  # Linux' way to say that the other side has closed the terminal
        pass
    os.close(controller)
    return b"".join(parts).decode()


@needs_signals
def test_a_reader_that_has_gone_is_no_news():
    reader, writer = os.pipe()
    os.close(reader)
    with start("info", stdout=writer) as process:
        os.close(writer)
        assert process.stderr.read() == ""


# The program as a whole


def test_python_m_edcore_is_the_command_line():
    result = subprocess.run([sys.executable, "-m", "edcore", "--version"], capture_output=True, text=True, check=True)
    assert result.stdout == f"edcore {edcore.__version__}\n"


def test_importing_the_library_loads_nothing_of_the_command_line():
    code = "import sys, edcore; print(sorted({'typer', 'rich', 'edcore.cli'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_help_documents_the_exit_codes(run):
    code, out, _ = run("--help")
    assert code == 0
    for exit_code in ("0 all is well", "1 a check failed", "2 a bad option", "130 stopped with Ctrl-C"):
        assert exit_code in " ".join(out.split())


# info


def backend_info(name, reason="", **changes):
    return BackendInfo(
        name=name,
        summary="a backend for tests",
        install=f'pip install "edcore[{name}]" --extra-index-url https://wheels.example.org/simple',
        priority=changes.pop("priority", 0),
        device_types=("cpu",),
        namespaces=(),
        api_version=API_VERSION,
        probe=lambda device: Availability(not reason, reason),
        load=lambda device: LoopBackend(),
    )


@pytest.fixture
def unready(fresh_registry):
    fresh_registry.register(backend_info("unready", "it was left at home"))


def test_info_lists_every_backend_with_its_state(run, fresh_registry, unready):
    code, out, err = run("info")
    assert (code, err) == (0, "")
    assert f"edcore {edcore.__version__}, Python " in out
    assert f"NumPy {np.__version__}" in out
    for state in fresh_registry.list_backends():
        assert re.search(rf"^{state.name} +{'ready' if state.ready else 'not ready'} ", out, re.MULTILINE)
    assert re.search(r"^numpy +ready +cpu *$", out, re.MULTILINE)
    assert re.search(r"^unready +not ready +it was left at", out, re.MULTILINE)


def test_info_fits_80_columns_and_leaves_commands_whole(run, unready):
    _, out, _ = run("info")
    command = 'pip install "edcore[unready]" --extra-index-url https://wheels.example.org/simple'
    assert f"unready needs: {command}\n" in out
    assert all(len(line) <= 80 for line in out.splitlines() if " needs: " not in line)


def test_info_tells_what_auto_takes(run, fresh_registry, monkeypatch):
    fresh_registry.register(backend_info("best", priority=1000))
    assert "\nauto takes best on cpu for the default network" in run("info")[1]
    monkeypatch.setenv("EDCORE_BACKEND", "numpy")
    assert "\nauto takes numpy on cpu for the default network" in run("info")[1]


def test_info_explains_what_auto_takes_for_a_shape(run, fresh_registry):
    fresh_registry.register(backend_info("best", priority=1000))
    fresh_registry.register(backend_info("unready", "it was left at home", priority=2000))
    save("cpu", Calibration("measured by a test", (Ranking(64, 64, ("numpy", "best"), (1.25, 2.5)),)))
    code, out, err = run("info", "--explain", "784", "32", "4096")
    assert (code, err) == (0, "")
    assert (
        "784 inputs, 4,097 hidden layers of 32 + 32 cells (depth 4,096)\n17,139,906 weights, 65.4 MiB; batches of 64\n"
        in out
    )
    assert re.search(r"^unready +cpu +it was left at home *$", out, re.M)
    assert re.search(r"^numpy +cpu +1.25 +taken *$", out, re.M)
    assert re.search(r"^best +cpu +2.5 +ready *$", out, re.M)
    assert re.search(r"^loop +it is used only when asked for", out, re.M)
    assert "\nauto takes numpy on cpu for NumPy arrays.\n" in out
    assert "The order on cpu is that of width 64, batch 64: measured by a test." in out


def test_info_explains_for_a_batch(run, fresh_registry):
    fresh_registry.register(backend_info("best", priority=1000))
    rows = Ranking(64, 1, ("best", "numpy"), (1.25, 2.5)), Ranking(64, 512, ("numpy", "best"), (10, 20))
    save("cpu", Calibration("measured by a test", rows))
    asked = "info", "--explain", "784", "32", "4096", "--batch"
    assert "The order on cpu is that of width 64, batch 1: measured by a test." in run(*asked, "22")[1]
    assert "\nauto takes numpy on cpu for NumPy arrays.\n" in run(*asked, "23")[1]
    found = json.loads(run(*asked, "1", "--json")[1])
    assert (found["batch"], found["auto"]["backend"]) == (1, "best")
    assert found["decided_by"] == {"cpu": {"width": 64, "batch": 1, "source": "measured by a test"}}
    # Without a shape, the network and the batch are those of edcore train.
    assert json.loads(run("info", "--json")[1])["batch"] == 4
    assert "--batch: given 0; accepted: " in run(*asked, "0")[2]


def test_info_explains_that_the_environment_decides_before_auto(run, monkeypatch):
    monkeypatch.setenv("EDCORE_BACKEND", "loop")
    assert "EDCORE_BACKEND=loop decides before auto" in run("info", "--explain", "2", "3", "1")[1]


@pytest.mark.parametrize("shape", ["0 32 1", "784 0 1", "784 32 -1"])
def test_info_refuses_to_explain_what_is_no_network(run, shape):
    code, _, err = run("info", "--explain", *shape.split())
    assert code == 2
    assert f"--explain: given {shape}; accepted: IN and WIDTH of at least 1, DEPTH of at least 0." in err


def test_info_refuses_a_wrong_environment_after_the_table(run, monkeypatch):
    monkeypatch.setenv("EDCORE_BACKEND", "nump")
    code, out, err = run("info")
    assert code == 2
    assert "numpy" in out
    assert err.startswith("edcore: EDCORE_BACKEND: given 'nump'; accepted: ")


# JSON


def test_info_as_json(run, unready):
    code, out, err = run("info", "--json")
    assert (code, err) == (0, "")
    result = json.loads(out)
    states = {state["name"]: state for state in result["backends"]}
    assert states["numpy"]["ready"] is True
    assert states["unready"]["reason"] == "it was left at home"
    assert result["auto"]["backend"] in states
    assert result["network"]["width"] == 32
    assert json.loads(run("info", "--explain", "784", "512", "4", "--json")[1])["network"]["width"] == 512


def test_train_as_json(run):
    code, out, err = run(*QUICK, "--json")
    assert code == 0
    result = json.loads(out)
    assert result["batch"] == result["batches"] == result["evaluated_at_batch"] == 144
    assert result["network"]["depth"] == 2
    assert result["rule"]["error"] == "signed"
    assert result["seed"] == 1
    assert f"accuracy {result['accuracy']:7.2%}" in err
    again = json.loads(run(*result["command"].split()[1:], "--json")[1])
    assert again["accuracy"] == result["accuracy"]


@pytest.mark.parametrize("command", list(cli.EXAMPLES))
def test_every_command_has_help_with_examples_that_it_understands(run, command):
    code, out, _ = run(command, "--help")
    assert code == 0
    for example in cli.EXAMPLES[command]:
        assert re.search(rf"^ {re.escape(example)} *$", out, re.M)
        name, *options = example.split()[1:]
        assert name == command
        get_command(cli.app).commands[name].make_context(name, options, resilient_parsing=True)
