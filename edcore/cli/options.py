"""Options of several commands: options from a TOML file, names that the shell completes, checks of output files."""

from __future__ import annotations

import contextlib
import functools
import inspect
import os
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any, TypeAlias, cast, get_args

import typer

from edcore.arguments import check_text, checked_path
from edcore.console import only_own_output
from edcore.environment import check_package
from edcore.errors import DataFileError, EDCoreError, InputError, UnknownNameError
from edcore.files.atomic import check_can_write, replace_after, text_at_most, with_retries
from edcore.training.options import OPTIONS

PICTURES = (".pdf", ".png", ".svg")

FILES = "Files"
"""The table of the help that lists files."""

LARGEST_CONFIG = 2**14
"""Bytes of a file of options. Python's TOML parser may take a second for this many, and four for twice as many."""


def complete_from(names: Callable[[], Iterable[str]]) -> Callable[[str], list[str]]:
    """Return a function that returns the names which begin with the typed text, as Typer's completion wants it."""

    def matching(incomplete: str) -> list[str]:
        return sorted(name for name in names() if name.startswith(incomplete))

    return matching


def _whole_numbers(text: str) -> Any:
    """Return a whole number, or the text of several with commas between them, which are checked where they are used."""
    return text if "," in str(text) else int(float(text)) if "." in str(text) else int(text)


def flag(name: str, shown_default: str | bool = "") -> Any:
    """Return the flag of a training option; for another default, with words for that or True, which shows it."""
    option = OPTIONS[name]
    return typer.Option(
        help=option.help,
        show_default=shown_default or option.shown_default or True,
        autocompletion=complete_from(option.names) if option.names else None,
        parser=_whole_numbers if name == "width" else None,
        metavar="INTEGERS" if name == "width" else None,
        rich_help_panel=option.panel,
    )


def takes_train_options(command: Callable[..., None]) -> Callable[..., None]:
    """Replace `**options` in the signature of a command by the flags of all training options."""
    signature = inspect.signature(command, eval_str=True)
    context, *others = [one for one in signature.parameters.values() if one.kind is not inspect.Parameter.VAR_KEYWORD]
    flags = [
        inspect.Parameter(name, context.kind, default=one.default, annotation=Annotated[declared, flag(name)])
        for name, one in OPTIONS.items()
        for declared in [str if name == "width" else one.declared]  # a parser reads it
    ]
    cast(Any, command).__signature__ = signature.replace(parameters=[context, *flags, *others])
    return command


def prepared(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command that takes ~ in its paths for the home folder, and whose stdout is its own.

    Shells leave the ~ in --plot=~/run.png as it is.
    """

    @functools.wraps(command)
    def called(*arguments: Any, **options: Any) -> None:
        paths = {name: checked_path(name, value) for name, value in options.items() if isinstance(value, Path)}
        with only_own_output():
            command(*arguments, **{**options, **paths})

    return called


def read_toml(path: Path) -> dict[str, Any]:
    """Return the content of a TOML file of options."""
    try:
        content = tomllib.loads(text_at_most(path, LARGEST_CONFIG))
        # Error messages quote values, and Python cannot print numbers of too many digits or deeply nested tables.
        repr(content)
    except OSError as error:
        raise DataFileError(f"--config: {path} cannot be read ({error.strerror or error}). Check its name.") from error
    except (ValueError, RecursionError) as error:
        fix = 'Write lines such as width = 32 below a line [train], and texts in quotes: rule = "split".'
        raise DataFileError(f"--config: {path} is not TOML ({' '.join(str(error).split())}). {fix}") from error
    return content


def _read_config(context: typer.Context, path: Path | None) -> Path | None:
    """Make this command's table in the file the defaults of its options, so that typed options win."""
    if path is None or context.resilient_parsing:
        return path
    path = checked_path("config", path)
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
    signature = inspect.signature(cast(Any, context.command.callback), eval_str=True)
    context.default_map = {}
    for key, value in table.items():
        option = key.replace("_", "-")
        if option not in names:
            raise UnknownNameError(f"config, {path}, [{command}]", key, names)
        if names[option] in context.default_map:
            raise InputError(f"config, {path}, {key}", f"twice in [{command}]", "each option once", "Give it once.")
        declared, *_ = get_args(signature.parameters[names[option]].annotation)  # of Annotated[int | None, flag]
        if names[option] == "width" and not (isinstance(value, list) and len(value) > 1):
            declared = int
        context.default_map[names[option]] = _as_typed(f"config, {path}, {key}", value, declared)
    return path


def _as_typed(name: str, value: Any, declared: Any) -> Any:
    """Return a TOML value in the form in which it is typed: a list becomes a text with commas."""
    types = get_args(declared) or (declared,)
    kind = next((one for one in (bool, int, float, str) if one in types), Path)
    if kind is bool:
        if not isinstance(value, bool):
            quoted = value in ("true", "false")
            raise InputError(name, repr(value), "true or false", "Write it without quotes." if quoted else "")
    elif kind in (int, float):
        if type(value) not in (int, float, str):
            given = str(value).lower() if isinstance(value, bool) else repr(value)
            raise InputError(name, given, "a whole number" if kind is int else "a number")
        check_text(name, str(value), kind)
    elif kind is str and isinstance(value, list) and value and all(type(item) in (int, float, str) for item in value):
        return ",".join(map(str, value))
    elif type(value) is not str and (kind is Path or type(value) not in (int, float)):
        accepted = "a text in quotes" if kind is Path else "a text, a number, or a list of them"
        raise InputError(name, repr(value), accepted)
    return value


ConfigOption: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        callback=_read_config,
        is_eager=True,
        help="A TOML file whose table with this command's name has options, as width = 32. Options typed here win.",
        rich_help_panel=FILES,
    ),
]
BackendOption: TypeAlias = Annotated[str, flag("backend")]
DeviceOption: TypeAlias = Annotated[str | None, flag("device")]
JsonOption: TypeAlias = Annotated[
    bool, typer.Option("--json", help="Print one JSON object, and nothing else, on stdout.")
]


