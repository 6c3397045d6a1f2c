# SPDX-License-Identifier: Apache-2.0
"""On two processes: train a frozen, then freed encoder; compare replicas."""

from pathlib import Path

import torch
from transformers import TrainingArguments, set_seed

from eeg_hf import EEGDataCollator, EEGFeatureExtractor, WindowDataset, create_model
from eeg_hf.corpora import load_windows
from eeg_hf.training import EEGTrainer, FreezeEncoder


def main(prepared: Path, output_dir: Path) -> None:
    """Train, gather all weights, and write what was found."""
    set_seed(0)
    fields = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    model = create_model("eeg_foundation", fields).add_classification_head(2)
    before = torch.cat([parameter.detach().flatten().clone() for parameter in model.base_model.parameters()])
    labels = {"rest": 0, "task": 1}
    arguments = TrainingArguments(
        str(output_dir),
        num_train_epochs=3,
        per_device_train_batch_size=24,
        learning_rate=1e-3,
        use_cpu=True,
        ddp_backend="gloo",
        gradient_checkpointing=True,  # Trainer then refuses parameters without a gradient
        remove_unused_columns=False,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
    trainer = EEGTrainer(
        model=model,
        args=arguments,
        train_dataset=WindowDataset(load_windows(prepared), ["condition"]),
        data_collator=EEGDataCollator(EEGFeatureExtractor.from_pretrained(prepared), "condition", labels),
        callbacks=[FreezeEncoder(1)],
    )
    trainer.train()
    weights = torch.cat([parameter.detach().flatten() for parameter in model.parameters()])
    gathered = [torch.empty_like(weights) for _ in range(torch.distributed.get_world_size())]
    torch.distributed.all_gather(gathered, weights)
    after = torch.cat([parameter.detach().flatten() for parameter in model.base_model.parameters()])
    if torch.distributed.get_rank() == 0:
        torch.save({"replicas": gathered, "moved": (after - before).abs().max()}, output_dir / "replicas.pt")
