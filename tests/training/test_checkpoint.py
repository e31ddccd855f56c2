"""Runs of ``edcore train`` that stop and go on: to the same bits, on the same data, and with nothing lost."""

import itertools
import json
import math
import os
import shlex
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import filelock
import numpy as np
import pytest
import safetensors.numpy

from command import during, override
from edcore import ED, cli, datasets, io, training
from edcore.contract.backend import API_VERSION, Availability, BackendInfo
from edcore.errors import DataFileError, InputError
from edcore.files import container
from edcore.training.checkpoint import Checkpoint, RunState, read
from edcore.training.history import History
from edcore_loop.loops import LoopBackend

pytestmark = pytest.mark.usefixtures("in_a_folder_of_its_own")

RUN = ["train", "--dataset", "parity4", "--width", "4", "--depth", "1", "--rule", "split", "--seed", "3"]
SCHEDULE = ["--epochs", "6", "--batch-size", "5", "--eval-every", "7", "--every", "4"]
BATCHES = 24


def documented(path):
    with container.open_container(path) as opened:
        return opened.document


class StoppedError(Exception):
    """Stands for whatever ends a program in the middle of it."""


@pytest.fixture
def stopped(monkeypatch, capsys):
    """Run the command line until so many batches have been learnt, as if the machine had stopped then."""

    def stopped(batches, *arguments):
        with monkeypatch.context() as context:
            context.setattr(ED, "step", stopping(ED.step, batches))
            with pytest.raises(StoppedError):
                cli.main(arguments)
        capsys.readouterr()

    return stopped


def stopping(step, batches):
    """Return a step that stops the program when so many batches have been learnt."""
    calls = itertools.count()

    def stopping(*arguments):
        if next(calls) == batches:
            raise StoppedError
        return step(*arguments)

    return stopping


@pytest.fixture
def writes(monkeypatch):
    """Have each write of a checkpoint first call the last function of this list with the number of the write."""
    calls, count, real = [], itertools.count(1), os.fsync

    def fsync(descriptor):
        if calls and stat.S_ISREG(os.fstat(descriptor).st_mode):  # not a folder
            calls[-1](next(count))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    return calls


def full_disk():
    raise OSError(28, "No space left on device")


def kept(file):
    arrays = safetensors.numpy.load_file(file)
    del arrays["run.seconds"]
    return {key: (array.shape, array.tobytes()) for key, array in arrays.items()}


@pytest.mark.parametrize("backend", ["numpy", "loop", "numba", "torch", "jax"])
@pytest.mark.parametrize("batches", [1, 9, 23])
def test_a_run_goes_on_to_the_same_bits(run, stopped, fresh_registry, backend, batches):
    if not any(status.name == backend and status.ready for status in fresh_registry.list_backends()):
        pytest.skip(f"{backend} is not ready here")
    options = [*RUN, *SCHEDULE, "--backend", backend]
    assert run(*options, "--checkpoint", "whole")[0] == 0
    stopped(batches, *options, "--checkpoint", "parts")
    stands = io.inspect("parts").run["batch"]
    assert stands == batches - batches % 4
    code, out, _ = run("train", "--resume", "parts", "--every", "4")
    assert code == 0
    assert kept("parts") == kept("whole")
    assert out.count("\nbatch") + out.startswith("batch") == len([b for b in (7, 14, 21, 24) if b > stands])


def test_the_summary_of_a_resumed_run_is_that_of_the_whole_one(run, stopped):
    _, whole, _ = run(*RUN, *SCHEDULE, "--json")
    stopped(10, *RUN, *SCHEDULE, "--checkpoint", "parts")
    _, resumed, shown = run("train", "--resume", "parts", "--json")
    whole, resumed = json.loads(whole), json.loads(resumed)
    assert whole.pop("seconds") > 0
    assert resumed.pop("seconds") > 0
    assert resumed == whole
    assert f"batch {BATCHES}/{BATCHES}" in shown


def test_more_epochs_go_on_to_the_same_bits(run):
    run(*RUN, *SCHEDULE, "--checkpoint", "short")
    assert run("train", "--resume", "short", "--epochs", "9")[0] == 0
    run(*override(*RUN, *SCHEDULE, "--epochs", "9", "--checkpoint", "long"))
    short, long = safetensors.numpy.load_file("short"), safetensors.numpy.load_file("long")
    for key in long:
        if not key.startswith("run."):
            assert short[key].tobytes() == long[key].tobytes()
    assert io.inspect("short").run["epochs"] == 9


