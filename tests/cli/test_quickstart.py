# SPDX-License-Identifier: Apache-2.0
"""The quickstart, whole, without recordings and network."""

import json
import logging
import shlex

import pytest
from transformers import AutoModel, AutoModelForSequenceClassification

from eeg_hf.cli.steps import run_once
from tests.commands import run_command


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory):
    """Return the folder, what was printed, and what was logged."""
    folder, logged = tmp_path_factory.mktemp("quickstart"), []
    handler = logging.Handler()
    handler.emit = lambda record: logged.append(record.getMessage())
    logger = logging.getLogger("eeg_hf")
    logger.addHandler(handler)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EEG_HF_DATA", str(folder / "nothing"))
        patch.setenv("EEG_HF_CACHE", str(folder / "cache"))
        patch.setenv("https_proxy", "http://127.0.0.1:9")  # where nothing listens: as without a network
        options = ["--output_dir", folder / "run", "--pretrain_epochs", 0.2, "--finetune_epochs", 1]
        options += ["--num_subjects", 6]
        printed = run_command("quickstart", *options)
    logger.removeHandler(handler)
    return folder / "run", printed, "\n".join(logged)


@pytest.mark.slow
def test_it_goes_all_the_way_and_says_that_the_eeg_is_simulated(quickstart):
    folder, printed, logged = quickstart
    assert "SIMULATED EEG" in logged and "load with the Auto classes" in logged
    assert AutoModel.from_pretrained(folder / "pretrained").config.hidden_size == 128
    assert AutoModelForSequenceClassification.from_pretrained(folder / "classifier").config.num_labels == 2
    for name in ("report.md", "results.png", "classifier/confusion_matrix.png"):
        assert (folder / name).stat().st_size > 500
    rows = json.loads((folder / "metrics.json").read_text())["results"]
    found = {row["method"]: row["regime"] for row in rows}
    assert len(found) == 9 and found["EEGFoundation tiny, pretrained"] == "unseen"
    assert found["EEGFoundation tiny, pretrained, aligned"] == "aligned"
    assert "| tangent space + logistic regression |" in printed
    assert sum(row["method"].startswith("ceiling: best decoder") for row in rows) == 2


@pytest.mark.slow
def test_every_command_is_shown_and_a_finished_training_is_kept(quickstart, capsys):
    folder, printed, _ = quickstart
    commands = [shlex.split(line)[2:] for line in printed.splitlines() if line.startswith("$ eeg-hf ")]
    assert [verb for verb, *_ in commands] == ["prepare", "pretrain", *["finetune"] * 5, "evaluate"]
    run_once(folder / "pretrained", *commands[1][:-2])  # the rest is --output_dir
    assert "is finished; delete it to run it again" in capsys.readouterr().out
