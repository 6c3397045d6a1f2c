# SPDX-License-Identifier: Apache-2.0
"""What every regression has to beat: ridge regressions on band power and on the tangent space.

Log band power, or log-Euclidean tangent vectors of band-wise covariances, and a ridge regression: the
pipelines of Sabbagh et al. 2020 (https://doi.org/10.1016/j.neuroimage.2020.116893). The penalty is chosen on
groups left out: folds of windows would choose too weak a one, since windows of a subject resemble each other.
"""

from collections.abc import Sequence

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from .baselines import BandLogarithm, BandPower, Bands, BandTangentSpace

_PENALTIES = np.logspace(0, 6, 7)
_NUM_FOLDS = 5


def band_power_regressor(
    sampling_rate: float, subjects: Sequence[str] | np.ndarray, bands: Bands | None = None
) -> Pipeline:
    """Return log band power and a ridge regression, its penalty chosen on subjects left out.

    Args:
        sampling_rate: Rate of the windows in Hz.
        subjects: Who each window is from that it will be fitted to.
        bands: Edges of the bands in Hz.

    Raises:
        ValueError: If there are fewer than two subjects.

    Example:
        >>> windows_uv = np.random.default_rng(0).normal(0, 10, (40, 19, 200))
        >>> regressor = band_power_regressor(100, np.repeat(["a", "b"], 20))
        >>> regressor.fit(windows_uv, np.arange(40.0)).predict(windows_uv).shape
        (40,)
    """
    return Pipeline([("power", BandPower(sampling_rate, bands)), *_ridge(subjects)])


def tangent_space_regressor(
    sampling_rate: float, subjects: Sequence[str] | np.ndarray, bands: Bands | None = None
) -> Pipeline:
    """Return band-wise covariances in their tangent space and a ridge regression.

    Args:
        sampling_rate: Rate of the windows in Hz.
        subjects: Who each window is from that it will be fitted to.
        bands: Edges of the bands in Hz.

    Raises:
        ValueError: If there are fewer than two subjects.
    """
    vectors = [("logarithm", BandLogarithm(sampling_rate, bands)), ("tangent_space", BandTangentSpace())]
    return Pipeline([*vectors, *_ridge(subjects)])


def _ridge(subjects: Sequence[str] | np.ndarray) -> list[tuple[str, BaseEstimator]]:
    """Return a scaler and a ridge regression whose penalty is chosen on subjects left out."""
    number = len(np.unique(subjects))
    if number < 2:
        raise ValueError(f"subjects: expected at least 2 to fit the ridge regression to, got {number}")
    folds = GroupKFold(min(_NUM_FOLDS, number)).split(np.zeros(len(subjects)), groups=np.asarray(subjects))
    return [("scale", StandardScaler()), ("regress", RidgeCV(_PENALTIES, cv=list(folds)))]
