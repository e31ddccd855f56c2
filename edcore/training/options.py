"""The options of a training run, in one table: `edcore train` makes its flags from it, `edcore sweep` its columns."""

import re
import shlex
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple, cast, get_args

from edcore.arguments import check_text
from edcore.core.activations import ACTIVATIONS, SOFTMAX
from edcore.core.presets import PRESETS
from edcore.core.widths import checked_width
from edcore.datasets.catalogue import MOST_BITS, NAMES
from edcore.datasets.text import CHARACTERS, CONTEXT, HELD_OUT
from edcore.dispatch.registry import installed
from edcore.errors import InputError, shown

WIDTH, DEPTH = 32, 32
SCHEDULES = {"digits": (10, 4), "mnist": (1, 64), "fashion_mnist": (1, 64)}
PATTERN_SCHEDULE = (1000, 64)  # of XOR and parity: few samples, many epochs
"""Epochs and batch size of each data set, used where none are given."""

EVAL_EVERY = 50
"""Batches from one test to the next."""

TASKS = ("classification", "regression")
TEST_SIZE = 0.2
"""What a table is for, and the share of its rows that only test."""

DATA, TABLE, TEXT, NETWORK, LEARNING = "Data", "Your own table", "Your own text", "Network", "Learning"
PLACE, SHOWN = "Where it runs", "What is shown"
"""Tables of the command line's help."""


def dataset_names() -> list[str]:
    """Return the names of all data sets."""
    return [*(name for name in NAMES if name != "parityN"), *(f"parity{bits}" for bits in range(1, MOST_BITS + 1))]


def backend_names() -> list[str]:
    """Return what --backend accepts."""
    return ["auto", *installed()]


