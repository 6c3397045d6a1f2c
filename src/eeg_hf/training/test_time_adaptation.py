# SPDX-License-Identifier: Apache-2.0
"""Adapt a trained classifier to the unlabelled windows of one person, at the test.

Information maximisation: answers become certain in each window and spread over the classes, as T-TIME
(https://arxiv.org/abs/2311.14494) adapts a classifier of EEG, and Tent (https://arxiv.org/abs/2006.10726) one
of images. NOTE: T-TIME adapts window by window, all weights, and averages several models. Here all windows of
a person are read before the first one is scored, and only norms and the head move, as few windows allow.
"""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.data import DataLoader, Dataset
from transformers import PreTrainedModel

from .adapters import HEADS

_NORMS = (_BatchNorm, nn.LayerNorm, nn.GroupNorm)
_HEADS = (*HEADS, "model.network.final_layer")
STEPS, LEARNING_RATE, BATCH_SIZE = 10, 1e-3, 64


def information_loss(logits: torch.Tensor) -> torch.Tensor:
    """Return the mean entropy of the answers minus the entropy of their mean, in nats.

    Args:
        logits: (windows, classes).

    Example:
        >>> certain_and_balanced = torch.tensor([[50.0, 0.0], [0.0, 50.0]])
        >>> round(information_loss(certain_and_balanced).item(), 4)  # minus the logarithm of two classes
        -0.6931
    """
    log_probabilities = logits.float().log_softmax(dim=-1)
    probabilities = log_probabilities.exp()
    of_each = -(probabilities * log_probabilities).sum(dim=-1).mean()
    mean = probabilities.mean(dim=0)
    of_mean = -torch.special.xlogy(mean, mean).sum()
    return of_each - of_mean


def adapted_parameters(model: nn.Module) -> list[nn.Parameter]:
    """Return the scales and shifts of norms, and the weights of the head."""
    found: dict[int, nn.Parameter] = {}
    for name, module in model.named_modules():
        is_of_head = any(name == head or name.startswith(f"{head}.") for head in _HEADS)
        if isinstance(module, _NORMS) or is_of_head:
            found |= {id(each): each for each in module.parameters(recurse=False)}
    return list(found.values())


def adapt_classifier(
    model: PreTrainedModel,
    batches: Sequence[dict[str, Any]],
    steps: int = STEPS,
    learning_rate: float = LEARNING_RATE,
) -> PreTrainedModel:
    """Return a copy of a classifier, adapted to unlabelled windows; the model stays as it is.

    Statistics of batch norms follow the windows; dropout stays off.

    Args:
        model: Of two classes or more, with one task.
        batches: Its inputs, of one person; labels are not read.
        steps: Passes over the batches.
        learning_rate: Of Adam.

    Raises:
        ValueError: If the model is a regression or has several tasks, or there is no window.
    """
    if int(model.config.num_labels or 0) < 2 or getattr(model.config, "tasks", None):
        raise ValueError("adapt: expected a classifier of one task with two classes or more")
    if not batches:
        raise ValueError("adapt: expected the windows of a person, got none")
    adapted: Any = copy.deepcopy(model).eval()
    for module in adapted.modules():
        if isinstance(module, _BatchNorm):
            module.train()
    weights = adapted_parameters(adapted)
    adapted.requires_grad_(False)
    for weight in weights:
        weight.requires_grad_(True)
    optimizer = torch.optim.Adam(weights, lr=learning_rate)
    with torch.enable_grad():
        for _ in range(steps):
            for batch in batches:
                optimizer.zero_grad()
                information_loss(adapted(**_unlabelled(batch, model.device)).logits).backward()
                optimizer.step()
    return adapted.eval()


@torch.no_grad()
def predict_adapted(
    model: PreTrainedModel,
    dataset: Dataset,
    owners: Sequence[str],
    collator: Callable[[Any], dict[str, Any]],
    **settings: Any,
) -> np.ndarray:
    """Return the logits (windows, classes) of a classifier that is adapted to each person in turn.

    Args:
        model: The classifier.
        dataset: Map-style dataset of windows with `__getitems__`.
        owners: The person of each window.
        collator: Makes batches of them.
        **settings: As in [`adapt_classifier`].
    """
    names = np.array(owners)
    logits = np.zeros((len(names), int(model.config.num_labels or 0)), np.float32)
    for owner in np.unique(names):
        rows = np.flatnonzero(names == owner)
        # Batches of nearly one size: the mean over a few windows left over would say nothing of the classes
        parts = np.array_split(np.random.default_rng(0).permutation(rows), -(-len(rows) // BATCH_SIZE))
        loader: DataLoader = DataLoader(
            dataset, batch_sampler=[part.tolist() for part in parts], collate_fn=collator
        )
        batches = [_unlabelled(batch, model.device) for batch in loader]
        adapted = adapt_classifier(model, batches, **settings)
        for part, batch in zip(parts, batches, strict=True):
            logits[part] = adapted(**batch).logits.float().cpu().numpy()
    return logits


def _unlabelled(batch: dict[str, Any], device: torch.device) -> dict[str, Any]:
    """Return the inputs of a batch on a device, without its labels."""
    return {
        name: value.to(device) if torch.is_tensor(value) else value
        for name, value in batch.items()
        if name != "labels"
    }


__all__ = ["adapt_classifier", "adapted_parameters", "information_loss", "predict_adapted"]
