"""The command ``edcore compare``."""

from __future__ import annotations

import contextlib
import json as json_
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from edcore.cli.options import (
    FILES,
    PICTURES,
    BackendOption,
    ConfigOption,
    JsonOption,
    check_different,
    check_new,
    check_picture,
    check_writable,
    complete_from,
    flag,
    write_file,
)
from edcore.cli.plot import Drawing, draw_alone, rendered
from edcore.console import WIDTH, bar, plain_console, print_json
from edcore.datasets.catalogue import NAMES
from edcore.errors import InputError, UnknownNameError
from edcore.training.options import DATA, LEARNING, NETWORK, TABLE, TEST_SIZE, dataset_names, typed_command

QUICK_SEEDS, QUICK_EPOCHS, QUICK_TRIALS, QUICK_SAMPLES = 3, 20, 3, 600
"""What a quick look has of each, at most."""

PARTS = 10
"""Lines of progress, if stderr is no terminal and shows no bar."""


def _names() -> Iterable[str]:
    from edcore.comparison.methods import EDS, SHORT  # here, as scikit-learn is slow to load

    return [*EDS, *SHORT, "linear"]


def compare(
    context: typer.Context,
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="digits, mnist, fashion_mnist, xor, parityN, or a file with a table, as of edcore train --data.",
            autocompletion=complete_from(dataset_names),
        ),
    ],
    seeds: Annotated[int | None, typer.Option(help="Seeds, counted from 0.", show_default="10; 3 with --quick")] = None,
    target: Annotated[str | None, typer.Option(help="The column to predict.", rich_help_panel=TABLE)] = None,
    task: Annotated[str | None, flag("task")] = None,
    test_size: Annotated[
        float | None,
        typer.Option(
            help="Share of the rows to test on; of digits as well, which are split anew for each seed.",
            show_default=f"{TEST_SIZE}",
            rich_help_panel=TABLE,
        ),
    ] = None,
    methods: Annotated[
        str | None,
        typer.Option(
            metavar="A,B",
            help="ED, signed, split, kaneko, edla, modulo, bp, adam, dfa, frozen, readout, linear, with commas between "
            "them. The first is compared with the others.",
            show_default="all but kaneko; for numbers no preset",
            autocompletion=complete_from(_names),
        ),
    ] = None,
    width: Annotated[int, typer.Option(help="Cells per stream of each layer.", rich_help_panel=NETWORK)] = 64,
    depth: Annotated[int, flag("depth", True)] = 0,
    epochs: Annotated[int | None, flag("epochs", "100; fewer beyond 5,000 samples")] = None,
    batch_size: Annotated[int, flag("batch_size", True)] = 16,
    trials: Annotated[
        int | None,
        typer.Option(
            help="Learning rates or penalties that each method tries, on samples that it does not test on.",
            show_default="5; 3 with --quick",
            rich_help_panel=LEARNING,
        ),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A look, with fewer seeds, epochs and samples.")] = False,
    data_dir: Annotated[Path, flag("data_dir")] = Path("data"),
    classes: Annotated[
        str, typer.Option(help="Labels of a data set with commas between them, or all.", rich_help_panel=DATA)
    ] = "all",
    backend: BackendOption = "auto",
    json: JsonOption = False,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write all values, a .json, or a page, a .md.", rich_help_panel=FILES),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Draw them: a .png, .svg or .pdf.", rich_help_panel=FILES),
    ] = None,
    force: Annotated[
        bool,
        typer.Option("--force", help="Overwrite the files of --out and --plot if they exist.", rich_help_panel=FILES),
    ] = False,
    config: ConfigOption = None,
) -> None:
    """Compare ED with back-propagation, controls and linear methods, on a data set or on your own table.

    All methods have the same splits and seeds, and try as many settings. Differences are tested in pairs.
    """
    for name, path, endings in (("out", out, (".json", ".md")), ("plot", plot, PICTURES)):
        check_writable(name, path, endings)
        check_new(name, path, force)
    check_picture("plot", plot)
    check_different(config=config, out=out, plot=plot)
    # Imported here, so that the other commands start faster.
    from edcore.comparison.run import TRIALS, compare_problem, few_samples

    problem = _problem(data, target, task, test_size, data_dir, classes, config)
    if quick:
        problem = few_samples(problem, QUICK_SAMPLES)
    options: dict[str, Any] = {"hidden_width": width, "hidden_depth": depth, "batch_size": batch_size}
    options |= {"epochs": QUICK_EPOCHS if quick and epochs is None else epochs}
    names = None if methods is None else [name.strip() for name in methods.split(",")]
    with _progress() as announce:
        found = compare_problem(
            problem,
            names,
            seeds if seeds is not None else QUICK_SEEDS if quick else 10,
            options,
            trials=trials if trials is not None else QUICK_TRIALS if quick else TRIALS,
            backend=backend,
            announce=announce,
        )
    found = replace(found, quick=quick, command=_command(context, data))
    console = plain_console(stderr=json, piped_width=WIDTH)
    found.show(console)
    if json:
        print_json(found.as_dict())
    if out:
        page = found.markdown(plot.name if plot else "")
        text = page if out.suffix.lower() == ".md" else json_.dumps(found.as_dict(), indent=1) + "\n"
        write_file("out", out, text.encode(), new=not force)
        console.print(f"\nwritten: {out}", soft_wrap=True)
    if plot:
        console.print()
        draw_alone(Drawing("plot", plot, lambda kind: rendered(found.plot(), kind)), console, force)


