# SPDX-License-Identifier: Apache-2.0
"""The options of `eeg-hf prepare`."""

from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass
class PrepareArguments:
    """The recordings and the windows cut from them."""

    corpus: str = field(metadata={"help": "Name of the corpus; docs/data.md lists them."})
    output_dir: str = field(metadata={"help": "Folder for the windows."})
    data_dir: str | None = field(default=None, metadata={"help": "Folder with the recordings."})
    download: bool = field(default=True, metadata={"help": "Whether a missing corpus may be downloaded."})
    subjects: list[str] | None = field(
        default=None, metadata={"help": "Prepare (and download) only these subjects."}
    )
    corpus_options: dict[str, Any] = field(
        default_factory=dict,
        metadata={"help": 'Options of the corpus, such as \'{"dataset": "BNCI2014_001"}\' of moabb.'},
    )
    keep: dict[str, Any] = field(
        default_factory=dict,
        metadata={"help": 'Recordings to keep by task, session, run or label: \'{"task": ["rest"]}\'.'},
    )
    # The machine
    num_proc: int | None = field(
        default=None,
        metadata={"help": "Processes, each with one recording in memory; default: 1, with Ray all."},
    )
    engine: Literal["local", "ray"] = field(default="local", metadata={"help": "Processes, or Ray Data."})
    shard: str = field(
        default="0/1",
        metadata={
            "help": "i/n prepares the i-th of n parts, from 0, for job arrays; the last writes the card."
        },
    )
    timeout_seconds: float = field(
        default=1800.0, metadata={"help": "Give up a recording that takes longer; 0 for no limit."}
    )
    # The windows
    window_seconds: float = field(default=5.0, metadata={"help": "Length of a window."})
    stride_seconds: float | None = field(
        default=None, metadata={"help": "From start to start; default: the length of a window."}
    )
    segments: Literal["fixed", "events", "annotations"] = field(
        default="fixed",
        metadata={"help": "Consecutive windows, one at each event, or consecutive inside annotations."},
    )
    tmin: float = field(default=0.0, metadata={"help": "Seconds from an event to the start of its window."})
    event_labels: dict[str, Any] = field(
        default_factory=dict,
        metadata={"help": 'Events to use and their labels: \'{"T1": "left"}\'; default: all.'},
    )
    label_table: str | None = field(
        default=None, metadata={"help": "CSV, TSV or Parquet of events: recording, onset, labels."}
    )
    reject_uv: float | None = field(
        default=None, metadata={"help": "Drop windows in which a channel exceeds this many microvolts."}
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
    notch_hz: str | None = field(default=None, metadata={"help": "50, 60 or auto; default: no notch filter."})
    reference: list[str] = field(
        default_factory=lambda: ["average"], metadata={"help": "average, original, or electrode names."}
    )
    channels: list[str] | None = field(default=None, metadata={"help": "Electrodes to keep; default: all."})
    missing_channels: Literal["error", "interpolate", "mask"] = field(
        default="error", metadata={"help": "What to do if one of --channels is missing."}
    )
    unknown_channels: Literal["error", "drop", "mask"] = field(
        default="error", metadata={"help": "EEG channels of unknown position; mask keeps them as zeros."}
    )
    positions: dict[str, Any] = field(
        default_factory=dict,
        metadata={"help": "Positions of such channels in metres: '{\"X1\": [0.0, 0.07, 0.05]}'."},
    )
    bad_channels: Literal["none", "flat", "auto"] = field(
        default="flat", metadata={"help": "Bad channels to detect; auto includes noisy ones."}
    )
    adaptive: bool = field(
        default=False,
        metadata={"help": "Measure line noise, noisy channels, unit and drift, and act by fixed rules."},
    )
