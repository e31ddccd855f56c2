"""Run independent tasks by joblib, and run those again whose worker was lost."""

from __future__ import annotations

import contextlib
import time
import warnings
from collections.abc import Callable, Generator, Iterator, Mapping
from itertools import islice
from typing import Any, TypeAlias, TypeVar

from joblib import Parallel, delayed
from joblib.parallel import get_active_backend
from threadpoolctl import ThreadpoolController

from edcore.arguments import whole_number
from edcore.errors import EDCoreError, InputError, shown
from edcore.interrupts import ForkLock

ATTEMPTS = 5
"""Times in a row that workers may be lost with no task done in between."""

WAVE_SECONDS = 2.0
"""A shorter wave of tasks is followed by one twice as large, on engines that return all results of a call at once."""

MOST_JOBS = 10**6
"""More workers than any cluster has; joblib would try to start them."""

JOBS = f"None, -1 for a worker on each core, or their number, up to {MOST_JOBS:,}"

TASKS_NAMED = 10
"""The most tasks that an error names."""

Key = TypeVar("Key")
Result = TypeVar("Result")
Arrived: TypeAlias = tuple[Key, Result, Exception | None]


def run_tasks(
    function: Callable[..., Result],
    tasks: Mapping[Key, tuple[Any, ...]],
    *,
    n_jobs: int | None = None,
    label: Callable[[Key], str] = str,
    attempts: int | None = None,
) -> Generator[tuple[Key, Result]]:
    """Yield the result of each task once, in the order in which they are done.

    ``joblib.parallel_config`` chooses where they run: in threads, in processes, or on a cluster. If workers are lost,
    their tasks run again in new ones. An exception of the function itself is raised here.

    Parameters
    ----------
    function : callable
        ``function(*arguments)`` returns the result. Workers import it by its name.
    tasks : mapping
        The arguments of each task. A large NumPy array that several share is moved once, on engines that can do so.
    n_jobs : int, optional
        As for ``joblib.Parallel``.
    label : callable
        Returns the name of a task in an error, from its key.
    attempts : int, optional
        Times in a row that workers may be lost with no task done in between. Left out, 5.

    Yields
    ------
    key : object
        The task's key.
    result : object
        The function's result.

    Raises
    ------
    InputError
        If an argument is not accepted.
    EDCoreError
        If the workers were lost `attempts` times in a row with no task done in between.

    Examples
    --------
    >>> from edcore.parallel import run_tasks
    >>> sorted(run_tasks(pow, {"a": (2, 3), "b": (3, 2)}))
    [('a', 8), ('b', 9)]
    """
    attempts = ATTEMPTS if attempts is None else whole_number("attempts", attempts, 1)
    if n_jobs is not None:
        n_jobs = whole_number("n_jobs", n_jobs, -MOST_JOBS, JOBS)
        if n_jobs == 0 or n_jobs > MOST_JOBS:
            raise InputError("n_jobs", shown(n_jobs), JOBS)
    for name, value in (("function", function), ("label", label)):
        if not callable(value):
            raise InputError(name, shown(value), "a function")
    if not isinstance(tasks, Mapping) or not all(isinstance(arguments, tuple) for arguments in tasks.values()):
        raise InputError("tasks", shown(tasks), "a dictionary from keys to tuples of arguments")
    with single_threaded_blas():  # also while the caller handles a result, as other threads of this process go on
        yield from _run(function, dict(tasks), n_jobs, label, attempts)