def test_a_run_that_has_ended_sums_up_again(run):
    run(*RUN, *SCHEDULE, "--checkpoint", "done")
    code, out, _ = run("train", "--resume", "done")
    assert code == 0
    assert "batch" not in out.split("\n\n")[0]
    assert "accuracy" in out


def test_a_run_goes_on_on_another_backend(run):
    run(*override(*RUN, *SCHEDULE, "--epochs", "3", "--backend", "numpy", "--checkpoint", "net"))
    code, out, _ = run("train", "--resume", "net", "--backend", "loop", "--epochs", "6")
    assert code == 0
    assert "backend            loop" in out
    assert io.inspect("net").backend == "loop"
    run(*override(*RUN, *SCHEDULE, "--backend", "numpy", "--checkpoint", "whole"))
    for key, value in io.load("whole").weights.items():
        np.testing.assert_allclose(io.load("net").weights[key], value, rtol=1e-3, atol=1e-4)


def test_resume_may_keep_it_in_another_file(run):
    run(*override(*RUN, *SCHEDULE, "--epochs", "3", "--checkpoint", "first"))
    before = Path("first").read_bytes()
    assert run("train", "--resume", "first", "--checkpoint", "second", "--epochs", "4")[0] == 0
    assert Path("first").read_bytes() == before
    assert io.inspect("second").run["batch"] == 16


@pytest.fixture
def half(run):
    """A checkpoint of a run with three more epochs to go."""
    run(*override(*RUN, *SCHEDULE, "--checkpoint", "half", "--backend", "numpy"))
    return "half"


@pytest.mark.parametrize(
    ("options", "given", "accepted"),
    [
        (["--width", "5"], "5 beside --resume", "4, as in half"),
        (["--seed", "4"], "4 beside --resume", "3, as in half"),
        (["--rule", "signed"], "'signed' beside --resume", "'split', as in half"),
        (["--batch-size", "7"], "7 beside --resume", "5, as in half"),
        (["--dataset", "xor"], "'xor' beside --resume", "'parity4', as in half"),
        (["--epochs", "5"], "5", "a whole number of at least 6. The run has learnt 24 batches already"),
        (["--epochs", "0"], "0", "a whole number of at least 1"),
        (["--every", "0"], "0", "a whole number of at least 1"),
        (["--backend", "nump"], "'nump'", "'numpy'"),
    ],
)
def test_what_cannot_change_on_the_way_is_refused(run, half, options, given, accepted):
    before = Path(half).read_bytes()
    code, _, err = run("train", "--resume", half, *options)
    assert code == 2
    assert err.startswith(f"edcore: {options[0]}: given {given}; accepted: ")
    assert accepted in err
    assert Path(half).read_bytes() == before


def test_the_same_value_given_again_is_no_change(run, half):
    assert run("train", "--resume", half, "--width", "4", "--rule", "split")[0] == 0


def test_other_data_are_refused(run, half, monkeypatch):
    real = datasets.load

    def other(*arguments, **options):
        data = real(*arguments, **options)
        data.x_train[0, 0] += 1e-3
        return data

    monkeypatch.setattr(datasets, "load", other)
    code, _, err = run("train", "--resume", half)
    assert code == 2
    assert err.startswith("edcore: half: ")
    assert "parity4" in err
    assert "--data-dir" in err


def test_a_network_without_a_run_is_refused(run, half):
    io.save(io.load(half), "network")
    _, _, err = run("train", "--resume", "network")
    assert err.startswith("edcore: --resume: given 'network'; accepted: a file of edcore train --checkpoint.")


def test_a_missing_file_is_refused(run):
    assert "nowhere: it cannot be read (No such file or directory)" in run("train", "--resume", "nowhere")[2]


@pytest.mark.parametrize(
    "change",
    [
        {"batch": 25},
        {"batch": 23},
        {"batch": "x"},
        {"epochs": 0},
        {"batch_size": None},
        {"options": 3},
        {"data": None},
    ],
)
def test_a_run_that_was_changed_is_refused(run, half, change):
    document = documented(Path(half))
    document["run"] |= change
    Path(half).write_bytes(container.pack(document, safetensors.numpy.load_file(half)))
    code, _, err = run("train", "--resume", half)
    assert code == 2
    assert "damaged" in err


