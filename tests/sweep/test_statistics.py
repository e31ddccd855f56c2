"""Statistics over seeds, against SciPy's and against the published formula."""

import math

import numpy as np
import pytest
from scipy import stats

from edcore.sweep.statistics import mean_of, paired

random = np.random.default_rng(0)
VALUES, OTHERS = random.normal(0.9, 0.05, 10).tolist(), random.normal(0.85, 0.05, 10).tolist()


def test_the_interval_is_that_of_students_t():
    found = mean_of(VALUES)
    low, high = stats.t.interval(0.95, 9, loc=np.mean(VALUES), scale=stats.sem(VALUES))
    assert (found.value, found.low, found.high) == pytest.approx((np.mean(VALUES), low, high))
    assert found.p == pytest.approx(stats.ttest_1samp(VALUES, 0).pvalue)


def test_differences_are_tested_as_pairs():
    found = paired(VALUES, OTHERS)
    expected = stats.ttest_rel(VALUES, OTHERS)
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval(0.95)))
    assert paired(OTHERS, VALUES).value == -found.value


def test_overlapping_training_sets_widen_the_interval_as_nadeau_and_bengio_have_it():
    found, overlap = paired(VALUES, OTHERS, overlap=0.25), 0.25
    differences = np.subtract(VALUES, OTHERS)
    t = differences.mean() / math.sqrt((1 / 10 + overlap) * differences.var(ddof=1))
    assert found.p == pytest.approx(2 * stats.t.sf(abs(t), 9))
    assert found.half / paired(VALUES, OTHERS).half == pytest.approx(math.sqrt((1 / 10 + overlap) * 10))


@pytest.mark.parametrize("values", [[0.5], [0.5, math.inf], [0.5, math.nan]])
def test_where_there_is_no_spread_there_is_no_interval(values):
    found = mean_of(values)
    assert (found.half, found.low, found.high, found.p) == (None, None, None, None)


def test_equal_values_have_an_interval_and_no_test():
    found = mean_of([0.5, 0.5])
    assert (found.value, found.low, found.high, found.p) == (0.5, 0.5, 0.5, None)


def test_a_spread_of_rounding_alone_is_none():
    found = paired([0.65, 0.775], [0.4, 0.525])  # 0.25 and 0.25 + 2**-54
    assert (found.half, found.p) == (0.0, None)
    assert paired([0.65, 0.775 + 1e-9], [0.4, 0.525]).p is not None


def test_no_values_have_no_mean():
    assert mean_of([]) is None
