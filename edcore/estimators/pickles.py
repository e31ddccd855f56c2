"""Pickles of estimators that say which version of edcore has written them."""

from __future__ import annotations

from typing import Any

from sklearn.base import BaseEstimator

from edcore.environment import VERSION, warn_of_version


class PickledEstimator(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """An estimator whose pickle has edcore's version, and warns if it is loaded by another one."""

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_edcore_version": VERSION}

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        warn_of_version(f"an {type(self).__name__}", state.pop("_edcore_version", None))
        super().__setstate__(state)
