"""Hypothesis strategies: small networks of every kind, with weights, inputs and errors."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from edcore.arguments import DType
from edcore.arrays import Array, HostWeights
from edcore.core.activations import ACTIVATIONS, SOFTMAX
from edcore.core.network import Initial, Network
from edcore.core.presets import PRESETS
from edcore.core.rule import Rule
from edcore.core.weights import initialise


@dataclass(frozen=True)
class Case:
    """One network with all that is needed to run and update it once."""

    network: Network
    rule: Rule
    weights: HostWeights  # of the article's signs
    x: Array  # (batch, in_), from 0 to 1, both ends included, or (batch, features) of categories
    error: Array  # (batch, columns), of both signs
    scale: float = 1.0  # these two are the arguments of `drawn_case` that drew it
    seed: int = 0

    @property
    def in_float64(self) -> Case:
        """The same case in the precision of the oracle."""
        network = dataclasses.replace(self.network, dtype="float64")
        weights = {key: value.astype(np.float64) for key, value in self.weights.items()}
        x, error = self.x.astype(np.float64), self.error.astype(np.float64)
        return dataclasses.replace(self, network=network, weights=weights, x=x, error=error)


def networks(dtypes: tuple[str, ...] = ("float32", "float64")) -> st.SearchStrategy[Network]:
    """Return a strategy for small networks: least counts, odd sizes, and a width beyond one tile of 16."""
    return st.builds(
        Network,
        in_=st.sampled_from([1, 2, 5]),
        width=st.sampled_from([1, 2, 3, 17]),
        depth=st.sampled_from([0, 1, 3]),
        heads=st.sampled_from([1, 2, 3]),
        u0=st.sampled_from([0.4, 1.0]),
        n_bias=st.sampled_from([1, 2]),
        dtype=st.sampled_from(dtypes),
    )


def rules(error: str | None = None, order: str = "batch") -> st.SearchStrategy[Rule]:
    """Return a strategy for rules, with this `error` or with either."""
    return st.builds(
        Rule,
        # Two choices even for one error, so that the sizes drawn beside it are those of other checks: a backend that
        # compiles for each size has them compiled already.
        error=st.sampled_from(["signed", "split"] if error is None else [error, error]),
        alpha=st.sampled_from([0.8, 0.1]),
        alpha_output=st.sampled_from([1.0, 0.3]),
        reduction=st.sampled_from(["mean", "sum"]),
        order=st.just(order),
    )


@st.composite
def cases(
    draw: st.DrawFn,
    dtypes: tuple[str, ...] = ("float32", "float64"),
    rule: st.SearchStrategy[Rule] | None = None,
    batches: tuple[int, ...] = (1, 2, 5, 33),
) -> Case:
    """Draw a case. The scale of the weights goes from linear to saturated cells."""
    network, learning = draw(networks(dtypes)), draw(rules() if rule is None else rule)
    batch, scale = draw(st.sampled_from(batches)), draw(st.sampled_from([1.0, 0.2, 4.0]))
    return drawn_case(network, learning, batch, scale, seed=draw(st.integers(0, 15)))


@st.composite
def variants(draw: st.DrawFn, dtypes: tuple[str, ...], order: str = "batch", gentle: bool = False) -> Case:
    """Draw a case with any fields of `Network` and `Rule`; a gentle one is small and learns slowly."""
    # Few sizes, as some backends compile for each. In gentle cases rounding errors do not explode within some steps.
    outputs = draw(st.sampled_from([1, 2]))
    network = draw(
        st.builds(
            Network,
            in_=st.just(3),
            width=st.sampled_from([2, 3] if gentle else [2, 5]),
            depth=st.sampled_from([0, 1] if gentle else [0, 2]),
            heads=st.sampled_from([1, 2]),
            u0=st.sampled_from([0.4, 2.0]),
            n_bias=st.sampled_from([1, 2]),
            dtype=st.sampled_from(dtypes),
            outputs=st.just(outputs),
            activation=st.sampled_from(ACTIVATIONS),
            output_activation=st.sampled_from(ACTIVATIONS if outputs == 1 else (*ACTIVATIONS, SOFTMAX)),
            rms=st.booleans(),
            bias=st.sampled_from([0.8, 1.0]),
            inhibitory_output=st.booleans(),
        )
    )
    rule = draw(
        st.builds(
            Rule,
            error=st.sampled_from(["signed", "split"] if outputs == 1 else ["signed"]),
            alpha=st.just(0.05) if gentle else st.sampled_from([0.8, 0.1]),
            alpha_output=st.just(0.1) if gentle else st.sampled_from([1.0, 0.3]),
            reduction=st.just("mean") if gentle else st.sampled_from(["mean", "sum"]),
            order=st.just(order),
            centred=st.booleans() if order == "batch" else st.just(False),
            floor=st.sampled_from([None, 0.0, 0.05]),
        )
    )
    scale = draw(st.sampled_from([0.3] if gentle else [1.0, 0.2]))
    return drawn_case(network, rule, draw(st.sampled_from([2, 5])), scale, seed=draw(st.integers(0, 15)))


def preset_case(name: str, dtype: DType, width: int = 5, batch: int = 5) -> Case:
    """Return a case of a preset, with sizes that differ from those of all tiles."""
    found = PRESETS[name]
    outputs = 3 if name == "modulo" else 1
    fields = {**found.network, "initial": Initial(), "dtype": dtype, "outputs": outputs}
    return drawn_case(Network(4, width, heads=2, **fields), found.rule, batch, 0.3, seed=1)


def drawn_case(network: Network, rule: Rule, batch: int, scale: float, seed: int) -> Case:
    """Return the case of these sizes and this seed, its weights `scale` times the initial ones."""
    factor = np.dtype(network.dtype).type(scale)
    weights = {key: value * factor for key, value in initialise(network, seed).items()}
    if rule.floor is not None:
        least = initialise(dataclasses.replace(network, initial=Initial(weight=0)), seed, rule.floor)
        for key in (f"{layer.name}.weight" for layer in network.stacks):
            weights[key] = np.where(abs(weights[key]) < abs(least[key]), least[key], weights[key])
    random = np.random.default_rng(seed)
    if network.one_hot:
        x = random.integers(0, network.one_hot, (batch, network.features)).astype(network.dtype)
    else:
        x = np.clip(random.uniform(-0.2, 1.2, (batch, network.in_)), 0, 1).astype(network.dtype)
    error = random.uniform(-1, 1, (batch, network.columns)).astype(network.dtype)
    return Case(network, rule, weights, x, error, scale, seed)
