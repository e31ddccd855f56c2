"""Masks, labels and dtypes that scikit-learn does not know or ignores: they are learnt rightly, or refused."""

import importlib.util

import numpy as np
import pytest

from edcore import EDClassifier, EDRegressor
from edcore.errors import InputError

OPTIONS = {"max_iter": 20, "backend": "numpy", "random_state": 0}
X = np.random.default_rng(0).random((60, 4))
Y = (X[:, 0] > 0.5).astype(int)
KINDS = [EDClassifier, EDRegressor]
MASKED_X = {
    "a mask": np.ma.masked_array(X, X > 0.95),
    "no value masked": np.ma.masked_array(X),
    "rows in a list": [np.ma.masked_array(row, row > 0.95) for row in X],
    "a value in a list": [[np.ma.masked, 0.1, 0.2, 0.3], *X[1:].tolist()],
    "objects": np.ma.masked_array(X.astype(object), X > 0.95),
}
MASKED_Y = {
    "a mask": np.ma.masked_array(Y, X[:, 1] > 0.95),
    "no value masked": np.ma.masked_array(Y),
    "a value in a list": [np.ma.masked, *Y[1:].tolist()],
    "texts": np.ma.masked_array(Y.astype(str), X[:, 1] > 0.95),
}


def check_masks(kind):
    """Check that every method of an estimator refuses every mask, and names the argument."""
    learnt = kind(**OPTIONS).fit(X, Y)
    ask = [learnt.predict, *([learnt.predict_proba] if hasattr(learnt, "predict_proba") else [])]
    for masked in MASKED_X.values():
        calls = [lambda x: kind(**OPTIONS).fit(x, Y), lambda x: learnt.partial_fit(x, Y), lambda x: learnt.score(x, Y)]
        for call in [*calls, *ask]:
            with pytest.raises(InputError, match=r"^X: given a masked array; accepted: an array with no mask\. "):
                call(masked)
    for masked in MASKED_Y.values():
        for call in (kind(**OPTIONS).fit, learnt.partial_fit, learnt.score):
            with pytest.raises(InputError, match="^y: given a masked array"):
                call(X, masked)
    with pytest.raises(InputError, match="^sample_weight: given a masked array"):
        learnt.score(X, Y, np.ma.masked_array(np.ones(60), Y == 0))


class Unmasking(EDRegressor):
    """The old fault: scikit-learn's own checks take the numbers under a mask."""

    def score(self, X, y, sample_weight=None):  # noqa: N803
        return super().score(X, np.asarray(y), sample_weight)


@pytest.mark.parametrize("kind", KINDS)
def test_masks_are_refused(kind):
    check_masks(kind)
    if kind is EDClassifier:
        with pytest.raises(InputError, match="^classes: given a masked array"):
            kind(**OPTIONS).partial_fit(X, Y, classes=np.ma.masked_array([0, 1, 2], [0, 0, 1]))


@pytest.mark.filterwarnings("ignore:Warning. converting a masked element")
def test_the_check_finds_a_method_that_drops_masks():
    with pytest.raises((pytest.fail.Exception, AssertionError, ValueError)) as caught:
        check_masks(Unmasking)
    assert not isinstance(caught.value, InputError)


@pytest.mark.parametrize("kind", KINDS)
def test_missing_values_of_pandas_are_refused_and_its_numbers_learnt(kind):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=list("abcd"))
    expected = kind(**OPTIONS).fit(X, Y).predict(X)
    for dtype in ("Float64", "float64", "object"):
        found = kind(**OPTIONS).fit(frame.astype(dtype), pandas.Series(Y).astype("Int64"))
        assert np.array_equal(found.predict(frame.astype(dtype)), expected)
    holes = frame.astype("Float64").mask(frame > 0.9)
    with pytest.raises(InputError, match="^X: given values that are missing"):
        found.predict(holes)
    for x, y in ((holes, Y), (frame, pandas.Series(Y).astype("Int64").mask(frame["a"] > 0.9))):
        with pytest.raises(InputError, match="^[Xy]: given values that are missing"):
            kind(**OPTIONS).fit(x, y)


