# SPDX-License-Identifier: Apache-2.0
"""Every combination of a few settings, trained and compared: a grid on Trainer.hyperparameter_search."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from transformers import Trainer

from ..evaluation import write_json
from ..tables import markdown_table

Value = str | int | float | bool
SHOWN = ("loss", "correlation", "nrmse_std", "snr", "codebook_usage", "codebook_perplexity")
"""Metrics of a trial that its row of the table shows, where they were measured."""


class GridSweep:
    """A grid of settings, and what each trial of it gave.

    Args:
        grid: Field of the Trainer's arguments, or of the model's config -> its values.

    Raises:
        ValueError: If a field has no list of values, or one that is no text, number or truth value.
        ImportError: If optuna is missing.

    Example:
        >>> GridSweep({"learning_rate": [1e-3, 1e-4], "activation": ["relu", "snake"]}).num_trials
        4
    """

    def __init__(self, grid: Mapping[str, Sequence[Value]]) -> None:
        for name, values in grid.items():
            if not isinstance(values, list) or not values or any(not isinstance(v, Value) for v in values):
                raise ValueError(f"sweep: expected a list of numbers or texts for {name}, got {values!r}")
        if not grid:
            raise ValueError("sweep: expected fields and their values, got none")
        try:
            import optuna
        except ImportError:
            raise ImportError("a sweep needs optuna: pip install eeg_hf[sweep]") from None
        self.grid = dict(grid)
        self.trials: dict[int, dict[str, Any]] = {}
        self._sampler = optuna.samplers.GridSampler(self.grid, seed=0)
        self._pruner = optuna.pruners.NopPruner()  # optuna's own ends trials early: holes in the table

    @property
    def num_trials(self) -> int:
        """Number of combinations."""
        return math.prod(map(len, self.grid.values()))

    def choose(self, trial: Any) -> dict[str, Value]:
        """Return the settings of a trial (of optuna), the same however often it is asked."""
        return {name: trial.suggest_categorical(name, values) for name, values in self.grid.items()}

    def run(self, trainer: Trainer) -> list[dict[str, Any]]:
        """Train every combination.

        Args:
            trainer: Made with a `model_init` that takes the trial and builds the model of `choose(trial)`.

        Returns:
            Of each trial its number, settings and the metrics of its last evaluation, least loss first.
        """
        fields = {field.name for field in dataclasses.fields(trainer.args)}
        running: dict[str, Any] = {}

        def choose_arguments(trial: Any) -> dict[str, Any]:
            nonlocal running
            chosen = self.choose(trial)
            running = self.trials[trial.number] = {"trial": trial.number, **chosen}
            return {name: value for name, value in chosen.items() if name in fields}

        def remember_loss(metrics: dict[str, float]) -> float:
            running.update(metrics)
            return metrics["eval_loss"]

        trainer.hyperparameter_search(
            hp_space=choose_arguments,
            compute_objective=remember_loss,
            n_trials=self.num_trials,
            direction="minimize",
            backend="optuna",
            hp_name=lambda trial: f"trial-{trial.number}",
            sampler=self._sampler,
            pruner=self._pruner,
        )
        return sorted(self.trials.values(), key=lambda row: (math.isnan(row["eval_loss"]), row["eval_loss"]))


def write_sweep(folder: str | Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write the trials of a sweep as a table, `sweep.md`, and with all that was measured, `sweep.json`.

    Args:
        folder: Where to; made if it is not there.
        rows: What [`GridSweep.run`] returned.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "sweep.json", rows)
    settings = [name for name in rows[0] if name != "epoch" and not name.startswith("eval_")]
    columns = [*settings, *(f"eval_{name}" for name in SHOWN if f"eval_{name}" in rows[0])]
    table = markdown_table([{name: _cell(row.get(name)) for name in columns} for row in rows])
    text = f"# Sweep\n\nLeast validation loss first.\n\n{table}\n"
    (folder / "sweep.md").write_text(text, encoding="utf-8")


def _cell(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


__all__ = ["GridSweep", "write_sweep"]
