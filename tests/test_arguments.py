"""Checks on single values."""

import numpy as np
import pytest

from edcore import ED, Initial, Network, Rule
from edcore.arguments import dtype_name, real, whole_number
from edcore.errors import InputError, UnknownNameError


def test_whole_numbers_are_those_that_can_still_be_computed_with():
    most = 2**128 - 1
    assert whole_number("seed", most, 0) == most
    assert whole_number("n", np.uint8(3), 1) == 3
    assert Network(most, most, most, most).parameters > most
    for number in (most + 1, -most - 1, 16**5000):  # Python refuses to write the last one out
        with pytest.raises(InputError, match=r"^n: given .* [\d,]+ bits; accepted: .* from 1 to 2\*\*128 - 1\."):
            whole_number("n", number, 1)


def test_real_numbers_are_those_whose_products_float32_holds():
    assert real("alpha", 1e18) == 1e18
    with pytest.raises(InputError, match=r"^alpha: given 1e\+308; accepted: .* 1e\+18\."):
        real("alpha", 1e308)
    largest = Initial(weight=1e18, bias=1e18, excitatory=1e18, inhibitory=1e18)
    weights = ED(2, 2, 1, rule=Rule(floor=1e18), initial=largest, seed=1).weights  # a warning would be an error
    assert all(np.isfinite(array).all() for array in weights.values())


def test_an_array_with_an_axis_is_no_number():
    class OneElement:
        """An array of one element, as PyTorch and NumPy before 2.4 have it."""

        ndim, __float__, __index__ = 1, lambda self: 3.0, lambda self: 3

    for value in (OneElement(), np.ones(1), np.ones((1, 1), int)):
        for check in (real, lambda name, value: whole_number(name, value, 0)):
            with pytest.raises(InputError, match="^alpha: given"):
                check("alpha", value)
    assert real("alpha", np.float32(3)) == real("alpha", np.asarray(3.0)) == whole_number("n", np.asarray(3), 0) == 3


def test_weights_may_be_divided_by_no_more_than_a_float_holds():
    ED(2, 2, 1, initial=Initial(fan_in=10), seed=1, backend="numpy")
    with pytest.raises(InputError, match=r"^fan_in: given 1000\.0; accepted: .* 10\."):
        Initial(fan_in=1000)


@pytest.mark.parametrize("dtype", ["1.5", "2,3", ",", "a", "O,", "(2,)f4", "(", "f4 f4", "é", "\0", [], {}, object()])
def test_what_names_no_dtype_is_refused_whatever_numpy_says(dtype):
    with pytest.raises(UnknownNameError, match="dtype: given .*; accepted: 'float32', 'float64'"):
        dtype_name(dtype)
