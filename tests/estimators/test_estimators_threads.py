"""An unpickled estimator that is first used by several threads has what it has learnt, as in any server of models."""

import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from edcore import EDClassifier, EDRegressor

THREADS = 6
X = np.random.default_rng(0).random((60, 4))
TARGETS = {EDClassifier: np.arange(60) % 3, EDRegressor: X @ [1.0, 2.0, 3.0, -1.0]}


pytestmark = pytest.mark.usefixtures("quick_turns")


@pytest.mark.parametrize(
    ("kind", "method"),
    [(kind, method) for kind in TARGETS for method in ("predict", "predict_proba", "score") if hasattr(kind, method)],
)
@pytest.mark.parametrize("backend", ["numpy", "numba", "auto"])
def test_the_first_use_by_several_threads(kind, method, backend):
    if backend == "numba":
        pytest.importorskip("numba")
    y = TARGETS[kind]
    arguments = (X, y) if method == "score" else (X,)
    learnt = kind(max_iter=10, random_state=0, backend=backend).fit(X, y)
    kept, expected, weights = pickle.dumps(learnt), getattr(learnt, method)(*arguments), learnt.ed_.weights
    with ThreadPoolExecutor(THREADS) as pool:
        for _ in range(10):
            loaded, barrier = pickle.loads(kept), threading.Barrier(THREADS)

            def first_use(_, loaded=loaded, barrier=barrier):
                """Call the method, all threads from one moment on."""
                barrier.wait()
                return getattr(loaded, method)(*arguments)

            for found in [*pool.map(first_use, range(THREADS)), getattr(loaded, method)(*arguments)]:
                np.testing.assert_array_equal(found, expected)
            assert all(np.array_equal(value, weights[key]) for key, value in loaded.ed_.weights.items())
