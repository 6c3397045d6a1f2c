# SPDX-License-Identifier: Apache-2.0
"""Methods for windows that are locked to a stimulus: evoked and steady-state responses."""

from functools import cached_property
from typing import Literal

import numpy as np

from ...collation import EEGDataCollator, WindowDataset
from ...evaluation.evoked_responses import EvokedCovariances
from ...evaluation.steady_state import StimulusCorrelations
from ...training.convex_head import fit_head
from ...training.frozen_features import collect_features
from ..classifiers.bands import FRAME_SECONDS, NARROW_BANDS_HZ, SHORTEST_SECONDS
from ..classifiers.model import LONGEST_RESPONSE_SECONDS
from .corpus import Fold, StudyCorpus
from .methods import Method, SecondOrder
from .statistics import make_encoder


class Evoked(Method):
    """Covariances with the mean response of each class.

    Args:
        corpus: The corpus.
        kind: `"erp"` or `"xdawn"`.
    """

    regimes = ("unseen",)

    def __init__(self, corpus: StudyCorpus, kind: Literal["erp", "xdawn"]) -> None:
        super().__init__(corpus)
        self.kind = kind
        self.title = {"erp": "ERP covariances", "xdawn": "xDAWN covariances"}[kind]

    def score(self, fold: Fold) -> np.ndarray:
        """Fit and score."""
        windows, labels, groups = self.corpus.microvolts, self.corpus.labels, self.corpus.groups
        model = EvokedCovariances(self.corpus.sampling_rate, self.kind)
        model.fit(windows[fold.train], labels[fold.train], groups[fold.train])
        scores = np.zeros((len(fold.test), len(self.corpus.class_names)))
        scores[:, model.classes_] = model.predict_proba(windows[fold.test])
        return scores


class SteadyState(Method):
    """Canonical correlations with the sines of each stimulus, and a convex head.

    Args:
        corpus: The corpus.
        num_bands: Filters of the bank.
    """

    regimes = ("unseen",)

    def __init__(self, corpus: StudyCorpus, num_bands: int) -> None:
        super().__init__(corpus)
        self.num_bands = num_bands
        self.title = "CCA" if num_bands == 1 else f"CCA, {num_bands} filters"
        self.stimulus_hz = corpus.args.stimulus_hz or self.frequencies_of_classes()

    def frequencies_of_classes(self) -> list[float]:
        """Return the class names as frequencies.

        Raises:
            ValueError: If they are no numbers.
        """
        try:
            return [float(name.lower().removesuffix("hz")) for name in self.corpus.class_names]
        except ValueError:
            names = ", ".join(self.corpus.class_names)
            raise ValueError(f"the classes {names} are no frequencies: give --stimulus_hz") from None

    @cached_property
    def correlations(self) -> np.ndarray:
        """Correlations of all windows, (rows, bands * stimuli)."""
        transform = StimulusCorrelations(
            self.corpus.sampling_rate, self.stimulus_hz, num_bands=self.num_bands
        )
        return transform.fit_transform(self.corpus.microvolts)

    def score(self, fold: Fold) -> np.ndarray:
        """Fit and score."""
        return self.score_linearly(self.correlations, fold)


class ChosenFeatures(Method):
    """Our vectors with broad or narrow bands, with or without the time course, as the inner folds choose.

    Steady-state responses live in narrow bands, evoked ones in the time course that a covariance forgets.
    """

    title = "second-order vectors, bands and time course chosen inside"

    def __init__(self, corpus: StudyCorpus) -> None:
        super().__init__(corpus)
        self.seconds = corpus.rows[0]["num_samples"] / corpus.sampling_rate
        self.sources = {"broad": SecondOrder(corpus)}
        if self.seconds >= SHORTEST_SECONDS:
            self.sources["narrow"] = SecondOrder(
                corpus,
                second_order_bands=[band for band in NARROW_BANDS_HZ if band[1] < corpus.sampling_rate / 2],
                second_order_frame_seconds=min(FRAME_SECONDS, self.seconds),
            )

    @cached_property
    def time_course(self) -> np.ndarray:
        """Time course of all windows as the model reads it, (rows, components * cosines)."""
        model = make_encoder(self.corpus, time_course_seconds=min(self.seconds, LONGEST_RESPONSE_SECONDS))
        windows, collator = WindowDataset(self.corpus.rows), EEGDataCollator(self.corpus.extractor)
        return collect_features(model, windows, collator, ["course"])

    def score(self, fold: Fold) -> np.ndarray:
        """Choose by the log loss of the inner folds, fit and score."""
        labels, groups = self.corpus.labels[fold.train], self.corpus.groups[fold.train]
        candidates = {name: source.vectors(fold) for name, source in self.sources.items()}
        candidates["time course"] = self.time_course
        candidates["broad, time course"] = np.concatenate([candidates["broad"], self.time_course], axis=1)
        found = {
            name: max(fit_head(values[fold.train], labels, groups).scores.values(), default=-np.inf)
            for name, values in candidates.items()
        }
        return self.score_linearly(candidates[max(found, key=lambda name: found[name])], fold)
