"""The article's class: its calls, its refusals, and whose arrays come back."""

import dataclasses
import tracemalloc
from importlib.util import find_spec
from types import SimpleNamespace

import numpy as np
import pytest

import edcore
from edcore import ED, Initial, Network, Rule
from edcore.core.weights import initialise
from edcore.errors import AttributeRefusedError, InputError, NoTraceError
from edcore.model import learning

X = np.random.default_rng(0).random((6, 3)).astype(np.float32)
Y = np.asarray([0, 1, 1, 0, 1, 0])


def same(a, b):
    return all(np.array_equal(a[key], b[key]) for key in b) and a.keys() == b.keys()


def test_call_and_update_is_step():
    one, other = ED(3, 4, 2, seed=1), ED(3, 4, 2, seed=1)
    for _ in range(3):
        outputs = one(X)
        one.update(Y - outputs)
        assert np.array_equal(other.step(X, Y), outputs)
    assert same(one.weights, other.weights)
    assert not same(one.weights, ED(3, 4, 2, seed=1).weights)


def test_outputs_have_one_axis_for_one_head_and_two_for_more():
    assert ED(3)(X).shape == (6,)
    assert ED(3, heads=4)(X).shape == (6, 4)
    assert ED(3, heads=4).step(X, np.zeros((6, 4))).shape == (6, 4)


def test_predict_is_the_call_without_a_trace():
    ed = ED(3, 4, 2, seed=1)
    outputs = ed(X)
    assert np.array_equal(ed.predict(X), outputs)
    ed.update(Y - outputs)
    ed.predict(X)
    with pytest.raises(NoTraceError, match=r"update: there is no trace; call ed\(x\) once before each update"):
        ed.update(Y - outputs)


def test_features_are_taken_from_the_first_x():
    ed = ED()
    with pytest.raises(InputError, match="in_: given None, and no x yet; accepted: a number of features"):
        _ = ed.weights
    ed(X)
    assert ed.network == Network(in_=3)
    with pytest.raises(InputError, match=r"x: given shape \(6, 2\); accepted: shape \(batch, 3\)"):
        ed(X[:, :2])


def test_depth_0_is_an_input_layer_and_an_output_layer():
    ed = ED(2, 8, 0, rule="split", seed=1)
    assert ed.weights["hidden.weight"].shape == (1, 0, 16, 16)
    data = edcore.datasets.xor()
    for _ in range(300):
        ed.step(data.x_train, data.y_train)
    assert (ed.predict(data.x_test).round() == data.y_test).all()


def test_defaults_are_the_articles():
    ed = ED(3)
    assert ed.network == Network(in_=3, width=32, depth=1, heads=1, u0=0.4, n_bias=1, dtype="float32")
    assert ed.rule == Rule("signed", alpha=0.8, alpha_output=1.0, reduction="mean", order="batch")


def test_seed_is_told_and_repeats_the_run():
    first = ED(3)
    again = ED(3, seed=first.seed)
    assert same(first.weights, again.weights)
    assert first.seed != ED(3).seed


def test_weights_are_a_copy_and_can_be_set():
    ed, other = ED(3, seed=1), ED(3, seed=2)
    weights = ed.weights
    other.load_weights(weights)
    weights["input.weight"][...] = 0
    assert same(ed.weights, other.weights)
    assert same(ed.weights, initialise(ed.network, 1))


