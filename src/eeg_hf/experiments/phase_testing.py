# SPDX-License-Identifier: Apache-2.0
"""The test part of a phase that predicts numbers."""

from pathlib import Path

import numpy as np
from datasets import Dataset
from transformers import Trainer

from ..collation import WindowDataset
from ..evaluation import Predictions, plot_training_curves, regression_metrics, write_json


def test_regression(
    trainer: Trainer, rows: Dataset, windows: WindowDataset, output_dir: Path
) -> dict[str, float]:
    """Predict the test part, save what was said of each window, and return its metrics."""
    predicted = trainer.predict(windows)
    labels, numbers = np.asarray(predicted.label_ids), np.asarray(predicted.predictions)
    metrics = regression_metrics(labels, numbers)
    if trainer.is_world_process_zero():
        predictions = Predictions(np.array(rows["window_id"]), np.array(rows["subject"]), labels, numbers)
        predictions.save(output_dir / "predictions.parquet")
        write_json(output_dir / "metrics.json", metrics)
        plot_training_curves(trainer.state.log_history, path=output_dir / "training_curves.png")
    return metrics
