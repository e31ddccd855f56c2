"""The command ``edcore bench``."""

from __future__ import annotations

import json as json_format
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Column

from edcore.arguments import checked_path
from edcore.cli.options import ConfigOption, check_different, check_picture, check_writable, write_file
from edcore.console import plain_console, print_words, write
from edcore.errors import InputError

NOTHING_RAN = 2
PIPED_WIDTH = 120  # columns of the table in a file or a pipe


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
    depth: Annotated[int, typer.Option(help="Layers beyond the input layer.")] = 4096,
    heads: Annotated[int, typer.Option(help="Outputs.")] = 1,
    batch: Annotated[int, typer.Option(help="Samples in the batch.")] = 64,
    dtype: Annotated[str, typer.Option(help="float32 or float64.")] = "float32",
    rule: Annotated[str, typer.Option(help="signed, or split, which only backends and products have.")] = "signed",
    repeats: Annotated[int, typer.Option(help="Timings of each contender.")] = 9,
    device: Annotated[str, typer.Option(help="Such as cpu, cuda or cuda:1.")] = "cpu",
    precision: Annotated[str, typer.Option(help="full, or tf32x3, which only cupy and torch have, on cuda.")] = "full",
    json: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write all timings; - writes them, and nothing else, to stdout.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw a .png, .svg or .pdf.")] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the table in Markdown.")] = False,
    calibrate: Annotated[
        bool,
        typer.Option("--calibrate", help="Measure which backend is the fastest at which width and batch, for auto."),
    ] = False,
    config: ConfigOption = None,
) -> None:
    """Time forward, update and training step of backends, side by side, each in its own process."""
    if calibrate:
        _calibrate(context, device, repeats)
        return
    # Imported here, so that the other commands start faster.
    from edcore.bench import tables as report
    from edcore.bench.run import bench as run
    from edcore.bench.setting import Setting
    from edcore.plots.benchmark import picture
    from edcore.plots.canvas import plain_text

    # Before minutes of measuring:
    file = checked_path("json", json) if json and json != "-" else None
    check_different(config=config, json=file, plot=plot)
    check_writable("json", file)
    check_picture("plot", plot)
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
        precision=precision,
    )
    results = run(contenders or [], setting, _announce)
    if json != "-":
        console = plain_console(piped_width=PIPED_WIDTH)
        if markdown:
            console.print(report.markdown(results), soft_wrap=True)
        else:
            report.show(results, console)
    if json:
        text = json_format.dumps(results.as_dict(), indent=1) + "\n"
        if json == "-":
            write(text)
        if file:
            write_file("json", file, text.encode())
    if not results.measured:
        raise typer.Exit(NOTHING_RAN)
    if plot:
        with plain_text():
            write_file("plot", plot, picture(results, plot.suffix[1:].lower()))


def _calibrate(context: typer.Context, device: str, repeats: int) -> None:
    """Measure, show and save the table by which ``auto`` orders backends."""
    from edcore.bench.calibrate import calibrate
    from edcore.dispatch.calibration import check_folder, save

    for name in context.params:
        source = context.get_parameter_source(name)
        if name not in ("calibrate", "device", "repeats") and source is not None and source.name == "COMMANDLINE":
            fix = "A calibration always measures the same networks, so that its tables can be compared."
            argument = "CONTENDERS" if name == "contenders" else name
            raise InputError(argument, "a value beside --calibrate", "only --device and --repeats beside it", fix)
    kind = device.partition(":")[0]
    check_folder(kind)
    table = calibrate(device, repeats, _announce)
    console = plain_console()
    rows = list[tuple[str, ...]]()
    for row in table.rows:
        ranked = zip(row.fastest, row.ms, strict=True)
        rows.append((str(row.width), str(row.batch), ", ".join(f"{name} {ms:,.3g}" for name, ms in ranked)))
    console.print(table.source, soft_wrap=True)
    print_words(console, [Column("width"), Column("batch"), Column("fastest first, ms a step")], rows)
    console.print(f"\nauto uses it from now on: {save(kind, table)}", soft_wrap=True)


def _announce(line: str) -> None:
    """Print a line of progress on a terminal."""
    if sys.stderr.isatty():  # a moving bar would take time from the measurements
        print(line, file=sys.stderr)
