# SPDX-License-Identifier: Apache-2.0
"""How everything is measured: options, two pieces of work timed in turn, memory in a fresh process."""

import multiprocessing
import sys
import time
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from statistics import median
from typing import TypeVar

import torch

from eeg_hf.tables import NOTHING, escape_cell

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
PARTS = (
    *("train", "inference", "memory", "read", "scale", "padding", "prepare", "long", "classical"),
    *("codec", "clip", "import", "phases", "growth", "distributed", "exported", "gpu"),
)
NOT_USUAL = ("phases", "exported", "gpu")  # are of docs/phases.md, need trained models, a GPU
STEPS = 10 if DEVICE == "cuda" else 1  # per timing; one step of a GPU is too short to time
Work = Callable[[], object]
Key = TypeVar("Key", bound=Hashable)
Result = TypeVar("Result")


@dataclass
class BenchmarkArguments:
    """What to measure, and how often."""

    parts: list[str] = field(
        default_factory=lambda: [part for part in PARTS if part not in NOT_USUAL],
        metadata={"help": f"Some of {', '.join(PARTS)}."},
    )
    gpu: bool = field(default=False, metadata={"help": "Only the part gpu: without one in miniature."})
    output: str | None = field(
        default=None,
        metadata={"help": "JSON file whose parts are replaced; the Markdown file beside it gets the tables."},
    )
    quick: bool = field(
        default=False, metadata={"help": "Only check that it runs; the figures mean nothing."}
    )
    pairs: int = field(default=5, metadata={"help": "Number of times ours and the peer are timed in turn."})
    threads: int | None = field(default=None, metadata={"help": "Threads of torch; default: its own choice."})
    # Signals
    corpus: str = field(default="simulated", metadata={"help": "Corpus to prepare: simulated, eegmat, ..."})
    data_dir: str | None = field(default=None, metadata={"help": "Folder of the corpus's recordings."})
    subjects: int = field(default=6, metadata={"help": "Number of subjects to prepare."})
    copies: int = field(
        default=1, metadata={"help": "Prepare each of them so many times, as if they were others."}
    )
    seconds: float = field(default=120.0, metadata={"help": "Duration of a simulated recording in s."})
    processes: list[int] = field(
        default_factory=lambda: [1, 2], metadata={"help": "Numbers of processes to prepare with."}
    )
    num_windows: int = field(default=1500, metadata={"help": "Number of windows to read."})
    long_hours: list[float] = field(
        default_factory=lambda: [1.0, 10.0],
        metadata={"help": "Hours of 64 channels at 512 Hz whose preparation must fit into memory."},
    )
    scale_windows: int = field(
        default=3000, metadata={"help": "Number of windows of the large corpus; 100000 take 8 GB."}
    )
    scratch: str | None = field(default=None, metadata={"help": "Folder for the large corpus."})
    # Models
    sizes: list[str] = field(
        default_factory=lambda: ["tiny", "small"], metadata={"help": "Some of tiny, small."}
    )
    dropouts: list[float] = field(
        default_factory=lambda: [0.1], metadata={"help": "Dropout rates of both models in training."}
    )
    batch_size: int = field(default=8, metadata={"help": "Windows in a training or inference step."})
    memory_batch_size: int = field(
        default=64, metadata={"help": "Windows in a step whose memory is measured."}
    )
    clip_batch_size: int = field(default=128, metadata={"help": "Windows in a step of EEG-CLIP."})
    vision_encoder: str = field(
        default="open_clip:ViT-B-32",
        metadata={"help": "Vision tower of EEG-CLIP; random weights cost the same."},
    )
    exported_models: list[str] = field(
        default_factory=list, metadata={"help": "Trained classifiers to export and compare too."}
    )
    exported_data: str | None = field(
        default=None, metadata={"help": "Prepared corpus to compare these on; default: simulated EEG."}
    )
    exported_label: str | None = field(
        default=None, metadata={"help": "Column of its labels, for the loss of accuracy."}
    )
    compile_backend: str = field(default="inductor", metadata={"help": "Backend of torch.compile."})
    network_gbit: float = field(
        default=10.0, metadata={"help": "Gbit/s between machines, assumed by the cost of 25,000 hours."}
    )


