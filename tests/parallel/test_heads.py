"""Heads that are trained in workers: the bits of `ED.fit`, for any number of heads a task."""

import copy
import signal

import joblib
import numpy as np
import pytest
from threadpoolctl import threadpool_limits

import edcore
from edcore.errors import DivergedError, InputError, UnknownNameError
from edcore.parallel.heads import fit_heads

HEADS = 5


def samples(outputs=1, count=30):
    data = edcore.datasets.digits()
    return data.x_train[:count], np.tile(np.eye(10)[data.y_train[:count]], HEADS)[:, : HEADS * outputs]


def ready(registry, backend):
    # This one alone: JAX, once loaded, has threads, and then no test in this process may fork.
    info = registry.installed().get(backend)
    if info is None or not registry.probe(info, "cpu").ok:
        pytest.skip(f"{backend} is not ready here")


def assert_same(one, other):
    np.testing.assert_array_equal(one.epochs, other.epochs)
    for key, value in other.weights.items():
        assert one.weights[key].tobytes() == value.tobytes(), key


@pytest.mark.parametrize("backend", ["numpy", "numba", "loop"])
@pytest.mark.parametrize("heads_per_task", [1, 2, HEADS])
@pytest.mark.parametrize(
    "options",
    [
        {"rule": "signed", "hidden_depth": 2},
        {"rule": "kaneko"},
        {"rule": "edla", "dtype": "float64"},
        {"rule": "modulo", "outputs": 3},
    ],
    ids=lambda options: options["rule"],
)
def test_the_heads_have_the_bits_of_fit(fresh_registry, backend, heads_per_task, options):
    ready(fresh_registry, backend)
    if backend == "numpy" and options["rule"] == "edla" and heads_per_task != HEADS:
        pytest.skip("NumPy rounds products with a vector, of one output cell, by how they lie in memory")
    count = 8 if backend == "loop" else 30
    x, target = samples(options.get("outputs", 1), count)
    ed = edcore.ED(64, hidden_width=4, heads=HEADS, seed=3, backend=backend, **options)
    before = copy.copy(ed)
    found = fit_heads(ed, x, target, epochs=2, batch_size=7, heads_per_task=heads_per_task, n_jobs=1)
    assert_same(ed, before)
    assert_same(found, ed.fit(x, target, epochs=2, batch_size=7))
    assert (found.backend, found.device, found.seed) == (ed.backend, ed.device, ed.seed)


@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_the_bits_are_the_same_in_other_threads_and_processes(backend):
    x, target = samples(count=100)
    ed = edcore.ED(heads=HEADS, hidden_width=300, seed=3, rule="split", backend="numpy")  # so wide that BLAS shares
    with joblib.parallel_config(backend, n_jobs=2):
        found = fit_heads(ed, x, target)
    with threadpool_limits(1, "blas"):
        assert_same(found, ed.fit(x, target))


def test_heads_that_have_stopped_go_on_where_fit_would():
    data = edcore.datasets.xor()
    ed = edcore.ED(2, hidden_width=4, heads=HEADS, rule="kaneko", seed=1, backend="numpy")
    targets = np.repeat(data.y_train[:, None], HEADS, axis=1)
    options = {"epochs": 60, "tolerance": 0.1}
    ed.fit(data.x_train, targets, **options)
    assert len(set(ed.epochs)) > 1
    found = fit_heads(ed, data.x_train, 1 - targets, n_jobs=1, **options)
    ed.fit(data.x_train, 1 - targets, **options)
    assert len(set(ed.epochs)) > 1
    assert_same(found, ed)
    assert_same(found.fit(data.x_train, targets, epochs=3), ed.fit(data.x_train, targets, epochs=3))


def test_without_shuffling_and_with_one_head():
    x, target = samples()
    ed = edcore.ED(hidden_width=4, hidden_depth=0, seed=1, backend="numpy")
    found = fit_heads(ed, x, target[:, 0], epochs=2, shuffle=False, n_jobs=1)
    assert_same(found, ed.fit(x, target[:, 0], epochs=2, shuffle=False))


