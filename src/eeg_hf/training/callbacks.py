# SPDX-License-Identifier: Apache-2.0
"""Callbacks for transformers' Trainer."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.utils import logging

from ..evaluation.plots import plot_reconstruction
from .optimizer import layer_index

logger = logging.get_logger(__name__)

SIGNAL_INPUTS = ("input_values", "channel_positions", "channel_mask", "attention_mask")
"""Columns of a batch that every encoder takes."""


class SetCollatorEpoch(TrainerCallback):
    """Pass the epoch to the training collator and the sampler, so that each epoch differs."""

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Set the epoch; also right after a resume in the middle of one."""
        loader, epoch = kwargs["train_dataloader"], int(state.epoch or 0)
        if hasattr(loader.collate_fn, "set_epoch"):
            loader.collate_fn.set_epoch(epoch)
        # Trainer passes it to the sampler too, but on several processes not when it resumes within an epoch
        sampler = getattr(getattr(loader.batch_sampler, "batch_sampler", None), "sampler", None)
        if sampler is not None and hasattr(sampler, "set_epoch"):
            sampler.set_epoch(epoch)


class FreezeEncoder(TrainerCallback):
    """Keep the encoder frozen for the first epochs, then free it at once or layer by layer from the top.

    A frozen parameter keeps `requires_grad`, but its gradient is dropped before every step:
    DistributedDataParallel never synchronises a parameter that was frozen when the model was wrapped. The
    epoch alone decides what is frozen, so a resumed run freezes the same parameters.

    Args:
        freeze_epochs: Epochs in which the whole encoder is frozen; `math.inf` for all.
        gradual_unfreezing: Then free one more layer each epoch, from the top; the embeddings come last.
    """

    def __init__(self, freeze_epochs: float, gradual_unfreezing: bool = False) -> None:
        self.freeze_epochs = freeze_epochs
        self.gradual_unfreezing = gradual_unfreezing

    def is_frozen(self, depth: int, num_layers: int, epoch: float) -> bool:
        """Return whether parameters of a depth (see `layer_index`) are frozen at an epoch."""
        if epoch < self.freeze_epochs:
            return True
        if not self.gradual_unfreezing:
            return False
        return depth < num_layers + 1 - int(epoch - self.freeze_epochs)

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Warn if the training is too short to free all layers."""
        if math.isinf(self.freeze_epochs):  # as a probe means it
            return
        # The state at the start of the last epoch holds until the end
        num_layers = len(kwargs["model"].base_model.layers)
        parts = ["the embeddings", *(f"layer {index}" for index in range(num_layers))]
        last = state.num_train_epochs - 1
        frozen = [name for depth, name in enumerate(parts) if self.is_frozen(depth, num_layers, last)]
        if frozen:
            logger.warning(
                f"a training of {state.num_train_epochs} epochs never trains {frozen[0]} to {frozen[-1]} of "
                "the encoder: train longer, lower freeze_epochs, or set gradual_unfreezing=False"
            )

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Drop the gradients of frozen parameters."""
        encoder = kwargs["model"].base_model
        num_layers = len(encoder.layers)
        for name, parameter in encoder.named_parameters():
            if self.is_frozen(layer_index(name, num_layers), num_layers, state.epoch or 0.0):
                parameter.grad = None


class PlotReconstruction(TrainerCallback):
    """At every evaluation, draw its first window: the original, the mask, and the reconstruction.

    Models whose output has no `mask`, such as codecs, mask nothing.

    Args:
        output_dir: Folder of the pictures `reconstruction-<step>.png`.
        sampling_rate: Rate of the first window in Hz.
        channel_names: Names of its channels.
    """

    def __init__(self, output_dir: str | Path, sampling_rate: float, channel_names: list[str]) -> None:
        self.output_dir = Path(output_dir)
        self.sampling_rate = sampling_rate
        self.channel_names = channel_names

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Draw the picture."""
        # on every process, though only one draws: loading may synchronise
        original, reconstruction, mask = self.reconstruct(kwargs["model"], kwargs["eval_dataloader"])
        if state.is_world_process_zero:
            self.output_dir.mkdir(parents=True, exist_ok=True)
            plot_reconstruction(
                original,
                reconstruction,
                mask,
                self.sampling_rate,
                self.channel_names[: len(original)],
                path=self.output_dir / f"reconstruction-{state.global_step}.png",
            )

    @torch.no_grad()
    def reconstruct(
        self, model: nn.Module, loader: DataLoader
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Return the first window, its reconstruction and its mask, (channels, time) each."""
        device = next(model.parameters()).device
        batch = next(iter(loader))
        # No inputs of other objectives: a contrast takes more than one window, and gathers processes
        names = (*SIGNAL_INPUTS, "mask_noise", "sampling_rate")
        inputs = {name: batch[name][:1].to(device) for name in names if name in batch}
        was_training = model.training
        model.eval()  # without dropout, and without moving batch statistics
        outputs = model(**inputs)
        model.train(was_training)
        num_channels = int(inputs["channel_mask"].sum())
        mask = outputs.get("mask")
        arrays = (inputs["input_values"], outputs.reconstruction.float())
        original, reconstruction = (array[0, :num_channels].cpu().numpy() for array in arrays)
        return original, reconstruction, None if mask is None else mask[0, :num_channels].cpu().numpy()
