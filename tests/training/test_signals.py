"""Ctrl-C and SIGTERM at any moment: no traceback, the documented exit code, and nothing lost."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from command import without_dropped
from edcore import ED, Rule, cli, datasets, io
from edcore import __main__ as program

SIGNALS = 40

needs_signals = pytest.mark.skipif(os.name == "nt", reason="a process cannot be sent signals there")


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_run_that_is_told_to_stop_at_any_moment_ends_with_the_same_bits(tmp_path):
    program = [
        sys.executable,
        str(Path(__file__).parents[1] / "helpers" / "signalled.py"),
        str(tmp_path),
        str(SIGNALS),
        "numpy",
    ]
    done = subprocess.run(program, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["stopped"] == SIGNALS
    assert result["codes"]["130"] >= 5
    assert result["codes"].get("143", 0) + result["codes"].get("-15", 0) >= 5
    assert result["runs"] >= 1
    assert (result["different"], result["tracebacks"], result["left"]) == (0, 0, [])
    assert len(result["batches"]) >= 5  # at many places


def process(*arguments, **options):
    """Start the command line as the command `edcore` does, and wait until the library itself has been imported."""
    code = f"""
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
import edcore
print("imported", flush=True)
from edcore.__main__ import main
sys.argv = ["edcore", *{list(arguments)!r}]
main()
"""
    command = [sys.executable, "-c", code]
    started = subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
    assert started.stdout.readline() == "imported\n"
    return started


COMMANDS = {
    "train": ["--backend", "numpy", "--epochs", "3", "--checkpoint", "net"],
    "bench": ["numpy", "--depth", "2"],
    "compare": ["digits", "--quick", "--backend", "numpy"],
    "reproduce": ["kaneko-xor", "--quick", "--backend", "numpy"],
    "kaneko": ["--inputs", "5", "--hidden", "2", "--epochs", "100000", "--seed", "3"],
    "predict": ["trained", "digits"],
    "write": ["model", "--length", "100000"],
}


@needs_signals
@pytest.mark.parametrize("command", COMMANDS)
def test_ctrl_c_ends_each_command_with_no_traceback(command, tmp_path):
    data = datasets.digits(classes=(0, 1))
    io.save(
        ED(hidden_depth=0, seed=1, backend="numpy").fit(data.x_train, data.y_train),
        tmp_path / "trained",
        classes=(0, 1),
    )
    text = datasets.Text("abc " * 30, context=2)
    network = ED(2 * 5, 5, 0, one_hot=5, outputs=5, rule="modulo", seed=1, backend="numpy")
    io.save(network, tmp_path / "model", classes=text.characters)
    moments, codes = random.Random(command), []
    for latest in (0.05, 0.4, 1.2):  # while it is loaded, while it starts, while it works
        (tmp_path / "net").unlink(missing_ok=True)  # what the run before has kept
        with process(command, *COMMANDS[command], cwd=tmp_path) as child:
            time.sleep(moments.uniform(0, latest))
            child.send_signal(signal.SIGINT)
            while True:
                try:
                    _, err = child.communicate(timeout=2)
                    break
                except subprocess.TimeoutExpired:  # where it reaches a callback of Python's own, Python drops it
                    child.send_signal(signal.SIGINT)
        codes.append(child.returncode)
        assert child.returncode in (0, 130, -signal.SIGINT), err
        assert "Traceback" not in without_dropped(err), err
    assert codes[0] == -signal.SIGINT


@needs_signals
@pytest.mark.parametrize("end", [ImportError("initialization failed"), SystemExit(2)])
def test_ctrl_c_of_which_an_extension_makes_another_error_is_ctrl_c(end, monkeypatch):
    def swallow():
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        raise end

    def fail():
        raise end

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        monkeypatch.setattr(cli, "main", swallow)
        with pytest.raises(SystemExit) as stop:
            program.main()
        assert stop.value.code == program.INTERRUPTED
        monkeypatch.setattr(cli, "main", fail)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        with pytest.raises(type(end)) as shown:  # without Ctrl-C it stays what it is
            program.main()
        assert shown.value is end
    finally:
        signal.signal(signal.SIGINT, before)


@needs_signals
def test_an_interrupted_fit_in_compiled_code_keeps_the_epochs_before():
    pytest.importorskip("numba")
    data = datasets.parity(4)
    make = lambda: ED(4, hidden_width=8, hidden_depth=8, seed=1, rule=Rule("split"), backend="numba")  # noqa: E731
    ed = make().fit(data.x_train, data.y_train, epochs=1, batch_size=4)  # compiled
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        for moment in (0.01, 0.1, 0.3):
            timer = threading.Timer(moment, signal.raise_signal, [signal.SIGINT])
            timer.start()
            with pytest.raises(KeyboardInterrupt):
                ed.fit(data.x_train, data.y_train, epochs=10**6, batch_size=4)
            timer.join()
    finally:
        signal.signal(signal.SIGINT, before)
    epochs = int(ed.epochs[0])
    assert 1 < epochs < 10**6
    again = make().fit(data.x_train, data.y_train, epochs=epochs, batch_size=4)
    for key, value in ed.weights.items():
        np.testing.assert_array_equal(value, again.weights[key])


@needs_signals
@pytest.mark.parametrize("brief", [False, True])
def test_an_interrupt_in_an_update_on_several_threads_waits_for_all_of_them(monkeypatch, brief):
    numba = pytest.importorskip("numba")
    from edcore_numba.cpu.backend import Limits, NumbaCPU

    if numba.config.NUMBA_NUM_THREADS < 2:
        pytest.skip("there is one core here")
    data = datasets.digits(classes=(0, 1))
    x, y = data.x_train[:64], data.y_train[:64]
    backend = NumbaCPU(Limits(one_pass=0, brief=2**40 if brief else 0))
    make = lambda: ED(64, hidden_width=32, hidden_depth=32, u0=6.0, seed=1, backend=backend)  # noqa: E731
    expected = make()
    expected.step(x, y)
    ed, submit, calls, threads = make(), ThreadPoolExecutor.submit, [], 1 if brief else 2
    error = y - ed(x)

    def signalled(pool, *call):
        calls.append(call)
        if len(calls) == threads:  # of two, one has its share of the layers already; of one, the other is this one's
            signal.raise_signal(signal.SIGINT)
        return submit(pool, *call)

    monkeypatch.setattr(ThreadPoolExecutor, "submit", signalled)
    allowed = numba.get_num_threads()
    numba.set_num_threads(2)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            ed.update(error)
    finally:
        signal.signal(signal.SIGINT, before)
        numba.set_num_threads(allowed)
    assert len(calls) == threads
    for key, value in ed.weights.items():
        np.testing.assert_array_equal(value, expected.weights[key])
