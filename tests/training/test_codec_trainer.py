# SPDX-License-Identifier: Apache-2.0
"""The logs of a tokenizer agree with its metrics."""

import numpy as np
import pytest
import torch
from transformers import TrainingArguments

from eeg_hf import EEGFeatureExtractor, create_model
from eeg_hf.collation import EEGTokenizerCollator, real_patches
from eeg_hf.evaluation import codebook_metrics, reconstruction_metrics
from eeg_hf.training import EEGTokenizerTrainer, PlotReconstruction
from tests.collation.test_tokenizer_collator import make_windows

FIELDS = {"patch_size": 50, "hidden_dims": [8], "levels": [4, 3], "codes_per_patch": 2}
SHAPES = [(3, 300)] * 5 + [(2, 300), (2, 170)]  # padded channels, padded time


def make_trainer(output_dir, windows, eval_windows=None, fields=FIELDS, **options):
    torch.manual_seed(0)
    arguments = TrainingArguments(
        str(output_dir),
        per_device_train_batch_size=3,
        per_device_eval_batch_size=2,
        num_train_epochs=2,
        logging_strategy="epoch",
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        prediction_loss_only=True,
        **options,
    )
    return EEGTokenizerTrainer(
        model=create_model("eeg_fsq", fields),
        args=arguments,
        train_dataset=windows,
        eval_dataset=eval_windows or windows,
        data_collator=EEGTokenizerCollator(EEGFeatureExtractor(), fields["patch_size"]),
    )


def test_an_evaluation_says_what_the_metrics_say_of_all_windows(tmp_path):
    windows = make_windows(SHAPES, [200.0] * 5 + [160.0] * 2)
    trainer = make_trainer(tmp_path, windows)
    found = trainer.evaluate()
    expected, indices = {}, []
    trainer.model.eval()
    for row in range(len(windows)):
        batch = trainer.data_collator(windows[row])
        with torch.no_grad():
            outputs = trainer.model(**batch)
        length = int(batch["attention_mask"].sum()) // 50 * 50
        signals = (values[..., :length].numpy() for values in (batch["input_values"], outputs.reconstruction))
        single = reconstruction_metrics(*signals, batch["sampling_rate"].item())
        for name in ("mse", "correlation", "nrmse_std", "snr"):
            expected.setdefault(name, []).extend([single[name]] * len(batch["input_values"][0]))
        is_real = real_patches(batch, 50).repeat_interleave(2, dim=-1)
        indices.append(outputs.indices[is_real].numpy())
    for name, values in expected.items():
        assert found[f"eval_{name}"] == pytest.approx(np.mean(values), rel=1e-4), name
    used = codebook_metrics(np.concatenate(indices), 12)
    for name in ("codebook_usage", "codebook_usage_reachable", "codebook_perplexity"):
        assert found[f"eval_{name}"] == pytest.approx(used[name], rel=1e-6)


def test_codes_are_counted_from_one_log_to_the_next(tmp_path):
    trainer = make_trainer(tmp_path, make_windows(SHAPES), learning_rate=0.0)
    trainer.train()
    logs = [row for row in trainer.state.log_history if "loss" in row]
    judged = trainer.evaluate()  # nothing was learned: each epoch has used the codes that an evaluation finds
    assert len(logs) == 2
    for row in logs:
        assert row["codebook_usage"] == judged["eval_codebook_usage"]
        assert row["codebook_perplexity"] == pytest.approx(judged["eval_codebook_perplexity"], rel=1e-6)


def test_a_codebook_too_large_to_count_is_left_out(tmp_path):
    trainer = make_trainer(tmp_path, make_windows(SHAPES), fields={**FIELDS, "levels": [1000] * 3})
    metrics = trainer.evaluate()
    assert "eval_correlation" in metrics and "eval_codebook_usage" not in metrics


def test_the_picture_of_a_codec_hides_nothing(tmp_path):
    trainer = make_trainer(tmp_path, make_windows(SHAPES[-2:], [160.0] * 2))
    plot = PlotReconstruction(tmp_path, 160.0, ["Cz", "Pz"])
    original, reconstruction, mask = plot.reconstruct(trainer.model, trainer.get_eval_dataloader())
    assert original.shape == reconstruction.shape == (2, 300) and mask is None
    trainer.add_callback(plot)
    trainer.evaluate()
    assert (tmp_path / "reconstruction-0.png").stat().st_size > 5000
