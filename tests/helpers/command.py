"""Command lines of tests that differ from a common one in some options, and runs in which something happens."""

import re

from edcore import training

DROPPED = re.compile(r"^Exception ignored in: .*\n(Traceback .*\n)?(  .*\n|\n)*KeyboardInterrupt: ?\n", re.M)
"""What Python prints of a Ctrl-C inside a callback, as of its garbage collector, from which nothing can be raised."""


def override(*arguments):
    """Return the arguments; of an option that stands twice, with its value, only the second one."""
    found, seen = [], {}
    for argument in map(str, arguments):
        if argument.startswith("--") and argument in seen:
            start = seen.pop(argument)
            end = start + 1 + (start + 1 < len(found) and not str(found[start + 1]).startswith("--"))
            found[start:end] = [None] * (end - start)
        if argument.startswith("--"):
            seen[argument] = len(found)
        found.append(argument)
    return [argument for argument in found if argument is not None]


def during(monkeypatch, events):
    """Have things happen after batches of a run."""
    real = training.train

    def disturbed(*arguments, **options):
        for progress in real(*arguments, **options):
            events.get(progress.batch, lambda: None)()
            yield progress

    monkeypatch.setattr(training, "train", disturbed)


def without_dropped(printed):
    """Return what a command printed, without the signals that Python itself dropped."""
    return DROPPED.sub("", printed)
