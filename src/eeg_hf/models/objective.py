# SPDX-License-Identifier: Apache-2.0
"""The interface of a pretraining objective.

`EEGFoundationForPreTraining` builds the objectives that its config enables (`objective_registry.py`) and sums
their losses. An objective holds no parameters: its heads are modules of the model, registered under the names
that the objective gives them. So objectives can share a head, and checkpoints keep their parameter names.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import nn

from .configuration_eeg_foundation import EEGFoundationConfig


@dataclass(frozen=True)
class EncodedWindows:
    """A batch of windows and the encoder's output for it.

    An objective may append rows to the encoder's input (`Objective.extend_inputs`). In `inputs` and `outputs`
    these rows follow those of the windows.

    Attributes:
        values: (batch, channels, time), the unmasked input.
        is_real: (batch, channels, time) bool, True = real, not padding.
        mask: (batch, channels, time) bool, True = removed from the encoder's input.
        inputs: Keyword arguments of the encoder, (batch + appended rows, ...).
        outputs: Output of the encoder, [`EEGFoundationOutput`], (batch + appended rows, ...).
    """

    values: torch.Tensor
    is_real: torch.Tensor
    mask: torch.Tensor
    inputs: Mapping[str, torch.Tensor | None]
    outputs: Mapping[str, Any]

    def input(self, name: str) -> Any:
        """Return an input of the encoder for the windows alone, (batch, ...); None if it was not given."""
        value = self.inputs.get(name)
        return None if value is None else value[: self.values.shape[0]]

    def output(self, name: str) -> Any:
        """Return an output of the encoder for the windows alone, (batch, ...)."""
        return self.outputs[name][: self.values.shape[0]]


class Objective(ABC):
    """One pretraining objective: its settings, its heads and its losses.

    Subclasses set `name`, list the batch `columns` that they read, and implement `build_heads` and `compute`.
    By default an objective is configured and enabled by `config.objectives[name]`, whose fields and default
    values are `defaults`.

    Args:
        config: Config of the model.

    Raises:
        ValueError: If `config.objectives[name]` has a setting that `defaults` does not list.
    """

    name: ClassVar[str]
    columns: ClassVar[tuple[str, ...]] = ()
    predicts_masked: ClassVar[bool] = False
    """Whether the loss is about masked samples; without such an objective nothing is masked."""
    defaults: ClassVar[Mapping[str, Any]] = {"weight": 1.0}

    def __init__(self, config: EEGFoundationConfig) -> None:
        # Objectives that are configured by fields of the config have no settings here
        given = (config.objectives or {}).get(self.name, {})
        unknown = sorted(set(given) - set(self.defaults))
        if unknown:
            raise ValueError(
                f"objectives: {self.name!r} has no setting {unknown}, expected some of "
                f"{sorted(self.defaults)}"
            )
        self.config = config
        self.settings: dict[str, Any] = {**self.defaults, **given}

    @property
    def weights(self) -> dict[str, float]:
        """Weight of each loss that `compute` returns, by its name in the model's output."""
        is_listed = self.name in (self.config.objectives or {})
        return {f"{self.name}_loss": self.settings["weight"] if is_listed else 0.0}

    @property
    def is_enabled(self) -> bool:
        """Whether the config gives a loss of this objective a weight."""
        return any(weight > 0 for weight in self.weights.values())

    def build_heads(self) -> dict[str, Callable[[], nn.Module]]:
        """Return constructors of the modules to add to the model, by name. A name that exists is shared.

        A head must take part in the loss: DistributedDataParallel refuses parameters without a gradient.
        """
        return {}

    def extend_inputs(
        self, inputs: dict[str, torch.Tensor | None], batch: Mapping[str, Any]
    ) -> dict[str, torch.Tensor | None]:
        """Return the encoder's inputs, with further rows appended where the objective needs them.

        Args:
            inputs: Keyword arguments of the encoder; tensors are (batch, ...).
            batch: The columns of the batch, see `columns`.
        """
        return inputs

    @abstractmethod
    def compute(
        self, modules: Mapping[str, nn.Module], encoded: EncodedWindows, batch: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return losses and other outputs by their name in the model's output.

        Args:
            modules: The modules of the model: its heads by name, and the encoder as `model`.
            encoded: The windows and their encoding.
            batch: The columns of the batch that were given, see `columns`.

        Returns:
            A scalar for each name in `weights` whose loss applies to this batch; other entries are outputs,
            such as logits. Names that the output class has no field for are put into its field `others`.
        """


__all__ = ["EncodedWindows", "Objective"]
