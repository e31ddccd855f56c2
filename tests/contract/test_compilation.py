"""The clock that stands still while a backend compiles, and the line that says that one does."""

import logging
import os
import subprocess
import sys
import time

import array_api_compat.numpy
import pytest

import edcore
from edcore.adapters.array_api import ArrayAPIBackend
from edcore.contract import compilation
from edcore.contract.compilation import add_compiling, begin_compiling, clock, compiling_on_stderr, end_compiling
from edcore.training import train


@pytest.fixture
def turn(monkeypatch):
    """Turn all clocks on by some seconds."""
    turned, read = [0.0], time.perf_counter
    monkeypatch.setattr(time, "perf_counter", lambda: read() + sum(turned))
    return turned.append


def test_the_clock_stands_still_while_something_compiles(turn):
    start = clock()
    turn(100)
    assert 100 <= clock() - start < 101
    begin_compiling()
    turn(1000)
    begin_compiling()  # within the first one, or in another thread
    turn(1000)
    end_compiling()
    turn(1000)
    assert 100 <= clock() - start < 101
    end_compiling()
    turn(10)
    assert 110 <= clock() - start < 111
    add_compiling(10)
    assert 100 <= clock() - start < 101


class CompilesAtItsFirstUpdate(ArrayAPIBackend):
    """NumPy, with a pretended compiler."""

    def __init__(self, turn):
        super().__init__(array_api_compat.numpy)
        self.turn = turn

    def update(self, *arguments):
        if self.turn:
            begin_compiling()
            self.turn(10**6)
            end_compiling()
            self.turn = None
        return super().update(*arguments)


def test_the_seconds_of_a_run_leave_compilation_out(turn):
    data = edcore.datasets.digits(classes=(0, 1))
    backend = CompilesAtItsFirstUpdate(turn)
    progress = list(train(edcore.ED(64, 4, 1, seed=0, backend=backend), data, epochs=1))
    assert backend.turn is None
    assert 0 < progress[-1].seconds < 10**5


def test_it_is_said_once_in_a_process_at_info_and_printed_in_a_command(monkeypatch, caplog, capsys):
    monkeypatch.setattr(compilation, "_said", set())
    with compiling_on_stderr(), compiling_on_stderr(), caplog.at_level(logging.INFO, "edcore"):
        compilation.say_compiling("one", kept=True)
        compilation.say_compiling("one", kept=True)
        compilation.say_compiling("other", kept=False)
    assert [record.message for record in caplog.records] == [
        "compiling the kernels of one, once",
        "compiling the kernels of other, in each process",
    ]
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 2)
    compilation.say_compiling("third", kept=True)
    assert capsys.readouterr().err == ""


def test_of_several_processes_the_first_prints(monkeypatch, tmp_path, capsys):
    for number in range(2):
        monkeypatch.setattr(compilation, "_said", set())
        with compiling_on_stderr(tmp_path / "once"):
            compilation.say_compiling("one", kept=True)
        assert len(capsys.readouterr().err.splitlines()) == 1 - number


@pytest.mark.slow
def test_a_command_says_that_numba_compiles_when_it_does(tmp_path):
    pytest.importorskip("numba")
    options = ["--dataset", "digits", "--classes", "0,1", "--depth", "1", "--backend", "numba"]
    command = [sys.executable, "-m", "edcore", "train", *options]
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    for times in (1, 0):  # at the second time the machine code is in the cache
        run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert run.stderr.count("compiling the kernels of numba, once") == times
        assert "compiling" not in run.stdout
