# SPDX-License-Identifier: Apache-2.0
"""A window of a stream, with what is known of its samples."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class StreamWindow:
    """A window of a stream, cleaned, normalised and marked.

    Attributes:
        index: Number of the window since the stream began, from 0.
        start: Time of its first sample in seconds: of the stamps, or since the stream began.
        end: Time after its last sample.
        features: Model input of a batch of one (`input_values`, `channel_positions`, `channel_mask`,
            `attention_mask`, and a calibration's); None if `problem` says why there is none.
        restarts: How often the stream had been interrupted before; windows with the same number have no gap
            between them.
        is_settled: Whether the filters have left the start of the stream or the last gap behind.
        bad_channels: Channel -> why it is masked in this window.
        reference_outliers: Channel -> why the average reference leaves it out.
        interpolated_channels: Channels that were filled from others.
        quality: As of `PreprocessingReport`, of this window, 0 to 1.
        problem: Why the window has no features: nothing alive, or an amplitude that cannot be EEG.
    """

    index: int
    start: float
    end: float
    features: Mapping[str, Any] | None
    restarts: int = 0
    is_settled: bool = True
    bad_channels: Mapping[str, str] = field(default_factory=dict)
    reference_outliers: Mapping[str, str] = field(default_factory=dict)
    interpolated_channels: tuple[str, ...] = ()
    quality: float = 0.0
    problem: str | None = None

    def marks(self) -> dict[str, Any]:
        """Return all but the features, as `json.dumps` takes it."""
        return {
            name: dict(value) if isinstance(value, Mapping) else value
            for name, value in vars(self).items()
            if name != "features"
        }


@dataclass
class StreamCounts:
    """What a stream has brought so far.

    Attributes:
        samples: Samples of each channel.
        windows: Windows.
        problems: Windows without features.
        unsettled: Windows near a start or a gap.
        gaps: Interruptions: lost samples, jumps of the clock, samples without any number.
        lost_samples: Samples that the gaps lack, as far as stamps tell.
        discarded_samples: Samples before a gap that filled no window.
    """

    samples: int = 0
    windows: int = 0
    problems: int = 0
    unsettled: int = 0
    gaps: int = 0
    lost_samples: int = 0
    discarded_samples: int = 0


__all__ = ["StreamCounts", "StreamWindow"]
