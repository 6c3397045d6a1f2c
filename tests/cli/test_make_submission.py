# SPDX-License-Identifier: Apache-2.0
"""The zip for the EEG2025 challenge: runs without eeg_hf, and predicts what the library predicts."""

import json
import subprocess
import sys
import zipfile

import pytest
import torch

from eeg_hf import EEGFeatureExtractor, EEGFoundationConfig, EEGFoundationForSequenceClassification
from eeg_hf.processing.electrode_positions import electrode_positions
from tests.commands import fail_command, run_command

NAMES = [*(f"GSN-HydroCel-129/E{number}" for number in range(1, 129)), "Cz"]
TINY = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
TINY |= {"patch_size": 50, "scale_factors": (1, 2), "sampling_rate": 100.0, "num_labels": 1}

PREDICT = """
import sys
import torch
for name in ("eeg_hf", "mne", "datasets", "sklearn"):
    sys.modules[name] = None
sys.path.insert(0, sys.argv[1])
from submission import Submission
submission, windows = Submission(100, torch.device("cpu")), torch.load(sys.argv[2])
models = submission.get_model_challenge_1(), submission.get_model_challenge_2()
assert not any(module.training for model in models for module in model.modules())
with torch.inference_mode():
    torch.save([model.forward(windows) for model in models], sys.argv[2])
"""


def save_regressor(folder, seed=0, names=NAMES, normalization="robust", extractor=None, **fields):
    torch.manual_seed(seed)
    positions = electrode_positions(names).tolist()
    settings = {**TINY, "channel_names": list(names), "num_channels": len(names), **fields}
    config = EEGFoundationConfig(channel_positions=positions, **settings)
    model = EEGFoundationForSequenceClassification(config).eval()
    model.save_pretrained(folder)
    settings = {"sampling_rate": 100.0, "reference": "original", "window_seconds": 2.0, **(extractor or {})}
    EEGFeatureExtractor(normalization=normalization, **settings).save_pretrained(folder)
    return folder


def library_predictions(folder, windows, names=NAMES):
    model = EEGFoundationForSequenceClassification.from_pretrained(folder)
    extractor = EEGFeatureExtractor.from_pretrained(folder)
    options = {"sampling_rate": 100, "channel_names": NAMES, "unit": "V", "is_preprocessed": True}
    batch = extractor(windows, **options)
    rows = [NAMES.index(name) for name in names]
    inputs = {key: batch[key][:, rows] for key in ("input_values", "channel_positions", "channel_mask")}
    with torch.inference_mode():
        return model(**inputs).logits


@pytest.fixture(scope="module")
def regressors(tmp_path_factory):
    """Challenge 1 with all channels; challenge 2 with some in another order, normalised otherwise."""
    folder = tmp_path_factory.mktemp("regressors")
    few = [NAMES[row] for row in (128, 5, 90, 17)]
    options = {"normalization": "zscore", "extractor": {"clip": 2.0}}
    return [save_regressor(folder / "c1"), save_regressor(folder / "c2", 1, few, **options)], few


@pytest.fixture(scope="module")
def submission(regressors, tmp_path_factory):
    folder = tmp_path_factory.mktemp("submission") / "packed"
    paths, _ = regressors
    printed = run_command(
        *("make-submission", "--challenge1", paths[0], "--challenge2", paths[1], "--output_dir", folder)
    )
    return folder, printed


def test_the_zip_is_flat_and_says_its_size_and_speed(submission):
    folder, printed = submission
    names = set(zipfile.ZipFile(folder / "submission.zip").namelist())
    assert not any("/" in name for name in names)
    expected = {f"challenge_{n}.{end}" for n in (1, 2) for end in ("json", "safetensors")}
    assert expected | {"submission.py", "normalization.py", "modeling_eeg_foundation.py"} <= names
    assert {path.name for path in folder.iterdir()} == names | {"submission.zip"}
    assert "MB" in printed and printed.count("ms per window on") == 2 and "memory: " in printed


def test_it_predicts_as_the_library_does_where_the_library_is_not(
    regressors, submission, tmp_path, environment
):
    paths, few = regressors
    windows = 2e-5 * torch.randn(6, 129, 200, generator=torch.Generator().manual_seed(0))
    windows[:, 128] = 0.0  # Cz, the reference
    windows[1, 5:30] = 3e-6  # dead, but not at zero
    windows[2, 90, 7] = float("nan")
    windows[3] *= torch.logspace(-1, 1, 129)[:, None]
    nothing = torch.zeros(1, 129, 200)  # which the library refuses, but the challenge needs a number for
    torch.save(torch.cat([windows, nothing]), tmp_path / "windows.pt")
    unpacked = tmp_path / "res"
    zipfile.ZipFile(submission[0] / "submission.zip").extractall(unpacked)
    command = [sys.executable, "-c", PREDICT, str(unpacked), str(tmp_path / "windows.pt")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    found = torch.load(tmp_path / "windows.pt")
    expected = [library_predictions(paths[0], windows), library_predictions(paths[1], windows, few)]
    for answers, theirs in zip(found, expected, strict=True):
        assert answers.shape == (7, 1) and answers.std() > 1e-4 and answers.isfinite().all()
        torch.testing.assert_close(answers[:6], theirs, atol=1e-5, rtol=1e-5)


def test_the_settings_are_kept_beside_the_weights(submission):
    saved = json.loads((submission[0] / "challenge_2.json").read_text())
    assert saved["class"] == "EEGFoundationForSequenceClassification"
    assert saved["input"]["rows"] == [128, 5, 90, 17] and saved["input"]["to_microvolt"] == 1e6
    assert (saved["input"]["normalization"], saved["input"]["clip"]) == ("zscore", 2.0)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"num_labels": 2}, "expected a regression (num_labels=1), got num_labels=2"),
        ({"tasks": {"age": 1}}, "expected a regression (num_labels=1), got {'age': 1}"),
        ({"sampling_rate": 200.0}, "expected a model of 100 Hz, got 200 Hz"),
        ({"extractor": {"sampling_rate": 250.0}}, "expected a model of 100 Hz, got 250 Hz"),
        ({"names": ["C3", "Cz"]}, "expected channels of the 129 of GSN-HydroCel-129 (E1 to E128, Cz)"),
        ({"max_seq_length": 100}, "expected 200 samples or more, got max_seq_length=100"),
        ({"extractor": {"alignment": "euclidean"}}, "expected alignment='none', got 'euclidean'"),
    ],
)
def test_a_model_that_cannot_take_part_is_refused(regressors, tmp_path, fields, message):
    other = save_regressor(tmp_path / "other", **fields)
    line = fail_command(
        *("make-submission", "--challenge1", regressors[0][0], "--challenge2", other),
        *("--output_dir", tmp_path / "out"),
    )
    assert message in line and str(other) in line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--unit", "mV"), "unit: expected one of V, uV, got 'mV'"),
        (("--output_dir", "{regressor}"), "expected a new or empty folder"),
        (("--challenge2", "{regressor}/nowhere"), "nowhere: expected the folder of a fine-tuned model"),
    ],
)
def test_a_call_that_cannot_work_ends_with_one_line(regressors, tmp_path, options, message):
    path = regressors[0][0]
    words = [word.format(regressor=path) for word in options]
    line = fail_command(
        *("make-submission", "--challenge1", path, "--challenge2", path),
        *("--output_dir", tmp_path / "out", *words),
    )
    assert message in line
