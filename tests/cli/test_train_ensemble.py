# SPDX-License-Identifier: Apache-2.0
"""An ensemble on a written tree of HMS: from Parquet to the votes of a submission."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from pyarrow import csv
from scipy.stats import entropy
from transformers import AutoModelForSequenceClassification

from eeg_hf import EEGDataCollator, EEGFeatureExtractor, HMSEnsembleModel, load_windows
from eeg_hf.corpora import prepare
from eeg_hf.corpora.hms import HMS, VOTES
from eeg_hf.experiments.votes.windows import EnsembleCollator, vote_windows
from tests.commands import fail_command, flags, run_command
from tests.hms_tree import write_tree

SMALL = {
    "foundation": {
        **{"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64},
        "overlap": 0.0,
    },
    "efficientnet": {"architecture": "test_efficientnet"},
}


def write_windows(folder, **size):
    """Return the tree, and the windows that experts voted on, of train and test."""
    root = folder / "hms"
    write_tree(root, **size)
    extractor = EEGFeatureExtractor(sampling_rate=100.0, window_seconds=10.0)
    for part in ("train", "test"):
        prepare(HMS(part), folder / part, extractor, root=root, segments="events", tmin=20.0)
    return root, folder / "train", folder / "test"


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    return write_windows(tmp_path_factory.mktemp("few"), patients=4, recordings=1)


@pytest.mark.slow
def test_an_ensemble_is_nearer_to_the_votes_than_its_members(tmp_path):
    root, train, test = write_windows(tmp_path, patients=16)
    out = tmp_path / "out"
    options = {
        **{"recordings": root, "test": test, "folds": 2, "output_dir": out, "report_to": "none"},
        **{"num_train_epochs": 12, "per_device_train_batch_size": 16, "learning_rate": 5e-3},
    }
    # Members of the recipe that are not named here would be trained too
    recipe = tmp_path / "small.yaml"
    recipe.write_text(json.dumps({"command": "train-ensemble", "data": str(train), "members": SMALL}))
    run_command("train-ensemble", recipe, *flags(**options))
    found = json.loads((out / "metrics.json").read_text())
    members = [found["kl"][name] for name in SMALL]
    assert found["kl"]["ensemble"] < min(members) < max(members) < found["kl"]["mean of the training votes"]

    # The divergence, computed by scipy from the written votes
    written = csv.read_csv(out / "out_of_fold.csv").to_pydict()
    rows = load_windows(train)
    order = {str(name): row for row, name in enumerate(rows["label_id"][:])}
    assert sorted(map(str, written["label_id"])) == sorted(order)
    shares = np.stack([np.array(rows[name][:]) for name in VOTES], axis=1)
    said = np.stack([written[name] for name in VOTES], axis=1)
    kl = entropy(shares[[order[str(name)] for name in written["label_id"]]], said, axis=1)
    assert kl.mean() == pytest.approx(found["kl"]["ensemble"], abs=1e-6)  # folds are of one size

    # One model, which answers as the submission says
    submission = csv.read_csv(out / "submission.csv")
    assert submission.column_names == ["eeg_id", *VOTES] and submission["eeg_id"].to_pylist() == [77]
    answers = []
    for fold in (0, 1):
        ensemble = AutoModelForSequenceClassification.from_pretrained(out / f"fold-{fold}").eval()
        assert isinstance(ensemble, HMSEnsembleModel) and set(ensemble.base_models) == set(SMALL)
        collator = EnsembleCollator(
            EEGDataCollator(EEGFeatureExtractor.from_pretrained(out / f"fold-{fold}")), str(root), "test"
        )
        batch = collator(vote_windows(load_windows(test)).__getitems__([0]))
        batch.pop("labels")
        with torch.no_grad():
            answers.append(ensemble(**batch).logits.exp()[0].numpy())
    expected = np.mean(answers, axis=0)
    assert [submission[name][0].as_py() for name in VOTES] == pytest.approx(expected.tolist(), abs=1e-5)


def test_spectrograms_are_those_of_the_files_or_made_of_the_windows(few):
    root, train, _ = few
    rows = load_windows(train)
    table = vote_windows(rows).__getitems__([0, 1])
    collator = EEGDataCollator(EEGFeatureExtractor.from_pretrained(train))
    read = EnsembleCollator(collator, str(root))(table)
    assert read["pixel_values"].shape == (2, 4, 100, 300)
    torch.testing.assert_close(read["labels"].sum(dim=1), torch.ones(2))
    spectrogram = pq.read_table(root / f"train_spectrograms/{rows[0]['spectrogram_id']}.parquet")
    log_power = np.log(np.clip(spectrogram["RL_2.15"].to_numpy(), 1e-4, 1e8))
    shown = read["pixel_values"][0, 1, 8].numpy()  # the second chain; the ninth frequency
    assert np.corrcoef(log_power, shown)[0, 1] > 0.999
    made = EnsembleCollator(collator, None, reads=("spectrogram",))(table)
    assert made["pixel_values"].shape == (2, 4, 100, 3) and set(made) == {"pixel_values", "labels"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"members": '{"resnet": {}}'}, "got 'resnet', did you mean 'resnet1d_gru'?"),
        ({"members": '{"foundation": {"hidden": 3}}'}, "has no field 'hidden'"),
        ({"folds": 9}, "9 folds need 2 or more, and as many subjects; the dataset has 4"),
        ({"folds": 1}, "--folds 1: expected 2 or more"),
        ({"least_votes": 50, "folds": 2}, "no window has 50 votes or more, the most is"),
        ({"recordings": "nowhere", "folds": 2}, "no spectrogram"),
    ],
)
def test_what_cannot_be_trained_is_one_line(few, tmp_path, options, message):
    settings = {"data": few[1], "output_dir": tmp_path, "report_to": "none", **options}
    assert message in fail_command("train-ensemble", "ensemble_hms", *flags(**settings))
    assert not list(tmp_path.rglob("*.safetensors"))


def test_windows_without_votes_are_refused(few, prepared, tmp_path):
    line = fail_command("train-ensemble", "ensemble_hms", *flags(data=prepared, output_dir=tmp_path))
    assert "has no column seizure_vote: expected windows of `eeg-hf prepare prepare_hms`" in line
    line = fail_command("train-ensemble", "ensemble_hms", *flags(data=few[2], output_dir=tmp_path))
    assert "no window has a vote: its test part is for --test" in line
