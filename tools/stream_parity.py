# SPDX-License-Identifier: Apache-2.0
"""Measure how far the windows of a stream are from those of the recording, for settings of the contract.

    python tools/stream_parity.py data/eegmat --recordings 4 --seconds 60

Prints a table in Markdown: the median and the 5th percentile of the correlation of a channel of a settled
window with the same one of the contract, shifted by the delay that fits all best; the largest difference at
that delay, in units of the normalised signal; and the latency.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import mne
import numpy as np

from eeg_hf import EEGFeatureExtractor, StreamingExtractor

_MOST_LAG = 20  # samples at the rate of the contract
SETTINGS: dict[str, dict[str, Any]] = {
    "0.5-45 Hz (default)": {},
    "1-45 Hz": {"highpass_hz": 1.0},
    "0.1-45 Hz": {"highpass_hz": 0.1},
    "4-30 Hz": {"highpass_hz": 4.0, "lowpass_hz": 30.0},
    "no high-pass": {"highpass_hz": None},
    "no low-pass": {"lowpass_hz": None},
    "0.5-70 Hz, notch 50 Hz": {"lowpass_hz": 70.0, "notch_hz": 50.0},
    "2-s windows": {"window_seconds": 2.0},
    "z-score": {"normalization": "zscore"},
    "original reference": {"reference": "original"},
}


Pairs = list[tuple[np.ndarray, np.ndarray]]
"""Settled windows of a stream and those of the contract, good channels only, (channels, time) each."""


def compare(raw: mne.io.BaseRaw, settings: dict[str, Any], phase: Any) -> tuple[Pairs, StreamingExtractor]:
    """Return the windows of both, and the stream."""
    extractor = EEGFeatureExtractor(**settings)
    rate = float(raw.info["sfreq"])
    stream = StreamingExtractor(extractor, rate, raw.ch_names, "V", phase=phase, return_tensors="np")
    whole = extractor(raw, return_tensors="np")
    pairs: Pairs = []
    for window in stream.push(raw.get_data()):
        if window.features is None or window.start < stream.settling_seconds + stream.latency_seconds:
            continue
        is_good = window.features["channel_mask"][0] & whole["channel_mask"][window.index]
        ours = window.features["input_values"][0][is_good]
        pairs.append((ours, whole["input_values"][window.index][is_good]))
    return pairs, stream


def correlate(pairs: Pairs, lag: int) -> np.ndarray:
    """Return the correlations of all channels of all windows, ours `lag` samples later."""
    found = []
    for ours, theirs in pairs:
        first, second = ours[:, lag:], theirs[:, : theirs.shape[1] - lag]
        first, second = (x - x.mean(axis=1, keepdims=True) for x in (first, second))
        products = (first * second).sum(axis=1)
        found.append(products / np.sqrt((first**2).sum(axis=1) * (second**2).sum(axis=1)))
    return np.concatenate(found)


def main(words: list[str] | None = None) -> None:
    """Compare all settings in both phases, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--recordings", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=60.0)
    args = parser.parse_args(words)
    paths = sorted(args.data.rglob("*.edf"))[: args.recordings]
    recordings = [mne.io.read_raw(path, verbose="ERROR").crop(0, args.seconds) for path in paths]
    recordings = [raw.pick(raw.ch_names[:19]).load_data(verbose="ERROR") for raw in recordings]
    lines = [
        "| setting | phase | correlation, median | 5th percentile | largest difference | delay | latency |",
        "|:--|:--|--:|--:|--:|--:|--:|",
    ]
    for name, settings in SETTINGS.items():
        for phase in ("minimum", "linear"):
            found = [compare(raw, settings, phase) for raw in recordings]
            pairs, stream = [pair for pairs, _ in found for pair in pairs], found[0][1]
            lag = max(range(_MOST_LAG), key=lambda lag: float(np.median(correlate(pairs, lag))))
            values = correlate(pairs, lag)
            shifted = ((ours[:, lag:], theirs[:, : theirs.shape[1] - lag]) for ours, theirs in pairs)
            largest = max(float(np.abs(ours - theirs).max()) for ours, theirs in shifted)
            lines.append(
                f"| {name} | {phase} | {np.median(values):.3f} | {np.percentile(values, 5):.3f}"
                f" | {largest:.2g} | {1000 * lag / stream.extractor.sampling_rate:.0f} ms"
                f" | {1000 * stream.latency_seconds:.0f} ms |"
            )
            sys.stderr.write(f"{lines[-1]}\n")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