def test_a_checkpoint_replaces_no_file(run, half):
    before = Path(half).read_bytes()
    _, _, err = run(*RUN, "--checkpoint", half)
    assert err.startswith("edcore: --checkpoint: given 'half'; accepted: the name of a new file.")
    assert "--resume half" in err
    assert Path(half).read_bytes() == before
    os.symlink("half", "link")
    assert run("train", "--resume", half, "--checkpoint", "link")[0] == 0


def test_a_checkpoint_in_no_folder_is_refused_before_anything_is_learnt(run, monkeypatch):
    monkeypatch.setattr(ED, "step", None)
    _, _, err = run(*RUN, "--checkpoint", "no/such/file")
    assert err.startswith("edcore: --checkpoint: given 'no/such/file'; accepted: a file in a folder that exists")


def test_a_disk_that_is_full_for_a_while_does_not_end_the_run(run, writes):
    writes.append(lambda number: number in (2, 3) and full_disk())
    code, _, err = run(*RUN, *SCHEDULE, "--checkpoint", "net")
    assert code == 0
    assert err.count("edcore: net: ") == err.count("(No space left on device)") == err.count("tries again") == 2
    assert io.inspect("net").run["batch"] == BATCHES


def test_a_disk_that_is_full_at_the_end_is_an_error(run, writes):
    writes.append(lambda number: number > 1 and full_disk())
    code, _, err = run(*RUN, *SCHEDULE, "--checkpoint", "net")
    assert code == 2
    assert err.splitlines()[-1].startswith("edcore: net: ")
    assert err.count("(No space left on device)") == 7  # one at each fourth batch, and one at the end
    assert io.inspect("net").run["batch"] == 0


def test_a_run_that_diverges_leaves_the_last_good_checkpoint(run):
    options = ["--dataset", "parity3", "--activation", "linear", "--depth", "6", "--alpha", "1e6", "--backend", "numpy"]
    code, _, err = run("train", *options, "--seed", "1", "--every", "1", "--checkpoint", "net")
    assert code == 2
    stands = io.inspect("net").run["batch"]
    assert 0 < stands < 1000
    assert err.startswith(f"edcore: net stands at batch {stands}, ")
    assert f"edcore: learning has diverged in batch 1 of epoch {stands + 1}: the activities of hidden layer" in err
    assert all(np.isfinite(value).all() for value in io.load("net").weights.values())


def test_a_backend_that_is_missing_says_what_the_file_was_written_with(run, fresh_registry):
    reasons = []
    fresh_registry.register(
        BackendInfo(
            name="passing",
            summary="a backend that goes away",
            install="pip install passing",
            priority=0,
            device_types=("cpu",),
            namespaces=(),
            api_version=API_VERSION,
            probe=lambda device: Availability(not reasons, *reasons),
            load=lambda device: LoopBackend(),
        )
    )
    assert run(*override(*RUN, *SCHEDULE, "--checkpoint", "half", "--backend", "passing"))[0] == 0
    document = documented(Path("half"))
    document["backend"] = "passing"  # and not that of the class that it borrows
    Path("half").write_bytes(container.pack(document, safetensors.numpy.load_file("half")))
    reasons.append("gone")
    code, _, err = run("train", "--resume", "half")
    assert code == 2
    assert err.startswith("edcore: --backend passing cannot run here: gone.")
    assert "The run in half used it." in err
    assert "--backend" in err
    assert run("train", "--resume", "half", "--backend", "loop")[0] == 0


def test_reading_a_checkpoint_of_other_classes_is_refused(run, half):
    document = documented(Path(half))
    document["classes"] = None
    Path(half).write_bytes(container.pack(document, safetensors.numpy.load_file(half)))
    with pytest.raises(DataFileError, match="the classes of its outputs"):
        read(half, "auto", None)


def test_two_runs_on_one_checkpoint_do_not_lose_each_others_networks(run, half, monkeypatch):
    real = training.train

    def disturbed(*arguments, **options):
        for progress in real(*arguments, **options):
            if progress.batch == 26:
                io.save(io.load(half), half, overwrite=True)
            yield progress

    monkeypatch.setattr(training, "train", disturbed)
    code, _, err = run("train", "--resume", half, "--epochs", "9", "--every", "1")
    assert code == 2
    assert "--checkpoint: given 'half', but another run is writing this file; accepted: " in err
    assert io.inspect(half).run is None  # as the other one has left it


