# SPDX-License-Identifier: Apache-2.0
"""The losses, each written once.

Every loss is a mean over windows, so those of equal shares of a batch may be averaged.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from .gathering import gather_rows, own_rows
from .stimulus_pairs import has_moment, pair_relations

NO_SIMILARITY = -1e4  # far below any cosine over any temperature, and finite: infinities end in NaN gradients


def masked_reconstruction_loss(
    reconstruction: torch.Tensor, target: torch.Tensor, mask: torch.Tensor
) -> torch.Tensor:
    """Return the squared error over hidden samples, averaged within each window and then over windows.

    Args:
        reconstruction: (batch, channels, time).
        target: Same shape, same unit.
        mask: Same shape, True = hidden and therefore scored.
    """
    error = (reconstruction - target).square().masked_fill(~mask, 0.0)
    return (error.flatten(1).sum(dim=-1) / mask.flatten(1).sum(dim=-1).clamp(min=1)).mean()


def kl_divergence_loss(
    mean: torch.Tensor, log_variance: torch.Tensor, is_real: torch.Tensor, free_bits: float = 0.0
) -> torch.Tensor:
    """Return the KL divergence of normal distributions from the standard one, in nats a token.

    It is averaged over the real tokens of a window, summed over the dimensions and averaged over windows.

    Args:
        mean: (batch, channels, num_patches, latent_size).
        log_variance: Same shape.
        is_real: (batch, channels, num_patches), True = real.
        free_bits: What a dimension may carry, averaged over a window, before it counts: below, each costs
            this much and has no gradient (Kingma et al. 2016, https://arxiv.org/abs/1606.04934, appendix C.8;
            there averaged over a batch).
    """
    mean, log_variance = mean.float(), log_variance.float()
    divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)
    divergence = divergence.masked_fill(~is_real[..., None], 0.0).sum(dim=(1, 2))  # (batch, latent_size)
    divergence = divergence / is_real.flatten(1).sum(dim=-1, keepdim=True).clamp(min=1)
    return divergence.clamp(min=free_bits * math.log(2)).sum(dim=-1).mean()


def masked_code_loss(
    logits: torch.Tensor, digits: torch.Tensor, levels: Sequence[int], is_hidden: torch.Tensor
) -> torch.Tensor:
    """Return the cross entropy over hidden patches, averaged within each window and then over windows.

    That of a dimension with L levels is divided by log(L): 1 is what knowing nothing costs, whatever the
    levels, so that the loss is on the scale of the reconstruction of a normalised signal.

    Args:
        logits: (batch, channels, num_patches, codes_per_patch, sum of the levels).
        digits: (batch, channels, num_patches, codes_per_patch, code_dim), the right levels.
        levels: Number of levels of each dimension.
        is_hidden: (batch, channels, num_patches), True = scored.
    """
    losses = [
        nn.functional.cross_entropy(scores.movedim(-1, 1).float(), right, reduction="none") / math.log(level)
        for level, scores, right in zip(
            levels, logits.split(list(levels), -1), digits.unbind(-1), strict=True
        )
    ]
    error = torch.stack(losses).mean(dim=(0, -1))  # (batch, channels, num_patches)
    error = error.masked_fill(~is_hidden, 0.0).flatten(1).sum(dim=-1)
    return (error / is_hidden.flatten(1).sum(dim=-1).clamp(min=1)).mean()


def info_nce_loss(
    first: torch.Tensor,
    second: torch.Tensor,
    temperature: float | torch.Tensor = 0.07,
    negatives: torch.Tensor | None = None,
) -> torch.Tensor:
    """Contrast two views: each must find its partner among the windows of all processes.

    InfoNCE (van den Oord et al. 2018, https://arxiv.org/abs/1807.03748), symmetric in the two views. Under
    torch.distributed the candidates are gathered with gradients, so 2 x 8 windows give the loss of 1 x 16.

    Args:
        first: (batch, features); brought to unit length.
        second: (batch, features); row i is the positive of row i of `first`.
        temperature: Divides the cosine similarities.
        negatives: (num_negatives, features), or (batch, num_negatives, features) for each row its own:
            `first` must find its partner among these instead of among the other windows.

    Raises:
        ValueError: If the temperature is not positive, or the shapes do not fit each other.
    """
    check_temperature(temperature)
    if first.shape != second.shape or first.ndim != 2:
        raise ValueError(
            f"expected two views (batch, features), got {tuple(first.shape)} and {tuple(second.shape)}"
        )
    first, second = (nn.functional.normalize(view.float(), dim=-1) for view in (first, second))
    if negatives is not None:
        batch, size = first.shape
        if negatives.ndim < 2 or negatives.shape[-1] != size or negatives.shape[:-2] not in ((), (batch,)):
            raise ValueError(
                f"negatives: expected (num_negatives, {size}), or ({batch}, num_negatives, {size}), got "
                f"{tuple(negatives.shape)}"
            )
        unlike = nn.functional.normalize(negatives.float(), dim=-1).expand(batch, -1, -1)
        others = similarities(first[:, None], unlike).squeeze(1)
        logits = torch.cat([(first * second).sum(dim=-1, keepdim=True), others], dim=-1)
        targets = torch.zeros(len(first), dtype=torch.long, device=first.device)
        return nn.functional.cross_entropy(logits / temperature, targets)
    own = own_rows(len(first))
    targets = torch.arange(own.start, own.stop, device=first.device)
    losses = [
        nn.functional.cross_entropy(similarities(anchors, gather_rows(candidates)) / temperature, targets)
        for anchors, candidates in ((first, second), (second, first))
    ]
    return torch.stack(losses).mean()


def similarities(anchors: torch.Tensor, candidates: torch.Tensor) -> torch.Tensor:
    """Return products of unit vectors, in float32: in bf16 the gradients would be 2 % off."""
    with torch.autocast(anchors.device.type, enabled=False):
        return anchors @ candidates.mT


def check_temperature(temperature: float | torch.Tensor) -> None:
    """Refuse a temperature that is not positive; a learned one is by construction."""
    if not torch.is_tensor(temperature) and temperature <= 0:
        raise ValueError(f"temperature: expected more than 0, got {temperature}")


class Temperature(nn.Module):
    """The number that divides similarities; with `is_learnable` its logarithm is trained, as in CLIP.

    Args:
        temperature: Its value at the start.
        is_learnable: Train it.
    """

    def __init__(self, temperature: float = 0.07, is_learnable: bool = False) -> None:
        super().__init__()
        check_temperature(temperature)
        self.start = temperature
        if is_learnable:
            self.log_temperature = nn.Parameter(torch.tensor(math.log(temperature)))
        self.is_learnable = is_learnable

    def forward(self) -> float | torch.Tensor:
        """Return it; at least 0.01, below which one pair decides all (https://arxiv.org/abs/2103.00020)."""
        return self.log_temperature.exp().clamp(min=0.01) if self.is_learnable else self.start


class InfoNCE(nn.Module):
    """[`info_nce_loss`] with a temperature of its own, learned or not.

    Args:
        temperature: Its value, at the start where it is learned.
        is_learnable: Train it.

    Example:
        >>> import torch
        >>> from eeg_hf.models.losses import InfoNCE
        >>> views = torch.eye(4)
        >>> round(InfoNCE(temperature=0.5)(views, views).item(), 3)
        0.341
    """

    def __init__(self, temperature: float = 0.07, is_learnable: bool = False) -> None:
        super().__init__()
        self.temperature = Temperature(temperature, is_learnable)

    def forward(
        self, first: torch.Tensor, second: torch.Tensor, negatives: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return the loss of two views, each (batch, features)."""
        return info_nce_loss(first, second, self.temperature(), negatives)


def movie_isc_loss(
    features: torch.Tensor,
    stimulus_ids: torch.Tensor,
    seconds: torch.Tensor,
    subject_ids: torch.Tensor,
    temperature: float | torch.Tensor = 0.07,
    guard_seconds: float = 2.0,
) -> torch.Tensor:
    """Bring together what several people's brains did at the same moment of the same film.

    For each window, each of its positives (same film and second, another person) must be nearer than all its
    negatives; positives do not push each other away, so the loss may reach 0. It is the InfoNCE of every pair
    of people, in both directions, and by that maximises what people have in common, as inter-subject
    correlation measures it (https://arxiv.org/abs/1801.08881). See [`pair_relations`] for what is left out.
    The windows of all processes are gathered.

    Args:
        features: (batch, features); brought to unit length.
        stimulus_ids: (batch,) which film; -1 = none.
        seconds: (batch,) second of the film.
        subject_ids: (batch,) who.
        temperature: Divides the cosine similarities.
        guard_seconds: Other seconds of one film closer than this are no negatives.

    Returns:
        The mean over windows that have a positive, of the mean over their positives.

    Raises:
        ValueError: If one person appears twice at one second, or no window has a positive.
    """
    check_temperature(temperature)
    features = nn.functional.normalize(features.float(), dim=-1)
    candidates = gather_rows(features)
    stimulus_ids, seconds, subject_ids = map(gather_rows, (stimulus_ids, seconds, subject_ids))
    own = own_rows(len(features))
    is_positive, is_negative = pair_relations(stimulus_ids, seconds, subject_ids, guard_seconds, own)
    similarity = similarities(features, candidates) / temperature  # (batch, all windows)
    hardness = similarity.masked_fill(~is_negative, NO_SIMILARITY).logsumexp(dim=-1, keepdim=True)
    losses = nn.functional.softplus(hardness - similarity).masked_fill(~is_positive, 0.0)
    num_positives = is_positive.sum(dim=-1)
    loss = (losses.sum(dim=-1) / num_positives.clamp(min=1)).sum()
    num_anchors = gather_rows((num_positives > 0).sum()[None])
    if not torch.compiler.is_compiling():
        refuse_repeats(stimulus_ids, seconds, subject_ids)
        refuse_no_positive(num_anchors)
    # Trainer and DistributedDataParallel average over processes: each must weigh by the windows of all
    return loss * len(num_anchors) / num_anchors.sum()


class MovieISCLoss(nn.Module):
    """[`movie_isc_loss`] with a temperature of its own, learned or not.

    Args:
        temperature: Its value, at the start where it is learned.
        guard_seconds: Other seconds of one film closer than this are no negatives.
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
            features, stimulus_ids, seconds, subject_ids, self.temperature(), self.guard_seconds
        )


def refuse_no_positive(num_anchors: torch.Tensor) -> None:
    """Refuse a batch without any positive pair."""
    if num_anchors.sum() == 0:
        raise ValueError(
            "contrast: no two people met the same stimulus at the same second in this batch, so there is no "
            "positive pair; draw batches with PairSampler, or see describe_pairs"
        )


def refuse_repeats(stimulus_ids: torch.Tensor, seconds: torch.Tensor, subject_ids: torch.Tensor) -> None:
    """Refuse a batch in which one person appears twice at one second: that pair would be neither."""
    is_known = has_moment(stimulus_ids, seconds)
    rows = torch.stack([stimulus_ids.double(), (seconds.double() * 1000).round(), subject_ids.double()])
    rows = rows[:, is_known]
    num_repeats = rows.shape[1] - rows.unique(dim=1).shape[1]
    if num_repeats:
        raise ValueError(
            f"contrast: {num_repeats} windows of the batch repeat a person at one second of one stimulus; "
            "draw each person once a second, as PairSampler does"
        )


class AuxiliaryTaskLoss(nn.Module):
    """What is known of people, told from their EEG: squared error or cross entropy a task, weighted.

    Targets that are missing (NaN or -100) are left out; a task without any in a batch adds 0, with a path for
    gradients. Numbers are compared in standard deviations of the training set.

    Args:
        tasks: Settings of each task by name: `num_outputs` (1 = a number), `weight`, `std`.
    """

    def __init__(self, tasks: Mapping[str, Mapping[str, Any]]) -> None:
        super().__init__()
        self.tasks = {task: dict(settings) for task, settings in tasks.items()}

    def forward(
        self, predictions: Mapping[str, torch.Tensor], targets: Mapping[str, torch.Tensor]
    ) -> torch.Tensor:
        """Return the weighted sum over tasks.

        Args:
            predictions: {task: (batch, outputs)}, numbers in their unit.
            targets: {task: (batch,)} numbers in their unit, or class indices. A task that is
                not in it adds 0.

        Raises:
            ValueError: On a task that there is not, or a class that it does not have.
        """
        unknown = sorted(set(targets) - set(self.tasks))
        if unknown:
            raise ValueError(
                f"auxiliary_targets: unknown task {unknown}, expected some of {sorted(self.tasks)}"
            )
        return torch.stack(
            [
                settings.get("weight", 1.0) * self._loss(task, predictions[task], targets.get(task))
                for task, settings in self.tasks.items()
            ]
        ).sum()

    def _loss(self, task: str, predicted: torch.Tensor, target: torch.Tensor | None) -> torch.Tensor:
        settings = self.tasks[task]
        if target is None:
            return predicted.sum() * 0.0
        if settings.get("num_outputs", 1) == 1:
            return task_loss(predicted, target, 1) / settings.get("std", 1.0) ** 2
        try:
            return task_loss(predicted, target, settings["num_outputs"])
        except ValueError as error:
            raise ValueError(f"auxiliary task {task!r}: {error}") from None


def task_loss(
    logits: torch.Tensor,
    labels: torch.Tensor,
    num_labels: int,
    class_weights: Sequence[float] | None = None,
    label_smoothing: float = 0.0,
) -> torch.Tensor:
    """Return the loss of one task: squared error for one output, cross entropy for several.

    Args:
        logits: (batch, num_labels).
        labels: (batch,) values or class indices, or (batch, num_labels) class shares. NaN and -100 mean
            missing: such rows are left out, and a batch without any label gives 0 with a path for gradients.
        num_labels: 1 means regression.
        class_weights: Weight of each class; 1 on average, so that the loss stays a mean over windows.
        label_smoothing: Share of every label spread over all classes.
    """
    is_known = ~labels.isnan() & (labels != -100) if labels.is_floating_point() else labels != -100
    if labels.ndim == 2:
        is_known = is_known.all(dim=-1)
    if num_labels == 1:
        values = torch.where(is_known, labels.to(logits.dtype).view(-1), 0.0)
        losses = (logits.squeeze(-1) - values).square()
    else:
        missing = (~is_known)[:, None] if labels.ndim == 2 else ~is_known
        targets = labels.masked_fill(missing, 0).to(logits.dtype if labels.ndim == 2 else torch.long)
        if labels.ndim == 1 and not torch.compiler.is_compiling():
            check_classes(targets, num_labels)
        losses = nn.functional.cross_entropy(
            logits,
            targets,
            weight=None if class_weights is None else logits.new_tensor(class_weights),
            label_smoothing=label_smoothing,
            reduction="none",
        )
    return (losses * is_known).sum() / is_known.sum().clamp(min=1)


def check_classes(classes: torch.Tensor, num_classes: int) -> None:
    """Refuse class indices that there are not; a GPU would stop with an assertion that names no number."""
    lowest, highest = classes.min().item(), classes.max().item()
    if lowest < 0 or highest >= num_classes:
        wrong = lowest if lowest < 0 else highest
        raise ValueError(f"expected class indices 0 to {num_classes - 1}, got {wrong}")
