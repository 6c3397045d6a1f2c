# SPDX-License-Identifier: Apache-2.0
"""Freezing follows the epoch, resumes with it, and touches only the encoder."""

import platform

import numpy as np
import pytest
import torch
from transformers import TrainerCallback, TrainingArguments

from eeg_hf import EEGFoundationConfig, EEGFoundationForPreTraining, create_model, kept_memory
from eeg_hf.training import EEGTrainer, FreezeEncoder
from eeg_hf.training.optimizer import layer_index
from eeg_hf.training.transfer import ArrayWindows

FIELDS = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "overlap": 0.0,
}


def make_trainer(output_dir, freeze, epochs, **options):
    torch.manual_seed(0)
    model = create_model("eeg_foundation", FIELDS).add_classification_head(2)
    data = np.random.default_rng(0).normal(size=(8, 19, 400))
    arguments = TrainingArguments(
        str(output_dir),
        num_train_epochs=epochs,
        per_device_train_batch_size=4,
        learning_rate=1e-2,
        save_strategy="epoch",
        report_to="none",
        disable_tqdm=True,
        **options,
    )
    return EEGTrainer(
        model=model, args=arguments, train_dataset=ArrayWindows(data, [0, 1] * 4, 2), callbacks=[freeze]
    )


def moved(model, before):
    return {name for name, parameter in model.named_parameters() if not torch.equal(parameter, before[name])}


def snapshot(model):
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


def test_only_the_head_moves_while_frozen(tmp_path):
    trainer = make_trainer(tmp_path, FreezeEncoder(2), epochs=2)
    before = snapshot(trainer.model)
    trainer.train()
    assert moved(trainer.model, before) == {"classifier.out.weight", "classifier.out.bias"}


class CountKeeping(TrainerCallback):
    """Note how many contexts keep freed memory."""

    def __init__(self):
        self.counts = []

    def on_step_end(self, *args, **kwargs):
        self.counts.append(len(kept_memory._users))

    on_prediction_step = on_step_end


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="no glibc, which alone has these settings")
def test_steps_and_evaluations_keep_freed_memory(tmp_path):
    count = CountKeeping()
    trainer = make_trainer(tmp_path, count, epochs=1)
    trainer.train()
    assert count.counts == [1, 1] and not kept_memory._users
    trainer.evaluate(trainer.train_dataset)
    assert count.counts == [1, 1, 1] and not kept_memory._users


def test_layers_are_freed_one_an_epoch_from_the_top(tmp_path):
    trainer = make_trainer(tmp_path, FreezeEncoder(1, gradual_unfreezing=True), epochs=3)
    before = snapshot(trainer.model)
    trainer.train()
    names = moved(trainer.model, before)
    assert any(name.startswith("model.norm") for name in names)  # epoch 1
    assert any(name.startswith("model.layers.1") for name in names)  # epoch 2
    assert not any(name.startswith(("model.layers.0", "model.embeddings")) for name in names)


def test_a_resumed_run_freezes_what_the_first_one_did(tmp_path):
    whole = make_trainer(tmp_path / "whole", FreezeEncoder(1, gradual_unfreezing=True), epochs=4)
    whole.train()
    resumed = make_trainer(tmp_path / "again", FreezeEncoder(1, gradual_unfreezing=True), epochs=4)
    resumed.train(resume_from_checkpoint=str(tmp_path / "whole" / "checkpoint-4"))
    for (name, first), second in zip(whole.model.named_parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(first, second), name


def test_lower_layers_learn_more_slowly(tmp_path):
    trainer = make_trainer(tmp_path, FreezeEncoder(0), epochs=1)
    trainer.layer_decay = 0.5
    rates = {group["lr"] for group in trainer.create_optimizer().param_groups}
    assert rates == {1e-2 * 0.5**depth for depth in range(4)}
    grouped = sum(len(group["params"]) for group in trainer.optimizer.param_groups)
    assert grouped == len(list(trainer.model.parameters()))
    with pytest.raises(ValueError, match="layer_decay"):
        EEGTrainer(model=trainer.model, args=trainer.args, layer_decay=2.0)


@pytest.mark.parametrize(
    ("name", "depth"),
    [
        ("model.channel_adapter.queries", 0),
        ("model.embeddings.mask_token", 0),
        ("model.layers.0.feed_forward.up_proj.weight", 1),
        ("model.layers.3.temporal_norm.bias", 4),
        ("model.norm.weight", 5),
        ("classifier.out.weight", 5),
    ],
)
def test_what_comes_before_the_layers_is_deepest(name, depth):
    assert layer_index(name, num_layers=4) == depth


def test_weight_decay_leaves_a_learned_temperature_alone(tmp_path):
    trainer = make_trainer(tmp_path, FreezeEncoder(0), epochs=1)
    config = {**FIELDS, "learnable_temperature": True}
    model = EEGFoundationForPreTraining(EEGFoundationConfig(**config))
    decayed = trainer.get_decay_parameter_names(model)
    assert "temperature.log_temperature" in dict(model.named_parameters())
    assert "temperature.log_temperature" not in decayed and "decoder.weight" in decayed