def copied(file):
    """Put a copy in the place of a file, as programs that synchronise folders do."""
    Path("copy").write_bytes(Path(file).read_bytes())
    os.replace("copy", file)


@pytest.mark.parametrize("locks", [True, False])
@pytest.mark.parametrize(
    "change", [lambda file: os.utime(file, (0, 0)), os.utime, copied], ids=["old", "touch", "copy"]
)
def test_a_checkpoint_that_is_touched_ends_no_run(run, monkeypatch, change, locks):
    if not locks:
        monkeypatch.setattr(filelock.FileLock, "acquire", lambda self: None)
    assert run(*RUN, *SCHEDULE, "--checkpoint", "whole")[0] == 0
    events = {batch: lambda: change("net") for batch in (1, 5, 6, 23)}
    during(monkeypatch, events)
    code, out, err = run(*RUN, *SCHEDULE, "--checkpoint", "net")
    assert (code, err) == (0, "")
    assert "accuracy" in out
    assert kept("net") == kept("whole")


def test_a_checkpoint_that_is_removed_is_written_again(run, monkeypatch):
    during(monkeypatch, {5: lambda: os.unlink("net")})
    assert run(*RUN, *SCHEDULE, "--checkpoint", "net")[0] == 0
    assert io.inspect("net").run["batch"] == BATCHES


@pytest.mark.parametrize("content", [b"mine", b""])
def test_a_file_that_took_the_checkpoints_place_stays_and_the_run_is_summed_up(run, monkeypatch, content):
    during(monkeypatch, {9: lambda: Path("net").write_bytes(content)})
    code, out, err = run(*RUN, *SCHEDULE, "--checkpoint", "net")
    assert code == 2
    assert "--checkpoint: given 'net', but another run is writing this file" in err
    assert "after 12 of 24 batches" in out
    assert Path("net").read_bytes() == content


@pytest.mark.parametrize("labels", [(0, 1, 2), (0.5, 1.5), (0, 0), None])
def test_labels_that_no_reader_takes_are_refused_before_anything_is_learnt(labels):
    data = datasets.xor()
    ed = ED(2, hidden_width=2, hidden_depth=0, seed=1, backend="numpy")
    object.__setattr__(data, "classes", labels)
    state = RunState(options=OPTIONS, epochs=1, batch_size=4, eval_every=1, samples=4, data="")
    with pytest.raises(InputError):
        Checkpoint(Path("net"), 1, ed, data, state, print, new=True).write(History())
    assert not Path("net").exists()


OPTIONS = {"dataset": "xor", "classes": "0,1", "data_dir": "data", "rule": "signed"}


@pytest.mark.parametrize(
    "change",
    [
        {"options": OPTIONS | {"dataset": None}},
        {"options": OPTIONS | {"alpha": np.float32(0.5)}},
        {"options": {"dataset": "xor"}},
        {"options": OPTIONS | {"alpha": math.nan}},
        {"epochs": 0},
        {"samples": 2**200},
        {"data": None},
        {"batch_size": np.int64(4)},
    ],
    ids=str,
)
def test_a_run_that_no_reader_takes_is_not_written(change):
    data, ed = datasets.xor(), ED(2, hidden_width=2, hidden_depth=0, seed=1, backend="numpy")
    state = {"options": OPTIONS, "epochs": 1, "batch_size": 4, "eval_every": 1, "samples": 4, "data": ""}
    Checkpoint(Path("net"), 1, ed, data, RunState(**state), print, new=True).write(History())
    assert read("net", "auto", None)[1] == RunState(**state)
    with pytest.raises(InputError, match=r"^ed: given what edcore\.io\.load would refuse"):
        Checkpoint(Path("new"), 1, ed, data, RunState(**(state | change)), print, new=True).write(History())
    assert [path.name for path in Path().iterdir()] == ["net"]


def test_a_checkpoint_that_comes_up_before_the_first_write_is_not_replaced(run, monkeypatch):
    real = datasets.load

    def load(*arguments, **options):
        Path("net").write_bytes(b"of another program")
        return real(*arguments, **options)

    monkeypatch.setattr(datasets, "load", load)
    code, _, err = run(*RUN, "--checkpoint", "net")
    assert code == 2
    assert err.startswith("edcore: --checkpoint: given 'net'; accepted: the name of a new file.")
    assert Path("net").read_bytes() == b"of another program"


