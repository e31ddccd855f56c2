"""One run for each file: whoever keeps a run in a file holds a lock beside it, at the latest until the process ends.

The lock is the operating system's, on the file ``NAME.lock``. In it stands who holds it, for a sentence; what counts is
the lock alone, so that a file which a killed process has left behind is in nobody's way.
"""

from __future__ import annotations

import contextlib
import errno
import os
import platform
from collections.abc import Iterator
from pathlib import Path

from edcore.errors import DataFileError, LockedError

NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
"""How file systems say that they have no locks."""


@contextlib.contextmanager
def locked(path: Path | None, option: str = "checkpoint") -> Iterator[None]:
    """Hold the lock of a file, unless its file system has none.

    Parameters
    ----------
    path : Path or None
        The file, there already or not; None for none. A link has the lock of what it leads to.
    option : str
        The option that gives a run its file, for the error's sentence.

    Raises
    ------
    LockedError
        If another process, or another run of this one, holds it.
    DataFileError
        If no file can be made beside it.
    """
    if path is None:
        yield
        return
    from filelock import FileLock, Timeout

    beside = Path(f"{os.path.realpath(path)}.lock")
    lock = FileLock(beside, timeout=0, is_singleton=False)
    try:
        lock.acquire()
    except Timeout:
        fix = f"Wait for its end, or give each run a --{option} of its own."
        raise LockedError(f"{path}: {_holder(beside)} keeps a run in this file right now. {fix}") from None
    except NotImplementedError:
        pass
    except OSError as error:
        if error.errno not in NO_LOCKS:
            fix = "Give a file in a folder that can be written to, on a disk with room."
            raise DataFileError(f"{path}: {beside} cannot be made ({error.strerror or error}). {fix}") from error
    try:
        if lock.is_locked:
            with contextlib.suppress(OSError):  # a disk with no room: then it is held by nobody in particular
                beside.write_text(f"{os.getpid()} {platform.node()}\n", "utf-8")
        yield
    finally:
        if lock.is_locked:
            with contextlib.suppress(OSError):  # some systems remove no file that is open
                beside.unlink()
        lock.release()


def _holder(beside: Path) -> str:
    """Return who holds the lock, in words."""
    try:
        process, _, node = beside.read_text("utf-8").strip().partition(" ")
    except (OSError, ValueError):
        process = node = ""
    return f"process {process} on {node}" if process.isdecimal() and node else "another process"
