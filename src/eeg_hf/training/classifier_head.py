# SPDX-License-Identifier: Apache-2.0
"""The head of a classifier or regressor: fitted to its optimum on the frozen encoder, put into the model."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import Dataset
from transformers import PreTrainedModel
from transformers.utils import logging

from .convex_head import ConvexHead, fit_head
from .frozen_features import collect_features, part_sizes, parts_of, resolve_parts
from .ridge_head import fit_ridge_head
from .soft_head import fit_soft_head

logger = logging.get_logger(__name__)


@torch.no_grad()
def write_head(model: PreTrainedModel, head: ConvexHead, parts: Sequence[str] | None = None) -> None:
    """Write a fitted head into a classifier as its ordinary weights; parts that it does not read become 0.

    Args:
        model: A classifier with one task, such as [`EEGFoundationForSequenceClassification`].
        head: Fitted on `collect_features(model, ..., parts)`.
        parts: As there.

    Raises:
        ValueError: If the head has another number of features or classes than the classifier.
    """
    used = resolve_parts(model, parts)
    layers, sizes = head_layers(model), part_sizes(model, used)
    expected = (layers["pooled"].out_features, sum(sizes.values()))
    if head.weight.shape != expected:
        raise ValueError(
            f"write_head: expected weights (classes, features) {expected}, got {head.weight.shape}: fit the "
            "head on collect_features of this model and these parts"
        )
    for layer in layers.values():
        layer.weight.zero_()
        layer.bias.zero_()
    weights = torch.from_numpy(head.weight).split(list(sizes.values()), dim=1)
    for part, weight in zip(used, weights, strict=True):
        layers[part].weight.copy_(weight)
    layers[used[0]].bias.copy_(torch.from_numpy(head.bias))


def head_layers(model: PreTrainedModel) -> dict[str, nn.Linear]:
    """Return the linear layer that reads each part, of a classifier with one task."""
    classifier: Any = model
    layers = {
        "pooled": lambda: classifier.classifier.out,
        "bands": lambda: classifier.band_classifier,
        "course": lambda: classifier.course_classifier,
    }
    return {part: layers[part]() for part in parts_of(model)}


def parts_read(model: PreTrainedModel) -> tuple[str, ...]:
    """Return the parts that the head of a classifier with one task reads: whose weights are not all 0."""
    return tuple(part for part, layer in head_layers(model).items() if layer.weight.any())


@torch.no_grad()
def write_task_heads(model: PreTrainedModel, heads: Mapping[str, ConvexHead]) -> None:
    """Write heads that were fitted to second-order vectors into a classifier of several tasks.

    Args:
        model: With `config.tasks` and second-order tokens.
        heads: Of each task.
    """
    classifier: Any = model
    for task, head in heads.items():
        pooled, bands = classifier.classifiers[task].out, classifier.band_classifiers[task]
        for layer in (pooled, bands):
            layer.weight.zero_()
            layer.bias.zero_()
        bands.weight.copy_(torch.from_numpy(head.weight))
        bands.bias.copy_(torch.from_numpy(head.bias))


def usual_choices(model: PreTrainedModel) -> list[tuple[str, ...]]:
    """Return what a head may read of a model that was not pretrained; the first where nothing can choose."""
    usual = resolve_parts(model, None)
    if "course" not in parts_of(model):
        return [usual]
    return [usual, ("course",), (*usual, "course")]


def fit_classifier(
    model: PreTrainedModel,
    dataset: Dataset,
    collator: Callable[[Any], dict[str, Any]],
    labels: np.ndarray,
    groups: Sequence[str] | np.ndarray,
    parts: Sequence[str] | None = None,
    candidates: Sequence[Sequence[str]] = (),
    shares: np.ndarray | None = None,
) -> ConvexHead:
    """Fit the head of a classifier or regressor on its frozen encoder and write it into the model.

    Args:
        model: With one task: two classes or more, or one number (`num_labels=1`).
        dataset: Map-style dataset of the training windows.
        collator: Makes batches of them.
        labels: (windows,) class indices, or numbers.
        groups: (windows,) subjects.
        parts: As in [`collect_features`]; by default the vectors, or the time course, or both, as the inner
            folds prefer.
        candidates: Several such choices instead, of which the inner folds take the best; the first where they
            cannot choose. So a pretraining that does not help is seen and left out.
        shares: (windows, classes), of the votes of several experts, which replace the labels.
    """
    if getattr(model.config, "classifier_pooling", "mean") != "mean":
        raise ValueError(
            "classifier_pooling: a head that is fitted at once reads the mean: take --head finetune"
        )
    choices = candidates or ([parts] if parts else usual_choices(model))
    wanted = [resolve_parts(model, choice) for choice in choices]
    read = resolve_parts(model, [part for choice in wanted for part in choice])
    columns = np.cumsum(list(part_sizes(model, read).values()))[:-1]
    features = dict(
        zip(read, np.split(collect_features(model, dataset, collator, read), columns, axis=1), strict=True)
    )
    heads = [
        replace(
            _fit(model, np.concatenate([features[part] for part in choice], axis=1), labels, groups, shares),
            parts=choice,
        )
        for choice in wanted
    ]
    for head in heads:
        logger.info(
            f"head on {' + '.join(head.parts)}: C = {head.inverse_regularization:g} of {dict(head.scores)}"
        )
    head = max(heads, key=lambda each: each.best_score)  # the first of equals
    write_head(model, head, head.parts)
    return head


def _fit(
    model: PreTrainedModel,
    features: np.ndarray,
    labels: np.ndarray,
    groups: Sequence[str] | np.ndarray,
    shares: np.ndarray | None,
) -> ConvexHead:
    """Fit a head for classes, for shares of votes, or for a number in the unit of the labels."""
    if shares is not None:
        return fit_soft_head(features, shares, groups)
    if int(model.config.num_labels or 0) > 1:
        return fit_head(features, labels, groups)
    # The model adds the mean to its output, in units of the standard deviation
    scaled = (np.asarray(labels, float) - model.config.regression_mean) / model.config.regression_std
    head = fit_ridge_head(features, scaled, groups)
    if head.held_out is None:
        return head
    answers = model.config.regression_mean + model.config.regression_std * head.held_out
    return replace(head, held_out=answers)
