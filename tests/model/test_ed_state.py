"""What pickle, copy and `ED.from_network` keep of a network."""

import copy
import pickle

import numpy as np
import pytest

import edcore
from edcore import ED, Network, Rule
from edcore.errors import BackendUnavailableError, InputError

DATA = edcore.datasets.parity(3)
WAYS = {"pickle": lambda ed: pickle.loads(pickle.dumps(ed)), "deepcopy": copy.deepcopy, "copy": copy.copy}


def trained(**options):
    return ED(seed=3, hidden_width=4, hidden_depth=2, rule="split", **options).fit(DATA.x_train, DATA.y_train, epochs=3)


def same(one, other):
    return all(np.array_equal(one.weights[key], other.weights[key]) for key in one.weights)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("backend", ["auto", "numpy", "loop"])
def test_a_copy_goes_on_as_the_original_does(way, backend):
    ed = trained(backend=backend)
    other = WAYS[way](ed)
    assert same(ed, other)
    ed.fit(DATA.x_train, DATA.y_train, epochs=2, batch_size=3)
    assert not same(ed, other)  # they share no memory
    other.fit(DATA.x_train, DATA.y_train, epochs=2, batch_size=3)
    assert same(ed, other)
    assert ed.backend == other.backend
    assert other.epochs.tolist() == [5]


@pytest.mark.parametrize("way", WAYS)
def test_a_copy_from_before_the_first_x_starts_from_the_same_weights(way):
    ed = ED(hidden_width=4, seed=5)
    other = WAYS[way](ed)
    assert float(ed.predict([[0, 1]])[0]) == float(other.predict([[0, 1]])[0])
    known = ED(in_=2, hidden_width=4)
    known.load_weights(ed.weights)
    assert same(WAYS[way](known), ed)


def test_a_copy_has_no_trace():
    ed = trained()
    ed(DATA.x_train)
    with pytest.raises(edcore.errors.NoTraceError):
        copy.deepcopy(ed).update(np.zeros(8))
    ed.update(np.zeros(8))


def test_a_backend_given_as_an_object_is_kept_by_its_name():
    backend = ED(in_=3, backend="numpy")._backend
    ed = trained(backend=backend)
    assert pickle.loads(pickle.dumps(ed)).backend == "numpy"


def test_a_pickle_whose_backend_is_missing_still_has_its_weights(monkeypatch, fresh_registry):
    ed = trained(backend="numpy")
    kept = pickle.dumps(ed)
    monkeypatch.setattr(
        edcore.dispatch.registry, "probe", lambda info, device=None: edcore.contract.Availability(False, "it is gone")
    )
    other = pickle.loads(kept)
    assert same(ed, other)
    with pytest.raises(BackendUnavailableError, match="it is gone"):
        other.predict(DATA.x_test)


def test_from_network_goes_on_where_another_stood():
    ed = trained()
    other = ED.from_network(ed.network, ed.rule, seed=ed.seed, weights=ed.weights, epochs=ed.epochs, backend="numpy")
    reference = copy.deepcopy(ed)
    for one in (reference, other):
        one.fit(DATA.x_train, DATA.y_train, epochs=2)
    assert other.backend == "numpy"
    for key, value in reference.weights.items():
        np.testing.assert_allclose(other.weights[key], value, rtol=1e-4, atol=1e-5)


def test_from_network_draws_the_weights_that_ed_draws():
    ed = ED(in_=3, hidden_width=4, rule="modulo", outputs=3, seed=9)
    assert same(ED.from_network(ed.network, ed.rule, seed=9), ed)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"network": "mine"}, r"network: given 'mine'; accepted: an edcore.Network\(…\)\."),
        ({"rule": "signed"}, r"rule: given 'signed'; accepted: an edcore.Rule\(…\)\."),
        ({"rule": Rule("split")}, "outputs: given 2 with a split rule"),
        ({"epochs": -1}, r"epochs: given -1; accepted: whole numbers of at least 0, one or of shape \(1,\)"),
        ({"epochs": [1, 2]}, r"epochs: given \[1, 2\]; accepted"),
        ({"epochs": 0.5}, "epochs: given 0.5; accepted"),
        ({"weights": {}}, "weights: given no hidden.bias"),
        ({"backend": "nump"}, "Did you mean 'numpy'"),
    ],
)
def test_from_network_refuses(wrong, sentence):
    right = {"network": Network(in_=2, width=2, outputs=2), "rule": Rule()}
    with pytest.raises(InputError, match=sentence):
        ED.from_network(**(right | wrong))
