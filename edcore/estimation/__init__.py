"""What the two estimators of `edcore.estimators` have in common. Only they import it: it needs scikit-learn."""
