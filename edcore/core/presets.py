"""The published variants of the method by name: a rule, and the fields of the network that belong to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from edcore.arguments import assign
from edcore.core.activations import SOFTMAX
from edcore.core.network import Initial, Network
from edcore.core.rule import SPLIT, Rule, check_together
from edcore.errors import InputError, UnknownNameError, shown


@dataclass(frozen=True, slots=True)
class Preset:
    """One published variant.

    Parameters
    ----------
    rule : Rule
        How it learns.
    network : mapping of str to object
        The fields of `Network` in which it differs from that class's defaults.
    """

    rule: Rule
    network: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        assign(self, "network", MappingProxyType(dict(self.network)))

    def __reduce__(self) -> tuple[Any, ...]:
        return Preset, (self.rule, dict(self.network))


PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        "signed": Preset(Rule()),
        "split": Preset(Rule("split"), {"n_bias": 2}),
        "kaneko": Preset(
            Rule("split", alpha=0.8, alpha_output=0.8, order="online"),
            {"depth": 0, "n_bias": 2, "bias": 0.8, "inhibitory_output": False, "initial": Initial("uniform")},
        ),
        "edla": Preset(
            Rule("split", alpha=1.0, alpha_output=1.0),
            {
                "depth": 0,
                "u0": 2.0,
                "n_bias": 2,
                "inhibitory_output": False,
                "initial": Initial("uniform", weight=1e-4, bias=1e-4),
            },
        ),
        "modulo": Preset(
            Rule("signed", alpha=10.0, alpha_output=3.0, centred=True, floor=1e-4),
            {
                "depth": 0,
                "u0": 6.0,
                "initial": Initial(weight=2.0, bias=0.0, fan_in=0.5, excitatory=1.5, inhibitory=0.5),
            },
        ),
    }
)
"""``"signed"``: the article of 2024. ``"split"``: the same with Kaneko's error. ``"kaneko"``: his program of 1999.
``"edla"``: Fujita, 2025. ``"modulo"``: Diffusing Blame, 2026."""


def preset(rule: Rule | str, alpha: float | None = None, alpha_output: float | None = None) -> Preset:
    """Return the preset that `rule` names, with these learning rates where they are given.

    Parameters
    ----------
    rule : str or Rule
        A name of `PRESETS`, or a rule of your own. That comes with `Network`'s defaults, but with a second bias cell
        under a split rule: with an excitatory one alone a negative error moves nothing where x is 0.
    alpha, alpha_output : float, optional
        Learning rates, see `Rule`. Left out, those of the preset.

    Returns
    -------
    Preset
        The rule, and the fields of the network.

    Raises
    ------
    InputError
        If the name is not known, a rate is not accepted, or a rate is given beside a `Rule`, which has its own.

    Examples
    --------
    >>> from edcore.core.presets import preset
    >>> preset("kaneko", alpha=0.4).rule.alpha
    0.4
    """
    rates = {name: rate for name, rate in (("alpha", alpha), ("alpha_output", alpha_output)) if rate is not None}
    if isinstance(rule, Rule):
        for name, rate in rates.items():
            raise InputError(
                name, shown(rate), "no value beside rule=Rule(…)", f"Write rule=Rule(…, {name}={shown(rate)})."
            )
        return Preset(rule, {"n_bias": 2} if rule.error == "split" else {})
    if not isinstance(rule, str) or rule not in PRESETS:
        raise UnknownNameError("rule", rule, PRESETS, "In Python, a Rule(…) of your own is taken too.")
    found = PRESETS[rule]
    rates = {"alpha": found.rule.alpha, "alpha_output": found.rule.alpha_output} | rates
    return replace(found, rule=replace(found.rule, alpha=rates["alpha"], alpha_output=rates["alpha_output"]))


def variant(
    rule: Rule | str, alpha: float | None, alpha_output: float | None, given: Mapping[str, Any]
) -> tuple[Network, Rule]:
    """Return the network and the rule of a preset, in which fields of `Network` that are given, and not None, win."""
    found = preset(rule, alpha, alpha_output)
    own = {name: value for name, value in given.items() if value is not None}
    usual = dict(found.network)
    if not isinstance(own.get("width", 0), int):  # several widths say the depth
        usual.pop("depth", None)
    network = Network(**{**usual, **own})
    check_together(network, found.rule)
    return network, found.rule


def check_softmax(output_activation: str | None, rule: Rule | str | None) -> None:
    """Refuse softmax outputs for classes under a split rule; None stands for the signed rule."""
    if output_activation == SOFTMAX and SPLIT[preset("signed" if rule is None else rule).rule.error]:
        given, fix = (
            f"'softmax' with rule={shown(rule)}",
            "Split has one error for a network, softmax one for each class.",
        )
        raise InputError("output_activation", given, "'softmax' with rule='signed' or rule='modulo'", fix)
