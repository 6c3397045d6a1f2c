# SPDX-License-Identifier: Apache-2.0
"""Methods tested on the same windows, as the rows of a table with a paired test against the best baseline."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .fold_scores import FoldScores
from .predictions import Predictions
from .report import Regime, ResultRow


@dataclass(frozen=True)
class MethodRuns:
    """What one method predicted.

    Attributes:
        method: Its name.
        regime: What was known of the tested subjects, see [`ResultRow`].
        runs: One list a seed, with the predictions of each fold.
        seeds: Seeds of the runs, as far as recorded.
        is_baseline: Whether it is what the others must beat.
        trained: Number of parameters that its training changed; None where that is not recorded.
    """

    method: str
    regime: Regime
    runs: Sequence[Sequence[Predictions]]
    seeds: tuple[int, ...] = ()
    is_baseline: bool = False
    trained: int | None = None


def compare_methods(methods: Sequence[MethodRuns], split: str, protocol: str = "") -> list[ResultRow]:
    """Summarise methods and compare each with the best baseline of its regime.

    Args:
        methods: What was tested, all on the same windows. Where no method of a regime is a baseline, each is
            compared with the best of the others.
        split: How the data were split, such as "5 subject folds, cross-subject".
        protocol: See [`ResultRow`].

    Returns:
        A row for each method, in order.

    Raises:
        ValueError: If the methods of a regime were not tested on the same windows.
    """
    scores = [FoldScores(each.runs) for each in methods]
    pairs = list(zip(methods, scores, strict=True))
    rows = []
    for own, found in pairs:
        peers = [pair for pair in pairs if pair[0].regime == own.regime and pair[0] is not own]
        baselines = [] if own.is_baseline else [pair for pair in peers if pair[0].is_baseline] or peers
        metric = found.main_metric
        best = max(baselines, key=lambda pair: pair[1].means[metric], default=None)
        difference = {"baseline": best[0].method, **found.difference(best[1], metric)} if best else None
        rows.append(
            ResultRow(
                method=own.method,
                regime=own.regime,
                split=split,
                metrics=found.summary(),
                num_subjects=len(found.subjects),
                num_windows=found.num_windows,
                seeds=own.seeds,
                difference=difference,
                protocol=protocol,
                by_subject=_by_subject(found),
                trained=own.trained,
            )
        )
    return rows


def _by_subject(scores: FoldScores) -> dict[str, dict[str, float]]:
    """Return the metrics of each subject that are defined."""
    metrics = scores.by_subject()
    return {
        str(subject): {
            name: float(values[at]) for name, values in metrics.items() if not np.isnan(values[at])
        }
        for at, subject in enumerate(scores.subjects)
    }
