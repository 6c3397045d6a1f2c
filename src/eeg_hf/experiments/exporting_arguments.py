# SPDX-License-Identifier: Apache-2.0
"""The options of `eeg-hf export`."""

from dataclasses import dataclass
from typing import Any, Literal

from .options import option


@dataclass
class ExportModelArguments:
    """A model, and where to write it."""

    words: list[str] = option("The model, as the first word without a name.", factory=list)
    model: str | None = option("Trained classifier, folder or Hub name; default: the first word.", None)
    output_dir: str = option("Folder for the exported model.", "runs/exported")
    to: Literal["onnx", "openvino", "torch-export"] = option("Format.", "onnx")
    int8: Literal["none", "dynamic", "static"] = option(
        "Quantise layers: inputs are scaled anew for each batch, or once by calibration windows.", "none"
    )
    data: str | None = option(
        "Recording, folder or prepared corpus to compare on; default: simulated EEG.", None
    )
    calibration: str | None = option(
        "Likewise, whose windows --int8 static takes; default: those of --data that the model learnt from.",
        None,
    )
    label_column: str | None = option(
        "Of a prepared --data: the card says how much balanced accuracy is lost.", None
    )
    num_windows: int = option("Windows to compare on, and to calibrate on, at most.", 256)
    input_name: str = option("Name of the windows in the file.", "input_values")
    output_name: str = option("Name of the result in the file.", "logits")


def take_model(settings: dict[str, Any]) -> dict[str, Any]:
    """Read the first word as the model."""
    words = list(settings.get("words", []))
    if settings.get("model") is None and len(words) == 1:
        return {**settings, "model": words[0]}
    if settings.get("model") is None or words:
        raise ValueError(
            f"expected one model to export, got {len(words)} words: eeg-hf export runs/classifier"
        )
    return settings


__all__ = ["ExportModelArguments", "take_model"]
