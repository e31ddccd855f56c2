"""The training loop: what it learns, what it tells, and what its clock counts."""

import itertools
import time
from dataclasses import replace

import numpy as np
import pytest

from edcore import ED, datasets, training
from edcore.contract.backend import API_VERSION, Availability, BackendInfo
from edcore.core.randomness import permutation
from edcore.errors import InputError
from edcore.model.classes import ROWS_AT_ONCE, accuracy, heads, targets
from edcore_loop.loops import LoopBackend


@pytest.fixture(scope="module")
def digits():
    return datasets.load("digits", classes=(0, 1))


@pytest.fixture(scope="module")
def three_digits():
    return datasets.load("digits", classes=(3, 0, 7))


def network(data, **options):
    return ED(
        in_=data.features,
        **{"heads": heads(len(data.classes)), "hidden_width": 16, "seed": 1, "backend": "numpy", **options},
    )


def test_two_classes_have_one_head_and_their_indices_as_targets():
    y = np.array([0, 1, 1])
    assert heads(2) == 1
    assert targets(y, 1).tolist() == [0, 1, 1]


def test_more_classes_have_a_head_each_and_one_hot_targets():
    assert heads(3) == 3
    assert targets(np.array([0, 2, 1]), 3).tolist() == [[1, 0, 0], [0, 0, 1], [0, 1, 0]]


@pytest.mark.parametrize("flipped", [False, True])
def test_accuracy_is_the_share_told_right(digits, flipped):
    ed = network(digits).fit(digits.x_train, digits.y_train, epochs=5, batch_size=8)
    y = 1 - digits.y_test if flipped else digits.y_test
    right = [round(float(ed.predict(x[None, :])[0])) == label for x, label in zip(digits.x_test, y, strict=True)]
    assert accuracy(ed, digits.x_test, y) == np.mean(right)


def test_accuracy_of_several_heads_goes_by_the_largest_output(three_digits):
    data = three_digits
    ed = network(data).fit(data.x_train, targets(data.y_train, 3), epochs=5, batch_size=8)
    outputs = ed.predict(data.x_test)
    right = [max(range(3), key=row.__getitem__) == label for row, label in zip(outputs, data.y_test, strict=True)]
    assert accuracy(ed, data.x_test, data.y_test) == np.mean(right) > 0.8


def test_a_large_test_set_is_predicted_in_parts(digits):
    sizes = []

    class Counting(ED):
        def predict(self, x):
            sizes.append(len(x))
            return super().predict(x)

    ed, times = Counting(in_=digits.features, hidden_width=16, seed=1, backend="numpy"), 30
    whole = accuracy(ed, digits.x_test, digits.y_test)
    assert sizes == [72]
    sizes.clear()
    assert accuracy(ed, np.tile(digits.x_test, (times, 1)), np.tile(digits.y_test, times)) == whole
    assert sizes == [ROWS_AT_ONCE, ROWS_AT_ONCE, 72 * times - 2 * ROWS_AT_ONCE]


@pytest.mark.parametrize("classes", [(0, 1), (0, 1, 2)])
def test_it_learns_what_fit_learns(classes):
    data = datasets.load("digits", classes=classes)
    followed, fitted = network(data), network(data)
    for _ in training.train(followed, data, epochs=2, batch_size=40):
        pass
    fitted.fit(data.x_train, targets(data.y_train, heads(len(classes))), epochs=2, batch_size=40)
    for key, weight in fitted.weights.items():
        assert np.array_equal(followed.weights[key], weight), key


def test_progress_counts_batches_samples_and_epochs(digits):
    run = list(training.train(network(digits), digits, epochs=2, batch_size=100, eval_every=4))
    assert [progress.batch for progress in run] == [1, 2, 3, 4, 5, 6]
    assert [progress.epoch for progress in run] == [1, 1, 1, 2, 2, 2]
    assert [progress.samples for progress in run] == [100, 200, 288, 388, 488, 576]
    assert {progress.batches for progress in run} == {6}


def test_it_evaluates_at_the_points_asked_for_and_at_the_end(digits):
    ed = network(digits)
    run = list(training.train(ed, digits, epochs=2, batch_size=100, eval_every=4))
    assert [progress.batch for progress in run if progress.accuracy is not None] == [4, 6]
    assert run[-1].accuracy == accuracy(ed, digits.x_test, digits.y_test)


