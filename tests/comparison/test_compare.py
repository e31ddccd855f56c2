"""`edcore.compare`: splits and seeds, settings, statistics, and what it says."""

import json
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from scipy import stats
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import edcore
from edcore.comparison import Comparison, Scores
from edcore.comparison.methods import Learnt, Linear, powers
from edcore.comparison.problem import problem_of, problem_of_data
from edcore.errors import EDCoreError, InputError, UnknownNameError

random = np.random.default_rng(0)
X = random.normal(size=(150, 6)).astype("float32")
Y = (X[:, 0] * X[:, 1] > 0).astype(int) + (X[:, 2] > 0.8)
TEXTS = np.array(["ant", "bee", "cat"])[Y]
NUMBERS = X[:, 0] + 0.5 * X[:, 1] ** 2
QUICK = {"seeds": 3, "epochs": 3, "hidden_width": 8, "trials": 1, "backend": "numpy"}
USUAL = [
    *("ED", "ED signed", "ED split", "ED edla", "ED modulo", "back-propagation", "back-propagation with Adam"),
    *("direct feedback alignment", "hidden layers frozen", "linear readout of untrained cells", "logistic regression"),
]


class Recorder(DummyClassifier):
    """A classifier that keeps what it was given; random_state is the seed of the comparison."""

    seen: ClassVar = []

    def __init__(self, random_state=None, strategy="prior", constant=None, name=""):
        super().__init__(strategy=strategy, random_state=random_state, constant=constant)
        self.name = name

    def fit(self, x, y):
        self.seen.append((self.name, self.random_state, np.array(x), np.array(y)))
        return super().fit(x, y)

    def predict(self, x):
        self.seen.append((self.name, "test", np.array(x), None))
        return super().predict(x)


@pytest.fixture(autouse=True)
def _nothing_seen():
    Recorder.seen.clear()


def test_the_usual_methods_on_classes():
    found = edcore.compare(X, TEXTS, **QUICK)
    assert [one.method for one in found.scores] == USUAL
    assert (found.task, found.measure, found.seeds) == ("classification", "accuracy", (0, 1, 2))
    for one in found.scores:
        assert len(one.values) == len(one.seconds) == 3
        assert all(0 <= value <= 1 for value in one.values)
        assert all(seconds > 0 for seconds in one.seconds)
    backends = {one.method: one.backend for one in found.scores}
    assert {backends[name] for name in USUAL if name.startswith(("ED", "hidden"))} == {"numpy"}
    assert backends["logistic regression"] == backends["linear readout of untrained cells"] == "scikit-learn"


def test_the_usual_methods_on_numbers():
    found = edcore.compare(X, NUMBERS, **QUICK)
    names = [name for name in USUAL if not name.startswith("ED ")]
    assert [one.method for one in found.scores] == [*names[:-1], "ridge regression"]
    assert (found.task, found.measure) == ("regression", "R²")
    assert found["ridge regression"].values[0] > 0.3


def test_all_methods_of_a_seed_have_the_same_rows_and_the_same_seed():
    methods = {"one": Recorder(name="one"), "pipeline": make_pipeline(StandardScaler(), Recorder(name="pipeline"))}
    edcore.compare(X, Y, methods=methods, seeds=[4, 9])
    by_name = {name: [seen for seen in Recorder.seen if seen[0] == name] for name in methods}
    assert [seen[1] for seen in by_name["one"]] == [seen[1] for seen in by_name["pipeline"]] == [4, "test", 9, "test"]
    scaler = StandardScaler()
    for (_, _, x, y), (_, _, scaled, y_scaled) in zip(by_name["one"], by_name["pipeline"], strict=True):
        np.testing.assert_array_equal(y, y_scaled)
        np.testing.assert_allclose(scaled, scaler.fit_transform(x) if y is not None else scaler.transform(x), atol=1e-6)
    first, second = by_name["one"][0][2], by_name["one"][2][2]
    assert not np.array_equal(first, second)


