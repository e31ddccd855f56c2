"""`edcore.History`: what it keeps of a fit, what it refuses, and its curves."""

import copy
import pickle

import numpy as np
import pytest

import edcore
from edcore import ED, EDClassifier, EDRegressor, History
from edcore.errors import InputError
from edcore.model import classes

DATA = edcore.datasets.digits(classes=(0, 1, 2))
X, CLASSES = DATA.x_train[:60], DATA.y_train[:60]
TARGET = np.eye(3)[CLASSES]
TEST = DATA.x_test[:30], DATA.y_test[:30]


def network(heads=3, **options):
    return ED(64, 8, 0, heads=heads, seed=1, backend="numpy", **options)


def test_it_keeps_what_the_network_answers_after_each_epoch():
    history, checks = History(*TEST, train=(X, TARGET)), []

    def check(record):
        outputs = record.ed.predict(X)
        checks.append((abs(TARGET - outputs).mean(), classes.accuracy(record.ed, *TEST)))

    ed = network().fit(X, TARGET, epochs=4, callbacks=[history, check], schedule=[1, 1, 0.5, 0.5])
    assert history.columns == (
        *("epoch", "loss", "alpha", "alpha_output"),
        *("test_loss", "test_accuracy", "train_loss", "train_accuracy"),
    )
    assert len(history) == 4
    assert history["epoch"] == [1, 2, 3, 4]
    assert history["alpha"] == [0.8, 0.8, 0.4, 0.4]
    np.testing.assert_allclose(history["train_loss"], [loss for loss, _ in checks], rtol=1e-6)
    assert history["test_accuracy"] == [share for _, share in checks]
    assert history.to_dict() == {column: history[column] for column in history.columns}
    assert history["train_accuracy"][-1] == classes.accuracy(ed, X, CLASSES)


def test_a_resumed_fit_goes_on_with_it():
    whole, parts = History(*TEST), History(*TEST)
    network().fit(X, TARGET, epochs=5, callbacks=whole)
    ed = network().fit(X, TARGET, epochs=2, callbacks=parts)
    parts = pickle.loads(pickle.dumps(parts))
    copied = copy.deepcopy(parts)
    ed.fit(X, TARGET, epochs=3, callbacks=parts)
    assert parts.to_dict() == whole.to_dict()
    assert len(copied) == 2


def test_epochs_of_another_run_are_refused():
    history = History()
    network().fit(X, TARGET, epochs=2, callbacks=history)
    with pytest.raises(
        InputError, match="^callbacks: given a History of 2 epochs, for epoch 1; accepted: one of this run"
    ):
        network().fit(X, TARGET, callbacks=history)
    assert len(history) == 2


def test_targets_of_each_kind():
    x, y = X[CLASSES < 2], CLASSES[CLASSES < 2]
    histories = {"classes": History(x, y), "numbers": History(x, y / 2 + 0.1), "floats": History(x, y.astype(float))}
    ED(seed=0, backend="numpy").fit(x, y, epochs=2, callbacks=list(histories.values()))
    assert histories["floats"].to_dict() == histories["classes"].to_dict()
    assert "test_accuracy" not in histories["numbers"].columns
    assert "test_loss" in histories["numbers"].columns
    several = History(one_hot=(X, TARGET), numbers=(X, CLASSES), soft=(X, 0.9 * TARGET), both=(X, 1 - TARGET))
    network().fit(X, TARGET, epochs=2, callbacks=several)
    assert several["one_hot_loss"] == several["numbers_loss"]
    assert several["one_hot_accuracy"] == several["numbers_accuracy"]
    assert not {"soft_accuracy", "both_accuracy"} & set(several.columns)
    modulo = ED(64, 8, 0, outputs=3, rule="modulo", seed=1, backend="numpy")
    history = History(X, CLASSES)
    modulo.fit(X, TARGET, epochs=2, callbacks=history)
    assert history["test_accuracy"][-1] == classes.accuracy(modulo, X, CLASSES)


