# SPDX-License-Identifier: Apache-2.0
"""The score of the EEG2025 challenge, from written releases of HBN to the table."""

import json

import numpy as np
import pytest
import torch

from eeg_hf import EEGFeatureExtractor, EEGFoundationConfig, EEGFoundationForSequenceClassification
from eeg_hf.corpora import load_windows, prepare
from eeg_hf.corpora.hbn import HBN
from eeg_hf.evaluation import challenge_score
from tests.commands import fail_command, flags, run_command
from tests.corpora.written_trees import TRIALS_TASK, write_hbn

TINY = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
TINY |= {"patch_size": 50, "scale_factors": (1, 2), "sampling_rate": 100.0, "num_channels": 129}
TASKS = (f"{TRIALS_TASK}_run-1", "ThePresent")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Return the data of both challenges: four children of R1, three of R5."""
    folder = tmp_path_factory.mktemp("hbn")
    write_hbn(folder / "tree", 4, 20.0, release="R1_L100_bdf", tasks=TASKS)
    write_hbn(folder / "tree", 3, 20.0, release="R5_L100_bdf", tasks=TASKS, first=10)
    extractor = EEGFeatureExtractor(100.0, None, None, reference="original", window_seconds=2.0)
    ccd = {"keep": {"task": [TRIALS_TASK]}, "segments": "events", "tmin": 0.5}
    prepare(HBN(), folder / "c1", extractor, root=folder / "tree", **ccd)
    prepare(HBN(), folder / "c2", extractor, root=folder / "tree", stride_seconds=4.0)
    return folder


@pytest.fixture(scope="module")
def arguments(prepared, tmp_path_factory):
    """Return the options that score two models: one untrained, one that always predicts 0.25."""
    folder = tmp_path_factory.mktemp("models")
    for name, data in (("c1", "c1"), ("c2", "c2")):
        torch.manual_seed(0)
        model = EEGFoundationForSequenceClassification(EEGFoundationConfig(**TINY, num_labels=1))
        if name == "c2":
            model.classifier.out.weight.data.zero_()
            model.classifier.out.bias.data.fill_(0.25)
        model.save_pretrained(folder / name)
        EEGFeatureExtractor.from_pretrained(prepared / data).save_pretrained(folder / name)
    models = {"challenge1": folder / "c1", "challenge2": folder / "c2"}
    options = {**models, "data1": prepared / "c1", "data2": prepared / "c2"}
    return flags(**options)


def test_scores_stand_beside_the_baselines_and_the_published_row(prepared, arguments, tmp_path):
    printed = run_command("evaluate-eeg2025", *arguments, "--output_dir", tmp_path)
    written = json.loads((tmp_path / "metrics.json").read_text())
    rows = {row["method"]: row for row in written["results"]}
    assert list(rows) == ["fine-tuned model", "the training targets' mean", "band power + ridge regression"]
    for row in rows.values():
        scores = row["challenge_1"]["nrmse_std"], row["challenge_2"]["nrmse_std"]
        assert row["overall"] == pytest.approx(challenge_score(*scores))
        assert row["challenge_1"]["num_subjects"] == row["challenge_2"]["num_subjects"] == 3

    windows = load_windows(prepared / "c2").to_pandas()
    tested = windows[(windows["release"] == "R5") & (windows["task"] == TRIALS_TASK)]
    traits = tested["externalizing"].to_numpy()
    expected = np.sqrt(np.mean((traits - 0.25) ** 2)) / traits.std()
    second = rows["fine-tuned model"]["challenge_2"]
    assert second["nrmse_std"] == pytest.approx(expected) and second["num_samples"] == len(tested)
    subjects = tested.groupby("subject")["externalizing"].first().to_numpy()
    expected = np.sqrt(np.mean((subjects - 0.25) ** 2)) / subjects.std()
    assert second["nrmse_std_by_subject"] == pytest.approx(expected)

    fitted = windows[windows["release"] == "R1"]["externalizing"].mean()
    expected = np.sqrt(np.mean((traits - fitted) ** 2)) / traits.std()
    found = rows["the training targets' mean"]["challenge_2"]["nrmse_std"]
    assert found == pytest.approx(expected) and found >= 1

    assert written["published"]["overall"] == 0.98008
    assert "| fine-tuned model |" in printed and "0.9801 |" in printed
    assert (tmp_path / "table.md").read_text() in printed


def test_the_target_and_the_tasks_of_challenge_2_are_a_choice(prepared, arguments, tmp_path):
    options = ("--target2", "p_factor", "--task2", "all", "--fitted_windows", "0")
    run_command("evaluate-eeg2025", *arguments, "--output_dir", tmp_path, *options)
    written = json.loads((tmp_path / "metrics.json").read_text())
    windows = load_windows(prepared / "c2").to_pandas()
    known = windows[(windows["release"] == "R5") & windows["p_factor"].notna()]
    assert written["results"][0]["challenge_2"]["num_samples"] == len(known)
    assert written["provenance"]["targets"] == ["response_time", "p_factor"]
    assert set(written["provenance"]["tasks"]) == {TRIALS_TASK, "ThePresent"}
    assert len(written["results"]) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--part", "test"), "part: expected one to test beside 'train', got 'test'"),
        (("--part", "train"), "part: expected one to test beside 'train', got 'train'"),
        (("--task2", "symbolSearch"), "task: expected one of the validation part"),
        (("--target2", "mood"), "label_column 'mood' is not in the dataset"),
        (("--challenge2", "nowhere"), "nowhere: expected a fine-tuned model, it has no config.json"),
        (("--challenge1", "{classifier}"), "expected a regression (num_labels=1), got num_labels=2"),
    ],
)
def test_what_cannot_be_scored_ends_with_one_line(arguments, tmp_path, options, message):
    classifier = tmp_path / "classifier"
    EEGFoundationForSequenceClassification(EEGFoundationConfig(**TINY)).save_pretrained(classifier)
    words = [word.format(classifier=classifier) for word in options]
    line = fail_command("evaluate-eeg2025", *arguments, "--output_dir", tmp_path / "out", *words)
    assert message in line