def test_loading_weights_drops_the_trace():
    ed = ED(3, seed=1)
    outputs = ed(X)
    ed.load_weights(ed.weights)
    with pytest.raises(NoTraceError):
        ed.update(Y - outputs)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.pop("input.bias"), r"weights: given no input\.bias; accepted: exactly the keys input\.weight, "),
        (lambda w: w.update(extra=1), "weights: given also extra; accepted: exactly the keys"),
        (
            lambda w: w.update({"output.bias": np.zeros((1, 2), np.float32)}),
            r"weights\['output.bias'\]: given shape \(1, 2\); accepted: shape \(1, 1, 2\)",
        ),
        (
            lambda w: w.update({"output.bias": np.zeros((1, 1, 2))}),
            r"weights\['output.bias'\]: given dtype float64; accepted: dtype float32. Convert it with .astype",
        ),
        (
            lambda w: w["output.bias"].fill(np.nan),
            r"weights\['output.bias'\]: given 2 NaN or infinite values, the first at",
        ),
        (lambda w: w["input.weight"].fill(np.inf), r"weights\['input.weight'\]: given 384 NaN or infinite values"),
    ],
)
def test_weights_that_are_refused_change_nothing(change, message):
    ed = ED(3, seed=1)
    weights = ed.weights
    change(weights)
    with pytest.raises(InputError, match=message):
        ed.load_weights(weights)
    assert same(ed.weights, initialise(ed.network, 1))


def test_weights_that_are_no_dictionary():
    with pytest.raises(InputError, match="weights: given list; accepted: a dictionary with the keys input.weight"):
        ED(3).load_weights([1, 2])


BAD_X = [
    (X[0], r"x: given shape \(3,\); accepted: shape \(batch, 3\). A single sample is x\[None, :\]"),
    (
        X[None],
        r"x: given shape \(1, 6, 3\); accepted: shape \(batch, 3\). Flatten each sample: x.reshape\(len\(x\), -1\)",
    ),
    (X[:, :2], r"x: given shape \(6, 2\); accepted: shape \(batch, 3\)"),
    (
        np.where(X > 0.9, np.nan, X),
        r"x: given \d+ NaN or infinite values, the first at \[\d, \d\]; accepted: finite values",
    ),
    (np.where(X > 0.9, -np.inf, X), r"x: given \d+ NaN or infinite values"),
    (X.astype(np.float64) * 1e300, "x: given values too large for float32; accepted: what it can hold. Scale them"),
    (X.astype(complex), "x: given dtype complex128; accepted: real numbers"),
    (X.astype(str), "x: given dtype <U32; accepted: real numbers"),
    (X.astype(object), "x: given dtype object; accepted: real numbers"),
    ([[1, 2, 3], [4, 5]], "x: given rows of different lengths; accepted: rows of one length"),
    (np.ma.masked_less(X, 0.5), r"x: given a masked array; accepted: an array with no mask. Fill it: x.filled\(…\)"),
    (None, "x: given None; accepted: an array of numbers"),
]


@pytest.mark.parametrize(("x", "message"), BAD_X)
@pytest.mark.parametrize("method", ["__call__", "predict", "step", "fit"])
def test_bad_x(method, x, message):
    ed = ED(3, seed=1)
    target = (np.zeros(np.shape(x)[:1] if x is not None and not isinstance(x, list) else 2),)
    with pytest.raises(InputError, match=message):
        getattr(ed, method)(x, *(target if method in ("step", "fit") else ()))
    assert same(ed.weights, initialise(ed.network, 1))


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (np.zeros(5), r"error: given shape \(5,\); accepted: shape \(6,\), that of the outputs"),
        (np.zeros((6, 1)), r"error: given shape \(6, 1\); accepted: shape \(6,\)"),
        (np.full(6, np.nan), r"error: given 6 NaN or infinite values, the first at \[0\]"),
        (np.full(6, np.inf), "error: given 6 NaN or infinite values"),
        (np.zeros(6, complex), "error: given dtype complex128; accepted: real numbers"),
        (np.zeros(6, "U1"), "error: given dtype <U1; accepted: real numbers"),
    ],
)
def test_bad_error_changes_nothing_and_keeps_the_trace(error, message):
    ed = ED(3, seed=1)
    outputs = ed(X)
    with pytest.raises(InputError, match=message):
        ed.update(error)
    assert same(ed.weights, initialise(ed.network, 1))
    ed.update(Y - outputs)


