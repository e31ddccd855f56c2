"""What several commands share: options from a TOML file, names that the shell completes, files checked beforehand."""

from __future__ import annotations

import inspect
import os
import tomllib
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, TypeAlias, get_args, get_type_hints

import typer

from edcore.core.presets import PRESETS
from edcore.datasets.catalogue import MOST_BITS, NAMES
from edcore.dispatch.registry import installed
from edcore.errors import DataFileError, EDCoreError, InputError, UnknownNameError
from edcore.files.atomic import write_atomically

PICTURES = (".pdf", ".png", ".svg")

WHERE = "Where it runs"

LARGEST_CONFIG = 2**14
"""Bytes of a file of options. Python's parser may need a second for so many, and then four for twice as many."""


def completed(names: Callable[[], Iterable[str]]) -> Callable[[str], list[str]]:
    """Return what a shell asks for the names that begin with what has been typed."""

    def matching(incomplete: str) -> list[str]:
        return sorted(name for name in names() if name.startswith(incomplete))

    return matching


backend_names = completed(lambda: ["auto", *installed()])
rule_names = completed(lambda: PRESETS)
dataset_names = completed(
    lambda: [*(name for name in NAMES if name != "parityN"), *(f"parity{bits}" for bits in range(1, MOST_BITS + 1))]
)


def read_toml(path: Path) -> dict[str, Any]:
    """Return what a TOML file of options has, all of which a sentence on what is wrong with it can quote."""
    try:
        with path.open("rb") as file:  # a pipe is taken as well
            text = file.read(LARGEST_CONFIG + 1)
        if len(text) > LARGEST_CONFIG:
            raise ValueError(f"more than {LARGEST_CONFIG:,} bytes")
        content = tomllib.loads(text.decode("utf-8"))
        repr(content)  # neither numbers of too many digits nor tables nested too deeply
    except OSError as error:
        raise DataFileError(f"--config: {path} cannot be read ({error.strerror or error}). Check its name.") from error
    except (ValueError, RecursionError) as error:
        fix = 'It has lines such as width = 32 below a line [train]; texts stand in quotes: rule = "split".'
        raise DataFileError(f"--config: {path} is no TOML ({' '.join(str(error).split())}). {fix}") from error
    return content


def _read_config(context: typer.Context, path: Path | None) -> Path | None:
    """Make the file's table of this command the defaults of its options: what is given beside it wins."""
    if path is None or context.resilient_parsing:
        return path
    content = read_toml(path)
    command = str(context.info_name)
    table = content.get(command)
    if not isinstance(table, dict):
        given = f"{path} with {', '.join(f'[{name}]' for name in content) or 'nothing in it'}"
        raise InputError(
            "config", given, f"a TOML file with a table [{command}]", f"Write [{command}] above the options."
        )
    names = {
        option.removeprefix("--"): str(parameter.name)
        for parameter in context.command.params
        for option in parameter.opts
        if option.startswith("--") and parameter.name not in ("config", "help")
    }
    kinds = get_type_hints(inspect.unwrap(context.command.callback or _read_config))
    context.default_map = {}
    for key, value in table.items():
        option = key.replace("_", "-")
        if option not in names:
            raise UnknownNameError(f"config, {path}, [{command}]", key, names)
        name = names[option]
        context.default_map[name] = _as_typed(f"config, {path}, {key}", value, kinds[name])
    return path


def _as_typed(name: str, value: Any, kind: Any) -> Any:
    """Return a value of TOML's as it would be typed: a list with commas between its items."""
    kinds = get_args(kind) or (kind,)
    flag, text = bool in kinds, str in kinds
    if isinstance(value, bool) if flag else type(value) in (int, float, str):
        return value
    if text and isinstance(value, list) and value and all(type(item) in (int, float, str) for item in value):
        return ",".join(map(str, value))
    accepted = "true or false" if flag else "a text, a number, or a list of them" if text else "a number or a text"
    raise InputError(name, repr(value), accepted)


ConfigOption: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        callback=_read_config,
        is_eager=True,
        help="A TOML file whose table with this command's name has options, as width = 32. Options typed here win.",
        rich_help_panel="Files",
    ),
]
BackendOption: TypeAlias = Annotated[
    str,
    typer.Option(help="A name that edcore info lists, or auto.", autocompletion=backend_names, rich_help_panel=WHERE),
]
DeviceOption: TypeAlias = Annotated[
    str | None,
    typer.Option(help="Such as cpu, cuda or cuda:1.", show_default="the backend's choice", rich_help_panel=WHERE),
]
DtypeOption: TypeAlias = Annotated[
    str,
    typer.Option(
        help="float32 or float64.",
        autocompletion=completed(lambda: ["float32", "float64"]),
        rich_help_panel=WHERE,
    ),
]


JsonOption: TypeAlias = Annotated[
    bool, typer.Option("--json", help="Print one JSON object, and nothing else, on stdout.")
]


def check_writable(name: str, path: Path | None, endings: tuple[str, ...] = ()) -> None:
    """Refuse, before minutes of computing, a file that could not be written after them, or has another ending."""
    if path is None:
        return
    folder = path.absolute().parent
    if path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        raise InputError(name, repr(str(path)), "a file in a folder that exists and can be written to")
    if endings and path.suffix not in endings:
        raise InputError(name, repr(str(path)), f"a file whose name ends in {', '.join(endings)}")


def check_picture(name: str, path: Path | None, endings: tuple[str, ...] = PICTURES) -> None:
    """Refuse, before minutes of computing, a picture that could not be drawn after them."""
    check_writable(name, path, endings)
    if path:
        check_package("matplotlib", "plots", f"--{name}")


def check_package(package: str, extra: str, option: str) -> None:
    """Refuse an option whose package is not installed."""
    if find_spec(package) is None:
        fix = f'Install it with: pip install "edcore[{extra}]".'
        raise EDCoreError(f"{option} needs the package {package}, which is not installed. {fix}")


def check_different(**files: Path | None) -> None:
    """Refuse two options that name one file: the one would overwrite the other."""
    found: dict[str, str] = {}
    for name, path in files.items():
        if path is not None:
            other = found.setdefault(os.path.realpath(path), name)
            if other != name:
                raise InputError(name, repr(str(path)), f"another file than that of {other}")


def nearest(path: Path) -> Path:
    """Return the path, or what of it is there already."""
    return next(one for one in (path.absolute(), *path.absolute().parents) if one.exists())


def write_file(name: str, path: Path, content: bytes) -> None:
    """Write what a command has made, whole or not at all."""
    try:
        write_atomically(path, content)
    except OSError as error:
        raise DataFileError(f"--{name}: {path} cannot be written ({error.strerror or error}).") from error
