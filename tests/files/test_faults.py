"""Disks that are full, broken or read-only: the old file stays, and a sentence names the file.

Faults are injected: the k-th call to the operating system fails, for every k, until all goes well. Python announces
its calls to audit hooks, and a hook that raises an error is the end of the call.
"""

import contextlib
import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.numpy

import edcore
from command import during, override
from edcore import io
from edcore.cli import options as cli_options
from edcore.errors import DataFileError
from edcore.files.atomic import write_atomically

pytestmark = pytest.mark.usefixtures("in_a_folder_of_its_own")

resource = pytest.importorskip("resource", reason="there are no limits on the size of files there")

RUN = ["train", "--dataset", "parity4", "--width", "4", "--depth", "1", "--rule", "split", "--seed", "3"]
SCHEDULE = ["--epochs", "3", "--batch-size", "5", "--eval-every", "7", "--every", "4", "--backend", "numpy"]
BATCHES = 12
ERRORS = [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EACCES]
CALLS = ("open", "os.rename", "os.link", "os.remove", "os.scandir", "os.chmod", "os.mkdir", "os.truncate")


class Disk:
    """The disk below a folder: its k-th call fails."""

    now = None

    def __init__(self, folder, error, bad):
        self.folder, self.error, self.bad, self.count, self.failed = str(folder), error, bad, 0, None

    def call(self, name, path):
        if isinstance(path, str | bytes | os.PathLike) and os.path.abspath(os.fsdecode(path)).startswith(self.folder):
            self.count += 1
            if self.count == self.bad:
                self.failed = name
                raise OSError(self.error, os.strerror(self.error), str(path))


def hook(event, arguments):
    if Disk.now is not None and event in CALLS:
        Disk.now.call(event, arguments[0])


sys.addaudithook(hook)  # which stays for good, and looks at nothing while there is no such disk


@contextlib.contextmanager
def failing(disk, monkeypatch):
    real = os.fsync

    def fsync(descriptor):
        disk.call("os.fsync", disk.folder)
        real(descriptor)

    with monkeypatch.context() as context:
        context.setattr(os, "fsync", fsync)
        Disk.now = disk
        try:
            yield
        finally:
            Disk.now = None


def faults(monkeypatch, folder, error, before, work):
    """Do the work with each call failing in turn; yield which one failed, and the error that came of it."""
    for bad in range(1, 1000):
        before()
        disk, raised = Disk(folder, error, bad), None
        with failing(disk, monkeypatch):
            try:
                work()
            except DataFileError as caught:
                raised = caught
        if disk.failed is None:
            assert raised is None
            assert bad > 4
            return
        yield disk.failed, raised


def names():
    return sorted(path.name for path in Path().iterdir())


def trained(seed):
    data = edcore.datasets.xor()
    return edcore.ED(hidden_width=2, seed=seed, backend="numpy").fit(data.x_train, data.y_train, epochs=2)


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("there", [True, False])
def test_a_network_is_saved_whole_or_not_at_all(monkeypatch, tmp_path, error, there):
    file, new, outcomes = tmp_path / "net", trained(2), set()
    io.save(trained(1), file)
    old = file.read_bytes()
    before = (lambda: file.write_bytes(old)) if there else (lambda: file.unlink(missing_ok=True))
    work = lambda: io.save(new, file, overwrite=there)  # noqa: E731
    for failed, raised in faults(monkeypatch, tmp_path, error, before, work):
        if raised is None:
            assert io.load(file, backend="numpy").seed == 2
        else:
            assert str(raised).startswith(f"{file}: it cannot be written ({os.strerror(error)})"), failed
            assert (file.read_bytes() == old) if there else not file.exists()
        # A link that cannot be taken back is the one thing that a disk can leave behind.
        left = set(names()) - {"net"}
        assert not left or failed == "os.remove", failed
        for name in left:
            Path(name).unlink()
        outcomes.add(raised is None)
    assert outcomes == {True, False}


