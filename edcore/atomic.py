"""Files that are written whole or not at all: what was there before stays until what replaces it is on the disk."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

__all__ = ["write_whole"]


def write_whole(path: Path, content: bytes) -> None:
    """Write a file under another name beside it, have the disk take it, and only then let it take its place.

    Whoever reads it sees the old content or the new one, whenever the program or the machine stops. What a killed
    process has left beside the file is removed.

    Parameters
    ----------
    path : Path
        The file. Where it is a link, what it leads to is replaced.
    content : bytes
        All of it.

    Raises
    ------
    OSError
        If it cannot be written, or is there and no file. Then nothing has changed.
    """
    path = path.resolve()
    if path.exists() and not path.is_file():
        raise IsADirectoryError(f"{path} is no file")
    _remove_leftovers(path)
    other = path.with_name(_partial(path, os.getpid()))
    try:
        with other.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        other.replace(path)
    except BaseException:
        other.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _partial(path: Path, process: int) -> str:
    return f".{path.name}.{process}.partial"


def _remove_leftovers(path: Path) -> None:
    import psutil

    name = re.compile(rf"\.{re.escape(path.name)}\.(\d+)\.partial")
    for entry in os.scandir(path.parent):
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
