# SPDX-License-Identifier: Apache-2.0
"""The main job, whole, where neither recordings nor a network are there."""

import json

import pytest
from transformers import AutoModel, AutoModelForSequenceClassification

import eeg_hf  # noqa: F401  (registers the Auto classes)


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory, run_script, script_environment):
    folder = tmp_path_factory.mktemp("quickstart")
    nowhere = {
        "EEG_HF_DATA": str(folder / "nothing"),
        "EEG_HF_CACHE": str(folder / "cache"),
        "https_proxy": "http://127.0.0.1:9",  # nobody listens: as without a network
    }
    arguments = ("--output_dir", folder / "run", "--pretrain_epochs", "1", "--finetune_epochs", "1")
    return folder / "run", run_script(
        "quickstart.py", *arguments, environment={**script_environment, **nowhere}
    )


def test_it_goes_all_the_way_and_says_that_the_eeg_is_simulated(quickstart):
    folder, done = quickstart
    assert "SIMULATED EEG" in done.stderr
    assert AutoModel.from_pretrained(folder / "pretrained").config.hidden_size == 128
    assert AutoModelForSequenceClassification.from_pretrained(folder / "classifier").config.num_labels == 2
    for name in (
        "report.md",
        "results.png",
        "classifier/confusion_matrix.png",
        "classifier/training_curves.png",
    ):
        assert (folder / name).stat().st_size > 500
    methods = {row["method"] for row in json.loads((folder / "metrics.json").read_text())["results"]}
    assert len(methods) == 5 and any("pretrained" in method for method in methods)
    assert "| tangent space + logistic regression |" in done.stdout


def test_every_command_is_shown(quickstart):
    _, done = quickstart
    commands = [line for line in done.stdout.splitlines() if line.startswith("$ python")]
    assert len(commands) == 6  # prepare, pretrain, three fine-tunings, evaluate