@dataclass(frozen=True)
class Row:
    """One row of a table.

    Attributes:
        name: What was measured.
        value: Ours; a figure that could not be measured is None, and `peer_name` gives the reason.
        unit: Of `value` and `peer`.
        peer: The same of what stands beside it.
        ratio: Ours over the peer, as the median over turns where both take turns.
        peer_name: What stands beside it, or how the figure came about.
        aim: Of the ratio ("≥ 1.7"), or with a unit of the value ("≤ 0.3 s"); other words are only shown.
    """

    name: str
    value: float | None
    unit: str
    peer: float | None = None
    ratio: float | None = None
    peer_name: str = ""
    aim: str = ""

    @property
    def is_reached(self) -> bool | None:
        """Whether the figure reaches its aim; None where there is nothing to compare."""
        sign, *limit = self.aim.split() or [""]
        figure = self.value if len(limit) > 1 else self.ratio
        if sign not in ("≥", "≤") or figure is None:
            return None
        return figure >= float(limit[0]) if sign == "≥" else figure <= float(limit[0])

    def cells(self) -> dict[str, str]:
        """Return the cells of the row, by the title of their column."""
        beside = _number(self.peer, self.unit)
        aim = f"**{self.aim}, missed**" if self.aim and self.is_reached is False else self.aim
        return {
            "what": escape_cell(self.name),
            "eeg_hf": _number(self.value, self.unit) or NOTHING,
            "beside": escape_cell(", ".join(filter(None, [self.peer_name, beside]))),
            "ratio": _number(self.ratio),
            "aim": aim,
        }


@dataclass(frozen=True)
class Timing:
    """Durations of the turns of ours and of the peer, in seconds."""

    ours: list[float]
    peer: list[float]

    def row(self, name: str, amount: float, unit: str, peer_name: str, aim: str = "") -> Row:
        """Return a row of throughput, the median over turns of `amount` per second."""
        value = amount / median(self.ours)
        if not self.peer:
            return Row(name, value, unit, peer_name=peer_name)
        ratio = median(peer / ours for ours, peer in zip(self.ours, self.peer, strict=True))
        return Row(name, value, unit, amount / median(self.peer), ratio, peer_name, aim)


def race(ours: Work, peer: Work | None, pairs: int, warm_up: bool = True) -> Timing:
    """Time two pieces of work in turn; see `race_all`."""
    works = {"ours": ours} if peer is None else {"ours": ours, "peer": peer}
    seconds = race_all(works, pairs, warm_up)
    return Timing(seconds["ours"], seconds.get("peer", []))


def race_all(works: Mapping[Key, Work], turns: int, warm_up: bool = True) -> dict[Key, list[float]]:
    """Time pieces of work in turn, after an untimed turn of each; every other turn goes backwards."""
    seconds: dict[Key, list[float]] = {name: [] for name in works}
    for turn in range(-1 if warm_up else 0, turns):
        for name in works if turn % 2 == 0 else reversed([*works]):
            started = time.perf_counter()
            works[name]()
            if turn >= 0:
                seconds[name].append(time.perf_counter() - started)
    return seconds


def repeat(step: Work) -> Work:
    """Return a function that does `STEPS` steps and waits until the GPU has done them."""

    def work() -> None:
        for _ in range(STEPS):
            step()
        if DEVICE == "cuda":
            torch.cuda.synchronize()

    return work


def repeat_training(
    model: torch.nn.Module, compute_loss: Callable[[], torch.Tensor], fused: bool = False
) -> Work:
    """Return a function that trains `STEPS` steps: forward, backward, AdamW."""
    optimizer = torch.optim.AdamW(model.train().parameters(), lr=1e-4, fused=fused)

    def step() -> None:
        optimizer.zero_grad()
        compute_loss().backward()
        optimizer.step()

    return repeat(step)


def in_fresh_process(function: Callable[..., Result], *arguments: object) -> Result:
    """Call a function in a new process, with as many threads as this one, and return its result."""
    # On Linux a spawned process reports its parent's peak memory where that is higher. A process forked from
    # a small server does not.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([])  # a process that has initialised CUDA must not be forked
    threads = (torch.get_num_threads(),)
    with ProcessPoolExecutor(1, context, initializer=torch.set_num_threads, initargs=threads) as pool:
        return pool.submit(function, *arguments).result()


def peak_memory(work: Callable[..., None] | None, *arguments: object) -> float:
    """Do the work and return the peak memory of this process in MB, of the GPU if the work used it."""
    import resource  # not on Windows

    if work is not None:
        work(*arguments)
    if torch.cuda.is_initialized():
        return torch.cuda.max_memory_allocated() / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def train_twice(make_step: Callable[..., Work], *arguments: object) -> None:
    """Train twice: AdamW's moments are in memory from the start of the second step."""
    work = make_step(*arguments)
    work()
    work()


def _number(value: float | None, unit: str = "") -> str:
    """Format three significant digits, and numbers from 100 in full."""
    if value is None:
        return ""
    return (f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}") + f" {unit}".rstrip()
