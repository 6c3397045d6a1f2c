# SPDX-License-Identifier: Apache-2.0
"""Prepare a corpus: recordings to windows that `datasets.load_dataset` reads."""

import re
import sys
from typing import Any

from ..corpora import get_corpus, prepare
from ..corpora.windows.label_table import LabelTable
from ..processing.feature_extraction_eeg import EEGFeatureExtractor
from .preparation_arguments import PrepareArguments, SignalArguments


def run(args: PrepareArguments, signal: SignalArguments) -> None:
    """Locate the recordings, prepare them, and print a summary.

    Raises:
        ValueError: If no recording could be prepared.
    """
    try:
        corpus = get_corpus(args.corpus, **args.corpus_options)
        report = prepare(
            corpus,
            args.output_dir,
            build_extractor(signal, args.window_seconds),
            root=corpus.locate(args.data_dir, download=args.download, subjects=args.subjects),
            segments=args.segments,
            stride_seconds=args.stride_seconds,
            tmin=args.tmin,
            event_labels=args.event_labels or None,
            label_table=LabelTable.read(args.label_table) if args.label_table else None,
            reject_uv=args.reject_uv,
            baseline=parse_baseline(args.baseline),
            average=args.average,
            subjects=args.subjects,
            keep=args.keep,
            num_proc=args.num_proc,
            engine=args.engine,
            part=parse_shard(args.shard),
            timeout_seconds=args.timeout_seconds,
        )
    except RuntimeError as error:  # no recording was usable, or a pool or a download broke
        raise ValueError(str(error)) from error
    sys.stdout.write(describe(report) + "\n")


def parse_baseline(seconds: list[float] | None) -> tuple[float, float] | None:
    """Return the two ends of a baseline.

    Raises:
        ValueError: If there are not two.
    """
    if not seconds:
        return None
    if len(seconds) != 2:
        raise ValueError(f"baseline: expected two numbers such as -0.2 0, got {len(seconds)}")
    return seconds[0], seconds[1]


def build_extractor(args: SignalArguments, window_seconds: float) -> EEGFeatureExtractor:
    """Return the feature extractor that cleans the recordings.

    Raises:
        ValueError: If a setting is impossible, or would change nothing.
    """
    if args.channels is None and args.missing_channels == "mask":
        raise ValueError("--missing_channels mask: no effect without --channels, nothing is missing")
    if args.channels is not None and args.unknown_channels != "error":
        raise ValueError(
            f"--unknown_channels {args.unknown_channels}: no effect with --channels, which names all"
        )
    fields = vars(args).copy()
    for name in ("highpass_hz", "lowpass_hz"):
        if fields[name] is not None and fields[name] < 0:
            fields[name] = None
    if args.notch_hz not in (None, "auto"):
        try:
            fields["notch_hz"] = float(str(args.notch_hz))
        except ValueError:
            raise ValueError(f"notch_hz: expected a frequency in Hz or auto, got {args.notch_hz!r}") from None
    if args.reference in (["average"], ["original"]):
        fields["reference"] = args.reference[0]
    fields["positions"] = args.positions or None
    return EEGFeatureExtractor(**fields, window_seconds=window_seconds)


def describe(report: dict[str, Any]) -> str:
    """Return what was prepared, and below it what was warned of, changed or guessed."""
    speed = report["hours_per_minute_per_core"]
    pace = (
        f" at {speed:.2f} hours of EEG per minute per core" if speed is not None else ", nothing left to do"
    )
    failed = f", {report['recordings_failed']} failed" if report["recordings_failed"] else ""
    dropped = "".join(f", {number} dropped ({why})" for why, number in report["dropped"].items())
    shards = f"{report['shards_written']} shards written, {report['shards_reused']} kept"
    waiting = "" if report["is_complete"] else " Other parts are still missing: the last one writes the card."
    findings = "".join(f"\n* {finding}" for finding in report["findings"])
    found = f"\nWarned of, changed or guessed:{findings}" if findings else ""
    return (
        f"{report['corpus']}: {report['recordings_ok']} recordings prepared{failed}; "
        f"{report['windows']} windows{dropped}; {report['hours']:.2f} hours in "
        f"{report['elapsed_seconds']:.0f} s{pace} ({shards}). Windows: {report['output_dir']}; "
        f"every decision: {report['report']}.{waiting}{found}"
    )


def parse_shard(text: str) -> tuple[int, int]:
    """Parse `i/n`."""
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if match is None:
        raise ValueError(f"shard: expected i/n such as 0/8, got {text!r}")
    return int(match[1]), int(match[2])
