"""``edcore inspect`` and ``edcore predict`` with files of estimators and pipelines."""

import csv
import io as streams
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from edcore import EDClassifier, EDRegressor, datasets, io
from edcore.io import networks

pandas = pytest.importorskip("pandas")
pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),  # so few epochs learn little
    pytest.mark.usefixtures("in_a_folder_of_its_own"),
]

OPTIONS = {"max_iter": 3, "random_state": 0, "backend": "numpy"}
RANDOM = np.random.default_rng(0)
ROWS = 60
TABLE = pandas.DataFrame(
    {
        "size": np.where(np.arange(ROWS) % 9 == 4, np.nan, RANDOM.normal(170, 9, ROWS).round(1)),
        "town": RANDOM.choice(["Bonn", "Ulm, city", "12"], ROWS),
        "level": RANDOM.choice(["1", "2"], ROWS),
    }
)
LABELS = np.where(TABLE["town"] == "Bonn", "high", "low")
PRICES = TABLE["size"].fillna(170).to_numpy() * 10 + 3


def pipeline(estimator):
    columns = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), ["size"]),
            ("texts", OneHotEncoder(handle_unknown="ignore"), ["town", "level"]),
        ],
        sparse_threshold=0,
    )
    return Pipeline([("columns", columns), ("ed", estimator)])


@pytest.fixture
def model():
    """A pipeline in a file, which knows the name of what it predicts, and new.csv without that."""
    model = pipeline(EDClassifier(4, **OPTIONS)).fit(TABLE, LABELS)
    io.save(model, "model.safetensors", target="income")
    TABLE.to_csv("new.csv", index=False)
    return model


def test_the_labels_are_the_estimators_row_by_row(run, model):
    code, out, err = run("predict", "model.safetensors", "new.csv")
    assert (code, err) == (0, "")
    assert out.splitlines() == model.predict(TABLE).tolist()
    assert len(set(out.split())) == 2


def test_columns_are_found_by_their_names_and_others_left_out(run, model):
    mixed = TABLE[["level", "town", "size"]].assign(income=LABELS, name="x")
    mixed.to_csv("new.csv", index=False)
    code, out, err = run("predict", "model.safetensors", "new.csv")
    assert (code, out.split()) == (0, model.predict(TABLE).tolist())
    right = (model.predict(TABLE) == LABELS).mean()
    assert "the column 'name' is no feature: left out" in err
    assert f"edcore: {right:.2%} of {ROWS} rows are predicted right" in err
    assert "income" not in err
    assert json.loads(run("predict", "model.safetensors", "new.csv", "--json")[1])["accuracy"] == right


def test_rows_without_a_known_answer_do_not_count(run, model):
    TABLE.assign(income=np.where(np.arange(ROWS) < 50, None, LABELS)).to_csv("new.csv", index=False)
    right = (model.predict(TABLE) == LABELS)[50:].mean()
    assert f"{right:.2%} of 10 rows" in run("predict", "model.safetensors", "new.csv")[2]


def test_texts_that_look_like_numbers_stay_texts(run, model):
    few = TABLE[TABLE["town"] == "12"]
    few.to_csv("new.csv", index=False)
    code, out, _ = run("predict", "model.safetensors", "new.csv", "--proba")
    assert code == 0
    shares = np.array(list(csv.reader(out.splitlines()))[1:], float)
    np.testing.assert_array_equal(shares, model.predict_proba(few))


def test_missing_columns_are_named(run, model):
    TABLE[["town"]].to_csv("new.csv", index=False)
    code, out, err = run("predict", "model.safetensors", "new.csv")
    assert (code, out) == (2, "")
    assert "DATA: given new.csv without the columns 'size', 'level'; accepted: a table with the columns of model" in err
    assert "new.csv has the column 'town'." in err


