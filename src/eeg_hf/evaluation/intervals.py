# SPDX-License-Identifier: Apache-2.0
"""Bootstrap intervals, each of exactly the number that it stands beside.

Windows of a subject resemble each other, so subjects are drawn, never windows. Percentile intervals of few
subjects are too narrow: here their ends are moved outwards as a t interval's are (the expanded percentile of
Hesterberg 2015, https://doi.org/10.1080/00031305.2015.1089789).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.stats import bootstrap, norm, t

NUM_RESAMPLES = 1000
LEAST_DEFINED = 0.6
"""Share of the draws that must be defined; an interval of those that happen to be would be too narrow."""


def percentile_interval(
    draws: np.ndarray, strata: Sequence[int], level: float = 0.95
) -> tuple[float, float] | None:
    """Return the interval of a statistic from its bootstrap draws.

    Args:
        draws: (resamples,) the statistic of each draw; NaN is left out, unless there is much of it.
        strata: How many units were drawn from each stratum, such as the subjects of each fold.
        level: Coverage.

    Returns:
        Lower and upper end; None with a single unit in each stratum, or where too few draws are defined: of
        two subjects with other classes, the only draw that has all classes is the sample itself.
    """
    num_units, freedom = sum(strata), sum(strata) - len(strata)
    known = draws[~np.isnan(draws)]
    if freedom < 1 or len(known) < LEAST_DEFINED * len(draws) or not len(known):
        return None
    # A draw of n units varies (n - 1) / n as much as the sample, and n units estimate that variance
    tail = norm.cdf(np.sqrt(num_units / freedom) * t.ppf((1 - level) / 2, freedom))
    low, high = np.quantile(known, [tail, 1 - tail])
    return float(low), float(high)


def mean_interval(
    values: np.ndarray, num_resamples: int = 9999, seed: int = 0, level: float = 0.95
) -> tuple[float, float] | None:
    """Return an interval of the mean by drawing values; None with fewer than two.

    Args:
        values: (units,) such as the score of each subject.
        num_resamples: Number of draws.
        seed: Seed of the draws.
        level: Coverage.
    """
    if len(values) < 2:
        return None
    options: dict[str, Any] = {"n_resamples": num_resamples, "method": "percentile"}
    options["random_state"] = np.random.default_rng(seed)  # `rng` needs scipy 1.15
    found = bootstrap((values,), np.mean, **options)
    return percentile_interval(found.bootstrap_distribution, [len(values)], level)
