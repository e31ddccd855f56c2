"""The command ``edcore write``: let a network that has learnt a text continue one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edcore.cli.options import BackendOption, DeviceOption
from edcore.console import write as write_out
from edcore.datasets.text import are_characters
from edcore.datasets.writing import write_text
from edcore.errors import InputError, printable
from edcore.io import networks

KEPT = "\n\t\N{ZERO WIDTH JOINER}\N{ZERO WIDTH NON-JOINER}"
"""Characters that are written as they are, though they are not seen: beside others, each is alone here."""


def write(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file of edcore train --text --checkpoint.")],
    start: Annotated[str, typer.Option(help="The text to continue, of characters that the network has learnt.")] = "",
    length: Annotated[int, typer.Option(help="Characters to write.")] = 200,
    temperature: Annotated[
        float, typer.Option(help="Below 1, likely characters come more often; 0 takes always the most likely one.")
    ] = 0.8,
    seed: Annotated[int | None, typer.Option(help="Seed of the draws.", show_default="a fresh one")] = None,
    backend: BackendOption = "auto",
    device: DeviceOption = None,
) -> None:
    """Continue a text, character by character, with a network that has learnt one by edcore train --text."""
    saved, ed = networks.read_model(file, None if backend == "auto" else backend, device)
    if saved.estimator is not None or not are_characters(saved.classes):
        fix = "edcore predict uses this one."
        raise InputError("FILE", f"{str(file)!r}, which predicts no characters", "a file of edcore train --text", fix)
    written = write_text(ed, saved.classes, start, length=length, temperature=temperature, seed=seed)
    last = start
    write_out(printable(start, KEPT))
    for last in written:
        write_out(printable(last, KEPT))
    if not last.endswith("\n"):
        write_out("\n")
