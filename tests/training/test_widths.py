"""Layers of several widths on the command line, in sweeps and in files."""

import numpy as np
import pytest

from edcore import ED, io
from edcore.errors import InputError
from edcore.sweep import Results, Sweep, summarise
from edcore.training.options import TrainOptions, parsed_width, width_in_words
from edcore.training.setup import begin
from edcore.training.texts import text_options

XOR = ["train", "--dataset", "xor", "--rule", "split", "--backend", "numpy", "--seed", "3", "--batch-size", "4"]


def test_widths_as_they_are_typed():
    assert parsed_width("512,128") == parsed_width([512, 128]) == (512, 128)
    assert parsed_width("64") == parsed_width(64) == parsed_width("64.0") == 64
    assert [width_in_words(width) for width in ((512, 128), 64)] == ["512,128", 64]
    for wrong in ("4,", "4,x", "4,0", ",", "4,-3", "1,024"):
        with pytest.raises(InputError, match=f"width: given '{wrong}'; accepted: a whole number, or several"):
            parsed_width(wrong)
    with pytest.raises(InputError, match=r"Write it without commas: 1024\."):
        parsed_width("1,024")


def test_the_widths_say_the_depth():
    run = begin(TrainOptions(dataset="xor", width="5,3,4", seed=1, backend="numpy"), keep=False)
    assert run.ed.network.width == (5, 3, 4)
    assert "--width 5,3,4" in run.command
    assert begin(TrainOptions(dataset="xor", width="5,5", rule="kaneko"), keep=False).ed.network.depth == 1
    with pytest.raises(InputError, match="hidden_depth: given 1; accepted: 2, beside 3 widths"):
        begin(TrainOptions(dataset="xor", width="5,3,4", depth=1), keep=False)


def test_a_run_goes_on_to_the_same_bits(run, tmp_path):
    whole, half = (str(tmp_path / f"{name}.safetensors") for name in ("whole", "half"))
    assert run(*XOR, "--width", "4,3", "--epochs", "8", "--checkpoint", whole)[0] == 0
    assert run(*XOR, "--width", "4,3", "--epochs", "4", "--checkpoint", half)[0] == 0
    code, out, _ = run("train", "--resume", half, "--epochs", "8", "--width", "4,3")
    assert code == 0
    assert "2 hidden layers of 4 + 4 and 3 + 3 cells" in out
    one, other = io.load(whole), io.load(half)
    assert one.network == other.network
    for key, value in one.weights.items():
        np.testing.assert_array_equal(other.weights[key], value)
    assert (
        "--width: given '4,2' beside --resume; accepted: '4,3'" in run("train", "--resume", half, "--width", "4,2")[2]
    )
    assert "4 + 4 and 3 + 3 cells" in run("inspect", whole)[1]
    assert "--depth: given 0; accepted: 1" in run(*XOR, "--width", "4,3", "--depth", "0")[2]


def test_a_text_has_them(tmp_path):
    options = text_options({"text": str(tmp_path / "a.txt"), "width": "80,70"})
    assert (options.width, options.depth, options.rms) == ("80,70", None, True)
    (tmp_path / "a.txt").write_text("abcabc " * 60)
    assert begin(options, keep=False).ed.network.width == (80, 70)


def test_a_file_of_options_lists_them(run, tmp_path):
    (tmp_path / "run.toml").write_text('[train]\ndataset = "xor"\nwidth = [4, 3]\nepochs = 2\nbackend = "numpy"\n')
    code, out, _ = run("train", "--config", str(tmp_path / "run.toml"))
    assert code == 0
    assert "2 hidden layers of 4 + 4 and 3 + 3 cells" in out


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_sweep_has_them_as_values(tmp_path, ending):
    if ending == "parquet":
        pytest.importorskip("pyarrow")
    options = {"dataset": "xor", "rule": "split", "epochs": 2, "backend": "numpy"}
    sweep = Sweep(options, {"width": [4, [4, 3], "5,2,3"]}, seeds=2)
    assert sweep.grid["width"] == ("4", "4,3", "5,2,3")
    assert Sweep(options, {"width": [4, 8]}).grid["width"] == (4, 8)
    with Results(tmp_path / f"s.{ending}", sweep) as results:
        for row in sweep.rows(n_jobs=1):
            assert not row["failed"]
            results.add(row)
    with Results(tmp_path / f"s.{ending}", sweep) as results:  # reads what is there
        assert len(results.done) == 6
    found = summarise(tmp_path / f"s.{ending}")
    assert [str(point.options["width"]) for point in found.points] == ["4", "4,3", "5,2,3"]
    with pytest.raises(InputError, match="width: given '4,x'"):
        Sweep(options, {"width": ["4,x"]})


def test_files_have_them(tmp_path):
    ed = ED(3, (5, 2), seed=1, backend="numpy")
    io.save(ed, tmp_path / "a.safetensors")
    loaded = io.load(tmp_path / "a.safetensors")
    assert loaded.network == ed.network
    assert hash(loaded.network) == hash(ed.network)
    assert loaded.weights.keys() == ed.network.weight_shapes.keys()
    same = ED(3, (4, 4, 4), seed=1, backend="numpy")
    io.save(same, tmp_path / "b.safetensors")
    uniform = ED(3, 4, 2, seed=1, backend="numpy")
    io.save(uniform, tmp_path / "c.safetensors")
    assert (tmp_path / "b.safetensors").read_bytes() == (tmp_path / "c.safetensors").read_bytes()
