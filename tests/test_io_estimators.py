"""Files of estimators and pipelines: what comes back predicts the same bits, and what a file cannot hold is refused."""

import json
import math
import re
import subprocess
import sys
import warnings
from unittest import mock

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.dummy import DummyClassifier
from sklearn.impute import KNNImputer, MissingIndicator, SimpleImputer
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    MinMaxScaler,
    Normalizer,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
    TargetEncoder,
)

from edcore import EDClassifier, EDRegressor, Initial, Rule, io
from edcore.arrays import HOST, Place
from edcore.errors import DataFileError, InputError
from edcore.files import container
from edcore.io import networks
from edcore.io.values import Decoder, Encoder
from edcore.model.ed import ED

pandas = pytest.importorskip("pandas")
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # so few epochs learn little

RANDOM = np.random.default_rng(0)
X = abs(RANDOM.normal(5, 3, (40, 3)))
Y = X[:, 0] > X[:, 1]
TEXTS = np.where(Y, "yes", "no")


def classifier(hidden_width=4, **options):
    return EDClassifier(
        hidden_width, **{"max_iter": 2, "random_state": 0, "backend": "numpy", "batch_size": 8} | options
    )


def regressor(hidden_width=4, **options):
    return EDRegressor(
        hidden_width, **{"max_iter": 2, "random_state": 0, "backend": "numpy", "batch_size": 8} | options
    )


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


def again(model, path):
    io.save(model, path, overwrite=True)
    return io.load(path)


def same(one, other):
    """Return whether two arrays have the same bits."""
    return one.dtype == other.dtype and one.shape == other.shape and (one == other).all()


@pytest.mark.parametrize(
    "labels",
    [Y, Y.astype(int), Y.astype(np.uint8), Y * 2.0, TEXTS, TEXTS.astype(object), (X[:, 2] * 2).astype(int) % 4, X > 5],
    ids=["bool", "int", "uint8", "float", "text", "object", "several", "multilabel"],
)
def test_a_classifier_comes_back_with_labels_of_any_type(path, labels):
    model = classifier().fit(X, labels)
    loaded = again(model, path)
    assert type(loaded) is EDClassifier
    assert loaded.get_params() == model.get_params()
    assert same(loaded.predict(X), model.predict(X))
    assert same(loaded.predict_proba(X), model.predict_proba(X))
    assert loaded.score(X, labels) == model.score(X, labels)
    assert (loaded.n_iter_, loaded.loss_curve_) == (model.n_iter_, model.loss_curve_)
    assert io.inspect(path).estimator.classes == tuple(model.classes_.tolist())


@pytest.mark.parametrize("targets", [X[:, 0], X[:, 0].astype("f4"), X[:, :2], X[:, :1]])
def test_a_regressor_comes_back_in_the_units_of_its_targets(path, targets):
    model = regressor().fit(X.astype("f4"), targets * 1000 + 7)
    loaded = again(model, path)
    assert type(loaded) is EDRegressor
    assert same(loaded.predict(X), model.predict(X))
    assert io.inspect(path).estimator.task == "regression"


@pytest.mark.parametrize(
    "options",
    [
        {"rule": Rule(error="split", alpha=0.3), "initial": Initial(weight=2.0)},
        {"rule": "modulo", "input_range": (-9, np.full(3, 30.0))},
        {"input_range": (0, 20.0), "early_stopping": True, "tol": np.float32(0.5), "hidden_depth": np.int8(1)},
    ],
)
def test_parameters_of_all_kinds_come_back(path, options):
    model = classifier(**options).fit(X, TEXTS)
    loaded = again(model, path)
    assert str(loaded.get_params()) == str(model.get_params())
    assert clone(loaded).fit(X, TEXTS).predict_proba(X).tolist() == model.predict_proba(X).tolist()
    assert same(loaded.predict_proba(X), model.predict_proba(X))