def _flag(
    panel: str, text: str, shown_default: str | None = None, names: Callable[[], Iterable[str]] | None = None
) -> dict[str, Any]:
    return {"panel": panel, "help": text, "shown_default": shown_default, "names": names}


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainOptions:
    """The options of a training run; None stands for the default of the rule, the data set or the backend."""

    dataset: str = field(
        default="digits",
        metadata=_flag(DATA, "digits, mnist, fashion_mnist, xor, or parity1 to parity20.", names=dataset_names),
    )
    data_dir: Path = field(
        default=Path("data"), metadata=_flag(DATA, "Folder that holds MNIST/raw or FashionMNIST/raw.")
    )
    classes: str = field(default="0,1", metadata=_flag(DATA, "Labels with commas between them, or all."))
    data: str | None = field(
        default=None,
        metadata=_flag(
            TABLE,
            "A file to learn from: .csv, .tsv, .txt (or these with .gz, .bz2, .xz, .zip), .parquet, .npz, .npy; "
            "- for stdin.",
        ),
    )
    target: str | None = field(
        default=None, metadata=_flag(TABLE, "The column to predict; beside a .npy a file of its own.")
    )
    task: str | None = field(
        default=None,
        metadata=_flag(TABLE, "classification or regression.", "by the target", names=lambda: TASKS),
    )
    test_size: float | None = field(
        default=None, metadata=_flag(TABLE, "Share of the rows that only test, the same of each class.", f"{TEST_SIZE}")
    )
    early_stopping: bool = field(
        default=False,
        metadata=_flag(TABLE, "Hold out rows, stop when they are predicted no better, and keep the best weights."),
    )
    validation: float | None = field(
        default=None, metadata=_flag(TABLE, "Share of the other rows that --early-stopping holds out.", "0.1")
    )
    text: str | None = field(
        default=None,
        metadata=_flag(TEXT, "A text in UTF-8, of which each next character is learnt; - for stdin."),
    )
    context: int | None = field(
        default=None,
        metadata=_flag(TEXT, "Characters from which the next one is predicted.", f"{CONTEXT}"),
    )
    characters: int | None = field(
        default=None,
        metadata=_flag(TEXT, "The most frequent characters, one of which stands for all others.", f"{CHARACTERS}"),
    )
    held_out: float | None = field(
        default=None, metadata=_flag(TEXT, "Share of the text, at its end, that only tests.", f"{HELD_OUT}")
    )
    width: int | str = field(
        default=WIDTH,
        metadata=_flag(
            NETWORK,
            "Cells per stream of each layer; with commas between them, of one layer of hidden cells each: 512,128.",
            f"{WIDTH}; 64 with --data, 256 with --text",
        ),
    )
    depth: int | None = field(
        default=None,
        metadata=_flag(
            NETWORK,
            "Layers beyond the input layer, whose cells are hidden too: 0 has one layer of hidden cells.",
            f"{DEPTH}; 0 with kaneko, edla, modulo, --data and --text",
        ),
    )
    activation: str | None = field(
        default=None,
        metadata=_flag(NETWORK, "Of the cells: sigmoid, tanh, relu, relu6 or linear.", "the rule's; tanh with --text"),
    )
    output_activation: str | None = field(
        default=None,
        metadata=_flag(
            NETWORK,
            "Of the outputs, likewise; softmax makes those of one network for all classes probabilities.",
            "the rule's; softmax with --text",
            names=lambda: (*ACTIVATIONS, SOFTMAX),
        ),
    )
    u0: float | None = field(
        default=None,
        metadata=_flag(
            NETWORK, "Width of the sigmoid: the larger, the less saturated.", "the rule's; 0.4 in the article's"
        ),
    )
    rms: bool | None = field(
        default=None, metadata=_flag(NETWORK, "Divide each layer's sums by their root mean square.", "the rule's")
    )
    initial_weight: float | None = field(
        default=None, metadata=_flag(NETWORK, "Scale of the initial weights.", "the rule's")
    )
    initial_fan_in: float | None = field(
        default=None,
        metadata=_flag(
            NETWORK,
            "Divide them by the number of sources to this power; 0.5 suits any width.",
            "the rule's; 0 in the article's",
        ),
    )
    rule: str = field(
        default="signed",
        metadata=_flag(
            LEARNING,
            "The variant: signed (the article's), split (with Kaneko's error), kaneko (his program), "
            "edla (Fujita's) or modulo (Diffusing Blame's: one network for all classes).",
            "signed; modulo with --text",
            names=lambda: PRESETS,
        ),
    )
    alpha: float | None = field(
        default=None, metadata=_flag(LEARNING, "Learning rate of all layers but the output layer.", "the rule's")
    )
    alpha_output: float | None = field(
        default=None, metadata=_flag(LEARNING, "Learning rate of the output layer.", "the rule's; 1 with --text")
    )
    decay: bool | None = field(
        default=None,
        metadata=_flag(LEARNING, "Let both rates fall linearly over the run, to a hundredth.", "only with --text"),
    )
    batch_size: int | None = field(
        default=None,
        metadata=_flag(
            LEARNING, "Samples in a batch.", f"64; digits {SCHEDULES['digits'][1]}; 16 with --data, 128 with --text"
        ),
    )
    epochs: int | None = field(
        default=None,
        metadata=_flag(
            LEARNING,
            "Passes over the training samples.",
            f"1; digits {SCHEDULES['digits'][0]}; xor and parity {PATTERN_SCHEDULE[0]}; 100 with --data; as many as "
            "make two million characters with --text",
        ),
    )
    seed: int | None = field(
        default=None, metadata=_flag(LEARNING, "Seed of the weights and of the shuffling.", "a fresh one, printed")
    )
    backend: str = field(
        default="auto",
        metadata=_flag(PLACE, "A name that edcore info lists, or auto.", names=backend_names),
    )
    device: str | None = field(
        default=None, metadata=_flag(PLACE, "Such as cpu, cuda or cuda:1.", "the backend's choice")
    )
    dtype: str = field(
        default="float32", metadata=_flag(PLACE, "float32 or float64.", names=lambda: ["float32", "float64"])
    )
    eval_every: int | None = field(
        default=None,
        metadata=_flag(SHOWN, "Batches from one test to the next.", f"{EVAL_EVERY}; a tenth of the run with --text"),
    )


class Option(NamedTuple):
    """A row of the table."""

    name: str
    declared: Any  # the type, as in `TrainOptions`, such as int | None
    default: Any
    panel: str
    help: str
    shown_default: str | None  # words that the help shows in place of the default
    names: Callable[[], Iterable[str]] | None  # values that a shell completes

    @property
    def value_type(self) -> type:
        """The type of a value that is given, such as int; of whole numbers in a text, too."""
        only, *_ = [kind for kind in get_args(self.declared) or (self.declared,) if kind is not type(None)]
        return cast(type, only)


OPTIONS = {one.name: Option(one.name, one.type, one.default, **one.metadata) for one in fields(TrainOptions)}
"""The table, by the names of the options."""