def test_splits_are_stratified_and_cover_each_row_once():
    problem = problem_of(X, Y, None, None, 0.2)
    for seed in range(3):
        train, test = problem.split(seed)
        assert sorted([*train, *test]) == list(range(150))
        shares = [np.bincount(Y[rows]) / len(rows) for rows in (train, test)]
        np.testing.assert_allclose(*shares, atol=0.03)
        learn, held_out = problem.validation(train, seed)
        assert not set(learn) & set(held_out)
        assert set(learn) | set(held_out) == set(train)


def test_settings_are_tried_on_rows_that_the_first_seed_learns_from(monkeypatch):
    seen = []

    def learn(self, part, setting):
        seen.append((part.seed, setting["penalty"], part.x, part.x_test))
        return Learnt(part.y_test if setting["penalty"] == 0.1 else (part.y_test + 1) % 3)

    monkeypatch.setattr(Linear, "learn", learn)
    found = edcore.compare(X, Y, methods=["linear"], seeds=2, trials=3)
    train, test = problem_of(X, Y, None, None, 0.2).split(0)
    rows = {row.tobytes(): number for number, row in enumerate(X)}
    for seed, _, x, x_test in seen[:3]:
        assert seed == 0
        assert {rows[row.tobytes()] for row in [*x, *x_test]} == set(train)
    assert [len(x_test) for _, _, _, x_test in seen] == [len(test) * len(train) // 150] * 3 + [len(test)] * 2
    assert [penalty for _, penalty, _, _ in seen] == [0.1, 1, 10, 0.1, 0.1]
    assert found["logistic regression"].values == (1.0, 1.0)


def test_the_best_setting_is_taken_and_an_extreme_one_is_told():
    found = edcore.compare(X, Y, methods=["ED", "linear"], **QUICK | {"trials": 3, "epochs": 20})
    one = found["logistic regression"]
    assert one.tried == 3
    assert one.setting["penalty"] in powers(10.0, 3)
    assert one.edge == (one.setting["penalty"] != 1)
    assert ("another one may be better" in str(found)) == any(one.edge for one in found.scores)


def test_an_even_number_of_settings_has_the_usual_one():
    assert powers(3.0, 1) == [1]
    assert 1 in powers(3.0, 4)
    assert powers(10.0, 5) == pytest.approx([0.01, 0.1, 1, 10, 100])


def test_with_one_trial_ed_is_the_estimator():
    found = edcore.compare(X, Y, methods=["ED"], **QUICK)
    train, test = problem_of(X, Y, None, None, 0.2).split(1)
    alone = edcore.EDClassifier(hidden_width=8, max_iter=3, random_state=1, backend="numpy").fit(X[train], Y[train])
    assert found["ED"].values[1] == pytest.approx(alone.score(X[test], Y[test]), abs=0.04)


def test_frozen_hidden_layers_are_those_of_the_first_ed():
    own = edcore.EDClassifier(8, 1, rule=edcore.Rule("split", alpha=0.5), max_iter=3, backend="numpy")
    found = edcore.compare(X, Y, methods={"mine": own, "frozen": None, "readout": None, "bp": None}, **QUICK)
    assert [one.method for one in found.scores][:2] == ["mine", "hidden layers frozen"]
    assert found["mine"].setting == {}
    assert found["hidden layers frozen"].setting == {"alpha": 0.0, "alpha_output": 1.0}
    still = edcore.EDClassifier(8, 1, rule=edcore.Rule("split", alpha=0.0), max_iter=3, backend="numpy", random_state=2)
    train, test = problem_of(X, Y, None, None, 0.2).split(2)
    assert found["hidden layers frozen"].values[2] == still.fit(X[train], Y[train]).score(X[test], Y[test])


def test_a_pipeline_with_an_ed_shares_its_network_and_features():
    own = make_pipeline(StandardScaler(), edcore.EDClassifier(4, max_iter=3, backend="numpy"))
    found = edcore.compare(X, TEXTS, methods={"mine": own, "bp": None, "readout": None}, **QUICK)
    assert [len(one.values) for one in found.scores] == [3, 3, 3]


def test_given_test_samples_are_those_of_all_seeds():
    methods = {"one": Recorder(), "ED": None}
    found = edcore.compare(X[:100], Y[:100], test=(X[100:], Y[100:]), methods=methods, **QUICK)
    trained = [seen for seen in Recorder.seen if seen[1] != "test"]
    assert len(trained) == 3
    for _, _, x, y in trained:
        np.testing.assert_array_equal(x, X[:100])
        np.testing.assert_array_equal(y, Y[:100])
    assert found.overlap == 0
    assert "nothing of other samples" in str(found)


def test_test_samples_of_unknown_classes_are_told():
    options = {"methods": ["linear"], **QUICK, "seeds": 1}
    sentence = f"{(Y == 2).sum()} of 150 test samples are of classes that no sample to learn has: [2]."
    for y, y_test, told in ((Y % 2, Y, [sentence]), (Y, Y, []), (TEXTS, TEXTS, [])):
        found = edcore.compare(X, y, test=(X, y_test), **options)
        assert [note for note in found.notes if "classes that no sample" in note] == told


def test_given_test_samples_may_be_few():
    data = edcore.datasets.xor()
    patterns = data.x_train, data.y_train
    found = edcore.compare(*patterns, test=patterns, methods=["ED", "linear"], **QUICK | {"epochs": 100})
    assert found["ED"].values == (1.0, 1.0, 1.0)
    assert edcore.compare(X, Y, test=(X[:1], Y[:1]), methods=["linear"], **QUICK)["logistic regression"].values
    with pytest.raises(InputError, match="^test: given 1 sample; accepted: at least 2 samples"):
        edcore.compare(X, NUMBERS, test=(X[:1], NUMBERS[:1]), **QUICK)


@pytest.mark.parametrize("y", [Y.astype(float), Y > 0])
def test_numbers_are_not_compared_with_texts(y):
    for train, test in ((y, y.astype(str)), (y.astype(str), y)):
        with pytest.raises(InputError, match="^test: given labels of another kind than y"):
            edcore.compare(X, train, test=(X, test), **QUICK)


def test_patterns_that_are_all_learnt_are_those_that_are_tested():
    problem = problem_of_data(edcore.datasets.xor(), None)
    assert problem.tests_what_it_learns
    train, test = problem.split(0)
    assert (len(train), len(test)) == (4, 4)
    assert [rows.tolist() for rows in problem.validation(train, 0)] == [[0, 1, 2, 3]] * 2


def test_a_table_with_texts_and_gaps():
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame({"a": X[:, 0], "b": np.where(X[:, 1] > 0, "yes", "no"), "c": X[:, 2]})
    table.loc[3, "a"] = None
    found = edcore.compare(table, pandas.Series(TEXTS, index=range(7, 157)), methods=["ED", "bp", "linear"], **QUICK)
    assert all(value is not None for one in found.scores for value in one.values)


def test_means_and_differences_are_those_of_the_values():
    found = edcore.compare(X, Y, methods=["ED", "linear"], **QUICK | {"seeds": 6})
    ours, theirs = (np.array(one.values) for one in found.scores)
    mean, difference = found.mean("ED"), found.difference("logistic regression")
    assert (mean.low, mean.high) == pytest.approx(stats.t.interval(0.95, 5, ours.mean(), stats.sem(ours)))
    spread = np.sqrt((1 / 6 + 30 / 120) * np.var(ours - theirs, ddof=1))
    assert found.overlap == 30 / 120
    assert difference.value == pytest.approx((ours - theirs).mean())
    assert difference.p == pytest.approx(2 * stats.t.sf(abs((ours - theirs).mean()) / spread, 5))


def made_up(first, second, **changes):
    """A comparison of these values."""
    scores = [
        Scores("ED", tuple(first), (1.0,) * len(first), {"alpha": 0.1}, 3, True, "numba"),
        Scores("bp", tuple(second), (2.0,) * len(second), {}, 1, False, "numpy"),
    ]
    given = {"name": "made up", "task": "classification", "measure": "accuracy", "overlap": 0.0, "notes": ["A note."]}
    return Comparison(**given | {"seeds": tuple(range(len(first))), "scores": scores} | changes)


@pytest.mark.parametrize(
    ("first", "second", "sentence"),
    [
        ([0.9, 0.91, 0.92], [0.8, 0.8, 0.83], "ED is above bp by 10.00 ± 2.48 points (p = 0.003)."),
        ([0.8, 0.8, 0.83], [0.9, 0.91, 0.92], "ED is below bp by 10.00 ± 2.48 points (p = 0.003)."),
        ([0.9, 0.8, 0.7], [0.8, 0.9, 0.7], "No difference between ED and bp can be seen: +0.00 ± 24.84 points."),
        ([0.9, None, 0.7], [None, 0.9, 0.7], "ED and bp: too few seeds have learnt to tell a difference."),
    ],
)
def test_sentences(first, second, sentence):
    assert list(made_up(first, second).sentences()) == [sentence]


def test_one_seed_says_nothing_of_differences():
    assert list(made_up([0.9], [0.8]).sentences()) == [
        "One seed has no interval, and says nothing of differences: take 10."
    ]


def test_differences_that_are_equal_but_for_rounding_have_no_p():
    sentence = "ED is above bp by 25.00 ± 0.00 points (the same with each seed)."
    assert list(made_up([0.65, 0.775], [0.4, 0.525]).sentences()) == [sentence]


def test_methods_are_found_by_the_names_that_compare_takes():
    found = edcore.compare(X, Y, methods=["ED", "bp", "linear"], **QUICK)
    assert found["bp"] is found["back-propagation"]
    assert found.mean("linear") == found.mean("logistic regression")
    assert made_up([0.9], [0.8])["bp"].seconds == (2.0,)  # a method of the user has this name
    with pytest.raises(UnknownNameError, match="method: given 'adam'; accepted: 'ED', 'back-propagation'"):
        found.difference("adam")


def test_it_prints_as_a_table_with_all_that_is_needed_to_judge_it():
    text = str(made_up([0.9, None, 0.92], [0.8, 0.8, 0.83], quick=True))
    assert text.startswith("This is a quick look")
    row = next(line.split() for line in text.splitlines() if line.startswith("bp"))
    half = 100 * stats.t.ppf(0.975, 2) * stats.sem([0.8, 0.8, 0.83])
    assert row == ["bp", "81.00", f"{half:.2f}", "+9.50", "6.35", "0.033", "2"]
    assert "ED: alpha 0.1; it is at an end of those tried, so another one may be better." in text
    assert "ED diverged with 1 of 3 seeds, which its mean leaves out." in text
    assert "A note." in text


def test_json_brings_back_all_of_it():
    found = made_up([0.9, None, 0.92], [0.8, 0.8, 0.83])
    content = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert Comparison.from_dict(content) == found
    assert str(Comparison.from_dict(content)) == str(found)
    assert content["scores"][0]["difference"] is None
    assert content["scores"][1]["difference"]["value"] == pytest.approx(0.095)


@pytest.mark.parametrize("name", ["digits", "people", "cancer", "diabetes"])
def test_a_committed_page_is_that_of_its_values(name):
    folder = Path(__file__).parents[2] / "docs" / "results"
    found = Comparison.from_dict(json.loads((folder / f"compare-{name}.json").read_text(encoding="utf-8")))
    assert not found.quick
    assert len(found.seeds) >= 10
    assert (folder / f"compare-{name}.md").read_text(encoding="utf-8") == found.markdown(f"compare-{name}.png")
    assert (folder / f"compare-{name}.png").exists()


def test_runs_that_diverge_are_counted():
    class Diverges(LogisticRegression):
        def fit(self, x, y):
            ed = edcore.ED(6, activation="linear", alpha=1e18, seed=1, backend="numpy", hidden_depth=1)
            ed.fit(x, y > 0, epochs=5)

    found = edcore.compare(X, Y, methods={"ED": None, "bad": Diverges()}, **QUICK)
    assert found["bad"].values == (None, None, None)


def test_a_method_all_of_whose_settings_diverge_does_not_end_the_comparison(monkeypatch):
    monkeypatch.setattr(Linear, "learn", lambda self, part, setting: Learnt(None))
    found = edcore.compare(X, NUMBERS, methods=["ED", "linear"], **QUICK | {"trials": 3})
    assert found["ridge regression"].values == (None, None, None)
    assert found["ridge regression"].setting == {"penalty": 0.1}
    assert None not in found["ED"].values
    assert "ridge regression diverged with 3 of 3 seeds, which its mean leaves out." in str(found)
    if find_spec("matplotlib"):
        assert len(found.plot().axes[0].get_yticklabels()) == 2


def test_what_an_estimator_raises_has_its_name_and_seed():
    class Fails(DummyClassifier):
        def fit(self, x, y):
            raise RuntimeError("no luck")

    with pytest.raises(EDCoreError, match=r"methods: 'mine' failed with seed 5 \(RuntimeError: no luck\)"):
        edcore.compare(X, Y, methods={"mine": Fails()}, seeds=[5])


class Predicts(DummyClassifier):
    """An estimator that predicts what it is given, without a look at the samples."""

    def __init__(self, predicted=None):
        self.predicted = predicted

    def fit(self, x, y):
        return self

    def predict(self, x):
        return (
            np.resize(self.predicted, (len(x), *np.shape(self.predicted)[1:]))
            if np.ndim(self.predicted)
            else np.full((3,), self.predicted)
        )


@pytest.mark.parametrize(
    ("y", "predicted", "message"),
    [
        (Y, 1, r"methods\['mine'\]: given predictions of shape \(3,\) for 30 samples; accepted: a class of y for each"),
        (Y, [0.4], r"methods\['mine'\]: given predictions such as 0.4; accepted: a class of y for each sample"),
        (Y, [0, np.nan], r"given predictions such as nan; accepted: a class of y"),
        (Y, ["1"], r"given predictions such as '1'; accepted: a class of y"),
        (TEXTS, ["ant", "dog"], r"given predictions such as 'dog'; accepted: a class of y"),
        (NUMBERS, 0.5, r"given predictions of shape \(3,\) for 30 samples; accepted: a number for each"),
        (NUMBERS, ["a"], r"given predictions such as 'a'; accepted: a number for each"),
    ],
)
def test_what_an_estimator_may_not_predict(y, predicted, message):
    with pytest.raises(InputError, match=message):
        edcore.compare(X, y, methods={"mine": Predicts(predicted)}, seeds=1)


def test_columns_are_predictions_and_infinite_numbers_have_diverged():
    for y, predicted, values in ((Y, [[0]], [(Y == 0).mean()]), (NUMBERS, [np.inf], [None])):
        found = edcore.compare(X, y, methods={"mine": Predicts(predicted)}, seeds=1, test=(X, y))
        assert list(found["mine"].values) == values


def test_an_estimator_that_refuses_the_samples_is_named():
    with pytest.raises(EDCoreError, match=r"methods: 'mine' failed with seed 0 \(InputError: y: given dtype <U3"):
        edcore.compare(X, TEXTS, methods={"mine": edcore.EDRegressor()}, seeds=1)


def test_without_a_cell_for_each_class_modulo_is_left_out():
    y = np.arange(150) % 15
    found = edcore.compare(X, y, **QUICK | {"seeds": 1, "epochs": 1})
    assert [one.method for one in found.scores] == [name for name in USUAL if name != "ED modulo"]


def test_warnings_are_told_and_not_raised():
    class Warns(DummyClassifier):
        def fit(self, x, y):
            warnings.warn("be careful", stacklevel=1)
            return super().fit(x, y)

    found = edcore.compare(X, Y, methods={"mine": Warns()}, seeds=2)
    assert "mine warned in 2 of 2 runs, first: be careful" in str(found)


def test_progress_counts_all_runs():
    lines = []
    edcore.compare(X, Y, methods=["ED", "linear"], announce=lambda *line: lines.append(line), **QUICK | {"trials": 3})
    assert [done for done, _, _ in lines] == list(range(12))
    assert {runs for _, runs, _ in lines} == {12}
    assert lines[0][2] == "ED, setting 1 of 3"
    assert lines[-1][2] == "logistic regression, seed 2"


def test_epochs_are_fewer_where_there_are_many_samples():
    x = random.normal(size=(10_000, 2)).astype("float32")
    found = edcore.compare(x, x[:, 0] > 0, methods=["ED"], seeds=1, hidden_width=2, trials=1)
    assert "learn 62 epochs" in str(found)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"methods": ["nothing"]}, r"methods: given 'nothing'; accepted: 'ED', "),
        ({"methods": []}, r"methods: given \[\]"),
        ({"methods": {}}, r"methods: given none"),
        ({"methods": "ED"}, r"methods: given 'ED'; accepted: names"),
        ({"methods": ["bp", "back-propagation"]}, r"methods: given 'back-propagation' twice"),
        ({"methods": 3}, r"methods: given 3; accepted: names"),
        ({"methods": {"mine": edcore.EDClassifier}}, r"methods\['mine'\]: given <class "),
        ({"methods": {"mine": 3}}, r"methods\['mine'\]: given 3; accepted: an estimator"),
        ({"seeds": 0}, r"seeds: given 0"),
        ({"seeds": [1, 1]}, r"seeds: given \[1, 1\]"),
        ({"seeds": [2**40]}, r"seeds: given \[1099511627776\]"),
        ({"seeds": []}, r"seeds: given \[\]"),
        ({"trials": 0}, r"trials: given 0"),
        ({"epochs": 0}, r"epochs: given 0"),
        ({"hidden_width": 0}, r"hidden_width: given 0"),
        ({"test_size": 1}, r"test_size: given 1"),
        ({"test_size": 0.001}, r"test_size: given 0.001 of 150 samples"),
        ({"task": "ranking"}, r"task: given 'ranking'"),
        ({"test": X}, r"test: given "),
        ({"test": (X[:, :2], Y)}, r"test: given 2 features; accepted: the 6 features of x"),
        ({"test": (X, Y[:3])}, r"test y: given shape \(3,\)"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises((InputError, UnknownNameError), match=message):
        edcore.compare(X, Y, **options)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (X * np.nan, Y, r"x: given 900 NaN"),
        (X[0], Y, r"x: given shape \(6,\)"),
        (X, Y[:5], r"y: given shape \(5,\)"),
        (X, Y * 0, r"y: given only one class, 0"),
        (X, np.array([None, "a", "b"] * 50, object), r"y: given a gap among the labels, the first at \[0\]; .*Leave"),
        (X, ["a", 1] * 75, r"y: given the label 1 beside texts"),
        (X[:4], Y[:4] > 0, r"test_size: given 0.2 of 4 samples, which are 0 to test on"),
        (X, np.stack([Y, Y], axis=1), r"y: given shape \(150, 2\)"),
        (X, NUMBERS * 0 + 0.5, r"y: given a single value"),
        ([["a"]] * 150, Y, r"x: given "),
    ],
)
def test_wrong_samples_are_refused(x, y, message):
    with pytest.raises(InputError, match=message):
        edcore.compare(x, y, **QUICK)


