"""What a run of ``edcore train`` was told, as its checkpoint has it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from edcore.values import whole_number

__all__ = ["Run"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What a run was told, on what data, and how far it has come.

    Parameters
    ----------
    options : dict
        Options of ``edcore train`` as they were given, but for those below; None where the default was taken.
    epochs, batch_size, eval_every : int
        As for `edcore.training.train`.
    samples : int
        Training samples.
    data : str
        The fingerprint of the data set, see `edcore.checkpoint.fingerprint`.
    batch : int
        Batches learnt.
    """

    options: dict[str, str | float | bool | None]
    epochs: int
    batch_size: int
    eval_every: int
    samples: int
    data: str
    batch: int = 0

    @property
    def batches(self) -> int:
        """Batches of the whole run."""
        return self.epochs * math.ceil(self.samples / self.batch_size)

    def as_dict(self) -> dict[str, Any]:
        """Return what stands in a file's header."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Run:
        """Return the run of which a header tells; a ValueError, TypeError or KeyError where it tells of none."""
        run = cls(**{field.name: values[field.name] for field in fields(cls)})
        for name in ("epochs", "batch_size", "eval_every", "samples"):
            whole_number(name, values[name], 1)
        options = run.options.values()
        if not isinstance(run.data, str) or any(
            type(value) not in (str, int, float, bool, type(None)) for value in options
        ):
            raise TypeError("wrong options or data")
        for name in ("dataset", "classes", "data_dir", "rule"):
            if not isinstance(run.options[name], str):
                raise TypeError(f"{name} is {run.options[name]!r:.50}")
        if whole_number("batch", run.batch, 0) > run.batches:
            raise ValueError(f"{run.batch} batches of {run.batches}")
        return run