def test_the_time_of_a_resumed_run_is_that_of_all_its_parts(run, stopped, monkeypatch):
    seconds = itertools.count()
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(seconds)))
    stopped(20, *override(*RUN, *SCHEDULE, "--every", "1", "--eval-every", "1000", "--checkpoint", "net"))
    arrays = safetensors.numpy.load_file("net")
    assert arrays["run.seconds"][-1] > 10  # one reading of the clock at least for each batch
    result = json.loads(run("train", "--resume", "net", "--json")[1])
    assert result["seconds"] > arrays["run.seconds"][-1]


@pytest.mark.parametrize(
    "option", [("--depth", "1"), ("--alpha", "0.8"), ("--no-rms",), ("--classes", "0, 1"), ("--u0", "0.4")]
)
def test_what_is_in_effect_may_be_given_again(run, option):
    run("train", "--dataset", "parity3", "--rule", "signed", "--depth", "1", "--epochs", "2", "--checkpoint", "net")
    assert run("train", "--resume", "net", *option)[0] == 0


def test_the_command_repeats_the_run(run, half):
    result = json.loads(run("train", "--resume", half, "--epochs", "7", "--eval-every", "5", "--json")[1])
    options = shlex.split(result["command"])[2:]
    assert run("train", *options, "--checkpoint", "again")[0] == 0
    assert kept("again")["hidden.weight"] == kept(half)["hidden.weight"]
    assert io.inspect("again").run == io.inspect(half).run


def test_a_run_that_fails_to_start_leaves_no_checkpoint(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    assert run(*RUN, "--checkpoint", "net", "--tensorboard", "events")[0] == 2
    assert not Path("net").exists()


def test_every_is_checked_with_no_checkpoint_as_well(run):
    assert run(*RUN, "--every", "0")[2].startswith("edcore: --every: given 0; accepted: a whole number of at least 1.")


def test_a_run_whose_output_nobody_reads_is_kept(run):
    with start(
        *RUN, "--batch-size", "5", "--epochs", "500", "--eval-every", "1", "--every", "9999", "--checkpoint", "n"
    ) as process:
        process.stdout.readline()
        process.stdout.close()
        process.wait(timeout=60)
    assert process.returncode != 0
    assert io.inspect("n").run["batch"] > 0


# Signals

needs_signals = pytest.mark.skipif(os.name == "nt", reason="a process cannot be sent signals there")

ENDLESS = [*RUN, "--batch-size", "5", "--epochs", "1000000", "--eval-every", "7", "--every", "1000000"]


def start(*arguments):
    code = f"""
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from edcore import cli
cli.main({list(arguments)!r})
"""
    return subprocess.Popen([sys.executable, "-c", code], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@needs_signals
def test_signals_do_not_end_the_last_writing(run, writes):
    def signalled(number):
        if number > 1:
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGTERM)

    writes.append(signalled)
    code, out, _ = run(*override(*RUN, *SCHEDULE, "--every", "9999", "--checkpoint", "net"))
    assert code == 143
    assert "accuracy" in out
    assert io.inspect("net").run["batch"] == BATCHES


@needs_signals
def test_a_second_signal_ends_a_run_at_once_and_tells_where_the_file_stands(run, monkeypatch):
    real = training.train

    def signalled(*arguments, **options):
        for progress in real(*arguments, **options):
            if progress.batch == 9:
                signal.raise_signal(signal.SIGTERM)
                signal.raise_signal(signal.SIGTERM)
            yield progress

    monkeypatch.setattr(training, "train", signalled)
    code, out, _ = run(*RUN, *SCHEDULE, "--checkpoint", "net")
    assert code == 143
    assert "net stands at batch 8" in out
    assert io.inspect("net").run["batch"] == 8


@needs_signals
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_run_that_is_told_to_stop_is_kept_as_it_stands(run, number, code):
    with start(*ENDLESS, "--checkpoint", "net") as process:
        process.stdout.readline()
        time.sleep(0.05)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (code, "")
    batch = io.inspect("net").run["batch"]
    assert f"after {batch:,} of" in out
    # It has learnt whole batches: once its epoch is full, it is where a run of so many epochs comes to.
    epochs = str(math.ceil(batch / 4))
    assert run("train", "--resume", "net", "--epochs", epochs)[0] == 0
    run(*RUN, "--batch-size", "5", "--epochs", epochs, "--checkpoint", "whole")
    whole = io.load("whole").weights
    for key, value in io.load("net").weights.items():
        assert value.tobytes() == whole[key].tobytes()