@pytest.mark.parametrize("library", ["torch", "jax.numpy"])
def test_samples_of_other_libraries(library):
    xp = pytest.importorskip(library)
    theirs, ours = History(xp.asarray(X), xp.asarray(CLASSES)), History(X, CLASSES)
    for history, convert in ((theirs, xp.asarray), (ours, np.asarray)):
        ED(64, 8, 0, heads=3, seed=1).fit(convert(X), convert(TARGET), epochs=2, callbacks=history)
    np.testing.assert_allclose(theirs["test_loss"], ours["test_loss"], rtol=1e-4)


def test_large_sets_are_predicted_in_parts(monkeypatch):
    monkeypatch.setattr(classes, "ROWS_AT_ONCE", 7)
    parts, whole = History(*TEST), History(*TEST)
    network().fit(X, TARGET, callbacks=parts)
    monkeypatch.undo()
    network().fit(X, TARGET, callbacks=whole)
    assert parts["test_accuracy"] == whole["test_accuracy"]
    np.testing.assert_allclose(parts["test_loss"], whole["test_loss"], rtol=1e-6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: History(X), r"test: given tuple; accepted: a pair of x and target. Write History\(x, target\)."),
        (lambda: History(test=X), r"test: given ndarray; .* Write History\(test=\(x, target\)\)"),
        (lambda: History(X, CLASSES[:9]), r"x: given x of shape \(60, 64\) and targets of shape \(9,\)"),
        (lambda: History(valid=(X[0], CLASSES)), r"valid\[0\]: given x of shape \(64,\)"),
        (lambda: History(X[:0], CLASSES[:0]), r"x: given x of shape \(0, 64\)"),
        (lambda: History(X, np.full(60, np.nan)), "target: given 60 NaN or infinite values"),
        (lambda: History(X, np.full(60, "a")), "target: given dtype"),
        (lambda: History(X, CLASSES, test=(X, CLASSES)), "test: given two sets of this name"),
        (lambda: History(X, None), "test: given tuple"),
        (lambda: History(None, CLASSES), "test: given tuple"),
    ],
)
def test_bad_sets_are_refused(make, message):
    with pytest.raises(InputError, match=f"^{message}"):
        make()


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (np.full(60, 3), r"target: given values of shape \(60,\); accepted: shape \(60, 3\), or classes from 0 to 2"),
        (np.full(60, 0.5), "target: given values of shape"),
        (np.zeros((60, 2)), r"target: given values of shape \(60, 2\)"),
        (np.full(60, -1), "target: given values of shape"),
    ],
)
def test_targets_of_another_network_are_refused(target, message):
    ed = network()
    with pytest.raises(InputError, match=f"^{message}"):
        ed.fit(X, TARGET, epochs=3, callbacks=History(X, target))
    assert ed.epochs.tolist() == [1, 1, 1]


def test_features_of_another_network_are_refused():
    with pytest.raises(InputError, match=r"^x: given shape \(60, 63\)"):
        network().fit(X, TARGET, epochs=3, callbacks=History(X[:, 1:], CLASSES))


def test_estimators_keep_losses_and_refuse_sets():
    history = History()
    model = EDClassifier(8, max_iter=3, random_state=0, backend="numpy", callbacks=history).fit(X, CLASSES)
    assert history["loss"] == model.loss_curve_
    assert history["epoch"] == [1, 2, 3]
    for kind in (EDClassifier, EDRegressor):
        with pytest.raises(InputError, match="^callbacks: given a History with samples, for an estimator"):
            kind(8, max_iter=3, random_state=0, backend="numpy", callbacks=History(*TEST)).fit(X, CLASSES)


def test_its_text_and_its_columns():
    history = History(*TEST)
    assert repr(history) == "<History of 0 epochs>"
    assert history["loss"] == []
    network().fit(X, TARGET, epochs=2, callbacks=history)
    assert repr(history).startswith("<History of 2 epochs: epoch 2, loss 0.")
    with pytest.raises(ValueError, match="^column: given 'accuracy'"):
        history["accuracy"]
    with pytest.raises(InputError, match="^record: given int"):
        history(3)


def test_it_becomes_a_table_of_pandas():
    pandas = pytest.importorskip("pandas")
    history = History(*TEST)
    network().fit(X, TARGET, epochs=2, callbacks=history)
    table = pandas.DataFrame(history.to_dict()).set_index("epoch")
    assert table.shape == (2, 5)
    assert table.loc[2, "test_accuracy"] == history["test_accuracy"][1]
