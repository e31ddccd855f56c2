"""Tasks for `test_tasks`: some of them end the process that they are in."""

import os
import signal
import time
from pathlib import Path


def square(number):
    return number * number


def wrong(number):
    if number == 3:
        raise ValueError("three is wrong")
    return number


def square_of_a_second_life(folder, number):
    """Number 3 ends its process, but for the second time that it is tried."""
    lives = Path(folder) / str(number)
    if number == 3 and not lives.exists():
        lives.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


def deadly(number):
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def deadly_among_slow(number):
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.5)
    return number


def threads_of_blas(number):
    from threadpoolctl import threadpool_info

    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]