@pytest.mark.parametrize("method", ["step", "fit"])
@pytest.mark.parametrize(
    ("target", "message"),
    [
        (Y[:5], r"target: given shape \(5,\); accepted: shape \(6,\), one for each output"),
        (Y[:, None], r"target: given shape \(6, 1\); accepted: shape \(6,\).*One head has one axis: target\[:, 0\]"),
        (np.full(6, np.nan), "target: given 6 NaN or infinite values"),
        (Y.astype(str), "target: given dtype <U21; accepted: real numbers.*return_inverse=True"),
        (9 * Y, r"target: given values from 0.0 to 9.0; accepted: 0 to 1, as the outputs are .* Write classes one-hot"),
        (2 * Y - 1, r"target: given values from -1.0 to 1.0; accepted: 0 to 1"),
    ],
)
def test_bad_target(method, target, message):
    ed = ED(3, seed=1)
    with pytest.raises(InputError, match=message):
        getattr(ed, method)(X, target)
    assert same(ed.weights, initialise(ed.network, 1))


@pytest.mark.parametrize("backend", ["loop", "numpy"])
def test_empty_batch_has_an_empty_result_and_no_update(backend):
    ed = ED(3, heads=2, backend=backend)
    outputs = ed(X[:0])
    assert outputs.shape == (0, 2)
    assert outputs.dtype == np.float32
    assert ed.predict(X[:0]).shape == (0, 2)
    with pytest.raises(InputError, match="error: given an empty batch; accepted: at least one sample"):
        ed.update(outputs)
    for method in (ed.step, ed.fit):
        with pytest.raises(InputError, match="x: given an empty batch; accepted: at least one sample"):
            method(X[:0], np.zeros((0, 2)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"in_": 0}, "in_: given 0"),
        ({"in_": -3}, "in_: given -3"),
        ({"hidden_width": 0}, "hidden_width: given 0; accepted: a whole number of at least 1"),
        ({"hidden_depth": -1}, "hidden_depth: given -1; accepted: a whole number of at least 0"),
        ({"heads": 0}, "heads: given 0"),
        ({"alpha": float("nan")}, "alpha: given nan"),
        ({"alpha": "0.8"}, "alpha: given '0.8'; accepted: a finite number"),
        ({"alpha_output": -1}, "alpha_output: given -1"),
        ({"u0": 0}, "u0: given 0"),
        ({"rule": "hebbian"}, "rule: given 'hebbian'; accepted: 'edla', 'kaneko', 'modulo', 'signed', 'split'"),
        ({"dtype": "float16"}, "dtype: given 'float16'; accepted: 'float32', 'float64'"),
        ({"dtype": "complex64"}, "dtype: given 'complex64'"),
        ({"seed": -1}, r"seed: given -1; accepted: None \(a fresh seed each time\) or a whole number from 0 to 2"),
        ({"seed": 0.5}, "seed: given 0.5"),
        ({"backend": "nmupy"}, r"backend: given 'nmupy'; accepted: .*'numpy'.* Did you mean 'numpy'\?"),
        ({"backend": 3}, "backend: given 3; accepted: a backend's name, 'auto', or a Backend"),
        ({"device": "GPU 0"}, "device: given 'GPU 0'; accepted: None or a device string, such as 'cpu'"),
        ({"device": 0}, "device: given 0"),
        (
            {"device": "gpu"},
            "device: given 'gpu'; accepted: .*'cpu', 'cuda', .* An NVIDIA GPU is 'cuda', the second one 'cuda:1'",
        ),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(InputError, match=message):
        ED(**arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"epochs": -1}, "epochs: given -1; accepted: a whole number of at least 0"),
        ({"batch_size": 0}, "batch_size: given 0; accepted: a whole number of at least 1"),
        ({"tolerance": -0.1}, "tolerance: given -0.1; accepted: a finite number of at least 0"),
        ({"tolerance": np.nan}, "tolerance: given nan; accepted: a finite number of at least 0"),
    ],
)
def test_bad_arguments_of_fit(arguments, message):
    with pytest.raises(InputError, match=message):
        ED(3).fit(X, Y, **arguments)


