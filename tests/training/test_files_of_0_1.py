"""Networks and checkpoints written by version 0.1 load, predict and go on to the same bits; see their README."""

import dataclasses
import hashlib
import json
import math
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
import safetensors
import safetensors.numpy

from edcore import PRESETS, io

FILES = Path(__file__).parents[1] / "data" / "version_0_1"
RUNS = ["xor-signed", "xor-split", "parity3-kaneko", "xor-edla", "digits-heads", "digits-modulo"]
KINDS = ("checkpoint", "finished")
BITS = np.array([[number >> bit & 1 for bit in range(3)] for number in range(8)], float)

# Backend loop adds in plain Python, so its bits depend on nothing but the C library's exp, whose last bit is its own.
EXPONENTIALS = b"".join(struct.pack("<d", math.exp(number / 512)) for number in range(-4096, 4096))
SAME_EXP = hashlib.sha256(EXPONENTIALS).hexdigest() == (
    "cb9fccd3ba6b621c5eea727511e30e7d830c5b6af5b6002f53dbde7d597406a7"
)


def document(path):
    """Return the JSON of a file's header as it stands there."""
    with safetensors.safe_open(path, "numpy") as file:
        return json.loads(file.metadata()["edcore"])


def assert_same(actual, expected):
    """Compare bits, or within rounding where exp has other bits than on the machine that wrote the files."""
    assert (actual.dtype, actual.shape) == (expected.dtype, expected.shape)
    if SAME_EXP:
        assert actual.tobytes() == expected.tobytes()
    else:
        np.testing.assert_allclose(actual, expected, rtol=1e3 * np.finfo(np.float32).eps, atol=1e-6)


def test_a_network_of_each_preset_and_a_run_of_each_kind_is_there():
    names = {f"network-{preset}" for preset in PRESETS} | {f"{kind}-{run}" for run in RUNS for kind in KINDS}
    assert {path.stem for path in FILES.glob("*-*.safetensors")} == names


@pytest.mark.parametrize("preset", PRESETS)
def test_a_network_loads_with_all_it_was_and_predicts_the_same(preset):
    path = FILES / f"network-{preset}.safetensors"
    header, arrays = document(path), safetensors.numpy.load_file(path)
    ed, saved = io.load(path, backend="loop"), io.inspect(path)
    assert dataclasses.asdict(ed.network) == dataclasses.asdict(saved.network) == {"one_hot": 0} | header["network"]
    assert dataclasses.asdict(ed.rule) == dataclasses.asdict(saved.rule) == header["rule"]
    assert ed.seed == saved.seed == header["seed"] == 5
    assert list(saved.classes) == header["classes"]
    assert list(ed.epochs) == arrays.pop("epochs").tolist() == [3] * ed.network.heads
    assert ed.weights.keys() == arrays.keys()
    for key, value in ed.weights.items():
        assert (value.dtype, value.shape) == (arrays[key].dtype, arrays[key].shape)
        assert value.tobytes() == arrays[key].tobytes()
    assert_same(ed.predict(BITS), safetensors.numpy.load_file(FILES / "outputs.safetensors")[preset])


@pytest.mark.parametrize("preset", PRESETS)
def test_a_network_that_is_saved_again_makes_the_same_checksums(preset, tmp_path):
    path, again = FILES / f"network-{preset}.safetensors", tmp_path / "again.safetensors"
    before = document(path)
    io.save(io.load(path, backend="loop"), again, classes=before["classes"])
    after = document(again)
    for header in (before, after):  # the versions are of the program that writes, and no call has chosen a device yet
        del header["versions"], header["device"], header["sha256"]["header"]
    assert after == before


@pytest.mark.parametrize("run", RUNS)
def test_a_checkpoint_resumes_to_the_end_that_it_had(run, tmp_path, command_line):
    path = tmp_path / "run.safetensors"
    shutil.copy(FILES / f"checkpoint-{run}.safetensors", path)
    code, _, stderr = command_line("train", "--resume", path, "--backend", "loop")
    assert code == 0, stderr
    finished = FILES / f"finished-{run}.safetensors"
    actual, expected = safetensors.numpy.load_file(path), safetensors.numpy.load_file(finished)
    assert actual.pop("run.seconds").shape == expected.pop("run.seconds").shape
    assert actual.keys() == expected.keys()
    for key, value in expected.items():
        assert_same(actual[key], value)
    after, before = document(path), document(finished)
    checksums, expected_checksums = (header.pop("sha256") for header in (after, before))
    if SAME_EXP:
        for name in expected:
            assert checksums[name] == expected_checksums[name]
    del after["versions"], before["versions"]
    assert after == before
