# SPDX-License-Identifier: Apache-2.0
"""Linear probes of the encoder before, during and after a training, in one file for all its phases."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset
from transformers import PreTrainedModel, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.utils import logging

from ..atomic_files import write_text
from ..evaluation.probes import linear_probe
from .callbacks import SIGNAL_INPUTS

logger = logging.get_logger(__name__)


class EncoderProbe(TrainerCallback):
    """Probe the encoder at step 0, after epochs and at the end, and write the scores to a file.

    Only process zero computes, on the unwrapped module, whose parameters must not be sharded; the other
    processes wait at their next step. The probe does not change the training by a single bit.

    Args:
        train: Map-style dataset to fit the probe on.
        test: Map-style dataset of other subjects to score the probe on.
        collator: Makes batches with `labels` of both, without augmentation.
        kind: `"classification"` or `"regression"`, see [`linear_probe`].
        path: JSON Lines file, one row a measurement. Rows of other phases are kept; rows of this phase from
            the present step on come from a run that is repeated, and are replaced.
        phase: Name of this training in the file.
        batch_size: Windows that are encoded at once.
        every_epochs: Epochs from one measurement to the next.

    Raises:
        ValueError: If `every_epochs` or `batch_size` is below 1.
    """

    def __init__(
        self,
        train: Dataset,
        test: Dataset,
        collator: Callable[[Any], dict[str, Any]],
        *,
        kind: str = "classification",
        path: Path | None = None,
        phase: str = "",
        batch_size: int = 64,
        every_epochs: int = 1,
    ) -> None:
        if min(every_epochs, batch_size) < 1:
            raise ValueError(
                f"every_epochs and batch_size: expected 1 or more, got {every_epochs} and {batch_size}"
            )
        self.train = train
        self.test = test
        self.collator = collator
        self.kind = kind
        self.path = path
        self.phase = phase
        self.batch_size = batch_size
        self.every_epochs = every_epochs

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Probe the initial weights, unless the training is resumed."""
        if state.global_step == 0:
            self.probe(kwargs["model"], state)

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Probe, but leave the last epoch to `on_train_end`."""
        if not control.should_training_stop and round(state.epoch or 0) % self.every_epochs == 0:
            self.probe(kwargs["model"], state)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Probe the final weights: the best model, if it was loaded at the end."""
        self.probe(kwargs["model"], state)

    def probe(self, model: PreTrainedModel, state: TrainerState) -> None:
        """Probe now, log the scores and write them to the file."""
        if not state.is_world_process_zero:  # the others wait at their next step
            return
        scores = probe_encoder(
            model, self.train, self.test, self.collator, kind=self.kind, batch_size=self.batch_size
        )
        row = {"phase": self.phase, "step": state.global_step, "epoch": float(state.epoch or 0), **scores}
        shown = ", ".join(f"{name} {value:.3f}" for name, value in scores.items())
        logger.info(f"linear probe {self.phase} step {state.global_step}: {shown}")
        if self.path is not None:
            write_probe_row(self.path, row)


def probe_encoder(
    model: PreTrainedModel,
    train: Dataset,
    test: Dataset,
    collator: Callable[[Any], dict[str, Any]],
    *,
    kind: str = "classification",
    batch_size: int = 64,
) -> dict[str, float]:
    """Fit a linear probe on pooled features of one dataset and score it on those of another.

    Args:
        model: Encoder, or a model with one.
        train: As in [`EncoderProbe`].
        test: As in [`EncoderProbe`].
        collator: As in [`EncoderProbe`].
        kind: As in [`linear_probe`].
        batch_size: Windows that are encoded at once.

    Returns:
        The scores of [`linear_probe`].

    Raises:
        ValueError: If the collator gives no labels, or as in [`linear_probe`].
    """
    encoder = model.base_model
    # each (features (rows, hidden_size), labels (rows,))
    fitted, scored = (encode_rows(encoder, data, collator, batch_size) for data in (train, test))
    return linear_probe(*fitted, *scored, kind=kind)


@torch.no_grad()
def encode_rows(
    encoder: Any, dataset: Dataset, collator: Callable[[Any], dict[str, Any]], batch_size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the pooled features (rows, hidden_size) of a dataset, without a mask, and the labels (rows,)."""
    device = next(encoder.parameters()).device
    # Without a generator, a loader draws its seed from the random state of the training
    loader = DataLoader(dataset, batch_size=batch_size, collate_fn=collator, generator=torch.Generator())
    # Empty first entries, so that a dataset without rows gives arrays of the right shape
    features, labels = [np.empty((0, encoder.config.hidden_size))], [np.empty(0)]
    was_training = encoder.training
    encoder.eval()  # no dropout; restored even if a batch fails, because the training goes on
    try:
        for batch in loader:
            if not torch.is_tensor(batch.get("labels")):
                raise ValueError(
                    "probe: expected `labels` of one task in each batch: give the collator a column"
                )
            inputs = {name: batch[name].to(device) for name in SIGNAL_INPUTS if name in batch}
            features.append(encoder(**inputs).pooler_output.float().cpu().numpy())
            labels.append(batch["labels"].numpy())
    finally:
        encoder.train(was_training)
    return np.concatenate(features), np.concatenate(labels)


def write_probe_row(path: Path, row: dict[str, Any]) -> None:
    """Add a row to the file of a curve, replacing the rows of its phase from this step on."""
    rows = read_probe_curve(path) if path.exists() else []
    # A run that was killed and resumed repeats some steps: its earlier rows of them are outdated
    kept = [old for old in rows if old["phase"] != row["phase"] or old["step"] < row["step"]]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, "".join(json.dumps(each) + "\n" for each in (*kept, row)))


def read_probe_curve(path: str | Path) -> list[dict[str, Any]]:
    """Read the rows that [`EncoderProbe`] wrote: `phase`, `step` in the phase, `epoch` and the scores.

    Args:
        path: JSON Lines file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a line is not a row of a curve.
    """
    rows = []
    for number, line in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), start=1):
        try:
            row = json.loads(line)
            rows.append({**row, "phase": str(row["phase"]), "step": int(row["step"])})
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{Path(path).name} line {number}: expected JSON with phase and step, got {line[:60]!r}"
            ) from error
    return rows
