"""The program ``edcore``, also run by ``python -m edcore``."""

import signal
import sys
from types import FrameType
from typing import NoReturn

__all__ = ["main"]

INTERRUPTED = 130


def main() -> NoReturn:
    """Run the command line. Ctrl-C ends it without a traceback, also while it is loaded and at its very end."""
    usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if usual:  # nothing can be lost yet, and Python would print a traceback from inside an import
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from edcore.cli import main as command_line

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


if __name__ == "__main__":
    main()
