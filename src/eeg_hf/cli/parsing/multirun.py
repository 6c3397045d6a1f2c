# SPDX-License-Identifier: Apache-2.0
"""Every combination of a few settings, one run each.

    eeg-hf train-tokenizer --multirun learning_rate=1e-3,1e-4 config.activation=relu,snake

Each job is its own process, so that no setting of one leaks into the next. Job 3 writes to `<output_dir>/3`;
`<output_dir>/multirun.md` compares all.
"""

import importlib
import json
import multiprocessing
import os
import sys
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...atomic_files import write_text
from ...tables import NOTHING, markdown_table

if typing.TYPE_CHECKING:
    from .command import Command
    from .parser import Job

# Written by Trainer, and by eeg-hf finetune
RESULTS = ("all_results.json", "metrics.json", "eval_results.json")
SHOWN = 6  # metrics in the table; the files hold all


def run_jobs(command: "Command", jobs: Sequence["Job"]) -> None:
    """Run the jobs one after another, then write the table. A job that fails does not stop the others.

    Args:
        command: The verb.
        jobs: Each writes to its own subfolder of the folder of the sweep.

    Raises:
        ValueError: If this process is one of several, or if every job failed.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ValueError("--multirun starts its own processes: run it without accelerate launch or torchrun")
    folder = Path(jobs[0].settings["output_dir"]).parent
    names = jobs[0].overrides
    swept = [name for name in names if len({job.overrides[name] for job in jobs}) > 1]
    # The server imports torch and transformers once; each job is a fork of it
    os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")  # else looking for a GPU forbids to fork
    methods = multiprocessing.get_all_start_methods()
    context: Any = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
    context.set_forkserver_preload([f"eeg_hf.experiments.{command.run}"])
    rows: list[dict[str, Any]] = []
    for number, job in enumerate(jobs):
        chosen = {name: job.overrides[name] for name in swept}
        shown = " ".join(f"{name}={value}" for name, value in chosen.items())
        sys.stderr.write(f"job {number + 1} of {len(jobs)}: {shown}\n")
        process = context.Process(target=run_job, args=(command.name, job.settings))
        process.start()
        process.join()
        if process.exitcode:
            sys.stderr.write(f"job {number + 1} failed with exit code {process.exitcode}: {shown}\n")
        results = read_results(folder / str(number))
        rows.append({"job": number, **chosen, **results, "failed": bool(process.exitcode)})
    if all(row["failed"] for row in rows):
        raise ValueError(f"all {len(rows)} jobs failed; the lines above say why")
    write_table(folder, rows, swept)
    sys.stderr.write(f"see {folder / 'multirun.md'}\n")


def run_job(verb: str, settings: dict[str, Any]) -> None:
    """Run one job in its own process."""
    importlib.import_module(f"..{verb.replace('-', '_')}", __package__).COMMAND.execute(settings)


def read_results(folder: Path) -> dict[str, float]:
    """Return the last metrics that a run wrote to its folder."""
    for name in RESULTS:
        if (folder / name).is_file():
            found = json.loads((folder / name).read_text(encoding="utf-8"))
            return {key: value for key, value in found.items() if isinstance(value, float)}
    return {}


def write_table(folder: Path, rows: list[dict[str, Any]], swept: list[str]) -> None:
    """Write `multirun.json` and `multirun.md`, the run with the lowest validation loss first."""
    rows = sorted(rows, key=lambda row: (row["failed"], row.get("eval_loss", float("inf"))))
    write_text(folder / "multirun.json", json.dumps(rows, indent=2) + "\n")
    measured = [name for name, value in rows[0].items() if isinstance(value, float)]
    judged = [name for name in measured if name.startswith("eval_") and "per_second" not in name]
    columns = ["job", *swept, *(judged or measured)[:SHOWN]]
    table = markdown_table([{name: format_cell(row, name) for name in columns} for row in rows], swept)
    write_text(folder / "multirun.md", f"# Runs\n\nLowest validation loss first.\n\n{table}\n")


def format_cell(row: Mapping[str, Any], name: str) -> str:
    """Return a value as a cell of the table."""
    value = row.get(name)
    if value is None:
        return "failed" if row["failed"] else NOTHING
    return f"{value:.4g}" if isinstance(value, float) else str(value)
