"""The targets of the fuzzer in each run of the suite, with a few inputs from Hypothesis."""

import subprocess
import sys
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edcore.datasets.user_files import read_samples
from edcore.io import networks
from fuzz import files, tables
from fuzz.targets import TARGETS, seeds

FUZZ = Path(__file__).parent


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "input").mkdir()
    return tmp_path / "input"


@st.composite
def inputs(draw, name):
    """Any bytes, or those of a seed with a few of them replaced."""
    if draw(st.booleans()):
        return draw(st.binary(max_size=40))
    whole = draw(st.sampled_from(seeds(name)))
    place = draw(st.integers(0, len(whole)))
    return whole[:place] + draw(st.binary(max_size=6)) + whole[place + draw(st.integers(0, 3)) :]


@pytest.mark.parametrize("name", TARGETS)
def test_no_input_ends_in_anything_that_is_not_documented(name, folder):
    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(inputs(name))
    def fuzz(data):
        TARGETS[name](data, folder)

    fuzz()


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_takes_some_of_its_seeds(name, folder):
    taken = [TARGETS[name](seed, folder) for seed in seeds(name)]
    assert any(taken)


def test_a_reader_that_ran_what_it_reads_would_be_found(folder, monkeypatch):
    monkeypatch.setattr(tables, "read_samples", lambda path: np.load(path, allow_pickle=True))
    with pytest.raises(tables.Ran):
        TARGETS["npy"](seeds("npy")[-1], folder)


def test_a_reader_that_read_other_numbers_would_be_found(folder, monkeypatch):
    monkeypatch.setattr(tables, "read_samples", lambda path: read_samples(path) + 1)
    with pytest.raises(AssertionError, match="Arrays are not equal"):
        TARGETS["csv"](b"1,2\n", folder)


def test_networks_of_files_are_computed_by_numpy_only(folder):
    with mock.patch.object(networks, "build", wraps=networks.build) as made:
        assert TARGETS["file"](files.examples()[0], folder)
    assert {call.args[2] for call in made.call_args_list} == {"numpy"}


def test_atheris_calls_the_same_targets(tmp_path):
    pytest.importorskip("atheris")
    command = [sys.executable, str(FUZZ), "idx", "-runs=500"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "Done 500 runs" in done.stderr
    assert not list(tmp_path.iterdir())
