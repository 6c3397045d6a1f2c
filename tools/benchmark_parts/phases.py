# SPDX-License-Identifier: Apache-2.0
"""Cost of channel adapters and losses in a pretraining step: time, parameters and memory."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from benchmark_parts.models import SIZES
from benchmark_parts.timing import (
    DEVICE,
    STEPS,
    BenchmarkArguments,
    Row,
    Work,
    in_fresh_process,
    peak_memory,
    race,
    repeat_training,
    train_twice,
)
from eeg_hf import HBN_AUXILIARY_TASKS, EEGFoundationConfig, EEGFoundationForPreTraining
from eeg_hf.processing.channels import STANDARD_19
from eeg_hf.processing.electrode_positions import montage_positions

RATE_HZ = 100
NUM_SAMPLES = 5 * RATE_HZ

MONTAGES: dict[str, tuple[str | Sequence[str], str | Sequence[str]]] = {
    "21 -> 128": ([*STANDARD_19, "A1", "A2"], "GSN-HydroCel-128"),
    "64 -> 19": ("biosemi64", STANDARD_19),
}
"""Recorded montage, and the one an adapter maps it to: TUH to HBN, and BioSemi's cap to the 10-20 system."""

LOSSES: dict[str, dict[str, Any]] = {
    "auxiliary tasks": {"auxiliary_tasks": dict(HBN_AUXILIARY_TASKS)},
    "contrast of two views": {"contrastive_weight": 0.5},
    "contrast of subjects at one film": {"contrastive_weight": 0.5},
}
"""Settings of each loss that is added to the masked reconstruction."""


@dataclass(frozen=True)
class Pretraining:
    """A model to pretrain with its input.

    Attributes:
        montage: Key of `MONTAGES`.
        adapter: Name of the channel adapter.
        loss: Key of `LOSSES` to add to the masked reconstruction; None adds nothing.
    """

    montage: str
    adapter: str = "none"
    loss: str | None = None

    def build(self, size: str) -> EEGFoundationForPreTraining:
        """Return the model on the device."""
        _, target = (montage_positions(montage) for montage in MONTAGES[self.montage])
        shape = SIZES[size]
        fields = {
            "hidden_size": shape.hidden_size,
            "num_hidden_layers": shape.num_layers,
            "num_attention_heads": shape.num_heads,
            "intermediate_size": shape.intermediate_size,
            "sampling_rate": RATE_HZ,
            "patch_size": RATE_HZ,
            "scale_factors": [1, 2, 4],
            "overlap": 0.0,
            "contrastive_weight": 0.0,
            "channel_adapter": self.adapter,
            "adapter_channel_positions": [list(place) for place in target.values()],
            **(LOSSES[self.loss] if self.loss else {}),
        }
        model: torch.nn.Module = EEGFoundationForPreTraining(EEGFoundationConfig(**fields))
        return model.to(DEVICE)  # type: ignore[return-value]

    def make_batch(self, batch_size: int) -> dict[str, Any]:
        """Return noise as a batch of the collator, with the targets of the loss."""
        recorded, _ = (montage_positions(montage) for montage in MONTAGES[self.montage])
        places = torch.tensor(list(recorded.values()), device=DEVICE)
        rows = torch.arange(batch_size, device=DEVICE)
        batch: dict[str, Any] = {
            "input_values": torch.randn(batch_size, len(places), NUM_SAMPLES, device=DEVICE),
            "channel_positions": places.expand(batch_size, -1, 3),
        }
        if self.loss == "auxiliary tasks":
            batch["auxiliary_targets"] = {
                task: rows % 2 if settings["num_outputs"] > 1 else rows.float()
                for task, settings in HBN_AUXILIARY_TASKS.items()
            }
        elif self.loss == "contrast of two views":
            batch["augmented_values"] = torch.randn_like(batch["input_values"])
        elif self.loss == "contrast of subjects at one film":  # two subjects at each moment
            batch["stimulus_ids"] = torch.zeros_like(rows)
            batch["stimulus_seconds"] = 10.0 * (rows // 2)
            batch["subject_ids"] = rows
        return batch

    def make_step(self, size: str, batch_size: int) -> Work:
        """Return a function that trains the model on the batch."""
        model, batch = self.build(size), self.make_batch(batch_size)
        return repeat_training(model, lambda: model(**batch).loss)


def measure_phases(args: BenchmarkArguments) -> list[Row]:
    """Compare each adapter with none, and each loss with the masked reconstruction alone."""
    rows = []
    for montage in MONTAGES:
        for adapter in ("zero_pad", "spline", "perceiver"):
            rows += compare(args, Pretraining(montage, adapter), Pretraining(montage), adapter, "no adapter")
    for loss in LOSSES:
        peer = Pretraining("64 -> 19")
        rows += compare(
            args, Pretraining("64 -> 19", loss=loss), peer, f"+ {loss}", "masked reconstruction alone"
        )
    return rows


def compare(
    args: BenchmarkArguments, ours: Pretraining, peer: Pretraining, name: str, peer_name: str
) -> list[Row]:
    """Return a row of speed and one of memory."""
    size = args.sizes[0]
    what = f"pretrain {size}, {ours.montage if ours.adapter != 'none' else '64'} channels, {name}"
    try:
        step = ours.make_step(size, args.batch_size)
        step()
    except ValueError as error:  # zero padding cannot reduce the number of channels
        return [Row(what, None, "", peer_name=f"refused: {error}")]
    timing = race(step, peer.make_step(size, args.batch_size), args.pairs)
    added = f"{ours.build(size).num_parameters() - peer.build(size).num_parameters():,} parameters more"
    speed = timing.row(f"{what}, {added}", STEPS * args.batch_size, "windows/s", peer_name)
    memory, beside = (
        in_fresh_process(peak_memory, train_twice, each.make_step, size, args.batch_size)
        for each in (ours, peer)
    )
    return [speed, Row(f"peak memory, {what}", memory, "MB", beside, memory / beside, peer_name)]