def test_fit_is_a_step_for_each_batch():
    one, other = ED(3, 4, 1, seed=3), ED(3, 4, 1, seed=3)
    assert one.fit(X, Y, epochs=2, batch_size=4, shuffle=False) is one
    for _ in range(2):
        other.step(X[:4], Y[:4])
        other.step(X[4:], Y[4:])
    assert same(one.weights, other.weights)


def test_fit_shuffles_from_the_seed_and_goes_on_where_it_was():
    at_once, in_two, ordered = (ED(3, 4, 1, seed=3) for _ in range(3))
    at_once.fit(X, Y, epochs=2, batch_size=4)
    in_two.fit(X, Y, batch_size=4).fit(X, Y, batch_size=4)
    ordered.fit(X, Y, epochs=2, batch_size=4, shuffle=False)
    assert same(at_once.weights, in_two.weights)
    assert not same(at_once.weights, ordered.weights)


def xor_runs(heads, backend="numpy"):
    rule = Rule("split", alpha=0.8, alpha_output=0.8, order="online")
    return ED(2, 4, 0, heads=heads, rule=rule, dtype="float64", seed=2, backend=backend)


@pytest.mark.parametrize("shuffle", [True, False])
def test_heads_stop_at_the_tolerance_however_the_epochs_are_cut_into_calls(monkeypatch, shuffle):
    data = edcore.datasets.xor()
    target = np.repeat(data.y_train[:, None], 5, axis=1)
    at_once, cut = xor_runs(5), xor_runs(5)
    at_once.fit(data.x_train, target, epochs=400, shuffle=shuffle, tolerance=0.1)
    assert len(set(at_once.epochs)) > 1
    assert (at_once.epochs < 400).all()
    monkeypatch.setattr(learning, "VISITS", (8, 64))
    cut.fit(data.x_train, target, epochs=400, shuffle=shuffle, tolerance=0.1)
    assert (cut.epochs == at_once.epochs).all()
    assert same(cut.weights, at_once.weights)
    assert (np.abs(target - cut.predict(data.x_test)).sum(axis=0) < 0.1).all()


def test_epochs_without_a_tolerance():
    ed = ED(3, 4, 1, heads=2, seed=3)
    assert ed.epochs.tolist() == [0, 0]
    ed.fit(X, np.stack([Y, Y], axis=1), epochs=3)
    assert ed.epochs.tolist() == [3, 3]


def test_an_interrupted_fit_keeps_the_epochs_before(monkeypatch):
    monkeypatch.setattr(learning, "VISITS", (6, 6))  # X has 6 samples: an epoch for each call
    ed, expected = (ED(3, 4, 1, seed=3, backend="numpy") for _ in range(2))
    backend, updates = ed.bind(), []

    def interrupted(*arguments):
        updates.append(arguments)
        if len(updates) == 6:  # the last batch of the third epoch
            raise KeyboardInterrupt
        return type(backend).update(backend, *arguments)

    monkeypatch.setattr(backend, "update", interrupted)
    with pytest.raises(KeyboardInterrupt):
        ed.fit(X, Y, epochs=9, batch_size=3)
    assert ed.epochs.tolist() == [2]
    assert same(ed.weights, expected.fit(X, Y, epochs=2, batch_size=3).weights)


@pytest.mark.parametrize("backend", ["loop", "numpy"])
def test_online_goes_through_a_batch_one_by_one(backend):
    rule = Rule("split", order="online")
    stepped, single, fitted = (ED(3, 4, 1, rule=rule, seed=3, backend=backend) for _ in range(3))
    outputs = stepped.step(X, Y)
    fitted.fit(X, Y, batch_size=6, shuffle=False)
    for i in range(6):
        assert outputs[i] == single(X[i : i + 1])[0]
        single.update(Y[i : i + 1] - outputs[i : i + 1])
    assert same(stepped.weights, single.weights)
    assert same(fitted.weights, single.weights)
    stepped(X)
    with pytest.raises(
        InputError, match="error: given 6 samples; accepted: one sample, as the rule is online. Use step"
    ):
        stepped.update(Y)


