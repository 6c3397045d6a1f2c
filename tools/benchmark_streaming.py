# SPDX-License-Identifier: Apache-2.0
"""Measure a stream: time from the last sample of a hop to the answer, and memory, for some set-ups.

    OMP_NUM_THREADS=1 taskset -c 0 python tools/benchmark_streaming.py EXPORTED_MODEL --data eegmat \
        --channels 8 64 --rates 250 1000 --seconds 3600 --output docs/streaming.json

EXPORTED_MODEL is a folder of `eeg-hf export`, which is run by onnxruntime with one thread. Recordings are
repeated until they fill the time; for more channels than they have, other recordings serve. Times are those
of the process (CPU) and of the wall clock, which other programs on the machine lengthen. Prints a table in
Markdown and writes all figures as JSON.
"""

import argparse
import itertools
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from eeg_hf import StreamingExtractor
from eeg_hf.processing.electrode_templates import template_names
from eeg_hf.processing.filtering import resample
from eeg_hf.runtime import RuntimeModel

HOP_SECONDS = 0.1


def choose_names(count: int) -> list[str]:
    """Return electrodes of the 10-10 system, (10-20 first)."""
    from eeg_hf.processing.channels import STANDARD_19

    others = [name for name in template_names().values() if len(name) <= 3 and not name.endswith("h")]
    return list(dict.fromkeys([*STANDARD_19, *others]))[:count]


def read_samples(folder: Path, count: int, rate: float, seconds: float) -> np.ndarray:
    """Return samples of recordings in uV, (channels, time)."""
    import mne

    rows: list[np.ndarray] = []
    length = round(seconds * rate)
    for path in sorted(folder.rglob("*.edf")):
        raw = mne.io.read_raw(path, verbose="ERROR").crop(0, seconds + 1)
        data = resample(raw.get_data(picks="eeg") * 1e6, float(raw.info["sfreq"]), rate)
        rows += list(data[:19, :length])
        if len(rows) >= count:
            return np.stack(rows[:count])
    raise SystemExit(f"{folder}: expected EDF recordings with {count} channels in all, got {len(rows)}")


def measure(
    model: RuntimeModel, samples: np.ndarray, rate: float, seconds: float, phase: Any
) -> dict[str, Any]:
    """Push samples hop by hop, as fast as they are taken."""
    extraction = StreamingExtractor(
        model.contract, rate, choose_names(len(samples)), "uV", HOP_SECONDS, phase, return_tensors="np"
    )
    hop = round(HOP_SECONDS * rate)
    process, steps = psutil.Process(), []
    memory: list[float] = []
    starts = itertools.cycle(range(0, samples.shape[1] - hop + 1, hop))
    for number in range(round(seconds / HOP_SECONDS)):
        start = next(starts)
        chunk = samples[:, start : start + hop]
        wall, busy = time.perf_counter(), time.process_time()
        windows = extraction.push(chunk)
        cleaned = time.process_time()
        for window in windows:
            if window.features is not None:
                model.predict(window.features)
        steps.append((time.perf_counter() - wall, time.process_time() - busy, cleaned - busy))
        if number % round(10 / HOP_SECONDS) == 0:
            memory.append(process.memory_info().rss / 1e6)
    walls, busies, extractions = 1000 * np.array(steps[round(10 / HOP_SECONDS) :]).T
    return {
        "channels": len(samples),
        "rate": rate,
        "seconds": seconds,
        "windows": extraction.counts.windows,
        "latency_ms": 1000 * extraction.latency_seconds,
        "p50_ms": float(np.percentile(busies, 50)),
        "p99_ms": float(np.percentile(busies, 99)),
        "extraction_p50_ms": float(np.percentile(extractions, 50)),
        "wall_p50_ms": float(np.percentile(walls, 50)),
        "wall_p99_ms": float(np.percentile(walls, 99)),
        "times_real_time": float(HOP_SECONDS / (busies.mean() / 1000)),
        "rss_start_mb": memory[min(6, len(memory) - 1)],
        "rss_end_mb": memory[-1],
    }


def as_table(rows: list[dict[str, Any]]) -> str:
    """Return the figures as a table in Markdown."""
    lines = [
        "| channels | rate | EEG | step p50 | step p99 | of it extraction | wall p50 | wall p99 | x real time"
        " | memory start | end |",
        "|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for row in rows:
        cells = [
            str(row["channels"]),
            f"{row['rate']:g} Hz",
            f"{row['seconds'] / 60:g} min",
            *(f"{row[name]:.1f} ms" for name in ("p50_ms", "p99_ms", "extraction_p50_ms")),
            *(f"{row[name]:.1f} ms" for name in ("wall_p50_ms", "wall_p99_ms")),
            f"{row['times_real_time']:.0f}",
            *(f"{row[name]:.0f} MB" for name in ("rss_start_mb", "rss_end_mb")),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main(words: list[str] | None = None) -> None:
    """Measure all set-ups, print the table and write the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--channels", type=int, nargs="+", default=[8, 64])
    parser.add_argument("--rates", type=float, nargs="+", default=[250.0, 1000.0])
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--phase", choices=["minimum", "linear"], default="minimum")
    parser.add_argument("--output", type=Path)
    args = parser.parse_args(words)
    rows = []
    for count, rate in itertools.product(args.channels, args.rates):
        model = RuntimeModel(args.model, num_threads=1)
        samples = read_samples(args.data, count, rate, 60.0)
        rows.append(measure(model, samples, rate, args.seconds, args.phase))
        sys.stderr.write(f"{json.dumps(rows[-1])}\n")
    sys.stdout.write(f"{as_table(rows)}\n")
    if args.output:
        about = {"cores": len(os.sched_getaffinity(0)), "model": args.model, "phase": args.phase}
        args.output.write_text(json.dumps({**about, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
