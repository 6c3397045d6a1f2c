# SPDX-License-Identifier: Apache-2.0
"""What the report of a study shows, read from the folders that its commands wrote."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from datasets import Dataset
from scipy.signal import welch
from scipy.stats import ttest_ind, ttest_rel

from ...collation import decode_windows
from ...evaluation import Predictions
from ..classifiers.target import Target, load_target
from .figures import BANDS_HZ
from .question import Question, name_groups

_NUM_EXAMPLES = 3
_BATCH_SIZE = 256


@dataclass(frozen=True)
class StudiedWindows:
    """The prepared windows of a study.

    Attributes:
        rows: Labelled windows.
        target: What is predicted of them.
        group_names: Classes in order, or thirds of the numbers.
        channels: Electrodes.
        positions: (channels, 3) in metres.
        frequencies: (frequencies,) in Hz.
        spectra: (windows, channels, frequencies) in uV^2/Hz, Welch's method on segments of a second.
        groups: (windows,) indices of the groups.
        values: (windows,) class indices, or numbers.
    """

    rows: Dataset
    target: Target
    group_names: list[str]
    channels: list[str]
    positions: np.ndarray
    frequencies: np.ndarray
    spectra: np.ndarray
    groups: np.ndarray
    values: np.ndarray

    @classmethod
    def load(cls, folder: Path, question: Question) -> "StudiedWindows":
        """Read the windows of a prepared corpus and compute their spectra."""
        rows, target = load_target(str(folder), question.label, question.is_regression, None, question.votes)
        values = target.encode(rows)
        names, groups = list(target.class_names), values
        if target.is_regression:
            of_rows = name_groups(values, np.array(rows["recording"][:]))
            names = sorted(set(of_rows), key=lambda name: values[of_rows == name].min())
            groups = np.array([names.index(name) for name in of_rows])
        first, rate = rows[0], float(rows[0]["sampling_rate"])
        table, spectra = rows.with_format("arrow"), []
        for start in range(0, len(rows), _BATCH_SIZE):
            samples_uv = decode_windows(table[start : start + _BATCH_SIZE])[0]
            size = min(round(rate), samples_uv.shape[-1])
            frequencies, power = welch(samples_uv, rate, nperseg=size)
            spectra.append(power.astype(np.float32))
        return cls(
            rows=rows,
            target=target,
            group_names=names,
            channels=list(first["channels"]),
            positions=np.reshape(first["channel_positions"], (-1, 3)),
            frequencies=frequencies,
            spectra=np.concatenate(spectra),
            groups=groups,
            values=values,
        )

    def names_of_rows(self) -> list[str]:
        """Return the class, or third of the numbers, of each window."""
        return [self.group_names[index] for index in self.groups]

    def spectra_by_group(self) -> dict[str, np.ndarray]:
        """Return the mean spectrum of each subject in dB for each group, (subjects, frequencies)."""
        found = {}
        subjects = np.array(self.rows["subject"])
        shown = (self.frequencies >= 1) & (self.frequencies <= 45)
        for index, name in enumerate(self.group_names):
            means = [
                self.spectra[(subjects == subject) & (self.groups == index)].mean(axis=(0, 1))
                for subject in np.unique(subjects[self.groups == index])
            ]
            found[name] = 10 * np.log10(np.maximum(np.stack(means)[:, shown], 1e-6))
        return found

    def shown_frequencies(self) -> np.ndarray:
        """Return the frequencies of `spectra_by_group`."""
        return self.frequencies[(self.frequencies >= 1) & (self.frequencies <= 45)]

    def responses(self) -> dict[str, np.ndarray]:
        """Return the mean window of each subject for each group, (subjects, channels, time) in uV."""
        subjects = np.array(self.rows["subject"])
        sums: dict[tuple[int, str], list] = {}
        table = self.rows.with_format("arrow")
        for start in range(0, len(self.rows), _BATCH_SIZE):
            samples_uv = decode_windows(table[start : start + _BATCH_SIZE])[0]
            for row, window in enumerate(samples_uv, start):
                key = (int(self.groups[row]), str(subjects[row]))
                total = sums.setdefault(key, [0.0, 0])
                total[0], total[1] = total[0] + window.astype(np.float64), total[1] + 1
        return {
            name: np.stack(
                [total / count for (group, _), (total, count) in sorted(sums.items()) if group == index]
            )
            for index, name in enumerate(self.group_names)
        }

    def band_power(self) -> np.ndarray:
        """Return the log power of each band and channel, (windows, bands, channels)."""
        bands = [
            (self.frequencies >= low) & (self.frequencies < high)
            for low, high in BANDS_HZ.values()
            if high <= self.frequencies[-1]
        ]
        power = np.stack([self.spectra[..., band].mean(axis=-1) for band in bands], axis=1)
        return np.log(np.maximum(power, 1e-9))

    def band_differences(self) -> np.ndarray:
        """Return t-values (bands, channels) of log power over subjects.

        Of classes: the last against the first, paired where subjects have both. Of numbers: the correlation
        with the mean of each subject.
        """
        power, subjects = self.band_power(), np.array(self.rows["subject"])
        if self.target.is_regression:
            names = np.unique(subjects)
            means = np.stack([power[subjects == name].mean(axis=0) for name in names])
            numbers = np.array([self.values[subjects == name].mean() for name in names])
            return _correlation_t(means, numbers)
        groups = []
        for index in (0, len(self.group_names) - 1):
            here = self.groups == index
            groups.append(
                {name: power[here & (subjects == name)].mean(axis=0) for name in set(subjects[here])}
            )
        both = sorted(set(groups[0]) & set(groups[1]))
        if len(both) > 2:
            first, last = (np.stack([group[name] for name in both]) for group in groups)
            return np.nan_to_num(ttest_rel(last, first, axis=0).statistic)
        first, last = (np.stack(list(group.values())) for group in groups)
        return np.nan_to_num(ttest_ind(last, first, axis=0).statistic)

    def examples(self, predictions: Predictions, tmin: float = 0.0) -> list[dict]:
        """Return windows with what was predicted: right ones, then as many wrong ones.

        Of classes those with most confidence; of numbers those with the smallest and the largest errors.

        Args:
            predictions: For unseen subjects.
            tmin: From an event to the start of its window, in seconds.
        """
        places = {name: place for place, name in enumerate(self.rows["window_id"])}
        examples = []
        for row, title in [*self._extremes(predictions)]:
            window = self.rows[places[predictions.window_ids[row]]]
            signal_uv = np.frombuffer(window["signal"], "<i2").reshape(-1, window["num_samples"])
            examples.append(
                {
                    "signal_uv": signal_uv * np.array(window["scale"])[:, None],
                    "times": tmin + np.arange(window["num_samples"]) / window["sampling_rate"],
                    "title": f"{title}\nsubject {window['subject']}, {window['start_seconds'] - tmin:.0f} s",
                }
            )
        return examples

    def _extremes(self, predictions: Predictions) -> Iterator[tuple[int, str]]:
        """Yield rows of predictions with a title."""
        if self.target.is_regression:
            errors = np.abs(predictions.scores[:, 0] - predictions.labels)
            order = np.argsort(errors, kind="stable")
            for row in [*order[:_NUM_EXAMPLES], *order[::-1][:_NUM_EXAMPLES]]:
                yield int(row), f"{predictions.scores[row, 0]:.4g}, it is {predictions.labels[row]:.4g}"
            return
        confidence, found = predictions.scores.max(axis=1), predictions.scores.argmax(axis=1)
        for is_right in (True, False):
            rows = np.flatnonzero((found == predictions.labels) == is_right)
            for row in rows[np.argsort(-confidence[rows], kind="stable")][:_NUM_EXAMPLES]:
                truth, said = (self.group_names[index] for index in (predictions.labels[row], found[row]))
                verdict = "right" if truth == said else f"wrong, it is {truth}"
                yield int(row), f"{said} ({confidence[row]:.0%}): {verdict}"


def _correlation_t(values: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Return the t-values of the correlations of (subjects, ...) with (subjects,); 0 with fewer than four."""
    if len(numbers) < 4:
        return np.zeros(values.shape[1:])
    left, right = values - values.mean(axis=0), numbers - numbers.mean()
    products = np.tensordot(right, left, axes=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        correlation = products / np.sqrt((left**2).sum(axis=0) * (right**2).sum())
        return np.nan_to_num(correlation * np.sqrt((len(numbers) - 2) / (1 - correlation**2)))


def load_folds(folder: Path) -> Predictions:
    """Return the predictions of all folds of a run."""
    paths = sorted(folder.glob("fold-*/predictions.parquet"))
    return Predictions.concatenate([Predictions.load(path) for path in paths])
