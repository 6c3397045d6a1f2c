# SPDX-License-Identifier: Apache-2.0
r"""Measure speed and memory, each figure beside a peer timed in the same run.

    python tools/benchmark.py --quick                        # CPU, a few minutes: does every part work?
    python tools/benchmark.py --output runs/benchmark.json   # on an idle machine, a quarter of an hour
    python tools/benchmark.py --parts train memory --output docs/speed.json   # these tables of docs/speed.md
    python tools/benchmark.py --gpu --output docs/speed.json   # one GPU, 8 minutes; without one a miniature
    python tools/benchmark.py --parts prepare --corpus eegmat --data_dir data/eegmat --processes 1 2
    python tools/benchmark.py --parts scale --scale_windows 250000 --scratch /scratch   # 20 GB
    python tools/benchmark.py --parts exported --threads 2 --exported_models runs/a runs/b \
        --exported_data runs/data/eegmat

Prints Markdown tables. The figures of each part are kept as JSON in `--output`, those of other parts there
stay, and the tables of the Markdown file beside it are written anew. Ours and the peer take turns, and who
goes first alternates. The ratio is ours over the peer's, the median over these turns: for speeds more is
better, for memory less, as the aim says. Machines differ and are seldom idle, so only ratios are comparable
between them.
"""

import os
import platform
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, fields, replace
from datetime import date
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import median

import numpy as np
import psutil
import torch
from benchmark_parts.timing import DEVICE, PARTS, BenchmarkArguments, Row, race
from threadpoolctl import threadpool_limits

UNTOLD = {"parts", "gpu", "output", "data_dir", "scratch", "exported_models", "exported_data"}
"""Options that hold the paths of a machine, or change no figure."""


def measure_import(args: BenchmarkArguments) -> list[Row]:
    """Start Python with and without `import eeg_hf`, and the help of commands."""

    def start_python(*words: str) -> None:
        subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)

    libraries = "import torch, transformers"
    beside: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
        "import eeg_hf": (libraries, ("-c", f"{libraries}, eeg_hf"), ("-c", libraries)),
        "eeg-hf --help": ("python", ("-m", "eeg_hf.cli.main", "--help"), ("-c", "pass")),
        "eeg-hf pretrain --help": ("python", ("-m", "eeg_hf.cli.main", "pretrain", "--help"), ("-c", "pass")),
    }
    rows = []
    for name, (peer_name, ours, peer) in beside.items():
        # The files are in the page cache
        timing = race(partial(start_python, *ours), partial(start_python, *peer), args.pairs, warm_up=False)
        on_top = float(np.median(np.subtract(timing.ours, timing.peer)))
        row = Row(f"{name}, on top of what stands beside", on_top, "s", median(timing.peer), None, peer_name)
        rows.append(replace(row, aim="≤ 0.3 s"))
    return rows


def measures() -> dict[str, Callable[[BenchmarkArguments], list[Row]]]:
    """Return the function that measures each part; worker processes import this file but not the parts."""
    from benchmark_parts import (
        classical,
        clip,
        codec,
        distributed,
        exported,
        gpu,
        growth,
        inference,
        models,
        phases,
        preparing,
        reading,
    )

    def measure_memory(args: BenchmarkArguments) -> list[Row]:
        return reading.measure_reading_memory(args) + models.measure_training_memory(args)

    return {
        "train": models.measure_training,
        "inference": inference.measure_inference,
        "memory": measure_memory,
        "read": reading.measure_read,
        "scale": reading.measure_scale,
        "padding": reading.measure_padding,
        "prepare": preparing.measure_prepare,
        "long": preparing.measure_long,
        "classical": classical.measure_classical,
        "codec": codec.measure_codec,
        "clip": clip.measure_clip,
        "import": measure_import,
        "phases": phases.measure_phases,
        "growth": growth.measure_growth,
        "distributed": distributed.measure_distributed,
        "exported": exported.measure_exported,
        "gpu": gpu.measure_gpu,
    }


def main() -> None:
    """Measure the requested parts in order."""
    os.environ.setdefault("MNE_LOGGING_LEVEL", "ERROR")  # of worker processes too
    from benchmark_parts import report
    from benchmark_parts.models import SIZES
    from datasets import disable_progress_bars
    from transformers import HfArgumentParser
    from transformers.utils import logging

    (args,) = HfArgumentParser(BenchmarkArguments).parse_args_into_dataclasses()  # type: ignore[arg-type]
    options = describe_options(args)
    if args.quick:
        args.pairs, args.subjects, args.seconds, args.sizes, args.long_hours = 1, 1, 20.0, ["tiny"], [0.02]
        args.num_windows, args.scale_windows, args.clip_batch_size, args.memory_batch_size = 64, 64, 4, 4
    args.parts = ["gpu"] if args.gpu else args.parts
    for names, known in ((args.parts, PARTS), (args.sizes, SIZES)):
        if unknown := sorted(set(names) - set(known)):
            raise ValueError(f"expected some of {', '.join(known)}; got {', '.join(unknown)}")
    torch.set_num_threads(args.threads or torch.get_num_threads())
    disable_progress_bars()
    logging.disable_progress_bar()
    for part in args.parts:
        machine, started = describe_machine(0.1 if args.quick else 2.0), time.monotonic()
        torch.manual_seed(0)
        measure = measures()[part]
        with threadpool_limits(torch.get_num_threads()):  # of numpy and scipy, too
            rows = measure(args)
        measured = {
            "machine": machine,
            "options": options,
            "commit": find_commit(),
            "date": date.today().isoformat(),
            "seconds": round(time.monotonic() - started),
            "rows": [asdict(row) for row in rows],
        }
        sys.stdout.write(f"{report.describe_part(part, measured)} {measured['seconds']} s.\n\n")
        sys.stdout.flush()
        if args.output:
            report.update(Path(args.output), part, measured)


def describe_options(args: BenchmarkArguments) -> str:
    """Return the options that change a figure and are not the default, as on the command line."""
    usual, words = BenchmarkArguments(), []
    for field in fields(args):
        value = getattr(args, field.name)
        if field.name in UNTOLD or value == getattr(usual, field.name):
            continue
        values = [] if value is True else value if isinstance(value, list) else [value]
        words += [f"--{field.name}", *map(str, values)]
    return shlex.join(words)


def find_commit() -> str:
    """Return the commit of this clone, with a + if files differ from it, or nothing."""
    git = partial(subprocess.run, capture_output=True, text=True, check=False, cwd=Path(__file__).parent)
    commit = git(["git", "rev-parse", "--short", "HEAD"]).stdout.strip()
    changed = git(["git", "status", "--porcelain", "--untracked-files=no", "../src", "."]).stdout
    return commit + "+" * bool(commit and changed)


def describe_machine(watch_seconds: float) -> dict[str, str | int | float]:
    """Return the hardware, versions, and how many cores other programs keep busy for some seconds."""
    cores = os.cpu_count() or 1
    return {
        "processor": torch.cuda.get_device_name() if DEVICE == "cuda" else _cpu_name(),
        "cores": cores,
        "threads": torch.get_num_threads(),
        "load": round(psutil.cpu_percent(watch_seconds) / 100 * cores, 1),
        **{name: version(name) for name in ("torch", "transformers")},
    }


def _cpu_name() -> str:
    """Return the processor's name on Linux, elsewhere its architecture."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError) as error:
        sys.exit(f"benchmark: {error}")