# Labels


TEXTS = np.array(["no", "yes"])[Y]


def strings():
    """Return labels of NumPy's StringDType."""
    return TEXTS.astype(np.dtypes.StringDType())


def test_labels_of_numpys_string_dtype():
    expected = EDClassifier(**OPTIONS).fit(X, TEXTS)
    found = EDClassifier(**OPTIONS).fit(X, strings())
    assert found.classes_.tolist() == ["no", "yes"]
    assert found.predict(X).tolist() == expected.predict(X).tolist()
    assert found.score(X, strings()) == found.score(X, TEXTS) == expected.score(X, TEXTS) > 0.9
    parts = EDClassifier(**OPTIONS)
    for _ in range(3):
        parts.partial_fit(X, strings(), classes=np.unique(strings()))
    assert parts.classes_.tolist() == ["no", "yes"]
    with pytest.raises(InputError, match=r"^y: given the unknown label 'nono'; accepted: the classes \['no', 'yes'\]"):
        parts.partial_fit(X, strings() * 2)


@pytest.mark.parametrize(
    "labels",
    [
        np.array([None, *TEXTS[1:]], object),
        np.array([None, *TEXTS[1:]], np.dtypes.StringDType(na_object=None)),
        np.array([0, *TEXTS[1:]], object),
    ],
)
def test_labels_that_are_not_all_texts_are_refused(labels):
    with pytest.raises(
        InputError, match=r"^y: given a.*; accepted: one label a sample, all numbers or all texts"
    ) as caught:
        EDClassifier(**OPTIONS).fit(X, labels)
    assert (labels[0] is None) == ("given a gap among the labels, the first at [0]" in str(caught.value))


@pytest.mark.parametrize("offset", [2**40, 2**60, -(2**62)])
def test_large_whole_numbers_are_labels(offset):
    classifier = EDClassifier(**OPTIONS).fit(X.astype("float32"), Y + offset)
    assert classifier.classes_.tolist() == [offset, offset + 1]
    assert classifier.score(X, Y + offset) > 0.9


@pytest.mark.parametrize(
    "make",
    [lambda: (n for n in (1, 0)), lambda: {0, 1}, lambda: {1: "", 0: ""}.keys(), lambda: range(2), lambda: [0, 1, 1]],
)
def test_classes_in_any_iterable(make):
    classifier = EDClassifier(**OPTIONS)
    for _ in range(2):
        classifier.partial_fit(X, Y, classes=make())
    assert classifier.classes_.tolist() == [0, 1]
    expected = EDClassifier(**OPTIONS).partial_fit(X, Y, [0, 1]).partial_fit(X, Y).predict_proba(X)
    assert np.array_equal(classifier.predict_proba(X), expected)
    with pytest.raises(InputError, match=r"^classes: given \[0, 1, 2\]; accepted: those of the first call, \[0, 1\]"):
        classifier.partial_fit(X, Y, classes=(n for n in range(3)))


@pytest.mark.parametrize("classes", ["01", b"01", 2, [[0, 1]], [0, None], [0, np.nan], [0, 1j], np.array(1), object()])
def test_classes_that_are_none_are_refused(classes):
    with pytest.raises(
        InputError, match=r"^classes: given .*; accepted: a sequence with each class, such as \[0, 1, 2\]"
    ):
        EDClassifier(**OPTIONS).partial_fit(X, Y, classes=classes)
    with pytest.raises(InputError, match=r"^classes: given only one class, 0; accepted: at least two"):
        EDClassifier(**OPTIONS).partial_fit(X, Y, classes=[0])


# Short floats, and tensors with scikit-learn's array_api_dispatch off


@pytest.mark.parametrize("name", ["bfloat16", "float8_e4m3fn", "int4"])
def test_dtypes_of_other_packages(name):
    types = pytest.importorskip("ml_dtypes")
    x = np.round(7 * X).astype(getattr(types, name))
    for kind in KINDS:
        found = kind(**OPTIONS).fit(x, Y.astype(types.bfloat16))
        assert found.ed_.network.dtype == "float32"
        expected = kind(**OPTIONS).fit(x.astype("float32"), Y)
        assert np.array_equal(found.predict(x), expected.predict(x.astype("float32")))


