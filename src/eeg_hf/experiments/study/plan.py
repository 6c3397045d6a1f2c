# SPDX-License-Identifier: Apache-2.0
"""How the recordings of a folder are cleaned, cut and divided: chosen from their headers."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import pandas as pd

from .arguments import StudyArguments
from .question import Question

RATES_HZ = (200.0, 128.0, 100.0)
LOWPASS_HZ = 45.0
_FEWEST_FOR_AVERAGE = 8
"""Electrodes below which the average of all is a poor reference."""
_WINDOW_SECONDS = 5.0
_WINDOWS_PER_RECORDING = 4
_LONG_TRIAL_SECONDS = 2.5
"""Events this far apart begin something that lasts, such as imagery; nearer ones evoke a response."""
BASELINE_TMIN = -0.2
"""Windows of evoked responses start before the event."""


@dataclass(frozen=True)
class Plan:
    """Settings of `eeg-hf prepare`, and the number of folds.

    Attributes:
        sampling_rate: In Hz, not above that of any recording.
        lowpass_hz: Upper edge of the pass band.
        window_seconds: Length of a window.
        tmin: From an event to the start of its window, in seconds.
        reference: Average of the electrodes, or the original one where there are few.
        channels: Electrodes that all recordings have; None if they have the same.
        folds: Folds of subjects.
        baseline: Seconds from an event whose mean is subtracted; None for none.
        average: Trials that become one window.
        reasons: Why, one sentence for each choice that the recordings forced.
    """

    sampling_rate: float
    lowpass_hz: float
    window_seconds: float
    tmin: float
    reference: str
    channels: list[str] | None
    folds: int
    baseline: tuple[float, float] | None = None
    average: int = 1
    reasons: tuple[str, ...] = ()

    def prepare_options(self) -> dict[str, Any]:
        """Return the settings of `eeg-hf prepare`."""
        options = asdict(self)
        del options["folds"], options["reasons"]
        if not self.tmin:
            del options["tmin"]
        options["baseline"] = list(self.baseline) if self.baseline else None
        options["average"] = self.average if self.average > 1 else None
        return {**options, "reference": [self.reference], "notch_hz": "auto", "unknown_channels": "drop"}


def make_plan(table: pd.DataFrame, asked: Mapping[Question, pd.DataFrame], args: StudyArguments) -> Plan:
    """Choose the settings that fit every recording.

    Args:
        table: As `read_facts` returns it, recordings that can be read.
        asked: Each question with the rows that have a label or none, see `label_table`.
        args: Wanted length of a window, number of folds and kind of windows.

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
        few = "one electrode" if number == 1 else f"{number} electrodes"
        reasons.append(f"the original reference, because the average of {few} is a poor one")
    if channels is not None:
        reasons.append(f"the {len(channels)} electrodes that all recordings have")
    place = place_windows(table, args)
    reasons += [place.reason] if place.reason else []
    if place.baseline:
        reasons.append(f"less the mean from {place.baseline[0]:g} to {place.baseline[1]:g} s")
    if args.average > 1:
        reasons.append(
            f"means of {args.average} trials of the same event: what is tested must know which trials belong "
            "together"
        )
    possible, why = min((count_folds(rows, question), question.label) for question, rows in asked.items())
    if possible < args.folds:
        reasons.append(f"{possible} folds, because {why} has no more subjects in its smallest class")
    return Plan(
        sampling_rate=rate,
        lowpass_hz=min(LOWPASS_HZ, 0.45 * rate),
        window_seconds=place.seconds,
        tmin=place.tmin,
        reference=reference,
        channels=channels,
        folds=min(args.folds, possible),
        baseline=place.baseline,
        average=args.average,
        reasons=tuple(reasons),
    )


@dataclass(frozen=True)
class Place:
    """Where windows lie: their length, their start after an event in seconds, why, and their baseline."""

    seconds: float
    tmin: float = 0.0
    reason: str = ""
    baseline: tuple[float, float] | None = None


def place_windows(table: pd.DataFrame, args: StudyArguments) -> Place:
    """Choose the length of the windows by the recordings, their events, or the stretches with a label."""
    if args.segments == "fixed":
        lengths = table["seconds"]
        shortest = float(lengths[lengths >= lengths.median() / _WINDOWS_PER_RECORDING].min())
        seconds = min(_WINDOW_SECONDS, max(1.0, round(shortest / _WINDOWS_PER_RECORDING, 1)))
        why = "" if seconds == _WINDOW_SECONDS else f"one recording has {shortest:.1f} s"
        place = Place(seconds, 0.0, f"windows of {seconds:g} s, because {why}" if why else "")
        if number := int((lengths < seconds).sum()):  # broken off: they must not decide for all
            too_short = f"no window of {number} recordings of less than {seconds:g} s"
            place = replace(place, reason=f"{place.reason}; {too_short}".removeprefix("; "))
    elif args.segments == "annotations":
        span = float(table["event_duration"].median())
        seconds = min(30.0, max(1.0, round(span, 1)))
        place = Place(seconds, 0.0, f"windows of {seconds:g} s inside stretches of {span:.1f} s")
    else:
        gap = float(table["event_gap"].median())
        if gap >= _LONG_TRIAL_SECONDS:
            place = Place(min(4.0, round(gap, 1)))
        else:
            seconds = round(min(0.8, gap) - BASELINE_TMIN, 1)
            place = Place(seconds, BASELINE_TMIN, baseline=(BASELINE_TMIN, 0.0))
        end, start = place.seconds + place.tmin, place.tmin
        place = replace(place, reason=f"windows from {start:g} to {end:g} s of an event, {gap:.1f} s apart")
    if args.baseline:
        place = replace(place, baseline=(args.baseline[0], args.baseline[-1]))
    if args.window_seconds is None or args.window_seconds == place.seconds:
        return place
    return Place(args.window_seconds, place.tmin, baseline=place.baseline)


def count_folds(table: pd.DataFrame, question: Question) -> int:
    """Return how many folds of subjects can have every class, or a subject to test."""
    known = table[table[question.label].notna()]
    if question.is_regression:
        return int(known["subject"].nunique())
    return int(known.groupby(question.label)["subject"].nunique().min())


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
