# SPDX-License-Identifier: Apache-2.0
"""How the cost of a training step grows with channels, seconds, width and batch, beside its arithmetic.

One thing grows at a time. An exponent is the slope of log seconds over log size between the last two sizes,
beside the same slope of the floating-point operations that torch counts: what is above that is overhead, what
is below it was overhead before.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmark_parts.timing import BenchmarkArguments, Row, Work, race_all, repeat_training
from eeg_hf import EEGFoundationConfig, EEGFoundationForSequenceClassification
from eeg_hf.evaluation.plots import drawing
from eeg_hf.kept_memory import kept_memory
from eeg_hf.processing.channels import STANDARD_19
from eeg_hf.processing.electrode_positions import electrode_positions
from eeg_hf.processing.electrode_templates import template_names
from eeg_hf.tables import markdown_table

RATE = 200
USUAL = {"channels": 19, "seconds": 10, "width": 128, "batch": 8}
GROWN: Mapping[str, Sequence[int]] = {
    "channels": (4, 8, 16, 32, 64, 128, 256),
    "seconds": (2, 5, 10, 20, 50),
    "width": (64, 128, 256, 512),
    "batch": (1, 2, 4, 8, 16, 32),
}
LAYERS = 3


def measure_growth(args: BenchmarkArguments) -> list[Row]:
    """Return a row of every size."""
    return [
        measure_step(axis, size, args.pairs)
        for axis, sizes in GROWN.items()
        for size in (sizes[:2] if args.quick else sizes)
    ]


def measure_step(axis: str, size: int, turns: int) -> Row:
    """Time a training step, and count its operations."""
    step = build_step(**{**USUAL, axis: size})
    with FlopCounterMode(display=False) as counter:
        step()
    with kept_memory():  # as in EEGTrainer
        milliseconds = 1e3 * median(race_all({"step": step}, turns)["step"])
    billions = counter.get_total_flops() / 1e9
    return Row(f"{size} {axis}", milliseconds, "ms", billions, peer_name="thousand million operations")


def as_table(rows: Sequence[Row]) -> str:
    """Return a Markdown table with a line for each thing that grows."""
    lines = []
    for axis, steps in by_axis(rows).items():
        measured, counted = exponents(steps)
        lines.append(
            {
                "size": f"{', '.join(map(str, steps))} {axis}",
                "ms a step": ", ".join(f"{row.value:,.0f}" for row in steps.values()),
                "exponent of the last step": f"{measured:.2f}",
                "of its operations": f"{counted:.2f}",
            }
        )
    return markdown_table(lines, texts=["size", "ms a step"])


def by_axis(rows: Sequence[Row]) -> dict[str, dict[int, Row]]:
    """Return the row of each size, by what grows."""
    axes: dict[str, dict[int, Row]] = defaultdict(dict)
    for row in rows:
        size, axis = row.name.split()
        axes[axis][int(size)] = row
    return axes


def exponents(steps: Mapping[int, Row]) -> list[float]:
    """Return those of the time and of the operations between the two largest sizes."""
    (small, before), (large, after) = [*steps.items()][-2:]
    grown = ((before.value, after.value), (before.peer, after.peer))
    return [math.log(last / first) / math.log(large / small) for first, last in grown if first and last]


def plot_growth(rows: Sequence[Row], path: Path) -> None:
    """Draw the time of a step against each size, and its operations at the speed of the largest step."""
    axes = by_axis(rows)
    with drawing(13.0, 3.4, path, "compressed") as figure:
        for plot, (axis, steps) in zip(figure.subplots(1, len(axes)), axes.items(), strict=True):
            sizes, milliseconds, operations = ([*part] for part in zip(*_points(steps), strict=True))
            by_operations = [each * milliseconds[-1] / operations[-1] for each in operations]
            plot.loglog(sizes, milliseconds, "o-", label="measured")
            plot.loglog(sizes, by_operations, "--", label="operations")
            plot.set(xlabel=axis, ylabel="ms a step", xticks=sizes, xticklabels=sizes)
            plot.minorticks_off()
            plot.grid()
        plot.legend()


def _points(steps: Mapping[int, Row]) -> Iterator[tuple[int, float, float]]:
    """Yield sizes, milliseconds and operations."""
    for size, row in steps.items():
        yield size, row.value or 0.0, row.peer or 0.0


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
