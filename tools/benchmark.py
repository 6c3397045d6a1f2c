# SPDX-License-Identifier: Apache-2.0
r"""Measure speed and memory, each figure beside a peer timed in the same run.

    python tools/benchmark.py --quick                        # CPU, a few minutes: does every part work?
    python tools/benchmark.py --output runs/benchmark.json   # on an idle machine, a quarter of an hour
    python tools/benchmark.py --parts prepare --corpus eegmat --data_dir data/eegmat --processes 1 2
    python tools/benchmark.py --parts scale --scale_windows 250000 --scratch /scratch   # 20 GB
    python tools/benchmark.py --parts exported --threads 2 --exported_models runs/a runs/b \
        --exported_data runs/data/eegmat
    python tools/benchmark.py --parts clip --threads 1   # EEG-CLIP with and without its image tower
    python tools/benchmark.py --parts growth --threads 1 --pairs 5   # cost of a step against each size

Prints a Markdown table and writes it as JSON. Ours and the peer take turns, and who goes first alternates.
The ratio is the median over these pairs; above 1, ours is faster or needs less memory. Machines differ and
are seldom idle, so only ratios are comparable between them.
"""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import median

import numpy as np
import torch
from benchmark_parts.timing import DEVICE, PARTS, BenchmarkArguments, Row, race


def measure_import(args: BenchmarkArguments) -> list[Row]:
    """Start Python with and without `import eeg_hf`."""

    def start_python(code: str) -> None:
        subprocess.run([sys.executable, "-c", code], check=True)

    code = "import torch, transformers"
    ours, peer = partial(start_python, f"{code}, eeg_hf"), partial(start_python, code)
    timing = race(ours, peer, args.pairs, warm_up=False)  # the files are in the page cache
    on_top = float(np.median(np.subtract(timing.ours, timing.peer)))
    return [Row("import eeg_hf, on top of the peer", on_top, "s", median(timing.peer), peer_name=code)]


def measures() -> dict[str, Callable[[BenchmarkArguments], list[Row]]]:
    """Return the function that measures each part; worker processes import this file but not the parts."""
    from benchmark_parts import (
        classical,
        clip,
        codec,
        exported,
        growth,
        models,
        phases,
        preparing,
        reading,
    )

    def measure_memory(args: BenchmarkArguments) -> list[Row]:
        return reading.measure_reading_memory(args) + models.measure_training_memory(args)

    return {
        "import": measure_import,
        "prepare": preparing.measure_prepare,
        "read": reading.measure_read,
        "scale": reading.measure_scale,
        "padding": reading.measure_padding,
        "train": models.measure_training,
        "inference": models.measure_inference,
        "memory": measure_memory,
        "compile": models.measure_compile,
        "classical": classical.measure_classical,
        "codec": codec.measure_codec,
        "phases": phases.measure_phases,
        "clip": clip.measure_clip,
        "exported": exported.measure_exported,
        "growth": growth.measure_growth,
    }


def main() -> None:
    """Measure the requested parts in order."""
    from benchmark_parts.models import SIZES
    from datasets import disable_progress_bars
    from transformers import HfArgumentParser
    from transformers.utils import logging

    (args,) = HfArgumentParser(BenchmarkArguments).parse_args_into_dataclasses()  # type: ignore[arg-type]
    if args.quick:
        args.pairs, args.subjects, args.seconds, args.sizes = 1, 1, 20.0, ["tiny"]
        args.num_windows, args.scale_windows, args.clip_batch_size = 64, 64, 4
    for names, known in ((args.parts, PARTS), (args.sizes, SIZES)):
        if unknown := sorted(set(names) - set(known)):
            raise ValueError(f"expected some of {', '.join(known)}; got {', '.join(unknown)}")
    torch.set_num_threads(args.threads or torch.get_num_threads())
    torch.manual_seed(0)
    disable_progress_bars()
    logging.disable_progress_bar()
    machine = describe_machine()
    sys.stdout.write(", ".join(f"{name} {value}" for name, value in machine.items()) + "\n\n")
    sys.stdout.write("| what | eeg_hf | unit | beside | its value | ratio |\n|---|---|---|---|---|---|\n")
    rows: list[Row] = []
    for part in args.parts:
        measured = measures()[part](args)
        rows += measured
        sys.stdout.write("".join(row.to_markdown() + "\n" for row in measured))
        sys.stdout.flush()
    if args.output:
        result = {"machine": machine, "arguments": asdict(args), "rows": [asdict(row) for row in rows]}
        Path(args.output).parent.mkdir(parents=True, exist_ok=True)
        Path(args.output).write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def describe_machine() -> dict[str, str | int | float | None]:
    """Return the hardware, load and versions that the figures depend on."""
    return {
        "device": torch.cuda.get_device_name() if DEVICE == "cuda" else _cpu_name(),
        "threads": torch.get_num_threads(),
        "load": round(os.getloadavg()[0], 1),
        **{name: version(name) for name in ("eeg-hf", "torch", "transformers", "datasets", "mne")},
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
