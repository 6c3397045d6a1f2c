# SPDX-License-Identifier: Apache-2.0
"""Make a frozen checkpoint of this version: `python tests/hub/freeze.py`.

Run once for each version whose checkpoints later ones must load, never again for the same version: what is
frozen says whether the code still does what it did.
"""

import json
from pathlib import Path

import torch
from transformers import AutoModelForPreTraining, AutoModelForSequenceClassification, PreTrainedModel

import eeg_hf

FROZEN = Path(__file__).parent / "frozen"
CONFIG = {
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
HEADS = {"pretraining": AutoModelForPreTraining, "classification": AutoModelForSequenceClassification}


def inputs() -> torch.Tensor:
    """Return windows (2, 19, 300) that need no generator of random numbers, which may change."""
    time = torch.arange(300) / 100
    frequency = torch.linspace(1.0, 20.0, 2 * 19).view(2, 19, 1)
    return torch.sin(2 * torch.pi * frequency * time)


def outputs(model: PreTrainedModel) -> dict[str, list[float]]:
    """Return what must stay the same: the embedding, and the head's answer where nothing is drawn for it."""
    with torch.no_grad():
        found = {"pooler_output": model.base_model(inputs()).pooler_output}
        if hasattr(model, "classifier"):
            found["logits"] = model(inputs()).logits
        else:
            mask = torch.zeros(2, 19, 300, dtype=torch.bool)
            mask[:, ::2, 100:200] = True
            found["loss"] = model(inputs(), mask=mask).loss
    return {name: value.flatten().tolist() for name, value in found.items()}


def main() -> None:
    """Freeze every head."""
    for head, auto_class in HEADS.items():
        torch.manual_seed(0)
        model = auto_class.from_config(eeg_hf.EEGFoundationConfig(**CONFIG)).eval()
        folder = FROZEN / f"eeg_foundation-{head}-v{eeg_hf.__version__}"
        if folder.exists():
            raise FileExistsError(f"{folder} is frozen already: raise the version first")
        model.save_pretrained(folder)
        (folder / "expected.json").write_text(json.dumps(outputs(model), indent=1) + "\n")


if __name__ == "__main__":
    main()
