# SPDX-License-Identifier: Apache-2.0
"""What the head of a classifier reads of every window while the encoder stays as it is."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset
from transformers import PreTrainedModel

from .. import embedding_cache
from ..kept_memory import kept_memory
from ..models.second_order import mean_over_stretches

_SIGNAL_INPUTS = (
    "input_values",
    "channel_positions",
    "channel_mask",
    "attention_mask",
    "recentring_whitening",
    "recentring_log_power",
)


@kept_memory()
@torch.no_grad()
def collect_features(
    model: PreTrainedModel,
    dataset: Dataset,
    collator: Callable[[Any], dict[str, Any]],
    parts: Sequence[str] | None = None,
    batch_size: int = 64,
) -> np.ndarray:
    """Return what a classifier's head reads of every window, (windows, features) float32.

    Batches that were read before by the same weights come from the disk, see `embedding_cache`.

    Args:
        model: An encoder, or a classifier with its encoder as `base_model`.
        dataset: Map-style dataset of windows.
        collator: Makes batches of them; nothing may be augmented.
        parts: Some of `"pooled"` (the encoder's `pooler_output`), `"bands"` (the second-order vectors of all
            bands) and `"course"` (the time course); by default the vectors where the model has them.
        batch_size: Windows at a time.
    """
    parts = resolve_parts(model, parts)
    encoder: Any = model.base_model
    was_training = model.training
    encoder.eval()
    reader = embedding_cache.digest_of_model(encoder) if embedding_cache.is_on() else ""
    rows = []
    for batch in DataLoader(dataset, batch_size=batch_size, collate_fn=collator):
        inputs = {name: batch[name] for name in _SIGNAL_INPUTS if name in batch}
        read = partial(_read_batch, encoder, inputs, parts)
        key = embedding_cache.digest(reader, parts, inputs) if reader else ""
        rows.append((embedding_cache.fetch(key, read) if reader else read())["features"])
    model.train(was_training)
    return np.concatenate(rows)


def _read_batch(encoder: Any, batch: dict[str, torch.Tensor], parts: Sequence[str]) -> dict[str, np.ndarray]:
    """Return the features (windows, features) of a batch, by name."""
    inputs = {name: value.to(encoder.device) for name, value in batch.items()}
    read = []
    if "pooled" in parts:
        outputs = encoder(**inputs)
        read.append(outputs.pooler_output.float())
        bands, is_real = outputs.get("band_features"), outputs.get("stretch_mask")
    elif "bands" in parts:  # the patches need not be encoded
        bands, is_real = encoder.second_order_features(**inputs)
    if "bands" in parts:
        read.append(mean_over_stretches(bands, is_real).flatten(1))
    if "course" in parts:
        signal = {name: value for name, value in inputs.items() if not name.startswith("recentring")}
        read.append(encoder.time_course_features(**signal).flatten(1))
    return {"features": torch.cat(read, dim=1).cpu().numpy()}


def resolve_parts(model: PreTrainedModel, parts: Sequence[str] | None) -> tuple[str, ...]:
    """Return the parts that a head reads, in order, or raise unless the model has them."""
    known = parts_of(model)
    if parts is None:
        return ("bands",) if "bands" in known else ("pooled",)
    if not parts or set(parts) - set(known):
        raise ValueError(
            f"parts: expected some of {', '.join(known)}, got {list(parts)}: 'bands' need second_order=True, "
            "'course' needs time_course_seconds"
        )
    return tuple(part for part in known if part in parts)


def parts_of(model: PreTrainedModel) -> tuple[str, ...]:
    """Return the parts that a model has, in order."""
    has_bands = getattr(model.config, "second_order", False)
    has_course = getattr(model.config, "time_course_seconds", None) is not None
    return ("pooled", *(["bands"] if has_bands else []), *(["course"] if has_course else []))


def part_sizes(model: PreTrainedModel, parts: Sequence[str]) -> dict[str, int]:
    """Return the number of features of each of some parts."""
    config: Any = model.config
    sizes = {
        "pooled": lambda: config.hidden_size,
        "bands": lambda: len(config.second_order_bands) * config.num_band_features,
        "course": lambda: config.num_components * config.num_cosines,
    }
    return {part: sizes[part]() for part in parts}
