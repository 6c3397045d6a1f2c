# SPDX-License-Identifier: Apache-2.0
"""What channel adapters and losses add to a step of pretraining, in time, parameters and memory."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from benchmark_parts.models import SIZES, STEPS
from benchmark_parts.timing import DEVICE, BenchmarkArguments, Row, Work, in_fresh_process, peak_memory, race
from eeg_hf import HBN_AUXILIARY_TASKS, EEGFoundationConfig, EEGFoundationForPreTraining
from eeg_hf.processing.channels import STANDARD_19, montage_positions

RATE_HZ = 100
NUM_SAMPLES = 5 * RATE_HZ

MONTAGES: dict[str, tuple[str | Sequence[str], str | Sequence[str]]] = {
    "21 -> 128": ([*STANDARD_19, "A1", "A2"], "GSN-HydroCel-128"),
    "64 -> 19": ("biosemi64", STANDARD_19),
}
"""What is recorded, and what an adapter makes of it: TUH as HBN, and BioSemi's cap as the 10-20 system."""

LOSSES: dict[str, dict[str, Any]] = {
    "auxiliary tasks": {"auxiliary_tasks": dict(HBN_AUXILIARY_TASKS)},
    "contrast of two views": {"contrastive_weight": 0.5},
    "contrast of people at one film": {"contrastive_weight": 0.5},
}
"""What is added to the masked reconstruction."""


@dataclass(frozen=True)
class Pretraining:
    """A model to pretrain, and what it is given.

    Attributes:
        montage: Which of `MONTAGES`.
        adapter: Its channel adapter.
        loss: Which of `LOSSES` comes on top of the masked reconstruction.
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
        """Return noise as the collator brings recordings, with what the loss needs."""
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
        elif self.loss == "contrast of people at one film":  # two of them at each moment
            batch["stimulus_ids"] = torch.zeros_like(rows)
            batch["stimulus_seconds"] = 10.0 * (rows // 2)
            batch["subject_ids"] = rows
        return batch

    def make_step(self, size: str, batch_size: int) -> tuple[Work, int]:
        """Return a function that trains (forward, backward, AdamW), `STEPS` times, and the parameters."""
        model, batch = self.build(size).train(), self.make_batch(batch_size)
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)

        def step() -> None:
            for _ in range(STEPS):
                optimizer.zero_grad()
                model(**batch).loss.backward()
                optimizer.step()
            if DEVICE == "cuda":
                torch.cuda.synchronize()

        return step, sum(parameter.numel() for parameter in model.parameters())


def measure_phases(args: BenchmarkArguments) -> list[Row]:
    """Race each adapter against none, and each loss against the masked reconstruction alone."""
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
        step, num_parameters = ours.make_step(size, args.batch_size)
        step()
    except ValueError as error:  # more channels than zeros could fill up
        return [Row(what, None, "", peer_name=f"refused: {error}")]
    peer_step, num_peer = peer.make_step(size, args.batch_size)
    timing = race(step, peer_step, args.pairs)
    added = f"{num_parameters - num_peer:,} parameters more"
    speed = timing.row(f"{what}, {added}", STEPS * args.batch_size, "windows/s", peer_name)
    memory, beside = (in_fresh_process(peak_memory, train_two_steps, each, args) for each in (ours, peer))
    return [speed, Row(f"peak memory, {what}", memory, "MB", beside, beside / memory, peer_name)]


def train_two_steps(pretraining: Pretraining, args: BenchmarkArguments) -> None:
    """Train twice: the second step has AdamW's moments in memory from its start."""
    torch.set_num_threads(args.threads or torch.get_num_threads())
    step, _ = pretraining.make_step(args.sizes[0], args.batch_size)
    step()
    step()
