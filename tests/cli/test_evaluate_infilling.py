# SPDX-License-Identifier: Apache-2.0
"""A masked VAE as users train, align and judge it."""

import json

import pytest
from transformers import AutoModel, AutoModelForPreTraining

import eeg_hf  # noqa: F401  (registers the Auto classes)
from tests.commands import fail_command, flags, run_command

TINY = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_decoder_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "latent_size": 8,
    "patch_size": 50,
}
TRAINING = {
    "per_device_train_batch_size": 16,
    "max_steps": 4,
    "logging_steps": 1,
    "eval_strategy": "no",
    "save_strategy": "steps",
    "save_steps": 2,
    "report_to": "none",
}


@pytest.fixture(scope="module")
def trained(prepared, tmp_path_factory):
    """Three steps of the recipe, one of them the last: the second one is a checkpoint."""
    folder = tmp_path_factory.mktemp("trained")
    options = {"data": prepared, "output_dir": folder, "config": json.dumps(TINY), **TRAINING}
    run_command("pretrain", "masked_vae_tiny", *flags(**options))
    return folder


def test_training_leaves_an_autoencoder_and_its_losses(trained):
    model = AutoModelForPreTraining.from_pretrained(trained)
    assert type(model).__name__ == "EEGMaskedVAEForPreTraining"
    assert type(AutoModel.from_pretrained(trained)).__name__ == "EEGMaskedVAEModel"
    assert model.num_steps.item() == 4
    log = json.loads((trained / "trainer_state.json").read_text())["log_history"]
    assert all({"reconstruction_loss", "visible_loss", "kl_loss"} <= set(row) for row in log if "loss" in row)


def test_resumed_ends_with_the_same_weights_and_warm_up(prepared, trained, tmp_path):
    options = {"data": prepared, "output_dir": tmp_path, "config": json.dumps(TINY), **TRAINING}
    options |= {"resume_from_checkpoint": trained / "checkpoint-2"}
    run_command("pretrain", "masked_vae_tiny", *flags(**options))
    assert (tmp_path / "model.safetensors").read_bytes() == (trained / "model.safetensors").read_bytes()


@pytest.mark.slow
def test_before_and_after_an_alignment_stand_beside_the_references(prepared, trained, tmp_path):
    aligned, out = tmp_path / "aligned", tmp_path / "out"
    options = {"data": prepared, "output_dir": aligned, **TRAINING, "model": trained}
    run_command("pretrain", "masked_vae_align", *flags(**options))
    assert AutoModelForPreTraining.from_pretrained(aligned).num_steps.item() == 8  # the warm-up is over once
    options = {"data": prepared, "output_dir": out, "max_windows": 24, "stretch_seconds": 0.5}
    options |= {"split": "fold", "num_folds": 2, "num_validation_subjects": 1}  # three subjects to test
    models = ["--models", f"before={trained}", f"after it={aligned}", "--mask_ratios", "0.25", "0.75"]
    line = fail_command("evaluate-infilling", *flags(**options), *models)
    assert "was trained on 2 of 3 test subjects" in line and "--contaminated mark" in line
    printed = run_command("evaluate-infilling", *flags(**options), *models, "--contaminated", "mark")
    assert printed == (out / "table.md").read_text()
    names = ["straight line", "best linear guess (Wiener)", "before", "after it"]
    assert [line.split(" | ")[0] for line in printed.splitlines()[2:6]] == [f"| {name}" for name in names]
    found = json.loads((out / "metrics.json").read_text())
    assert "contaminated: has seen 2 of 3" in found["provenance"]["contamination"][str(trained)]
    assert found["provenance"]["protocol"] == "cross-subject"
    assert list(found["hidden"]) == names and list(found["levels_db"]) == names[2:]
    check_differences(found, printed, names)
    assert found["samples"] == {} and "Drawn by" not in printed
    wiener, line = (found["hidden"][name]["25%"][0] for name in (names[1], names[0]))
    assert wiener["nrmse_std"] < line["nrmse_std"]
    assert len(wiener["by_channel"]) == 19 and len(wiener["by_subject"]) == found["provenance"]["people"]
    assert {picture.name for picture in out.glob("*.png")} == {
        f"{name}-{ratio}.png" for name in ("before", "after_it") for ratio in (25, 75)
    }


def check_differences(found, shown, names):
    """The differences are those between the scores of the subjects."""
    differences = found["differences"]
    assert differences.pop("reference") == names[1] and list(differences) == names[2:]
    lines = [line for line in shown.splitlines() if line.startswith(("| before", "| after it"))][2:4]
    for name, line in zip(names[2:], lines, strict=True):
        for metric, key in (("correlation", "by_subject"), ("nrmse_std", "nrmse_by_subject")):
            ours, theirs = (found["hidden"][method]["25%"][0][key] for method in (name, names[1]))
            gains = [ours[subject] - theirs[subject] for subject in ours]
            one = differences[name]["25%"][metric]
            low, high = one["interval"]
            assert low <= one["mean"] <= high and one["mean"] == pytest.approx(sum(gains) / len(gains))
            better = sum(gain < 0 if metric == "nrmse_std" else gain > 0 for gain in gains)
            text = f"{one['mean']:.3f} [{low:.3f}, {high:.3f}], better in {better} of {len(gains)}"
            assert text in line


def test_what_a_model_draws_stands_beside_the_test_windows(prepared, trained, tmp_path):
    options = {"data": prepared, "output_dir": tmp_path, "samples": "true", "mask_ratios": 0.5}
    printed = run_command("evaluate-infilling", *flags(**options), "--models", f"VAE={trained}")
    found = json.loads((tmp_path / "metrics.json").read_text())["samples"]
    test, prior, fitted = found.values()
    assert list(found) == [
        "the test windows",
        "VAE, from the prior",
        "VAE, from latents fitted to training windows",
    ]
    assert test[0]["amplitude"] == test[0]["beta"] == 0.0
    # four steps of training: the latents are hardly those of the prior, but windows that exist have made them
    assert fitted[0]["amplitude"] < prior[0]["amplitude"]
    assert f"{prior[0]['amplitude']:.2f}" in printed.split("Drawn by")[1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"models": "x=/nowhere/*"}, "nothing matches"),
        ({"split": "none"}, "has no part 'test'"),
        ({"stretch_seconds": 9}, "stretches shorter than a window"),
        ({"mask_ratios": 1.5}, "mask_ratios between 0 and 1"),
    ],
)
def test_what_cannot_be_compared_is_refused(prepared, tmp_path, options, message):
    line = fail_command("evaluate-infilling", *flags(data=prepared, output_dir=tmp_path, **options))
    assert message in line


def test_an_architecture_that_is_none_is_refused(prepared, tmp_path):
    options = {"data": prepared, "output_dir": tmp_path, "architecture": "vit"}
    line = fail_command("pretrain", "masked_vae_tiny", *flags(**options))
    assert "architecture: expected one of eeg_foundation, eeg_masked_vae, got 'vit'" in line
