"""The program ``edcore``, also run by ``python -m edcore``."""

import contextlib
import os
import signal
import sys
from types import FrameType
from typing import NoReturn

from edcore.environment import missing_for

__all__ = ["main"]

UNWRITTEN, BAD_INPUT, INTERRUPTED = 1, 2, 130


def main() -> NoReturn:
    """Run the command line. Ctrl-C ends it without a traceback, also while it is loaded and at its very end."""
    _open_streams()
    usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if usual:  # nothing can be lost yet, and Python would print a traceback from inside an import
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        with contextlib.redirect_stdout(sys.stderr):  # a user's module in a library's place may print
            from edcore.cli import main as command_line
    except ImportError as error:
        if not (reason := missing_for(error)):
            raise
        print(f"edcore: {reason}.", file=sys.stderr)
        sys.exit(BAD_INPUT)

    received = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        received.append(number)
        signal.default_int_handler(number, frame)

    try:
        if usual:
            signal.signal(signal.SIGINT, interrupt)
        command_line()
    except BaseException as error:
        # An extension may drop a KeyboardInterrupt, and raise an error of its own in its place.
        failed = not isinstance(error, SystemExit) or error.code not in (0, None)
        if not isinstance(error, KeyboardInterrupt) and not (received and failed):
            raise
        sys.exit(INTERRUPTED)
    finally:
        if usual:  # nothing can be lost any more while the interpreter ends
            signal.signal(signal.SIGINT, signal.SIG_DFL)


def _open_streams() -> None:
    """Open what the caller has closed, as a file would take its number, and refuse a closed stdout."""
    lost = sys.stdout is None and sys.platform != "win32"  # a program without a window has none there
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):  # in the order of their numbers
        if getattr(sys, name) is None:
            stream = open(os.devnull, mode)  # noqa: SIM115
            os.set_inheritable(stream.fileno(), True)
            setattr(sys, name, stream)
    if lost:
        print("edcore: standard output is closed. Write > /dev/null to drop what is printed.", file=sys.stderr)
        sys.exit(UNWRITTEN)


if __name__ == "__main__":
    main()
