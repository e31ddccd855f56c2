"""Write a file atomically: readers see the old content or the new content, never a part."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path


def write_atomically(path: Path, content: bytes, *, new: bool = False) -> None:
    """Write a file, or leave the old one unchanged and raise an OSError; with `new`, never replace a file."""
    with replace_after(path, content, new=new):
        pass


@contextlib.contextmanager
def replace_after(path: Path, content: bytes, *, new: bool = False) -> Iterator[None]:
    """Write a file under another name, and give it its name after the block: several can be written all or none."""
    try:
        path = path.resolve()  # a link stays, and its target is replaced
    except RuntimeError as error:  # Python 3.11 and 3.12 raise it for links that lead to each other
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP)) from error
    if path.is_symlink():  # later versions return such links as they are
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    if path.exists() and not path.is_file():
        raise IsADirectoryError(errno.EISDIR, "the path is not a file")
    _remove_leftovers(path)
    # The new content is on the disk, under another name, before it takes the file's name: only this makes a stop of
    # the machine harmless at any moment.
    partial = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.partial")
    try:
        with partial.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        yield
        if new:
            _link(partial, path)
        else:
            if path.exists():
                shutil.copymode(path, partial)
            partial.replace(path)
    finally:
        with contextlib.suppress(OSError):  # the result above counts; the next write tries to remove it again
            partial.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _link(partial: Path, path: Path) -> None:
    """Give a file a second name, which must not exist; unlike a rename, a link replaces nothing."""
    try:
        os.link(partial, path)
    except FileExistsError:
        raise
    except OSError as error:  # the file system has no links
        if path.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from error
        partial.replace(path)


def _remove_leftovers(path: Path) -> None:
    """Remove the partial files of processes that were killed while they wrote this file."""
    import psutil

    name = re.compile(rf"\.{re.escape(path.name)}\.(\d{{1,9}})\.[0-9a-f]+\.partial")
    with contextlib.suppress(OSError), os.scandir(path.parent) as entries:  # the folder may be writable, not readable
        for entry in entries:
            match = name.fullmatch(entry.name)
            if match and not psutil.pid_exists(int(match[1])):
                with contextlib.suppress(OSError):
                    os.unlink(entry.path)


def _sync_folder(folder: Path) -> None:
    """Write the new name to the disk too, on systems that can."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
