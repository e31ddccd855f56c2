"""What pickle, copy and `ED.from_network` keep of a network."""

import copy
import pickle

import numpy as np
import pytest

import edcore
from edcore import ED, Network, Rule, io, list_backends
from edcore.adapters import ArrayAPIBackend
from edcore.contract import classic
from edcore.errors import BackendUnavailableError, EDCoreError, InputError
from edcore.estimators import pickles
from edcore.model import bound

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


@pytest.mark.parametrize("way", WAYS)
def test_a_copy_keeps_the_range_of_x(way):
    ed = trained()
    assert WAYS[way](ed).x_range is None
    ed.x_range = (-1, np.float32(2.5))
    assert WAYS[way](ed).x_range == (-1.0, 2.5)


@pytest.mark.parametrize(
    "wrong", [3, "12", ("1", "2"), (1, 0), (0, np.inf), (np.nan, 1), (1, 2, 3), [None, None]], ids=repr
)
def test_a_range_is_two_finite_numbers(wrong):
    ed = trained()
    with pytest.raises(InputError, match="^x_range: given .*; accepted: None, or two finite numbers"):
        ed.x_range = wrong


@pytest.mark.parametrize(
    "make", [trained, lambda: edcore.EDClassifier(4, max_iter=1, random_state=0).fit([[0], [1]], [0, 1])]
)
@pytest.mark.parametrize(("version", "words"), [("0.0.1", "edcore 0.0.1;"), (None, "wrote no version;")])
def test_a_pickle_of_another_version_warns_with_both(make, version, words, monkeypatch):
    kept = make()
    for module in (bound, pickles):
        monkeypatch.setattr(module, "VERSION", version)
    kept = pickle.dumps(kept)
    monkeypatch.undo()
    with pytest.warns(UserWarning, match=f"pickled by .*{words} this is edcore {edcore.__version__}"):
        pickle.loads(kept)


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
        ({"epochs": -1}, r"epochs: given -1; accepted: whole numbers from 0 to .*, one or of shape \(1,\)"),
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


ODD = [None, "split", "", [], {}, -1, 0.5, 2**200, 10**5000, True, float("nan"), np.int64(5), np.float64(2), object()]
RULES = [
    Rule("split"),
    Rule(floor=0.5),
    Rule(floor=0.0),
    Rule("split", floor=1e-3, order="online"),
    Rule(centred=True),
    Rule(alpha=1e18, alpha_output=0),
]


@pytest.mark.parametrize("backend", ["loop", "numpy", "numba", "torch", "auto"])
@pytest.mark.parametrize("options", [{}, {"rule": "modulo", "outputs": 2}, {"rule": "split", "heads": 2}])
@pytest.mark.parametrize("name", ["rule", "seed", "epochs"])
def test_what_can_be_set_can_be_learnt_saved_and_loaded(name, options, backend, tmp_path):
    if backend not in ("auto", *(status.name for status in list_backends() if status.ready)):
        pytest.skip(f"{backend} cannot run here")
    x, target = DATA.x_train, DATA.x_train[:, :2]
    for number, value in enumerate([*ODD, *RULES]):
        ed = ED(3, 4, 0, seed=1, backend=backend, **options)
        before = pickle.dumps(ed)
        refused = None
        try:
            setattr(ed, name, value)
        except EDCoreError as error:
            refused = str(error)
        if refused is not None:
            assert refused.startswith((name, "outputs", "weights", "this network's backend"))
            assert len(refused) < 1000
            assert pickle.dumps(ed) == before
        path = tmp_path / f"{number}.safetensors"
        io.save(ed, path)
        again = io.load(path)
        assert (again.rule, again.seed, again.epochs.tolist()) == (ed.rule, ed.seed, ed.epochs.tolist())
        ed.fit(x, target if options else target[:, 0], batch_size=5)


