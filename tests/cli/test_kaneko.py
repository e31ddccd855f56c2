"""The command that runs Kaneko's program: what it prints, and how its options arrive."""

import inspect
import json
from dataclasses import asdict, fields

import pytest
import typer

from edcore import kaneko as library
from edcore.cli import kaneko as cli_kaneko
from edcore.errors import InputError
from edcore.kaneko.program import Parameters, Program


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture
def run(capsys):
    """Run the command in this process; return its stdout and stderr."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(cli_kaneko.kaneko)

    def run(*arguments):
        with pytest.raises(SystemExit) as end:
            app(arguments)
        assert not end.value.code
        return capsys.readouterr()

    return run


def refused(run, *arguments):
    with pytest.raises(InputError) as refusal:
        run(*arguments)
    return str(refusal.value)


def test_with_no_options_it_is_4_bit_parity(run):
    out, err = run()
    assert (out, err) == (f"stopped at epoch 148: error {library.run().errors[-1]:.6g}, below 0.1\n", "")


def test_xor(run):
    assert run("--inputs", "2", "--hidden", "8", "--seed", "4").out.startswith("stopped at epoch 55: error 0.0")


def test_a_time_out_is_told_plainly(run):
    out, _ = run("--inputs", "2", "--epochs", "2")
    assert out.startswith("timed out after epoch 2: error ")
    assert out.endswith(", not below 0.1\n")


def test_verbose_prints_each_epoch_on_stderr(run):
    out, err = run("--inputs", "2", "--epochs", "3", "--verbose")
    assert [line.partition(": error ")[0] for line in err.splitlines()] == ["epoch 1", "epoch 2", "epoch 3"]
    assert out.startswith("timed out after epoch 3: " + err.splitlines()[-1].partition(": ")[2])


def test_json_is_one_object_and_nothing_else(run):
    out, err = run("--inputs", "2", "--json", "--verbose")
    assert err.startswith("epoch 1: ")
    result = json.loads(out)
    assert result.pop("error") < 0.1
    assert result.pop("parameters") == asdict(Parameters(inputs=2))
    assert result == {"epochs": 41, "timed_out": False}


def test_the_defaults_are_those_of_the_library():
    options = inspect.signature(cli_kaneko.kaneko).parameters
    defaults = {field.name: field.default for field in fields(Parameters)}
    assert {name: options[name].default for name in defaults} == defaults
    assert options.keys() - defaults == {"verbose", "json", "config"}


NAMES = "parity, mirror, random, real, one"
QUOTED = "'parity', 'mirror', 'random', 'real', 'one'"

OTHERS = {
    "seed": 7,
    "inputs": 3,
    "patterns": 4,
    "outputs": 2,
    "teacher": ((0.0, 1.0), (1.0, 0.5), (1.0, 1.0), (0.0, 0.0)),
    "hidden": 6,
    "hidden2": 2,
    "steps": 4,
    "weight_range": 0.5,
    "threshold_range": 0.25,
    "f3": 0,
    "f6": 0,
    "f7": 0,
    "f10": 1,
    "f11": 0,
    "u0": 0.75,
    "u1": 1.5,
    "alpha": 0.625,
    "beta": 0.875,
    "epochs": 2,
    "tolerance": 0.125,
    "random_inputs": True,
}


def test_every_option_arrives(run):
    given = {**OTHERS, "teacher": "0,1, 1,.5, 1,1, 0,0"}
    del given["random_inputs"]  # a flag
    options = (part for name, value in given.items() for part in (f"--{name.replace('_', '-')}", str(value)))
    found = json.loads(run(*options, "--random-inputs", "--json").out)
    assert found["parameters"] == json.loads(json.dumps(asdict(Parameters(**OTHERS))))
    program = Program(Parameters(**OTHERS))
    while not program.stopped:
        program.advance()
    assert (found["epochs"], found["error"]) == (len(program.errors), program.errors[-1])
    assert all(value != getattr(Parameters(), name) for name, value in OTHERS.items())
    assert OTHERS.keys() == {field.name for field in fields(Parameters)}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("--patterns 17", "patterns: given 17; accepted: at most 2^inputs = 16. "),
        ("--hidden2 8", "steps: given 2; accepted: 3 or more with a second group of 8. "),
        ("--f6 3", "f6: given 3; accepted: 1 or 0."),
        ("--outputs 0", "outputs: given 0; "),
        ("--outputs 0 --teacher 0,1", "outputs: given 0; "),
        ("--outputs 0 --teacher parity,1", "outputs: given 0; "),
        (
            "--teacher mirrr",
            f"teacher: given 'mirrr'; accepted: {NAMES}, or numbers from 0 to 1, pattern after pattern",
        ),
        ("--teacher given", "teacher: given 'given'; "),
        ("--teacher ,", "teacher: given ','; "),
        ("--inputs 1 --teacher 0_1,0", "teacher: given '0_1,0'; "),
        ("--inputs 1 --teacher nan,0", "teacher: given a value outside 0 to 1; "),
        (
            "--inputs 1 --teacher 0,1,0",
            f"teacher: given 3 × 1 targets; accepted: {QUOTED}, or targets from 0 to 1, patt",
        ),
        ("--inputs 1 --outputs 2 --teacher 0,1,0", "teacher: given 3 targets; accepted: 2 for each pattern, one for"),
        (
            "--teacher parity,mirror",
            f"teacher: given 2 kinds of targets; accepted: one for each output (1 here): {QUOTED}",
        ),
        (
            "--outputs 2 --inputs 1 --teacher parity,1",
            "teacher: given 1 target; accepted: 'parity', 'mirror', 'random'",
        ),
        (
            "--outputs 2 --teacher parity,0,mirror",
            "teacher: given 3 kinds of targets; accepted: one for each output (2",
        ),
        (
            "--outputs 17 --teacher one",
            "teacher: given 'one' for 17 outputs; accepted: it for at most 16 outputs with 16",
        ),
        ("--inputs 21 --random-inputs", "patterns: given no number; accepted: a number of patterns"),
    ],
)
def test_bad_options_are_refused_by_the_library(run, arguments, sentence):
    assert refused(run, *arguments.split()).startswith(sentence)


@pytest.mark.parametrize("value", [2**63 - 1, 2**63, 2**64, 2**127])
@pytest.mark.parametrize("option", ["outputs", "hidden", "hidden2", "inputs", "patterns"])
def test_what_does_not_fit_into_memory_is_refused(run, option, value):
    sentence = refused(run, "--patterns", "3", "--steps", "3", "--random-inputs", f"--{option}", str(value))
    assert sentence.startswith(f"{option}: given {value}; accepted: less, as the run needs ")


@pytest.mark.parametrize(
    ("text", "outputs", "teacher"),
    [
        ("one", 3, "one"),
        ("parity,mirror", 2, ["parity", "mirror"]),
        ("0,1,1,0", 2, [[0, 1], [1, 0]]),
        ("parity,0,1,1,.5", 2, ["parity", [0, 1, 1, 0.5]]),
        ("0,1,1,0, real ,1,1,0,0", 3, [[0, 1, 1, 0], "real", [1, 1, 0, 0]]),
        ("0,1,1,0,1,1,0,0,real", 3, [[0, 1, 1, 0], [1, 1, 0, 0], "real"]),
    ],
)
def test_a_teacher_is_a_name_or_targets_or_a_kind_for_each_output(text, outputs, teacher):
    assert cli_kaneko.parse_targets(text, outputs) == teacher


def test_a_file_gives_a_kind_for_each_output(command_line, tmp_path):
    config = tmp_path / "run.toml"
    config.write_text('[kaneko]\ninputs = 2\noutputs = 2\nrandom-inputs = true\nteacher = ["real", 0, 1, 1, 0]\n')
    _, out, _ = command_line("kaneko", "--config", str(config), "--json")
    found = json.loads(out)["parameters"]
    assert (found["teacher"], found["random_inputs"]) == (["real", [0, 1, 1, 0]], True)


def test_in_a_shell_a_refusal_is_one_line_that_names_the_option(command_line):
    code, out, err = command_line("kaneko", "--inputs", "2", "--outputs", "9223372036854775808")
    assert (code, out) == (2, "")
    assert err.startswith("edcore: --outputs: given 9223372036854775808; accepted: less, as the run needs ")
    assert err.count("\n") == 1


def test_help_names_every_parameter(run):
    out, _ = run("--help")
    assert all(f"--{field.name.replace('_', '-')}" in out for field in fields(Parameters))
