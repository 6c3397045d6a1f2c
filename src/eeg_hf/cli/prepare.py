# SPDX-License-Identifier: Apache-2.0
"""Turn a corpus of EEG recordings into windows that `datasets.load_dataset` reads.

    eeg-hf prepare --corpus simulated --output_dir runs/data/simulated
    eeg-hf prepare --corpus eegmat --output_dir runs/data/eegmat --num_proc 2
    eeg-hf prepare --corpus eegmmidb --output_dir runs/cues --segments events --window_seconds 4
    eeg-hf prepare --corpus folder --data_dir ~/our_recordings --output_dir runs/data/ours

docs/data.md lists the corpora with one line for each.

The recordings are looked for in `--data_dir`, else in `$EEG_HF_DATA/<corpus>`, else downloaded. Options can
also stand in a YAML file, named first (prepare_eegmat). Run it again to go on after an
interruption; what is done is kept.

The exit code is 0 if any window is there at the end, even where some recordings failed (they are in
report.jsonl with their reasons), and 1 if nothing could be done.
"""

import json
import re
import sys
from dataclasses import dataclass, field
from typing import Any

from ..corpora import CORPORA, get_corpus, prepare
from ..corpora.windows.label_table import LabelTable
from ..processing.feature_extraction_eeg import EEGFeatureExtractor


@dataclass
class PrepareArguments:
    """What to prepare and how."""

    corpus: str = field(metadata={"help": f"One of {', '.join(CORPORA)}."})
    output_dir: str = field(metadata={"help": "Folder of the prepared windows."})
    data_dir: str | None = field(default=None, metadata={"help": "Folder with the corpus's recordings."})
    download: bool = field(
        default=True, metadata={"help": "Whether a corpus that is not here may be downloaded."}
    )
    subjects: list[str] | None = field(
        default=None, metadata={"help": "Prepare (and download) these subjects only."}
    )
    corpus_options: str | None = field(
        default=None,
        metadata={"help": 'Options of the corpus as JSON, such as \'{"dataset": "BNCI2014_001"}\' of moabb.'},
    )
    keep: str | None = field(
        default=None,
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
    event_labels: str | None = field(
        default=None,
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
    positions: str | None = field(
        default=None,
        metadata={"help": "Places of such channels in metres, as JSON: '{\"X1\": [0.0, 0.07, 0.05]}'."},
    )
    bad_channels: str = field(
        default="flat", metadata={"help": "Look for bad channels: none, flat, or auto (noisy ones too)."}
    )
    adaptive: bool = field(
        default=False,
        metadata={"help": "Measure line noise, noisy channels, unit and drift, and act by fixed rules."},
    )

    def make_extractor(self, window_seconds: float) -> EEGFeatureExtractor:
        """Return what cleans recordings so."""
        names = ("average", "original")
        return EEGFeatureExtractor(
            sampling_rate=self.sampling_rate,
            highpass_hz=_none_if_negative(self.highpass_hz),
            lowpass_hz=_none_if_negative(self.lowpass_hz),
            notch_hz=float(self.notch_hz) if self.notch_hz not in (None, "auto") else self.notch_hz,
            reference=self.reference[0] if self.reference in ([name] for name in names) else self.reference,
            channels=self.channels,
            missing_channels=self.missing_channels,
            unknown_channels=self.unknown_channels,
            positions=_mapping("positions", self.positions) or None,
            bad_channels=self.bad_channels,
            adaptive=self.adaptive,
            window_seconds=window_seconds,
        )


def main() -> int:
    """Prepare a corpus; return the exit code."""
    from ..training import parse_recipe  # 3 s that the other processes can do without

    args, signal = parse_recipe((PrepareArguments, SignalArguments), description=__doc__)
    try:
        corpus = get_corpus(args.corpus, **_mapping("corpus_options", args.corpus_options))
        report = prepare(
            corpus,
            corpus.locate(args.data_dir, download=args.download, subjects=args.subjects),
            args.output_dir,
            signal.make_extractor(args.window_seconds),
            segments=args.segments,
            stride_seconds=args.stride_seconds,
            tmin=args.tmin,
            event_labels=_mapping("event_labels", args.event_labels) or None,
            label_table=LabelTable.read(args.label_table) if args.label_table else None,
            reject_uv=args.reject_uv,
            subjects=args.subjects,
            keep=_mapping("keep", args.keep),
            num_proc=args.num_proc,
            engine=args.engine,
            part=_part(args.shard),
            timeout_seconds=args.timeout_seconds,
        )
    except (OSError, ValueError, RuntimeError, ImportError) as error:
        sys.stderr.write(f"prepare: {error}\n")
        return 1
    sys.stdout.write(describe(report) + "\n")
    return 0


def describe(report: dict[str, Any]) -> str:
    """Say in a paragraph what was done."""
    speed = report["hours_per_minute_per_core"]
    pace = (
        f" at {speed:.2f} hours of EEG per minute per core" if speed is not None else ", nothing left to do"
    )
    failed = f", {report['recordings_failed']} failed" if report["recordings_failed"] else ""
    dropped = "".join(f", {number} dropped ({why})" for why, number in report["dropped"].items())
    shards = f"{report['shards_written']} shards written, {report['shards_reused']} kept"
    waiting = "" if report["is_complete"] else " Other parts are missing still: the last one writes the card."
    return (
        f"{report['corpus']}: {report['recordings_ok']} recordings prepared{failed}; "
        f"{report['windows']} windows{dropped}; {report['hours']:.2f} hours in "
        f"{report['elapsed_seconds']:.0f} s{pace} ({shards}). Windows: {report['output_dir']}; "
        f"every decision: {report['report']}.{waiting}"
    )


def _mapping(name: str, text: str | None) -> dict[str, Any]:
    """Read an option that is a JSON object."""
    try:
        value = json.loads(text or "{}")
    except json.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        raise ValueError(f'{name}: expected a JSON object such as {{"name": "value"}}, got {text!r}')
    return value


def _part(text: str) -> tuple[int, int]:
    """Read `i/n`."""
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if match is None:
        raise ValueError(f"shard: expected i/n such as 0/8, got {text!r}")
    return int(match[1]), int(match[2])


def _none_if_negative(frequency: float | None) -> float | None:
    return None if frequency is None or frequency < 0 else frequency


if __name__ == "__main__":
    sys.exit(main())
