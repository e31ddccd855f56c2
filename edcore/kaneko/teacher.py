"""The patterns and the teachers of Kaneko's program: each output's targets, given or of a kind that has a name."""

from __future__ import annotations

from typing import Any

import numpy as np

from edcore.errors import InputError, shown
from edcore.kaneko.rand import PARTS, Floats, Rand

KINDS = ("parity", "mirror", "random", "real", "one")
"""The program's kinds 1, 2, 0, 4 and 5. Kind 3, targets that the user gives, has no name."""

NAMES = ", ".join(map(repr, KINDS))


def checked_teacher(teacher: Any, patterns: int, outputs: int) -> Any:
    """Return a name for all outputs, or a tuple: each output's name or targets, or each pattern's targets."""
    if isinstance(teacher, list | tuple) and any(isinstance(kind, str) for kind in teacher):
        accepted = f"{NAMES}, or a target from 0 to 1 for each of {patterns} patterns"
        if len(teacher) != outputs:
            given = f"{len(teacher)} kind{'s' * (len(teacher) != 1)} of targets"
            raise InputError("teacher", given, f"one for each output ({outputs} here): {accepted}")
        found = tuple(_name_or_targets(kind, (patterns,), accepted) for kind in teacher)
        ones = found.count("one")
        found = found[0] if found.count(found[0]) == outputs else found
    else:
        accepted = f"{NAMES}, or targets from 0 to 1, patterns × outputs: {patterns} × {outputs}"
        found = _name_or_targets(teacher, (patterns, outputs), accepted)
        ones = outputs if found == "one" else 0
    if ones > 1 and ones > (most := len(np.unique(np.floor(np.arange(PARTS) / PARTS * patterns)))):
        fix = "Each of these outputs takes a pattern that no other one has."
        raise InputError(
            "teacher", f"'one' for {ones} outputs", f"it for at most {most} outputs with {patterns} patterns", fix
        )
    return found


def _name_or_targets(value: Any, shape: tuple[int, ...], accepted: str) -> Any:
    """Return a known name, or targets of this shape as tuples."""
    if isinstance(value, str) and value in KINDS:
        return str(value)
    try:
        targets = np.asarray(value)
    except Exception:  # arrays of other libraries raise errors of many kinds
        targets = np.asarray(None)
    if targets.dtype.kind not in "biuf" or targets.ndim == 0 or isinstance(value, np.ma.MaskedArray):
        raise InputError("teacher", shown(value), accepted)
    if shape == (*targets.shape, 1):
        targets = targets[:, None]
    if targets.shape != shape:
        given = f"{' × '.join(map(str, targets.shape))} target{'s' * (targets.size != 1)}"
        raise InputError("teacher", given, accepted)
    if not np.all((targets >= 0) & (targets <= 1)):
        fix = "An output lies between 0 and 1, and its error would never vanish."
        raise InputError("teacher", "a value outside 0 to 1", accepted, fix)
    rows = targets.astype(np.float64).tolist()
    return tuple(map(tuple, rows)) if targets.ndim == 2 else tuple(rows)


def draw(
    random: Rand, teacher: Any, patterns: int, inputs: int, outputs: int, random_inputs: bool
) -> tuple[Floats, Floats]:
    """Return the inputs (patterns, inputs) and targets (patterns, outputs), drawn in the program's order."""
    kinds = (teacher,) * outputs if isinstance(teacher, str) else teacher
    if not any(isinstance(kind, str) for kind in kinds):
        kinds = tuple(zip(*kinds, strict=True))
    # No pattern's number has bit 62, and NumPy defines no shift by more bits than a number has.
    x = (np.arange(patterns)[:, None] >> np.minimum(np.arange(inputs), 62) & 1).astype(np.float64)
    targets = np.zeros((patterns, outputs))
    drawn = [output for output, kind in enumerate(kinds) if kind in ("random", "real", "one")]
    output_of: dict[int, int] = {}
    for pattern in range(patterns if drawn or random_inputs else 0):
        if random_inputs:
            x[pattern] = random.draws(inputs)
        output_of.clear()  # each pattern draws the patterns of "one" anew, and the last draw counts
        for output in drawn:
            if kinds[output] == "one":
                while (one := int(random.r() * patterns)) in output_of:
                    pass
                output_of[one] = output
            else:
                targets[pattern, output] = random.r()
    for one, output in output_of.items():
        targets[one, output] = 1
    parity, mirror = (x > 0.5).sum(axis=1) % 2, (x == x[:, ::-1]).all(axis=1)
    for column, kind in zip(targets.T, kinds, strict=True):
        match kind:
            case "parity":
                column[:] = parity
            case "mirror":
                column[:] = mirror
            case "random":
                column[:] = column > 0.5
            case tuple():
                column[:] = kind
    return x, targets