@pytest.mark.parametrize("epochs", [1, 3])
def test_rates_that_fall_do_so_linearly_and_the_rule_stays(digits, epochs):
    ed, same = network(digits, alpha=0.5), network(digits, alpha=0.5)
    rule, factors = ed.rule, []
    for progress in training.train(ed, digits, epochs=epochs, batch_size=4, decay=True):
        assert ed.rule is rule
        factors.append(1 - ((progress.batch - 1) * 100 // progress.batches) / 100)
    orders = [permutation(1, epoch, len(digits.x_train)) for epoch in range(epochs)]
    rows = [order[start : start + 4] for order in orders for start in range(0, len(order), 4)]
    for batch, factor in zip(rows, factors, strict=True):
        same.rule = replace(rule, alpha=factor * rule.alpha, alpha_output=factor * rule.alpha_output)
        same.step(digits.x_train[batch], digits.y_train[batch])
    assert factors[0] == 1
    assert 0 < factors[-1] <= 0.02 + 1e-9
    for key, value in ed.weights.items():
        np.testing.assert_array_equal(value, same.weights[key])


def test_the_error_is_that_of_the_batch_before_it_was_learnt(digits):
    ed = network(digits)
    before = abs(digits.y_train - ed.predict(digits.x_train)).mean()
    (only,) = training.train(ed, digits, batch_size=len(digits.x_train))
    assert only.error == pytest.approx(before)


class Clock:
    """A clock that stands still unless a test moves it, and a diary of what was done between its readings."""

    def __init__(self):
        self.now, self.diary = 0.0, []

    def perf_counter(self):
        self.diary.append("read")
        return self.now

    def network(self, data, **seconds):
        """Return a network whose methods of these names take so many seconds, and stand in the diary."""

        def slow(name):
            def slowed(ed, *arguments):
                self.now += seconds[name]
                self.diary.append(name)
                return getattr(ED, name)(ed, *arguments)

            return slowed

        slow_ed = type("SlowED", (ED,), {name: slow(name) for name in seconds})
        return slow_ed(in_=data.features, hidden_width=16, seed=1, backend="numpy")


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(time, "perf_counter", clock.perf_counter)
    return clock


def test_seconds_count_the_learning_and_neither_the_evaluations_nor_what_is_shown_of_them(digits, clock):
    ed = clock.network(digits, step=1, synchronize=0.25, predict=1000)
    seconds = []
    for progress in training.train(ed, digits, epochs=2, batch_size=100, eval_every=4):
        seconds.append(progress.seconds)
        if progress.accuracy is not None:
            clock.now += 50  # the one who follows takes time to show it
    assert clock.diary.count("predict") == 3  # once to choose the backend, which is no training either
    assert seconds == [0, 0, 0, 4.25, 4.25, 6.5]


def test_the_device_has_finished_whenever_the_clock_is_read_and_is_not_waited_for_in_between(digits, clock):
    ed = clock.network(digits, step=0, synchronize=0, predict=0)
    for _ in training.train(ed, digits, batch_size=100, eval_every=2):
        pass
    learnt_two = ["step", "step", "synchronize", "read", "predict", "read"]
    assert clock.diary == ["predict", "read", *learnt_two, "step", "synchronize", "read", "predict", "read"]


def test_choosing_a_backend_and_its_first_weights_are_no_training(digits, clock, fresh_registry):
    class Watched(LoopBackend):
        def from_host(self, *arguments):
            clock.diary.append("weights")
            return super().from_host(*arguments)

    fresh_registry.register(
        BackendInfo(
            name="watched",
            summary="a backend for tests",
            install="pip install watched",
            priority=1000,
            device_types=("cpu",),
            namespaces=(),
            api_version=API_VERSION,
            probe=lambda device: Availability(True),
            load=lambda device: Watched(),
        )
    )
    ed = ED(in_=digits.features, hidden_width=1, hidden_depth=0, seed=1)
    assert clock.diary == []
    next(training.train(ed, digits))
    assert clock.diary.index("weights") < clock.diary.index("read")


@pytest.mark.parametrize("argument", ["epochs", "batch_size", "eval_every"])
@pytest.mark.parametrize("value", [0, -1, 1.5, None])
def test_a_bad_argument_is_refused_before_anything_is_learnt(digits, argument, value):
    with pytest.raises(InputError, match=f"^{argument}: given {value}; accepted: a whole number of at least 1"):
        training.train(network(digits), digits, **{argument: value})


def test_a_network_with_the_wrong_number_of_heads_is_refused(three_digits):
    with pytest.raises(InputError, match="target"):
        next(training.train(network(three_digits, heads=1), three_digits))


def test_several_classes_are_learnt(three_digits):
    *_, last = training.train(network(three_digits), three_digits, epochs=5, batch_size=4)
    assert last.accuracy >= 0.95


@pytest.mark.parametrize("rule", ["signed", "split"])
def test_xor_is_learnt(rule):
    data = datasets.load("xor")
    *_, last = training.train(network(data, rule=rule, hidden_depth=0), data, epochs=1000)
    assert last.accuracy == 1
    assert last.error < 0.1


@pytest.mark.parametrize(("depth", "least"), [(1, 0.985), (16, 0.975)])
def test_the_articles_job_on_mnist(mnist_dir, depth, least):
    data = datasets.load("mnist", data_dir=mnist_dir, classes=(0, 1), dtype="float64")
    run = list(training.train(network(data, hidden_width=32, hidden_depth=depth, dtype="float64"), data))
    assert run[-1].samples == 12_665
    assert run[-1].accuracy >= least
    errors = [progress.error for progress in run]
    assert np.mean(errors[-50:]) < 0.2 * np.mean(list(itertools.islice(errors, 10)))
