"""Arrays on a device: how often the host waits for their values, and that nothing wrong with them is missed.

The device is a made-up one of array_api_strict. To read a value of an array there is to wait for the device.
"""

import itertools
import warnings

import numpy as np
import pytest

from edcore import ED, Rule
from edcore.core.activations import ACTIVATIONS
from edcore.core.presets import PRESETS
from edcore.errors import DivergedError, InputError, OutOfMemoryError
from edcore.model.inputs import sum_of_squares

strict = pytest.importorskip("array_api_strict")
HOST, DEVICE, OTHER = map(strict.Device, ("CPU_DEVICE", "device1", "device2"))
READS = ("__float__", "__bool__", "__int__", "__index__", "__complex__", "__dlpack__", "__array__", "__buffer__")
RULES = {name: preset.rule for name, preset in PRESETS.items() if preset.rule.order == "batch"} | {
    "floor": Rule("split", floor=1e-4),
    "centred": Rule(centred=True),
    "sum": Rule(reduction="sum", alpha=0.01, alpha_output=0.01),
}
BATCH, OUTPUTS = 4, (1, 3)


def there(array, device=DEVICE):
    return strict.asarray(array, device=device)


def samples(outputs=1, lowest=0.0):
    """Return x and target of a batch, as NumPy arrays."""
    random = np.random.default_rng(0)
    x = random.uniform(lowest, 1, (BATCH, 3)).astype(np.float32)
    return x, random.random((BATCH, outputs)[: 1 + (outputs > 1)]).astype(np.float32)


def network(rule="signed", outputs=1, **options):
    """Return an ED with so many outputs: of one network under a signed rule, else of as many networks."""
    together = RULES[rule].error == "signed"
    counts = {"outputs": outputs if together else 1, "heads": 1 if together else outputs}
    return ED(3, 4, 1, rule=RULES[rule], seed=1, **counts, **options)


@pytest.fixture
def stops(monkeypatch):
    """Return the list to which each read of a value on the device adds what has read."""
    array, found = type(strict.zeros(0)), []
    for name in READS:
        if (real := getattr(array, name, None)) is None:
            continue

        def read(self, *arguments, name=name, real=real, **options):
            if self.device != HOST:
                found.append(name)
            return real(self, *arguments, **options)

        monkeypatch.setattr(array, name, read)
    return found


def count(stops, call, *arguments, **options):
    stops.clear()
    result = call(*arguments, **options)
    return len(stops), result


def traced(monkeypatch, ed, change=lambda outputs: outputs):
    """Return the list to which each forward pass adds its batch; `change` makes other outputs of its own."""
    backend, batches = ed.bind(), []
    real = backend.trace

    def trace(network, weights, x):
        batches.append(x.shape[0])
        outputs, trace = real(network, weights, x)
        return change(outputs), trace

    monkeypatch.setattr(backend, "trace", trace)
    return batches


@pytest.mark.parametrize("outputs", OUTPUTS)
@pytest.mark.parametrize("output_activation", ACTIVATIONS)
@pytest.mark.parametrize("rule", RULES)
def test_a_call_stops_the_host_once(stops, rule, output_activation, outputs):
    ed = network(rule, outputs, output_activation=output_activation)
    x, target = map(there, samples(outputs))
    ed.step(x, target)  # binds, and measures the weights
    for _ in range(3):
        assert count(stops, ed.step, x, target)[0] == 1
        assert count(stops, ed.predict, x)[0] == 1
        stopped, predicted = count(stops, ed, x)
        assert stopped == 1
        assert count(stops, ed.update, target - predicted)[0] == 1
    assert count(stops, ed.check, x, target)[0] == 1


@pytest.mark.parametrize("rule", ["split", "floor"])
def test_values_below_0_cost_no_stop(stops, rule):
    ed = network(rule)
    x, target = map(there, samples(lowest=-1))
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        ed.step(x, target)
        stopped, _ = count(stops, ed.step, x, target)
    assert stopped == 1
    assert len(found) == (2 if rule == "split" else 0)
    assert {warning.filename for warning in found} <= {__file__}


