# SPDX-License-Identifier: Apache-2.0
"""The notebook's way: plain DataLoaders and arrays, one call each."""

from functools import partial

import numpy as np
import pytest
import torch
import transformers
from torch.utils.data import DataLoader, TensorDataset

from eeg_hf import EEGFoundationForPreTraining, create_model
from eeg_hf.collation import DEFAULT_VIEW
from eeg_hf.training import EEGFoundationTrainer, FineTuningConfig, TransferLearningPipeline
from eeg_hf.training.transfer import ArrayWindows, PretrainingInputs

FIELDS = {
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "overlap": 0.0,
    "dropout": 0.0,
}


def windows(num, seed):
    """Return windows of two classes that differ by a 10-Hz rhythm."""
    random = np.random.default_rng(seed)
    labels = np.arange(num) % 2
    rhythm = np.sin(2 * np.pi * 10 * np.arange(400) / 200)
    data = random.normal(size=(num, 19, 400)) + 1.5 * labels[:, None, None] * rhythm
    return data.astype(np.float32), labels


@pytest.fixture
def config(tmp_path):
    return FineTuningConfig(
        learning_rate=3e-3, epochs=4, batch_size=8, patience=4, output_dir=str(tmp_path / "checkpoints")
    )


def test_defaults_are_the_documented_ones():
    config = FineTuningConfig()
    assert (config.learning_rate, config.weight_decay, config.epochs, config.batch_size) == (
        1e-4,
        0.01,
        50,
        16,
    )
    assert (config.freeze_backbone, config.freeze_epochs, config.gradual_unfreezing) == (False, 10, True)
    assert (config.dropout_rate, config.label_smoothing, config.use_mixup) == (0.1, 0.1, False)
    assert (config.early_stopping, config.patience, config.save_best_model) == (True, 10, True)
    assert config.output_dir == "checkpoints/foundation_model"


def test_pretraining_trains_the_encoder_in_place(config):
    torch.manual_seed(0)
    encoder = create_model("eeg_foundation", FIELDS)
    before = encoder.embeddings.temporal_encoder.projection.weight.detach().clone()
    loader = DataLoader(TensorDataset(torch.from_numpy(windows(16, 0)[0])), batch_size=8)
    loss = EEGFoundationTrainer(encoder, config).pretrain(loader, loader, epochs=1, save_steps=1)
    assert np.isfinite(loss)
    assert not torch.equal(encoder.embeddings.temporal_encoder.projection.weight, before)


def test_pretraining_contrasts_and_keeps_the_heads(config, tmp_path):
    torch.manual_seed(0)
    encoder = create_model("eeg_foundation", FIELDS)
    assert encoder.config.contrastive_weight == 0.5
    data, labels = (torch.from_numpy(array) for array in windows(16, 0))
    loader = DataLoader(TensorDataset(data, labels), batch_size=8)  # labels are left out
    trainer = EEGFoundationTrainer(encoder, config)
    trainer.pretrain(loader, loader, epochs=2)
    logged = [row["contrastive_loss"] for row in trainer.trainer.state.log_history if "loss" in row]
    assert len(logged) == 2 and 0 < logged[1] < np.log(8)
    head = trainer.pretraining_model.projection_head.dense.weight.detach().clone()
    loaded = EEGFoundationForPreTraining.from_pretrained(config.output_dir)
    assert torch.equal(loaded.projection_head.dense.weight, head)
    assert torch.equal(loaded.model.norm.weight, encoder.norm.weight)
    again = EEGFoundationTrainer(loaded, config)  # goes on with these heads
    again.pretrain(loader, epochs=1)
    assert again.pretraining_model is loaded
    assert not torch.equal(loaded.projection_head.dense.weight, head)


def test_views_differ_between_epochs_only():
    rows = [torch.from_numpy(row) for row in windows(4, 0)[0]]
    make = partial(PretrainingInputs, torch.stack, view=DEFAULT_VIEW)
    first, second = make(contrasts=True), make(contrasts=True)
    view = first(rows)["augmented_values"]
    assert torch.equal(second(rows)["augmented_values"], view)
    second.set_epoch(1)
    assert not torch.equal(second(rows)["augmented_values"], view)
    assert set(make(contrasts=False)(rows)) == {"input_values"}
    with pytest.raises(ValueError, match="neither augmented_values nor stimulus_ids: pass view="):
        PretrainingInputs(torch.stack, contrasts=True, view=None)(rows)


@pytest.mark.parametrize("freeze_backbone", [False, True])
def test_gradual_unfreezing_frees_a_layer_an_epoch(config, freeze_backbone, caplog):
    torch.manual_seed(0)
    config.epochs, config.freeze_epochs = 2, 1
    config.freeze_backbone, config.early_stopping, config.save_best_model = freeze_backbone, False, False
    encoder = create_model("eeg_foundation", FIELDS)
    before = {name: parameter.detach().clone() for name, parameter in encoder.named_parameters()}
    loader = DataLoader(ArrayWindows(*windows(16, 1), 2), batch_size=8)
    transformers.logging.enable_propagation()
    EEGFoundationTrainer(encoder, config).finetune(loader, loader, num_classes=2)
    transformers.logging.disable_propagation()
    moved = {
        name.split(".")[0] for name, now in encoder.named_parameters() if not torch.equal(now, before[name])
    }
    assert moved == ({"norm"} if freeze_backbone else {"norm", "layers"})
    expected = "a training of 2 epochs never trains the embeddings to " + (
        "layer 0" if freeze_backbone else "the embeddings"
    )
    assert expected in caplog.text


@pytest.mark.parametrize("use_mixup", [False, True])
def test_finetuning_learns_and_keeps_the_best(config, use_mixup):
    torch.manual_seed(0)
    config.use_mixup, config.gradual_unfreezing = use_mixup, False
    trainer = EEGFoundationTrainer(create_model("eeg_foundation", FIELDS), config)
    loaders = [
        DataLoader(ArrayWindows(*windows(32, seed), 2), batch_size=8, shuffle=seed == 1) for seed in (1, 2)
    ]
    best = trainer.finetune(*loaders, num_classes=2)
    assert best > 0.8
    assert trainer.trainer.evaluate()["eval_accuracy"] == pytest.approx(best)


def test_the_whole_transfer_from_a_saved_folder(config, tmp_path):
    torch.manual_seed(0)
    EEGFoundationForPreTraining(create_model("eeg_foundation", FIELDS).config).save_pretrained(
        tmp_path / "v1"
    )
    data = {"train": windows(32, 1), "val": windows(16, 2), "test": windows(16, 3)}
    arrays = {f"{part}_data": pair[0] for part, pair in data.items()}
    arrays |= {f"{part}_labels": pair[1] for part, pair in data.items()}
    results = TransferLearningPipeline(tmp_path / "v1", config).run_pipeline(
        **arrays, num_classes=2, class_names=["rest", "rhythm"]
    )
    assert results["test_results"]["metrics"]["accuracy"] > 0.8
    assert results["test_results"]["predictions"].shape == (16, 2)


@pytest.mark.parametrize(
    ("data", "labels", "message"),
    [
        (np.zeros((2, 19)), [0, 1], "windows, channels, time"),
        (np.full((2, 19, 400), np.nan), [0, 1], "NaN"),
        (np.zeros((2, 19, 400)), [0, 2], "expected 0 to 1"),
    ],
)
def test_arrays_that_cannot_be_right_are_refused(data, labels, message):
    with pytest.raises(ValueError, match=message):
        ArrayWindows(data, labels, 2)