@pytest.mark.parametrize("error", ERRORS)
def test_a_picture_is_written_whole_or_not_at_all(monkeypatch, tmp_path, error):
    file = tmp_path / "run.png"
    work = lambda: cli_options.write_file("plot", file, b"new" * 99)  # noqa: E731
    for failed, raised in faults(monkeypatch, tmp_path, error, lambda: file.write_bytes(b"old"), work):
        assert file.read_bytes() == (b"new" * 99 if raised is None else b"old"), failed
        assert raised is None or str(raised).startswith(f"--plot: {file} cannot be written ({os.strerror(error)}")


@pytest.mark.slow
@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EROFS])
def test_a_run_outlives_each_fault_or_ends_with_a_sentence(command_line, monkeypatch, tmp_path, error):
    assert command_line(*RUN, *SCHEDULE, "--checkpoint", "whole")[0] == 0
    whole = kept("whole")
    monkeypatch.chdir(tmp_path / os.fspath(make(tmp_path, "runs")))
    codes, injected = set(), 0
    for bad in range(1, 200):
        with contextlib.suppress(FileNotFoundError):
            Path("net").unlink()
        disk = Disk(tmp_path / "runs", error, bad)
        with failing(disk, monkeypatch):
            code, _, err = command_line(*RUN, *SCHEDULE, "--checkpoint", "net")
        if disk.failed is None:
            break
        injected += 1
        codes.add(code)
        assert code in (0, 2)
        assert "Traceback" not in err
        assert code == 0 or "net" in err
        assert set(names()) <= {"net", "net.lock"} or disk.failed == "os.remove"
        if Path("net").exists():
            assert command_line("train", "--resume", "net")[0] == 0
            assert kept("net") == whole
        for name in set(names()) - {"net"}:
            Path(name).unlink()
    assert codes == {0, 2}
    assert injected >= 20


def make(folder, name):
    (folder / name).mkdir()
    return name


def kept(file):
    arrays = safetensors.numpy.load_file(file)
    del arrays["run.seconds"]
    return {key: (array.shape, array.tobytes()) for key, array in arrays.items()}


# Faults that are no pretence


@contextlib.contextmanager
def files_of_at_most(size):
    """The operating system lets no file grow beyond this."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)


def test_a_file_that_can_grow_only_so_far_is_not_replaced(tmp_path):
    file, new = tmp_path / "net", trained(2)
    io.save(trained(1), file)
    old = file.read_bytes()
    for size in [*range(0, len(old), len(old) // 50), len(old) - 1]:
        with (
            files_of_at_most(size),
            pytest.raises(DataFileError, match=r"net: it cannot be written \(File too large\)"),
        ):
            io.save(new, file, overwrite=True)
        assert file.read_bytes() == old
        assert names() == ["net"]
    with files_of_at_most(len(old)):
        io.save(new, file, overwrite=True)


@pytest.fixture
def tiny_disk(tmp_path):
    """A file system of 128 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        mounted = False
    if not mounted:
        pytest.skip("a file system can be mounted only by root, and not in each container")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder):
    with contextlib.suppress(OSError), (folder / "filler").open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass


def test_a_disk_that_is_full_for_a_while(command_line, monkeypatch, tiny_disk):
    net = tiny_disk / "net"
    during(monkeypatch, {3: lambda: fill(tiny_disk), 11: (tiny_disk / "filler").unlink})
    code, _, err = command_line(*override(*RUN, *SCHEDULE, "--every", "1", "--checkpoint", str(net)))
    assert code == 0
    sentence = f"edcore: {net}: it cannot be written (No space left on device). The old file is unchanged. "
    assert err.count(sentence) == err.count("The run goes on and tries again.") == 8
    assert io.inspect(net).run["batch"] == BATCHES


def test_a_disk_that_stays_full(command_line, monkeypatch, tiny_disk):
    net = tiny_disk / "net"
    assert command_line(*RUN, *SCHEDULE, "--checkpoint", "whole")[0] == 0
    with monkeypatch.context() as context:
        during(context, {6: lambda: fill(tiny_disk)})
        code, _, err = command_line(*RUN, *SCHEDULE, "--checkpoint", str(net))
    assert (code, io.inspect(net).run["batch"]) == (2, 4)
    assert "No space left on device" in err
    before = net.read_bytes()
    assert command_line("train", "--resume", str(net))[0] == 2  # at once
    assert net.read_bytes() == before
    (tiny_disk / "filler").unlink()
    assert command_line("train", "--resume", str(net))[0] == 0
    assert kept(net) == kept("whole")


