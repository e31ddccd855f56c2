"""Targets for users' texts: TOML files of options, --classes and --teacher, and words that a shell completes.

A command is run as a shell runs it, up to where it would begin to compute. It ends with an exit code of 0, or with
one of 2 and a sentence on stderr.
"""

import contextlib
import functools
import os
from unittest import mock

import numpy as np
import sklearn.datasets
import sklearn.model_selection
import typer

import edcore.bench.calibrate
import edcore.bench.run
import edcore.comparison.run
import edcore.reproduce.catalogue
from edcore import datasets
from edcore.cli import kaneko as cli_kaneko
from edcore.cli import options as cli_options
from edcore.cli import train as cli_train
from edcore.datasets import catalogue, idx
from edcore.errors import InputError
from edcore.model.ed import ED
from edcore.training import options as train_options
from edcore.training.setup import parse_classes
from fuzz.choices import Choices
from fuzz.files import examples
from fuzz.shell import quiet, run, tree
from fuzz.tables import no_download

FEW_BITS = 3

NAMES = (
    *("run.safetensors", "run.toml", ".", "..", "a.png", "no/a.png", "a.svg", "a.html"),
    *("a\\u0000.png", "\\u0000/a.png", "xor", "digits", "mnist", "kaneko", "modulo", "tanh", "float64", "numpy"),
)
"""Texts, some of which options accept."""

WORDS = (
    *(
        *NAMES,
        "",
        "-",
        "--",
        "-1",
        "0",
        "1",
        "3.0",
        "1e3",
        "1e400",
        "0,8",
        "80%",
        "0x10",
        "nan",
        "inf",
        "9" * 400,
        "１",
    ),
    *(
        "x.csv",
        "x.toml",
        "no.csv",
        "x.xlsx",
        "https://example.org/x.csv",
        "file:///no",
        "~nobody/x",
        "\x1b[2J",
        "\u202e",
    ),
    *("a=b", "--rms=yes", "None", "True", "é" * 300, "/dev/null", "\udcff", "=1+1", "cuda:99", "0,1,", "all", "xor"),
)
"""Words of command lines."""

OTHERS = ("1979-05-27", "07:32:00", "0o7", "1_0", "inf", "-nan", "{a = 1}")
"""Further values of TOML."""


def config(data, folder):
    """Take the bytes as a TOML file for edcore train."""
    return _run(data, folder, "train")


def config_of_options(data, folder):
    """Take a TOML file of existing options with values of all kinds, for a command that reads such files."""
    choices = Choices(data)
    name = choices.pick(["train", "train", "train", "kaneko", "bench", "reproduce", "compare"])
    options = _options(name)
    lines = [f"[{name}]"]
    while choices and len(lines) < 6:
        option = choices.pick(options)
        lines.append(f"{option} = {_toml(choices)}")
    return _run("\n".join(lines).encode(), folder, name, *(["xor"] if name in ("reproduce", "compare") else []))


def lines(data, folder):
    """Take the bytes as a command line: a command, and options that it may have, with texts of all kinds."""
    choices = Choices(data)
    name = choices.pick(sorted(tree().commands))
    words = [name, "--out=play.html"] if name == "play" else [name]  # or it serves its page until somebody stops it
    while choices and len(words) < 12:
        match choices.below(8):
            case 0:
                words.append(str(choices.pick(WORDS)))
            case 1:
                words.append(choices.bytes(choices.below(12)).decode("utf-8", "surrogateescape").replace("\0", ""))
            case _:
                option = f"--{choices.pick(_options(name if choices.below(8) else 'train'))}"
                value = str(choices.pick(WORDS))
                words += choices.pick([[option, value], [f"{option}={value}"], [option]])
    (folder / "run.safetensors").write_bytes(examples()[1])
    (folder / "x.csv").write_text("1,2\n3,4\n")
    (folder / "x.toml").write_text("[train]\nwidth = 2\n[grid]\nseed = [1]\n")
    with contextlib.chdir(folder), small(), mock.patch("edcore.testing.reporting.iter_checks", return_value=[]):
        return run(*words, quiet_success=False) == 0


