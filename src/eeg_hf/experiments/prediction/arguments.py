# SPDX-License-Identifier: Apache-2.0
"""The options of `eeg-hf predict`."""

from dataclasses import dataclass
from typing import Any, Literal

from ..options import option


@dataclass
class PredictArguments:
    """A model, and what to predict."""

    inputs: list[str] = option("Recordings, folders, patterns such as 'lab/*.edf', prepared corpora.")
    model: str | None = option("Trained model, folder or Hub name; default: the first word.", None)
    output: str = option("Table to write, .csv or .parquet.", "predictions.csv")
    per: Literal["window", "recording"] = option("One row for each window, or each recording.", "window")
    label_column: str | None = option("Column of known labels: adds metrics and a confusion matrix.", None)
    aggregate: Literal["mean", "max", "vote"] = option("How windows become one answer.", "mean")
    calibration: str | None = option("Calibration of the subject, a folder or file.", None)
    calibration_seconds: float = option(
        "Calibrate each recording by its first seconds, which are marked; 0 is off.", 0.0
    )
    causal: bool = option("Clean as on a stream, which knows the past only (see eeg-hf stream).", False)
    min_quality: float = option("Mark recordings of lower quality, 0 to 1.", 0.5)
    unfit: Literal["mark", "refuse"] = option(
        "Mark or refuse recordings of low quality, outside the signal contract, or unlike the training.",
        "mark",
    )
    corpus_options: dict[str, Any] = option(
        'Options of a folder, such as \'{"unit": "uV", "sampling_rate": 250}\'.', factory=dict
    )
    explain: Literal["none", "integrated_gradients", "occlusion", "rollout", "pairs"] = option(
        "Write a figure and JSON of why, in a folder beside the table.", "none"
    )
    batch_size: int = option("Windows in one forward pass.", 32)
    device: str = option("Such as cpu or cuda.", "cpu")


def take_model(settings: dict[str, Any]) -> dict[str, Any]:
    """Read the first word as the model unless one is named."""
    inputs = list(settings.get("inputs", []))
    if settings.get("model") is None and inputs:
        settings = {**settings, "model": inputs[0], "inputs": inputs[1:]}
    if not settings.get("inputs"):
        raise ValueError("expected a model and recordings, such as: runs/classifier recording.edf")
    return settings
