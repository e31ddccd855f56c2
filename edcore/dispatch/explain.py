"""The backend that ``auto`` takes for a network, and why not the others: all of them, not only those before it."""

from __future__ import annotations

from dataclasses import dataclass

from edcore.core.network import Network
from edcore.core.rule import Rule
from edcore.dispatch import registry
from edcore.dispatch.calibration import USUAL_BATCH
from edcore.dispatch.choose import why_not
from edcore.dispatch.preferences import preferences

USUAL = ("cuda", "mps", "cpu")
"""Types of devices; array_api_strict makes up more."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether ``auto`` could take a backend."""

    name: str
    device: str  # its type; empty if the backend is not considered on any
    ms: float | None  # of a step, by the table
    reason: str  # why it cannot be taken; empty if it could


def explain(
    network: Network, rule: Rule, device: str | None = None, library: str = "numpy", *, batch: int = USUAL_BATCH
) -> list[Verdict]:
    """Return a verdict on each backend, in the order in which ``auto`` tries them; at the end the excluded ones.

    ``auto`` takes the first without a reason, for batches of this size, of arrays of this library on this device.

    Examples
    --------
    >>> from edcore import Network, Rule
    >>> from edcore.dispatch.explain import explain
    >>> [verdict.reason for verdict in explain(Network(in_=2), Rule()) if verdict.name == "loop"]
    ["it is used only when asked for, as backend='loop'"]
    """
    preferred = preferences(network.widest, device, library, batch=rule.samples_per_update(batch))
    considered = [
        Verdict(one.info.name, one.kind, one.ms, why_not(one, network, rule)[0]) for one in preferred.candidates
    ]
    return considered + [Verdict(name, "", None, reason) for name, reason in preferred.excluded]


def choices_by_library(network: Network, rule: Rule, batch: int = USUAL_BATCH) -> list[tuple[str, str, str]]:
    """Return (library, device type, backend): the backend that ``auto`` takes for the arrays of each ready library."""
    found: list[tuple[str, str, str]] = []
    for name, info in sorted(registry.installed().items()):
        kinds = [kind for kind in USUAL if kind in info.device_types]
        for kind in kinds if name in info.namespaces and name != "numpy" else ():
            if registry.probe(info, kind).ok:
                ready = [one.name for one in explain(network, rule, kind, name, batch=batch) if not one.reason]
                found.extend((name, kind, backend) for backend in ready[:1])
    return found
