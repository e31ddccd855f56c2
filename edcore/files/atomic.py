"""Write a file atomically: readers see the old content or the new content, never a part. Read one that may be none."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

WAITS = 0.05, 0.2, 0.8
"""Seconds before each further try of a write. Scanners for viruses and for copies hold a file for milliseconds."""


def is_pipe(path: str) -> bool:
    """Return whether a path is an open file of this process, as a shell gives for <(…)."""
    return path.startswith(("/dev/fd/", "/proc/self/fd/", "/dev/stdin"))


def text_at_most(path: Path, most: int) -> str:
    """Return the text of a file in UTF-8, with the mark of Windows' editors at its start or without.

    More than so many bytes, or another encoding, are a ValueError; a named pipe is an OSError.
    """
    if not is_pipe(str(path)) and stat.S_ISFIFO(path.stat().st_mode):  # to open it would wait for a writer
        raise OSError(errno.EINVAL, "it is a pipe")
    with path.open("rb") as file:
        content = file.read(most + 1)
    if len(content) > most:  # some devices never end
        raise ValueError(f"more than {most:,} bytes")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError("its text is not in UTF-8: save it as UTF-8") from error


def write_atomically(path: Path, content: bytes, *, new: bool = False) -> None:
    """Write a file, or leave the old one unchanged and raise an OSError; with `new`, never replace a file."""
    with replace_after(path, content, new=new):
        pass


@contextlib.contextmanager
def replace_after(path: Path, content: bytes, *, new: bool = False) -> Iterator[None]:
    """Write a file under another name, and give it its name after the block: several can be written all or none."""
    path = _target(path)
    _remove_leftovers(path)
    # The new content is on the disk, under another name, before it takes the file's name: only this makes a stop of
    # the machine harmless at any moment.
    partial = _partial(path)
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


def check_can_write(path: Path) -> None:
    """Raise the OSError that writing a file would have, as far as a try can tell. Nothing changes."""
    partial = _partial(_target(path))
    try:
        with partial.open("xb"):
            pass
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def with_retries(write: Callable[[], None]) -> None:
    """Call a function that writes a file; if it raises an OSError, wait a little and call it again, a few times."""
    for wait in WAITS:
        try:
            return write()
        except FileExistsError:
            raise
        except OSError:
            time.sleep(wait)
    return write()


def _target(path: Path) -> Path:
    """Return the file that a path leads to, which may be new, or raise an OSError if it may not be written."""
    try:
        path = path.resolve()  # a link stays, and its target is replaced
    except RuntimeError as error:  # Python 3.11 and 3.12 raise it for links that lead to each other
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP)) from error
    if path.is_symlink():  # later versions return such links as they are
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    if not path.exists():
        return path
    if not path.is_file():
        raise IsADirectoryError(errno.EISDIR, "the path is not a file")
    # A rename asks only whether the folder may be written to. So this asks whether the file may.
    os.close(os.open(path, os.O_WRONLY))
    return path


def _partial(path: Path) -> Path:
    """Return another name in the folder of a file, for its content while it is not whole."""
    return path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.partial")


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
