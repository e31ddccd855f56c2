"""Runs on a text: the defaults of their options, and the data set of its windows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edcore.datasets import Dataset, read_text
from edcore.datasets.text import CHARACTERS, CONTEXT, HELD_OUT
from edcore.errors import InputError
from edcore.training.options import OF_DATA_SETS, TrainOptions, parsed_width

RULE = "modulo"
LEARNT_BY = {"activation": "tanh", "output_activation": "softmax", "alpha_output": 1.0, "decay": True}
"""The rule with which a text is learnt, and the options that suit it: other rules have their own."""

DEEP = {"rms": True, "initial_weight": 0.5}
"""And those with which several hidden layers learn: without them, the sums of the second one all have one sign."""

WIDTH, BATCH_SIZE = 256, 128
VISITS, TESTS = 2 * 10**6, 10
"""Characters that are learnt by default, a short text's again and again, and the tests on the way."""


def text_options(given: Mapping[str, Any]) -> TrainOptions:
    """Return the options of a run on a text, from those that were given."""
    for name in OF_DATA_SETS:
        if name in given:
            raise InputError(name, f"{str(given[name])!r} beside --text", "options of runs on a text", "Leave it out.")
    given = {name: value for name, value in given.items() if value is not None}
    if "text" not in given:
        name = next(iter(given))
        raise InputError(name, f"{given[name]!r} without --text", "an option beside --text FILE", "Give that, too.")
    usual: dict[str, Any] = {"context": CONTEXT, "characters": CHARACTERS, "held_out": HELD_OUT, "depth": 0}
    usual |= {"rule": RULE, "batch_size": BATCH_SIZE, "width": max(WIDTH, given.get("characters", CHARACTERS))}
    widths = parsed_width(given.get("width", WIDTH))
    if isinstance(widths, tuple):  # which say the depth
        usual["depth"] = None
    deep = len(widths) > 1 if isinstance(widths, tuple) else given.get("depth")
    if given.get("rule", RULE) == RULE:
        usual |= LEARNT_BY | (DEEP if deep else {})
    return TrainOptions(**{**usual, **given, "dataset": "text", "classes": "all"})


def load_text(options: Mapping[str, Any], dtype: str) -> Dataset:
    """Return the windows of the text that options name."""
    names = ("characters", "context", "held_out")
    return read_text(options["text"], **{name: options[name] for name in names}).dataset(dtype)
