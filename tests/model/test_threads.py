"""What is chosen or drawn at the first use is so once, though several threads are the first together."""

import copy
import pickle
import threading

import numpy as np
import pytest

from edcore import ED, dispatch
from edcore.dispatch import registry
from edcore.errors import InputError

THREADS = 6
X = np.random.default_rng(0).random((60, 5), np.float32)


pytestmark = pytest.mark.usefixtures("quick_turns")


@pytest.fixture(params=["numpy", "numba", "torch", "jax", "auto"])
def backend(request):
    ready = {status.name for status in dispatch.list_backends() if status.ready} | {"auto"}
    if request.param not in ready:
        pytest.skip(f"{request.param} cannot run here")
    return request.param


def together(*calls):
    """Run each call in its own thread, all from one moment on, and return their results or errors."""
    barrier, results = threading.Barrier(len(calls)), [None] * len(calls)

    def run(number, call):
        barrier.wait()
        try:
            results[number] = call()
        except Exception as error:
            results[number] = error

    threads = [threading.Thread(target=run, args=item) for item in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_a_loaded_network_keeps_what_it_has_learnt(backend):
    learnt = ED(5, hidden_width=4, seed=1, backend=backend).fit(X, X[:, 0], epochs=3)
    kept, expected, weights = pickle.dumps(learnt), learnt.predict(X), learnt.weights
    for _ in range(10):
        ed = pickle.loads(kept)
        for outputs in [*together(*[lambda ed=ed: ed.predict(X)] * THREADS), ed.predict(X)]:
            np.testing.assert_array_equal(outputs, expected)
        for key, weight in ed.weights.items():
            np.testing.assert_array_equal(weight, weights[key])


def test_weights_can_be_read_set_copied_and_pickled_while_the_backend_is_chosen(backend):
    learnt = ED(5, hidden_width=4, seed=1, backend=backend).fit(X, X[:, 0], epochs=3)
    kept, weights = pickle.dumps(learnt), learnt.weights
    for _ in range(10):
        ed = pickle.loads(kept)
        calls = [
            lambda ed=ed: ed.predict(X),
            lambda ed=ed: ed.weights,
            lambda ed=ed: copy.deepcopy(ed).weights,
            lambda ed=ed: pickle.loads(pickle.dumps(ed)).weights,
            lambda ed=ed: ed.load_weights(weights),
            lambda ed=ed: repr(ed),
        ]
        _, *read, nothing, _ = together(*calls)
        assert nothing is None
        for found in [*read, ed.weights]:
            for key, weight in found.items():
                np.testing.assert_array_equal(weight, weights[key])


def test_threads_that_predict_have_their_own_outputs(backend):
    ed = ED(5, hidden_width=4, seed=1, backend=backend)
    parts = [X[n : n + 10] for n in range(THREADS)]
    expected = [ed.predict(part) for part in parts]
    for _ in range(10):
        results = together(*[lambda part=part: ed.predict(part) for part in parts])
        np.testing.assert_array_equal(results, expected)


def test_the_first_of_several_shapes_decides(backend):
    for _ in range(10):
        ed = ED(hidden_width=4, seed=1, backend=backend)
        calls = [lambda n=n, ed=ed: ed.predict(X[:, :n]) for n in (2, 3, 4) * 2]
        results = together(*calls)
        for n, outputs in zip((2, 3, 4) * 2, results, strict=True):
            if n == ed.network.in_:
                np.testing.assert_array_equal(outputs, ed.predict(X[:, :n]))
            else:
                assert isinstance(outputs, InputError)
                assert str(outputs).startswith("x: given shape")


def test_a_backend_that_one_thread_registers_stays_when_others_look_for_backends(fresh_registry):
    numpy = registry.installed()["numpy"]
    for _ in range(10):
        registry.refresh()
        together(lambda: registry.register(numpy), *[registry.installed] * (THREADS - 1))
        assert registry.installed()["numpy"] is numpy
