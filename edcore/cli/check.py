"""The command ``edcore check``: run the conformance suite on a backend, and say what is wrong with it."""

from __future__ import annotations

import functools
import importlib
from dataclasses import asdict
from typing import Annotated, Any

import typer

from edcore.cli.options import DeviceOption, JsonOption, complete_from
from edcore.console import plain_console, print_json
from edcore.core.network import Network
from edcore.core.rule import Rule
from edcore.dispatch import registry
from edcore.dispatch.choose import choose_backend, make_request
from edcore.errors import EDCoreError, UnknownNameError
from edcore.training.options import backend_names

CHECK_FAILED = 1


def _check_names() -> list[str]:
    """Return the names of the checks."""
    return [name for name, _ in _suite().iter_checks()]


def check(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="A backend that edcore info lists.", autocompletion=complete_from(backend_names)
        ),
    ],
    device: DeviceOption = None,
    check: Annotated[
        list[str] | None,
        typer.Option(
            "--check",
            metavar="CHECK",
            help="Run this check alone, such as check_forward; may be given several times.",
            autocompletion=complete_from(_check_names),
        ),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="A tenth of the examples and smaller sizes, as for a simulator.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Say all there is to say of each cause, with the whole errors.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Run the conformance suite on a backend, ours or anybody's, and say what is wrong with it."""
    if name not in registry.installed():  # so auto is refused
        raise UnknownNameError("NAME", name, registry.installed(), "`edcore info` lists the backends.")
    backend = choose_backend(make_request(name, device), Network(in_=2), Rule())
    suite = _suite()
    console = plain_console(stderr=json)
    show = functools.partial(console.print, soft_wrap=True)

    def told(check_name: str, message: str) -> None:
        show(f"FAILED  {check_name}" if message else f"ok      {check_name}")

    found = suite.report(backend, check or None, quick=quick, told=told)
    causes, by = len(found.findings), ""
    if causes:
        show(f"\n{found.text(verbose=verbose)}\n")
        by = f" by {causes} {'cause' if causes == 1 else 'causes'}"
    show(f"{len(found.passed)} passed, {len(found.failed)} failed{by}: {found.backend} on {found.device}")
    if json:
        print_json(asdict(found))
    raise typer.Exit(CHECK_FAILED if found.failed else 0)


def _suite() -> Any:
    """Return the suite."""
    try:
        return importlib.import_module("edcore.testing.reporting")
    except ModuleNotFoundError as error:
        if error.name != "hypothesis":
            raise
        fix = 'Install it with: pip install "edcore[testing]".'
        raise EDCoreError(f"check: the suite needs the package hypothesis, which is not installed. {fix}") from error