@pytest.mark.parametrize("goes_on", [lambda model: model.fit(X, TEXTS), lambda model: model.partial_fit(X, TEXTS)])
def test_learning_goes_on_to_the_same_bits(path, goes_on):
    model = classifier(warm_start=True).fit(X, TEXTS)
    loaded = again(model, path)
    assert same(goes_on(loaded).predict_proba(X), goes_on(model).predict_proba(X))
    assert loaded.n_iter_ == model.n_iter_ > 2


def gaps(x):
    return np.where(np.arange(x.size).reshape(x.shape) % 7 == 3, np.nan, x)


STEPS = {
    "scalers": [StandardScaler(), MinMaxScaler((-1, 1), clip=True), RobustScaler(), Normalizer()],
    "distributions": [PowerTransformer(), QuantileTransformer(n_quantiles=9, random_state=np.int64(1))],
    "bins": [KBinsDiscretizer(3, encode="ordinal"), OneHotEncoder(sparse_output=False, dtype=np.float32)],
    "knn": [SimpleImputer(strategy="constant", fill_value=np.float64(1)), KNNImputer(n_neighbors=2)],
    "union": [FeatureUnion([("a", PolynomialFeatures(2)), ("b", "passthrough"), ("c", "drop")])],
    "indicator": [FeatureUnion([("i", MissingIndicator(features="all")), ("x", SimpleImputer(add_indicator=True))])],
    "nested": [Pipeline([("inner", Pipeline([("s", StandardScaler()), ("n", "passthrough")]))]), FunctionTransformer()],
    "columns": [
        ColumnTransformer(
            [("a", OrdinalEncoder(), [0]), ("b", TargetEncoder(random_state=0), slice(1, 2)), ("c", "drop", [2])],
            remainder="passthrough",
        )
    ],
}


@pytest.mark.parametrize("steps", STEPS)
def test_a_pipeline_comes_back_with_its_steps(path, steps):
    rough = np.round(gaps(X)) if steps in ("knn", "indicator") else np.round(X)
    model = make_pipeline(*STEPS[steps], classifier())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(rough, TEXTS)
        loaded = again(model, path)
        assert same(loaded.predict_proba(rough), model.predict_proba(rough))
        assert clone(loaded).fit(rough, TEXTS).score(rough, TEXTS) == model.score(rough, TEXTS)
    assert str(loaded) == str(model)
    assert io.inspect(path).estimator.steps[-1] == "edclassifier: EDClassifier"


def test_a_pipeline_of_a_table_comes_back(path):
    table = pandas.DataFrame(gaps(X), columns=["é", "b c", "d"]).assign(kind=np.where(X[:, 1] > 5, "x", None), flag=Y)
    columns = ColumnTransformer(
        [
            (
                "numbers",
                make_pipeline(SimpleImputer(), StandardScaler()),
                make_column_selector(dtype_include=np.number),
            ),
            ("texts", OneHotEncoder(handle_unknown="ignore", min_frequency=2), pandas.Index(["kind"], dtype=object)),
        ],
        remainder="passthrough",
    ).set_output(transform="default")
    model = Pipeline([("columns", columns), ("ed", classifier())]).fit(table, TEXTS)
    io.save(model, path, target="answer")
    loaded, saved = io.load(path), io.inspect(path).estimator
    new = table.iloc[::-1].assign(kind="new")
    assert same(loaded.predict_proba(new), model.predict_proba(new))
    assert saved.feature_names == ("é", "b c", "d", "kind", "flag")
    assert (saved.features, saved.classes, saved.target, saved.task) == (5, ("no", "yes"), "answer", "classification")
    assert saved.steps[:3] == (
        "columns: ColumnTransformer",
        "columns/numbers/simpleimputer: SimpleImputer",
        "columns/numbers/standardscaler: StandardScaler",
    )


LABELS = ("int", "text", "bool", "float", "several", "object", "numbers", "two numbers")
CELLS = st.sampled_from(["", " ", "a", "b,c", "1", "é", "日本", "nan", "None", "\n", "x" * 50])