@pytest.mark.parametrize("kind", KINDS)
def test_tensors_as_numpys_arrays(kind):
    torch = pytest.importorskip("torch")
    x, y = torch.asarray(X), torch.asarray(Y)
    short = x.bfloat16()
    expected = kind(**OPTIONS).fit(X, Y).predict(X)
    assert np.array_equal(
        kind(**OPTIONS).fit(x.clone().requires_grad_(), y).predict(x.clone().requires_grad_()), expected
    )
    expected = kind(**OPTIONS).fit(short.float().numpy(), Y).predict(short.float().numpy())
    found = kind(**OPTIONS).fit(short, y.bfloat16())
    assert found.ed_.network.dtype == "float32"
    assert np.array_equal(found.predict(short), expected)
    assert found.score(short, y.bfloat16()) == found.score(short, y)


# Whole numbers that scikit-learn makes floats of, in any container

TIMES = [1_700_000_000_000_000_000 + n for n in range(len(Y))]
HALVES = [0.5 * n for n in range(len(Y))]


def tables():
    """Return the same large whole numbers beside floats in several containers."""
    pandas = pytest.importorskip("pandas")
    return {
        "table": pandas.DataFrame({"time": TIMES, "half": HALVES}),
        "nullable": pandas.DataFrame({"time": pandas.array(TIMES, dtype="Int64"), "half": HALVES}),
        "unsigned beside signed": pandas.DataFrame({"a": TIMES, "b": np.array(TIMES, np.uint64)}),
        "list": [list(row) for row in zip(TIMES, HALVES, strict=True)],
        "objects": np.array([TIMES, HALVES], object).T,
        "array": np.array([TIMES, TIMES]).T,
        "huge": [[2**70 + n, n] for n in TIMES],
    }


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", tables() if importlib.util.find_spec("pandas") else ())
def test_large_whole_numbers_are_refused_in_every_container(name, kind):
    table = tables()[name]
    with pytest.raises(InputError, match="^X: given .*differences float64 rounds away"):
        kind(**OPTIONS).fit(table, Y)
    with pytest.raises(InputError, match="^y: given .*differences float64 rounds away"):
        EDRegressor(**OPTIONS).fit(X, table)


def test_large_floats_and_apart_whole_numbers_are_learnt_in_lists():
    apart = [[n * 2**60, n] for n in range(len(Y))]
    for table in (apart, np.array(apart, object), [[float(n) * 1e300, 1.0] for n in range(len(Y))]):
        assert EDClassifier(**OPTIONS).fit(table, Y).data_max_[0] >= (len(Y) - 1) * 2.0**60


@pytest.mark.parametrize("kind", KINDS)
def test_whole_numbers_that_no_float_holds_are_refused(kind):
    huge = np.array([[10**400, 1, 1]] * len(Y), object)
    with pytest.raises(InputError, match="^X: given whole numbers too large"):
        kind(**OPTIONS).fit(huge, Y)
    found = kind(**OPTIONS).fit(X, Y)
    with pytest.raises(InputError, match="^X: given whole numbers too large"):
        found.predict(huge[:, : X.shape[1]] if huge.shape[1] >= X.shape[1] else np.repeat(huge[:, :1], X.shape[1], 1))


@pytest.mark.parametrize("state", ["x", np.random.SeedSequence(0), -1, 2**40, 1.5, True, np.True_, [1]])
def test_other_random_states_are_refused(state):
    with pytest.raises(InputError, match="^random_state: given"):
        EDClassifier(**OPTIONS | {"random_state": state}).fit(X, Y)


def test_a_generator_is_a_random_state_that_goes_on():
    def fitted(generator):
        return EDClassifier(**OPTIONS | {"random_state": generator}).fit(X, Y).predict_proba(X)

    generator = np.random.default_rng(0)
    first, again = fitted(generator), fitted(generator)
    assert (first == fitted(np.random.default_rng(0))).all()
    assert (first != again).any()
    for kind in (np.random.PCG64DXSM, np.random.SFC64, np.random.Philox, np.random.MT19937):
        assert np.isfinite(fitted(np.random.Generator(kind(1)))).all()