def labels(data, folder):
    """Take the bytes as the text after --classes, and as targets for edcore kaneko."""
    text = data.decode("utf-8", "surrogateescape")
    read = False
    for function in (parse_classes, functools.partial(cli_kaneko.parse_targets, outputs=2)):
        with contextlib.suppress(InputError):
            function(text)
            read = True
    with contextlib.suppress(InputError), small():
        found = datasets.load("digits", classes=parse_classes(text))
        assert found.classes == (parse_classes(text) or tuple(range(10)))
    with contextlib.suppress(InputError):
        cli_kaneko.Parameters(inputs=2, teacher=cli_kaneko.parse_targets(text, 1))
    return read


def completion(data, folder):
    """Take the bytes as the words of a command line, the last one of which a shell asks to complete."""
    words = data.decode("utf-8", "surrogateescape").split("\n")
    found = []
    for option in ("backend", "rule", "dataset"):
        names = cli_options.complete_from(train_options.OPTIONS[option].names)(words[-1])
        assert all(name.startswith(words[-1]) for name in names)
        found += names
    environment = {
        "COMP_WORDS": " ".join(["edcore", *words]).replace("\0", ""),
        "COMP_CWORD": str(len(words)),
        "_EDCORE_COMPLETE": "complete_bash",
    }
    with mock.patch.dict(os.environ, environment), quiet(), contextlib.suppress(SystemExit):
        tree()(args=[], prog_name="edcore", complete_var="_EDCORE_COMPLETE")
    return bool(found)


def _run(content, folder, command, *arguments):
    """Run a command with this configuration; return whether it would have started."""
    config, kept = folder / "run.toml", folder / "run.safetensors"
    config.write_bytes(content)
    kept.write_bytes(examples()[1])
    began = []
    with contextlib.chdir(folder), small(began):
        code = run(command, *arguments, "--config", "run.toml")
    assert code == (0 if began else 2)
    assert config.read_bytes() == content
    assert kept.read_bytes() == examples()[1]
    assert sorted(os.listdir(folder)) == ["run.safetensors", "run.toml"]
    return bool(began)


@contextlib.contextmanager
def small(began=None):
    """Stop commands before they compute, and give data sets only a few samples."""
    began = [] if began is None else began

    def begin(*arguments, **options):
        began.append(True)
        raise typer.Exit

    patterns = catalogue._patterns
    with contextlib.ExitStack() as stack:
        for where, name, instead in (
            (cli_train, "carry_out", begin),
            (cli_kaneko, "Program", begin),
            (edcore.bench.run, "bench", begin),
            (edcore.bench.calibrate, "calibrate", begin),
            (edcore.comparison.run, "compare_problem", begin),
            (edcore.reproduce.catalogue, "reproduce", begin),
            (ED, "bind", lambda ed, x=None: None),
            (catalogue, "_patterns", lambda name, bits, dtype: patterns(name, min(bits, FEW_BITS), dtype)),
            (idx, "_download", no_download),
            (sklearn.datasets, "load_digits", lambda **options: (np.zeros((20, 64)), np.arange(20) % 10)),
            (sklearn.model_selection, "train_test_split", lambda x, y, **options: (x, x, y, y)),
        ):
            stack.enter_context(mock.patch.object(where, name, instead))
        yield


@functools.cache
def _options(name):
    return sorted(option.lstrip("-") for parameter in tree().commands[name].params for option in parameter.opts)


def _toml(choices):
    """Return a value as TOML has it, or nearly so."""
    kind = choices.below(8)
    if kind < 4:
        return _text(choices.value())
    if kind == 4:
        return f"[{', '.join(_text(choices.value()) for _ in range(choices.below(4)))}]"
    if kind == 5:
        return choices.pick([*OTHERS, f"0x{'f' * choices.below(5000)}"])
    if kind == 6:
        return f'"{choices.pick(NAMES)}"'
    return choices.bytes(choices.below(16)).decode("latin-1")


def _text(value):
    if value is None:
        return "''"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(_text, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key} = {_text(item)}' for key, item in value.items())}}}"
    if isinstance(value, str):
        return '"' + "".join(c if c.isalnum() else f"\\u{ord(c):04x}" for c in value) + '"'
    return repr(value)