@pytest.mark.parametrize("option", ["--plot", "--report"])
def test_a_picture_on_a_disk_that_is_full(command_line, tiny_disk, option):
    pytest.importorskip("matplotlib")
    file = tiny_disk / ("run.png" if option == "--plot" else "run.html")
    fill(tiny_disk)
    code, out, err = command_line(*RUN, *SCHEDULE, option, str(file))
    assert code == 2
    assert "accuracy" in out  # the result is printed all the same
    assert err == f"edcore: {option}: {file} cannot be written (No space left on device).\n"
    assert not file.exists()


def test_a_folder_that_is_read_only(command_line, tiny_disk):
    net = tiny_disk / "net"
    assert command_line(*override(*RUN, *SCHEDULE, "--epochs", "2", "--checkpoint", str(net)))[0] == 0
    before = net.read_bytes()
    subprocess.run(["mount", "-o", "remount,ro", str(tiny_disk)], check=True)
    told = {
        ("--resume", str(net)): f"{net}: {net}.lock cannot be made (Read-only file system)",
        ("--checkpoint", str(tiny_disk / "new")): "--checkpoint: given",
        ("--plot", str(tiny_disk / "new.png")): "--plot: given",
        ("--report", str(tiny_disk / "new.html")): "--report: given",
        ("--tensorboard", str(tiny_disk / "events")): f"--tensorboard: {tiny_disk}/events cannot be written (Read-only",
    }
    for options, sentence in told.items():
        code, _, err = command_line(*(RUN if options[0] != "--resume" else ["train"]), *options)
        assert (code, err.startswith(f"edcore: {sentence}")) == (2, True), err
    assert net.read_bytes() == before
    assert command_line("predict", str(net), "parity4")[0] == 0  # it can still be read
    with pytest.raises(DataFileError, match="Read-only file system"):
        io.save(trained(1), net, overwrite=True)


def test_tensorboard_on_a_disk_that_is_full(command_line, tiny_disk):
    pytest.importorskip("tensorboardX")
    fill(tiny_disk)
    code, _, err = command_line(*RUN, *SCHEDULE, "--tensorboard", str(tiny_disk / "events"))
    assert code == 2
    assert err.startswith(
        f"edcore: --tensorboard: {tiny_disk}/events cannot be written (No space left on device). Give"
    )


def test_tensorboard_on_a_disk_that_gets_full(command_line, monkeypatch, tiny_disk):
    pytest.importorskip("tensorboardX")
    monkeypatch.setattr("edcore.training.tensorboard.FLUSH_SECONDS", 0.0)
    during(monkeypatch, {3: lambda: fill(tiny_disk)})
    code, out, err = command_line(
        *override(*RUN, *SCHEDULE, "--tensorboard", str(tiny_disk / "events"), "--epochs", "90")
    )
    assert code == 0
    assert "batch 360/360" in out
    told = f"{tiny_disk}/events cannot be written any more (No space left on device)"
    assert err == f"edcore: --tensorboard: {told}. The run goes on without it.\n"


def test_results_on_a_disk_that_is_full(command_line, tiny_disk):
    fill(tiny_disk)
    told = tiny_disk / "told.csv"
    io.save(trained(1), "net")
    code, _, err = command_line("predict", "net", "xor", "--out", str(told))
    assert code == 2
    assert err.startswith(f"edcore: --out: {told} cannot be written (No space left on device)")
    assert not told.exists()


def test_a_partial_file_that_cannot_be_removed_does_not_turn_success_into_an_error(tmp_path, monkeypatch):
    for bad in range(1, 20):
        disk = Disk(tmp_path, errno.EIO, bad)
        with failing(disk, monkeypatch), contextlib.suppress(OSError):
            write_atomically(tmp_path / f"file{bad}", b"all of it", new=True)
            assert (tmp_path / f"file{bad}").read_bytes() == b"all of it"
            if disk.failed == "os.remove":
                return
    pytest.fail("no file was taken back")