def _command(context: typer.Context, data: str) -> str:
    """Return the command that repeats the comparison."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    given = {name: context.params[name] for name, source in sources.items() if source and source.name != "DEFAULT"}
    for name in ("data", "out", "plot", "json", "force", "config"):
        given.pop(name, None)
    return typed_command(
        "compare", [data], given | {"quick": given.get("quick") or None}
    )  # a file may have false of it


def _problem(
    data: str,
    target: str | None,
    task: str | None,
    test_size: float | None,
    data_dir: Path,
    classes: str,
    config: Path | None,
) -> Any:
    """Return what is learnt: a data set, or a table of the user."""
    from edcore.comparison.problem import problem_of_data, problem_of_table
    from edcore.estimators.table_run import load_table
    from edcore.training.setup import load_data

    if data.replace("-", "_") not in dataset_names():
        if target is None and not Path(data).exists():  # such as digit
            raise UnknownNameError("DATA", data, NAMES, "A table is a file, and needs --target too.")
        if target is None:
            fix = f"DATA may also be a data set: {', '.join(NAMES)}."
            raise InputError("target", f"none with {data}", "the name of the column of the table to predict", fix)
        if classes != "all":
            raise InputError("classes", repr(classes), "all for a table", "Leave it out.")
        return problem_of_table(load_table(data, target, task), TEST_SIZE if test_size is None else test_size)
    for name, value in (("target", target), ("task", task)):
        if value is not None:
            raise InputError(name, repr(value), f"none for the data set {data}", "Leave it out.")
    return problem_of_data(load_data(data, data_dir, classes, "float32", config), test_size)


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[int, int, str], None]]:
    """Yield what shows on stderr how many runs are done, and what the next one is."""
    console, start, latest = plain_console(stderr=True), time.perf_counter(), 0
    with bar(console) as shown:
        task = shown.add_task("", total=None)

        def announce(done: int, runs: int, what: str) -> None:
            nonlocal latest
            shown.update(task, completed=done, total=runs, description=what)
            part = done * PARTS // runs
            if shown.disable and part > latest:
                latest = part
                left = (time.perf_counter() - start) / done * (runs - done)
                print(f"{done:,} of {runs:,} runs, about {left:,.0f} s left", file=sys.stderr)

        yield announce
