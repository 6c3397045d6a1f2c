# SPDX-License-Identifier: Apache-2.0
"""Contrast what several subjects' brains did at the same moment of the same stimulus."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from .contrast import (
    ContrastiveObjective,
    Temperature,
    check_temperature,
    contrast_positives,
    gather_rows,
    own_rows,
    similarities,
)
from .objective import EncodedWindows
from .stimulus_pairs import has_moment, pair_relations


def movie_isc_loss(
    features: torch.Tensor,
    stimulus_ids: torch.Tensor,
    seconds: torch.Tensor,
    subject_ids: torch.Tensor,
    *,
    temperature: float | torch.Tensor = 0.07,
    guard_seconds: float = 2.0,
) -> torch.Tensor:
    """Pull together the windows of different subjects at the same second of the same stimulus.

    Each positive of a window (same stimulus and second, another subject) must be nearer than all its
    negatives. Positives do not push each other away, so the loss can reach 0. It is the InfoNCE of every pair
    of subjects, in both directions. It thereby maximises what subjects have in common, as inter-subject
    correlation measures it (https://arxiv.org/abs/1801.08881). [`pair_relations`] lists the pairs that are
    left out. The windows of all processes are gathered.

    Args:
        features: (batch, features); scaled to unit length.
        stimulus_ids: (batch,) stimulus; -1 = none.
        seconds: (batch,) second of the stimulus.
        subject_ids: (batch,) subject.
        temperature: Divisor of the cosine similarities.
        guard_seconds: Seconds of one stimulus closer than this are no negatives of each other.

    Returns:
        The mean over windows that have a positive, of the mean over their positives.

    Raises:
        ValueError: If one subject appears twice at one second, or no window has a positive.
    """
    check_temperature(temperature)
    features = nn.functional.normalize(features.float(), dim=-1)
    # Anchors are the windows of this process, candidates those of all processes
    candidates = gather_rows(features)  # (all windows, features)
    stimulus_ids, seconds, subject_ids = map(gather_rows, (stimulus_ids, seconds, subject_ids))
    own = own_rows(features.shape[0])
    is_positive, is_negative = pair_relations(stimulus_ids, seconds, subject_ids, guard_seconds, own)
    similarity = similarities(features, candidates) / temperature  # (batch, windows of all processes)
    # Windows without a positive are no anchors: their loss is 0 and they do not count
    num_positives = is_positive.sum(dim=-1)
    losses = contrast_positives(similarity, is_positive, is_negative) / num_positives.clamp(min=1)
    num_anchors = gather_rows((num_positives > 0).sum()[None])  # (processes,)
    if not torch.compiler.is_compiling():
        refuse_repeats(stimulus_ids, seconds, subject_ids)
        refuse_no_positive(num_anchors)
    # Trainer and DistributedDataParallel average over processes: weight each by its number of anchors
    return losses.sum() * len(num_anchors) / num_anchors.sum()


def refuse_no_positive(num_anchors: torch.Tensor) -> None:
    """Raise a ValueError if a batch has no positive pair."""
    if num_anchors.sum() == 0:
        raise ValueError(
            "contrast: no two subjects met the same stimulus at the same second in this batch, so there is "
            "no positive pair; draw batches with PairSampler, or see describe_pairs"
        )


def refuse_repeats(stimulus_ids: torch.Tensor, seconds: torch.Tensor, subject_ids: torch.Tensor) -> None:
    """Raise a ValueError if a subject appears twice at one second: that pair would be neither."""
    is_known = has_moment(stimulus_ids, seconds)
    rows = torch.stack([stimulus_ids.double(), (seconds.double() * 1000).round(), subject_ids.double()])
    rows = rows[:, is_known]  # (3, windows with a moment)
    num_repeats = rows.shape[1] - rows.unique(dim=1).shape[1]
    if num_repeats:
        raise ValueError(
            f"contrast: {num_repeats} windows of the batch repeat a subject at one second of one stimulus; "
            "draw each subject once a second, as PairSampler does"
        )


class MovieISCLoss(nn.Module):
    """[`movie_isc_loss`] with its own temperature, learned or not.

    Args:
        temperature: Its value; the initial value if it is learned.
        guard_seconds: Seconds of one stimulus closer than this are no negatives of each other.
        is_learnable: Train the temperature.
    """

    def __init__(
        self, temperature: float = 0.07, guard_seconds: float = 2.0, is_learnable: bool = False
    ) -> None:
        super().__init__()
        self.temperature = Temperature(temperature, is_learnable)
        self.guard_seconds = guard_seconds

    def forward(
        self,
        features: torch.Tensor,
        stimulus_ids: torch.Tensor,
        seconds: torch.Tensor,
        subject_ids: torch.Tensor,
    ) -> torch.Tensor:
        """Return the loss; the arguments are those of [`movie_isc_loss`]."""
        return movie_isc_loss(
            features,
            stimulus_ids,
            seconds,
            subject_ids,
            temperature=self.temperature(),
            guard_seconds=self.guard_seconds,
        )


class SameStimulus(ContrastiveObjective):
    """Contrast of the windows of a batch that has `stimulus_ids`; shares the heads of [`TwoViews`]."""

    name = "same_stimulus"
    columns = ("stimulus_ids", "stimulus_seconds", "subject_ids")

    def compute(
        self, modules: Mapping[str, nn.Module], encoded: EncodedWindows, batch: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return `contrastive_features` (batch, projection_size) and `contrastive_loss`."""
        if "stimulus_ids" not in batch:
            return {}
        if not {"stimulus_seconds", "subject_ids"} <= set(batch):
            raise ValueError("stimulus_ids needs stimulus_seconds and subject_ids, (batch,) each")
        features = modules["projection_head"](encoded.output("pooler_output"))
        loss = movie_isc_loss(
            features,
            batch["stimulus_ids"],
            batch["stimulus_seconds"],
            batch["subject_ids"],
            temperature=modules["temperature"](),
            guard_seconds=self.config.contrastive_guard_seconds,
        )
        return {"contrastive_features": features, "contrastive_loss": loss}


__all__ = ["MovieISCLoss", "SameStimulus", "movie_isc_loss"]
