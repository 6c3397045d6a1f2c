# SPDX-License-Identifier: Apache-2.0
"""How anything is measured: what may be told, two pieces of work timed in turn, memory in a fresh process."""

import multiprocessing
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from statistics import median
from typing import TypeVar

import torch

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
PARTS = (
    *("import", "prepare", "read", "scale", "padding"),
    *("train", "inference", "memory", "compile", "codec", "phases", "clip"),
)
Work = Callable[[], object]
Result = TypeVar("Result")


@dataclass
class BenchmarkArguments:
    """What to measure, and how thoroughly."""

    parts: list[str] = field(
        default_factory=lambda: list(PARTS), metadata={"help": f"Some of {', '.join(PARTS)}."}
    )
    output: str | None = field(default=None, metadata={"help": "JSON file of the rows and the machine."})
    quick: bool = field(default=False, metadata={"help": "See whether it runs; the figures mean nothing."})
    pairs: int = field(default=9, metadata={"help": "How often ours and the peer are timed in turn."})
    threads: int | None = field(default=None, metadata={"help": "Threads of torch; its choice if left out."})
    # Signals
    corpus: str = field(default="simulated", metadata={"help": "What to prepare: simulated, eegmat, ..."})
    data_dir: str | None = field(default=None, metadata={"help": "Folder with the corpus's recordings."})
    subjects: int = field(default=6, metadata={"help": "Prepare so many subjects."})
    seconds: float = field(default=120.0, metadata={"help": "Length of a simulated recording."})
    processes: list[int] = field(default_factory=lambda: [1, 2], metadata={"help": "Prepare with so many."})
    num_windows: int = field(default=1500, metadata={"help": "Windows to read."})
    scale_windows: int = field(
        default=3000, metadata={"help": "Windows of the large corpus; 100000 take 8 GB."}
    )
    scratch: str | None = field(default=None, metadata={"help": "Folder for the large corpus."})
    # Models
    sizes: list[str] = field(default_factory=lambda: ["tiny", "small"], metadata={"help": "tiny, small."})
    dropouts: list[float] = field(
        default_factory=lambda: [0.0, 0.1], metadata={"help": "Dropout of both models in training."}
    )
    batch_size: int = field(default=8, metadata={"help": "Windows of a training or inference step."})
    clip_batch_size: int = field(default=128, metadata={"help": "Windows of a step of EEG-CLIP."})
    vision_encoder: str = field(
        default="open_clip:ViT-B-32",
        metadata={"help": "Image tower of EEG-CLIP; random weights cost the same."},
    )
    compile_backend: str = field(default="inductor", metadata={"help": "Backend of torch.compile."})


@dataclass(frozen=True)
class Row:
    """One line of the table; where a figure could not be had it is None, and `peer_name` says why."""

    name: str
    value: float | None
    unit: str
    peer: float | None = None
    ratio: float | None = None
    peer_name: str = ""

    def to_markdown(self) -> str:
        """Return the line of the table."""
        value, peer, ratio = (_number(figure) for figure in (self.value, self.peer, self.ratio))
        return f"| {self.name} | {value} | {self.unit} | {self.peer_name} | {peer} | {ratio} |"


@dataclass(frozen=True)
class Timing:
    """Seconds of each turn of ours and of the peer."""

    ours: list[float]
    peer: list[float]

    def row(self, name: str, amount: float, unit: str, peer_name: str) -> Row:
        """Return what was done a second, where each turn did `amount`."""
        value = amount / median(self.ours)
        if not self.peer:
            return Row(name, value, unit, peer_name=peer_name)
        ratio = median(peer / ours for ours, peer in zip(self.ours, self.peer, strict=True))
        return Row(name, value, unit, amount / median(self.peer), ratio, peer_name)


def race(ours: Work, peer: Work | None, pairs: int, warm_up: bool = True) -> Timing:
    """Time two pieces of work in turn, first one of each that does not count."""
    works = [ours] if peer is None else [ours, peer]
    seconds: list[list[float]] = [[], []]
    for turn in range(-1 if warm_up else 0, pairs):
        order = range(len(works)) if turn % 2 == 0 else reversed(range(len(works)))
        for index in order:
            started = time.perf_counter()
            works[index]()
            if turn >= 0:
                seconds[index].append(time.perf_counter() - started)
    return Timing(*seconds)


def in_fresh_process(function: Callable[..., Result], *arguments: object) -> Result:
    """Return what a function returns in a process that does nothing else."""
    # On Linux a spawned process reports its parent's peak memory where that is higher. A forked one does not,
    # and the server that forks it is small.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([])  # a fork of what has looked for a GPU cannot use it
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(function, *arguments).result()


def peak_memory(work: Callable[..., None] | None, *arguments: object) -> float:
    """Work, then return the largest memory that this process had, in MB; of the GPU if that was used."""
    import resource

    if work is not None:
        work(*arguments)
    if torch.cuda.is_initialized():
        return torch.cuda.max_memory_allocated() / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def _number(value: float | None) -> str:
    """Write three significant digits, and thousands in full."""
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
