"""The command ``edcore play``: serve or write the page to play with."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from edcore.cli.options import check_new, check_writable, complete_from, write_file
from edcore.console import say
from edcore.errors import InputError
from edcore.play import LANGUAGES, html

LARGEST_PORT = 2**16 - 1


def play(
    language: Annotated[
        str,
        typer.Option(
            help="The language in which the page opens, en or ja. The page has a switch.",
            autocompletion=complete_from(lambda: LANGUAGES),
        ),
    ] = "en",
    port: Annotated[
        int | None,
        typer.Option(help="The port to serve it on.", show_default="8017, or a free one if that is taken"),
    ] = None,
    browser: Annotated[bool, typer.Option(help="Open a browser.")] = True,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the page to this .html file instead.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file of --out.")] = False,
) -> None:
    """Show small networks that learn in a browser, by ED and by back-propagation, until Ctrl-C."""
    if port is not None and not 1 <= port <= LARGEST_PORT:
        raise InputError("port", repr(port), f"a whole number from 1 to {LARGEST_PORT:,}")
    page = html(language)  # type: ignore[arg-type]  # it refuses other names
    if out is None:
        serve(page, port, browser)
        return
    check_writable("out", out, (".html",))
    check_new("out", out, force)
    write_file("out", out, page.encode())
    say(f"written to {out}; open it in a browser, which needs no network")


def serve(page: str, port: int | None, browser: bool) -> None:
    """Serve the page on this machine alone, until Ctrl-C."""
    import threading
    import webbrowser  # here, so that the other commands start faster

    from edcore.play.server import HOST, listen

    try:
        with listen(page, port) as server:
            address = f"http://{HOST}:{server.server_address[1]}/"
            say(f"the page is at {address}; Ctrl-C ends it")
            if browser and _has_screen():
                # In a thread, as some browsers return only when they are closed.
                threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
            server.serve_forever()
    except KeyboardInterrupt:
        raise typer.Exit(128 + signal.SIGINT) from None


def _has_screen() -> bool:
    """Return whether a browser would open in a window, and not in this terminal."""
    return sys.platform in ("win32", "darwin") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
