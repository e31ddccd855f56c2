"""Checks on single values."""

import numpy as np
import pytest

from edcore import InputError, Network, UnknownNameError
from edcore.values import dtype_name, whole_number


def test_whole_numbers_are_those_that_can_still_be_computed_with():
    most = 2**128 - 1
    assert whole_number("seed", most, 0) == most
    assert whole_number("n", np.uint8(3), 1) == 3
    assert Network(most, most, most, most).parameters > most
    for number in (most + 1, -most - 1, 16**5000):  # Python refuses to write the last one out
        with pytest.raises(
            InputError, match=r"n: given a number of [\d,]+ bits; accepted: a whole number from 1 to 2\*\*128 - 1"
        ):
            whole_number("n", number, 1)


@pytest.mark.parametrize("dtype", ["1.5", "2,3", ",", "a", "O,", "(2,)f4", "(", "f4 f4", "é", "\0", [], {}, object()])
def test_what_names_no_dtype_is_refused_whatever_numpy_says(dtype):
    with pytest.raises(UnknownNameError, match="dtype: given .*; accepted: 'float32', 'float64'"):
        dtype_name(dtype)