OF_TABLES = tuple(name for name, option in OPTIONS.items() if option.panel == TABLE)
OF_TEXTS = tuple(name for name, option in OPTIONS.items() if option.panel == TEXT)
OF_DATA_SETS = tuple(name for name, option in OPTIONS.items() if option.panel == DATA)
"""Options of runs on a user's own table, on a text, and on a data set."""

KEPT = tuple(
    name
    for name in OPTIONS
    if name not in ("batch_size", "epochs", "eval_every", "backend", "device") and name not in OF_TABLES
)
"""Options that a checkpoint keeps as they were given. The others stand in other fields of it."""

OF_ARGUMENTS = {
    "hidden_width": "width",
    "hidden_depth": "depth",
    "in_": "features",
    "fan_in": "initial_fan_in",
    "max_iter": "epochs",
    "validation_fraction": "validation",
}
"""Options whose names differ from those of the library's arguments."""

INITIAL = re.compile(r"\binitial=Initial\((weight|fan_in)=([^)]*)\)")
PYTHON = r"""(True|False|None|'[^']*'|"[^"]*"|[-+]?[0-9][-+.0-9e]*[0-9]|[0-9])"""
ARGUMENT = re.compile(rf"(?<![\w'\"/.-])([a-z_][a-z0-9_]*)={PYTHON}(?![\w/]|\.\w)")
LISTED = re.compile(r"(?<!\w)\(\w+(?:, \w+)*\)")
BARE = re.compile(r"(?<![\w'\"/.-])([a-z]+_[a-z_]*)(?![\w'\"/.=-]*[\w'\"/=:-])")
"""Arguments of Python in a sentence, such as ``rms=True``; their names in brackets; and those with a _, but not in
paths or quotes."""


def parsed_width(value: Any, name: str = "width") -> Any:
    """Return what the option width says: "512,128" are the widths of the layers of hidden cells in turn."""
    if not isinstance(value, str):
        return checked_width(name, value) if isinstance(value, list | tuple) else value  # `ED` checks an int
    if "," not in value:
        check_text(name, value, int)
        return int(float(value))
    parts = [part.strip() for part in value.split(",")]
    if all(re.fullmatch("[1-9][0-9]*", part) for part in parts):
        return checked_width(name, tuple(map(int, parts)))
    fix = f"Write it without commas: {''.join(parts)}." if re.fullmatch(r"\d{1,3}(,\d{3})+", value) else ""
    raise InputError(name, shown(value), "a whole number, or several with commas between them, as 512,128", fix)


def width_in_words(width: int | tuple[int, ...]) -> int | str:
    """Return one width, or several as they are typed."""
    return ",".join(map(str, width)) if isinstance(width, tuple) else width


def typed(name: str) -> str:
    """Return an option as it is typed: --batch-size for batch_size."""
    return f"--{name.replace('_', '-')}"


def typed_command(word: str, given: Iterable[str], options: Mapping[str, Any]) -> str:
    """Return a command of edcore as it is typed, without the options that are None."""
    words = ["edcore", word, *given]
    for name, value in options.items():
        if isinstance(value, bool):
            words.append(typed(name if value else f"no_{name}"))
        elif value is not None:
            words += [typed(name), str(value)]
    return shlex.join(words)


def as_options(sentence: str, known: Collection[str] = tuple(OPTIONS), *, toml: bool = False) -> str:
    """Return a sentence with options in place of the Python arguments in it that are `known`: --rms for rms=True.

    With `toml` they are those of a file of options: rms = true.
    """

    def instead(match: re.Match[str]) -> str:
        name, value = OF_ARGUMENTS.get(match[1], match[1]), match[2]
        if name not in known:
            return match[0]
        option = typed(name)
        if value == "None":
            return f"no {name}" if toml else f"no {option}"
        if toml:
            return f"{name} = {value.lower() if value in ('True', 'False') else value.replace(chr(39), chr(34))}"
        if value in ("True", "False"):
            return option if value == "True" else option.replace("--", "--no-")
        return f"{option} {value.strip(chr(39))}"

    def named(match: re.Match[str]) -> str:
        name = OF_ARGUMENTS.get(match[1], match[1])
        return typed(name) if name in known and not toml else match[0]

    def each(match: re.Match[str]) -> str:
        names = [OF_ARGUMENTS.get(name, name) for name in match[0][1:-1].split(", ")]
        return match[0] if toml or set(names) - set(known) else f"({', '.join(map(typed, names))})"

    sentence = LISTED.sub(each, sentence)
    return BARE.sub(named, ARGUMENT.sub(instead, INITIAL.sub(r"initial_\1=\2", sentence)))
