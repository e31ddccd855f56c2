"""Compile the CPU kernels, and keep their machine code in a cache folder."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar, cast

from filelock import FileLock
from numba import config, njit
from numba.core import event
from numba.core.caching import FunctionCache, IndexDataCacheFile
from numba.core.ccallback import CFunc
from numba.core.compiler_lock import global_compiler_lock

from edcore.contract.compilation import logger, say_compiling
from edcore_numba import compile_time as compile_time  # it stops edcore's clock

HERE = Path(__file__).parent

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """Compile a function at its first call, and cache the machine code if a folder allows."""
    # fastmath stays off: it would reorder sums and drop tests for NaN. A division by 0 gives inf, as in NumPy.
    return cast(Function, _cached(njit(nogil=True, error_model="numpy", no_cfunc_wrapper=True)(function), function))


def compiled_inside(function: Function) -> Function:
    """Do so for a function that only compiled ones call: it gets no code that unpacks Python's objects."""
    options = {"error_model": "numpy", "no_cfunc_wrapper": True, "no_cpython_wrapper": True}
    return cast(Function, _cached(njit(**options)(function), function))


def compiled_for_c(function: Callable[..., None], signature: Any) -> Any:
    """Compile a function of the C language now, or take it from the cache."""
    made = CFunc(function, (signature.args, signature.return_type), {}, {"error_model": "numpy"})
    _cached(made, function).compile()
    return made


class _File(IndexDataCacheFile):  # type: ignore[misc]  # Numba has no types
    """A cache file that ends with its checksum: machine code of which a part was lost could do anything."""

    def _dump(self, obj: Any) -> bytes:
        data: bytes = super()._dump(obj)
        return data + hashlib.sha256(data).digest()  # pickle reads no further than its own end

    def _load_data(self, name: str) -> Any:
        data = Path(self._data_path(name)).read_bytes()
        size = hashlib.sha256().digest_size
        if hashlib.sha256(data[:-size]).digest() != data[-size:]:
            raise EOFError(f"{name} is damaged")
        return super()._load_data(name)


class _Cache(FunctionCache):  # type: ignore[misc]  # Numba has no types
    """The cache of a function, to which one process at a time writes: Numba could give one's code to another.

    Nothing about it is an error of the user's: what cannot be read is compiled, what cannot be written is not kept.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        self._cache_file.__class__ = _File  # Numba makes it, and takes no other

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Exception as error:  # damaged files are unpickled to anything
            logger.info("compiled kernels in %s cannot be read, and are compiled anew (%r)", FOLDER, error)
            with contextlib.suppress(Exception):
                self.flush()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(OSError, NotImplementedError):  # a file system without locks, or no end of a wait
                stack.enter_context(FileLock(f"{FOLDER}/lock", timeout=60, fallback_to_soft=False))
            try:
                super().save_overload(sig, data)
            except Exception as error:  # there is no room, or an index that can be neither read nor replaced
                _say_unkept(str(error))


@functools.cache
def _say_unkept(reason: str) -> None:
    """Log, once for each reason, why kernels are compiled again in the next process."""
    logger.info("compiled kernels cannot be kept in %s: %s", FOLDER, reason)


def _cached(compiled: Any, function: Callable[..., Any]) -> Any:
    """Give a function of Numba its cache, if a folder allows."""
    if FOLDER is not None:
        # Numba reads the folder when the cache is made. It is set for these functions alone, and not for the user's.
        before, config.CACHE_DIR = config.CACHE_DIR, FOLDER
        try:
            compiled._cache = _Cache(function)
        except (OSError, RuntimeError) as error:  # the folder is gone or full since, or Numba is told to look elsewhere
            _say_unkept(str(error))
        finally:
            config.CACHE_DIR = before
    return compiled


def inlined(function: Function) -> Function:
    """Compile a function into its callers: a function that is called is compiled again for each level of calls."""
    return cast(Function, njit(inline="always", error_model="numpy")(function))


def _folder() -> str | None:
    """Return the first cache folder that can be written to; without one, kernels are compiled in each process.

    Its name is a hash of the kernels' sources: Numba compares the date of a function's own file alone, and an update of
    edcore may change a function that it calls, in another file.
    """
    sources = b"".join(path.read_bytes() for path in sorted(HERE.glob("*.py")))
    if not sources:  # they are within an archive or a program, whose updates could not be told apart
        return None
    name = f"edcore-{hashlib.sha256(sources).hexdigest()[:16]}"
    for parent in _parents():
        folder = parent / name
        try:
            if parent == HERE / "__pycache__" and not folder.exists():  # caches of sources that were replaced
                for old in parent.glob("edcore-*"):
                    shutil.rmtree(old, ignore_errors=True)
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                return str(folder)
        except OSError:
            continue
    return None


def _parents() -> Iterator[Path]:
    if config.CACHE_DIR:  # the user's choice, NUMBA_CACHE_DIR
        yield Path(config.CACHE_DIR)
        return
    yield HERE / "__pycache__"
    with contextlib.suppress(RuntimeError):  # no home folder
        parent = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        if parent.is_absolute():  # else it would be in the folder where the program is run
            yield parent / "edcore"


FOLDER = _folder()
"""The cache folder."""


class _SaysSo(event.Listener):  # type: ignore[misc]  # Numba has no types
    def on_start(self, event: event.Event) -> None:
        if event.data["module"].startswith(f"{__package__}."):  # not a function of the user's
            say_compiling("numba", kept=FOLDER is not None)

    def on_end(self, event: event.Event) -> None: ...


if hasattr(os, "register_at_fork"):  # not on Windows
    # A fork waits until no thread compiles: the new process would wait for that thread without end.
    lock = global_compiler_lock
    os.register_at_fork(before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release)

event.register("numba:run_pass", _SaysSo())  # it comes when nothing is found in the cache
