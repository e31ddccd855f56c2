"""Tasks that do not depend on each other, run by joblib: what its workers lose is handed in again."""

from __future__ import annotations

import contextlib
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterator, Mapping
from itertools import islice
from typing import Any, TypeAlias, TypeVar

from joblib import Parallel, delayed
from joblib.parallel import get_active_backend
from threadpoolctl import ThreadpoolController

from edcore.errors import EDCoreError

ATTEMPTS = 5
"""Times in a row that workers may be lost with nothing done in between."""

WAVE = 2.0
"""Seconds below which the next wave of tasks is twice as large, where results come in waves."""

NAMED = 10
"""Tasks that an error names one by one."""

Key = TypeVar("Key")
Result = TypeVar("Result")
Arrived: TypeAlias = tuple[Key, Result, Exception | None]


def run_tasks(
    function: Callable[..., Result],
    tasks: Mapping[Key, tuple[Any, ...]],
    *,
    n_jobs: int | None = None,
    named: Callable[[Key], str] = str,
) -> Generator[tuple[Key, Result]]:
    """Yield the result of each task once, in the order in which they are done.

    Where they are computed is joblib's matter: ``joblib.parallel_config`` says it.
    Whatever goes wrong with a worker, what has no result yet is handed in again, to a fresh pool, and one task alone
    where nothing was done the time before; a result that arrives twice counts once. An exception of the function itself
    is raised here.

    Parameters
    ----------
    function : callable
        ``function(*arguments)`` returns the result. It is imported by its name where it runs.
    tasks : mapping
        The arguments of each task. A large NumPy array that several share is moved once, where the backend knows how.
    n_jobs : int, optional
        As for ``joblib.Parallel``.
    named : callable
        Returns what an error calls a task.

    Yields
    ------
    key : object
        The task's key.
    result : object
        What the function returned.

    Raises
    ------
    EDCoreError
        If the workers were lost `ATTEMPTS` times in a row with no task done in between.

    Examples
    --------
    >>> from edcore.parallel.tasks import run_tasks
    >>> sorted(run_tasks(pow, {"a": (2, 3), "b": (3, 2)}))
    [('a', 8), ('b', 9)]
    """
    with one_thread():  # also while the caller looks at a result: threads of this process go on meanwhile
        yield from _results(function, dict(tasks), n_jobs, named)


def _results(
    function: Callable[..., Result], left: dict[Key, tuple[Any, ...]], n_jobs: int | None, named: Callable[[Key], str]
) -> Generator[tuple[Key, Result]]:
    lost, alone = 0, False
    deadly: dict[Key, None] = {}  # those that were handed out alone and came to nothing, since the last result
    while left:
        before, handed = len(left), list[Key]()
        problem: Exception | None = None
        arriving = _arriving(function, dict(islice(left.items(), 1 if alone else None)), n_jobs, handed)
        try:
            while True:
                try:
                    key, result, error = next(arriving)
                except StopIteration:
                    break
                except Exception as lost_workers:  # each engine has its own way to say that it has lost some
                    problem = lost_workers
                    break
                if key not in left:
                    continue
                if error is not None:
                    raise error
                del left[key]
                yield key, result
        finally:
            with warnings.catch_warnings():
                # Whoever stops early knows that there was more to do.
                warnings.filterwarnings("ignore", message=".*could benefit from adjusting the input task")
                arriving.close()
        if len(left) < before:
            lost, alone = 0, False
            deadly.clear()
        else:
            lost += 1
            if alone:
                deadly |= dict.fromkeys(handed)
            if lost == ATTEMPTS:
                raise _given_up(list(deadly or handed), problem, named)
            alone = True  # next time, as the others may have died of the company they were in
        # Those that may have cost the workers their lives come last, so that the others get done.
        suspects = set(handed)
        left = dict(sorted(left.items(), key=lambda task: task[0] in suspects))


def _arriving(
    function: Callable[..., Result], tasks: dict[Key, tuple[Any, ...]], n_jobs: int | None, handed: list[Key]
) -> Generator[Arrived[Key, Result]]:
    """Yield what joblib gives back, and note which tasks were handed to it."""

    def calls(keys: list[Key]) -> Iterator[Any]:
        for key in keys:
            handed.append(key)
            yield delayed(_attempt)(function, key, *tasks[key])

    keys = list(tasks)
    if get_active_backend()[0].supports_return_generator:
        yield from Parallel(n_jobs=n_jobs, return_as="generator_unordered")(calls(keys))
        return
    with Parallel(n_jobs=n_jobs) as parallel:  # such as Ray's, which gives back all results at once
        size = parallel._effective_n_jobs()
        while keys:
            start = time.perf_counter()
            yield from parallel(calls(keys[:size]))
            del keys[:size]
            if time.perf_counter() - start < WAVE:
                size *= 2


def _attempt(function: Callable[..., Result], key: Key, *arguments: Any) -> tuple[Key, Result | None, Exception | None]:
    """Return the result, or the function's own exception: what is raised beside it is a worker's trouble."""
    one_thread_for_good()
    try:
        return key, function(*arguments), None
    except Exception as error:
        return key, None, error


def _given_up(keys: list[Key], problem: Exception | None, named: Callable[[Key], str]) -> EDCoreError:
    names = ", ".join(map(named, keys[:NAMED])) + (", …" if len(keys) > NAMED else "")
    reason = " ".join(f"{type(problem).__name__}: {problem}".split()).rstrip(".") if problem else "they gave no result"
    held = f"In their hands were: {names}." if keys else "None of them has taken a task."
    return EDCoreError(
        f"the workers were lost {ATTEMPTS} times in a row, and nothing was done in between. Last: {reason:.500}. "
        f"{held} Look at the workers' memory and logs."
    )


_lock = threading.Lock()
_inside = 0
_limit: Any = None
_hands_out = False


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Limit BLAS to one thread until the block is left, in all threads of this process.

    It is for the thread that hands out the tasks: OpenBLAS obeys only one at a time.
    """
    global _hands_out
    _hands_out = True
    _enter()
    try:
        yield
    finally:
        _leave()


def one_thread_for_good() -> None:
    """Limit BLAS to one thread in a process that is there for tasks, unless it is one that has handed some out.

    Such a process may have workers among its own threads, which start another task when nobody waits for it any more.
    """
    if _inside == 0 and not _hands_out:
        _enter()


def _enter() -> None:
    global _inside, _limit
    with _lock:
        if _inside == 0:
            _limit = ThreadpoolController().limit(limits=1, user_api="blas")
        _inside += 1


def _leave() -> None:
    global _inside
    with _lock:
        _inside -= 1
        if _inside == 0:
            _limit.__exit__(None, None, None)
