"""A program for `test_signals`: it sends Ctrl-C or SIGTERM to ``edcore train`` at random moments, and resumes it.

    python signalled.py FOLDER SIGNALS BACKEND

Each life of a run is a child made by fork, which begins at once. It prints one JSON object.
"""

import collections
import contextlib
import json
import os
import random
import signal
import sys
import time
from pathlib import Path

from command import override, without_dropped
from edcore import io
from edcore.cli import app as cli
from killed import RUN, kept


def life(errors, *arguments):
    """Start a run in a child, with stderr in a file, and return its process number."""
    held = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, held)  # in the child, until somebody is there to receive them
    child = os.fork()
    if child:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, held)
        return child
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
    code = 99
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, held)
        cli.main(arguments)
    except SystemExit as end:
        code = end.code or 0
    except KeyboardInterrupt:  # what edcore.__main__ makes of one that comes outside of the commands
        code = 130
    finally:
        os._exit(code)


def main(folder, signals, backend):
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(None):
        cli.main([*RUN, "--backend", backend])  # so that the children find everything loaded
    moments, codes, batches, errors = random.Random(1), collections.Counter(), set(), folder / "stderr"
    command = [*override(*RUN, "--every", "3"), "--backend", backend, "--checkpoint"]
    usual = float("inf")
    for name in ("first", "undisturbed"):  # the shorter one: a machine may be busy for a moment
        undisturbed, start = folder / name, time.monotonic()
        os.waitpid(life(errors, *command, str(undisturbed)), 0)
        usual = min(usual, time.monotonic() - start)
    stopped, runs, different, tracebacks, file = 0, 0, 0, 0, folder / "run-0"
    while stopped < signals or file.exists():
        if file.exists():
            batches.add(io.inspect(file).run["batch"])
            child = life(errors, "train", "--resume", str(file), "--every", "3")
        else:
            child = life(errors, *command, str(file))
        number = None
        if stopped < signals:
            number = moments.choice([signal.SIGINT, signal.SIGTERM])
            time.sleep(moments.uniform(0, usual * 1.1))
            os.kill(child, number)
            if moments.random() < 0.25:  # somebody is in a hurry
                time.sleep(moments.uniform(0, 0.002))
                os.kill(child, number)
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        codes[code] += 1
        stopped += code != 0  # a signal that comes after the end of a run stops nothing
        # SIGTERM ends a program that has not begun to learn as it ends any other.
        assert code == 0 or code in ((130,) if number == signal.SIGINT else (143, -signal.SIGTERM)), (number, code)
        tracebacks += "Traceback" in without_dropped(errors.read_text())
        if code == 0 and file.exists() and io.inspect(file).run["batch"] == io.inspect(undisturbed).run["batch"]:
            different += kept(file) != kept(undisturbed)
            runs += 1
            file = folder / f"run-{runs}"
    left = sorted(path.name for path in folder.iterdir() if path.name.endswith(".partial"))
    result = {
        "stopped": stopped,
        "codes": codes,
        "runs": runs,
        "different": different,
        "tracebacks": tracebacks,
        "left": left,
    }
    print(json.dumps(result | {"batches": sorted(batches)}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
