"""The command ``edcore sweep``: it carries out the runs on this machine or on a cluster, and shows the progress."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from edcore.arguments import whole_number
from edcore.cli.options import FILES, JsonOption, check_different, check_new, check_picture, check_writable
from edcore.cli.plot import Drawing, draw_alone, rendered
from edcore.console import WIDTH, bar, plain_console, print_json
from edcore.environment import check_package
from edcore.errors import EDCoreError, InputError
from edcore.interrupts import Stop
from edcore.training.options import PLACE, as_options

FAILED = 1
"""The exit code if runs have failed."""

PARTS = 10
"""Lines of progress, if stdout is no terminal and shows no bar."""

RESTARTED = {"max_restarts": -1, "max_task_retries": 3}
"""Ray restarts a worker that has died, and gives it the same task again."""


def sweep(
    config: Annotated[Path, typer.Argument(metavar="CONFIG.toml", help="Lists the runs: see below.")],
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A row for each run: a .csv or a .parquet. If it exists, the missing rows are added.",
            show_default="CONFIG.csv here",
        ),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            help="Processes on this machine; 1: no other process.",
            show_default="one for each core",
            rich_help_panel=PLACE,
        ),
    ] = None,
    dask: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Of a Dask scheduler, as tcp://10.0.0.1:8786.", rich_help_panel=PLACE),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Of a Ray cluster, as 10.0.0.1:6379, or auto.", rich_help_panel=PLACE),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Draw the means and their intervals: a .png, .svg or .pdf.", rich_help_panel=FILES
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite the file of --plot if it exists.", rich_help_panel=FILES)
    ] = False,
    json: JsonOption = False,
) -> None:
    r"""Carry out a run for each seed and each combination of options, and write its results as a row of a table.

    In CONFIG.toml, options of edcore train that all runs share stand below \[train].
    Options that differ between the runs are lists below \[grid]:

    seeds = 10            (0 to 9; or a list)
    \[train]
    dataset = "xor"
    tolerance = 0.1       (stop when it has learnt)
    \[grid]
    width = [2, 4, 8]

    If a sweep is stopped, the same command goes on with it. At the end stands a table of means over the seeds.
    """
    from edcore.sweep import Results, Sweep, summarise

    if sum(given is not None for given in (jobs, dask, ray)) > 1:
        raise InputError("jobs", "two of --jobs, --dask and --ray", "one of them")
    plan = Sweep.read(config)
    file = out or Path(f"{config.stem}.csv")
    check_writable("out", file, (".csv", ".parquet"))
    if file.suffix.lower() == ".parquet":
        check_package("pyarrow", "parquet", "--out of a .parquet")
    check_new("plot", plot, force)
    check_picture("plot", plot)
    check_different(out=file, plot=plot)
    try:
        plan.check(local=dask is None and ray is None)
    except EDCoreError as error:
        raise EDCoreError(f"{config}: {as_options(str(error), toml=True)}") from error
    console = plain_console(stderr=json, piped_width=WIDTH)
    start = time.perf_counter()
    stop = Stop()  # it comes at once while the program waits for a row, and else after the row is written
    with stop, _workers(jobs, dask, ray), Results(file, plan) as results:
        before = len(results.done)
        if before:
            console.print(f"{before:,} of {len(plan):,} runs are in {file}", soft_wrap=True)
        with _progress(console, len(plan), before) as shown:
            rows = plan.rows(done=frozenset(results.done))
            try:
                while len(results.done) < len(plan):
                    with stop.at_once():
                        row = next(rows)
                    # A library may turn the signal's KeyboardInterrupt into an error of the run.
                    if stop.signal and row["failed"]:
                        break
                    results.add(row)
                    shown(len(results.done), results.failed)
            except KeyboardInterrupt:
                stop.signal = stop.signal or signal.SIGINT
            finally:
                stop.ending = True
                rows.close()
        done, failed = len(results.done), results.failed
    summary = {"runs": len(plan), "done": done, "failed": failed, "new": done - before, "out": str(file)}
    summary |= {"seconds": time.perf_counter() - start}
    _summarise(console, summary)
    points = summarise(file, plan)
    if done == len(plan):
        console.print()
        points.show(console)
    if json:
        print_json(summary | {"points": points.to_dict()})
    if plot and done == len(plan) and not stop.signal:
        if failed == done:
            console.print(f"{plot} is not drawn, as no run has learnt", soft_wrap=True)
            raise typer.Exit(FAILED)
        console.print()
        draw_alone(Drawing("plot", plot, lambda kind: rendered(points.plot(), kind)), console, force)
    raise typer.Exit(128 + stop.signal if stop.signal else FAILED if failed else 0)


@contextlib.contextmanager
def _workers(jobs: int | None, dask: str | None, ray: str | None) -> Iterator[None]:
    """Make joblib use processes of this machine, or a cluster."""
    import joblib

    from edcore.parallel.tasks import MOST_JOBS
    from edcore.sweep.one_run import ONCE

    if dask is not None:
        check_package("distributed", "dask", "--dask")
        from distributed import Client

        try:
            client = Client(dask, timeout=10, set_as_default=False)
        except (OSError, ValueError) as error:
            raise _unreachable("dask", dask, "scheduler", error) from error
        with client, joblib.parallel_config("dask", client=client):
            yield
        return
    if ray is not None:
        check_package("ray", "ray", "--ray")
        with _ray(ray), joblib.parallel_config("ray", n_jobs=-1, ray_remote_args=RESTARTED):
            yield
        return
    if jobs is not None and whole_number("jobs", jobs, 1) > MOST_JOBS:
        raise InputError("jobs", str(jobs), f"a whole number from 1 to {MOST_JOBS:,}")
    with tempfile.TemporaryDirectory() as folder, joblib.parallel_config("loky", n_jobs=-1 if jobs is None else jobs):
        os.environ[ONCE] = str(Path(folder) / "once")  # for the workers, which start later
        try:
            yield
        finally:
            del os.environ[ONCE]


@contextlib.contextmanager
def _ray(address: str) -> Iterator[None]:
    """Connect to a Ray cluster, and make it known to joblib."""
    import ray
    from ray.util.joblib import register_ray

    try:
        host, colon, port = address.rpartition(":")
        if colon and port.isdecimal():
            socket.create_connection((host, int(port)), timeout=10).close()  # Ray itself would try for many minutes
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, OverflowError, ValueError, RuntimeError) as error:
        raise _unreachable("ray", address, "cluster", error) from error
    register_ray()
    try:
        yield
    finally:
        ray.shutdown()


def _unreachable(option: str, address: str, what: str, error: Exception) -> InputError:
    reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    return InputError(option, f"{address!r} ({reason:.200})", f"the address of a {what} that can be reached from here")


@contextlib.contextmanager
def _progress(console: Console, runs: int, before: int) -> Iterator[Any]:
    """Yield a function that shows how many runs are done, and how many have failed."""
    start, latest = time.perf_counter(), before * PARTS // runs
    with bar(console) as shown:
        task = shown.add_task("runs", total=runs, completed=before)

        def show(done: int, failed: int) -> None:
            nonlocal latest
            shown.update(task, completed=done, description=f"runs, {failed} failed" if failed else "runs")
            part = done * PARTS // runs
            if shown.disable and part > latest:
                latest = part
                left = (time.perf_counter() - start) / (done - before) * (runs - done)
                console.print(f"{done:,} of {runs:,} runs, {failed:,} failed, {_duration(left)} left")

        yield show


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


def _summarise(console: Console, summary: dict[str, Any]) -> None:
    """Print how many runs the file has, and how to go on."""
    lines = [
        f"{summary['out']} has {summary['done']:,} of {summary['runs']:,} runs",
        f"{summary['new']:,} of them were made now, in {_duration(summary['seconds'])}",
    ]
    if summary["failed"]:
        lines.append(f"{summary['failed']:,} of them failed: the column failed says why")
    if summary["done"] < summary["runs"]:
        lines.append("stopped before the end: the same command goes on")
    for line in lines:
        console.print(line, soft_wrap=True)