@pytest.mark.parametrize("output_activation", ["sigmoid", "linear"])
@pytest.mark.parametrize("rule", RULES)
def test_fit_stops_the_host_as_often_however_many_batches_there_are(stops, rule, output_activation):
    x, target = map(there, samples())
    counts = []
    for epochs, batch_size in itertools.product((1, 20), (4, 2)):
        ed = network(rule, output_activation=output_activation)
        ed.step(x, target)
        counts.append(count(stops, ed.fit, x, target, epochs=epochs, batch_size=batch_size)[0])
    # Errors without a bound may multiply weights in each batch: they are read, once a call to the backend.
    weights = len(ed.weights) if output_activation == "linear" else 0
    assert counts == [1 + weights] * 4


def test_an_online_rule_reads_x_and_target_once_for_all_its_updates(stops, monkeypatch):
    x, target = map(there, samples())
    bounded, unbounded = (
        ED(3, 4, 1, rule=Rule(order="online"), seed=1, output_activation=kind) for kind in ("tanh", "linear")
    )
    for ed in (bounded, unbounded):
        ed.step(x, target)
    assert count(stops, bounded.step, x, target)[0] == 1
    passes = traced(monkeypatch, unbounded)
    assert count(stops, unbounded.step, x, target)[0] == 1 + BATCH
    assert passes == [1] * BATCH
    assert count(stops, unbounded.step, x[:1, :], target[:1])[0] == 1


def test_target_of_numpy_is_checked_in_the_same_read(stops):
    ed, (x, target) = network(output_activation="linear"), samples()
    ed.step(there(x), target)
    assert count(stops, ed.step, there(x), target)[0] == 1
    with pytest.raises(InputError, match="^target: given 1 NaN"):
        ed.step(there(x), ODD_TARGET["NaN"])


@pytest.mark.parametrize("outputs", OUTPUTS)
@pytest.mark.parametrize("output_activation", ACTIVATIONS)
@pytest.mark.parametrize("rule", RULES)
def test_steps_are_those_of_the_host(rule, output_activation, outputs):
    found, bounds = [], []
    for device in (HOST, DEVICE):
        ed = network(rule, outputs, output_activation=output_activation)
        x, target = (there(array, device) for array in samples(outputs))
        outputs_of_steps = [np.from_dlpack(ed.step(x, target)) for _ in range(5)]
        found.append([*outputs_of_steps, *ed.weights.values()])
        bounds.append(ed._guard._norm)
    for here, away in zip(*found, strict=True):
        np.testing.assert_array_equal(here, away)
    assert bounds[1] == pytest.approx(bounds[0])


@pytest.mark.parametrize(("device", "name"), [(HOST, "cpu"), (DEVICE, "device1")])
def test_a_sum_of_squares_is_never_too_small(device, name):
    for scale in (1e-25, 1.0, 1e18):
        array = X * np.float32(scale)
        assert sum_of_squares(there(array, device), name) >= np.square(array.astype(np.float64)).sum() * (1 - 1e-6)


X, TARGET = samples()


def with_one(value, array):
    """Return the array with this value in the place of its largest."""
    return np.where(array.max() == array, np.float32(value), array)


ODD_X = {
    "fine": X,
    "NaN": with_one("nan", X),
    "infinity": with_one("inf", X),
    "squares too large": X * np.float32(1e30),
    "too large": X * np.float64(1e300),
    "shape": X[:, :2],
    "no features": X[:, :0],
    "empty": X[:0],
    "complex": X * 1j,
    "below 0": -X,
}
ODD_TARGET = {
    "fine": TARGET,
    "NaN": with_one("nan", TARGET),
    "infinity": with_one("-inf", TARGET),
    "too large": TARGET * np.float64(1e300),
    "out of range": TARGET - 1,
    "shape": TARGET[:2],
    "empty": TARGET[:0],
    "complex": TARGET * 1j,
    "whole numbers": np.arange(BATCH),
}