def check_writable(name: str, path: Path | None, endings: tuple[str, ...] = ()) -> None:
    """Refuse, before minutes of computing, a file that cannot be written or has another ending."""
    if path is None:
        return
    folder = path.absolute().parent
    accepted = "a file in a folder that exists and can be written to"
    if path.is_dir() or not folder.is_dir():
        raise InputError(name, repr(str(path)), accepted)
    try:
        check_can_write(path)
    except OSError as error:
        given = f"{str(path)!r} ({error.strerror or error})"
        raise InputError(name, given, f"{accepted}, and no write-protected file") from error
    if endings and path.suffix.lower() not in endings:
        raise InputError(name, repr(str(path)), f"a file whose name ends in {', '.join(endings)}")


def check_new(name: str, path: Path | None, force: bool) -> None:
    """Refuse, before minutes of computing, to overwrite a file without --force."""
    if path and path.exists() and not force:
        raise InputError(name, f"{str(path)!r}, which exists", "the name of a new file", "--force overwrites it.")


def check_picture(name: str, path: Path | None, endings: tuple[str, ...] = PICTURES) -> None:
    """Refuse, before minutes of computing, a picture that cannot be drawn."""
    check_writable(name, path, endings)
    if path:
        check_package("matplotlib", "plots", f"--{name}")
        from edcore.plots.canvas import check_drawing

        try:
            check_drawing(path.suffix[1:].lower())
        except Exception as error:  # what is wrong with an installation or its settings has errors of all kinds
            reason = f"{type(error).__name__}: {' '.join(str(error).split()):.200}"
            fix = f"Mend its installation or its settings (MPLBACKEND, matplotlibrc), or leave --{name} out."
            raise EDCoreError(f"--{name}: matplotlib cannot draw here ({reason}). {fix}") from error


def check_different(**files: Path | None) -> None:
    """Refuse two options that name the same file: one would overwrite the other."""
    found: dict[str, str] = {}
    for name, path in files.items():
        if path is not None:
            other = found.setdefault(os.path.realpath(path), name)
            if other != name:
                raise InputError(name, repr(str(path)), f"another file than that of {other}")


def nearest_existing(path: Path) -> Path:
    """Return the path, or its nearest parent that exists."""
    return next(one for one in (path.absolute(), *path.absolute().parents) if one.exists())


def write_file(name: str, path: Path, content: bytes, *, new: bool = False) -> None:
    """Write the output of a command, atomically; with `new`, replace no file."""
    write_files(name, {path: content}, new=new)


def write_files(name: str, files: dict[Path, bytes], *, new: bool = False) -> None:
    """Write several output files of a command: all of them, or none if one cannot be written."""
    path = Path()

    def write() -> None:
        nonlocal path
        with contextlib.ExitStack() as stack:
            for path, content in files.items():
                stack.enter_context(replace_after(path, content, new=new))

    try:
        with_retries(write)
    except OSError as error:
        raise DataFileError(f"--{name}: {path} cannot be written ({error.strerror or error}).") from error
