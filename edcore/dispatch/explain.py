"""What ``auto`` would take for a network, and why: the whole list, and not only up to the first that can run it."""

from __future__ import annotations

from dataclasses import dataclass

from edcore.core.network import Network
from edcore.core.rule import Rule
from edcore.dispatch import registry
from edcore.dispatch.choose import why_not
from edcore.dispatch.preferences import preferences

USUAL = ("cuda", "mps", "cpu")
"""Types of devices; array_api_strict makes up more."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What comes of one backend.

    Parameters
    ----------
    name : str
        The backend.
    device : str
        The type of device; empty if it is not considered on any.
    ms : float or None
        Milliseconds of a step by the table, where it has them.
    reason : str
        Why it cannot be taken; empty if it could.
    """

    name: str
    device: str
    ms: float | None
    reason: str


def explain(network: Network, rule: Rule, device: str | None = None, library: str = "numpy") -> list[Verdict]:
    """Return what comes of each backend; ``auto`` takes the first that has no reason.

    Parameters
    ----------
    network : Network
        The network.
    rule : Rule
        How it learns.
    device : str or None
        The device string that is asked for, or where the array is.
    library : str
        The library of the array that ``auto`` sees first.

    Returns
    -------
    list of Verdict
        In the order in which ``auto`` tries them; at the end those that it does not consider.

    Examples
    --------
    >>> from edcore import Network, Rule
    >>> from edcore.dispatch.explain import explain
    >>> [verdict.reason for verdict in explain(Network(in_=2), Rule()) if verdict.name == "loop"]
    ["it is used only when asked for, as backend='loop'"]
    """
    liked = preferences(network.width, device, library)
    considered = [Verdict(one.info.name, one.kind, one.ms, why_not(one, network, rule)[0]) for one in liked.candidates]
    return considered + [Verdict(name, "", None, reason) for name, reason in liked.excluded]


def followed(network: Network, rule: Rule) -> list[tuple[str, str, str]]:
    """Return (library, type of device, backend) for the arrays of each library that is ready: what ``auto`` takes."""
    found: list[tuple[str, str, str]] = []
    for name, info in sorted(registry.installed().items()):
        kinds = [kind for kind in USUAL if kind in info.device_types]
        for kind in kinds if name in info.namespaces and name != "numpy" else ():
            if registry.probe(info, kind).ok:
                ready = [one.name for one in explain(network, rule, kind, name) if not one.reason]
                found.extend((name, kind, backend) for backend in ready[:1])
    return found
