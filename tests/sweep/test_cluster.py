"""Real clusters on this machine, one of whose workers is killed: nothing is lost, and nothing is counted twice."""

import contextlib
import os
import secrets
import signal

import joblib
import numpy as np
import psutil
import pytest

import edcore
from edcore.parallel.heads import fit_heads
from edcore.parallel.tasks import run_tasks
from edcore.sweep import Results, Sweep

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no SIGKILL here")

RUNS, KILLED_AT = 1000, 150


class Workers:
    """The workers of a cluster."""

    def __init__(self, configured, pids):
        self.configured, self.pids = configured, pids

    def kill_one(self):
        """Kill a worker, and return its process number."""
        pid = self.pids()[0]
        os.kill(pid, signal.SIGKILL)
        return pid


@pytest.fixture(scope="module")
def dask():
    distributed = pytest.importorskip("distributed", minversion="2025.1")  # tests/distributed is found, too
    options = {"n_workers": 4, "threads_per_worker": 1, "processes": True, "dashboard_address": None}
    with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster) as client:

        def pids():
            return list(client.run(os.getpid).values())

        assert len(set(pids())) == 4
        yield Workers(lambda: joblib.parallel_config("dask", client=client), pids)


@pytest.fixture(scope="module")
def ray():
    with pytest.MonkeyPatch.context() as environment:
        # Before Ray is imported: a token of this cluster's own. Without one Ray makes one in the user's home.
        environment.setenv("RAY_AUTH_MODE", "token")
        environment.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
        environment.setenv("RAY_USAGE_STATS_ENABLED", "0")
        ray = pytest.importorskip("ray")
        from ray.util.joblib import register_ray

        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, _node_ip_address="127.0.0.1")
        try:
            register_ray()
            yield Workers(lambda: joblib.parallel_config("ray", n_jobs=2), _actors)
        finally:
            ray.shutdown()


@pytest.fixture(scope="module", params=["dask", "ray"])
def workers(request):
    return request.getfixturevalue(request.param)


def _actors():
    """Return the processes of Ray's workers that are busy with tasks of joblib's."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if any(word.startswith("ray::PoolActor") for word in process.cmdline()):
                found.append(process.pid)
    return found


def by_run(rows):
    return {row["run"]: {key: value for key, value in row.items() if key != "seconds"} for row in rows}


@pytest.fixture(scope="module")
def sweep():
    pytest.importorskip("numba")
    train = {"dataset": "xor", "rule": "kaneko", "backend": "numba", "width": 4, "epochs": 100, "tolerance": 0.1}
    return Sweep(train, {"alpha": [0.4, 0.8]}, RUNS // 2)


@pytest.fixture(scope="module")
def serial(sweep):
    return by_run(sweep.rows(n_jobs=1))


def test_a_sweep_of_1000_runs_with_a_worker_killed_equals_the_serial_one(workers, sweep, serial, tmp_path):
    rows, killed = [], None
    with workers.configured(), Results(tmp_path / "xor.csv", sweep) as kept:
        for row in sweep.rows():
            kept.add(row)
            rows.append(row)
            if len(rows) == KILLED_AT:
                killed = workers.kill_one()
    assert killed is not None
    assert len(rows) == len(kept.done) == len(sweep) == RUNS
    assert by_run(rows) == serial  # bit for bit: the checksums of the weights are among the columns
    assert all(row["failed"] is None for row in rows)
    assert any(row["learnt_epochs"] < 100 for row in rows)
    assert not psutil.pid_exists(killed) or psutil.Process(killed).status() == psutil.STATUS_ZOMBIE


def test_heads_with_a_worker_killed_have_the_bits_of_fit(workers, monkeypatch):
    data = edcore.datasets.digits(classes=(0, 1))
    x, target = data.x_train[:100], np.repeat(data.y_train[:100, None], 24, axis=1)
    ed = edcore.ED(64, hidden_width=6, hidden_depth=2, heads=24, seed=1, backend="numpy")
    killed = []

    def disturbed(*arguments, **options):
        for found in run_tasks(*arguments, **options):
            if not killed:
                killed.append(workers.kill_one())
            yield found

    monkeypatch.setattr("edcore.parallel.heads.run_tasks", disturbed)
    with workers.configured():
        found = fit_heads(ed, x, target, epochs=20, batch_size=4)
    assert killed
    ed.fit(x, target, epochs=20, batch_size=4)
    np.testing.assert_array_equal(found.epochs, ed.epochs)
    for key, value in ed.weights.items():
        assert found.weights[key].tobytes() == value.tobytes()
