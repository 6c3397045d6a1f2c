# SPDX-License-Identifier: Apache-2.0
"""How the cost of a training step grows with channels, seconds, width and batch, beside its arithmetic.

One thing grows at a time. The exponent is the slope of log seconds over log size between the last two sizes,
and its peer is the same slope of the floating-point operations that torch counts: what is above it is
overhead, what is below it was overhead before.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmark_parts.timing import BenchmarkArguments, Row, Work, race_all, repeat_training
from eeg_hf import EEGFoundationConfig, EEGFoundationForSequenceClassification
from eeg_hf.evaluation.plots import drawing
from eeg_hf.processing.channels import STANDARD_19
from eeg_hf.processing.electrode_positions import electrode_positions
from eeg_hf.processing.electrode_templates import template_names

RATE = 200
USUAL = {"channels": 19, "seconds": 10, "width": 128, "batch": 8}
GROWN: Mapping[str, Sequence[int]] = {
    "channels": (4, 8, 16, 32, 64, 128, 256),
    "seconds": (2, 5, 10, 20, 50),
    "width": (64, 128, 256, 512),
    "batch": (1, 2, 4, 8, 16, 32),
}
LAYERS = 3


@dataclass(frozen=True)
class Point:
    """What a training step of one size costs."""

    axis: str
    size: int
    seconds: float
    operations: int


def measure_growth(args: BenchmarkArguments) -> list[Row]:
    """Return a row of every size, and the exponents."""
    rows, lines = [], {}
    for axis, sizes in GROWN.items():
        sizes = sizes[:2] if args.quick else sizes
        points = lines[axis] = [measure_point(axis, size, args.pairs) for size in sizes]
        rows += [
            Row(
                f"step, {point.size} {axis}",
                1e3 * point.seconds,
                "ms",
                point.operations / 1e9,
                peer_name="thousand million operations",
            )
            for point in points
        ]
        exponents = [slope(points[-2:], each) for each in (lambda p: p.seconds, lambda p: p.operations)]
        title = f"exponent of {axis}, {points[-2].size} to {points[-1].size}"
        rows.append(Row(title, exponents[0], "", exponents[1], peer_name="exponent of the operations"))
    if args.output:
        plot_growth(lines, Path(args.output).with_suffix(".png"))
    return rows


def plot_growth(lines: Mapping[str, Sequence[Point]], path: Path) -> None:
    """Draw the time of a step against each size, and its operations at the speed of the largest step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with drawing(13.0, 3.4, path, "compressed") as figure:
        for axes, (axis, points) in zip(figure.subplots(1, len(lines)), lines.items(), strict=True):
            sizes, last = [point.size for point in points], points[-1]
            operations = [1e3 * last.seconds * point.operations / last.operations for point in points]
            axes.loglog(sizes, [1e3 * point.seconds for point in points], "o-", label="measured")
            axes.loglog(sizes, operations, "--", label="operations")
            axes.set(xlabel=axis, ylabel="ms a step", xticks=sizes, xticklabels=sizes)
            axes.minorticks_off()
            axes.grid()
        axes.legend()


def measure_point(axis: str, size: int, turns: int) -> Point:
    """Time a training step, and count its operations."""
    step = build_step(**{**USUAL, axis: size})
    with FlopCounterMode(display=False) as counter:
        step()
    return Point(axis, size, median(race_all({"step": step}, turns)["step"]), counter.get_total_flops())


def slope(points: Sequence[Point], value: Callable[[Point], float]) -> float:
    """Return the exponent between two points."""
    first, last = points
    return math.log(value(last) / value(first)) / math.log(last.size / first.size)


def build_step(channels: int, seconds: int, width: int, batch: int) -> Work:
    """Return a training step of a classifier with three layers on noise."""
    config = EEGFoundationConfig(
        hidden_size=width,
        num_hidden_layers=LAYERS,
        num_attention_heads=width // 32,
        intermediate_size=4 * width,
        overlap=0.0,
        max_seq_length=seconds * RATE,
    )
    model = EEGFoundationForSequenceClassification(config)
    inputs: dict[str, Any] = {
        "input_values": torch.randn(batch, channels, seconds * RATE),
        "channel_positions": torch.from_numpy(electrode_positions(choose_electrodes(channels))),
        "labels": torch.arange(batch) % 2,
    }
    return repeat_training(model, lambda: model(**inputs).loss)


def choose_electrodes(count: int) -> list[str]:
    """Return electrodes of the 10-05 system, those of the 10-20 system first."""
    return list(dict.fromkeys([*STANDARD_19, *template_names().values()]))[:count]