@st.composite
def tables(draw):
    """A table of random columns with gaps, and a pipeline for it, fitted to labels of some type."""
    rows, seed = draw(st.integers(4, 20)), draw(st.integers(0, 2**32 - 1))
    random, columns, steps = np.random.default_rng(seed), {}, []
    dtype = draw(st.sampled_from(["f4", "f8"]))
    for kind in draw(st.lists(st.sampled_from(["float", "int", "text", "bool", "object"]), min_size=1, max_size=3)):
        gap = random.random(rows) < draw(st.sampled_from([0, 0.3]))
        values = {
            "float": random.normal(0, 10.0 ** random.integers(-3, 6), rows).astype(dtype),
            "int": random.integers(-9, 1000, rows),
            "text": np.array(draw(st.lists(CELLS, min_size=rows, max_size=rows)), object),
            "bool": random.random(rows) < 0.5,
            "object": np.array([random.choice(["u", "v"]) for _ in range(rows)], object),
        }[kind]
        name = f"{kind} {len(columns)}"
        if kind in ("float", "object"):
            values[gap] = np.nan
        columns[name] = values
        if kind in ("float", "int"):
            scaler = draw(st.sampled_from([StandardScaler, RobustScaler, MinMaxScaler]))()
            imputer = draw(st.sampled_from([SimpleImputer(), KNNImputer(n_neighbors=2)]))
            steps.append((name, make_pipeline(clone(imputer).set_params(keep_empty_features=True), scaler), [name]))
        else:
            encoder = OneHotEncoder(
                handle_unknown="infrequent_if_exist", min_frequency=draw(st.sampled_from([None, 2]))
            )
            steps.append((name, encoder, [name]))
    if draw(st.integers(0, 9)) == 0:
        steps.append(("mine", FunctionTransformer(np.isnan), make_column_selector(dtype_include=np.floating)))
    table = pandas.DataFrame(columns)
    kind = draw(st.sampled_from(LABELS))
    pair = np.arange(rows) % 2
    y = {
        "int": pair - 7,
        "text": np.where(pair, "é", "no, or\nyes"),
        "bool": pair > 0,
        "float": pair * 1e3,
        "several": np.arange(rows) % 4,
        "object": np.where(pair, "a", "b").astype(object),
        "numbers": random.normal(1e6, 3, rows),
        "two numbers": random.normal(0, 1e-9, (rows, 2)),
    }[kind]
    make = regressor if "numbers" in kind else classifier
    estimator = make(hidden_width=draw(st.integers(1, 3)), max_iter=draw(st.integers(1, 2)))
    model = Pipeline([("columns", ColumnTransformer(steps, sparse_threshold=0)), ("ed", estimator)])
    return table, model.fit(table, y)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(tables())
def test_a_pipeline_of_any_table_predicts_the_same_bits_or_is_refused_by_name(tmp_path, case):
    table, model = case
    path = tmp_path / "model"
    if "mine" in model[0].named_transformers_:
        with pytest.raises(InputError, match=r"^model: given .*\.func is <ufunc 'isnan'>"):
            io.save(model, path)
        return
    with mock.patch("os.fsync"):  # the most of the time
        io.save(model, path, overwrite=True)
    loaded, new = io.load(path), table.sample(frac=1, random_state=0)
    ask = "predict_proba" if hasattr(model, "predict_proba") else "predict"
    assert same(getattr(loaded, ask)(new), getattr(model, ask)(new))
    assert io.inspect(path).estimator.feature_names == tuple(table.columns)


def test_a_long_list_of_categories_does_not_burst_the_header(path):
    many = np.array([f"category {n:06} of many" for n in range(24_000)], object)[:, None]
    model = make_pipeline(OrdinalEncoder(), classifier(max_iter=1, batch_size=99)).fit(many, np.arange(len(many)) % 2)
    assert same(again(model, path).predict_proba(many[::99]), model.predict_proba(many[::99]))
    assert io.inspect(path).estimator.steps == ("ordinalencoder: OrdinalEncoder", "edclassifier: EDClassifier")


