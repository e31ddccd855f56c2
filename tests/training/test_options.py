"""The table of a training run's options: the command line and sweeps have what stands in it."""

import dataclasses
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

from edcore.cli.train import train
from edcore.sweep.options import TYPES
from edcore.training.options import KEPT, OF_TEXTS, OPTIONS, TrainOptions
from edcore.training.setup import begin


def test_the_command_has_each_option_with_its_type_and_default():
    parameters = inspect.signature(train).parameters
    for name, option in OPTIONS.items():
        assert parameters[name].default == option.default
        # Several widths are one text, "512,128", which a parser reads.
        assert parameters[name].annotation.__origin__ == (str if name == "width" else option.declared)
        assert parameters[name].annotation.__metadata__[0].help == option.help != ""


def test_the_help_shows_each_option(command_line):
    _, out, _ = command_line("train", "--help")
    assert all(f"--{name.replace('_', '-')} " in out for name in OPTIONS)


def test_a_sweep_has_all_options_of_a_single_run_as_columns():
    assert OPTIONS.keys() - TYPES.keys() == {"seed", "eval_every", "decay", *OF_TEXTS}
    assert TYPES.keys() - OPTIONS.keys() == {"tolerance"}
    assert {name: TYPES[name] for name in ("data_dir", "width", "depth", "u0", "rms", "device")} == {
        "data_dir": str,
        "width": int,
        "depth": int,
        "u0": float,
        "rms": bool,
        "device": str,
    }


def test_a_run_states_its_options_and_what_the_data_set_decides():
    run = begin(TrainOptions(dataset="xor", width=3, seed=5, data_dir=Path("a")), keep=False)
    assert run.state.options == {name: OPTIONS[name].default for name in KEPT} | {
        "dataset": "xor",
        "width": 3,
        "seed": 5,
        "data_dir": "a",
    }
    assert (run.state.epochs, run.state.batch_size, run.state.eval_every, run.state.batch) == (1000, 64, 50, 0)
    assert (run.ed.network.width, run.ed.network.depth, run.ed.seed, len(run.learnt)) == (3, 32, 5, 0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        run.data = None


def test_sweeps_load_nothing_of_the_command_line():
    code = "import sys, edcore.sweep; print(sorted({'typer', 'edcore.cli'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
