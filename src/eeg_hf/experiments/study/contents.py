# SPDX-License-Identifier: Apache-2.0
"""What the report of a study shows, read from the folders that its commands wrote."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from datasets import Dataset
from scipy.signal import welch
from scipy.stats import ttest_ind, ttest_rel

from ...collation import decode_windows
from ...corpora import load_windows, with_classes
from ...corpora.windows.row_groups import read_columns
from ...evaluation import Predictions
from .figures import BANDS_HZ

_NUM_EXAMPLES = 3
_BATCH_SIZE = 256


@dataclass(frozen=True)
class StudiedWindows:
    """The prepared windows of a study.

    Attributes:
        rows: Labelled windows.
        class_names: Classes in order.
        channels: Electrodes.
        positions: (channels, 3) in metres.
        frequencies: (frequencies,) in Hz.
        spectra: (windows, channels, frequencies) in uV^2/Hz, Welch's method on segments of a second.
        labels: (windows,) class indices.
    """

    rows: Dataset
    class_names: list[str]
    channels: list[str]
    positions: np.ndarray
    frequencies: np.ndarray
    spectra: np.ndarray
    labels: np.ndarray

    @classmethod
    def load(cls, folder: Path, label_column: str) -> "StudiedWindows":
        """Read the windows of a prepared corpus and compute their spectra."""
        rows, names = with_classes(load_windows(folder), label_column)
        first, rate = rows[0], float(rows[0]["sampling_rate"])
        table, spectra = rows.with_format("arrow"), []
        for start in range(0, len(rows), _BATCH_SIZE):
            values = decode_windows(table[start : start + _BATCH_SIZE])[0]
            size = min(round(rate), values.shape[-1])
            frequencies, power = welch(values, rate, nperseg=size)
            spectra.append(power.astype(np.float32))
        labels = read_columns(rows, [label_column]).column(0).to_pylist()
        return cls(
            rows=rows,
            class_names=names,
            channels=list(first["channels"]),
            positions=np.reshape(first["channel_positions"], (-1, 3)),
            frequencies=frequencies,
            spectra=np.concatenate(spectra),
            labels=np.array([names.index(label) for label in labels]),
        )

    def spectra_by_class(self) -> dict[str, np.ndarray]:
        """Return the mean spectrum of each subject in dB for each class, (subjects, frequencies)."""
        found = {}
        subjects = np.array(self.rows["subject"])
        shown = (self.frequencies >= 1) & (self.frequencies <= 45)
        for index, name in enumerate(self.class_names):
            means = [
                self.spectra[(subjects == subject) & (self.labels == index)].mean(axis=(0, 1))
                for subject in np.unique(subjects[self.labels == index])
            ]
            found[name] = 10 * np.log10(np.maximum(np.stack(means)[:, shown], 1e-6))
        return found

    def shown_frequencies(self) -> np.ndarray:
        """Return the frequencies of `spectra_by_class`."""
        return self.frequencies[(self.frequencies >= 1) & (self.frequencies <= 45)]

    def band_differences(self) -> np.ndarray:
        """Return t-values (bands, channels) of log power: the last class against the first.

        Over subjects; paired where subjects have both classes.
        """
        subjects, groups = np.array(self.rows["subject"]), []
        bands = [
            (self.frequencies >= low) & (self.frequencies < high)
            for low, high in BANDS_HZ.values()
            if high <= self.frequencies[-1]
        ]
        power = np.stack([self.spectra[..., band].mean(axis=-1) for band in bands], axis=1)
        logarithm = np.log(np.maximum(power, 1e-9))  # (windows, bands, channels)
        for index in (0, len(self.class_names) - 1):
            here = self.labels == index
            groups.append(
                {name: logarithm[here & (subjects == name)].mean(axis=0) for name in set(subjects[here])}
            )
        both = sorted(set(groups[0]) & set(groups[1]))
        if len(both) > 2:
            first, last = (np.stack([group[name] for name in both]) for group in groups)
            return np.nan_to_num(ttest_rel(last, first, axis=0).statistic)
        first, last = (np.stack(list(group.values())) for group in groups)
        return np.nan_to_num(ttest_ind(last, first, axis=0).statistic)

    def examples(self, predictions: Predictions) -> list[dict]:
        """Return the windows with most confidence that were right, then those that were wrong."""
        scores = predictions.scores
        confidence, found = scores.max(axis=1), scores.argmax(axis=1)
        places = {name: place for place, name in enumerate(self.rows["window_id"])}
        chosen = []
        for is_right in (True, False):
            rows = np.flatnonzero((found == predictions.labels) == is_right)
            chosen += rows[np.argsort(-confidence[rows])][:_NUM_EXAMPLES].tolist()
        examples = []
        for row in chosen:
            window = self.rows[places[predictions.window_ids[row]]]
            signal_uv = np.frombuffer(window["signal"], "<i2").reshape(-1, window["num_samples"])
            truth, said = (self.class_names[index] for index in (predictions.labels[row], found[row]))
            verdict = "right" if truth == said else f"wrong, it is {truth}"
            examples.append(
                {
                    "signal_uv": signal_uv * np.array(window["scale"])[:, None],
                    "seconds": window["num_samples"] / window["sampling_rate"],
                    "title": f"{said} ({confidence[row]:.0%}): {verdict}\nsubject {window['subject']}, "
                    f"{window['start_seconds']:.0f} s",
                }
            )
        return examples


def load_folds(folder: Path) -> Predictions:
    """Return the predictions of all folds of a run."""
    paths = sorted(folder.glob("fold-*/predictions.parquet"))
    return Predictions.concatenate([Predictions.load(path) for path in paths])


__all__ = ["StudiedWindows", "load_folds"]