def test_columns_that_a_pipeline_drops_may_be_missing(run):
    table = TABLE.assign(income=LABELS, note="x")
    model = pipeline(EDClassifier(4, **OPTIONS)).fit(table, table["income"])
    io.save(model, "model", target="income")
    for name, frame, words in (("a.csv", TABLE, ""), ("b.csv", table, f"of {ROWS} rows are predicted right")):
        frame.to_csv(name, index=False)
        code, out, err = run("predict", "model", name)
        assert (code, out.split()) == (0, model.predict(table).tolist())
        assert words in err
        assert bool(words) == bool(err)


def test_cells_of_another_kind_are_refused_with_a_sentence(run, model):
    TABLE.assign(size="tall").to_csv("new.csv", index=False)
    code, _, err = run("predict", "model.safetensors", "new.csv")
    assert code == 2
    assert re.match(r"edcore: DATA: given new\.csv \(.*tall.*\); accepted: cells of the kinds that were learnt", err)


def test_a_warning_stands_before_the_error_that_it_explains(run, model, monkeypatch):
    monkeypatch.setattr(networks, "_scikit_learn", lambda: "0.99")
    TABLE.assign(size="tall").to_csv("new.csv", index=False)
    code, _, err = run("predict", "model.safetensors", "new.csv")
    assert code == 2
    assert re.match(r"edcore: model.safetensors: .* this is scikit-learn 0\.99\..*\nedcore: DATA: ", err)


def test_proba_and_outputs(run, model):
    _, out, _ = run("predict", "model.safetensors", "new.csv", "--proba")
    header, *rows = csv.reader(out.splitlines())
    assert header == ["high", "low"]
    np.testing.assert_array_equal(np.array(rows, float), model.predict_proba(TABLE))
    _, out, _ = run("predict", "model.safetensors", "new.csv", "--outputs")
    np.testing.assert_array_equal(np.array(out.split(), float), model.predict_proba(TABLE)[:, 1])
    result = json.loads(run("predict", "model.safetensors", "new.csv", "--json")[1])
    assert result["classes"] == model.predict(TABLE).tolist()
    assert (result["names"], result["accuracy"]) == (["high", "low"], None)
    np.testing.assert_array_equal(result["proba"], model.predict_proba(TABLE))


def test_predictions_are_written_into_files(run, model):
    assert run("predict", "model.safetensors", "new.csv", "--out", "result.csv")[:2] == (0, "")
    assert Path("result.csv").read_text().split() == model.predict(TABLE).tolist()
    assert run("predict", "model.safetensors", "new.csv", "--out", "result.npy", "--proba")[:2] == (0, "")
    np.testing.assert_array_equal(np.load("result.npy"), model.predict_proba(TABLE))