def test_a_refused_call_draws_nothing_from_a_generator():
    generator = np.random.default_rng(0)
    with pytest.raises(InputError):
        EDClassifier(**OPTIONS | {"random_state": generator, "backend": "no"}).fit(X, Y)
    assert generator.integers(2**60) == np.random.default_rng(0).integers(2**60)


def test_the_only_member_of_a_class_is_learnt_from_and_not_held_out():
    y = np.r_[5, Y[1:]]
    classifier = EDClassifier(**OPTIONS, early_stopping=True, validation_fraction=0.3)
    heard = []
    classifier.set_params(callbacks=lambda record: heard.append(record.validation_score))
    classifier.fit(X, y)
    assert 5 in classifier.classes_
    assert len(heard) == classifier.n_iter_


def test_too_few_samples_of_a_class_to_hold_some_out():
    y = np.arange(len(Y)) // 2  # two of each class: a tenth cannot have one of each
    with pytest.raises(InputError, match="^validation_fraction: given 0.1"):
        EDClassifier(**OPTIONS, early_stopping=True).fit(X, y)


def test_a_refused_call_draws_nothing_from_numpys_own_source():
    np.random.seed(0)  # noqa: NPY002
    before = np.random.get_state()  # noqa: NPY002
    for wrong in ({"hidden_width": 0}, {"backend": "nonsense"}, {"callbacks": lambda epoch: 1 / 0}):
        with pytest.raises((InputError, ZeroDivisionError)):
            EDClassifier(**OPTIONS | {"random_state": None} | wrong).fit(X, Y)
        now = np.random.get_state()  # noqa: NPY002
        assert now[2] == before[2]
        assert np.array_equal(now[1], before[1])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ((0, 1), (0, 10), False),
        ((0, 1), None, False),
        ((0, 1), [0, 1], True),
        ((0, 1), "nonsense", False),
        ((0, 1), (1, 0), False),
        (None, (0, 1), False),
        (None, "data", False),
        ("data", (-9, 9), False),
        ("data", "data", True),
    ],
)
def test_a_trained_network_keeps_its_range(kind, old, new, same):
    x = (X - X.min(axis=0)) / (X.max(axis=0) - X.min(axis=0))
    found = kind(**OPTIONS, warm_start=True, input_range=old).fit(x, Y)
    found.set_params(input_range=new)
    if same:
        assert found.fit(x, Y).n_iter_ == 2 * found.max_iter
    else:
        with pytest.raises(InputError, match="^input_range: given"):
            found.fit(x, Y)


@pytest.mark.parametrize(
    "given",
    [{0, 1}, {0: 5, 1: 6}, (end for end in (0, 1)), (np.ma.masked_array([0.0], [True]), 1.0), np.ma.array([0, 1])],
)
def test_ranges_that_are_no_pair_are_refused(given):
    with pytest.raises(InputError, match="^input_range: given"):
        EDClassifier(**OPTIONS, input_range=given).fit(X, Y)


@pytest.mark.skipif(np.finfo(np.longdouble).bits <= 64, reason="longdouble is float64 here")
@pytest.mark.parametrize("kind", KINDS)
def test_numbers_that_vanish_in_float64_are_refused(kind):
    small = np.longdouble("1e-4000")
    with pytest.raises(InputError, match="^X: given"):
        kind(**OPTIONS).fit(X.astype(np.longdouble) * small, Y)
    with pytest.raises(InputError, match="^y: given"):
        EDRegressor(**OPTIONS).fit(X, X[:, 0].astype(np.longdouble) * small)


@pytest.mark.parametrize("value", [1e300, -1.7e308, 3.3])
def test_a_target_with_one_huge_value_is_predicted(value):
    found = EDRegressor(**OPTIONS).fit(X, np.full(len(Y), value))
    assert (found.predict(X) == value).all()
