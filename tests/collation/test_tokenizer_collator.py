# SPDX-License-Identifier: Apache-2.0
"""Windows become whole patches with the rate they were sampled at, and are normalised before they are cut."""

import pytest
import torch
from datasets import Dataset
from tests.collation.test_data_collator import make_rows

from eeg_hf import EEGDataCollator, EEGFeatureExtractor, WindowDataset
from eeg_hf.collation import EEGTokenizerCollator, real_patches, sample_patches


def make_windows(shapes, rates=None):
    rows, _ = make_rows(shapes)
    for row, rate in zip(rows, rates or [200.0] * len(rows), strict=True):
        row["sampling_rate"] = rate
    return WindowDataset(Dataset.from_list(rows), ["sampling_rate"])


def collate(windows, patch_size):
    collator = EEGTokenizerCollator(EEGFeatureExtractor(), patch_size)
    return collator, collator(windows.__getitems__(list(range(len(windows)))))


def test_windows_are_cut_to_whole_patches_and_say_their_rate():
    windows = make_windows([(4, 300), (4, 300)], [160.0, 173.61])
    _, batch = collate(windows, 128)
    whole = EEGDataCollator(EEGFeatureExtractor())(windows.__getitems__([0, 1]))
    assert torch.equal(batch["input_values"], whole["input_values"][..., :256])
    assert batch["input_values"].is_contiguous() and batch["attention_mask"].shape == (2, 256)
    assert batch["sampling_rate"].tolist() == pytest.approx([160.0, 173.61])


def test_only_whole_patches_of_real_channels_are_real():
    _, batch = collate(make_windows([(2, 300), (1, 200)]), 100)
    expected = [[[True] * 3, [True] * 3], [[True, True, False], [False] * 3]]
    assert real_patches(batch, 100).tolist() == expected
    _, batch = collate(
        make_windows([(1, 300), (1, 250)]), 100
    )  # the last patch of the second is half padding
    assert real_patches(batch, 100).tolist() == [[[True] * 3], [[True, True, False]]]


def test_a_window_shorter_than_a_patch_is_refused():
    with pytest.raises(ValueError, match="patch of 256 samples or more, got one of 200"):
        collate(make_windows([(4, 300), (4, 200)]), 256)


def test_rows_without_a_rate_are_refused():
    rows, _ = make_rows([(4, 300)])
    with pytest.raises(ValueError, match=r"WindowDataset\(rows, \['sampling_rate'\]\)"):
        EEGTokenizerCollator(EEGFeatureExtractor(), 128)(rows)


def test_sampled_patches_are_those_of_the_windows():
    windows = make_windows([(3, 300), (2, 300), (3, 150)])
    collator, batch = collate(windows, 100)
    patches = sample_patches(windows, collator)
    assert patches.shape == (3 * 3 + 2 * 3 + 3 * 1, 100)
    expected = batch["input_values"].unflatten(-1, (-1, 100))[real_patches(batch, 100)]
    torch.testing.assert_close(patches.sum(0), expected.sum(0))
    assert (patches != 0).any(dim=1).all()


def test_a_sample_is_limited_and_follows_the_seed():
    windows = make_windows([(2, 300)] * 40)
    collator, _ = collate(windows, 100)
    first, again, other = (sample_patches(windows, collator, limit=50, seed=seed) for seed in (0, 0, 1))
    assert len(first) == 50 and torch.equal(first, again) and not torch.equal(first, other)


def test_no_window_is_refused():
    windows = make_windows([(2, 300)])
    collator, _ = collate(windows, 100)
    empty = WindowDataset(windows.dataset.with_format(None).select([]), ["sampling_rate"])
    with pytest.raises(ValueError, match="windows to train on, got none"):
        sample_patches(empty, collator)
