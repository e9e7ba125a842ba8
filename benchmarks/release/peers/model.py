"""The same rows and the same model for every arm; needs NumPy and scikit-learn alone."""

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression

FEATURES = 30


def rows():
    """Standardised rows ``(569, 30)``, rounded so that JSON carries them exactly, and labels."""
    x, y = load_breast_cancer(return_X_y=True)
    return np.round((x - x.mean(axis=0)) / x.std(axis=0), 6), y


def fitted():
    """A logistic regression over all rows."""
    x, y = rows()
    return LogisticRegression(max_iter=1000, random_state=0).fit(x, y)


def port():
    """The port that the first argument names."""
    import sys

    return int(sys.argv[1])
