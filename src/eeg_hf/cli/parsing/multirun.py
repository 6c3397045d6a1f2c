# SPDX-License-Identifier: Apache-2.0
"""Every combination of a few settings, one run each.

    eeg-hf train-tokenizer --multirun learning_rate=1e-3,1e-4 config.activation=relu,snake

Each job is a process of its own, so that no setting of one leaks into the next. Job 3 writes to
`<output_dir>/3`; `<output_dir>/multirun.md` compares them.
"""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

RESULTS = ("all_results.json", "metrics.json", "eval_results.json")  # of Trainer, and of eeg-hf finetune
SHOWN = 6  # metrics in the table; the files hold all


def run_jobs(
    command: str, recipe: str | None, jobs: Sequence[Sequence[tuple[str, str]]], options: dict[str, Any]
) -> None:
    """Run the jobs one after another, then write the table; a job that failed does not stop the others.

    Args:
        command: Name of the verb.
        recipe: What all jobs start from.
        jobs: Of each job its overrides.
        options: Options that all jobs share; `output_dir` is the folder of the whole.

    Raises:
        ValueError: Where this process is one of several, or if no job succeeded.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ValueError("--multirun starts its own processes: run it without accelerate launch or torchrun")
    folder = Path(options.pop("output_dir", f"runs/multirun-{command}"))
    swept = [name for name in dict(jobs[0]) if len({dict(job)[name] for job in jobs}) > 1]
    rows = []
    for number, job in enumerate(jobs):
        chosen = {name: value for name, value in job if name in swept}
        sys.stderr.write(
            f"job {number + 1} of {len(jobs)}: {' '.join(f'{k}={v}' for k, v in chosen.items())}\n"
        )
        words = [
            *([recipe] if recipe else []),
            *(f"{name}={value}" for name, value in job),
            *as_words(options),
        ]
        words += ["--output_dir", str(folder / str(number))]
        done = subprocess.run(
            [sys.executable, "-m", f"eeg_hf.cli.{command.replace('-', '_')}", *words], check=False
        )
        if done.returncode:
            sys.stderr.write(f"job {number + 1} failed: eeg-hf {command} {shlex.join(words)}\n")
        rows.append(
            {"job": number, **chosen, **read_results(folder / str(number)), "failed": bool(done.returncode)}
        )
    if all(row["failed"] for row in rows):
        raise ValueError(f"all {len(rows)} jobs failed; the first line of each says why")
    write_table(folder, rows, swept)
    sys.stderr.write(f"see {folder / 'multirun.md'}\n")


def as_words(options: dict[str, Any]) -> list[str]:
    """Return options as they are typed."""
    words = []
    for name, value in options.items():
        values = value if isinstance(value, list) else [value]
        words += [
            f"--{name}",
            *(json.dumps(item) if isinstance(item, dict) else str(item) for item in values),
        ]
    return words


def read_results(folder: Path) -> dict[str, float]:
    """Return the last metrics that a run left in its folder."""
    for name in RESULTS:
        if (folder / name).is_file():
            found = json.loads((folder / name).read_text(encoding="utf-8"))
            return {key: value for key, value in found.items() if isinstance(value, float)}
    return {}


def write_table(folder: Path, rows: list[dict[str, Any]], swept: list[str]) -> None:
    """Write `multirun.json` and `multirun.md`, the run with the least validation loss first."""
    rows = sorted(rows, key=lambda row: (row["failed"], row.get("eval_loss", float("inf"))))
    (folder / "multirun.json").write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    metrics = [name for name in rows[0] if name.startswith("eval_") and "per_second" not in name] or [
        name for name in rows[0] if isinstance(rows[0][name], float)
    ]
    columns = ["job", *swept, *metrics[:SHOWN]]
    table = [columns, ["--:"] * len(columns)]
    table += [
        ["failed" if row["failed"] and i else format_cell(row.get(name)) for i, name in enumerate(columns)]
        for row in rows
    ]
    text = "\n".join("| " + " | ".join(row) + " |" for row in table)
    (folder / "multirun.md").write_text(
        f"# Runs\n\nLeast validation loss first.\n\n{text}\n", encoding="utf-8"
    )


def format_cell(value: object) -> str:
    """Return a value as a cell of the table."""
    return f"{value:.4g}" if isinstance(value, float) else "–" if value is None else str(value)


__all__ = ["run_jobs"]
