# SPDX-License-Identifier: Apache-2.0
"""Run a trained model on a stream until it ends."""

import sys
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from transformers.utils import logging

from ...inference.stream_classifier import StreamClassifier
from ...processing.stream_window import StreamWindow
from ..prediction.predicting import load_pipeline
from .arguments import StreamArguments
from .reader import SourceReader
from .sinks import Sink, open_sink
from .sources import Piece, Source, open_source

logger = logging.get_logger(__name__)
_REMEMBERED = 10_000  # latencies


@dataclass
class _Measures:
    """What the summary says besides the counts of the extraction."""

    latencies: deque[float] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    problems: set[str] = field(default_factory=set)


def run(args: StreamArguments) -> None:
    """Open the source, answer until it ends or is interrupted, and print a summary.

    Raises:
        ValueError: If model, source and sinks do not fit together.
    """
    classify = load_pipeline(str(args.model), args.device)
    source = open_source(args)
    sinks: list[Sink] = []
    reader, classifier, measures = None, None, _Measures()
    try:
        rate = 1 / (args.hop_seconds or classify.feature_extractor.window_seconds or 1.0)
        labels = name_outputs(classify.model.config)
        sinks += [open_sink(word, labels, rate) for word in args.sinks]
        if not args.calibrate:  # misfits are errors before anything is read
            classifier = build(classify, source, args, None)
        reader = SourceReader(source, args.queue_seconds, args.wait_seconds)
        pieces = limit(iter(reader), args.seconds, source.sampling_rate)
        if classifier is None:
            first = collect(pieces, args.calibrate, source)
            sys.stderr.write(f"calibrated on {first.shape[1] / source.sampling_rate:.1f} s\n")
            classifier = build(classify, source, args, first)
        for piece in pieces:
            answer_piece(classifier, piece, sinks, measures)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
    finally:
        if reader is not None:
            reader.close()
        else:
            source.close()
        for sink in sinks:
            sink.close()
    if classifier is not None and reader is not None:
        sys.stderr.write(f"{describe(classifier, reader, sinks, measures)}\n")


def build(
    classify: Any, source: Source, args: StreamArguments, first_seconds: np.ndarray | None
) -> StreamClassifier:
    """Return the classifier for a source."""
    return StreamClassifier(
        classify,
        source.sampling_rate,
        source.channel_names,
        source.unit,
        first_seconds,
        hop_seconds=args.hop_seconds,
        phase=args.phase,
        gap_seconds=args.gap_seconds,
    )


def name_outputs(config: Any) -> list[str]:
    """Return the names of the scores, or of the values of a regression."""
    return [config.id2label[row] for row in range(len(config.id2label))]


def limit(pieces: Iterator[Piece], seconds: float, rate: float) -> Iterator[Piece]:
    """Yield pieces until they hold some seconds; all of them if that is 0."""
    count = 0
    for piece in pieces:
        yield piece
        count += piece.samples.shape[1]
        if seconds and count >= seconds * rate:
            return


def collect(pieces: Iterator[Piece], seconds: float, source: Source) -> np.ndarray:
    """Return the first seconds without a gap, (channels, time)."""
    held: list[np.ndarray] = []
    needed = round(seconds * source.sampling_rate)
    for piece in pieces:
        if piece.lost or piece.is_return or not np.isfinite(piece.samples).any(axis=0).all():
            held = []
        held.append(piece.samples)
        if sum(part.shape[1] for part in held) >= needed:
            return np.concatenate(held, axis=1)
    raise ValueError(f"calibrate: the source ended before it had brought {seconds:g} s without a gap")


def answer_piece(classifier: StreamClassifier, piece: Piece, sinks: list[Sink], measures: _Measures) -> None:
    """Take new samples, and pass the answers on."""
    if piece.is_return or (piece.lost and piece.stamps is None):
        classifier.extraction.restart(piece.lost)
    for window, answer in classifier.push(piece.samples, piece.stamps):
        measures.latencies.append(time.perf_counter() - piece.arrived)
        row = as_row(window, answer, piece, measures.latencies[-1])
        for sink in sinks:
            sink.write(row)
        if window.problem and window.problem not in measures.problems and len(measures.problems) < 10:
            measures.problems.add(window.problem)
            logger.warning(f"no answer from {window.start:.1f} s on: {window.problem}")


def as_row(window: StreamWindow, answer: dict[str, Any], piece: Piece, latency: float) -> dict[str, Any]:
    """Return one answer as sinks take it."""
    scores = answer.get("scores") or answer.get("values") or {}
    return {
        **window.marks(),
        "label": answer.get("label"),
        "score": answer.get("score"),
        "value": answer.get("value"),
        "scores": scores,
        "latency_ms": round(1000 * latency, 2),
        "has_stamps": piece.stamps is not None,
    }


def describe(
    classifier: StreamClassifier, reader: SourceReader, sinks: list[Sink], measures: _Measures
) -> str:
    """Return the summary of a run."""
    counts, extraction = classifier.extraction.counts, classifier.extraction
    parts = [
        f"{counts.windows} windows ({counts.problems} without an answer, {counts.unsettled} near a start or"
        f" gap) of {counts.samples / extraction.sampling_rate:.1f} s",
        f"{counts.gaps} gaps, {counts.lost_samples} samples lost, {reader.dropped_samples} dropped because"
        f" the queue was full, {reader.interruptions} returns of the source",
    ]
    if not counts.windows:
        needed = (extraction.extractor.window_seconds or 1.0) + extraction.latency_seconds
        parts.append(f"a window takes {needed:.1f} s of samples without a gap, which never came")
    if dropped := sum(sink.dropped for sink in sinks):
        parts.append(f"{dropped} answers dropped for slow clients")
    if measures.latencies:
        middle, high = np.percentile(np.array(measures.latencies) * 1000, [50, 99])
        parts.append(
            f"from the last sample to the answer p50 {middle:.1f} ms, p99 {high:.1f} ms, besides"
            f" {1000 * extraction.latency_seconds:.0f} ms that the filters wait"
        )
    return "; ".join(parts)
