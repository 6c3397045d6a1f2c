# SPDX-License-Identifier: Apache-2.0
"""The options of `eeg-hf prepare`."""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class PrepareArguments:
    """What to prepare and how."""

    corpus: str = field(metadata={"help": "Name of the corpus; docs/data.md lists them."})
    output_dir: str = field(metadata={"help": "Folder of the prepared windows."})
    data_dir: str | None = field(default=None, metadata={"help": "Folder with the corpus's recordings."})
    download: bool = field(
        default=True, metadata={"help": "Whether a corpus that is not here may be downloaded."}
    )
    subjects: list[str] | None = field(
        default=None, metadata={"help": "Prepare (and download) these subjects only."}
    )
    corpus_options: dict[str, Any] = field(
        default_factory=dict,
        metadata={"help": 'Options of the corpus as JSON, such as \'{"dataset": "BNCI2014_001"}\' of moabb.'},
    )
    keep: dict[str, Any] = field(
        default_factory=dict,
        metadata={"help": 'Recordings to keep, as JSON: \'{"task": ["rest"]}\'; fields or labels.'},
    )
    # The machine
    num_proc: int | None = field(
        default=None,
        metadata={
            "help": "Processes, each with one recording in memory; 1, or all that Ray has, if left out."
        },
    )
    engine: str = field(default="local", metadata={"help": "local, or ray for Ray Data."})
    shard: str = field(
        default="0/1",
        metadata={
            "help": "i/n: prepare the i-th of n parts, from 0, for job arrays; the last writes the card."
        },
    )
    timeout_seconds: float = field(
        default=1800.0, metadata={"help": "Give up a recording that takes longer; 0 for never."}
    )
    # The windows
    window_seconds: float = field(default=5.0, metadata={"help": "Length of a window."})
    stride_seconds: float | None = field(
        default=None, metadata={"help": "From start to start; the length of a window if left out."}
    )
    segments: str = field(
        default="fixed",
        metadata={"help": "fixed, events (one window at each event) or annotations (windows inside each)."},
    )
    tmin: float = field(default=0.0, metadata={"help": "Seconds from an event to the start of its window."})
    event_labels: dict[str, Any] = field(
        default_factory=dict,
        metadata={"help": 'Events to take and their names, as JSON: \'{"T1": "left"}\'; all if left out.'},
    )
    label_table: str | None = field(
        default=None, metadata={"help": "CSV, TSV or Parquet of events: recording, onset, labels."}
    )
    reject_uv: float | None = field(
        default=None, metadata={"help": "Drop windows in which a channel exceeds this many microvolt."}
    )


@dataclass
class SignalArguments:
    """How recordings are cleaned."""

    sampling_rate: float = field(default=200.0, metadata={"help": "In Hz, after resampling."})
    highpass_hz: float | None = field(
        default=0.5, metadata={"help": "Lower edge of the pass band; negative for none."}
    )
    lowpass_hz: float | None = field(
        default=45.0, metadata={"help": "Upper edge of the pass band; negative for none."}
    )
    notch_hz: str | None = field(default=None, metadata={"help": "50, 60 or auto; none if left out."})
    reference: list[str] = field(
        default_factory=lambda: ["average"], metadata={"help": "average, original, or electrode names."}
    )
    channels: list[str] | None = field(
        default=None, metadata={"help": "Electrodes to keep; all if left out."}
    )
    missing_channels: str = field(
        default="error",
        metadata={"help": "Where one of --channels is not there: error, interpolate or mask."},
    )
    unknown_channels: str = field(
        default="error",
        metadata={"help": "EEG channels whose place nobody knows: error, drop, or mask (kept, but zero)."},
    )
    positions: dict[str, Any] = field(
        default_factory=dict,
        metadata={"help": "Places of such channels in metres, as JSON: '{\"X1\": [0.0, 0.07, 0.05]}'."},
    )
    bad_channels: str = field(
        default="flat", metadata={"help": "Look for bad channels: none, flat, or auto (noisy ones too)."}
    )
    adaptive: bool = field(
        default=False,
        metadata={"help": "Measure line noise, noisy channels, unit and drift, and act by fixed rules."},
    )