def test_thousands_of_short_arrays_do_not_burst_the_header():
    many = [np.arange(n % 4, dtype="f4") for n in range(4000)]
    encoder = Encoder(lambda value, where: None)
    tree = encoder.encode(many, "categories_")
    assert encoder.arrays == {}
    found = Decoder({}, lambda name, state: None).decode(tree)
    assert all(same(one, other) for one, other in zip(found, many, strict=True))


@pytest.mark.parametrize(
    "values",
    [
        np.array([np.nan, -0.0, np.inf, 5e-324, 1 / 3]),
        np.array([0.1, 1e-45, -np.inf], "f4"),
        np.array([2**63 + 1], "u8"),
        np.array([[True], [False]]),
        np.zeros((0, 3)),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.arange(99, dtype=">i2")[::-2],
        np.array([], "U3"),
        np.array([["a", "日本\n"], ["", '"']]),
        np.array([1, "a", None, np.nan, True, (1, 2), np.str_("b"), np.float32(0.1)], object),
    ],
    ids=lambda values: str(values.dtype),
)
def test_arrays_come_back_bit_by_bit(values):
    encoder = Encoder(lambda value, where: None)
    text = json.dumps(encoder.encode(values, "x"), allow_nan=False)
    arrays = {key: np.ascontiguousarray(array) for key, array in encoder.arrays.items()}  # as safetensors does
    found = Decoder(arrays, lambda name, state: None).decode(json.loads(text))
    assert found.dtype.newbyteorder("=") == values.dtype.newbyteorder("=") or values.dtype.kind == "U"
    assert found.shape == values.shape
    assert found.flags.f_contiguous or not values.flags.f_contiguous
    assert repr(found.tolist()) == repr(values.tolist())


def test_arrays_of_another_library_become_numpys(path):
    torch = pytest.importorskip("torch")
    model = classifier(input_range=(0, 20)).fit(X, Y)
    expected = model.predict_proba(X)
    model.data_min_, model.data_max_, model.classes_ = map(torch.asarray, (model.data_min_, model.data_max_, [0, 1]))
    model._place = Place("torch", "cpu")
    loaded = again(model, path)
    assert same(loaded.predict_proba(X), expected)
    assert {type(loaded.data_min_), type(loaded.classes_)} == {np.ndarray}
    assert loaded._place == HOST


def test_backend_and_device_are_the_estimators_own_unless_they_are_given(path):
    io.save(classifier().fit(X, TEXTS), path)
    loaded = io.load(path)
    loaded.predict(X)
    assert (loaded.backend, loaded.ed_.backend) == ("numpy", "numpy")
    other = io.load(path, backend="loop", device="cpu")
    other.predict(X)
    assert (other.backend, other.device, other.ed_.backend) == ("loop", "cpu", "loop")
    assert io.load(path, device="cpu").get_params() == loaded.get_params() | {"device": "cpu"}


@pytest.mark.parametrize(
    ("options", "name", "kept"),
    [
        ({"callbacks": print}, "callbacks", None),
        ({"random_state": np.random.RandomState(0)}, "random_state", None),
        ({"backend": ED(3, backend="numpy").bind()}, "backend", "numpy"),
    ],
)
def test_what_only_learning_needs_is_left_out_with_a_warning(path, options, name, kept):
    model = classifier(**options).fit(X, TEXTS)
    if kept is None:
        with pytest.warns(UserWarning, match=f"EDClassifier: .*no {name}"):
            io.save(model, path)
    else:
        io.save(model, path)
    loaded = io.load(path)
    assert loaded.get_params()[name] == kept
    assert same(loaded.predict_proba(X), model.predict_proba(X))


