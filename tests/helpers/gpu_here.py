"""Whether a library that computes on no GPU has an excuse: no GPU, or no packages for it."""

import ctypes
import importlib
import re
import sys
from importlib.metadata import distributions
from importlib.util import find_spec

import pytest


def skip_or_fail(library, reason):
    """Skip the test that cannot use the library on a GPU, or fail it where the library has no excuse."""
    if re.search(r"\b\w*Warning: ", reason):
        pytest.fail(f"{library} is unused because of a warning: {reason}")
    if packages(library) and devices():
        pytest.fail(f"a GPU and {library}'s packages for it are here, but: {reason}")
    pytest.skip(reason)


def packages(library):
    """Return whether the library's packages for NVIDIA GPUs are installed."""
    match library:
        case "numba":
            return find_spec("numba_cuda") is not None
        case "torch":
            return find_spec("torch") is not None and importlib.import_module("torch").version.cuda is not None
        case "jax":
            return any(re.fullmatch(r"jax[_-]cuda\d+[_-]plugin", one.name) for one in distributions() if one.name)
        case _:
            return find_spec(library) is not None


def devices():
    """Return how many GPUs NVIDIA's driver sees."""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
        count = ctypes.c_int()
        failed = driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count))
    except (OSError, AttributeError):
        return 0
    return 0 if failed else count.value
