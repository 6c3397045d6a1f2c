# SPDX-License-Identifier: Apache-2.0
"""How everything is measured: options, two pieces of work timed in turn, memory in a fresh process."""

import multiprocessing
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from statistics import median
from typing import TypeVar

import torch

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
PARTS = (
    *("import", "prepare", "read", "scale", "padding"),
    *("train", "inference", "memory", "compile", "classical", "codec", "phases", "clip", "exported"),
    "growth",
)
STEPS = 10 if DEVICE == "cuda" else 1  # per timing; one step of a GPU is too short to time
Work = Callable[[], object]
Result = TypeVar("Result")


@dataclass
class BenchmarkArguments:
    """What to measure, and how often."""

    parts: list[str] = field(
        default_factory=lambda: list(PARTS), metadata={"help": f"Some of {', '.join(PARTS)}."}
    )
    output: str | None = field(default=None, metadata={"help": "JSON file of the rows and the machine."})
    quick: bool = field(
        default=False, metadata={"help": "Only check that it runs; the figures mean nothing."}
    )
    pairs: int = field(default=9, metadata={"help": "Number of times ours and the peer are timed in turn."})
    threads: int | None = field(default=None, metadata={"help": "Threads of torch; default: its own choice."})
    # Signals
    corpus: str = field(default="simulated", metadata={"help": "Corpus to prepare: simulated, eegmat, ..."})
    data_dir: str | None = field(default=None, metadata={"help": "Folder of the corpus's recordings."})
    subjects: int = field(default=6, metadata={"help": "Number of subjects to prepare."})
    seconds: float = field(default=120.0, metadata={"help": "Duration of a simulated recording in s."})
    processes: list[int] = field(
        default_factory=lambda: [1, 2], metadata={"help": "Numbers of processes to prepare with."}
    )
    num_windows: int = field(default=1500, metadata={"help": "Number of windows to read."})
    scale_windows: int = field(
        default=3000, metadata={"help": "Number of windows of the large corpus; 100000 take 8 GB."}
    )
    scratch: str | None = field(default=None, metadata={"help": "Folder for the large corpus."})
    # Models
    sizes: list[str] = field(
        default_factory=lambda: ["tiny", "small"], metadata={"help": "Some of tiny, small."}
    )
    dropouts: list[float] = field(
        default_factory=lambda: [0.0, 0.1], metadata={"help": "Dropout rates of both models in training."}
    )
    batch_size: int = field(default=8, metadata={"help": "Windows in a training or inference step."})
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


@dataclass(frozen=True)
class Row:
    """One row of the table; a figure that could not be measured is None, and `peer_name` gives the reason."""

    name: str
    value: float | None
    unit: str
    peer: float | None = None
    ratio: float | None = None
    peer_name: str = ""

    def to_markdown(self) -> str:
        """Return the row in Markdown."""
        value, peer, ratio = (_number(figure) for figure in (self.value, self.peer, self.ratio))
        return f"| {self.name} | {value} | {self.unit} | {self.peer_name} | {peer} | {ratio} |"


@dataclass(frozen=True)
class Timing:
    """Durations of the turns of ours and of the peer, in seconds."""

    ours: list[float]
    peer: list[float]

    def row(self, name: str, amount: float, unit: str, peer_name: str) -> Row:
        """Return a row of throughput, the median over turns of `amount` per second."""
        value = amount / median(self.ours)
        if not self.peer:
            return Row(name, value, unit, peer_name=peer_name)
        ratio = median(peer / ours for ours, peer in zip(self.ours, self.peer, strict=True))
        return Row(name, value, unit, amount / median(self.peer), ratio, peer_name)


def race(ours: Work, peer: Work | None, pairs: int, warm_up: bool = True) -> Timing:
    """Time two pieces of work in turn; see `race_all`."""
    works = {"ours": ours} if peer is None else {"ours": ours, "peer": peer}
    seconds = race_all(works, pairs, warm_up)
    return Timing(seconds["ours"], seconds.get("peer", []))


def race_all(works: Mapping[str, Work], turns: int, warm_up: bool = True) -> dict[str, list[float]]:
    """Time pieces of work in turn, after an untimed turn of each; every other turn goes backwards."""
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(-1 if warm_up else 0, turns):
        for name in works if turn % 2 == 0 else reversed(works):
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


def _number(value: float | None) -> str:
    """Format three significant digits, and numbers from 100 in full."""
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
