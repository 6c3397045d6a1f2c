# SPDX-License-Identifier: Apache-2.0
"""Training on the votes of experts."""

import numpy as np
import pytest
import torch

from eeg_hf import EEGDataCollator, EEGFeatureExtractor, WindowDataset, load_windows
from eeg_hf.training.votes import VoteCollator, train_by_votes


@pytest.fixture(scope="module")
def judged(prepared):
    rows = load_windows(prepared).select(range(12))
    votes = np.array([[1.0, 3.0], [0.0, 0.0], [6.0, 6.0]] * 4)
    for name, column in zip(("seizure_vote", "other_vote"), votes.T, strict=True):
        rows = rows.add_column(name, column)
    return rows.add_column("num_votes", votes.sum(axis=1))


def test_labels_are_shares_of_votes_and_missing_where_nobody_voted(judged):
    collator = EEGDataCollator(EEGFeatureExtractor(window_seconds=2.0))
    votes = VoteCollator(collator, ["seizure_vote", "other_vote"])
    batch = votes(WindowDataset(judged, ["seizure_vote", "other_vote"]).__getitems__([0, 1, 2]))
    assert batch["labels"][0].tolist() == [0.25, 0.75] and batch["labels"][2].tolist() == [0.5, 0.5]
    assert batch["labels"][1].isnan().all() and batch["input_values"].shape[0] == 3
    assert batch["labels"].dtype == torch.float32
    with pytest.raises(ValueError, match="expected no label column besides the votes, got condition"):
        VoteCollator(EEGDataCollator(collator.feature_extractor, "condition", {}), ["other_vote"])


def test_windows_that_many_judged_are_trained_on_last(judged):
    stages = []
    sizes = train_by_votes(lambda rows, stage: stages.append((stage, min(rows["num_votes"][:]))), judged)
    assert sizes == [8, 4] and stages == [(0, 4.0), (1, 12.0)]
    for wrong, message in (((10, 1), "expected rising numbers"), ((1, 20), "no window has 20 votes or more")):
        with pytest.raises(ValueError, match=message):
            train_by_votes(lambda *_: None, judged, least_votes=wrong)
