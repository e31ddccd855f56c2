"""Lock a file, so that only one run at a time writes its checkpoints or results to it."""

from __future__ import annotations

import contextlib
import errno
import os
import platform
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from edcore.errors import DataFileError, LockedError

NO_LOCKS = {
    errno.ENOSYS,  # Lustre, unless it is mounted with locks
    errno.ENOLCK,  # NFS whose server does not answer
    errno.ENOTSUP,
    errno.EOPNOTSUPP,
    errno.EINVAL,
    errno.EBADF,  # NFS and CIFS that want other rights of the file
    524,  # Linux's own ENOTSUPP, which has no name here
}
"""The errors of a file system that has no locks."""

TEXT = re.compile(rb"\d+ [^\n]*\n")
"""What edcore writes into a lock file: the process and the machine that hold it."""


@contextlib.contextmanager
def locked(path: Path | None, option: str = "checkpoint") -> Iterator[bool]:
    """Hold the lock of a file, or raise a LockedError that names the `option` which gave the file; None has no lock.

    Yield whether there is a lock: some file systems have none.
    """
    if path is None:
        yield False
        return
    from filelock import FileLock, Timeout

    # The operating system holds the lock, on a file beside this one. It ends with the process, so a lock file that a
    # killed process has left stops nobody. The text in it is for the error message only. filelock's own substitute for
    # such locks is a file that must be gone, which a killed process would leave for ever.
    beside = Path(f"{os.path.realpath(path)}.lock")
    found = _content(beside)
    of_others = found is not None and not TEXT.fullmatch(found)
    lock = FileLock(beside, timeout=0, is_singleton=False, fallback_to_soft=False, preserve_lock_file=of_others)
    try:
        lock.acquire()
    except Timeout:
        fix = f"Wait until it ends, or give another --{option}."
        raise LockedError(f"{path}: another run is writing this file{_holder(beside)}. {fix}") from None
    except (OSError, NotImplementedError) as error:
        if found is None and not _content(beside):
            with contextlib.suppress(OSError):  # it was made before the system refused to lock it
                beside.unlink()
        if isinstance(error, OSError) and error.errno not in NO_LOCKS:
            fix = f"Give a --{option} in a folder that can be written to, on a disk with room."
            raise DataFileError(f"{path}: {beside} cannot be made ({error.strerror or error}). {fix}") from error
    if not lock.is_locked:
        yield False
        return
    try:
        if found and of_others:
            fix = f"Rename it, or give another --{option}."
            raise DataFileError(f"{path}: {beside}, the file of its lock, belongs to something else. {fix}")
        with contextlib.suppress(OSError):  # on a full disk the holder is not named
            beside.write_text(f"{os.getpid()} {platform.node()}\n", "utf-8")
        try:
            yield True
        finally:
            with contextlib.suppress(OSError):  # some systems do not remove an open file
                # An empty file may be another program's lock, which nobody may remove.
                os.truncate(beside, 0) if found == b"" else beside.unlink()
    finally:
        lock.release()


def _content(beside: Path) -> bytes | None:
    """Return the begin of a lock file, None if there is none, and something that no lock file has if it is a link."""
    try:
        found = beside.lstat()
        if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
            return b"link"
        with beside.open("rb") as file:
            return file.read(1000)
    except FileNotFoundError:
        return None
    except OSError:  # Windows lets nobody read what is locked, and its holder is told by the lock
        return b""


def _holder(beside: Path) -> str:
    """Return which process holds the lock, for the error message, if that is known."""
    try:
        process, _, node = beside.read_text("utf-8").strip().partition(" ")
    except (OSError, ValueError):
        process = node = ""
    return f" (process {process} on {node})" if process.isdecimal() and node else ""
