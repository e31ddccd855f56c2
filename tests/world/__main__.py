"""Run all rows, or those with one of the given words in their names; print each, and what was otherwise."""

import sys
import time
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[1])

from world import ROWS  # noqa: E402


def main(words):
    """Return the number of rows that failed."""
    failed = 0
    for name, row in ROWS.items():
        if words and not any(word in name for word in words):
            continue
        start, found = time.monotonic(), "passed"
        if row.missing:
            found = f"SKIPPED, as {', '.join(row.missing)} is not here"
        else:
            try:
                row.check()
            except AssertionError as error:
                found, failed = f"FAILED: {error}", failed + 1
        print(f"{time.monotonic() - start:6.1f} s  {name}: {found}", flush=True)
    return failed


sys.exit(bool(main(sys.argv[1:])))
