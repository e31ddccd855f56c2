"""A program for `test_killed`: it kills ``edcore train`` at random moments, resumes it, and compares what comes out.

    python killed.py FOLDER KILLS BACKEND

Each life of a run is a child made by fork, which begins at once. It prints one JSON object.
"""

import contextlib
import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import safetensors.numpy

from edcore import io
from edcore.cli import app as cli

NETWORK = ("--dataset", "parity4", "--rule", "split", "--width", "4", "--depth", "2", "--seed", "3")
RUN = ("train", *NETWORK, "--epochs", "15", "--batch-size", "5", "--eval-every", "7", "--every", "1")


def life(*arguments):
    """Start a run in a child, and return its process number."""
    child = os.fork()
    if child:
        return child
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    try:
        cli.main(arguments)
    except SystemExit as end:
        os._exit(end.code or 0)
    finally:
        os._exit(99)


def ended(child):
    """Wait for a child; return True if it came to its end, False if it was killed."""
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL, status
        return False
    assert os.WEXITSTATUS(status) == 0, status
    return True


def kept(file):
    """Return all that must be the same: everything but the seconds."""
    arrays = safetensors.numpy.load_file(file)
    del arrays["run.seconds"]
    return {key: (array.shape, array.tobytes()) for key, array in arrays.items()}, io.inspect(file).run


def main(folder, kills, backend):
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(None):
        cli.main([*RUN, "--backend", backend])  # so that the children find everything loaded
    moments = random.Random(0)
    undisturbed = folder / "undisturbed"
    start = time.monotonic()
    assert ended(life(*RUN, "--backend", backend, "--checkpoint", str(undisturbed)))
    usual = time.monotonic() - start
    killed, runs, different, file = 0, 0, 0, folder / "run-0"
    starts = []  # batches learnt at each resume
    while killed < kills or file.exists():
        if file.exists():
            starts.append(io.inspect(file).run["batch"])
            child = life("train", "--resume", str(file), "--every", "1")
        else:
            child = life(*RUN, "--backend", backend, "--checkpoint", str(file))
        if killed < kills:
            time.sleep(moments.uniform(0, usual))
            os.kill(child, signal.SIGKILL)
        if not ended(child):
            killed += 1
            continue
        different += kept(file) != kept(undisturbed)
        runs += 1
        file = folder / f"run-{runs}"
    print(json.dumps({"killed": killed, "runs": runs, "different": different, "starts": starts}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
