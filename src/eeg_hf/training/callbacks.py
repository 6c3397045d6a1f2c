# SPDX-License-Identifier: Apache-2.0
"""Callbacks for transformers' Trainer."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from ..evaluation.plots import plot_reconstruction
from .optimizer import layer_index

_SIGNAL_INPUTS = (
    "input_values",
    "channel_positions",
    "channel_mask",
    "attention_mask",
    "mask_noise",
    "sampling_rate",
)


class SetCollatorEpoch(TrainerCallback):
    """Tell the training collator and the sampler which epoch it is, so that each epoch differs."""

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Set the epoch; also right after a resume in the middle of one."""
        loader, epoch = kwargs["train_dataloader"], int(state.epoch or 0)
        if hasattr(loader.collate_fn, "set_epoch"):
            loader.collate_fn.set_epoch(epoch)
        # Trainer tells the sampler too, but on several processes not when it resumes within an epoch
        sampler = getattr(getattr(loader.batch_sampler, "batch_sampler", None), "sampler", None)
        if sampler is not None and hasattr(sampler, "set_epoch"):
            sampler.set_epoch(epoch)


class FreezeEncoder(TrainerCallback):
    """Keep the encoder frozen for the first epochs, then free it at once or layer by layer from the top.

    A frozen parameter keeps `requires_grad` and has its gradient thrown away before every step: under
    DistributedDataParallel a parameter that was frozen when the model was wrapped would never be synchronised
    again. What is frozen follows from the epoch alone, so a resumed run freezes what the first one did.

    Args:
        freeze_epochs: Epochs before anything of the encoder moves.
        gradual_unfreezing: Free one more layer, from the top, each epoch after that; the embeddings come
            last.
    """

    def __init__(self, freeze_epochs: float, gradual_unfreezing: bool = False) -> None:
        self.freeze_epochs = freeze_epochs
        self.gradual_unfreezing = gradual_unfreezing

    def is_frozen(self, depth: int, num_layers: int, epoch: float) -> bool:
        """Return whether a parameter of that depth (see `layer_index`) is frozen at that epoch."""
        if epoch < self.freeze_epochs:
            return True
        if not self.gradual_unfreezing:
            return False
        return depth < num_layers + 1 - int(epoch - self.freeze_epochs)

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Throw away the gradients of what is frozen."""
        encoder = kwargs["model"].base_model
        num_layers = len(encoder.layers)
        for name, parameter in encoder.named_parameters():
            if self.is_frozen(layer_index(name, num_layers), num_layers, state.epoch or 0.0):
                parameter.grad = None


class PlotReconstruction(TrainerCallback):
    """At every evaluation, draw its first window: original, what was hidden, what the model made of it.

    A model whose output has no `mask`, such as a codec, hides nothing.

    Args:
        output_dir: Folder of the pictures `reconstruction-<step>.png`.
        sampling_rate: Rate of the first window in Hz.
        channel_names: Names of their channels.
    """

    def __init__(self, output_dir: str | Path, sampling_rate: float, channel_names: list[str]) -> None:
        self.output_dir = Path(output_dir)
        self.sampling_rate = sampling_rate
        self.channel_names = channel_names

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Draw."""
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
        """Return the first window, its reconstruction and what was hidden of it, (channels, time)."""
        device = next(model.parameters()).device
        batch = next(iter(loader))
        # Not what is contrasted or told: a contrast would be gathered, and takes more than one window
        inputs = {name: batch[name][:1].to(device) for name in _SIGNAL_INPUTS if name in batch}
        was_training = model.training
        model.eval()
        outputs = model(**inputs)
        model.train(was_training)
        num_channels = int(inputs["channel_mask"].sum())
        mask = outputs.get("mask")
        arrays = (inputs["input_values"], outputs.reconstruction.float())
        original, reconstruction = (array[0, :num_channels].cpu().numpy() for array in arrays)
        return original, reconstruction, None if mask is None else mask[0, :num_channels].cpu().numpy()