def test_a_rule_is_checked_against_the_network_its_backend_and_its_weights():
    several = ED(3, 4, rule="modulo", outputs=2, seed=1, backend="numpy")
    with pytest.raises(InputError, match="outputs: given 2 with a split rule"):
        several.rule = Rule("split")
    ed = ED(3, 4, seed=1, backend="numpy")
    with pytest.raises(InputError, match=r"rule: given 'split'; .* Write ed.rule = edcore.PRESETS\['split'\].rule"):
        ed.rule = "split"
    ed.rule = edcore.PRESETS["split"].rule
    below = int((abs(ed.weights["input.weight"]) < 0.5).sum())
    with pytest.raises(InputError, match=rf"weights\['input.weight'\]: given {below} values that are below"):
        ed.rule = Rule(floor=0.5)
    assert ed.rule == edcore.PRESETS["split"].rule
    ed.load_weights({key: np.sign(value) * np.maximum(abs(value), 0.5) for key, value in ed.weights.items()})
    ed.rule = Rule(floor=0.5)
    fresh = ED(3, 4, seed=1)  # its weights are still to be drawn
    fresh.rule = Rule(floor=0.5)
    assert min(abs(fresh.weights[f"{layer}.weight"]).min() for layer in ("input", "hidden", "output")) == 0.5

    class Plain(ArrayAPIBackend):
        def supports(self, network, rule):
            return classic(network, rule)

    own = ED(3, 4, seed=1, backend=Plain(np))
    own.bind()
    own.rule = Rule(alpha=0.1)
    with pytest.raises(BackendUnavailableError, match="centred"):
        own.rule = Rule(centred=True)
    assert own.rule == Rule(alpha=0.1)


def test_a_seed_is_a_whole_number_of_python():
    ed = ED(3, seed=np.int64(5))
    assert type(ed.seed) is int
    ed.seed = np.uint8(7)
    assert (type(ed.seed), ed.seed) == (int, 7)
    ed.seed = None
    assert type(ed.seed) is int
    with pytest.raises(InputError, match=r"seed: given a number of 201 bits; .* from 0 to 2\*\*128 - 1"):
        ed.seed = 2**200


REFUSED = {
    "call": lambda ed, x, t: ed(x * np.nan),
    "update": lambda ed, x, t: ed.update(t),
    "step": lambda ed, x, t: ed.step(x, t * 9),
    "step without samples": lambda ed, x, t: ed.step(x[:0], t[:0]),
    "fit x": lambda ed, x, t: ed.fit(x[:, :2], t),
    "fit target": lambda ed, x, t: ed.fit(x, t[:-1]),
    "fit epochs": lambda ed, x, t: ed.fit(x, t, epochs=1.5),
    "fit batch_size": lambda ed, x, t: ed.fit(x, t, batch_size=0),
    "fit shuffle": lambda ed, x, t: ed.fit(x, t, shuffle="no"),
    "fit tolerance": lambda ed, x, t: ed.fit(x, t, tolerance=True),
    "predict": lambda ed, x, t: ed.predict(x.astype(str)),
    "bind": lambda ed, x, t: ed.bind(x[0]),
    "check": lambda ed, x, t: ed.check(x, t[:, None]),
    "load_weights": lambda ed, x, t: ed.load_weights({**ed.weights, "output.bias": None}),
    "rule": lambda ed, x, t: setattr(ed, "rule", "split"),
    "seed": lambda ed, x, t: setattr(ed, "seed", -1),
    "epochs": lambda ed, x, t: setattr(ed, "epochs", [[1]]),
    "alpha": lambda ed, x, t: setattr(ed, "alpha", 1.0),
}


@pytest.mark.parametrize("trained", [False, True])
@pytest.mark.parametrize("call", REFUSED)
def test_a_refused_call_leaves_the_network_as_it_was(call, trained):
    x, target = DATA.x_train, DATA.y_train
    ed = ED(3, 4, 1, seed=1)
    if trained:
        ed.fit(x, target, epochs=2)
    before = pickle.dumps(ed)
    with pytest.raises(EDCoreError):
        REFUSED[call](ed, x, target)
    assert pickle.dumps(ed) == before
    other = pickle.loads(before)
    assert np.array_equal(ed.fit(x, target).predict(x), other.fit(x, target).predict(x))


@pytest.mark.parametrize("error", [RuntimeError, OSError, KeyError, ZeroDivisionError])
def test_an_array_that_cannot_be_read_is_refused(error):
    class Broken:
        def __array__(self, *_, **__):
            raise error("boom")

    with pytest.raises(InputError, match=r"^x: given a value of type Broken of .* \(.*boom"):
        ED(3, seed=1).predict(Broken())


class Named(ED):
    """A subclass with an attribute of its own."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self._name = ["mine"]


@pytest.mark.parametrize("way", WAYS)
def test_attributes_of_a_subclass_are_kept(way):
    for ed in (Named(3, seed=1), Named(3, seed=1, backend="numpy")):
        again = WAYS[way](ed)
        assert (type(again), again._name) == (Named, ["mine"])
        assert same(again, ed)
