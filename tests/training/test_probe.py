# SPDX-License-Identifier: Apache-2.0
"""A probe measures the encoder, writes one curve, and changes nothing of the training."""

import json

import numpy as np
import pytest
import torch
from datasets import load_dataset
from torch.utils.data import default_collate
from transformers import TrainingArguments

from eeg_hf import EEGDataCollator, EEGFeatureExtractor, WindowDataset, create_model
from eeg_hf.evaluation.probes import linear_probe
from eeg_hf.training import EEGTrainer, EncoderProbe, probe_encoder, read_probe_curve
from eeg_hf.training.probe import encode_rows
from eeg_hf.training.transfer import ArrayWindows

FIELDS = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "overlap": 0.0,
    "hidden_dropout": 0.2,
}


def make_model():
    torch.manual_seed(0)
    return create_model("eeg_foundation", FIELDS).add_classification_head(2)


def make_windows(seed):
    """Windows of which those of class 1 have a tenfold amplitude."""
    labels = np.tile([0, 1], 6)
    data = np.random.default_rng(seed).normal(size=(12, 19, 400)) * (1 + 9 * labels[:, None, None])
    return ArrayWindows(data, labels, 2)


def make_probe(path=None, **options):
    return EncoderProbe(make_windows(1), make_windows(2), default_collate, path=path, batch_size=5, **options)


def make_trainer(output_dir, *callbacks, epochs=2, **options):
    arguments = TrainingArguments(
        str(output_dir),
        num_train_epochs=epochs,
        per_device_train_batch_size=4,
        learning_rate=1e-2,
        report_to="none",
        disable_tqdm=True,
        **{"save_strategy": "no", **options},
    )
    return EEGTrainer(
        model=make_model(), args=arguments, train_dataset=make_windows(0), callbacks=list(callbacks)
    )


def test_training_has_the_same_bits_with_and_without_a_probe(tmp_path):
    plain = make_trainer(tmp_path)
    plain.train()
    random_state = torch.get_rng_state()
    probed = make_trainer(tmp_path, make_probe(tmp_path / "curve.jsonl"))
    probed.train()
    assert torch.equal(torch.get_rng_state(), random_state)
    weights = zip(plain.model.named_parameters(), probed.model.parameters(), strict=True)
    for (name, first), second in weights:
        assert torch.equal(first, second), name


def test_curve_has_the_start_every_epoch_and_the_end(tmp_path):
    path = tmp_path / "new" / "curve.jsonl"
    make_trainer(tmp_path, make_probe(path, phase="masked"), epochs=3).train()
    rows = read_probe_curve(path)
    assert [(row["phase"], row["step"], row["epoch"]) for row in rows] == [
        ("masked", 3 * epoch, epoch) for epoch in range(4)
    ]
    make_trainer(tmp_path, make_probe(path, phase="contrast", every_epochs=2), epochs=3).train()
    rows = read_probe_curve(path)
    assert [row["step"] for row in rows if row["phase"] == "contrast"] == [0, 6, 9]
    assert len(rows) == 7


def test_scores_are_those_of_the_encoder_that_training_leaves(tmp_path):
    path = tmp_path / "curve.jsonl"
    trainer = make_trainer(tmp_path, make_probe(path))
    before = probe_encoder(trainer.model, make_windows(1), make_windows(2), default_collate)
    trainer.train()
    after = probe_encoder(trainer.model, make_windows(1), make_windows(2), default_collate)
    first, *_, last = read_probe_curve(path)
    for row, scores in ((first, before), (last, after)):
        assert {name: row[name] for name in scores} == pytest.approx(scores, abs=1e-6)


def test_resumed_run_leaves_no_doubles_and_the_same_curve(tmp_path):
    path = tmp_path / "curve.jsonl"
    make_trainer(tmp_path / "run", make_probe(path), epochs=3, save_strategy="epoch").train()
    whole = read_probe_curve(path)
    damaged = [{**row, "auroc": -1.0} if row["step"] > 3 else row for row in whole]
    path.write_text("".join(json.dumps(row) + "\n" for row in damaged))
    again = make_trainer(tmp_path / "run", make_probe(path), epochs=3, save_strategy="epoch")
    again.train(resume_from_checkpoint=str(tmp_path / "run" / "checkpoint-3"))
    assert read_probe_curve(path) == whole


def test_a_run_begun_anew_forgets_its_old_rows_and_no_others(tmp_path):
    path = tmp_path / "curve.jsonl"
    old = [{"phase": name, "step": 500, "epoch": 9.0, "auroc": 0.9} for name in ("other", "this")]
    path.write_text("".join(json.dumps(row) + "\n" for row in old))
    make_trainer(tmp_path, make_probe(path, phase="this"), epochs=1).train()
    assert [(row["phase"], row["step"]) for row in read_probe_curve(path)] == [
        ("other", 500),
        ("this", 0),
        ("this", 3),
    ]


def test_features_are_deterministic_unmasked_and_without_gradient():
    model = make_model()
    encoder, windows = model.base_model, make_windows(3)
    model.train()
    features, labels = encode_rows(encoder, windows, default_collate, batch_size=5)
    assert model.training and all(module.training for module in model.modules())
    encoder.eval()
    expected = encoder(windows.values).pooler_output.detach().numpy()
    np.testing.assert_allclose(features, expected, atol=1e-5)
    assert labels.tolist() == windows.labels.tolist()
    assert all(parameter.grad is None for parameter in model.parameters())


def test_other_processes_do_nothing(tmp_path):
    path = tmp_path / "curve.jsonl"
    trainer = make_trainer(tmp_path)
    trainer.state.is_world_process_zero = False
    make_probe(path).probe(trainer.model, trainer.state)
    assert not path.exists()


def test_prepared_windows_are_probed(prepared, tmp_path):
    dataset = load_dataset(str(prepared), split="train", cache_dir=str(tmp_path))
    rows = WindowDataset(dataset, ["condition", "alpha_hz"])
    model = create_model("eeg_foundation", FIELDS)
    extractor = EEGFeatureExtractor(window_seconds=2.0)
    collator = EEGDataCollator(extractor, "condition", {"rest": 0, "task": 1})
    scores = probe_encoder(model, rows, rows, collator)
    assert scores == linear_probe(*2 * encode_rows(model.base_model, rows, collator, 64))
    assert scores["auroc"] > 0.5
    ages = probe_encoder(model, rows, rows, EEGDataCollator(extractor, "alpha_hz"), kind="regression")
    assert ages["nrmse_std"] < 1
    with pytest.raises(ValueError, match="expected `labels` of one task"):
        probe_encoder(model, rows, rows, EEGDataCollator(extractor))


def test_bad_settings_and_damaged_curves_are_one_line(tmp_path):
    with pytest.raises(ValueError, match="expected 1 or more, got 0 and 5"):
        make_probe(every_epochs=0)
    path = tmp_path / "curve.jsonl"
    path.write_text('{"phase": "a", "step": 0}\n{"phase": "a"}\n')
    with pytest.raises(ValueError, match=r"curve.jsonl line 2: expected JSON with phase and step"):
        read_probe_curve(path)
    with pytest.raises(FileNotFoundError):
        read_probe_curve(tmp_path / "none.jsonl")
