"""Compile the CPU kernels, and keep their machine code in a cache folder."""

from __future__ import annotations

import contextlib
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
from numba.core.caching import FunctionCache
from numba.core.ccallback import CFunc

from edcore.contract.compilation import say_compiling
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


class _Cache(FunctionCache):  # type: ignore[misc]  # Numba has no types
    """The cache of a function, to which one process at a time writes: Numba could give one's code to another."""

    def save_overload(self, sig: Any, data: Any) -> None:
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(OSError, NotImplementedError):  # a file system without locks, or no end of a wait
                stack.enter_context(FileLock(f"{FOLDER}/lock", timeout=60, fallback_to_soft=False))
            super().save_overload(sig, data)


def _cached(compiled: Any, function: Callable[..., Any]) -> Any:
    """Give a function of Numba its cache, if a folder allows."""
    if FOLDER is not None:
        # Numba reads the folder when the cache is made. It is set for these functions alone, and not for the user's.
        before, config.CACHE_DIR = config.CACHE_DIR, FOLDER
        try:
            compiled._cache = _Cache(function)
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
    try:
        yield Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edcore"
    except RuntimeError:  # no home folder
        return


FOLDER = _folder()
"""The cache folder."""


class _SaysSo(event.Listener):  # type: ignore[misc]  # Numba has no types
    def on_start(self, event: event.Event) -> None:
        if event.data["module"].startswith(f"{__package__}."):  # not a function of the user's
            say_compiling("numba", kept=FOLDER is not None)

    def on_end(self, event: event.Event) -> None: ...


event.register("numba:run_pass", _SaysSo())  # it comes when nothing is found in the cache