def outcome(ed, method, *arrays):
    """Return the error and edcore's warnings of a call."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        warnings.simplefilter("ignore", RuntimeWarning)  # array_api_strict computes by NumPy, which warns of overflows
        try:
            getattr(ed, method)(*arrays)
            error = None
        except InputError as raised:
            error = str(raised)
    return error, [str(warning.message) for warning in found]


@pytest.mark.parametrize("method", ["step", "fit", "check"])
@pytest.mark.parametrize("output_activation", ["sigmoid", "relu"])
@pytest.mark.parametrize("bound", [True, False])
def test_odd_values_have_the_errors_that_they_have_on_the_host(bound, output_activation, method):
    refused = 0
    for x, target in itertools.product(ODD_X.values(), ODD_TARGET.values()):
        found = []
        for device in (HOST, DEVICE):
            ed = network("split", output_activation=output_activation)
            if bound:
                outputs, start = ed(there(X, device)), ed.weights
            found.append(outcome(ed, method, there(x, device), there(target, device)))
            if not found[-1][0]:
                continue
            assert ed.is_bound == bound
            if bound:
                assert all(np.array_equal(value, start[key]) for key, value in ed.weights.items())
                ed.update(there(TARGET, device) - outputs)  # the call before it is still there
        assert found[0] == found[1]
        refused += found[0][0] is not None
    assert len(ODD_X) * len(ODD_TARGET) / 2 < refused < len(ODD_X) * len(ODD_TARGET)


@pytest.mark.parametrize("method", ["__call__", "predict", "bind"])
def test_odd_x_has_the_error_that_it_has_on_the_host(method):
    for x in ODD_X.values():
        here, away = (outcome(network(), method, there(x, device)) for device in (HOST, DEVICE))
        assert here == away


def test_an_x_elsewhere_is_refused_for_its_values_first():
    ed = network()
    ed(there(X))
    for call in (ed, lambda x: ed.step(x, there(TARGET)), lambda x: ed.step(x, TARGET)):
        with pytest.raises(InputError, match="^x: given 1 NaN"):
            call(there(ODD_X["NaN"], OTHER))
        with pytest.raises(InputError, match="^x: given an array on 'device2'"):
            call(there(X, OTHER))


@pytest.mark.parametrize("output_activation", ["sigmoid", "linear"])
def test_divergence_is_that_of_the_host(output_activation):
    found = []
    for device in (HOST, DEVICE):
        ed = ED(
            3, 4, 2, alpha=1e18, alpha_output=1e18, activation="linear", output_activation=output_activation, seed=1
        )
        before, error = None, None
        while error is None:
            before = ed.weights
            try:
                ed.step(there(X, device), there(TARGET, device))
            except DivergedError as raised:
                error = raised
        assert all(np.array_equal(value, before[key]) for key, value in ed.weights.items())
        found.append(str(error))
    assert found[0] == found[1]


def test_outputs_that_are_infinite_are_refused_though_nothing_is_learnt_from_them(monkeypatch):
    ed = network(output_activation="linear")
    ed.load_weights({key: value * np.float32(1e35) for key, value in ed.weights.items()})
    ed.bind(there(X))
    traced(monkeypatch, ed, lambda outputs: outputs / 0)
    monkeypatch.setattr(ed.bind(), "update", lambda network, rule, weights, trace, error: weights)
    with pytest.raises(DivergedError):
        ed.step(there(X), there(TARGET))


def test_values_that_are_refused_later_give_no_other_warning():
    ed = network(output_activation="linear")
    ed.step(there(X), there(TARGET))
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        with pytest.raises(InputError, match="^x: given 1 NaN"):
            ed.step(there(ODD_X["infinity"]), there(TARGET))
    assert not found


def test_a_batch_that_the_device_cannot_hold_is_refused_before_it_is_tried(monkeypatch):
    ed = network(output_activation="linear")
    ed.step(there(X), there(TARGET))
    passes, ed._most = traced(monkeypatch, ed), BATCH - 1
    with pytest.raises(OutOfMemoryError):
        ed.step(there(X), there(TARGET))
    assert not passes


def test_memory_that_is_too_small_is_told_after_values_that_are_wrong(monkeypatch):
    ed = network(output_activation="linear")
    ed.step(there(X), there(TARGET))

    def no_memory(outputs):
        raise MemoryError("no")

    traced(monkeypatch, ed, no_memory)
    with pytest.raises(InputError, match="^x: given 1 NaN"):
        ed.step(there(ODD_X["NaN"]), there(TARGET))
    with pytest.raises(OutOfMemoryError):
        ed.step(there(X), there(TARGET))
