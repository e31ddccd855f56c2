"""``edcore inspect`` and ``edcore predict``."""

import csv
import io as streams
import json
import re
from pathlib import Path

import numpy as np
import pytest

from edcore import ED, Initial, datasets, io
from edcore.datasets.user_files import read_samples
from edcore.errors import DataFileError

pytestmark = pytest.mark.usefixtures("in_a_folder_of_its_own")

DIGITS = datasets.digits(classes=(3, 7))


@pytest.fixture
def net(run):
    """A checkpoint of a network that tells 3 from 7."""
    options = (
        "--classes 3,7 --depth 0 --u0 2 --initial-fan-in 0.5 --initial-weight 8 --epochs 3 --seed 1 --backend numpy"
    )
    assert run("train", *options.split(), "--checkpoint", "net")[0] == 0
    return "net"


@pytest.fixture
def plain():
    """A file of a network with two outputs and no more."""
    ed = ED(2, hidden_width=2, heads=2, seed=1, backend="numpy")
    io.save(ed, "plain")
    return ed


def test_train_takes_the_networks_options(net):
    network = io.inspect(net).network
    assert (network.u0, network.depth, network.initial) == (2, 0, Initial(fan_in=0.5, weight=8))


def test_inspect_tells_what_stands_in_the_header(run, net):
    code, out, err = run("inspect", net)
    assert (code, err) == (0, "")
    for line in ("u0=2.0", "classes       3, 7", "learnt from   values from 0 to 1", "numpy, cpu", "fan_in=0.5"):
        assert line in " ".join(out.split("\n")) or line in out
    assert re.search(r"219 of 219 batches .*\b4\b.*\b3 epochs", " ".join(out.split()))


def test_inspect_as_json(run, net):
    result = json.loads(run("inspect", net, "--json")[1])
    assert result["network"]["initial"]["weight"] == 8
    assert (result["classes"], result["seed"], result["run"]["batch"]) == ([3, 7], 1, 219)
    assert result["parameters"] == io.load(net).network.parameters


def test_inspect_of_a_network_without_a_run(run, plain):
    code, out, _ = run("inspect", "plain")
    assert code == 0
    assert "run " not in out
    assert re.search("^outputs +2 *$", out, re.M)


def test_predict_on_a_data_set_tells_its_own_labels(run, net):
    code, out, err = run("predict", net, "digits")
    assert code == 0
    labels = np.array([3, 7])
    result = np.array(out.split(), int)
    assert set(result) == {3, 7}
    right = (result == labels[DIGITS.y_test]).mean()
    assert right > 0.9
    assert err.startswith(f"edcore: {right:.2%} of {len(result)} test samples ")
    assert err.count("\n") == 1


@pytest.mark.parametrize("ending", [".npy", ".csv"])
def test_predict_on_a_file(run, net, ending):
    x = DIGITS.x_test[:5]
    np.save("x.npy", x) if ending == ".npy" else np.savetxt("x.csv", x, delimiter=",", header="a,b", comments="")
    _, out, err = run("predict", net, f"x{ending}")
    expected = np.array([3, 7])[io.load(net).predict(x).round().astype(int)]
    assert (out.split(), err) == (list(map(str, expected)), "")
    _, out, _ = run("predict", net, f"x{ending}", "--outputs")
    np.testing.assert_allclose(np.array(out.split(), float), io.load(net).predict(x), rtol=1e-5)


def test_predict_as_json(run, net):
    result = json.loads(run("predict", net, "digits", "--json")[1])
    assert result["accuracy"] > 0.9
    assert len(result["classes"]) == len(result["outputs"]) == len(DIGITS.y_test)


@pytest.mark.parametrize("options", [[], ["--outputs"]])
def test_predict_into_a_file(run, net, options):
    for out in ("result.csv", "result.npy"):
        code, printed, _ = run("predict", net, "digits", "--out", out, *options)
        assert (code, printed) == (0, "")
    result = np.load("result.npy")
    np.testing.assert_allclose(np.loadtxt("result.csv"), result, rtol=1e-6)
    assert result.dtype == (np.float32 if options else np.int64)


def test_a_network_without_classes_tells_its_outputs(run, plain):
    np.save("x.npy", [[0.0, 1.0], [1.0, 1.0]])
    _, out, _ = run("predict", "plain", "x.npy")
    result = np.loadtxt(streams.StringIO(out), delimiter=",")
    np.testing.assert_allclose(result, plain.predict([[0.0, 1.0], [1.0, 1.0]]), rtol=1e-5)


def test_classes_may_be_texts(run, plain):
    io.save(plain, "named", classes=["cat, small", "dog"])
    np.save("x.npy", [[0.0, 1.0]])
    assert run("predict", "named", "x.npy")[1] in ('"cat, small"\n', "dog\n")


