"""The attributes of `ED`: its repr, and the error for an attribute that cannot be set."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any

from edcore.core.network import Network
from edcore.core.presets import PRESETS
from edcore.core.rule import Rule
from edcore.errors import AttributeRefusedError

NAMES = {"width": "hidden_width", "depth": "hidden_depth"}
"""Fields of `Network` whose arguments of `ED` have other names."""

PLAIN, USUAL_OTHERS = Network(1), (None, "auto", "full")

OTHERS = {
    "weights": "Call ed.load_weights(…).",
    "backend": "Make another one: edcore.ED.from_network(ed.network, ed.rule, weights=ed.weights, backend=…).",
    "device": "Make another one: edcore.ED.from_network(ed.network, ed.rule, weights=ed.weights, device=…).",
    "precision": "Make another one: edcore.ED.from_network(ed.network, ed.rule, weights=ed.weights, precision=…).",
    "network": "Make another one: edcore.ED.from_network(network, ed.rule).",
}


def refused(name: str, value: Any) -> AttributeRefusedError:
    """Return the error for an attribute that `ED` does not have, or that cannot be set, with the way that works."""
    field = {argument: field for field, argument in NAMES.items()}.get(name, name)
    if name in (of_rule.name for of_rule in fields(Rule)):
        fix = f"Write ed.rule = dataclasses.replace(ed.rule, {name}={value!r:.80})."
    elif field in (of_network.name for of_network in fields(Network)):
        fix = f"A network keeps its shape: make another one, edcore.ED(…, {name}={value!r:.80})."
    else:
        fix = OTHERS.get(name, "Keep values of your own elsewhere.")
    accepted = "ED.rule, ED.seed, ED.epochs and ED.x_range"
    return AttributeRefusedError(f"ED.{name} cannot be set; accepted: {accepted}. {fix}")


def described(network: Network, in_known: bool, rule: Rule, **others: Any) -> str:
    """Return the call of `ED`, with the arguments that differ from those of the nearest preset."""
    differences = [_differences(network, in_known, rule, name) for name in PRESETS]
    given = {name: value for name, value in others.items() if value not in USUAL_OTHERS}
    arguments = min(differences, key=_length) | given
    return f"ED({', '.join(f'{name}={_short(value)}' for name, value in arguments.items())})"


def _length(arguments: dict[str, Any]) -> int:
    return len(arguments) + isinstance(arguments.get("rule"), Rule)  # a name says more in less


def _differences(network: Network, in_known: bool, rule: Rule, name: str) -> dict[str, Any]:
    """Return the arguments of `ED`, in their order, that make this network and rule of a preset."""
    preset = PRESETS[name]
    usual = {field.name: getattr(PLAIN, field.name) for field in fields(Network)} | dict(preset.network)
    found: dict[str, Any] = {"in_": network.in_} if in_known else {}
    found |= {
        NAMES.get(field, field): getattr(network, field)
        for field, value in usual.items()
        if field not in (("in_",) if isinstance(network.width, int) else ("in_", "depth"))  # the widths say the depth
        and getattr(network, field) != value
    }
    rates = {rate: getattr(rule, rate) for rate in ("alpha", "alpha_output")}
    if replace(preset.rule, **rates) != rule:
        return found | {"rule": rule}
    named = {} if name == "signed" else {"rule": name}
    return found | named | {rate: value for rate, value in rates.items() if value != getattr(preset.rule, rate)}


def _short(value: Any) -> str:
    """Return the repr of a value; of a dataclass, with the fields that differ from its defaults."""
    if not is_dataclass(value):
        return repr(value)
    shown = [field for field in fields(value) if getattr(value, field.name) != field.default]
    return f"{type(value).__name__}({', '.join(f'{field.name}={getattr(value, field.name)!r}' for field in shown)})"
