"""The order in which ``auto`` tries the backends.

They are ordered by priority. The backends that a table ranks on a type of device are ordered among themselves by that
table, for the network's width and the batch (see `edcore.dispatch.calibration`).
"""

from __future__ import annotations

from dataclasses import dataclass

from edcore.arrays import device_type
from edcore.contract.backend import BackendInfo
from edcore.dispatch import registry
from edcore.dispatch.calibration import USUAL_BATCH, Ranking, calibration

SIMULATOR = "cudasim"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A backend on a type of device, with the ranking that gave it its place, if one did."""

    info: BackendInfo
    device: str
    ranking: Ranking | None = None

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
        if self.ranking is None:
            return None
        return dict(zip(self.ranking.fastest, self.ranking.ms, strict=False)).get(self.info.name)


@dataclass(frozen=True, slots=True)
class Preferences:
    """The candidates in order, and the name of each other backend with the reason."""

    candidates: list[Candidate]
    excluded: list[tuple[str, str]]


def preferences(width: int, device: str | None, library: str = "numpy", *, batch: int = USUAL_BATCH) -> Preferences:
    """Return the backends that ``auto`` tries for this width and batch, and for an array of a library on a device.

    For another library than NumPy, only its own backend and those that take its arrays are candidates.
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
    return Preferences(_by_table(candidates, width, batch), excluded)


def _by_table(candidates: list[Candidate], width: int, batch: int) -> list[Candidate]:
    """Return the candidates, with those that a table ranks in its order, in the places that they have together."""
    ordered = list(candidates)
    for kind in {candidate.kind for candidate in candidates}:
        if (table := calibration(kind)) is None:
            continue
        ranking = table.nearest(width, batch)
        places = [i for i, one in enumerate(candidates) if one.kind == kind and one.info.name in ranking.fastest]
        known = [Candidate(candidates[i].info, candidates[i].device, ranking) for i in places]
        known.sort(key=lambda one: ranking.fastest.index(one.info.name))
        for i, candidate in zip(places, known, strict=True):
            ordered[i] = candidate
    return ordered
