# SPDX-License-Identifier: Apache-2.0
"""Opening and splitting what was prepared."""

import numpy as np
import pytest

from eeg_hf.corpora import (
    LeakError,
    Simulated,
    drop_unlabelled,
    load_alignments,
    load_windows,
    split_for_pretraining,
    split_windows,
)
from eeg_hf.corpora.windows.leaks import check_across


def test_alignment_whitens_every_person(prepared):
    from eeg_hf.collation import WindowDataset, decode_windows

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


@pytest.mark.parametrize("method", ["session", "column:alpha_hz", "column:recording"])
def test_any_column_may_be_kept_together(prepared, method):
    splits = split_windows(load_windows(prepared), method)
    column = method.removeprefix("column:")
    keys = [set(zip(part["subject"], part[column], strict=True)) for part in splits.values()]
    assert set(splits) == {"train", "validation", "test"}
    assert sum(map(len, keys)) == len(set.union(*keys))


def test_folds_may_keep_another_column_together(prepared):
    splits = split_windows(
        load_windows(prepared), "fold", num_folds=3, num_validation_subjects=1, column="recording"
    )
    recordings = [set(part["recording"]) for part in splits.values()]
    assert [len(found) for found in recordings] == [7, 1, 4]


def test_an_official_split_by_a_column_is_found_with_its_corpus(prepared, monkeypatch):
    windows = load_windows(prepared)
    marked = windows.add_column("part", ["test" if s == "05" else "train" for s in windows["subject"]])
    monkeypatch.setattr(Simulated, "official_split", None)
    monkeypatch.setattr(Simulated, "official_split_column", "part", raising=False)
    splits = split_windows(marked, "official")
    assert {part: len(set(rows["subject"])) for part, rows in splits.items()} == {
        "train": 4,
        "validation": 1,
        "test": 1,
    }
    with pytest.raises(ValueError, match="needs a column 'part'"):
        split_windows(windows, "official")


def test_a_column_with_gaps_is_refused_with_their_number(prepared):
    windows = load_windows(prepared)
    gaps = windows.add_column("release", [None] * 5 + ["R1"] * (len(windows) - 5))
    with pytest.raises(ValueError, match="5 of 120 rows have no release"):
        split_windows(gaps, "column:release")


def test_two_corpora_may_not_test_what_the_other_trains_on(prepared):
    windows = load_windows(prepared)
    first, second = (split_windows(windows, "subject", seed=seed) for seed in (0, 1))
    check_across([first, first])
    with pytest.raises(LeakError, match="share .* windows"):
        check_across([first, second])


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


@pytest.mark.parametrize("name", ["runz", "runs/data/ours", "/nowhere/ours"])
def test_a_folder_that_is_not_there_is_not_looked_for_on_the_hub(name):
    with pytest.raises(FileNotFoundError, match=f"{name} is neither a folder nor a Hub name"):
        load_windows(name)
