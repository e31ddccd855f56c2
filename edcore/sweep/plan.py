"""The runs of a sweep: each combination of its grid, with each of its seeds."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import os
import tomllib
from collections.abc import Collection, Generator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, cast

from edcore.arguments import ReadOnly, checked_path, whole_number, yes_or_no
from edcore.environment import VERSION
from edcore.errors import DataFileError, EDCoreError, InputError, UnknownNameError, shown
from edcore.files.atomic import text_at_most
from edcore.parallel.tasks import run_tasks
from edcore.sweep.one_run import RESULTS, SweepRun, carry_out, check_run
from edcore.sweep.options import LARGEST, Value, check_name, check_size, checked, unpacked

MOST = 10**7
"""Most runs of a sweep. They are listed, and the list of more would not fit into most memories."""

LARGEST_FILE = 2**24
"""Bytes of a file, far more than its options and lists of values need."""

ENTRIES = ("seeds", "train", "grid")
"""The entries of a file."""


class Sweep(ReadOnly):
    """Runs that differ by their options and their seeds.

    They are numbered from 0: all combinations with the first seed, then all with the second, and so on. Of two options
    in the grid, the later one changes faster. So a sweep with more seeds has the same runs, followed by others.

    Parameters
    ----------
    train : mapping
        Options that all runs share, by the names of ``edcore train``: those in the tables Data, Network, Learning and
        Where it runs of its help, except the seed; and `tolerance`, as for `ED.fit`.
    grid : mapping
        Options that differ between the runs: a list or an array of values for each.
    seeds : int or sequence of int
        The number of seeds, counted from 0, or the seeds themselves.

    Attributes
    ----------
    train, grid : mapping
        The options, with _ between words, and their values in the types of the options.
    seeds : tuple of int
        The seeds.
    points : tuple of mapping
        The combinations: the options that each adds to `train`.

    Raises
    ------
    InputError
        If an argument is not accepted, a run has no such option, a value is of the wrong type, an option is given
        twice, a list is empty or has a value twice, or the sweep has more than ten million runs.

    Examples
    --------
    >>> from edcore.sweep import Sweep
    >>> sweep = Sweep({"dataset": "xor", "rule": "kaneko", "epochs": 300, "tolerance": 0.1}, {"width": [2, 4]}, seeds=3)
    >>> len(sweep)
    6
    >>> rows = sorted(sweep.rows(n_jobs=1), key=lambda row: row["run"])
    >>> [(row["run"], row["seed"], row["width"]) for row in rows]
    [(0, 0, 2), (1, 0, 4), (2, 1, 2), (3, 1, 4), (4, 2, 2), (5, 2, 4)]
    >>> rows[5]["accuracy"], rows[5]["learnt_epochs"] < 300
    (1.0, True)
    """

    train: Mapping[str, Value]
    grid: Mapping[str, tuple[Value, ...]]
    seeds: tuple[int, ...]
    points: tuple[Mapping[str, Value], ...]

    def __init__(
        self,
        train: Mapping[str, Any],
        grid: Mapping[str, Sequence[Any]] | None = None,
        seeds: int | Sequence[int] = 1,
    ) -> None:
        shared: dict[str, Value] = {}
        for name, value in _mapping("train", train).items():
            option, one = checked("train", name, value)
            if option in shared:
                raise InputError(f"train, {name}", "twice in [train]", "each option once", "Give it once.")
            shared[option] = one
        varied: dict[str, tuple[Value, ...]] = {}
        for name, values in _mapping("grid", {} if grid is None else grid).items():
            option = check_name("grid", name)
            unique = tuple(checked("grid", name, value)[1] for value in _listed(f"grid, {name}", values))
            if option in shared or option in varied:
                given = "twice, in [train] and in [grid]" if option in shared else "twice in [grid]"
                raise InputError(f"grid, {name}", given, "each option once", "Give it once.")
            _check_different(f"grid, {name}", unique)
            varied[option] = unique
        if any(isinstance(width, str) for width in varied.get("width", ())):  # a column has values of one type
            varied["width"] = tuple(map(str, varied["width"]))
        count = math.prod(len(values) for values in varied.values())
        if count > MOST:
            raise InputError("grid", f"{count:,} combinations", f"a sweep of at most {MOST:,} runs")
        self._set(train=MappingProxyType(shared), grid=MappingProxyType(varied), seeds=_seeds(seeds, MOST // count))
        points = (dict(zip(varied, values, strict=True)) for values in itertools.product(*varied.values()))
        self._set(points=tuple(map(MappingProxyType, points)))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (dict(self.train), dict(self.grid), self.seeds)

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Sweep:
        """Read a sweep from a TOML file.

        Parameters
        ----------
        path : path
            The file: a line ``seeds``, a table ``[train]`` and a table ``[grid]``. Each may be missing.

        Returns
        -------
        Sweep
            The sweep.

        Raises
        ------
        DataFileError
            If the file cannot be read, or is not TOML.
        InputError
            If its entries are not accepted.
        """
        path = checked_path("path", path)
        try:
            content = tomllib.loads(text_at_most(path, LARGEST_FILE))
        except OSError as error:
            raise DataFileError(f"{path} cannot be read ({error.strerror or error}). Check its name.") from error
        except (ValueError, RecursionError) as error:
            fix = "Write lines such as width = 32 below a line [train], and width = [8, 32] below a line [grid]."
            raise DataFileError(f"{path} is not TOML ({' '.join(str(error).split())}). {fix}") from error
        for name in content:
            if name not in ENTRIES:
                fix = "Write options of all runs below [train], and lists of values below [grid]."
                raise UnknownNameError(str(path), name, ENTRIES, fix)
        for name in ("train", "grid"):
            if not isinstance(content.get(name, {}), dict):
                check_size(f"{path}, {name}", content[name])
                raise InputError(
                    f"{path}, {name}", repr(content[name]), f"a table: a line [{name}], and lines with options below it"
                )
        try:
            return cls(content.get("train", {}), content.get("grid", {}), content.get("seeds", 1))
        except InputError as error:
            error.args = (f"{path}, {error}",)
            error.argument = f"{path}, {error.argument}"
            raise

    def __len__(self) -> int:
        return len(self.seeds) * len(self.points)

    @property
    def parameters(self) -> tuple[str, ...]:
        """The options that are columns of the table."""
        return tuple(name for name in (*self.train, *self.grid) if name not in ("backend", "device"))

    @property
    def fingerprint(self) -> str:
        """A checksum of the options, without the seeds: each row has it, so that rows of other sweeps are refused."""
        text = json.dumps([VERSION, sorted(self.train.items()), list(self.grid.items())])
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def run(self, number: int) -> SweepRun:
        """Return the run of this number, counted from 0."""
        if (number := whole_number("number", number, 0)) >= len(self):
            raise InputError("number", str(number), f"the number of a run, from 0 to {len(self) - 1:,}")
        seed, point = divmod(number, len(self.points))
        return SweepRun(number, self.seeds[seed], tuple({**self.train, **self.points[point]}.items()), VERSION)

    def check(self, local: bool = True) -> None:
        """Refuse a sweep of which no run can begin.

        Parameters
        ----------
        local : bool
            Whether the runs are made on this machine, so that backends and data must be here.

        Raises
        ------
        EDCoreError
            The error of the first run.
        """
        local = yes_or_no("local", local)
        first: EDCoreError | None = None
        for number in range(len(self.points)):
            try:
                return check_run(self.run(number), local)
            except EDCoreError as error:
                first = first or error
        raise cast(EDCoreError, first)  # a sweep has at least one combination

    def rows(self, *, n_jobs: int | None = None, done: Collection[int] = ()) -> Generator[dict[str, Any]]:
        """Carry out the runs, and yield the row of each when it is done.

        Parameters
        ----------
        n_jobs : int, optional
            Workers, as for ``joblib.Parallel``; ``joblib.parallel_config`` says where they are.
        done : collection of int
            Numbers of the runs to leave out.

        Yields
        ------
        dict
            The results of a run, by the names of `Results.columns`. A run that fails has the error's message in
            ``failed``.

        Raises
        ------
        InputError
            If an argument is not accepted.
        EDCoreError
            If workers die again and again, or have another version of edcore.
        """
        if not isinstance(done, Collection) or isinstance(done, str | bytes):
            raise InputError("done", shown(done), "a collection of numbers of runs")
        done = frozenset(whole_number("done", number, 0) for number in done)
        sweep = self.fingerprint
        tasks = {number: (self.run(number),) for number in range(len(self)) if number not in done}
        samples: dict[tuple[Any, ...], str] = {}  # fingerprints, by what names the data
        for _, row in run_tasks(carry_out, tasks, n_jobs=n_jobs, label=lambda number: f"run {number}"):
            *key, found = row.pop("samples", (None,))
            if samples.setdefault(tuple(key), found) != found:
                other = f"{key[0]} has other samples here than where the runs before it were made"
                row |= dict.fromkeys(RESULTS) | {"failed": other}
            yield row | {"sweep": sweep}


def _mapping(name: str, value: Any) -> Mapping[Any, Any]:
    if not isinstance(value, Mapping):
        raise InputError(name, shown(value), "a dictionary of options")
    return value


def _listed(name: str, values: Any, accepted: str = "a list of at least one value") -> Sequence[Any]:
    """Return what is a list of values, or an array of one axis, or refuse it."""
    values = unpacked(values)
    if isinstance(values, str | bytes | bytearray) or not isinstance(values, Sequence) or not values:
        check_size(name, values)
        raise InputError(name, shown(values), accepted)
    if isinstance(values, range) and values[MOST:]:
        raise InputError(name, shown(values), f"at most {MOST:,} values")
    return values


def _seeds(seeds: Any, most: int) -> tuple[int, ...]:
    seeds = unpacked(seeds)
    if isinstance(seeds, int) and not isinstance(seeds, bool):
        count = whole_number("seeds", seeds, 1)
        _check_count(count, most)
        return tuple(range(count))
    listed = _listed("seeds", seeds, "their number, at least 1, or a list of whole numbers")
    found = tuple(whole_number("seeds", seed, 0) for seed in listed)
    if max(found) > LARGEST:
        raise InputError("seeds", str(max(found)), f"whole numbers up to {LARGEST}")
    _check_count(len(found), most)
    _check_different("seeds", found)
    return found


def _check_count(seeds: int, most: int) -> None:
    if seeds > most:
        raise InputError(
            "seeds", f"{seeds:,} of them", f"at most {most:,} for this grid: a sweep has at most {MOST:,} runs"
        )


def _check_different(name: str, values: tuple[Value, ...]) -> None:
    seen = set[Value]()
    for value in values:
        if value in seen:
            raise InputError(name, repr(value), "each value once")
        seen.add(value)
