"""How a network learns: a frozen value that every backend is given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from edcore.arguments import assign, one_of, real, yes_or_no
from edcore.core.activations import SOFTMAX, ByName
from edcore.errors import InputError

if TYPE_CHECKING:
    from edcore.core.network import Network

SPLIT = ByName("error", {"signed": False, "split": True})
MEAN = ByName("reduction", {"mean": True, "sum": False})
ONLINE = ByName("order", {"batch": False, "online": True})
"""The values of these fields; whoever computes by them looks them up here, where one that is not known is an error."""


@dataclass(frozen=True, slots=True)
class Rule:
    """How the weights of a network learn: ΔW_ij = α · reduce_b [ x_bi · E_bij · g(y_bj) · s_j ].

    e_bj is the error, target − output, of the one output from which target cell j learns (see `Network.outputs`), and g
    the derivative of the activation.

    Parameters
    ----------
    error : {"signed", "split"}
        The factor E. ``"signed"`` (article of 2024): e itself, so weights may cross zero. ``"split"`` (Kaneko's amine,
        1999): max(e, 0) for synapses of excitatory sources and min(e, 0) for those of inhibitory sources, so for
        activities of at least 0 a weight keeps its sign and never shrinks. Where an input is below 0, or a cell (tanh),
        the formula is the same, and weights may shrink and cross zero, unless there is a floor.
    alpha : float
        Learning rate of the input layer and the hidden layers, at least 0.
    alpha_output : float
        Learning rate of the output layer, at least 0 (the article's program has 1 there, whatever its alpha).
    reduction : {"mean", "sum"}
        The `reduce` over the samples of a batch.
    order : {"batch", "online"}
        ``"batch"``: one update for each batch. ``"online"``: one for each sample, before the next sample is looked at.
    centred : bool
        Subtract from each output's errors their mean over the batch before the update (Diffusing Blame, 2026). So
        nothing is learnt from a batch of one.
    floor : float or None
        With a number, at least 0, every weight but the biases' is clamped after each update, so that W_ij keeps the
        sign s_i s_j and a magnitude of at least this (Diffusing Blame: 1e-4). None leaves them as the formula has it.

    Raises
    ------
    InputError
        If a value is outside what is listed above, or if ``order="online"`` and ``centred`` are combined: the error of
        a sample alone, centred, is always 0.

    Examples
    --------
    >>> from edcore import Rule
    >>> Rule("split", alpha=0.1)
    Rule(error='split', alpha=0.1, alpha_output=1.0, reduction='mean', order='batch', centred=False, floor=None)
    """

    error: Literal["signed", "split"] = "signed"
    alpha: float = 0.8
    alpha_output: float = 1.0
    reduction: Literal["mean", "sum"] = "mean"
    order: Literal["batch", "online"] = "batch"
    centred: bool = False
    floor: float | None = None

    def __post_init__(self) -> None:
        one_of("error", self.error, SPLIT)
        one_of("reduction", self.reduction, MEAN)
        one_of("order", self.order, ONLINE)
        for name in ("alpha", "alpha_output"):
            assign(self, name, real(name, getattr(self, name)))
        assign(self, "centred", yes_or_no("centred", self.centred))
        if self.floor is not None:
            assign(self, "floor", real("floor", self.floor))
        if self.centred and self.order == "online":
            raise InputError(
                "centred",
                "True with order='online'",
                "True with order='batch'",
                "The mean of one sample's error is the error itself, so nothing would ever be learnt.",
            )

    def samples_per_update(self, batch_size: int) -> int:
        """Return the samples that each update takes: an online rule takes them one by one, whatever the batch."""
        return 1 if ONLINE[self.order] else batch_size


def check_together(network: Network, rule: Rule) -> None:
    """Refuse a network and a rule that exclude each other."""
    if SPLIT[rule.error] and network.outputs > 1:
        raise InputError(
            "outputs",
            f"{network.outputs} with a split rule",
            "1 with a split rule",
            "Split has one error for each network: "
            + f"write heads={network.outputs}, or " * (network.output_activation != SOFTMAX)
            + "take a signed rule ('modulo').",
        )


def check_centred(rule: Rule, batch_size: int) -> None:
    """Refuse a batch size with which a centred rule would learn nothing."""
    if rule.centred and batch_size == 1:
        fix = "The mean over one sample is its error itself, so nothing would ever be learnt."
        raise InputError("batch_size", "1 with a centred rule", "at least 2 with a centred rule", fix)