@pytest.mark.parametrize("labels", [("a\rb", "c\r"), ("a\nb", "a"), ("a", "a\0"), ('"', ","), ("日", "")], ids=repr)
def test_a_table_of_predicted_labels_has_them_as_they_are(run, plain, labels):
    x = np.array([[0.0, 1.0], [1.0, 1.0], [0.0, 0.0]])
    io.save(plain, "named", classes=labels)
    np.save("x.npy", x)
    expected = [labels[place] for place in plain.predict(x).argmax(axis=1)]
    assert run("predict", "named", "x.npy", "--out", "result.csv")[0] == 0
    with open("result.csv", encoding="utf-8", newline="") as file:
        assert [row[0] if row else "" for row in csv.reader(file, strict=True)] == expected
    assert json.loads(run("predict", "named", "x.npy", "--json")[1])["classes"] == expected
    assert run("predict", "named", "x.npy", "--out", "result.npy")[0] == 0
    assert np.load("result.npy").tolist() == [label.rstrip("\0") for label in expected]  # as NumPy's texts are


def test_samples_of_another_scale_are_refused_and_a_few_are_warned_of(run, net):
    np.save("x.npy", DIGITS.x_test * 255)
    code, out, err = run("predict", net, "x.npy")
    assert (code, out) == (2, "")
    assert re.match(r"edcore: DATA: .*\b0 to 255\b.*\b0 to 1\b.* mean nothing; .*io\.save\(classifier, …\)", err)
    np.save("x.npy", DIGITS.x_test * np.where(np.arange(len(DIGITS.x_test)) < 3, 255, 1)[:, None])
    code, out, err = run("predict", net, "x.npy")
    assert (code, len(out.split())) == (0, len(DIGITS.x_test))
    assert re.match(r"edcore: warning: 3 of \d+ samples have values from 0 to 255\b", err)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["net", "x.dat"], "x.dat: it cannot be read (No such file or directory)."),
        (["net", "x.npy"], "x.npy: it cannot be read (No such file or directory)."),
        (["net", "digit"], "DATA: given 'digit'; accepted: a .csv, a .npy, or a data set with the classes of net."),
        (["net", "digit"], "Did you mean 'digits'?"),
        (["net", "xor"], "DATA: given 'xor'; accepted: a .csv, a .npy, or a data set with the classes of net."),
        (["nowhere", "digits"], "nowhere: it cannot be read"),
        (
            ["net", "digits", "--out", "result.txt"],
            "--out: given 'result.txt'; accepted: a file whose",
        ),
        (["net", "digits", "--backend", "lop"], "--backend: given 'lop'"),
    ],
)
def test_predict_refuses(run, net, arguments, sentence):
    code, out, err = run("predict", *arguments)
    assert (code, out) == (2, "")
    assert sentence in err


FILES = {
    "empty.npy": (b"", "it cannot be read as .npy"),
    "empty.csv": (b"", "accepted: numbers of shape (samples, features)"),
    "header.csv": (b"a,b\n", "accepted: numbers of shape (samples, features)"),
    "text.csv": (b"a,b\n1,x\n", "it cannot be read as .csv"),
    "ragged.csv": (b"1,2\n1\n", "it cannot be read as .csv"),
    "binary.csv": (b"\xff\xfe\x00", "not a text but a binary file"),
    "pickle.npy": (b"\x80\x04\x95\x0b.", "it cannot be read as .npy"),
}


@pytest.mark.parametrize("name", FILES)
def test_files_that_are_no_samples_are_refused(run, net, name):
    content, sentence = FILES[name]
    Path(name).write_bytes(content)
    code, _, err = run("predict", net, name)
    assert code == 2
    assert sentence in err


def test_arrays_that_are_no_samples_are_refused(run, net):
    for array in (np.zeros(3), np.zeros((0, 2)), np.zeros((2, 2, 2)), np.array([["a"]]), np.zeros((1, 1), complex)):
        np.save("x.npy", array)
        code, _, err = run("predict", net, "x.npy")
        assert code == 2
        assert "accepted: numbers of shape (samples, features)" in err
    np.save("x.npy", np.array([{}]), allow_pickle=True)
    assert "it cannot be read as .npy (Object arrays" in (err := run("predict", net, "x.npy")[2])
    assert "numpy.save" in err
    np.save("x.npy", np.zeros((1, 3)))
    assert "DATA: given x.npy with 3 features; accepted: 64, as net has learnt." in run("predict", net, "x.npy")[2]


def test_samples_that_are_not_finite_are_named_by_file_and_place(run, net):
    x = np.zeros((3, 64))
    x[1, 4], x[2, 0] = np.nan, np.inf
    np.save("x.npy", x)
    np.savetxt("x.csv", x, delimiter=",")
    for file in ("x.npy", "x.csv"):
        result = f"{file}: 2 NaN or infinite values, the first in sample 2, feature 5; accepted: finite numbers."
        assert result in run("predict", net, file)[2]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("1,2\n3\n", r"\(sample 2 \(line 2\) has 1 columns, the first sample has 2\)\. .*commas"),
        ("a,b\n\n1,2\n3,x\n", r"\(sample 2 \(line 4\), feature 2: 'x' is no number\)"),
        ("a,b\n1,2\n3,4\n5,nan\n", r"1 NaN or infinite values, the first in sample 3, feature 2;"),
        ("1,1_0\n", r"\(sample 1 \(line 1\), feature 2: '1_0' is no number\)"),
        ("1,\n", r"\(sample 1 \(line 1\), feature 2: '' is no number\)"),
        ("0x1,0x0\n1,0\n", r"\(sample 1 \(line 1\), feature 1: '0x1' is no number\)"),
    ],
)
def test_an_error_counts_samples_and_features_from_1(tmp_path, content, sentence):
    (tmp_path / "x.csv").write_text(content)
    with pytest.raises(DataFileError, match=sentence):
        read_samples(tmp_path / "x.csv")


