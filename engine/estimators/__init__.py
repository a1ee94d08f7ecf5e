"""The solvers as scikit-learn estimators: existing scripts change one import."""

from engine.estimators.banded import BandedRidgeCV
from engine.estimators.pls import PLSRegression
from engine.estimators.ridge import RidgeCV

__all__ = ["BandedRidgeCV", "PLSRegression", "RidgeCV"]
