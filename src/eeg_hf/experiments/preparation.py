# SPDX-License-Identifier: Apache-2.0
"""Turn a corpus of EEG recordings into windows that `datasets.load_dataset` reads."""

import re
import sys
from typing import Any

from ..corpora import get_corpus, prepare
from ..corpora.windows.label_table import LabelTable
from ..processing.feature_extraction_eeg import EEGFeatureExtractor
from .preparation_arguments import PrepareArguments, SignalArguments


def run(args: PrepareArguments, signal: SignalArguments) -> None:
    """Locate the recordings, prepare them, and print what was done.

    Raises:
        ValueError: If no recording could be prepared.
    """
    try:
        corpus = get_corpus(args.corpus, **args.corpus_options)
        report = prepare(
            corpus,
            args.output_dir,
            make_extractor(signal, args.window_seconds),
            root=corpus.locate(args.data_dir, download=args.download, subjects=args.subjects),
            segments=args.segments,
            stride_seconds=args.stride_seconds,
            tmin=args.tmin,
            event_labels=args.event_labels or None,
            label_table=LabelTable.read(args.label_table) if args.label_table else None,
            reject_uv=args.reject_uv,
            subjects=args.subjects,
            keep=args.keep,
            num_proc=args.num_proc,
            engine=args.engine,
            part=_part(args.shard),
            timeout_seconds=args.timeout_seconds,
        )
    except RuntimeError as error:  # a pool or a download that broke
        raise ValueError(str(error)) from error
    sys.stdout.write(describe(report) + "\n")


def make_extractor(args: SignalArguments, window_seconds: float) -> EEGFeatureExtractor:
    """Return what cleans recordings so."""
    names = ("average", "original")
    return EEGFeatureExtractor(
        sampling_rate=args.sampling_rate,
        highpass_hz=_none_if_negative(args.highpass_hz),
        lowpass_hz=_none_if_negative(args.lowpass_hz),
        notch_hz=float(args.notch_hz) if args.notch_hz not in (None, "auto") else args.notch_hz,
        reference=args.reference[0] if args.reference in ([name] for name in names) else args.reference,
        channels=args.channels,
        missing_channels=args.missing_channels,
        unknown_channels=args.unknown_channels,
        positions=args.positions or None,
        bad_channels=args.bad_channels,
        adaptive=args.adaptive,
        window_seconds=window_seconds,
    )


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


def _part(text: str) -> tuple[int, int]:
    """Read `i/n`."""
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if match is None:
        raise ValueError(f"shard: expected i/n such as 0/8, got {text!r}")
    return int(match[1]), int(match[2])


def _none_if_negative(frequency: float | None) -> float | None:
    return None if frequency is None or frequency < 0 else frequency
