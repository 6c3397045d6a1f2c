# SPDX-License-Identifier: Apache-2.0
"""The test of a trained classifier or regressor: predictions, metrics and figures."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from transformers import Trainer
from transformers.utils import logging

from ...collation import WindowDataset
from ...evaluation import (
    Predictions,
    aggregate_folds,
    classification_metrics,
    plot_confusion_matrix,
    plot_training_curves,
    regression_metrics,
    summarize_predictions,
    write_json,
)
from ...evaluation.vote_metrics import vote_divergence
from ...training.test_time_adaptation import predict_adapted
from .target import Target

logger = logging.get_logger(__name__)


ADAPTATION = "adaptation.json"
"""Beside the predictions of a run with `--adapt`: its metrics before and after."""


def judge_test_part(
    trainer: Trainer, rows: Dataset, target: Target, output_dir: Path, adapt: str = "none"
) -> dict[str, float]:
    """Predict the test part, save scores and figures, and return its metrics.

    Args:
        trainer: Of the trained model.
        rows: Windows of the test part.
        target: What is predicted.
        output_dir: Folder of the files.
        adapt: `"entropy"`: a copy of the model is adapted to the unlabelled windows of each subject; metrics
            without it go to a file of their own.
    """
    windows = WindowDataset(rows, [target.column])
    predicted = trainer.predict(windows)
    labels, outputs = np.asarray(predicted.label_ids), torch.from_numpy(predicted.predictions).float()
    unadapted = outputs
    if adapt != "none":
        own: Any = trainer
        outputs = torch.from_numpy(
            predict_adapted(own.model, windows, rows["alignment_group"][:], own.eval_data_collator)
        )
    if target.is_regression:
        scores = outputs.numpy()
        metrics = regression_metrics(labels, scores)
    else:
        scores = outputs.softmax(dim=-1).numpy()
        metrics = classification_metrics(labels, scores, target.class_names)
        if target.votes:
            metrics["kl_divergence"] = vote_divergence(target.shares(rows), scores)
        absent = [name for index, name in enumerate(target.class_names) if index not in labels]
        if absent:
            logger.warning(
                f"the test part has no window of {', '.join(absent)}: its balanced accuracy is that of the "
                "others, and nothing shows that they are told apart; choose another split, or --folds"
            )
    if trainer.is_world_process_zero():
        predictions = Predictions(
            np.array(rows["window_id"][:]), np.array(rows["subject"][:]), labels, scores
        )
        predictions.save(output_dir / "predictions.parquet")
        if adapt != "none":
            before = classification_metrics(labels, unadapted.softmax(dim=-1).numpy(), target.class_names)
            write_json(output_dir / ADAPTATION, {"method": adapt, "before": before, "after": metrics})
        write_json(output_dir / "metrics.json", metrics)
        if not target.is_regression:
            picture = output_dir / "confusion_matrix.png"
            plot_confusion_matrix(labels, scores.argmax(axis=-1), target.class_names, path=picture)
        # A head that is fitted at once has no curve
        if any({"loss", "eval_loss"} & entry.keys() for entry in trainer.state.log_history):
            plot_training_curves(trainer.state.log_history, path=output_dir / "training_curves.png")
    return metrics


def summarize_folds(folds: list[dict[str, float]], output_dir: Path) -> dict[str, Any]:
    """Return the metrics over folds with intervals over subjects; a regression's are of all folds at once."""
    saved = [output_dir / f"fold-{fold}/predictions.parquet" for fold in range(len(folds))]
    of_subjects = summarize_predictions([[Predictions.load(path) for path in saved]])
    return {**aggregate_folds(folds), **of_subjects}


__all__ = ["ADAPTATION", "judge_test_part", "summarize_folds"]
