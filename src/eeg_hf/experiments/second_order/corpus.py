# SPDX-License-Identifier: Apache-2.0
"""A prepared corpus with labels, folds and what each regime may use."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from datasets import Dataset
from sklearn.model_selection import GroupKFold

from ...collation import WindowDataset, decode_windows
from ...collation.group_calibrations import calibration_windows
from ...corpora import load_windows, with_classes
from ...evaluation import Predictions
from ...processing.feature_extraction_eeg import EEGFeatureExtractor
from .arguments import SecondOrderArguments


@dataclass(frozen=True)
class Fold:
    """One division of the rows of a corpus.

    Attributes:
        regime: One of `REGIMES`.
        train: Indices of the training rows.
        test: Indices of the rows that are scored.
        is_reference: (rows,) bool, what each subject is recentred by; nothing in the regime `unseen`.
        seed: Seed of the division.
    """

    regime: str
    train: np.ndarray
    test: np.ndarray
    is_reference: np.ndarray
    seed: int


@dataclass(frozen=True)
class StudyCorpus:
    """Labelled windows.

    Attributes:
        rows: The windows.
        extractor: The extractor of the corpus.
        class_names: Names of the classes.
        args: What is asked of it.
    """

    rows: Dataset
    extractor: EEGFeatureExtractor
    class_names: list[str]
    args: SecondOrderArguments

    @classmethod
    def load(cls, args: SecondOrderArguments) -> "StudyCorpus":
        """Read the windows that have one of the labels.

        Raises:
            ValueError: If windows differ in length or channels, or there are fewer groups than folds.
        """
        rows = load_windows(args.data)
        if args.class_names is not None and args.label_column in rows.column_names:
            labels = np.array(rows[args.label_column][:]).astype(str)
            rows = rows.select(np.flatnonzero(np.isin(labels, args.class_names)))
        rows, names = with_classes(rows, args.label_column, args.class_names)
        for column in ("num_samples", "channels"):
            found = {str(value) for value in rows[column]}
            if len(found) > 1:
                raise ValueError(
                    f"{args.data}: expected one value of {column} in all windows, got {len(found)}"
                )
        changed: dict[str, Any] = {} if args.normalization is None else {"normalization": args.normalization}
        corpus = cls(rows, EEGFeatureExtractor.from_pretrained(args.data, **changed), names, args)
        if (count := len(np.unique(corpus.groups))) < args.folds:
            raise ValueError(f"folds: {args.folds} of {count} groups: lower --folds or --block_windows")
        return corpus

    @cached_property
    def labels(self) -> np.ndarray:
        """Class index of each row, (rows,)."""
        return np.array([self.class_names.index(label) for label in self.rows[self.args.label_column]])

    @cached_property
    def subjects(self) -> np.ndarray:
        """Whom statistics are recentred by, (rows,)."""
        return np.array(self.rows["alignment_group"]).astype(str)

    @cached_property
    def groups(self) -> np.ndarray:
        """What folds keep together and intervals draw, (rows,)."""
        size = self.args.block_windows
        if not size:
            return np.array(self.rows[self.args.group_column]).astype(str)
        # In order of time within each recording, so that neighbours are in one block
        recordings, starts = (
            np.array(self.rows["recording"]).astype(str),
            np.array(self.rows["start_seconds"]),
        )
        groups = np.empty(len(starts), object)
        for recording in np.unique(recordings):
            rows = np.flatnonzero(recordings == recording)
            order = rows[np.argsort(starts[rows], kind="stable")]
            groups[order] = [f"{recording}/{number // size:03d}" for number in range(len(order))]
        return groups.astype(str)

    @cached_property
    def microvolts(self) -> np.ndarray:
        """All windows, (windows, channels, time) float32 in uV."""
        return decode_windows(WindowDataset(self.rows).__getitems__(list(range(len(self.rows)))))[0]

    @property
    def sampling_rate(self) -> float:
        """Rate of the windows in Hz."""
        return float(self.extractor.sampling_rate)

    def folds(self, regime: str, seed: int) -> Iterator[Fold]:
        """Yield the folds of a seed.

        In the regimes with a calibration, the windows that calibrate are neither trained on nor scored,
        except in `all`, where every window calibrates.
        """
        is_reference = calibration_windows(self.rows, regime, self.args.label_column, self.args.rest, seed)
        rows = np.arange(len(self.rows)) if regime == "all" else np.flatnonzero(~is_reference)
        if (count := len(np.unique(self.groups[rows]))) < self.args.folds:
            raise ValueError(
                f"{regime}: {self.args.folds} folds of {count} groups, as nothing else is left to score: "
                "leave this regime out"
            )
        options = {"shuffle": True, "random_state": seed} if seed else {}
        for train, test in GroupKFold(self.args.folds, **options).split(rows, groups=self.groups[rows]):
            yield Fold(regime, rows[train], rows[test], is_reference, seed)

    def predictions(self, test: np.ndarray, scores: np.ndarray) -> Predictions:
        """Name the scores (test, classes) of some rows; their subjects are the groups of the folds."""
        names = np.array(self.rows.select(test)["window_id"])
        return Predictions(names, self.groups[test], self.labels[test], scores)
