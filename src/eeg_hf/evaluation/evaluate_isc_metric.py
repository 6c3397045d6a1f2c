# SPDX-License-Identifier: Apache-2.0
"""Inter-subject correlation for the evaluate library; `evaluate.load("<path of this file>")` works offline.

A separate file for the reasons given in `evaluate_metric`.
"""

from collections.abc import Sequence

import datasets
import evaluate
import numpy as np

from .embedding_metrics import index_moments
from .isc import CorrelatedComponents, cross_validated_isc, isc_null


class EEGInterSubjectCorrelation(evaluate.Metric):
    """Correlation of the EEG of subjects who saw one stimulus, with components fitted on other subjects.

    A row is a window of one subject, as in a prepared corpus; the windows of a subject must not overlap.
    Moments that a subject lacks are left out and counted: components need the same moments of all subjects.

    Example:
        >>> shared = np.sin(np.arange(40.0) ** 2)
        >>> metric = EEGInterSubjectCorrelation()
        >>> results = metric.compute(
        ...     predictions=[[shared, -shared]] * 4,
        ...     subjects=["01", "02", "03", "04"],
        ...     stimulus_seconds=[0.0, 0.0, 0.0, 0.0],
        ...     num_components=1,
        ... )
        >>> round(results["isc_sum"], 6)
        1.0
    """

    def _info(self) -> evaluate.MetricInfo:
        windows = datasets.List(datasets.List(datasets.Value("float64")))
        columns = {"subjects": datasets.Value("string"), "stimulus_seconds": datasets.Value("float64")}
        return evaluate.MetricInfo(
            description="Inter-subject correlation of EEG on held-out subjects, against circular shifts.",
            citation="",
            inputs_description=(
                "predictions: windows (channels, time) of one stimulus; subjects: subject of each; "
                "stimulus_seconds: time of the stimulus at its start in s. Optional: fit_subjects, who are "
                "fitted and not tested, by default subjects are cross-validated; "
                "num_components, shrinkage, num_shifts, seed."
            ),
            features=datasets.Features({"predictions": windows, **columns}),
        )

    def _compute(
        self,
        predictions: Sequence[Sequence[Sequence[float]]],
        subjects: Sequence[str],
        stimulus_seconds: Sequence[float],
        fit_subjects: Sequence[str] | None = None,
        num_components: int = 3,
        shrinkage: float = 0.1,
        num_shifts: int = 300,
        seed: int = 0,
    ) -> dict[str, float | list[float] | dict[str, float]]:
        names, signals = _line_up(predictions, subjects, stimulus_seconds)
        if fit_subjects is None:
            tested = names
            result = cross_validated_isc(
                signals, num_components, shrinkage=shrinkage, num_shifts=num_shifts, seed=seed
            )
        else:
            is_fitted = np.isin(names, _known(fit_subjects, names))
            tested = names[~is_fitted]
            components = CorrelatedComponents(num_components, shrinkage).fit(signals[is_fitted])
            result = isc_null(components, signals[~is_fitted], num_shifts, seed)
        return {
            "isc": result.isc.tolist(),
            "isc_sum": result.total,
            "null_mean": result.null_mean,
            "null_95": result.null_95,
            "p_value": result.p_value,
            "subject_isc": dict(zip(tested.tolist(), result.subject_isc.sum(axis=1).tolist(), strict=True)),
            "num_people": len(tested),
            "num_left_out": len(predictions) - len(names) * (signals.shape[2] // len(predictions[0][0])),
        }


def _known(fit_subjects: Sequence[str], names: np.ndarray) -> list[str]:
    fitted = [str(subject) for subject in fit_subjects]
    unknown = sorted(set(fitted) - set(names.tolist()))
    if unknown:
        raise ValueError(f"fit_subjects: expected some of {names.tolist()}, got {unknown}")
    return fitted


def _line_up(
    windows: Sequence[Sequence[Sequence[float]]], subjects: Sequence[str], seconds: Sequence[float]
) -> tuple[np.ndarray, np.ndarray]:
    """Return names (subjects,) and signals (subjects, channels, time) of the moments common to all."""
    shapes = sorted({np.shape(window) for window in windows})
    if len(shapes) > 1:
        raise ValueError(f"predictions: expected windows of the same channels and samples, got {shapes}")
    names, owners = np.unique(np.asarray(subjects, str), return_inverse=True)
    moments = index_moments(seconds)
    counts = np.zeros((len(names), moments.max() + 1), int)
    np.add.at(counts, (owners, moments), 1)
    if counts.max() > 1:
        twice = names[(counts > 1).any(axis=1)].tolist()
        raise ValueError(
            f"stimulus_seconds: expected each once per subject, got several windows of {twice}: is it more "
            "than one stimulus?"
        )
    shared = np.flatnonzero(counts.all(axis=0))
    if not shared.size:
        raise ValueError("stimulus_seconds: expected moments common to all subjects, got none")
    rows = np.empty(counts.shape, int)
    rows[owners, moments] = np.arange(len(owners))
    return names, np.stack([np.concatenate([windows[row] for row in own], axis=1) for own in rows[:, shared]])
