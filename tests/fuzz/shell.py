"""Commands, run as a shell runs them, in this process."""

import contextlib
import functools
import io
from unittest import mock

import typer

from edcore.cli import app as cli


@functools.cache
def tree():
    """Return the command with its subcommands, made only once."""
    return typer.main.get_command(cli.app)


@contextlib.contextmanager
def quiet():
    """Capture the output, as a terminal with UTF-8 shows it."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        yield out, err


def run(*arguments, quiet_success=True):
    """Run a command and return its exit code: 0, or 2 with a sentence on stderr. Anything else is a fault.

    With `quiet_success`, a sentence on stderr without an error is one, too.
    """
    with quiet() as (_, err), mock.patch.object(cli, "app", tree()):
        try:
            cli.main(arguments)
        except SystemExit as end:
            code = end.code or 0
    message = err.buffer.getvalue().decode()
    assert code in (0, 2), message
    assert bool(message) == bool(code) or (message and not quiet_success), message
    assert "Traceback" not in message
    return code
