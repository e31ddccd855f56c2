"""What ``auto`` would like best: the backends in the order in which it tries them.

By priority; but backends of which a table says how fast they are on a type of device (see `edcore.dispatch.calibration`) are
ordered among themselves by that table, for the network's width.
"""

from __future__ import annotations

from dataclasses import dataclass

from edcore.arrays import device_type
from edcore.contract.backend import BackendInfo
from edcore.dispatch import registry
from edcore.dispatch.calibration import Row, calibration

SIMULATOR = "cudasim"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A backend on a type of device.

    Parameters
    ----------
    info : BackendInfo
        The backend.
    device : str
        Where to load it.
    row : Row or None
        The row of the table that gave it its place.
    """

    info: BackendInfo
    device: str
    row: Row | None = None

    @property
    def name(self) -> str:
        """The backend, and the type of device if it has others."""
        kinds = [kind for kind in self.info.device_types if kind != SIMULATOR]
        return self.info.name if len(kinds) < 2 else f"{self.info.name} on {self.device}"

    @property
    def kind(self) -> str:
        """The type of device."""
        return device_type(self.device)

    @property
    def ms(self) -> float | None:
        """Milliseconds of a step, by the table."""
        if self.row is None:
            return None
        return dict(zip(self.row.fastest, self.row.ms, strict=False)).get(self.info.name)


@dataclass(frozen=True, slots=True)
class Preferences:
    """The candidates in order, and what is none.

    Parameters
    ----------
    candidates : list of Candidate
        The one that is liked best first.
    excluded : list of tuple of str
        Name and reason of each backend that is not considered.
    """

    candidates: list[Candidate]
    excluded: list[tuple[str, str]]


def preferences(width: int, device: str | None, library: str = "numpy") -> Preferences:
    """Return what ``auto`` tries for an array of a library.

    Parameters
    ----------
    width : int
        Cells per stream of the network's layers.
    device : str or None
        The device string that was asked for, or where the array is.
    library : str
        The array's library. If it is not NumPy, only its own backend and those that take its arrays are candidates.

    Returns
    -------
    Preferences
        The candidates in order, and what is none.
    """
    candidates, excluded = [], []
    infos = sorted(registry.installed().values(), key=lambda info: (-info.priority, info.name))
    follows = library != "numpy"
    if follows:  # an array's own library goes first, unless the table knows better
        infos.sort(key=lambda info: info.name != library)
    for info in infos:
        own = follows and info.name == library
        if follows and not own and library not in info.namespaces:
            excluded.append((info.name, f"it takes no arrays of {library}"))
        elif info.priority <= 0 and not own:
            excluded.append((info.name, f"it is used only when asked for, as backend={info.name!r}"))
        elif device and device_type(device) not in info.device_types:
            excluded.append((info.name, f"it does not compute on {device_type(device)}"))
        elif device:
            candidates.append(Candidate(info, device))
        else:
            candidates.extend(Candidate(info, kind) for kind in info.device_types if kind != SIMULATOR)
    return Preferences(_by_table(candidates, width), excluded)


def _by_table(candidates: list[Candidate], width: int) -> list[Candidate]:
    """Return the candidates with those that a table knows in its order, in the places that they have together."""
    ordered = list(candidates)
    for kind in {candidate.kind for candidate in candidates}:
        if (table := calibration(kind)) is None:
            continue
        row = table.nearest(width)
        places = [i for i, one in enumerate(candidates) if one.kind == kind and one.info.name in row.fastest]
        known = [Candidate(candidates[i].info, candidates[i].device, row) for i in places]
        known.sort(key=lambda one: row.fastest.index(one.info.name))
        for i, candidate in zip(places, known, strict=True):
            ordered[i] = candidate
    return ordered
