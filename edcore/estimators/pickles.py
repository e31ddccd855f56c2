"""Pickles of estimators that say which version of edcore has written them."""

from __future__ import annotations

from inspect import signature
from types import MappingProxyType
from typing import Any

from sklearn.base import BaseEstimator

from edcore.environment import VERSION, of_version

LATER = MappingProxyType({"data_mean_": None, "data_std_": None, "_power": 1.0, "_end": 0, "_waiting": None})
"""Attributes of a fitted estimator that older pickles lack, with values under which it predicts as before."""


class PickledEstimator(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """An estimator whose pickle has edcore's version, and warns if it is loaded by another one."""

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_edcore_version": VERSION}

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        with of_version(f"an {type(self).__name__}", state.pop("_edcore_version", None)):
            parameters = signature(type(self)).parameters.values()
            later = {one.name: one.default for one in parameters if one.default is not one.empty}
            super().__setstate__({**later, **(LATER if "ed_" in state else {}), **state})