def test_heads_learn_their_own_target():
    target = np.stack([Y, 1 - Y], axis=1)
    both, first = ED(3, 4, 1, heads=2, seed=5), ED(3, 4, 1, seed=5)
    for _ in range(3):
        np.testing.assert_allclose(both.step(X, target)[:, 0], first.step(X, Y), rtol=1e-5)


def test_memory_of_predict_does_not_grow_with_depth():
    def peak(depth):
        ed = ED(3, 16, depth, seed=0)
        ed.predict(X)
        x = np.random.default_rng(0).random((512, 3)).astype(np.float32)
        tracemalloc.start()
        ed.predict(x)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    # The sums of each layer's biases may be made ahead; a layer's activities are 200 times as large.
    assert peak(256) < peak(64) + 192 * 2 * 32 * 4 + 4096  # with the same number of threads


def test_float64():
    ed = ED(3, dtype=np.float64, seed=1)
    assert ed(X).dtype == np.float64
    assert all(value.dtype == np.float64 for value in ed.weights.values())


@pytest.mark.parametrize(
    ("ed", "text"),
    [
        (lambda: ED(seed=7), "ED(seed=7)"),
        (
            lambda: ED(3, 4, 2, seed=7, backend="numpy"),
            "ED(in_=3, hidden_width=4, hidden_depth=2, seed=7, backend='numpy', device='cpu')",
        ),
        (lambda: ED(3, rule="kaneko", seed=7), "ED(in_=3, rule='kaneko', seed=7)"),
        (lambda: ED(3, rule="split", alpha=0.1, seed=7), "ED(in_=3, rule='split', alpha=0.1, seed=7)"),
        (
            lambda: ED(rule="modulo", outputs=3, initial=Initial(weight=0.5), dtype="float64", seed=7),
            "ED(dtype='float64', outputs=3, initial=Initial(weight=0.5), rule='modulo', seed=7)",
        ),
        (
            lambda: ED(heads=2, rule=Rule("split", order="online"), seed=7),
            "ED(heads=2, rule=Rule(error='split', order='online'), seed=7)",
        ),
    ],
)
def test_repr_is_a_call_with_what_differs_from_the_preset(ed, text):
    assert repr(ed()) == text
    again = eval(text, {"ED": ED, "Rule": Rule, "Initial": Initial})
    assert (again._network, again.rule, again.seed) == (ed()._network, ed().rule, 7)


@pytest.mark.parametrize("name", ["rule", "seed", "epochs"])
def test_some_attributes_can_be_set(name):
    ed, other = ED(3, seed=1), ED(3, rule="split", seed=2)
    setattr(ed, name, getattr(other, name))
    assert np.all(getattr(ed, name) == getattr(other, name))


@pytest.mark.parametrize(
    ("name", "value", "fix"),
    [
        ("alpha", 0.01, "ed.rule = dataclasses.replace(ed.rule, alpha=0.01)"),
        ("centred", True, "ed.rule = dataclasses.replace(ed.rule, centred=True)"),
        ("hidden_width", 4, "edcore.ED(…, hidden_width=4)"),
        ("width", 4, "edcore.ED(…, width=4)"),
        ("dtype", "float64", "edcore.ED(…, dtype='float64')"),
        ("weights", {}, "ed.load_weights("),
        ("backend", "numpy", "backend=…"),
        ("device", "cpu", "device=…"),
        ("network", None, "edcore.ED.from_network("),
        ("learning_rate", 0.01, "ED.rule, ED.seed, ED.epochs and ED.x_range"),
    ],
)
def test_other_attributes_are_refused_with_the_way_that_works(name, value, fix):
    ed = ED(3, 4, 2, seed=1)
    before = repr(ed)
    with pytest.raises(AttributeRefusedError, match=f"^ED.{name} cannot be set") as found:
        setattr(ed, name, value)
    assert fix in str(found.value)
    assert isinstance(found.value, AttributeError)
    assert repr(ed) == before


