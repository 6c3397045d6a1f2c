# SPDX-License-Identifier: Apache-2.0
"""Turn a corpus of EEG recordings into windows that `datasets.load_dataset` reads.

    python scripts/prepare.py --corpus simulated --output_dir runs/data/simulated
    python scripts/prepare.py --corpus eegmat --output_dir runs/data/eegmat --num_proc 2
    python scripts/prepare.py --corpus eegmmidb --output_dir runs/cues --segments events --window_seconds 4

The recordings are looked for in `--data_dir`, else in `$EEG_HF_DATA/<corpus>`, else downloaded. Options can
also stand in a YAML file, named first (scripts/recipes/prepare_eegmat.yaml). Run it again to go on after an
interruption; what is done is kept.

The exit code is 0 if any window is there at the end, even where some recordings failed (they are in
report.jsonl with their reasons), and 1 if nothing could be done.
"""

import sys
from dataclasses import dataclass, field
from typing import Any

from eeg_hf import EEGFeatureExtractor, get_corpus
from eeg_hf.corpora import CORPORA, Simulated, prepare


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
    simulated_subjects: int = field(
        default=12, metadata={"help": "Number of people in the simulated corpus."}
    )
    num_proc: int = field(default=1, metadata={"help": "Processes; each holds one recording in memory."})
    # The signal
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
    # The windows
    window_seconds: float = field(default=5.0, metadata={"help": "Length of a window."})
    stride_seconds: float | None = field(
        default=None, metadata={"help": "From start to start; the length of a window if left out."}
    )
    segments: str = field(
        default="fixed", metadata={"help": "fixed, or events for one window at each event."}
    )
    tmin: float = field(default=0.0, metadata={"help": "Seconds from an event to the start of its window."})


def main() -> int:
    """Prepare a corpus; return the exit code."""
    from eeg_hf.training import parse_recipe  # 3 s that the other processes can do without

    (args,) = parse_recipe((PrepareArguments,), description=__doc__)
    try:
        corpus = Simulated(args.simulated_subjects) if args.corpus == "simulated" else get_corpus(args.corpus)
        extractor = EEGFeatureExtractor(
            sampling_rate=args.sampling_rate,
            highpass_hz=_none_if_negative(args.highpass_hz),
            lowpass_hz=_none_if_negative(args.lowpass_hz),
            notch_hz=float(args.notch_hz) if args.notch_hz not in (None, "auto") else args.notch_hz,
            reference=args.reference[0] if args.reference in (["average"], ["original"]) else args.reference,
            channels=args.channels,
            missing_channels=args.missing_channels,
            window_seconds=args.window_seconds,
        )
        report = prepare(
            corpus,
            corpus.locate(args.data_dir, download=args.download, subjects=args.subjects),
            args.output_dir,
            extractor,
            segments=args.segments,
            stride_seconds=args.stride_seconds,
            num_proc=args.num_proc,
            tmin=args.tmin,
            subjects=args.subjects,
        )
    except (OSError, ValueError, RuntimeError) as error:
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
    return (
        f"{report['corpus']}: {report['recordings_ok']} recordings prepared{failed}; "
        f"{report['windows']} windows{dropped}; {report['hours']:.2f} hours in "
        f"{report['elapsed_seconds']:.0f} s{pace} ({shards}). Windows: {report['output_dir']}; "
        f"every decision: {report['report']}"
    )


def _none_if_negative(frequency: float | None) -> float | None:
    return None if frequency is None or frequency < 0 else frequency


if __name__ == "__main__":
    sys.exit(main())
