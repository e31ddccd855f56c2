"""Run all rows, or those with one of the given words in their names; print each, and what was otherwise."""

import sys
import time
import traceback
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[1])

import conftest  # noqa: E402, F401 - sets what JAX reads when it is imported
from edcore.contract import compilation  # noqa: E402
from world import ROWS  # noqa: E402


def main(words):
    """Return the number of rows that failed."""
    compilation._said.update(("jax", "numba", "numba for CUDA"))  # as in the suite: it depends on the caches
    rows = {name: row for name, row in ROWS.items() if not words or any(word in name for word in words)}
    if not rows:
        sys.exit(f"no row has one of {words} in its name")
    failed = 0
    sys.stdout.reconfigure(errors="backslashreplace")  # a row may print anything
    for name, row in rows.items():
        start, found = time.monotonic(), "passed"
        if row.missing:
            found = f"SKIPPED, as {', '.join(row.missing)} is not here"
        else:
            try:
                row.check()
            except AssertionError as error:
                found, failed = f"FAILED: {error}", failed + 1
            except Exception:
                found, failed = f"FAILED: {traceback.format_exc()}", failed + 1
        print(f"{time.monotonic() - start:6.1f} s  {name}: {found}", flush=True)
    return failed


sys.exit(bool(main(sys.argv[1:])))
