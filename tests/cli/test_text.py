"""``edcore train --text`` and ``edcore write``: a user's text from the shell, its file, and what is refused."""

import io
import re
import signal
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import edcore
from command import during
from edcore.comparison import ngram_bits
from edcore.datasets import read_text
from edcore.model.classes import LEAST
from edcore.training.options import OF_TEXTS

ROSE = "a rose is a rose is a rose, said the rose.\n"
NEKO = "吾輩は猫である。名前はまだ無い。\n"
SMALL = ["--backend", "numpy", "--seed", "3", "--width", "24", "--context", "5", "--batch-size", "16"]
XOR = ["train", "--dataset", "xor", "--epochs", "1", "--backend", "numpy", "--width", "2", "--depth", "0"]
TRAIN = ["train", "--text", "rose.txt", "--epochs", "2", *SMALL]


@pytest.fixture(autouse=True)
def texts(monkeypatch, tmp_path):
    """A folder with two texts, in English and in Japanese."""
    monkeypatch.chdir(tmp_path)
    Path("rose.txt").write_text(ROSE * 12, encoding="utf-8")
    Path("neko.txt").write_text(NEKO * 30, encoding="utf-8")


@pytest.fixture
def model(run):
    """A file of a model that has learnt the English text."""
    assert run("train", "--text", "rose.txt", "--epochs", "20", *SMALL, "--checkpoint", "rose")[0] == 0
    return "rose"


def kept(file):
    saved, arrays = edcore.io.networks.read(file, "run.")
    del arrays["run.seconds"]
    return saved.run["batch"], {key: array.tobytes() for key, array in arrays.items()}