def test_gaps_may_be_taken_for_nan(tmp_path):
    (tmp_path / "x.CSV").write_text("a,b\n1,NA\n,2\n")
    np.testing.assert_array_equal(read_samples(tmp_path / "x.CSV", gaps=True), [[1, np.nan], [np.nan, 2]])
    (tmp_path / "x.CSV").write_text("a,b\n1,inf\n")
    with pytest.raises(DataFileError, match="sample 1, feature 2"):
        read_samples(tmp_path / "x.CSV", gaps=True)


def test_a_csv_may_begin_with_a_byte_order_mark(tmp_path):
    file = tmp_path / "x.csv"
    file.write_bytes(b"\xef\xbb\xbf1,2\r\n3,4\r\n")
    assert read_samples(file).tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("first", "samples"),
    [("a,b", 1), ('"x 1","x 2"', 1), ("0,1", 2), ("1e3,2", 2)],
)
def test_the_first_line_of_a_csv_may_name_its_columns(tmp_path, first, samples):
    (tmp_path / "x.csv").write_text(f"{first}\n3,4\n")
    assert len(read_samples(tmp_path / "x.csv")) == samples


@pytest.mark.parametrize("first", ["NA,NA", ",", "nan,NULL", "a,1"])
def test_a_line_that_may_be_a_sample_is_no_line_of_names(tmp_path, first):
    (tmp_path / "x.csv").write_text(f"{first}\n3,4\n")
    with pytest.raises(DataFileError, match="commas"):
        read_samples(tmp_path / "x.csv")


def test_a_first_line_that_counts_is_taken_for_a_sample_and_told(run, net):
    Path("x.csv").write_text(",".join(map(str, range(64))) + "\n" + ",".join(["0"] * 64) + "\n")
    _, out, err = run("predict", net, "x.csv")
    assert len(out.split()) == 2
    assert re.match(r"edcore: the first line of x\.csv .* sample", err)


@pytest.mark.parametrize("content", [b"PK\x03\x04junk", b"\x93NUMPY\x01\x00\x0a\x00{[]:1}    \n"])
def test_what_breaks_numpys_reader_is_refused(tmp_path, content):
    (tmp_path / "x.npy").write_bytes(content)
    with pytest.raises(DataFileError, match=r"it cannot be read as \.npy"):
        read_samples(tmp_path / "x.npy")


def test_outputs_below_zero_tell_the_first_class(run):
    ed = ED(2, hidden_width=2, hidden_depth=0, activation="tanh", output_activation="tanh", seed=1, backend="numpy")
    weights = {key: np.zeros_like(value) for key, value in ed.weights.items()}
    weights["output.bias"][..., 0] = -5
    ed.load_weights(weights)
    io.save(ed, "tanh", classes=("no", "yes"))
    np.save("x.npy", np.zeros((2, 2)))
    assert run("predict", "tanh", "x.npy")[1].split() == ["no", "no"]


@pytest.mark.filterwarnings("ignore:.*encountered:RuntimeWarning")
def test_outputs_that_are_not_finite_are_refused(run):
    ed = ED(2, hidden_width=2, hidden_depth=0, activation="linear", output_activation="linear", seed=1, backend="numpy")
    ed.load_weights({key: np.full_like(value, 3e38) for key, value in ed.weights.items()})
    io.save(ed, "linear", classes=(0, 1))
    np.save("x.npy", np.ones((2, 2)))
    code, out, err = run("predict", "linear", "x.npy", "--json")
    assert (code, out) == (2, "")
    assert "outputs for x.npy are not finite" in err


def test_classes_of_texts_are_not_compared_with_numbers(run, plain):
    io.save(ED(64, hidden_width=2, seed=1, backend="numpy"), "named", classes=("3", "7"))
    assert "whole numbers, as the labels of data sets are" in run("predict", "named", "digits")[2]


def test_what_is_read_is_not_written(run, net):
    Path(net).rename("net.npy")
    np.save("x.npy", DIGITS.x_test)
    for out, name in (("net.npy", "FILE"), ("x.npy", "DATA")):
        before = Path(out).read_bytes()
        code, _, err = run("predict", "net.npy", "x.npy", "--out", out)
        assert code == 2
        assert f"--out: given '{out}'; accepted: another file than that of {name}." in err
        assert Path(out).read_bytes() == before
