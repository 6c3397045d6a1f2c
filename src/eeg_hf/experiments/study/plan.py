# SPDX-License-Identifier: Apache-2.0
"""How the recordings of a folder are cleaned, cut and divided: chosen from their headers."""

from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

RATES_HZ = (200.0, 128.0, 100.0)
LOWPASS_HZ = 45.0
_FEWEST_FOR_AVERAGE = 8
"""Electrodes below which the average of all is a poor reference."""
_WINDOW_SECONDS = 5.0
_WINDOWS_PER_RECORDING = 4


@dataclass(frozen=True)
class Plan:
    """Settings of `eeg-hf prepare`, and the number of folds.

    Attributes:
        sampling_rate: In Hz, not above that of any recording.
        lowpass_hz: Upper edge of the pass band.
        window_seconds: Length of a window.
        reference: Average of the electrodes, or the original one where there are few.
        channels: Electrodes that all recordings have; None if they have the same.
        folds: Folds of subjects.
        reasons: Why, one sentence for each choice that the recordings forced.
    """

    sampling_rate: float
    lowpass_hz: float
    window_seconds: float
    reference: str
    channels: list[str] | None
    folds: int
    reasons: tuple[str, ...] = ()

    def prepare_options(self) -> dict[str, Any]:
        """Return the settings of `eeg-hf prepare`."""
        options = asdict(self)
        del options["folds"], options["reasons"]
        return {**options, "reference": [self.reference], "notch_hz": "auto", "unknown_channels": "drop"}


def make_plan(table: pd.DataFrame, label: str, window_seconds: float | None, folds: int) -> Plan:
    """Choose the settings that fit every recording.

    Args:
        table: As `read_facts` returns it, labelled recordings that can be read.
        label: Column of the labels.
        window_seconds: Wanted length of a window; None chooses.
        folds: Wanted number of folds.

    Raises:
        ValueError: If the recordings share no electrode.
    """
    reasons = []
    lowest = float(table["sampling_rate"].min())
    rate = next((rate for rate in RATES_HZ if rate <= lowest), lowest)
    if rate != RATES_HZ[0]:
        reasons.append(f"{rate:g} Hz, because the slowest recording has {lowest:g} Hz")
    channels = choose_channels(table)
    number = len(channels or table["channels"].iloc[0])
    reference = "average" if number >= _FEWEST_FOR_AVERAGE else "original"
    if reference == "original":
        reasons.append(f"the original reference, because the average of {number} electrodes is a poor one")
    if channels is not None:
        reasons.append(f"the {len(channels)} electrodes that all recordings have")
    shortest = float(table["seconds"].min())
    if window_seconds is None:
        window_seconds = min(_WINDOW_SECONDS, max(1.0, round(shortest / _WINDOWS_PER_RECORDING, 1)))
        if window_seconds < _WINDOW_SECONDS:
            reasons.append(f"windows of {window_seconds:g} s, because one recording has {shortest:.1f} s")
    smallest = int(table.groupby(label)["subject"].nunique().min())
    possible = min(folds, smallest)
    if possible < folds:
        reasons.append(f"{possible} folds, because the smallest class has {smallest} subjects")
    return Plan(
        sampling_rate=rate,
        lowpass_hz=min(LOWPASS_HZ, 0.45 * rate),
        window_seconds=window_seconds,
        reference=reference,
        channels=channels,
        folds=possible,
        reasons=tuple(reasons),
    )


def choose_channels(table: pd.DataFrame) -> list[str] | None:
    """Return the electrodes that all recordings have, in the order of the first; None if all have the same.

    Raises:
        ValueError: If they share none.
    """
    sets = [frozenset(names) for names in table["channels"]]
    if len(set(sets)) == 1:
        return None
    shared = frozenset.intersection(*sets)
    if not shared:
        fewest = table.loc[table["num_channels"].idxmin()]
        raise ValueError(
            f"the recordings share no electrode: {fewest['file']} has {', '.join(fewest['channels'][:6])}: "
            "rename channels with corpus_options.channel_names, or leave recordings out"
        )
    return [name for name in table["channels"].iloc[0] if name in shared]


__all__ = ["Plan", "choose_channels", "make_plan"]
