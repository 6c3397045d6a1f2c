# SPDX-License-Identifier: Apache-2.0
from eeg_hf.corpora import load_windows
from eeg_hf.experiments.split_arguments import SplitArguments


def test_the_options_of_a_split_mean_what_split_windows_means(prepared):
    windows = load_windows(prepared)
    arguments = SplitArguments(split="fold", num_folds=3, fold=1, num_validation_subjects=1)
    (one,) = arguments.apply(windows)
    three = arguments.apply(windows, folds=3)
    assert set(one["test"]["subject"]) == set(three[1]["test"]["subject"])
    assert len(set().union(*(split["test"]["subject"] for split in three))) == 6
