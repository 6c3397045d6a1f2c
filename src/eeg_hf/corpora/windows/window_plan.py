# SPDX-License-Identifier: Apache-2.0
"""Which stretches of a recording become windows."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Literal, get_args

import numpy as np

from ..corpus import Event

Segments = Literal["fixed", "events", "annotations"]
STIMULUS_SECONDS = "stimulus_seconds"
"""Label: the second of the stimulus at the onset of an event, or at the first sample of a window."""


@dataclass(frozen=True)
class Cuts:
    """The windows of one recording.

    Attributes:
        starts: First sample of each window.
        events: Event of each window, `None` for windows not cut by one; its label `stimulus_seconds`, if any,
            is that of the window's start.
        dropped: Reason -> number of windows dropped for it.
    """

    starts: np.ndarray
    events: list[Event | None]
    dropped: dict[str, int]


@dataclass(frozen=True)
class WindowPlan:
    """The rule that places windows.

    Attributes:
        segments: `"fixed"`, consecutive windows; `"events"`, one window at each event; or `"annotations"`,
            consecutive windows within the span of each event, so that no window has two labels.
        window_seconds: Length of a window.
        stride_seconds: Seconds between consecutive starts, for `"fixed"` and `"annotations"`.
        tmin: Seconds from an event to the start of its window, for `"events"`.
        event_labels: Name of an event -> name of its windows; other events are left out. `None` keeps all
            events and their names. Spaces do not matter, and what stands before a slash may be left out:
            `S 1` and `S1` name `Stimulus/S  1`.
        reject_uv: Windows in which a channel exceeds this many microvolts are dropped; `None` keeps them.
        baseline: First and last second, from the event, whose mean is subtracted from each channel of a
            window, for `"events"`.
        average: Trials of the same event that follow each other in a recording become one window, their mean,
            for `"events"`; 1 keeps each.
    """

    segments: Segments
    window_seconds: float
    stride_seconds: float
    tmin: float = 0.0
    event_labels: Mapping[str, str] | None = None
    reject_uv: float | None = None
    baseline: tuple[float, float] | None = None
    average: int = 1

    def __post_init__(self) -> None:
        if self.segments not in get_args(Segments):
            raise ValueError(
                f"segments must be one of {', '.join(get_args(Segments))}, got {self.segments!r}"
            )
        if self.window_seconds <= 0 or self.stride_seconds <= 0:
            raise ValueError(
                f"window and stride must exceed 0 s, got {self.window_seconds} and {self.stride_seconds}"
            )
        if self.reject_uv is not None and self.reject_uv <= 0:
            raise ValueError(f"reject_uv must exceed 0 microvolt, got {self.reject_uv}")

        self._check_trials()

    def _check_trials(self) -> None:
        """Refuse what only windows at events have."""
        if self.average < 1:
            raise ValueError(f"average: expected 1 trial or more, got {self.average}")
        if self.segments != "events" and (self.baseline is not None or self.average > 1):
            raise ValueError(f"baseline and average are for segments='events', got {self.segments!r}")
        if self.baseline is None:
            return
        first, last, end = self.tmin, self.tmin + self.window_seconds, 1e-9
        if not first - end <= self.baseline[0] < self.baseline[1] <= last + end:
            raise ValueError(
                f"baseline: expected seconds inside the window, from {first:g} to {last:g} s of the event, "
                f"got {self.baseline[0]:g} to {self.baseline[1]:g}"
            )

    def settings(self) -> dict[str, object]:
        """Return what decides the windows; what older corpora did not know is left out where it is unused."""
        found = asdict(self)
        for name, unused in (("baseline", None), ("average", 1)):
            if found[name] == unused:
                del found[name]
        return found

    def baseline_samples(self, sampling_rate: float) -> slice | None:
        """Return the samples of a window whose mean is subtracted."""
        if self.baseline is None:
            return None
        first, last = (round((second - self.tmin) * sampling_rate) for second in self.baseline)
        return slice(first, max(last, first + 1))

    @property
    def by_event(self) -> bool:
        """Whether events decide where windows lie."""
        return self.segments != "fixed"

    def takes(self, name: str) -> bool:
        """Return whether events of this name become windows."""
        return self.event_labels is None or self._key(name) is not None

    def label_of(self, name: str) -> str:
        """Return what windows of an event are called that `takes` accepts."""
        key = self._key(name)
        return name if key is None else self._new_names[key]

    def named(self, events: Sequence[Event]) -> list[str]:
        """Return the sorted keys of `event_labels` that occur among the events."""
        keys = {self._key(event.name) for event in events}
        return sorted(old for old in self.event_labels or () if _plain(old) in keys)

    def _key(self, name: str) -> str | None:
        """Return the plain form of the key of `event_labels` that names an event, the longest first."""
        whole = _plain(name)
        return next((key for key in (whole, whole.rpartition("/")[2]) if key in self._new_names), None)

    @cached_property
    def _new_names(self) -> dict[str, str]:
        return {_plain(old): new for old, new in (self.event_labels or {}).items()}

    def cut(
        self,
        num_samples: int,
        sampling_rate: float,
        events: Sequence[Event] = (),
        bad_spans: Sequence[tuple[float, float]] = (),
    ) -> Cuts:
        """Place the windows of one recording.

        Args:
            num_samples: Length of the recording.
            sampling_rate: Rate in Hz.
            events: Events, for `"events"` and `"annotations"`.
            bad_spans: (start, end) in seconds that no window may overlap; a span of length 0 is an edge that
                no window may cross.

        Returns:
            The windows. Reasons to drop one: `outside` the recording, `annotated` as bad, `repeated` (one
            event listed twice), its event `unnamed` in `event_labels`, its span `too_short`.
        """
        length = round(self.window_seconds * sampling_rate)  # in samples
        named = [e for e in events if self.takes(e.name)]
        starts, owners = self._candidates(num_samples, length, sampling_rate, named)
        # Each window is counted under the first reason that applies
        is_inside = (starts >= 0) & (starts + length <= num_samples)
        is_bad = np.zeros(len(starts), dtype=bool)
        for begin, end in bad_spans:
            is_bad |= (starts < end * sampling_rate) & (begin * sampling_rate < starts + length)
        keys = [(start, e and e.name) for start, e in zip(starts.tolist(), owners, strict=True)]
        first_row: dict[object, int] = {}
        is_repeated = np.array([first_row.setdefault(key, row) != row for row, key in enumerate(keys)], bool)
        keep = is_inside & ~is_bad & ~is_repeated
        dropped = {
            "outside": int((~is_inside).sum()),
            "annotated": int((is_inside & is_bad).sum()),
            "repeated": int((is_inside & ~is_bad & is_repeated).sum()),
            "unnamed": len(events) - len(named),
            "too_short": len(named) - len({id(e) for e in owners}) if self.segments == "annotations" else 0,
        }
        kept = [
            self._event_of(event, start, sampling_rate)
            for event, start, is_kept in zip(owners, starts.tolist(), keep, strict=True)
            if is_kept
        ]
        return Cuts(starts[keep], kept, {why: number for why, number in dropped.items() if number})

    def _candidates(
        self, num_samples: int, length: int, sampling_rate: float, events: Sequence[Event]
    ) -> tuple[np.ndarray, list[Event | None]]:
        """Return first sample and event of every planned window, inside the recording or not."""
        stride = max(1, round(self.stride_seconds * sampling_rate))
        if self.segments == "fixed":
            starts = np.arange(0, num_samples - length + 1, stride)
            return starts, [None] * len(starts)
        if self.segments == "events":
            at_events = [round((event.onset + self.tmin) * sampling_rate) for event in events]
            return np.array(at_events, np.int64), list(events)
        tiles: list[tuple[int, Event]] = []
        for event in events:
            begin = round(event.onset * sampling_rate)
            begin = (
                begin if begin >= 0 else begin % stride
            )  # spans that start before the recording keep their grid
            end = min(num_samples, round((event.onset + event.duration) * sampling_rate))
            tiles += [(start, event) for start in range(begin, end - length + 1, stride)]
        return np.array([start for start, _ in tiles], np.int64), [event for _, event in tiles]

    def _event_of(self, event: Event | None, start: int, sampling_rate: float) -> Event | None:
        """Return the event of one window: renamed, and with the stimulus second of the window's start."""
        if event is None:
            return None
        if self.event_labels is not None:
            event = replace(event, name=self.label_of(event.name))
        second = event.labels.get(STIMULUS_SECONDS)
        if not isinstance(second, float):
            return event
        # Counted from the event's first sample instead of its onset, which differs by up to half a sample and
        # between subjects: windows of two subjects are paired by equal seconds
        since = (start - round(event.onset * sampling_rate)) / sampling_rate
        second += self.tmin if self.segments == "events" else since
        return replace(event, labels={**event.labels, STIMULUS_SECONDS: round(second, 3)})


def _plain(name: str) -> str:
    return "".join(name.split())
