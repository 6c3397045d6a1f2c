# SPDX-License-Identifier: Apache-2.0
"""Classification metrics for the evaluate library; `evaluate.load("<path of this file>")` works offline.

A separate file, because importing evaluate takes seconds, and a module named evaluate.py would hide the
library.
"""

from collections.abc import Sequence

import datasets
import evaluate
import numpy as np

from .metrics import classification_metrics


class EEGClassificationMetrics(evaluate.Metric):
    """All metrics of [`classification_metrics`] as a metric of the evaluate library, without network.

    Example:
        >>> metric = EEGClassificationMetrics()
        >>> metric.compute(references=[0, 1, 1], predictions=[[0.9, 0.1], [0.2, 0.8], [0.4, 0.6]])["kappa"]
        1.0
    """

    def _info(self) -> evaluate.MetricInfo:
        label = datasets.Value("float64")  # a missing label may be NaN
        return evaluate.MetricInfo(
            description="Balanced accuracy, accuracy, AUROC, Cohen's kappa and macro F1 of EEG classifiers.",
            citation="",
            inputs_description=(
                "predictions: (windows, classes) scores, or (windows,) class indices; "
                "references: (windows,) class indices, -100 or NaN where missing; class_names: optional."
            ),
            features=[
                datasets.Features({"predictions": datasets.List(label), "references": label}),
                datasets.Features({"predictions": label, "references": label}),
            ],
        )

    def _compute(
        self,
        predictions: Sequence[Sequence[float]] | Sequence[float],
        references: Sequence[float],
        class_names: Sequence[str] | None = None,
    ) -> dict[str, float]:
        return classification_metrics(references, np.asarray(predictions), class_names)
