"""Tasks that joblib runs: each has one result, even if workers are lost."""

import multiprocessing
import re
import signal
import time

import joblib
import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

import dying
from edcore.errors import EDCoreError, InputError
from edcore.parallel import tasks
from edcore.parallel.tasks import limit_worker_blas, run_tasks

NUMBERS = {number: (number,) for number in range(20)}

needs_sigkill = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no SIGKILL here")


@pytest.fixture(autouse=True)
def no_forks():
    """Let joblib's pool start new processes: JAX, once another test has loaded it, has threads, and warns of forks."""
    before = multiprocessing.get_start_method()
    multiprocessing.set_start_method("spawn", force=True)
    yield
    multiprocessing.set_start_method(before, force=True)


@pytest.mark.parametrize("backend", ["sequential", "threading", "loky", "multiprocessing"])
def test_each_task_has_one_result_wherever_it_runs(backend):
    with joblib.parallel_config(backend, n_jobs=2):
        found = list(run_tasks(dying.square, NUMBERS))
    assert sorted(found) == [(number, number * number) for number in NUMBERS]


def test_no_tasks_have_no_results():
    assert list(run_tasks(dying.square, {})) == []


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_an_error_of_a_task_itself_is_raised_and_not_tried_again(n_jobs):
    with pytest.raises(ValueError, match="three is wrong"):
        list(run_tasks(dying.wrong, NUMBERS, n_jobs=n_jobs))


@needs_sigkill
def test_another_worker_does_the_task_of_a_killed_one(tmp_path):
    lives = {number: (str(tmp_path), number) for number in NUMBERS}
    found = list(run_tasks(dying.square_of_a_second_life, lives, n_jobs=2))
    assert (tmp_path / "3").exists()
    assert sorted(found) == [(number, number * number) for number in NUMBERS]


@needs_sigkill
def test_a_task_that_always_ends_its_worker_is_named_when_the_others_are_done():
    found = {}
    with pytest.raises(EDCoreError, match=r"lost 2 times.* Last: TerminatedWorkerError") as error:
        found.update(run_tasks(dying.deadly, NUMBERS, n_jobs=2, label=lambda number: f"task {number}", attempts=2))
    assert re.search(r": (task \d+, )*task 3[,.]", str(error.value))
    assert 3 not in found
    assert len(found) > 10


@needs_sigkill
def test_those_beside_a_task_that_always_ends_its_worker_get_done():
    found, numbers = {}, {number: (number,) for number in (3, 5, 6)}
    with pytest.raises(EDCoreError, match=r"lost 3 times.*: 3\. "):
        found.update(run_tasks(dying.deadly_among_slow, numbers, n_jobs=2, attempts=3))
    assert found == {5: 5, 6: 6}


def test_an_engine_that_returns_nothing_is_not_asked_for_ever(monkeypatch):
    monkeypatch.setattr(joblib.Parallel, "__call__", lambda parallel, calls: iter(()))
    with pytest.raises(EDCoreError, match=r"lost 5 times.* Last: no result arrived\. They took no task\."):
        list(run_tasks(dying.square, NUMBERS))


def test_a_result_that_arrives_twice_counts_once(monkeypatch):
    real = joblib.Parallel.__call__

    def twice(parallel, calls):
        for arrived in real(parallel, calls):
            yield arrived
            yield arrived

    monkeypatch.setattr(joblib.Parallel, "__call__", twice)
    assert len(list(run_tasks(dying.square, NUMBERS, n_jobs=1))) == len(NUMBERS)


def test_waves_grow_while_they_are_short_and_bring_everything(monkeypatch):
    waves, real = [], joblib.Parallel.__call__

    def counted(parallel, calls):
        found = real(parallel, calls)
        waves.append(len(found))
        return found

    monkeypatch.setattr(joblib.Parallel, "__call__", counted)
    with joblib.parallel_config("multiprocessing", n_jobs=2):
        assert len(list(run_tasks(dying.square, NUMBERS))) == 20
    assert waves == [2, 4, 8, 6]
    monkeypatch.setattr(tasks, "WAVE_SECONDS", -1.0)
    waves.clear()
    with joblib.parallel_config("multiprocessing", n_jobs=2):
        list(run_tasks(dying.square, NUMBERS))
    assert waves == [2] * 10


def test_a_caller_who_stops_early_gets_no_warning():
    found = run_tasks(time.sleep, dict.fromkeys(range(100), (0.01,)), n_jobs=2)
    next(found)
    found.close()


def test_a_task_that_starts_when_nobody_waits_any_more_leaves_blas_its_threads():
    with threadpool_limits(2, "blas"):
        assert list(run_tasks(dying.square, {3: (3,)}, n_jobs=1)) == [(3, 9)]
        limit_worker_blas()  # as such a task does first
        assert set(dying.threads_of_blas(0)) == {2}


@pytest.mark.parametrize("backend", ["sequential", "threading", "loky"])
def test_blas_has_one_thread_while_tasks_run(backend):
    with threadpool_limits(2, "blas"), joblib.parallel_config(backend, n_jobs=2):
        before = [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]
        found = [threads for _, threads in run_tasks(dying.threads_of_blas, NUMBERS)]
        after = [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]
    assert all(set(threads) <= {1} for threads in found)
    assert after == before


@pytest.mark.parametrize("n_jobs", [0, 1.5, True, "x", [2], 2**70])
def test_numbers_of_workers(n_jobs):
    with pytest.raises(InputError, match="^n_jobs: given"):
        dict(run_tasks(pow, {"a": (2, 3)}, n_jobs=n_jobs))
    assert dict(run_tasks(pow, {"a": (2, 3)}, n_jobs=np.int8(1))) == {"a": 8}


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("tasks", (pow, {"a": 3})),
        ("tasks", (pow, [(2, 3)])),
        ("function", ("pow", {"a": (2, 3)})),
        ("label", (pow, {"a": (2, 3)}, {"label": 3})),
        ("attempts", (pow, {"a": (2, 3)}, {"attempts": "x"})),
        ("attempts", (pow, {"a": (2, 3)}, {"attempts": 0})),
    ],
)
def test_other_arguments(name, arguments):
    function, tasks, *options = arguments
    with pytest.raises(InputError, match=f"^{name}: given"):
        dict(run_tasks(function, tasks, n_jobs=1, **(options[0] if options else {})))