@pytest.mark.parametrize("epochs", [-1, [1, 2, 3], 0.5, "many"])
def test_epochs_are_checked(epochs):
    ed = ED(3, heads=2, seed=1)
    with pytest.raises(InputError, match="^epochs: given"):
        ed.epochs = epochs
    ed.epochs = [3, 4]
    assert ed.epochs.tolist() == [3, 4]


def test_bind_chooses_the_backend_without_a_call():
    ed = ED(seed=1)
    with pytest.raises(InputError, match="^in_: given None"):
        ed.bind()
    assert ed.bind(X).info.name == ed.backend
    assert (ed.backend, ed.device, ed.network.in_) == ("numba" if find_spec("numba") else "numpy", "cpu", X.shape[1])
    with pytest.raises(InputError, match="^x: given shape"):
        ed.bind(X[:, :2])


def test_a_step_that_is_refused_leaves_the_trace_of_the_call_before():
    ed, other = ED(3, 4, 2, seed=1), ED(3, 4, 2, seed=1)
    outputs = ed(X)
    for refused in (lambda: ed.step(X, Y + 2), lambda: ed.fit(X[:, :2], Y)):
        with pytest.raises(InputError):
            refused()
    ed.update(Y - outputs)
    other.step(X, Y)
    assert same(ed.weights, other.weights)


def test_check_returns_what_fit_learns_and_changes_nothing():
    ed = ED(seed=1)
    x, target = ed.check(X.tolist(), Y.astype(int))
    assert x.dtype == target.dtype == np.float32
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(target, Y)
    assert repr(ed) == "ED(seed=1)"
    with pytest.raises(InputError, match="^target: given shape"):
        ed.check(X, Y[:2])


@pytest.mark.parametrize("backend", ["auto", "numpy", "loop"])
def test_torch_in_torch_out(backend):
    torch = pytest.importorskip("torch")
    ed = ED(3, 4, 2, seed=1, backend=backend)
    x, y = torch.asarray(X.copy(), requires_grad=True), torch.asarray(Y)
    outputs = ed(x)
    assert isinstance(outputs, torch.Tensor)
    assert outputs.dtype == torch.float32
    assert not outputs.requires_grad
    ed.update(y - outputs)
    assert isinstance(ed.step(x, y), torch.Tensor)
    assert ed.backend in (("torch", "numba") if backend == "auto" else (backend,))
    expected = ED(3, 4, 2, seed=1, backend="numpy")
    expected.step(X, Y)
    expected.step(X, Y)
    np.testing.assert_allclose(ed.predict(X), expected.predict(X), rtol=1e-4, atol=1e-6)
    assert type(ed.predict(X)) is np.ndarray


def test_jax_in_jax_out():
    jax = pytest.importorskip("jax")
    ed = ED(3, 4, 2, seed=1)
    x = jax.numpy.asarray(X)
    outputs = ed(x)
    assert isinstance(outputs, jax.Array)
    ed.update(jax.numpy.asarray(Y) - outputs)
    assert ed.backend == "jax"
    ed.fit(x, Y, batch_size=4)
    ed.synchronize()


def test_strict_in_strict_out_on_its_device():
    strict = pytest.importorskip("array_api_strict")
    device = strict.Device("device2")
    ed = ED(3, 4, 2, seed=1)
    outputs = ed(strict.asarray(X, device=device))
    assert outputs.device == device
    ed.update(strict.asarray(Y.astype(np.float32), device=device) - outputs)
    assert (ed.backend, ed.device) == ("array_api_strict", "device2")
    ed.fit(strict.asarray(X, device=device), Y, batch_size=4)


