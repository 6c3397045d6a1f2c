# SPDX-License-Identifier: Apache-2.0
"""Opening and splitting what was prepared."""

import numpy as np
import pytest

from eeg_hf.corpora import (
    drop_unlabelled,
    load_alignments,
    load_windows,
    split_for_pretraining,
    split_windows,
)


def test_alignment_whitens_every_person(prepared):
    from eeg_hf.data_collator import WindowDataset, decode_windows

    windows = load_windows(prepared)
    matrices = load_alignments(prepared)
    assert len(matrices) == len(set(windows["alignment_group"]))
    group = next(iter(matrices))
    rows = [row for row, name in enumerate(windows["alignment_group"]) if name == group]
    values = decode_windows(WindowDataset(windows).__getitems__(rows))[0].astype(float)
    whitened = matrices[group] @ (values - values.mean(axis=-1, keepdims=True))
    covariance = np.einsum("nct,ndt->cd", whitened, whitened) / (len(rows) * values.shape[2])
    eigenvalues = np.linalg.eigvalsh(covariance)
    assert np.all((np.abs(eigenvalues - 1) < 0.02) | (np.abs(eigenvalues) < 1e-6))  # 1, or the lost rank
    assert (np.abs(eigenvalues - 1) < 0.02).sum() >= 16


@pytest.mark.parametrize("method", ["official", "subject", "fold"])
def test_splits_keep_people_apart(prepared, method):
    splits = split_windows(load_windows(prepared), method, num_folds=3, num_validation_subjects=1)
    people = [set(part["subject"]) for part in splits.values()]
    assert set(splits) == {"train", "validation", "test"}
    assert sum(map(len, people)) == len(set.union(*people)) == 6


def test_what_cannot_be_split_is_trained_on(prepared):
    (splits,) = split_for_pretraining([prepared], "fold", num_folds=10)
    assert set(splits) == {"train"}
    with pytest.raises(ValueError, match="split: expected one of"):
        split_for_pretraining([prepared], "sideways")


def test_rows_without_a_label_are_left_out(prepared):
    windows = load_windows(prepared)
    labels = [None if row < 3 else label for row, label in enumerate(windows["condition"])]
    some = windows.remove_columns("condition").add_column("condition", labels)
    assert len(drop_unlabelled(some, "condition")) == len(windows) - 3
    with pytest.raises(ValueError, match="none of the"):
        drop_unlabelled(
            windows.remove_columns("condition").add_column("condition", [None] * len(windows)), "condition"
        )


def test_an_empty_or_unfinished_folder_is_refused(prepared, tmp_path):
    with pytest.raises(FileNotFoundError, match="no prepared windows"):
        load_windows(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "part.parquet").touch()
    with pytest.raises(FileNotFoundError, match="unfinished"):
        load_windows(tmp_path)
