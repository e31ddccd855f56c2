"""The command ``edcore bench``: its options, and where its results go."""

from __future__ import annotations

import json as json_format
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from edcore.cli.options import ConfigOption, check_picture, check_writable
from edcore.errors import InputError

NOTHING_RAN = 2
WIDE = 120  # of a table in a file or a pipe, where nothing need be folded


def bench(
    context: typer.Context,
    contenders: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="CONTENDERS",
            help="Backends, article, torch-peer, torch-compile, jax-peer, article-cupy, products; the first is ×1.",
            show_default="all that suit the device",
        ),
    ] = None,
    features: Annotated[int, typer.Option(help="Input features.")] = 784,
    width: Annotated[int, typer.Option(help="Cells per stream of each layer.")] = 32,
    depth: Annotated[int, typer.Option(help="Hidden layers.")] = 4096,
    heads: Annotated[int, typer.Option(help="Outputs.")] = 1,
    batch: Annotated[int, typer.Option(help="Samples in the batch.")] = 64,
    dtype: Annotated[str, typer.Option(help="float32 or float64.")] = "float32",
    rule: Annotated[str, typer.Option(help="signed, or split, which article and the peers do not have.")] = "signed",
    repeats: Annotated[int, typer.Option(help="Timings of each contender.")] = 9,
    device: Annotated[str, typer.Option(help="Such as cpu, cuda or cuda:1.")] = "cpu",
    json: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write all timings; - writes them, and nothing else, to stdout.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw a .png, .svg or .pdf.")] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the table in Markdown.")] = False,
    calibrate: Annotated[
        bool,
        typer.Option("--calibrate", help="Measure at which width which backend is the fastest; auto goes by that."),
    ] = False,
    config: ConfigOption = None,
) -> None:
    """Time forward, update and training step of backends, side by side, each in a process of its own."""
    if calibrate:
        _calibrate(context, device, repeats)
        return
    # Here and not above: the other commands need none of it.
    from edcore.bench import tables as report
    from edcore.bench.plot import plot as draw
    from edcore.bench.run import bench as run
    from edcore.bench.setting import Setting

    _check_files(json, plot)
    setting = Setting(
        features=features,
        width=width,
        depth=depth,
        heads=heads,
        batch=batch,
        dtype=dtype,
        rule=rule,
        repeats=repeats,
        device=device,
    )
    results = run(contenders or [], setting, _announce)
    if json != "-":
        columns = None if sys.stdout.isatty() else WIDE
        console = Console(markup=False, emoji=False, highlight=False, width=columns)
        if markdown:
            console.print(report.markdown(results), soft_wrap=True)
        else:
            report.show(results, console)
    if json:
        text = json_format.dumps(results.as_dict(), indent=1) + "\n"
        if json == "-":
            sys.stdout.write(text)
        else:
            Path(json).write_text(text, encoding="utf-8")
    if not results.measured:
        raise typer.Exit(NOTHING_RAN)
    if plot:
        draw(results, plot)


def _calibrate(context: typer.Context, device: str, repeats: int) -> None:
    """Measure, show and save the table by which ``auto`` orders backends."""
    from edcore.bench.calibrate import calibrate
    from edcore.dispatch.calibration import check_folder, save

    for name in context.params:
        source = context.get_parameter_source(name)
        if name not in ("calibrate", "device", "repeats") and source is not None and source.name == "COMMANDLINE":
            fix = "What is measured is the same each time, so that tables can be compared."
            argument = "CONTENDERS" if name == "contenders" else name
            raise InputError(argument, "a value beside --calibrate", "only --device and --repeats beside it", fix)
    kind = device.partition(":")[0]
    check_folder(kind)
    table = calibrate(device, repeats, _announce)
    console = Console(markup=False, emoji=False, highlight=False)
    shown = Table("width", "fastest first, ms a step", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for row in table.rows:
        ranked = zip(row.fastest, row.ms, strict=True)
        shown.add_row(str(row.width), ", ".join(f"{name} {ms:,.3g}" for name, ms in ranked))
    console.print(table.source, soft_wrap=True)
    console.print(shown)
    console.print(f"\nauto goes by it from now on: {save(kind, table)}", soft_wrap=True)


def _check_files(json: str | None, plot: Path | None) -> None:
    """Refuse, before minutes of measuring, what could not be written after them."""
    check_writable("json", Path(json) if json and json != "-" else None)
    check_picture("plot", plot)


def _announce(line: str) -> None:
    """Print what goes on for whoever is watching. A moving bar would take time from what is measured."""
    if sys.stderr.isatty():
        print(line, file=sys.stderr)
