"""What a row of the table is, and how it is run."""

from __future__ import annotations

import ast
import contextlib
import faulthandler
import importlib.util
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

REFUSED = "refused"
"""How a row in Python ends that raises one of edcore's errors."""

COLOUR = re.compile(r"\x1b\[[0-9;]*m")
UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\u2028\u2029\ufeff\ud800-\udfff]"
)
"""What no sentence may hand to a terminal: controls, marks that turn the direction of text, and bytes that are none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """An input of the world, and what must come of it.

    Of each row holds: no traceback, nothing unprintable in what is printed or raised, and no error but edcore's.
    """

    name: str
    python: str = ""  # a program; its last line, if it is an expression, is the value of the row
    shell: str = ""  # or a command line for bash, in a process of its own if it has more than words
    ends: int | str = 0  # the exit code; in Python 0, or REFUSED
    value: object = ...  # in Python, what the last line must equal; without it, the last line is not False
    says: tuple[str, ...] = ()  # what stdout, stderr and the error must contain
    never: tuple[str, ...] = ()  # and what they must not
    files: Mapping[str, str | bytes | Callable[[Path], None]] = field(default_factory=dict)  # in the row's folder
    leaves: Mapping[str, str | bytes | None] = field(default_factory=dict)  # files at the end; None where there is none
    environment: Mapping[str, str] = field(default_factory=dict)
    needs: tuple[str, ...] = ()  # packages, "linux", or "program gcc": the row is skipped without them
    alone: bool = False  # in a process of its own
    slow: bool = False  # not in each run of the suite
    most: float = 60.0  # seconds after which the row hangs

    def __post_init__(self) -> None:
        assert bool(self.python) != bool(self.shell), f"{self.name}: either python or shell"
        assert self.ends not in (REFUSED, 1, 2) or self.says, f"{self.name}: anything may be refused; what does it say?"
        if self.value is not ...:
            last = ast.parse(self.python).body[-1:]
            looked_at = self.ends == 0 and last and isinstance(last[0], ast.Expr)
            assert looked_at, f"{self.name}: its value is looked at nowhere"

    def __str__(self) -> str:
        return self.name

    @property
    def missing(self) -> list[str]:
        """What the row needs and is not here."""
        return [need for need in self.needs if not _is_here(need)]

    def check(self) -> None:
        """Run the row in a folder of its own, and raise an AssertionError that says what was otherwise."""
        with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as own:
            for name, content in self.files.items():
                path = Path(folder, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                if callable(content):
                    content(path)
                else:
                    path.write_bytes(content.encode() if isinstance(content, str) else content)
            with as_for_a_user(folder, own):
                ended, printed = self._run(own)
            paths = {name: Path(folder, name) for name in self.leaves}
            left = {name: path.read_bytes() if path.exists() else None for name, path in paths.items()}
        report = f"{self.python or self.shell}\nended with {ended!r}, and said:\n{printed}"
        assert "Traceback (most recent" not in printed, report
        assert not UNPRINTABLE.search(COLOUR.sub("", printed)), f"unprintable: {report!r}"
        assert ended == self.ends, report
        for name, content in self.leaves.items():
            wanted = content.encode() if isinstance(content, str) else content
            assert left[name] == wanted, f"it leaves {name} with {left[name]!r:.500}: {report}"
        flat = " ".join(printed.split())
        for text in self.says:
            assert text in flat, f"it does not say {text!r}: {report}"
        for text in self.never:
            assert text not in flat, f"it says {text!r}: {report}"

    def _run(self, own: str) -> tuple[int | str, str]:
        words = self.shell.partition(" ")[0] == "edcore" and not set("|&;<>$`(){}\n*") & set(self.shell)
        if not (self.alone or self.environment) and (self.python or words):
            # One that hangs cannot be ended alone, but is shown by its stack; the machine may be busy.
            faulthandler.dump_traceback_later(5 * self.most, exit=True, file=sys.__stderr__)
            try:
                return in_process(self.python, self.value) if self.python else command(self.shell)
            finally:
                faulthandler.cancel_dump_traceback_later()
        environment = {name: value for name, value in os.environ.items() if name != "JAX_ENABLE_X64"}  # the suite's own
        environment |= {"PYTHONWARNINGS": "default", **self.environment}
        if "PYTHONPATH" in self.environment and "PYTHONPATH" in os.environ:  # where the edcore that is tested may be
            environment["PYTHONPATH"] += f"{os.pathsep}{os.environ['PYTHONPATH']}"
        if self.python:
            start = f"import sys; sys.path.insert(0, {str(Path(__file__).parents[1])!r}); from world.row import program"
            line = [sys.executable, "-c", f"{start}\nprogram({self.python!r}, {self.value!r})"]
        else:
            # The command and the Python that are tested, whatever the PATH says; `exec`, so that signals reach them.
            for name, options in (("edcore", " -m edcore"), ("python", "")):
                script = Path(own, name)
                script.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)}{options} "$@"\n')
                script.chmod(0o755)
            environment["PATH"] = f"{own}:{environment.get('PATH', os.defpath)}"
            line = ["bash", "-c", self.shell]
        with subprocess.Popen(
            line,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as process:
            try:
                printed, _ = process.communicate(timeout=self.most)
            except subprocess.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, 9)
                printed, _ = process.communicate()
                return "hangs", printed.decode(errors="backslashreplace")
        code: int | str = process.returncode
        if self.python and code == 3:
            code = REFUSED
        return code, printed.decode(errors="surrogateescape")


def _is_here(need: str) -> bool:
    """Return whether a package, a platform or a program is here."""
    if need in ("linux", "darwin"):
        return sys.platform == need
    if need.startswith("program "):
        return shutil.which(need.removeprefix("program ")) is not None
    return importlib.util.find_spec(need) is not None


def show(
    message: Warning | str, kind: type[Warning], file: str, number: int, out: object = None, line: str | None = None
) -> None:
    """Print a warning as Python does."""
    sys.stderr.write(warnings.formatwarning(message, kind, file, number, line))


@contextlib.contextmanager
def as_for_a_user(folder: str, own: str) -> Iterator[None]:
    """Go to a folder, without the settings of whoever runs the rows; put back at the end what a row may change."""
    from edcore.dispatch import registry

    here, environment, path, backends = Path.cwd(), dict(os.environ), [*sys.path], dict(registry.installed())
    for name in ("EDCORE_BACKEND", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        os.environ.pop(name, None)
    os.environ |= {"COLUMNS": "200", "XDG_CONFIG_HOME": own, "WIN_PD_OVERRIDE_LOCAL_APPDATA": own}  # calibrations
    os.chdir(folder)
    try:
        with warnings.catch_warnings(), np.errstate():
            warnings.simplefilter("default")
            warnings.showwarning = show  # pytest keeps them to itself otherwise
            yield
    finally:
        os.chdir(here)
        os.environ.clear()
        os.environ |= environment
        sys.path[:] = path
        registry.installed().clear()
        registry.installed().update(backends)


def names() -> dict[str, object]:
    """Return what programs of rows have without an import."""
    import edcore

    x = np.random.default_rng(0).random((60, 4))
    return {
        "np": np,
        "edcore": edcore,
        "ED": edcore.ED,
        "EDClassifier": edcore.EDClassifier,
        "EDRegressor": edcore.EDRegressor,
        "Rule": edcore.Rule,
        "Path": Path,
        "X": x,
        "Y": np.arange(60) % 2,
        "__name__": "__main__",
    }


def in_process(source: str, value: object = ...) -> tuple[int | str, str]:
    """Run a program and return 0 or REFUSED, or the name of another error, and what was printed and raised."""
    from edcore.errors import EDCoreError

    tree = ast.parse(source)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    space, printed = names(), io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        try:
            exec(compile(tree, "<row>", "exec"), space)
            if last is not None:
                found = eval(compile(ast.Expression(last.value), "<row>", "eval"), space)
                if found is False if value is ... else found != value:
                    return f"value {found!r}", printed.getvalue()
        except EDCoreError as error:
            return REFUSED, f"{printed.getvalue()}{type(error).__name__}: {error}"
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
            return code if value is ... else f"exit code {code} before its value", printed.getvalue()
        except Exception as error:
            traceback.print_exc(file=printed)
            return type(error).__name__, printed.getvalue()
    return 0, printed.getvalue()


def program(source: str, value: object) -> None:
    """Do as `in_process` does, for a process of its own: its exit code is 3 for REFUSED, and 4 for other ends."""
    ended, printed = in_process(source, value)
    if isinstance(ended, str) and ended != REFUSED:
        printed += f"\n{ended}"
    sys.stdout.write(printed)
    sys.exit(ended if isinstance(ended, int) else 3 if ended == REFUSED else 4)


def command(line: str) -> tuple[int | str, str]:
    """Run a command in this process, and return its exit code and what it printed."""
    from edcore.cli import app as cli
    from fuzz.shell import quiet, tree

    real, cli.app = cli.app, tree()
    code: int | str = 0
    try:
        with quiet() as (out, err):
            try:
                cli.main(shlex.split(line)[1:])
            except SystemExit as end:
                code = end.code or 0
            except Exception as error:
                code = type(error).__name__
                traceback.print_exc()
    finally:
        cli.app = real
    return code, (out.buffer.getvalue() + err.buffer.getvalue()).decode(errors="backslashreplace")
