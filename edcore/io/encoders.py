"""What a loaded `OneHotEncoder` must fulfil: scikit-learn trusts its attributes, and would write beyond an array."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
import numpy.typing as npt


def check_one_hot(encoder: Any) -> None:
    """Refuse an encoder with a category whose column is not one of its output.

    `OneHotEncoder.transform` makes places in a sparse matrix of its attributes, and SciPy does not check these. What is
    wrong is a LookupError, a TypeError or a ValueError.
    """
    state = vars(encoder)
    if "categories_" not in state:  # not fitted
        return
    nothing = [None] * len(state["categories_"])
    grouped = bool(state.get("_infrequent_enabled"))
    parts = zip(
        state["categories_"],
        (state["_infrequent_indices"] if grouped else None) or nothing,
        (state["_default_to_infrequent_mappings"] if grouped else None) or nothing,
        nothing if state.get("_drop_idx_after_grouping") is None else state["_drop_idx_after_grouping"],
        state["_n_features_outs"],
        strict=True,
    )
    for known, rare, mapping, drop, columns in parts:
        places = _places(known)
        if rare is not None:
            places = np.append(places, operator.index(rare[0]))  # which unknown values get
        if mapping is not None:
            places = np.take(mapping, places)
        if drop is not None:
            places = places[places != operator.index(drop)]
            places = places - (places > operator.index(drop))
        within = places.dtype.kind == "i" and bool(((places >= 0) & (places < operator.index(columns))).all())
        if not within or columns > len(known):
            raise ValueError(f"an encoder of {len(known)} categories with other columns than theirs")


def _places(known: Any) -> npt.NDArray[np.intp]:
    """Return the places of categories, or refuse those in which a search would find other places."""
    if not isinstance(known, np.ndarray) or known.ndim != 1:
        raise TypeError("categories that are no array")
    places, searched = np.arange(len(known)), known
    if known.dtype == object:  # texts are looked up in a dictionary, numbers are searched for
        values = known.tolist()
        while values and (values[-1] is None or values[-1] != values[-1]):
            values.pop()
        numbers = [isinstance(value, int | float | np.number | np.bool_) for value in values]
        if any(numbers) and not all(numbers):
            raise ValueError("categories of numbers and others")
        searched = known[: len(values) if all(numbers) else 0]
    if not np.array_equal(np.searchsorted(searched, searched), places[: len(searched)]):
        raise ValueError("categories that are not in order")
    return places
