"""Two runs on one file: the second is refused at once, a process that dies lets go, and readers need no lock."""

import errno
import os
import platform
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

pytestmark = pytest.mark.usefixtures("in_a_folder_of_its_own")

RUN = ["train", "--dataset", "parity4", "--width", "4", "--depth", "1", "--rule", "split", "--seed", "3"]


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


NONE = [errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL, errno.EBADF, 524]


@pytest.fixture
def without_locks(monkeypatch):
    """Have the system refuse locks with an error, as some file systems do."""
    fcntl = pytest.importorskip("fcntl")

    def refused(number):
        def flock(descriptor, operation):
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(fcntl, "flock", flock)

    return refused


@pytest.mark.parametrize("number", NONE)
def test_a_file_system_without_locks_has_none(command_line, without_locks, number):
    without_locks(number)
    with locked(Path("net")) as held:
        assert not held
        assert list(Path().iterdir()) == []  # no empty file that says nothing
    assert command_line(*RUN, "--epochs", "2", "--checkpoint", "net")[0] == 0
    assert [path.name for path in Path().iterdir()] == ["net"]


@pytest.mark.parametrize("number", NONE)
def test_a_killed_run_blocks_no_resume_where_there_are_no_locks(command_line, without_locks, number):
    assert command_line(*RUN, "--epochs", "2", "--checkpoint", "net")[0] == 0
    text = f"{os.getppid()} {platform.node()}\n"  # of a process that is alive
    Path("net.lock").write_text(text)
    without_locks(number)
    assert command_line("train", "--resume", "net", "--epochs", "3")[0] == 0
    assert io.inspect("net").run["batch"] == 3
    assert Path("net.lock").read_text() == text


@pytest.mark.parametrize("number", [errno.EIO, errno.EINTR, errno.EPERM])
def test_another_fault_of_a_lock_is_an_error_and_leaves_no_file(without_locks, number):
    without_locks(number)
    with (
        pytest.raises(
            DataFileError, match=rf"^net: .*net\.lock cannot be made \({os.strerror(number)}\)\. Give a --out"
        ),
        locked(Path("net"), "out"),
    ):
        pass
    assert list(Path().iterdir()) == []


def test_a_platform_without_locks_has_none(command_line, monkeypatch):
    def none(self, *arguments, **options):
        raise NotImplementedError

    monkeypatch.setattr(filelock.FileLock, "acquire", none)
    assert command_line(*RUN, "--epochs", "2", "--checkpoint", "net")[0] == 0


OTHERS = {
    "notes": b"notes\n",
    "poetry": b"# This file is automatically @generated by Poetry 2.1\n",
    "a number": b"1234\n",
    "filelock's": b"1234\nnode\n",
    "more lines": b"1234 node\nmore\n",
    "bytes": b"\xff\x00",
    "large": b"1 " + b"x" * 100_000 + b"\n",
}


@pytest.mark.parametrize("content", OTHERS.values(), ids=OTHERS)
@pytest.mark.parametrize("option", ["checkpoint", "out"])
def test_the_file_of_another_program_is_no_lock(command_line, content, option):
    lock = Path("net.lock" if option == "checkpoint" else "net.csv.lock")
    lock.write_bytes(content)
    Path("net.toml").write_text('seeds = 1\n[train]\ndataset = "xor"\n')
    command = [*RUN, "--checkpoint", "net"] if option == "checkpoint" else ["sweep", "net.toml"]
    code, out, err = command_line(*command)
    assert (code, out) == (2, "")
    assert f"{lock}, the file of its lock, belongs to something else. Rename it, or give another --{option}." in err
    assert lock.read_bytes() == content
    assert not lock.with_suffix("").exists()


@pytest.mark.parametrize("content", [b"notes\n", b"", b"1234 node\n"])
def test_no_other_name_of_a_file_gets_the_lock(command_line, content):
    Path("mine").write_bytes(content)
    os.link("mine", "net.lock")
    assert command_line(*RUN, "--checkpoint", "net")[0] == 2
    assert Path("mine").read_bytes() == Path("net.lock").read_bytes() == content


def test_no_link_gets_the_lock(command_line):
    Path("mine").write_bytes(b"")
    os.symlink("mine", "net.lock")
    assert command_line(*RUN, "--checkpoint", "net")[0] == 2
    assert Path("mine").read_bytes() == b""
    assert Path("net.lock").is_symlink()


def test_an_empty_file_stays_and_stays_empty(command_line):
    Path("net.lock").touch()  # such as the lock of `flock net.lock edcore train …`
    with locked(Path("net")) as held:
        assert held
        assert re.fullmatch(rf"{os.getpid()} \S*\n", Path("net.lock").read_text())
    assert Path("net.lock").read_bytes() == b""


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