def test_a_folder_of_pickles_is_left_out_with_a_warning(path, tmp_path):
    model = Pipeline([("s", StandardScaler()), ("ed", classifier())], memory=str(tmp_path / "cache")).fit(X, TEXTS)
    with pytest.warns(UserWarning, match="Pipeline: .*no memory"):
        io.save(model, path)
    assert io.load(path).memory is None


class Other(EDClassifier):
    pass


REFUSED = {
    "a function": (lambda: make_pipeline(FunctionTransformer(np.log1p), classifier()), r"\.func is "),
    "a class that is called": (lambda: make_pipeline(FunctionTransformer(np.float64), classifier()), r"\.func is "),
    "a selector": (
        lambda: make_pipeline(ColumnTransformer([("a", StandardScaler(), lambda x: [0, 1])]), classifier()),
        "the function .*lambda",
    ),
    "a step of no scaler": (lambda: make_pipeline(Squares(), classifier()), "of the class Squares"),
    "another end": (lambda: make_pipeline(StandardScaler(), DummyClassifier()), "DummyClassifier"),
    "another estimator": (DummyClassifier, "DummyClassifier"),
    "a class of the user's": (lambda: Other(4, max_iter=1, backend="numpy"), "Other"),
}


class Squares(StandardScaler):
    pass


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_file_cannot_hold_is_refused_by_name(path, name):
    make, sentence = REFUSED[name]
    with pytest.raises(InputError, match=f"^model: .*{sentence}"):
        io.save(make().fit(X, TEXTS), path)
    assert not path.exists()


@pytest.mark.parametrize(
    ("model", "options", "sentence"),
    [
        (classifier(), {}, "^model: .*not fitted"),
        (Pipeline([("ed", classifier())]), {}, "^model: .*not fitted"),
        (classifier().fit(X, Y), {"classes": (0, 1)}, "^classes: .*It has its own"),
        (classifier().fit(X, Y), {"target": 3}, "^target: given 3"),
        (ED(2, backend="numpy"), {"target": "y"}, "^target: given 'y'; accepted: None with an ED"),
    ],
)
def test_wrong_arguments_are_refused(path, model, options, sentence):
    with pytest.raises(InputError, match=sentence):
        io.save(model, path, **options)


def test_a_network_alone_keeps_the_range_that_it_learnt_from(path):
    model = classifier().fit(X, TEXTS)
    io.save(model.ed_, path)
    low, high = io.inspect(path).x_range
    assert -10 < low < high < 10 < X.max()  # scaled
    assert io.load(path).x_range == model.ed_.x_range == (low, high)
    wide = classifier(input_range=None).partial_fit(X[:20] / 20, TEXTS[:20], classes=["no", "yes"])
    wide.partial_fit(X[20:] / 10, TEXTS[20:])
    seen = np.concatenate((X[:20] / 20, X[20:] / 10))
    assert wide.ed_.x_range == (seen.min(), seen.max())


def test_steps_of_another_scikit_learn_are_warned_of_with_both_versions(path):
    io.save(make_pipeline(StandardScaler(), classifier()).fit(X, TEXTS), path)
    _rewritten(path, lambda document, tree: document["versions"].update({"scikit-learn": "0.99.1"}))
    with pytest.warns(UserWarning, match=r"scikit-learn 0\.99\.1; this is scikit-learn \d"):
        io.load(path)
    io.save(classifier().fit(X, TEXTS), path, overwrite=True)
    assert "scikit-learn" not in io.inspect(path).versions


def test_parameters_that_a_file_lacks_are_the_defaults(path):
    io.save(make_pipeline(StandardScaler(), classifier()).fit(X, TEXTS), path)
    _rewritten(path, lambda document, tree: [_state(tree)[0].pop("with_std"), _state(tree)[1].pop("tol")])
    loaded = io.load(path)
    assert (loaded[0].with_std, loaded[1].tol) == (True, EDClassifier().tol)


def _state(tree):
    """Return the attributes of each step of a pipeline in a document."""
    steps = tree["step"][1]["steps"]
    return [step["tuple"][1]["step"][1] for step in steps]