def test_a_text_is_learnt_and_its_bits_are_those_of_the_held_out_part(results):
    found = results(*TRAIN, "--checkpoint", "rose")
    text = read_text("rose.txt", context=5)
    saved, ed = edcore.io.networks.read_model("rose", "numpy", None)
    data = text.dataset()
    p = ed.predict(data.x_test).astype(np.float64)[np.arange(len(data.x_test)), data.y_test]
    assert found["bits"] == pytest.approx(-np.log2(np.maximum(p, LEAST)).mean(), rel=1e-6)
    assert found["ngram_bits"] == pytest.approx(ngram_bits(text))
    assert found["accuracy"] == pytest.approx((ed.predict(data.x_test).argmax(axis=1) == data.y_test).mean())
    assert saved.classes == text.characters
    network = saved.network
    assert (network.one_hot, network.columns, network.features) == (len(text.characters),) * 2 + (5,)
    assert (network.output_activation, network.width, network.depth) == ("softmax", 24, 0)
    assert (found["train_samples"], found["test_samples"]) == (text.train_samples, len(text.codes) - text.cut)
    assert found["batches"] == 2 * -(-text.train_samples // 16)


def test_learning_lowers_the_bits_below_those_of_single_characters(results):
    found = results("train", "--text", "rose.txt", "--epochs", "20", *SMALL)
    assert found["bits"] < found["ngram_bits"][0] / 2


def test_the_summary_and_the_lines_of_progress(run):
    code, out, _ = run(*TRAIN)
    assert code == 0
    lines = re.findall(r"^batch +\d+/\d+  accuracy +[\d.]+%  ([\d.]+) bits  .*epoch \d$", out, re.MULTILINE)
    assert 10 <= len(lines) <= 11  # a tenth of the run each
    assert all(len(line) <= 80 for line in out.splitlines())
    rows = dict(re.findall(r"^(\w[\w ]*?) {2,}(.*?) *$", out, re.MULTILINE))
    assert rows["bits"] == f"{lines[-1]} per character, the mean of -log2 p"
    assert rows["text"].startswith("rose.txt, 465 characters to learn")
    assert rows["accuracy"].endswith("of 51 characters that were held out")
    assert re.fullmatch(r"n-grams, n = 1 to 5: (\d\.\d\d(, )?){5} bits", rows["to compare"])
    assert r"\n" in rows["characters"]


def test_the_command_of_a_run_repeats_it(run, results):
    first = results(*TRAIN)
    again = results(*first["command"].split()[1:])
    assert again.pop("seconds") > 0
    assert first.pop("seconds") > 0
    assert again == first
    assert "--dataset" not in first["command"]


def test_a_run_of_which_only_the_text_is_given(results):
    Path("word.txt").write_text("ab " * 200)
    found = results("train", "--text", "word.txt", "--backend", "numpy", "--epochs", "1", "--seed", "1")
    network, rule = found["network"], found["rule"]
    assert (network["width"], network["depth"], network["activation"]) == (256, 0, "tanh")
    assert (network["in_"], network["one_hot"]) == (8 * 4, 4)
    assert (rule["alpha"], rule["alpha_output"], rule["centred"]) == (10, 1, True)
    command = found["command"]
    assert "--batch-size 128" in command
    assert "--decay" in command


def test_several_hidden_layers_have_other_defaults_which_options_replace(results):
    network = results(*TRAIN, "--depth", "2")["network"]
    assert (network["depth"], network["rms"], network["initial"]["weight"]) == (2, True, 0.5)
    network = results(*TRAIN, "--depth", "2", "--no-rms", "--initial-weight", "1")["network"]
    assert (network["rms"], network["initial"]["weight"]) == (False, 1)


@pytest.mark.parametrize("batches", [1, 17, 40])
def test_a_run_that_is_interrupted_goes_on_to_the_same_bits(run, monkeypatch, batches):
    assert run(*TRAIN, "--checkpoint", "whole", "--every", "7")[0] == 0
    with monkeypatch.context() as context:
        during(context, {batches: lambda: signal.raise_signal(signal.SIGINT)})
        code, out, _ = run(*TRAIN, "--checkpoint", "parts", "--every", "7")
    assert code == 130
    assert "edcore train --resume parts" in out
    assert kept("parts")[0] == batches
    assert run("train", "--resume", "parts")[0] == 0
    assert kept("parts") == kept("whole")


def test_a_run_goes_on_with_a_text_that_was_moved_and_not_with_another(run, refused):
    assert run(*TRAIN, "--checkpoint", "rose")[0] == 0
    Path("rose.txt").rename("moved.txt")
    assert "--text" in refused("train", "--resume", "rose", "--epochs", "3")
    Path("other.txt").write_text((ROSE * 12).replace("said", "says"))
    said = refused("train", "--resume", "rose", "--epochs", "3", "--text", "other.txt")
    assert "other.txt has other characters here" in said
    assert "--text" in said
    assert run("train", "--resume", "rose", "--epochs", "3", "--text", "moved.txt")[0] == 0
    assert run("train", "--resume", "rose", "--epochs", "4")[0] == 0


def test_a_text_from_standard_input(run, refused, monkeypatch):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO((ROSE * 12).encode())))
    assert run("train", "--text", "-", "--epochs", "2", *SMALL, "--checkpoint", "piped")[0] == 0
    assert run(*TRAIN, "--checkpoint", "rose")[0] == 0
    assert kept("piped") == kept("rose")
    assert "--text" in refused("train", "--resume", "piped", "--epochs", "3")
    assert run("train", "--resume", "piped", "--epochs", "3", "--text", "rose.txt")[0] == 0


def test_a_text_in_a_file_of_options(run):
    Path("run.toml").write_text('[train]\ntext = "rose.txt"\nepochs = 1\ncontext = 3\nwidth = 24\nbackend = "numpy"\n')
    assert run("train", "--config", "run.toml", "--checkpoint", "rose")[0] == 0
    assert edcore.io.inspect("rose").network.features == 3


def test_another_rule_has_its_own_rates_and_outputs(results):
    found = results(*TRAIN, "--rule", "signed")
    network = found["network"]
    assert (network["heads"], network["outputs"], network["activation"]) == (14, 1, "sigmoid")
    assert (found["rule"]["alpha"], found["bits"]) == (0.8, None)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--text", "none.txt"], r"none\.txt: it cannot be read"),
        (["--text", "rose.txt", "--context", "0"], r"--context: given 0"),
        (["--text", "rose.txt", "--context", "9999"], r"rose\.txt with 516 characters; accepted: at least 11,112"),
        (["--text", "rose.txt", "--characters", "2"], r"--characters: given 2"),
        (["--text", "rose.txt", "--held-out", "1"], r"--held-out: given 1\.0"),
        (["--text", "rose.txt", "--width", "3"], r"--width: given 3; accepted: at least 14, the number of outputs"),
        (["--text", "rose.txt", "--dataset", "digits"], r"--dataset: given 'digits' beside --text"),
        (["--text", "rose.txt", "--classes", "0,1"], r"--classes: given '0,1' beside --text"),
        (["--text", "rose.txt", "--data", "t.csv"], r"--text: given 'rose\.txt' beside --data"),
        (["--context", "5"], r"--context: given 5 without --text"),
        (["--resume", "rose", "--context", "6"], r"--context: given 6 beside --resume; accepted: 5, as in rose"),
        (["--resume", "rose", "--no-decay"], r"--decay: given False beside --resume"),
        (["--resume", "rose", "--dataset", "xor"], r"--dataset: given 'xor' beside --resume; .*on a text"),
        (["--resume", "xor", "--text", "rose.txt"], r"--text: given 'rose\.txt' beside --resume; .*on a data set"),
    ],
)
def test_what_cannot_be_learnt_is_refused(run, refused, arguments, said):
    if "--resume" in arguments:
        assert run(*TRAIN, "--checkpoint", "rose")[0] == 0
        assert run(*XOR, "--checkpoint", "xor")[0] == 0
    assert re.search(said, refused("train", *arguments))