def test_the_backend_that_auto_takes_here_is_the_one_everywhere():
    torch = pytest.importorskip("torch")
    x, target = map(torch.asarray, samples())
    ed = edcore.ED(hidden_width=4, heads=HEADS, seed=1)
    found = fit_heads(ed, x, target, n_jobs=1)
    assert ed.backend == "auto"
    ed.fit(x, target)
    assert (found.backend, found.device) == (ed.backend, ed.device)


def test_wrong_arguments_are_refused_before_any_task_is_handed_out():
    x, target = samples()
    ed = edcore.ED(64, hidden_width=4, heads=HEADS, backend="numpy")
    for name, arguments in {
        "heads_per_task": {"heads_per_task": 0},
        "epochs": {"epochs": -1},
        "batch_size": {"batch_size": 0},
        "tolerance": {"tolerance": -1},
        "target": {"target": target[:, 0]},
        "x": {"x": x[:, 1:]},
    }.items():
        with pytest.raises(InputError, match=f"^{name}: given"):
            fit_heads(ed, **{"x": x, "target": target, "n_jobs": 0, **arguments})
    for n_jobs in 0, "x", [2]:
        with pytest.raises(InputError, match="^n_jobs: given"):
            fit_heads(ed, x, target, n_jobs=n_jobs)


def test_what_is_no_network_has_no_heads():
    x, target = samples()
    for other in "x", None, edcore.EDClassifier():
        with pytest.raises(InputError, match="^ed: given"):
            fit_heads(other, x, target)


def test_heads_that_diverge_have_their_numbers_in_the_whole_network():
    ed = edcore.ED(2, hidden_width=4, heads=3, activation="linear", alpha=1e18, seed=1, backend="numpy")
    before, targets = copy.copy(ed), [[0.5, 0.5, 1], [0.5, 0.5, 0]]
    with pytest.raises(DivergedError, match=r"of 3\) are NaN or infinite\. ") as error:
        fit_heads(ed, [[0, 1], [1, 1]], targets, epochs=10, batch_size=2, heads_per_task=3, n_jobs=1)
    whole = error.value.heads
    with pytest.raises(DivergedError) as error:
        fit_heads(ed, [[0, 1], [1, 1]], targets, epochs=10, batch_size=2, n_jobs=1)
    assert error.value.heads[0] in whole
    assert_same(ed, before)


def test_errors_come_back_from_another_process_as_they_are():
    import pickle

    for error in InputError("u0", "-1", "more", "Fix."), UnknownNameError("rule", "splitt", ["split"]):
        back = pickle.loads(pickle.dumps(error))
        assert (type(back), str(back), back.argument) == (type(error), str(error), error.argument)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no SIGKILL here")
def test_heads_of_a_killed_worker_are_trained_by_another():
    import os

    import psutil

    x, target = samples()
    ed = edcore.ED(64, hidden_width=8, hidden_depth=40, heads=HEADS, seed=1, backend="numpy")
    killed = []

    def kill(*arguments, **options):
        from edcore.parallel.tasks import run_tasks

        for found in run_tasks(*arguments, **options):
            if not killed:
                worker = next(
                    process
                    for process in psutil.Process().children(recursive=True)
                    if any("LokyProcess" in word for word in process.cmdline())
                )
                killed.append(worker.pid)
                os.kill(worker.pid, signal.SIGKILL)
            yield found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("edcore.parallel.heads.run_tasks", kill)
        found = fit_heads(ed, x, target, epochs=20, batch_size=5, n_jobs=2)
    assert killed
    assert_same(found, ed.fit(x, target, epochs=20, batch_size=5))


@pytest.mark.parametrize("shuffle", ["no", "False", "", 0, 1, None, np.array([False])])
def test_what_is_no_truth_value_does_not_shuffle(shuffle):
    x, target = samples()
    with pytest.raises(InputError, match=r"^shuffle: given .*; accepted: True or False"):
        fit_heads(edcore.ED(heads=HEADS, seed=0), x, target, shuffle=shuffle)