@pytest.mark.parametrize("kind", ["cuda", "mkldnn"])
def test_full_precision_whatever_the_user_has_set(monkeypatch, kind):
    torch = pytest.importorskip("torch")
    switch = getattr(torch.backends, kind).matmul
    before, seen = switch.fp32_precision, []
    switch.fp32_precision = "tf32"
    addmm = torch.addmm
    monkeypatch.setattr(torch, "addmm", lambda *a, **k: seen.append(switch.fp32_precision) or addmm(*a, **k))
    try:
        ED(3, backend="torch")(X)
        assert switch.fp32_precision == "tf32"
    finally:
        switch.fp32_precision = before
    assert set(seen) == {"ieee"}


def test_network_too_large_for_memory_is_refused_before_it_is_made():
    with pytest.raises(
        edcore.errors.BackendUnavailableError, match=r"its weights and their update need [\d,.]+ GiB, and the device"
    ):
        ED(10**6, 10**6, 10**6, backend="numpy")


def test_update_that_is_refused_by_shape_names_heads():
    ed = ED(3, heads=2)
    ed(X)
    with pytest.raises(InputError, match=r"error: given shape \(6,\); accepted: shape \(6, 2\)"):
        ed.update(np.zeros(6))
    with pytest.raises(InputError, match=r"target: given shape \(6,\); accepted: shape \(6, 2\).*one-hot: numpy.eye"):
        ed.step(X, Y)


def test_rule_object_with_rates_beside_it():
    assert ED(3, rule=Rule("split", alpha=0.1)).rule == dataclasses.replace(Rule(), error="split", alpha=0.1)
    with pytest.raises(InputError, match="alpha: given 0.5; accepted: no value beside rule"):
        ED(3, alpha=0.5, rule=Rule("split"))


@pytest.mark.parametrize("backend", ["numpy", "loop"])
def test_outputs_may_be_written_to_before_the_update(backend):
    one, other = (ED(3, 4, 2, seed=1, backend=backend, u0=2.0) for _ in range(2))
    outputs = one(X)
    outputs -= Y
    outputs *= -1
    one.update(outputs)
    other.step(X, Y)
    assert same(one.weights, other.weights)


def test_refused_call_leaves_no_older_trace():
    ed = ED(3, seed=1)
    outputs = ed(X)
    with pytest.raises(InputError):
        ed(np.full_like(X, np.nan))
    with pytest.raises(NoTraceError):
        ed.update(Y - outputs)


def test_weights_can_be_read_and_set_before_the_first_x_decides_on_the_backend():
    torch = pytest.importorskip("torch")
    ed, start = ED(3, seed=1), ED(3, seed=2).weights
    assert same(ed.weights, initialise(ed.network, 1))
    ed.load_weights(start)
    assert same(ed.weights, start)
    assert ed.backend == "auto"
    ed(torch.asarray(X.copy()))
    assert ed.backend in ("torch", "numba")
    assert same(ed.weights, start)


def test_first_x_that_fails_decides_nothing(monkeypatch):
    ed = ED()
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=0, total=0))
    with pytest.raises(edcore.errors.BackendUnavailableError):
        ed(X)
    monkeypatch.undo()
    assert ed(X[:, :2]).shape == (6,)


def test_x_without_features():
    with pytest.raises(InputError, match=r"x: given shape \(6, 0\); accepted: at least one feature"):
        ED()(X[:, :0])


def test_target_that_is_hardly_above_1_is_shown_as_it_is():
    with pytest.raises(InputError, match=r"target: given values from 0.0 to 1.00000\d+; accepted: 0 to 1"):
        ED(3).step(X, Y * 1.000001)


def test_network_too_large_for_the_host_is_not_drawn():
    with pytest.raises(edcore.EDCoreError, match=r"weights .*GiB, and the device has"):
        _ = ED(10**6, 10**6, 10**6).weights