def test_sweeps_refuse_texts_by_their_names(refused):
    for name in OF_TEXTS:
        Path("s.toml").write_text(f"seeds = 2\n[grid]\n{name} = [1, 2]\n")
        assert "edcore train --text" in refused("sweep", "s.toml")


def test_a_model_continues_a_text(run, model):
    code, out, err = run("write", model, "--start", "a rose", "--length", "60", "--temperature", "0")
    assert (code, err) == (0, "")
    assert out.startswith("a rose is a rose is a rose")
    assert len(out.rstrip("\n")) >= 60
    saved, ed = edcore.io.networks.read_model(model, "numpy", None)
    written = edcore.datasets.write_text(ed, saved.classes, "a rose", length=60, temperature=0)
    assert out.rstrip("\n") == ("a rose" + "".join(written)).rstrip("\n")


def test_the_seed_decides_what_is_written(run, model):
    options = ["write", model, "--length", "80", "--temperature", "1.5", "--seed"]
    first, again, other = (run(*options, seed)[1] for seed in ("1", "1", "2"))
    assert first == again != other


def test_characters_are_printed_as_they_come(run, model, monkeypatch):
    printed = []
    monkeypatch.setattr("edcore.cli.write.write_out", printed.append)
    assert run("write", model, "--start", "said", "--length", "9")[0] == 0
    assert printed[0] == "said"
    assert all(len(one) == 1 for one in printed[1:])
    assert len(printed[1:]) in (9, 10)


def test_japanese_is_learnt_and_written(run):
    assert run("train", "--text", "neko.txt", "--epochs", "20", *SMALL, "--checkpoint", "neko")[0] == 0
    code, out, _ = run("write", "neko", "--start", "吾輩は", "--length", "14", "--temperature", "0")
    assert (code, out) == (0, NEKO)
    code, _, err = run("plot", "neko", "--out", "neko.png")
    assert (code, err) == (0, "")


def test_what_commands_a_terminal_is_written_as_an_escape(run):
    Path("esc.txt").write_text("ab\x1b[2J" * 60)
    assert run("train", "--text", "esc.txt", "--epochs", "5", *SMALL, "--checkpoint", "esc")[0] == 0
    _, out, _ = run("write", "esc", "--start", "ab", "--length", "30", "--temperature", "0")
    assert "\x1b" not in out
    assert r"\x1b[2J" in out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--start", "a röße"], r"--start: given 'ß', 'ö'; accepted: characters that the network has learnt\."),
        (["--length", "-1"], r"--length: given -1"),
        (["--temperature", "-1"], r"--temperature: given -1"),
        (["--temperature", "0,8"], r"--temperature: given '0,8'.*0\.8"),
        (["--seed", "-1"], r"--seed: given -1"),
    ],
)
def test_what_cannot_be_written_is_refused(refused, model, options, said):
    assert re.search(said, refused("write", model, *options))


def test_a_file_that_is_no_model_of_a_text(run, refused):
    assert run(*XOR, "--checkpoint", "xor")[0] == 0
    said = refused("write", "xor")
    assert "'xor', which predicts no characters" in said
    assert "edcore train --text" in said


def test_other_commands_on_a_model_of_a_text(run, refused, model):
    code, out, _ = run("inspect", model)
    assert code == 0
    assert re.search(r"characters +14, .*; context 5", out)
    assert "edcore write" in refused("predict", model, "digits")
    assert run("plot", model, "--out", "rose.png")[0] == 0
    assert run("report", model, "--out", "rose.html")[0] == 0
    assert "rose.txt" in Path("rose.html").read_text(encoding="utf-8")