def test_a_centred_rule_learns_no_numbers():
    with pytest.raises(InputError, match="methods: given 'ED modulo'"):
        edcore.compare(X, NUMBERS, methods=["modulo"], **QUICK)


def test_numbers_of_few_values_may_be_a_regression():
    found = edcore.compare(X, Y, task="regression", methods={"mine": DummyRegressor()}, seeds=2)
    assert found.measure == "R²"
    with pytest.raises(InputError, match="task: given 'classification' with fractions"):
        edcore.compare(X, NUMBERS, task="classification", **QUICK)


def test_a_picture():
    pytest.importorskip("matplotlib")
    figure = made_up([0.9, None, 0.92], [0.8, 0.8, 0.83]).plot()
    (ax,) = figure.axes
    assert [label.get_text() for label in ax.get_yticklabels()] == ["ED", "bp"]
    assert ax.get_xlabel() == "accuracy (%) on test samples"
    assert sorted(ax.lines[0].get_xdata()) == [90, 92]
    every = [*USUAL, "ED kaneko", *(f"other {number}" for number in range(12))]
    scores = [Scores(name, (0.9, 0.8), (1.0, 1.0), {}, 1, False, "numpy") for name in every]
    (ax,) = made_up([0.9, 0.8], [0.8, 0.8], scores=scores).plot().axes
    assert [label.get_text() for label in ax.get_yticklabels()] == every
    with pytest.raises(InputError, match="comparison: given int"):
        edcore.plots.scores(3)
