"""The random numbers of the C library, of which Kaneko's program draws."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edcore.arguments import whole_number
from edcore.contract.memory import host_memory
from edcore.errors import InputError

Floats = npt.NDArray[np.float64]

WORD = 2**32

PARTS = 10000
"""The program's random numbers are 0, 1 / PARTS, 2 / PARTS, …"""

BLOCK = 2**16
"""Numbers that are drawn at a time: as Python's whole numbers they take five times the memory of NumPy's."""


class Rand:
    """The GNU C library's ``rand()``, in Python, so that a seed gives the same numbers on every platform.

    The additive feedback generator r_n = r_(n−3) + r_(n−31) mod 2³², whose 31 words are seeded by r_i = 16807 r_(i−1)
    mod (2³¹ − 1) and whose first 310 outputs are discarded; an output is r_n without its lowest bit.

    Parameters
    ----------
    seed : int
        The argument of ``srand``, from 0 to 2³² − 1. As in C, seed 0 is the same as seed 1.

    Raises
    ------
    InputError
        If the seed is not such a number.

    Examples
    --------
    >>> from edcore.kaneko import Rand
    >>> random = Rand(1)
    >>> random.rand(), random.r()
    (1804289383, 0.0886)
    """

    def __init__(self, seed: int) -> None:
        word = checked_seed(seed) or 1
        if word >= WORD // 2:  # srand's words are signed
            word -= WORD
        words = [word % WORD]
        for _ in range(30):
            word = 16807 * word % (2**31 - 1)
            words.append(word)
        self._words = words[3:] + words[:3]
        self._next_words(310)

    def rand(self) -> int:
        """Return the next output, from 0 to 2³¹ − 1."""
        return self._next_words(1)[0] >> 1

    def r(self) -> float:
        """Return the program's next random number, (rand() mod 10000) / 10000, which can be exactly 0."""
        return self.rand() % PARTS / PARTS

    def draws(self, n: int) -> Floats:
        """Return the next n values of `r`, of shape (n,)."""
        n = whole_number("n", n, 0)
        if n > BLOCK and 8 * n > host_memory().free:
            raise InputError("n", str(n), "as many numbers of 8 bytes as fit into the free memory")
        found = np.empty(n)
        for start in range(0, n, BLOCK):
            words = np.array(self._next_words(min(BLOCK, n - start)), np.int64)
            found[start : start + BLOCK] = (words >> 1) % PARTS / PARTS
        return found

    def _next_words(self, n: int) -> list[int]:
        words = self._words
        for oldest in range(n):
            words.append((words[oldest] + words[oldest + 28]) % WORD)
        self._words = words[-31:]
        return words[31:]


def checked_seed(seed: Any) -> int:
    """Return a seed of the C library as an int, or refuse it."""
    accepted = f"a whole number from 0 to {WORD - 1}"
    if (number := whole_number("seed", seed, 0, accepted)) >= WORD:
        raise InputError("seed", str(number), accepted)
    return number
