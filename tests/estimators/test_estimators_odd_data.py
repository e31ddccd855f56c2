"""Masks, labels and dtypes that scikit-learn does not know or ignores: they are learnt rightly, or refused."""

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
    with pytest.raises(ValueError, match="Input X contains NaN"):
        found.predict(holes)
    for x, y in ((holes, Y), (frame, pandas.Series(Y).astype("Int64").mask(frame["a"] > 0.9))):
        with pytest.raises(ValueError, match="contains NaN"):
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
    with pytest.raises(InputError, match=r"^y: given array.*; accepted: one label a sample, all numbers or all texts"):
        EDClassifier(**OPTIONS).fit(X, labels)


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
    expected = EDClassifier(**OPTIONS | {"max_iter": 2}).fit(X, Y).predict_proba(X)
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