def _rewritten(path, change):
    """Write a file with another document or tree, and right checksums."""
    with container.open_container(path) as opened:
        document = json.loads(json.dumps(opened.document))
    change(document, document["estimator"])
    path.write_bytes(container.pack(document, safetensors.numpy.load_file(path)))


HOSTILE = {
    "an unknown class": lambda tree: _state(tree)[0].update(mean_={"step": ["Popen", {"args": "ls"}]}),
    "a class of another place": lambda tree: tree["step"].__setitem__(0, "subprocess.Popen"),
    "a dunder": lambda tree: _state(tree)[0].update(__class__={"type": "object"}),
    "another dunder": lambda tree: _state(tree)[0].update(__dict__={"dict": []}),
    "no identifier": lambda tree: _state(tree)[0].update({"a.b": 1}),
    "a method": lambda tree: _state(tree)[0].update(transform={"type": "object"}),
    "a private method": lambda tree: _state(tree)[1].update(_outputs=1),
    "a property": lambda tree: tree["step"][1].update(classes_=[0]),
    "callbacks": lambda tree: _state(tree)[1].update(callbacks={"type": "float"}),
    "memory": lambda tree: tree["step"][1].update(memory="/tmp/pickles"),
    "no steps": lambda tree: tree["step"][1].update(steps=[]),
    "a name that is none": lambda tree: tree["step"][1]["steps"][0]["tuple"].__setitem__(0, [3]),
    "a step that is none": lambda tree: tree["step"][1]["steps"][0]["tuple"].__setitem__(1, 3),
    "no list of steps": lambda tree: tree["step"][1].pop("steps"),
    "an end without a network": lambda tree: _state(tree)[1].update(ed_=None),
    "two ends": lambda tree: _state(tree)[1].update(ed_=[{"network": None}]),
    "no tree": lambda tree: (tree.clear(), tree.update(a=1)),
    "two kinds": lambda tree: tree.update(tuple=[]),
    "an array twice": lambda tree: [
        _state(tree)[0].update({key: {"array": ["estimator.0", "C"]}}) for key in ("mean_", "var_")
    ],
    "a weight": lambda tree: _state(tree)[0].update(mean_={"array": ["input.weight", "C"]}),
    "an array that is not there": lambda tree: _state(tree)[0].update(mean_={"array": ["estimator.99", "C"]}),
    "a shape that is too large": lambda tree: _state(tree)[1].update(classes_={"objects": ["O", [2**40], ["a"]]}),
    "no values of a large shape": lambda tree: _state(tree)[1].update(classes_={"objects": ["O", [0, 2**62], []]}),
    "numbers that are texts": lambda tree: _state(tree)[0].update(mean_={"numbers": ["<f8", [1], ["1"]]}),
    "numbers of another shape": lambda tree: _state(tree)[0].update(mean_={"numbers": ["<f8", [2], [1]]}),
    "numbers of no dtype": lambda tree: _state(tree)[0].update(mean_={"numbers": ["|O", [1], [1]]}),
    "texts that are none": lambda tree: _state(tree)[1].update(classes_={"objects": ["U", [2], [1, 2]]}),
    "too few classes": lambda tree: _state(tree)[1].update(classes_={"objects": ["U", [1], ["a"]]}),
    "too many classes": lambda tree: _state(tree)[1].update(classes_={"objects": ["U", [3], ["a", "b", "c"]]}),
    "a type that runs": lambda tree: _state(tree)[1].update(verbose={"type": "eval"}),
    "a dtype with fields": lambda tree: _state(tree)[1].update(verbose={"dtype": "i4,i4"}),
    "a dtype that is none": lambda tree: _state(tree)[1].update(verbose={"dtype": 5}),
    "a scalar that does not fit": lambda tree: _state(tree)[1].update(verbose={"scalar": ["|i1", 300]}),
    "a number of features": lambda tree: [state.update(n_features_in_="3") for state in _state(tree)],
    "names that are none": lambda tree: _state(tree)[0].update(feature_names_in_={"objects": ["O", [1], [3]]}),
    "a rule that is none": lambda tree: _state(tree)[1].update(rule={"rule": {"error": "wild"}}),
    "a key that cannot be one": lambda tree: _state(tree)[1].update(verbose={"dict": [[[], 1]]}),
    "a backend that is none": lambda tree: _state(tree)[1].update(backend=3),
    "a mean that is a text": lambda tree: _state(tree)[1].update(data_min_="low"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_tree_is_refused(path, name):
    wide = np.tile(X, (1, 7))  # so many numbers stand in arrays
    io.save(make_pipeline(StandardScaler(), classifier()).fit(wide, TEXTS), path)
    _rewritten(path, lambda document, tree: HOSTILE[name](tree))
    with pytest.raises(DataFileError, match="damaged or changed file"):
        io.load(path)


ENCODERS = {
    "fewer columns": {"_n_features_outs": [1, 2]},
    "more columns": {"_n_features_outs": [3, 2**40]},
    "columns below 0": {"_n_features_outs": [3, -1]},
    "columns of fewer features": {"_n_features_outs": [3]},
    "another group": {"_default_to_infrequent_mappings": {"numbers": ["<i8", [3], [0, 1, 2**40]]}},
    "a group below 0": {"_default_to_infrequent_mappings": {"numbers": ["<i8", [3], [-(2**40), 1, 0]]}},
    "a group that is no number": {"_default_to_infrequent_mappings": {"numbers": ["<f8", [3], [0, 1, 1]]}},
    "a rare one with no group": {"_default_to_infrequent_mappings": None, "_infrequent_indices": 2**40},
    "another one dropped": {"_drop_idx_after_grouping": {"objects": ["O", [2], [-5, None]]}},
    "categories out of order": {"categories_": {"numbers": ["<f8", [3], [3.0, 2.0, 1.0]]}},
    "texts out of order": {"categories_": {"objects": ["U", [3], ["3.0", "2.0", "1.0"]]}},
    "objects out of order": {"categories_": {"objects": ["O", [3], [3.0, 1.0, None]]}},
    "objects of several kinds": {"categories_": {"objects": ["O", [3], [True, "a", False]]}},
    "no categories": {"categories_": 3},
}


@pytest.mark.parametrize("name", ENCODERS)
def test_an_encoder_that_would_write_beyond_its_array_is_refused(path, name):
    x = np.array([[1.0, 5], [2, 6], [3, 5], [3, 6], [2, 5]])
    encoder = OneHotEncoder(min_frequency=2, handle_unknown="infrequent_if_exist", sparse_output=False)
    io.save(make_pipeline(encoder, classifier()).fit(x, TEXTS[:5]), path)

    def change(document, tree):
        state = _state(tree)[0]
        for key, value in ENCODERS[name].items():
            lists = key in ("categories_", "_infrequent_indices", "_default_to_infrequent_mappings")
            first = {"numbers": ["<i8", [1], [value]]} if key == "_infrequent_indices" else value
            state[key] = [first, state[key][1]] if lists else value

    _rewritten(path, change)
    with pytest.raises(DataFileError, match="its header: "):
        io.load(path)


@pytest.mark.parametrize("drop", [None, "first", "if_binary", np.array(["b", 1, True], object)])
@pytest.mark.parametrize("rare", [{}, {"min_frequency": 2}, {"max_categories": 2}, {"min_frequency": 0.4}])
@pytest.mark.parametrize("unknown", ["ignore", "infrequent_if_exist"])
def test_encoders_of_all_kinds_come_back(path, drop, rare, unknown):
    text = np.array(["b", "a", None, "b", "c", "é", np.nan, "a"], object)
    table = pandas.DataFrame({"a": text.astype(object), "b": [1, 2, 1, 1, 2, 1, 1, 3], "c": [True, False] * 4})
    table["d"] = np.array([True, None, False, np.nan] * 2, object)
    table["e"] = [1.5, np.nan, 2.5, -0.0] * 2
    drop = np.append(drop, [True, 1.5]) if isinstance(drop, np.ndarray) else drop
    model = make_pipeline(OneHotEncoder(drop=drop, handle_unknown=unknown, sparse_output=False, **rare), classifier())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            model.fit(table, TEXTS[:8])
        except (ValueError, AttributeError):  # a category that is rare cannot be dropped
            assert isinstance(drop, np.ndarray)
            return
        loaded, new = again(model, path), table.assign(a="new", e=7.0)
        for rows in (table, new):
            assert same(loaded.predict_proba(rows), model.predict_proba(rows))


def test_inspect_refuses_names_without_looking_for_them(path):
    io.save(make_pipeline(StandardScaler(), classifier()).fit(X, TEXTS), path)
    whole = path.read_bytes()
    for name in ("an unknown class", "a class of another place", "a dunder", "no identifier", "memory", "callbacks"):
        path.write_bytes(whole)
        _rewritten(path, lambda document, tree, name=name: HOSTILE[name](tree))
        with pytest.raises(DataFileError, match="its header: the (unknown class|attribute|parameter) "):
            io.inspect(path)


def test_attributes_of_a_regressor_that_cannot_predict_are_refused(path):
    io.save(regressor().fit(X, X[:, 0]), path)
    _rewritten(path, lambda document, tree: tree["step"][1].update(y_mean_="much"))
    with pytest.raises(DataFileError, match="its estimator cannot predict"):
        io.load(path)


def test_short_texts_beside_a_long_one_take_no_more_memory_than_they_should(path):
    tree = {"objects": ["U", [40_001], ["a" * 50_000] + [""] * 40_000]}
    with pytest.raises(ValueError, match="texts of which the longest has 50000 characters"):
        Decoder({}, lambda name, state: None).decode(tree)


def test_a_tree_that_is_too_deep_is_refused(path):
    io.save(classifier().fit(X, TEXTS), path)
    deep = math.inf
    with container.open_container(path) as opened:
        document = opened.document
    for depth in (90, 200, 900):
        deep = []
        for _ in range(depth):
            deep = [deep]
        document["estimator"]["step"][1]["verbose"] = deep
        path.write_bytes(container.pack(document, safetensors.numpy.load_file(path)))
        if depth > 100:
            with pytest.raises(DataFileError, match="levels"):
                io.inspect(path)
        else:
            io.load(path)


def test_an_older_edcore_does_not_take_the_network_for_the_whole(path):
    io.save(classifier().fit(X, TEXTS), path)
    with mock.patch.object(container, "FORMAT", 1), pytest.raises(DataFileError, match="written in format 2"):
        io.load(path)
    io.save(classifier().fit(X, TEXTS).ed_, path, overwrite=True)
    with mock.patch.object(container, "FORMAT", 1):
        assert io.load(path).epochs.tolist() == [2]


def test_loading_reads_no_module_that_a_file_names_and_no_pickle(path):
    io.save(make_pipeline(StandardScaler(), classifier()).fit(X, TEXTS), path)
    code = f"""
import sys
begins = ("pickle", "subprocess", "os.exec", "os.system", "socket")
sys.addaudithook(lambda event, args: event.startswith(begins) and sys.exit(event))
from edcore import io
saved = io.inspect({str(path)!r})
print("sklearn" in sys.modules, type(io.load({str(path)!r})).__name__)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "False Pipeline\n", done.stderr


def test_a_pipeline_can_be_the_checkpoint_of_a_run(path):
    model = make_pipeline(StandardScaler(), classifier()).fit(X, TEXTS)
    networks.write(path, model, target="y", run={"epochs": 3}, arrays={"run.x": np.ones(2)})
    assert io.inspect(path).run == {"epochs": 3}
    assert same(io.load(path).predict(X), model.predict(X))
    assert re.match("model|y", io.inspect(path).estimator.target)
