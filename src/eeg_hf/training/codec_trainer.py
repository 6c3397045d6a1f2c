# SPDX-License-Identifier: Apache-2.0
"""Trainer for tokenizers that measures codebook usage and reconstruction quality."""

from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader
from transformers.trainer_utils import EvalLoopOutput

from ..collation import real_patches
from ..evaluation import ReconstructionMetrics, codebook_metrics
from .trainer import EEGTrainer

LARGEST_COUNTED = 2**24
"""Size of the largest codebook whose codes are counted: the counts take 128 MiB."""
_USAGE_METRICS = ("usage", "usage_reachable", "perplexity")


class EEGTokenizerTrainer(EEGTrainer):
    """Trainer for tokenizers, models whose output has `reconstruction` and `indices`.

    Each training log has `codebook_usage` and `codebook_perplexity` of the patches since the last log (few
    patches cannot use many codes). Each evaluation has the same for its windows, and all of
    [`ReconstructionMetrics`]: `eval_correlation`, `eval_nrmse_std`, `eval_snr` and others.

    Args:
        *args: As in [`EEGTrainer`].
        **kwargs: As in [`EEGTrainer`]; the collators are [`EEGTokenizerCollator`]s.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._train_counts: torch.Tensor | None = None
        self._eval_counts: torch.Tensor | None = None
        self._reconstruction = ReconstructionMetrics()

    @property
    def _config(self) -> Any:
        model: Any = self.model
        return model.config

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        """Compute the loss; count the codes of a training step, or update the metrics of an evaluation."""
        loss, outputs = super().compute_loss(model, inputs, True, num_items_in_batch)
        # (batch, channels, num_patches): codes of padding do not count
        is_real = real_patches(inputs, self._config.patch_size)
        if model.training:
            self._train_counts = self._count(self._train_counts, outputs.indices, is_real)
        else:
            self._update_metrics(inputs, outputs, is_real)
        return (loss, outputs) if return_outputs else loss

    def _count(
        self, counts: torch.Tensor | None, indices: torch.Tensor, is_real: torch.Tensor
    ) -> torch.Tensor | None:
        """Add the codes of real patches to the counts, without waiting for the device."""
        config = self._config
        if config.codebook_size > LARGEST_COUNTED:
            return None
        if counts is None:
            counts = torch.zeros(config.codebook_size, dtype=torch.int64, device=indices.device)
        # Weights of 0 instead of a selection, whose size would have to be read from the device
        weights = is_real.repeat_interleave(config.codes_per_patch, dim=-1)
        return counts.index_add_(0, indices.flatten(), weights.flatten().long())

    def _update_metrics(self, inputs: dict[str, Any], outputs: Any, is_real: torch.Tensor) -> None:
        """Add the windows of all processes to the metrics of this evaluation, each window once."""
        tensors = {
            "original": inputs["input_values"].float(),
            "reconstruction": outputs.reconstruction.float(),
            "is_real": is_real,
            "indices": outputs.indices,
            "rates": inputs["sampling_rate"],
        }
        for dim in (1, 2):  # shapes differ between processes; padding is not real
            tensors = self.accelerator.pad_across_processes(tensors, dim=dim)
        tensors = self.accelerator.gather_for_metrics(tensors)
        is_real = tensors["is_real"] != 0
        self._eval_counts = self._count(self._eval_counts, tensors["indices"], is_real)
        samples = is_real.any(dim=1).repeat_interleave(self._config.patch_size, dim=-1)  # (batch, time)
        # Metrics in the frequency domain need windows of one rate at a time
        for rate in tensors["rates"].unique():
            chosen = tensors["rates"] == rate
            found = (tensors["original"], tensors["reconstruction"], is_real.any(dim=-1), samples)
            original, reconstruction, *masks = (tensor[chosen].cpu().numpy() for tensor in found)
            self._reconstruction.update(original, reconstruction, rate.item(), *masks)

    def evaluation_loop(
        self,
        dataloader: DataLoader,
        description: str,
        prediction_loss_only: bool | None = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> EvalLoopOutput:
        """Evaluate, adding the metrics of reconstruction and codebook."""
        self._reconstruction, self._eval_counts = ReconstructionMetrics(), None
        output = super().evaluation_loop(
            dataloader, description, prediction_loss_only, ignore_keys, metric_key_prefix
        )
        found = {**self._reconstruction.compute(), **codebook_usage(self._eval_counts)}
        metrics = {f"{metric_key_prefix}_{name}": value for name, value in found.items()}
        return output._replace(metrics={**(output.metrics or {}), **metrics})

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """Log, adding the usage of the codebook since the last training log."""
        if "loss" in logs and self._train_counts is not None:
            logs.update(codebook_usage(self.accelerator.reduce(self._train_counts)))
            self._train_counts = None
        super().log(logs, *args, **kwargs)


def codebook_usage(counts: torch.Tensor | None) -> dict[str, float]:
    """Return `codebook_metrics` of counted codes, without those that follow from others.

    Args:
        counts: (codebook_size,) occurrences of each code; None if they were not counted.
    """
    if counts is None or not counts.any():
        return {}
    seen = np.repeat(np.arange(len(counts)), counts.cpu().numpy())
    metrics = codebook_metrics(seen, len(counts))
    return {f"codebook_{name}": metrics[f"codebook_{name}"] for name in _USAGE_METRICS}
