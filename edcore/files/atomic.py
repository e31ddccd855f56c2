"""Files that are written whole or not at all: what was there before stays until what replaces it is on the disk."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
from pathlib import Path


def write_atomically(path: Path, content: bytes, *, new: bool = False) -> None:
    """Write a file under another name beside it, have the disk take it, and only then let it take its place.

    Whoever reads it sees the old content or the new one, whenever the program or the machine stops. What a killed
    process has left beside the file is removed.

    Parameters
    ----------
    path : Path
        The file. Where it is a link, what it leads to is replaced. One that is replaced keeps its permissions.
    content : bytes
        All of it.
    new : bool
        Replace nothing, not even a file that has come up at the last moment.

    Raises
    ------
    OSError
        If it cannot be written, or is there and no file; FileExistsError if it is there and should be new. Then nothing
        has changed.
    """
    try:
        path = path.resolve()
    except RuntimeError as error:  # Python 3.11 and 3.12 have it for links that lead to each other
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP)) from error
    if path.is_symlink():  # and later ones leave them as they are
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    if path.exists() and not path.is_file():
        raise IsADirectoryError(errno.EISDIR, "it is there, and no file")
    _remove_leftovers(path)
    other = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.partial")
    try:
        with other.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if new:
            _link(other, path)
        else:
            if path.exists():
                shutil.copymode(path, other)
            other.replace(path)
    finally:
        with contextlib.suppress(OSError):  # what happened before counts, and the next writing tries again
            other.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _link(other: Path, path: Path) -> None:
    """Give a file a name that must be new."""
    try:
        os.link(other, path)
    except FileExistsError:
        raise
    except OSError as error:  # a file system that has no links: then with a look beforehand
        if path.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from error
        other.replace(path)


def _remove_leftovers(path: Path) -> None:
    import psutil

    name = re.compile(rf"\.{re.escape(path.name)}\.(\d{{1,9}})\.[0-9a-f]+\.partial")
    with contextlib.suppress(OSError), os.scandir(path.parent) as entries:  # a folder may be written to, and not read
        for entry in entries:
            match = name.fullmatch(entry.name)
            if match and not psutil.pid_exists(int(match[1])):
                with contextlib.suppress(OSError):
                    os.unlink(entry.path)


def _sync_folder(folder: Path) -> None:
    """Have the disk take the new name as well. Some systems have no way to ask for that, and some need none."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
