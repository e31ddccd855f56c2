"""edcore: Kaneko's ED method (error diffusion learning), on any array library and device."""

import importlib
from typing import TYPE_CHECKING, Any

from edcore.core.network import Initial, Network
from edcore.core.presets import PRESETS
from edcore.core.rule import Rule
from edcore.dispatch.choose import use_backend
from edcore.dispatch.registry import list_backends
from edcore.environment import VERSION
from edcore.errors import EDCoreError
from edcore.model.callbacks import EpochRecord
from edcore.model.ed import ED
from edcore.model.history import History

__version__ = VERSION

if TYPE_CHECKING:
    from edcore import (
        comparison,
        contract,
        core,
        datasets,
        diagnostics,
        dispatch,
        distributed,
        errors,
        estimators,
        io,
        kaneko,
        parallel,
        play,
        plots,
        streaming,
        sweep,
        testing,
        training,
    )
    from edcore.comparison import compare
    from edcore.estimators import EDClassifier, EDRegressor

__all__ = [
    "ED",
    "PRESETS",
    "EDClassifier",
    "EDCoreError",
    "EDRegressor",
    "EpochRecord",
    "History",
    "Initial",
    "Network",
    "Rule",
    "__version__",
    "compare",
    "comparison",
    "contract",
    "core",
    "datasets",
    "diagnostics",
    "dispatch",
    "distributed",
    "errors",
    "estimators",
    "io",
    "kaneko",
    "list_backends",
    "parallel",
    "play",
    "plots",
    "streaming",
    "sweep",
    "testing",
    "training",
    "use_backend",
]


def __getattr__(name: str) -> Any:
    # Modules are loaded at first use, so that `import edcore` loads nothing heavier than NumPy.
    if name in ("EDClassifier", "EDRegressor"):
        return getattr(importlib.import_module("edcore.estimators"), name)
    if name == "compare":
        return importlib.import_module("edcore.comparison").compare
    if name in __all__:
        return importlib.import_module(f"edcore.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
