"""Two runs on one file: the second is refused at once, a process that dies lets go, and readers need no lock."""

import errno
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import filelock
import pytest

from edcore import io
from edcore.errors import DataFileError, LockedError
from edcore.files.locking import locked

RUN = ["train", "--dataset", "parity4", "--width", "4", "--depth", "1", "--rule", "split", "--seed", "3"]


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def holder():
    """A process of its own that holds the lock of the file `net` until its stdin is closed, or it is killed."""
    code = """
    import sys
    from pathlib import Path
    from edcore.files.locking import locked
    with locked(Path("net")):
        print("held", flush=True)
        sys.stdin.read()
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.stdin.close()


def test_the_second_run_is_refused_at_once_and_names_the_holder(command_line, holder):
    for options in (["--checkpoint", "net"], ["--resume", "net"], ["--resume", "other", "--checkpoint", "net"]):
        code, out, err = command_line(*RUN, *options)
        assert (code, out) == (2, "")  # a run that learns prints
        assert re.match(rf"edcore: net: .*\(process {holder.pid} on .+\).* --checkpoint", err)
    assert not Path("net").exists()


@pytest.mark.parametrize("end", ["killed", "ended"])
def test_a_process_that_ends_lets_go(command_line, holder, end):
    if end == "killed":
        holder.kill()
        holder.wait()
        assert Path("net.lock").exists()
    else:
        holder.stdin.close()
        holder.wait()
        assert not Path("net.lock").exists()
    assert command_line(*RUN, "--epochs", "2", "--checkpoint", "net")[0] == 0
    assert [path.name for path in Path().iterdir()] == ["net"]


def test_readers_need_no_lock(command_line):
    assert command_line(*RUN, "--epochs", "2", "--checkpoint", "net")[0] == 0
    with locked(Path("net")):
        assert io.inspect("net").run["batch"] == 2
        assert command_line("inspect", "net")[0] == 0
        assert command_line("predict", "net", "parity4")[0] == 0
        assert command_line("train", "--resume", "net", "--checkpoint", "other")[0] == 0


def test_a_link_has_the_lock_of_its_file(command_line):
    Path("link").symlink_to("net")
    with (
        locked(Path("link")),
        pytest.raises(LockedError, match=rf"^net: .*\(process {os.getpid()} on "),
        locked(Path("net")),
    ):
        pass


def test_an_error_lets_go():
    with pytest.raises(ZeroDivisionError), locked(Path("net")):
        raise ZeroDivisionError
    with locked(Path("net")):
        assert Path("net.lock").exists()


def test_a_holder_that_is_not_known_is_not_named():
    with locked(Path("net")):
        Path("net.lock").write_bytes(b"\xff")
        with pytest.raises(LockedError, match="^net: ") as error, locked(Path("net")):
            pass
        assert "process" not in str(error.value)


@pytest.mark.parametrize("error", [OSError(errno.ENOLCK, "No locks available"), NotImplementedError()])
def test_a_file_system_without_locks_has_none(command_line, monkeypatch, error):
    def none(self, *arguments, **options):
        raise error

    monkeypatch.setattr(filelock.FileLock, "acquire", none)
    assert command_line(*RUN, "--epochs", "2", "--checkpoint", "net")[0] == 0


def test_a_folder_that_takes_no_lock_is_an_error(monkeypatch):
    def none(self, *arguments, **options):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(filelock.FileLock, "acquire", none)
    with (
        pytest.raises(DataFileError, match=r"net: .*net\.lock cannot be made \(Read-only file system\)"),
        locked(Path("net")),
    ):
        pass


def test_no_file_has_no_lock():
    with locked(None):
        assert list(Path().iterdir()) == []