def _run(
    function: Callable[..., Result],
    left: dict[Key, tuple[Any, ...]],
    n_jobs: int | None,
    label: Callable[[Key], str],
    attempts: int,
) -> Generator[tuple[Key, Result]]:
    lost, alone = 0, False
    deadly: dict[Key, None] = {}  # tasks that ran alone and lost their worker, since the last result
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
                except Exception as lost_workers:  # each engine raises its own error for lost workers
                    problem = lost_workers
                    break
                if key not in left:  # a second result of the same task
                    continue
                if error is not None:
                    raise error
                del left[key]
                yield key, result
        finally:
            with warnings.catch_warnings():
                # joblib warns of unfinished tasks, but a caller who stops early knows of them.
                warnings.filterwarnings("ignore", message=".*could benefit from adjusting the input task")
                arriving.close()
        if len(left) < before:
            lost, alone = 0, False
            deadly.clear()
        else:
            lost += 1
            if alone:
                deadly |= dict.fromkeys(handed)
            if lost == attempts:
                raise _lost_error(list(deadly or handed), problem, label, attempts)
            # A task that kills its worker takes its neighbours with it, each time again. One task alone shows whose
            # fault it is, and lets the others get done.
            alone = True
        suspects = set(handed)  # these come last, for the same reason
        left = dict(sorted(left.items(), key=lambda task: task[0] in suspects))


def _arriving(
    function: Callable[..., Result], tasks: dict[Key, tuple[Any, ...]], n_jobs: int | None, handed: list[Key]
) -> Generator[Arrived[Key, Result]]:
    """Yield joblib's results, and add to `handed` the tasks that joblib has taken."""

    def calls(keys: list[Key]) -> Iterator[Any]:
        for key in keys:
            handed.append(key)
            yield delayed(_attempt)(function, key, *tasks[key])

    keys = list(tasks)
    engine, usual = get_active_backend()
    if n_jobs is None:
        n_jobs = usual
    if n_jobs is not None and n_jobs > 2:  # joblib starts all, needed or not; and no process for a single one
        n_jobs = min(n_jobs, max(2, len(keys)))
    if engine.supports_return_generator:
        yield from Parallel(n_jobs=n_jobs, return_as="generator_unordered")(calls(keys))
        return
    # Some engines, such as Ray's, return all results of a call at once. In waves, the first results come early, and
    # lost workers lose no more than a wave.
    with Parallel(n_jobs=n_jobs) as parallel:
        size = parallel._effective_n_jobs()
        while keys:
            start = time.perf_counter()
            yield from parallel(calls(keys[:size]))
            del keys[:size]
            if time.perf_counter() - start < WAVE_SECONDS:
                size *= 2


def _attempt(function: Callable[..., Result], key: Key, *arguments: Any) -> tuple[Key, Result | None, Exception | None]:
    """Return the result or the function's own exception; an exception that is raised is the worker's."""
    limit_worker_blas()
    try:
        return key, function(*arguments), None
    except Exception as error:
        return key, None, error


def _lost_error(keys: list[Key], problem: Exception | None, label: Callable[[Key], str], attempts: int) -> EDCoreError:
    names = ", ".join(str(label(key)) for key in keys[:TASKS_NAMED]) + (", …" if len(keys) > TASKS_NAMED else "")
    reason = " ".join(f"{type(problem).__name__}: {problem}".split()).rstrip(".") if problem else "no result arrived"
    held = f"Tasks that they had: {names}." if keys else "They took no task."
    return EDCoreError(
        f"the workers were lost {attempts} times in a row, with no task done in between. Last: {reason:.500}. {held} "
        "Check the workers' memory and logs."
    )


# One limit for the whole process, as OpenBLAS has one number of threads. The first to need it sets it, and the last to
# leave restores it.
_lock = ForkLock()
_users = 0
_limit: Any = None
_is_coordinator = False


@contextlib.contextmanager
def single_threaded_blas() -> Iterator[None]:
    """Limit BLAS to one thread in this whole process, which runs tasks, until the block ends."""
    global _users, _is_coordinator
    _is_coordinator = True
    _acquire()
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0:
                _limit.__exit__(None, None, None)


def limit_worker_blas() -> None:
    """Limit BLAS to one thread in a worker process, for good."""
    # Not in the process that runs tasks. Its threads may be workers too, and one may start a task after the limit there
    # has ended, when nobody waits for its result; a limit set then would never end.
    if _users == 0 and not _is_coordinator:
        _acquire()


def _acquire() -> None:
    global _users, _limit
    with _lock:
        if _users == 0:
            _limit = ThreadpoolController().limit(limits=1, user_api="blas")
        _users += 1
