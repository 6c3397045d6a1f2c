# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from datasets import Dataset, DatasetDict, concatenate_datasets
from sklearn.model_selection import GroupKFold

from eeg_hf.corpora import LeakError, check_disjoint, official_split, split_by_subject, subject_folds


def windows(counts: dict[str, int], corpus: str = "eegmat") -> Dataset:
    """A table of as many windows of each subject, half of each of two recordings."""
    rows = [(subject, i % 2, i) for subject, number in counts.items() for i in range(number)]
    return Dataset.from_dict(
        {
            "corpus": [corpus] * len(rows),
            "subject": [subject for subject, _, _ in rows],
            "recording": [f"{subject}_{run}.edf" for subject, run, _ in rows],
            "signal_hash": [f"{corpus}{subject}{i}" for subject, _, i in rows],
            "row": list(range(len(rows))),
        }
    )


@pytest.fixture
def uneven() -> Dataset:
    random = np.random.default_rng(0)
    dataset = windows({f"{i:02d}": int(random.integers(5, 60)) for i in range(17)})
    return dataset.shuffle(seed=1)  # with an indices mapping, as users' datasets have


def subjects(splits: DatasetDict) -> dict[str, set[str]]:
    return {part: set(dataset["subject"]) for part, dataset in splits.items()}


def test_the_official_split_takes_its_subjects_and_keeps_the_order_of_rows(uneven):
    splits = official_split(uneven, {"train": ["00", "03"], "test": ["16", "99"]})
    assert subjects(splits) == {"train": {"00", "03"}, "test": {"16"}}
    position = {row: i for i, row in enumerate(uneven["row"])}
    for dataset in splits.values():
        assert np.all(np.diff([position[row] for row in dataset["row"]]) > 0)


def test_an_official_split_that_does_not_fit_is_refused(uneven):
    with pytest.raises(LeakError, match="'train' and 'test' share 1 subjects: 03"):
        official_split(uneven, {"train": ["00", "03"], "test": ["03"]})
    with pytest.raises(ValueError, match="no subject of part 'test' is in the dataset"):
        official_split(uneven, {"train": ["00"], "test": ["99"]})
    with pytest.raises(ValueError, match="no official split"):
        official_split(uneven, None)


@pytest.mark.parametrize(
    "fractions", [(0.8, 0.1, 0.1), (0.5, 0.0, 0.5), (0.34, 0.33, 0.33), (0.98, 0.01, 0.01)]
)
def test_a_split_by_subject_covers_everything_once(uneven, fractions):
    splits = split_by_subject(uneven, fractions, seed=3)
    assert list(splits) == [
        p for p, f in zip(("train", "validation", "test"), fractions, strict=True) if f > 0
    ]
    assert sorted(row for dataset in splits.values() for row in dataset["row"]) == list(range(len(uneven)))
    check_disjoint(splits)
    assert all(len(names) >= 1 for names in subjects(splits).values())


def test_a_split_by_subject_depends_on_the_seed_and_not_on_the_order_of_rows(uneven):
    again = split_by_subject(uneven.shuffle(seed=7), seed=5)
    assert subjects(again) == subjects(split_by_subject(uneven, seed=5))
    assert subjects(again) != subjects(split_by_subject(uneven, seed=6))


@pytest.mark.parametrize(
    ("fractions", "message"),
    [((0.8, 0.2), "three fractions"), ((0.8, 0.1, 0.2), "add up to 1"), ((1.2, -0.1, -0.1), "add up to 1")],
)
def test_fractions_that_are_no_shares_are_refused(uneven, fractions, message):
    with pytest.raises(ValueError, match=message):
        split_by_subject(uneven, fractions)


def test_too_few_subjects_are_refused():
    with pytest.raises(ValueError, match="3 parts need as many subjects or more, the dataset has 2"):
        split_by_subject(windows({"00": 3, "01": 3}))
    with pytest.raises(ValueError, match="5 folds need"):
        subject_folds(windows({"00": 3, "01": 3}))
    with pytest.raises(ValueError, match="4 validation subjects leave none to train on"):
        subject_folds(windows({f"{i}": 3 for i in range(5)}))


def test_test_parts_of_folds_are_those_of_group_k_fold(uneven):
    folds = subject_folds(uneven, 5, num_validation_subjects=3, seed=0)
    groups = np.array([int(subject) for subject in uneven["subject"]])
    rows = np.array(uneven["row"])
    for splits, (_, expected) in zip(folds, GroupKFold(5).split(groups, groups=groups), strict=True):
        assert splits["test"]["row"][:] == rows[expected].tolist()
        assert len(set(splits["validation"]["subject"])) == 3
        assert sum(len(dataset) for dataset in splits.values()) == len(uneven)
        check_disjoint(splits)


def test_the_seed_of_folds_moves_the_validation_subjects_only(uneven):
    first, second = subject_folds(uneven, seed=0), subject_folds(uneven, seed=1)
    assert [f["test"]["row"][:] for f in first] == [f["test"]["row"][:] for f in second]
    assert [subjects(f)["validation"] for f in first] != [subjects(f)["validation"] for f in second]
    assert "validation" not in subject_folds(uneven, num_validation_subjects=0)[0]


def test_subjects_of_two_corpora_with_one_number_are_two_people():
    mixed = concatenate_datasets([windows({"00": 4, "01": 4}), windows({"00": 4, "01": 4}, "other")])
    splits = split_by_subject(mixed, (0.5, 0.25, 0.25))
    check_disjoint(splits)
    assert sum(len({*zip(d["corpus"], d["subject"], strict=True)}) for d in splits.values()) == 4


def test_a_shared_subject_is_named():
    dataset = windows({"00": 4, "01": 4, "02": 4})
    leaky = DatasetDict(train=dataset.select(range(6)), test=dataset.select(range(6, 12)))
    with pytest.raises(LeakError, match="'train' and 'test' share 1 subjects: eegmat/01"):
        check_disjoint(leaky)


def test_a_shared_recording_is_named_even_under_two_subjects():
    train = windows({"00": 2})
    test = windows({"01": 2}).map(lambda row: {"recording": "00_0.edf"})
    with pytest.raises(LeakError, match="share 1 recordings: eegmat/00_0.edf"):
        check_disjoint({"train": train, "test": test})


def test_identical_samples_are_named_even_in_another_file():
    train, test = windows({"00": 8}), windows({"01": 8})
    copied = test.map(lambda row: {"signal_hash": f"eegmat00{row['row']}"})
    with pytest.raises(LeakError, match="share 8 windows with identical samples, hash: .* and 3 more"):
        check_disjoint({"train": train, "test": copied})


def test_rows_without_a_subject_are_refused():
    dataset = Dataset.from_dict({"subject": ["00", None, "01"]})
    with pytest.raises(ValueError, match="1 of 3 rows have no subject"):
        split_by_subject(dataset)
    with pytest.raises(ValueError, match="needs a column 'subject'"):
        subject_folds(Dataset.from_dict({"patient": ["00"]}))
