"""Lock a file, so that only one run at a time writes its checkpoints or results to it."""

from __future__ import annotations

import contextlib
import errno
import os
import platform
from collections.abc import Iterator
from pathlib import Path

from edcore.errors import DataFileError, LockedError

NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
"""The errors of a file system that has no locks."""


@contextlib.contextmanager
def locked(path: Path | None, option: str = "checkpoint") -> Iterator[None]:
    """Hold the lock of a file, or raise a LockedError that names the `option` which gave the file; None has no lock."""
    if path is None:
        yield
        return
    from filelock import FileLock, Timeout

    # The operating system holds the lock, on a file beside this one. It ends with the process, so a lock file that a
    # killed process has left stops nobody. The text in it is for the error message only.
    beside = Path(f"{os.path.realpath(path)}.lock")
    lock = FileLock(beside, timeout=0, is_singleton=False)
    try:
        lock.acquire()
    except Timeout:
        fix = f"Wait until it ends, or give another --{option}."
        raise LockedError(f"{path}: another run is writing this file{_holder(beside)}. {fix}") from None
    except NotImplementedError:
        pass
    except OSError as error:
        if error.errno not in NO_LOCKS:
            fix = "Give a file in a folder that can be written to, on a disk with room."
            raise DataFileError(f"{path}: {beside} cannot be made ({error.strerror or error}). {fix}") from error
    try:
        if lock.is_locked:
            with contextlib.suppress(OSError):  # on a full disk the holder is not named
                beside.write_text(f"{os.getpid()} {platform.node()}\n", "utf-8")
        yield
    finally:
        if lock.is_locked:
            with contextlib.suppress(OSError):  # some systems do not remove an open file
                beside.unlink()
        lock.release()


def _holder(beside: Path) -> str:
    """Return which process holds the lock, for the error message, if that is known."""
    try:
        process, _, node = beside.read_text("utf-8").strip().partition(" ")
    except (OSError, ValueError):
        process = node = ""
    return f" (process {process} on {node})" if process.isdecimal() and node else ""
