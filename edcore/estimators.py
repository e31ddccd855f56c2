"""ED networks as scikit-learn estimators. `import edcore` leaves this module out, as it needs scikit-learn."""

from edcore.estimation.classifier import EDClassifier
from edcore.estimation.progress import EpochRecord
from edcore.estimation.regressor import EDRegressor

__all__ = ["EDClassifier", "EDRegressor", "EpochRecord"]
