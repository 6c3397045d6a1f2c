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
    int8: bool = option("Quantise matrix products to int8, dynamically.", False)
    data: str | None = option(
        "Recording, folder or prepared corpus to compare on; default: simulated EEG.", None
    )
    num_windows: int = option("Windows to compare on at most.", 256)
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
