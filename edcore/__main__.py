"""``python -m edcore`` is the command line, and so is the command ``edcore``."""

import signal
import sys
from typing import NoReturn

__all__ = ["main"]

INTERRUPTED = 130


def main() -> NoReturn:
    """Run the command line. Ctrl-C ends it with no traceback, while it is still loaded and at its very end as well."""
    usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if usual:  # there is nothing to lose yet, and Python would print a traceback from inside an import
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from edcore.cli import main as command_line

    try:
        if usual:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        command_line()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    finally:
        if usual:  # nor is there at the interpreter's own end
            signal.signal(signal.SIGINT, signal.SIG_DFL)


if __name__ == "__main__":
    main()
