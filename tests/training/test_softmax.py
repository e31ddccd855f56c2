"""Runs with softmax outputs: from the command line, from checkpoints, in sweeps and on tables."""

import dataclasses

import pytest

from edcore.errors import InputError
from edcore.training import setup, train
from edcore.training.options import TrainOptions

OPTIONS = TrainOptions(classes="all", width=12, depth=0, output_activation="softmax", alpha_output=0.05, seed=1)


def test_one_network_has_an_output_for_each_class():
    for classes, outputs in (("all", 10), ("0,1", 2)):
        run = setup.begin(dataclasses.replace(OPTIONS, classes=classes, backend="numpy"), keep=False)
        assert (run.ed.network.heads, run.ed.network.outputs) == (1, outputs)
        *_, last = train(run.ed, run.data, epochs=1, batch_size=16)
        assert last.accuracy > 0.2


def test_a_split_rule_is_refused():
    with pytest.raises(InputError, match="output_activation: given 'softmax' with rule='edla'.*'modulo'"):
        setup.begin(dataclasses.replace(OPTIONS, rule="edla"), keep=False)


def test_a_run_goes_on_from_its_checkpoint(results, tmp_path):
    file = str(tmp_path / "run.safetensors")
    words = ["train", "--width", "12", "--depth", "0", "--output-activation", "softmax", "--seed", "1"]
    words += ["--backend", "numpy"]
    whole = results(*words, "--epochs", "2")
    results(*words, "--epochs", "1", "--checkpoint", file)
    resumed = results("train", "--resume", file, "--epochs", "2")
    assert resumed["accuracy"] == whole["accuracy"]
    assert resumed["network"]["outputs"] == 2


def test_a_regression_has_none(refused, tmp_path):
    pytest.importorskip("pandas")
    table = tmp_path / "numbers.csv"
    table.write_text("a,b\n" + "".join(f"{i * 7 % 40 / 4},{i * 1.5}\n" for i in range(40)))
    said = refused("train", "--data", str(table), "--target", "b", "--output-activation", "softmax")
    assert "--output-activation" in said
