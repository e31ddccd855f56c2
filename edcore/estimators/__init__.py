"""ED networks as scikit-learn estimators; `import edcore` loads this package, and scikit-learn, at its first use."""

from edcore.estimators.classifier import EDClassifier
from edcore.estimators.regressor import EDRegressor
from edcore.estimators.table import table_pipeline
from edcore.model.callbacks import EpochRecord

__all__ = ["EDClassifier", "EDRegressor", "EpochRecord", "table_pipeline"]
