# SPDX-License-Identifier: Apache-2.0
"""The options of `eeg-hf prepare`."""

from dataclasses import dataclass
from typing import Any, Literal

from .options import option


@dataclass
class PrepareArguments:
    """The recordings and the windows cut from them."""

    corpus: str = option("Name of the corpus; docs/data.md lists them.")
    output_dir: str = option("Folder for the windows.")
    data_dir: str | None = option("Folder with the recordings.", None)
    download: bool = option("Whether a missing corpus may be downloaded.", True)
    subjects: list[str] | None = option("Prepare (and download) only these subjects.", None)
    corpus_options: dict[str, Any] = option(
        'Options of the corpus, such as \'{"dataset": "BNCI2014_001"}\' of moabb.', factory=dict
    )
    keep: dict[str, Any] = option(
        'Recordings to keep by task, session, run or label: \'{"task": ["rest"]}\'.', factory=dict
    )
    # The machine
    num_proc: int | None = option(
        "Processes, each with one recording in memory; default: 1, with Ray all.", None
    )
    engine: Literal["local", "ray"] = option("Processes, or Ray Data.", "local", expert=True)
    shard: str = option(
        "i/n prepares the i-th of n parts, from 0, for job arrays; the last writes the card.",
        "0/1",
        expert=True,
    )
    timeout_seconds: float = option("Give up a recording that takes longer; 0 for no limit.", 1800.0)
    # The windows
    window_seconds: float = option("Length of a window.", 5.0)
    stride_seconds: float | None = option("From start to start; default: the length of a window.", None)
    segments: Literal["fixed", "events", "annotations"] = option(
        "Consecutive windows, one at each event, or consecutive inside annotations.", "fixed"
    )
    tmin: float = option("Seconds from an event to the start of its window.", 0.0)
    event_labels: dict[str, Any] = option(
        'Events to use and their labels: \'{"T1": "left"}\'; default: all.', factory=dict
    )
    baseline: list[float] | None = option(
        "Seconds from the event whose mean is subtracted from each window: -0.2 0.", None
    )
    average: int = option("Trials of the same event to average into one window.", 1)
    label_table: str | None = option(
        "CSV, TSV or Parquet of events: recording, onset, labels.", None, expert=True
    )
    reject_uv: float | None = option("Drop windows in which a channel exceeds this many microvolts.", None)


@dataclass
class SignalArguments:
    """How recordings are cleaned."""

    sampling_rate: float = option("In Hz, after resampling.", 200.0)
    highpass_hz: float | None = option("Lower edge of the pass band; negative for none.", 0.5)
    lowpass_hz: float | None = option("Upper edge of the pass band; negative for none.", 45.0)
    notch_hz: str | None = option("50, 60 or auto; default: no notch filter.", None)
    reference: list[str] = option("average, original, or electrode names.", factory=lambda: ["average"])
    channels: list[str] | None = option("Electrodes to keep; default: all.", None)
    missing_channels: Literal["error", "interpolate", "mask"] = option(
        "What to do if one of --channels is missing.", "error"
    )
    unknown_channels: Literal["error", "drop", "mask"] = option(
        "EEG channels of unknown position; mask keeps them as zeros.", "error"
    )
    positions: dict[str, Any] = option(
        "Positions of such channels in metres: '{\"X1\": [0.0, 0.07, 0.05]}'.", factory=dict, expert=True
    )
    bad_channels: Literal["none", "flat", "auto"] = option(
        "Bad channels to detect; auto includes noisy ones.", "flat"
    )
    normalization: Literal["robust", "zscore", "microvolt", "none"] = option(
        "Scale on which models read a window; microvolt keeps its amplitude.", "robust", expert=True
    )
    adaptive: bool = option(
        "Measure line noise, noisy channels, unit and drift, and act by fixed rules.", False
    )
