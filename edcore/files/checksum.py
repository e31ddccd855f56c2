"""Checksums of arrays."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

ROWS = 2**16
"""Rows that are copied at once of an array that is a view, as windows of a text are, which overlap."""


def checksum(arrays: Iterable[npt.NDArray[Any]], prefix: str = "") -> str:
    """Return the SHA-256 of arrays, in hexadecimal digits."""
    sha256 = hashlib.sha256(prefix.encode())
    for array in arrays:
        # The same bytes under another dtype or shape are other numbers.
        sha256.update(f"{array.dtype.str} {array.shape}".encode())
        whole = array.flags.c_contiguous
        for part in [array] if whole else (array[row : row + ROWS] for row in range(0, len(array), ROWS)):
            sha256.update(np.ascontiguousarray(part).reshape(-1).view(np.uint8).data)
    return sha256.hexdigest()
