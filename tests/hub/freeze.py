# SPDX-License-Identifier: Apache-2.0
"""Make the frozen checkpoints of this version: `python tests/hub/freeze.py`.

Run once for each version whose checkpoints later ones must load. What is frozen stays as it is: it says
whether the code still does what it did.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import (
    AutoModel,
    AutoModelForPreTraining,
    AutoModelForSequenceClassification,
    PreTrainedConfig,
    PreTrainedModel,
)

import eeg_hf

FROZEN = Path(__file__).parent / "frozen"
ENCODER = {
    "d_model": 16,
    "n_layers": 1,
    "n_heads": 2,
    "d_ff": 32,
    "overlap": 0.0,
    "sampling_rate": 100,
    "patch_size": 100,
    "scale_factors": [1, 2],
    "id2label": {0: "rest", 1: "task"},
}
CODEC = {
    "patch_size": 100,
    "hidden_dims": [16],
    "levels": [8, 5, 2],
    "codes_per_patch": 2,
    "conv_channels": [4, 8],
    "conv_strides": [5, 4],
    "conditioning_dim": 8,
}
AUTOENCODER = {
    "d_model": 16,
    "n_layers": 1,
    "num_decoder_layers": 1,
    "n_heads": 2,
    "d_ff": 32,
    "latent_size": 4,
    "sampling_rate": 100,
    "patch_size": 50,
}
PAIRS = {
    "eeg_config": {
        "num_channels": 19,
        "conv_size": 8,
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 32,
    },
    "vision_tower": "features:frozen",  # nobody could load a tower of images here
    "vision_dim": 6,
    "projection_dim": 8,
    "projection_hidden_size": 16,
}


def inputs() -> torch.Tensor:
    """Return windows (2, 19, 300) that need no generator of random numbers, which may change."""
    time = torch.arange(300) / 100
    frequency = torch.linspace(1.0, 20.0, 2 * 19).view(2, 19, 1)
    return torch.sin(2 * torch.pi * frequency * time)


def encoder_outputs(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    """Return the embedding, and the head's answer where nothing is drawn for it."""
    found = {"pooler_output": model.base_model(inputs()).pooler_output}
    if hasattr(model, "classifier"):
        return {**found, "logits": model(inputs()).logits}
    mask = torch.zeros(2, 19, 300, dtype=torch.bool)
    mask[:, ::2, 100:200] = True
    return {**found, "loss": model(inputs(), mask=mask).loss}


def codec_outputs(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    """Return the tokens at two rates, and what is decoded from them."""
    rates = torch.tensor([128.0, 250.0])
    eeg = inputs()[:, ::6]  # (2, 4, 300)
    indices = model.encode(eeg, rates).indices
    loss = model(eeg, sampling_rate=rates).loss
    return {"indices": indices, "decoded": model.decode(indices, rates)[..., ::10], "loss": loss}


def autoencoder_outputs(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    """Return the embedding, and what is rebuilt where a stretch was hidden."""
    mask = torch.zeros(2, 19, 300, dtype=torch.bool)
    mask[:, ::2, 100:200] = True
    outputs = model(inputs(), mask=mask)
    rebuilt = outputs.reconstruction[:, ::6, ::10]
    return {"pooler_output": model.get_embeddings(inputs()), "rebuilt": rebuilt, "loss": outputs.loss}


def pair_outputs(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    """Return where two windows and two images lie."""
    outputs = model(inputs(), image_embeds=torch.eye(6)[:2])
    names = ("eeg_embeds", "image_embeds", "logits_per_eeg", "loss")
    return {name: getattr(outputs, name) for name in names}


@dataclass(frozen=True)
class Kind:
    """A model to freeze: what opens it, what it is made from, and what of it must stay the same."""

    auto_class: type
    config: type[PreTrainedConfig]
    fields: dict[str, object]
    answer: Callable[[PreTrainedModel], dict[str, torch.Tensor]]


SNAKE = {"activation": "snake", "use_conditioning": True}
KINDS = {
    "eeg_foundation-pretraining": Kind(
        AutoModelForPreTraining, eeg_hf.EEGFoundationConfig, ENCODER, encoder_outputs
    ),
    "eeg_foundation-classification": Kind(
        AutoModelForSequenceClassification, eeg_hf.EEGFoundationConfig, ENCODER, encoder_outputs
    ),
    "eeg_masked_vae-pretraining": Kind(
        AutoModelForPreTraining, eeg_hf.EEGMaskedVAEConfig, AUTOENCODER, autoencoder_outputs
    ),
    "eeg_clip": Kind(AutoModel, eeg_hf.EEGCLIPConfig, PAIRS, pair_outputs),
    "eeg_fsq-mlp": Kind(AutoModel, eeg_hf.EEGFSQConfig, CODEC, codec_outputs),
    "eeg_fsq-conv": Kind(
        AutoModel, eeg_hf.EEGFSQConfig, {**CODEC, "architecture": "conv", **SNAKE}, codec_outputs
    ),
}


def outputs(kind: Kind, model: PreTrainedModel) -> dict[str, list[float]]:
    """Return what must stay the same, as it is written down."""
    with torch.no_grad():
        return {name: value.flatten().tolist() for name, value in kind.answer(model).items()}


def main() -> None:
    """Freeze every kind that this version has not frozen yet."""
    for name, kind in KINDS.items():
        folder = FROZEN / f"{name}-v{eeg_hf.__version__}"
        if folder.exists():
            continue
        torch.manual_seed(0)
        model = kind.auto_class.from_config(kind.config(**kind.fields)).eval()
        with torch.no_grad():
            for parameter in model.parameters():  # so that what starts at zero has a say
                parameter.add_(0.1 * torch.randn_like(parameter))
        model.save_pretrained(folder)
        (folder / "expected.json").write_text(json.dumps(outputs(kind, model), indent=1) + "\n")


if __name__ == "__main__":
    main()
