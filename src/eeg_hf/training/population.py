# SPDX-License-Identifier: Apache-2.0
"""Statistics of the training windows that recentre and standardise second-order tokens and time courses."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset
from transformers import PreTrainedModel

from ..models.second_order import Recentring, mean_over_stretches
from ..processing.calibration import inverse_square_root

_INPUTS = ("input_values", "channel_positions", "channel_mask", "attention_mask")
_RECENTRING = ("recentring_whitening", "recentring_log_power")


@torch.no_grad()
def fit_population(
    model: PreTrainedModel,
    dataset: Dataset,
    collator: Callable[[Any], dict[str, Any]],
    batch_size: int = 64,
) -> None:
    """Give a model with second-order tokens the statistics of its training windows, without labels.

    Their mean recentres windows without a calibration (subjects that are unseen); the mean and the standard
    deviation of the vectors, recentred as the batches say, standardise them.

    Args:
        model: `EEGFoundation` with `second_order=True`, with or without a head.
        dataset: Map-style dataset of the training windows.
        collator: Makes batches of them, with calibrations or without; nothing may be augmented.
        batch_size: Windows at a time.

    Raises:
        ValueError: If the model has no second-order tokens.
    """
    if not getattr(model.config, "second_order", False):
        raise ValueError("fit_population: expected a model with second_order=True")
    encoder: Any = model.base_model
    features = encoder.second_order.features
    features.reset_standardization()
    has_course = model.config.time_course_seconds is not None
    if has_course:
        encoder.time_course.reset_standardization()
    loader = DataLoader(dataset, batch_size=batch_size, collate_fn=collator)
    # First the mean matrices, then the vectors that they give
    matrices, powers, courses = [], [], []
    for batch in loader:
        inputs = {name: batch[name].to(model.device) for name in _INPUTS if name in batch}
        matrix, power = encoder.second_order_statistics(**inputs)
        matrices.append(matrix.double().sum(dim=0))
        powers.append(power)
        if has_course:
            courses.append(encoder.time_course_features(**inputs))
    if has_course:
        encoder.time_course.set_population(torch.cat(courses))
    count = sum(map(len, powers))
    whitening = inverse_square_root((torch.stack(matrices).sum(dim=0) / count).cpu().numpy())
    log_power = torch.cat(powers).mean(dim=0)
    recentring = Recentring(torch.from_numpy(whitening.astype(np.float32)), log_power)
    mean, scale = features.mean.clone(), features.scale.clone()
    features.set_population(recentring, mean, scale)
    vectors = []
    for batch in loader:
        names = (*_INPUTS, *_RECENTRING)
        inputs = {name: batch[name].to(model.device) for name in names if name in batch}
        vectors.append(mean_over_stretches(*encoder.second_order_features(**inputs)))
    stacked = torch.cat(vectors)  # (windows, bands, features)
    features.set_population(None, stacked.mean(dim=0), stacked.std(dim=0, correction=0))
