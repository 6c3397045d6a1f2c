# SPDX-License-Identifier: Apache-2.0
"""Ensembles of classifiers of the EEG or of its spectrogram."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import nn
from transformers.modeling_outputs import SequenceClassifierOutput

from .losses import task_loss

INPUTS = ("eeg", "spectrogram")


@dataclass
class HMSEnsembleConfig:
    """Settings of [`HMSEnsembleModel`].

    Attributes:
        inputs: Input of each member, `"eeg"` or `"spectrogram"`. By default that of an image network of
            transformers, which reads `pixel_values`, is the spectrogram, and that of all others the EEG.
        weights: Weight of each member; equal by default.
        learn_weights: Train the weights (as a softmax, so they stay positive and add up to 1).
    """

    inputs: dict[str, str] = field(default_factory=dict)
    weights: dict[str, float] = field(default_factory=dict)
    learn_weights: bool = False


class HMSEnsembleModel(nn.Module):
    """Average the class probabilities of several classifiers.

    A member is any module that maps its input to logits (batch, classes), as a tensor or as an output with
    `logits`: an [`EEGFoundationForSequenceClassification`], a braindecode model, an image network on
    spectrograms.

    Args:
        base_models: The members by name.
        config: Inputs and weights of the members.

    Example:
        >>> ensemble = HMSEnsembleModel(
        ...     {"foundation": foundation, "efficientnet": efficientnet},
        ...     HMSEnsembleConfig(inputs={"efficientnet": "spectrogram"}),
        ... )  # doctest: +SKIP
        >>> ensemble(eeg, spectrogram).logits.exp().sum(-1)  # doctest: +SKIP
    """

    accepts_loss_kwargs = False

    def __init__(self, base_models: Mapping[str, nn.Module], config: HMSEnsembleConfig | None = None) -> None:
        super().__init__()
        self.config = config or HMSEnsembleConfig()
        if not isinstance(self.config, HMSEnsembleConfig):
            raise TypeError(
                f"config: expected HMSEnsembleConfig(inputs=..., weights=...), got {type(config).__name__}"
            )
        if not base_models:
            raise ValueError("base_models: expected at least one model")
        unknown = sorted((set(self.config.inputs) | set(self.config.weights)) - set(base_models))
        if unknown:
            raise ValueError(f"config names {unknown}, which are not among the members {sorted(base_models)}")
        wrong = {name: kind for name, kind in self.config.inputs.items() if kind not in INPUTS}
        if wrong:
            raise ValueError(f"inputs: expected one of {INPUTS}, got {wrong}")
        # Positive weights as logits of a softmax, whose sum does not matter
        votes = torch.tensor([float(self.config.weights.get(name, 1.0)) for name in base_models])
        if (votes <= 0).any():
            raise ValueError(f"weights: expected positive numbers, got {self.config.weights}")
        self.base_models = nn.ModuleDict(base_models)
        self.vote_logits = nn.Parameter(votes.log(), requires_grad=self.config.learn_weights)

    def forward(
        self,
        eeg: torch.Tensor | None = None,
        spectrogram: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
    ) -> SequenceClassifierOutput:
        """Average the members' class probabilities.

        Args:
            eeg: (batch, channels, time), input of the EEG members.
            spectrogram: (batch, maps, frequency, time), input of the spectrogram members.
            labels: (batch,) class indices or (batch, classes) shares.

        Returns:
            `logits` are log probabilities (batch, classes).
        """
        given = {"eeg": eeg, "spectrogram": spectrogram}
        log_votes = []
        for name, model in self.base_models.items():
            kind = self.config.inputs.get(name) or default_input(model)
            values = given[kind]
            if values is None:
                raise ValueError(f"member {name!r} needs the input {kind!r}, got None")
            logits = self.ask(name, kind, values)
            log_votes.append(logits.float().log_softmax(dim=-1))  # (batch, classes)
        # Mean of probabilities, computed from their logarithms
        weights = self.vote_logits.log_softmax(dim=0)[:, None, None]
        log_probabilities = (torch.stack(log_votes) + weights).logsumexp(dim=0)  # (batch, classes)
        loss = None if labels is None else task_loss(log_probabilities, labels, log_probabilities.shape[-1])
        return SequenceClassifierOutput(loss=loss, logits=log_probabilities)

    def ask(self, name: str, kind: str, values: torch.Tensor) -> torch.Tensor:
        """Return the logits (batch, classes) of a member for its input."""
        try:
            output = self.base_models[name](values)
        except (RuntimeError, TypeError, ValueError) as error:
            (other,) = set(INPUTS) - {kind}
            raise ValueError(
                f"member {name!r} does not take the {kind} {tuple(values.shape)}: if it reads the {other}, "
                f"say so: HMSEnsembleConfig(inputs={{{name!r}: {other!r}}}) ({error})"
            ) from error
        logits = output if torch.is_tensor(output) else getattr(output, "logits", None)
        if not torch.is_tensor(logits):
            raise ValueError(
                f"member {name!r} returns no logits: an encoder becomes a classifier by "
                "add_classification_head(num_classes)"
            )
        return logits


def default_input(model: nn.Module) -> str:
    """Return what a member reads if nothing is said of it."""
    return "spectrogram" if getattr(model, "main_input_name", None) == "pixel_values" else "eeg"
