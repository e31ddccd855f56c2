"""The command ``edcore compare``."""

import json
import shlex
from pathlib import Path

import pytest

from edcore.comparison import Comparison

pytestmark = pytest.mark.usefixtures("in_a_folder_of_its_own")

SMALL = ["--width", "4", "--epochs", "2", "--trials", "1", "--seeds", "2", "--backend", "numpy"]


@pytest.fixture
def table():
    lines = [
        f"{n % 7},{'red' if n % 2 else 'blue'},{'' if n == 3 else n % 5},{'yes' if n % 7 > 3 else 'no'}"
        for n in range(90)
    ]
    Path("table.csv").write_text("\n".join(["size,colour,age,ripe", *lines]))
    return "table.csv"


def test_a_table_is_compared_and_all_files_are_written(run, table):
    pytest.importorskip("matplotlib")
    methods = ["--methods", "ED,signed,bp,frozen,linear", "--out", "found.json", "--plot", "found.png"]
    code, out, err = run("compare", table, "--target", "ripe", *SMALL, *methods)
    assert code == 0, err
    assert "Accuracy of table.csv, mean of 2 seeds" in out
    found = Comparison.from_dict(json.loads(Path("found.json").read_text()))
    assert [one.method for one in found.scores] == [
        *("ED", "ED signed", "back-propagation", "hidden layers frozen", "logistic regression")
    ]
    assert found.seeds == (0, 1)
    assert all(one.method in out for one in found.scores)
    assert Path("found.png").read_bytes().startswith(b"\x89PNG")
    assert "runs, about" in err
    assert found.command == shlex.join(["edcore", "compare", table, "--target", "ripe", *SMALL, *methods[:2]])
    assert "written: found.json\n" in out
    assert "drawing found.png … done in" in out


def test_json_alone_is_on_stdout(run, table):
    code, out, err = run("compare", table, "--target", "size", *SMALL, "--methods", "ED,linear", "--json")
    assert code == 0, err
    found = Comparison.from_dict(json.loads(out))
    assert [one.method for one in found.scores] == ["ED", "logistic regression"]
    assert "Accuracy of table.csv" in err


def test_a_number_of_many_values_is_a_regression_unless_the_task_is_given(run, table):
    Path("numbers.csv").write_text("\n".join(["a,b", *(f"{n % 9},{n / 7:.3f}" for n in range(80))]))
    code, out, _ = run("compare", "numbers.csv", "--target", "b", *SMALL, "--methods", "ED,linear")
    assert code == 0
    assert "R² of numbers.csv" in out
    assert "ridge regression" in out


def test_a_quick_look_says_so(run):
    code, out, err = run(
        "compare", "digits", "--quick", "--methods", "ED,readout", "--epochs", "1", "--backend", "numpy"
    )
    assert code == 0, err
    assert out.startswith("This is a quick look (--quick)")
    assert "mean of 3 seeds" in out
    assert "480 rows to learn from and 120 to test on" in out


def test_xor_is_tested_on_what_it_learns(run):
    code, out, err = run("compare", "xor", *SMALL, "--methods", "ED,bp", "--out", "xor.md")
    assert code == 0, err
    page = Path("xor.md").read_text(encoding="utf-8")
    lead = "Accuracy of xor, mean of 2 seeds."
    assert page.startswith(f"# xor: ED beside 1 other method\n\n{lead}\n\n```shell\nedcore compare xor ")
    assert "\n| ED | " in page
    assert "learn all 4 samples and are tested on them" in out


def test_the_samples_of_mnist_are_its_own(run, mnist_dir):
    code, out, err = run(
        *(
            "compare",
            "mnist",
            "--data-dir",
            str(mnist_dir),
            "--classes",
            "0,1",
            *SMALL,
            "--quick",
            "--methods",
            "ED,linear",
        )
    )
    assert code == 0, err
    assert "All methods learn 600 samples and are tested on 600 others" in out


def test_options_from_a_file(run, table):
    options = 'target = "ripe"\nmethods = ["ED", "linear"]\nseeds = 2\nepochs = 1\nquick = false\n'
    Path("run.toml").write_text(f"[compare]\n{options}")
    more = ["--trials", "1", "--backend", "numpy", "--out", "found.json"]
    code, out, err = run("compare", table, "--config", "run.toml", *more)
    assert code == 0, err
    assert "mean of 2 seeds" in out
    command = json.loads(Path("found.json").read_text())["command"]
    _, *repeated = shlex.split(command)
    assert "--methods ED,linear" in command
    code, again, err = run(*repeated)
    assert code == 0, err
    assert again.splitlines()[4].split()[:-1] == out.splitlines()[4].split()[:-1]  # but for the seconds


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["table.csv"], "--target: given none with table.csv; accepted: the name of the column"),
        (["table.csv", "--target", "ripeness"], "--target: given 'ripeness'; accepted: 'age', 'colour', "),
        (["table.csv", "--target", "ripe", "--classes", "0,1"], "--classes: given '0,1'; accepted: all for a table"),
        (["table.csv", "--target", "ripe", "--test-size", "2"], "--test-size: given 2; accepted: a number between"),
        (["tabel.csv", "--target", "ripe"], "tabel.csv"),
        (["digit"], "DATA: given 'digit'; accepted: 'digits', "),
        (["digit"], "Did you mean 'digits'?"),
        (["tabel.csv"], "A table is a file, and needs --target too."),
        (["digits", "--target", "ripe"], "--target: given 'ripe'; accepted: none for the data set digits"),
        (["digits", "--classes", "a"], "--classes: given 'a'"),
        (["xor", "--test-size", "0.2"], "--test-size: given 0.2; accepted: none for xor"),
        (["digits", "--methods", "ED,bpp"], "--methods: given 'bpp'; accepted: 'ED', "),
        (["digits", "--seeds", "0"], "--seeds: given 0"),
        (["digits", "--width", "0"], "--width: given 0"),
        (["digits", "--epochs", "0"], "--epochs: given 0"),
        (["digits", "--backend", "nump"], "Did you mean 'numpy'?"),
        (["digits", "--out", "found.csv"], "--out: given 'found.csv'; accepted: a file whose name ends in .json, .md"),
        (["digits", "--out", "table.json"], "--out: given 'table.json', which exists"),
        (["digits", "--plot", "no/found.png"], "--plot: given 'no/found.png'; accepted: a file in a folder"),
    ],
)
def test_what_is_wrong_is_one_line_and_leaves_no_file(run, table, arguments, message):
    Path("table.json").write_text("{}")
    before = sorted(Path().iterdir())
    code, out, err = run("compare", *arguments)
    assert (code, out) == (2, "")
    assert message in err.splitlines()[-1]
    assert err.splitlines()[-1].startswith("edcore: ")
    assert sorted(Path().iterdir()) == before
