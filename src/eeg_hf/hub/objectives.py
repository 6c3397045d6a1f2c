# SPDX-License-Identifier: Apache-2.0
"""What a saved model was trained to do, in words, from its config."""

from collections.abc import Mapping
from typing import Any

from .card_facts import UNKNOWN

_FOUNDATION: Mapping[str, str] = {
    "reconstruction_weight": "masked reconstruction",
    "code_weight": "masked prediction of a codec's tokens",
    "contrastive_weight": "contrast of two views",
}
_PARTS: Mapping[str, str] = {"pooled": "embeddings", "bands": "second-order vectors"}
_UNUSED: Mapping[str, str] = {"signal": "code_weight", "codes": "reconstruction_weight"}  # by target


def describe_objective(config: Mapping[str, Any], head: Mapping[str, Any] | None = None) -> str:
    """Return the training objective of the class that a config names.

    Args:
        config: Content of a saved config.json.
        head: Content of the head.json beside it, where the head was fitted at once.
    """
    name = (config.get("architectures") or [""])[0]
    if head:
        return _fitted_head(config, head)
    if name.endswith("ForSequenceClassification") and len(read_labels(config)) == 1:
        return f"squared error of {read_labels(config)[0]}"
    if name.endswith("ForSequenceClassification"):
        weighted = ", each class counting alike" if config.get("class_weights") else ""
        smoothing = config.get("label_smoothing")
        smoothed = f", label smoothing {smoothing:g}" if smoothing else ""
        return f"cross-entropy over {', '.join(read_labels(config))}{weighted}{smoothed}"
    if config["model_type"] == "eeg_fsq":
        return "mean squared error of patches through finite scalar quantization, no codebook loss"
    if config["model_type"] == "eeg_clip":
        return _image_contrast(config)
    if not name.endswith("ForPreTraining"):
        return f"{UNKNOWN}: an encoder does not record the head it was trained with"
    return _masked_vae(config) if config["model_type"] == "eeg_masked_vae" else _foundation(config)


def _fitted_head(config: Mapping[str, Any], head: Mapping[str, Any]) -> str:
    kind = "ridge regression" if len(read_labels(config)) == 1 else "logistic regression"
    read = " and ".join(_PARTS[part] for part in head["parts"])
    tuned = ", then fine-tuned with the encoder" if head["kept"] == "finetuned" else ""
    return (
        f"{kind} on frozen {read}, C = {head['inverse_regularization']:g} chosen by folds of the training "
        f"subjects{tuned}"
    )


def read_labels(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the classes in order; transformers does not save the names LABEL_0 and LABEL_1."""
    names: Mapping[str, str] = config.get("id2label") or {"0": "LABEL_0", "1": "LABEL_1"}
    return tuple(names[key] for key in sorted(names, key=int))


def _foundation(config: Mapping[str, Any]) -> str:
    unused = _UNUSED.get(config.get("target", "signal"))
    used = [name for name in _FOUNDATION if config.get(name) and name != unused]
    parts = [f"{_FOUNDATION[name]} (weight {config[name]:g})" for name in used]
    if used and used[0] != "contrastive_weight" and "mask_ratio" in config:
        parts[0] += f" of {config['mask_ratio']:.0%} of the signal"
    if "masked_bands" in (config.get("objectives") or {}):
        parts.append("masked prediction of the covariances of frequency bands")
    return " and ".join(parts) or UNKNOWN


def _masked_vae(config: Mapping[str, Any]) -> str:
    stretch = config["patch_size"] * config["stretch_patches"] / config["sampling_rate"]
    free = f", of which {config['free_bits']:g} bits a dimension are free" if config["free_bits"] else ""
    return (
        f"masked reconstruction of {config['mask_ratio']:.0%} of the signal, in stretches of {stretch:g} s "
        f"of one channel (squared error: weight 1 where hidden, {config['visible_weight']:g} where not), "
        f"plus beta = {config['beta']:g} x KL divergence of the latents in nats a sample{free}, beta growing "
        f"from 0 over {config['beta_warmup_steps']:,} batches"
    )


def _image_contrast(config: Mapping[str, Any]) -> str:
    trained = "" if config["freeze_vision"] else ", trained along,"
    images = f"embeddings of {config['vision_tower']}{trained} of the images seen"
    return (
        f"symmetric InfoNCE between windows of EEG and {images}, temperature {config['temperature']:g} at "
        "the start and learned; windows of one image are no negatives of each other"
    )