def test_a_tilde_and_standard_input_are_read(run, model, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    expected = model.predict(TABLE).tolist()
    assert run("predict", "~/model.safetensors", "~/new.csv")[1].split() == expected
    Path("new.csv").rename("new.CSV")
    assert run("predict", "model.safetensors", "new.CSV", "--out", "~/result.csv")[:2] == (0, "")
    assert Path("result.csv").read_text().split() == expected
    monkeypatch.setattr(sys, "stdin", streams.TextIOWrapper(streams.BytesIO(Path("new.CSV").read_bytes())))
    assert run("predict", "model.safetensors", "-")[1].split() == expected


def test_a_regressor_prints_numbers_and_r2(run):
    model = pipeline(EDRegressor(4, **OPTIONS)).fit(TABLE, PRICES)
    io.save(model, "model", target="price")
    TABLE.assign(price=PRICES).to_csv("new.csv", index=False)
    code, out, err = run("predict", "model", "new.csv")
    assert code == 0
    np.testing.assert_array_equal(np.array(out.split(), float), model.predict(TABLE))
    assert err == f"edcore: R² is {model.score(TABLE, PRICES):.4f} on 60 rows\n"
    result = json.loads(run("predict", "model", "new.csv", "--json")[1])
    assert (result["targets"], result["r2"]) == (model.predict(TABLE).tolist(), model.score(TABLE, PRICES))
    TABLE.assign(price=np.where(np.arange(60) < 5, PRICES, np.nan)).to_csv("new.csv", index=False)
    assert run("predict", "model", "new.csv")[2].endswith(" on 5 rows\n")
    TABLE.assign(price="dear").to_csv("new.csv", index=False)
    assert run("predict", "model", "new.csv")[2] == ""
    assert "--proba: given a file of a regressor" in run("predict", "model", "new.csv", "--proba")[2]


@pytest.mark.parametrize("labels", [np.arange(ROWS) % 3, np.arange(ROWS) % 2 == 0, np.arange(ROWS) % 2 + 1.0])
def test_arrays_without_names_are_read_as_they_are(run, labels):
    x = RANDOM.normal(100, 50, (ROWS, 4)).round(2)
    x[::7, 1] = np.nan
    model = make_pipeline(SimpleImputer(), EDClassifier(4, **OPTIONS)).fit(x, labels)
    io.save(model, "model")
    np.savetxt("x.csv", x, delimiter=",", fmt="%.17g")
    Path("x.csv").write_text(Path("x.csv").read_text().replace("nan", ""))
    code, out, err = run("predict", "model", "x.csv")
    assert (code, err) == (0, "")
    assert out.split() == list(map(str, model.predict(x)))
    np.save("y.npy", x[:, :3])
    assert "DATA: given y.npy with 3 features; accepted: 4" in run("predict", "model", "y.npy")[2]


def test_an_array_may_stand_for_a_table_of_numbers(run):
    table = pandas.DataFrame(RANDOM.normal(9, 2, (ROWS, 2)), columns=["a", "b"])
    model = EDClassifier(4, **OPTIONS).fit(table, LABELS)
    io.save(model, "model")
    np.save("x.npy", table.to_numpy())
    assert run("predict", "model", "x.npy")[::2] == (0, "")
    assert run("predict", "model", "x.npy")[1].split() == model.predict(table).tolist()
    table[["b"]].assign(note="x", a=table["a"]).to_csv("x.csv", index=False)
    assert run("predict", "model", "x.csv")[1].split() == model.predict(table).tolist()


def test_a_data_set_is_predicted_by_an_estimator_of_its_classes(run):
    data = datasets.digits(classes=(3, 7))
    model = EDClassifier(8, **OPTIONS).fit(data.x_train, np.array([3, 7])[data.y_train])
    io.save(model, "model")
    code, out, err = run("predict", "model", "digits")
    assert (code, out.split()) == (0, list(map(str, model.predict(data.x_test))))
    assert re.match(r"edcore: \d+\.\d\d% of \d+ test samples are predicted right", err)


def test_the_network_of_an_estimator_alone_is_refused_for_samples_that_are_not_scaled(run):
    x = RANDOM.normal(100, 50, (ROWS, 4))
    io.save(EDClassifier(4, **OPTIONS).fit(x, LABELS).ed_, "model", classes=("high", "low"))
    np.save("x.npy", x)
    code, out, err = run("predict", "model", "x.npy")
    assert (code, out) == (2, "")
    assert "io.save(classifier, …)" in err


def test_options_that_exclude_each_other_are_refused(run, model):
    assert (
        "--proba: given --proba and --outputs"
        in run("predict", "model.safetensors", "new.csv", "--proba", "--outputs")[2]
    )
    io.save(model[-1].ed_, "network")
    assert "--proba: given a file of a network, network;" in run("predict", "network", "new.csv", "--proba")[2]


def test_inspect_says_what_the_file_holds(run, model):
    _, out, _ = run("inspect", "model.safetensors")
    words = " ".join(out.split())
    for part in ("a pipeline for classification", "columns/numbers/standardscaler: StandardScaler", "ed: EDClassifier"):
        assert part in words
    for part in ("features 3: size, town, level", "classes high, low", "target income", "scikit-learn"):
        assert part in words
    result = json.loads(run("inspect", "model.safetensors", "--json")[1])["estimator"]
    assert (result["feature_names"], result["classes"]) == (["size", "town", "level"], ["high", "low"])
    assert (result["target"], result["task"], result["features"]) == ("income", "classification", 3)
