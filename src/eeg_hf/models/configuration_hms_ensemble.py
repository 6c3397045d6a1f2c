# SPDX-License-Identifier: Apache-2.0
"""Configuration of HMSEnsemble."""

from typing import Any

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

INPUTS = ("eeg", "spectrogram")


@strict
class HMSEnsembleConfig(PreTrainedConfig):
    r"""Configuration of [`HMSEnsembleModel`].

    Args:
        inputs (`dict[str, str]`, *optional*): Input of each member, `"eeg"` or `"spectrogram"`. By default
            that of an image network of transformers, which reads `pixel_values`, is the spectrogram, and that
            of all others the EEG.
        weights (`dict[str, float]`, *optional*): Weight of each member; equal by default.
        learn_weights (`bool`): Train the weights (as a softmax, so they stay positive and add up to 1).
        members (`dict[str, dict]`, *optional*): Config of each member with the class it builds, as a saved
            ensemble holds it; [`HMSEnsembleModel`] fills it in.

    Example:
        >>> HMSEnsembleConfig(inputs={"efficientnet": "spectrogram"}).learn_weights
        False
    """

    model_type = "hms_ensemble"

    inputs: dict[str, str] | None = None
    weights: dict[str, float | int] | None = None
    learn_weights: bool = False
    members: dict[str, dict[str, Any]] | None = None

    def __post_init__(self, **kwargs: Any) -> None:
        super().__post_init__(**kwargs)
        wrong = {name: kind for name, kind in (self.inputs or {}).items() if kind not in INPUTS}
        if wrong:
            raise ValueError(f"inputs: expected one of {INPUTS}, got {wrong}")
        if any(weight <= 0 for weight in (self.weights or {}).values()):
            raise ValueError(f"weights: expected positive numbers, got {self.weights}")


__all__ = ["INPUTS", "HMSEnsembleConfig"]
