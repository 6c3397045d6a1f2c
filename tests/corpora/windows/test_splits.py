# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from datasets import Dataset, DatasetDict, concatenate_datasets
from sklearn.model_selection import GroupKFold

from eeg_hf.corpora import (
    LeakError,
    check_disjoint,
    cross_splits,
    folds,
    leave_out,
    official_split,
    split_by,
    take_validation,
)
from eeg_hf.corpora.windows.splits import split_as_marked


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
    splits = split_by(uneven, fractions=fractions, seed=3)
    assert list(splits) == [
        p for p, f in zip(("train", "validation", "test"), fractions, strict=True) if f > 0
    ]
    assert sorted(row for dataset in splits.values() for row in dataset["row"]) == list(range(len(uneven)))
    check_disjoint(splits)
    assert all(len(names) >= 1 for names in subjects(splits).values())


def test_a_split_by_subject_depends_on_the_seed_and_not_on_the_order_of_rows(uneven):
    again = split_by(uneven.shuffle(seed=7), seed=5)
    assert subjects(again) == subjects(split_by(uneven, seed=5))
    assert subjects(again) != subjects(split_by(uneven, seed=6))


@pytest.mark.parametrize(
    ("fractions", "message"),
    [((0.8, 0.2), "three fractions"), ((0.8, 0.1, 0.2), "add up to 1"), ((1.2, -0.1, -0.1), "add up to 1")],
)
def test_fractions_that_are_no_shares_are_refused(uneven, fractions, message):
    with pytest.raises(ValueError, match=message):
        split_by(uneven, fractions=fractions)


def test_too_few_subjects_are_refused():
    with pytest.raises(
        ValueError,
        match=r"3 parts need as many subjects or more, the dataset has 2.* fractions=\(0.8, 0, 0.2\) makes",
    ):
        split_by(windows({"00": 3, "01": 3}))
    with pytest.raises(ValueError, match="5 folds need"):
        folds(windows({"00": 3, "01": 3}))
    with pytest.raises(ValueError, match="4 validation subjects leave none to train on"):
        folds(windows({f"{i}": 3 for i in range(5)}), num_validation=4)


@pytest.mark.parametrize(("number", "validation"), [(5, 2), (10, 4), (20, 4)])
def test_half_of_few_subjects_validate(number, validation):
    parts = folds(windows({f"{i:02d}": 3 for i in range(number)}))[0]
    assert len(set(parts["validation"]["subject"])) == validation


def test_test_parts_of_folds_are_those_of_group_k_fold(uneven):
    found = folds(uneven, 5, num_validation=3, seed=0)
    groups = np.array([int(subject) for subject in uneven["subject"]])
    rows = np.array(uneven["row"])
    for splits, (_, expected) in zip(found, GroupKFold(5).split(groups, groups=groups), strict=True):
        assert splits["test"]["row"][:] == rows[expected].tolist()
        assert len(set(splits["validation"]["subject"])) == 3
        assert sum(len(dataset) for dataset in splits.values()) == len(uneven)
        check_disjoint(splits)


def test_the_seed_of_folds_moves_the_validation_subjects_only(uneven):
    first, second = folds(uneven, seed=0), folds(uneven, seed=1)
    assert [f["test"]["row"][:] for f in first] == [f["test"]["row"][:] for f in second]
    assert [subjects(f)["validation"] for f in first] != [subjects(f)["validation"] for f in second]
    assert "validation" not in folds(uneven, num_validation=0)[0]


def test_subjects_of_two_corpora_with_one_number_are_two_people():
    mixed = concatenate_datasets([windows({"00": 4, "01": 4}), windows({"00": 4, "01": 4}, "other")])
    splits = split_by(mixed, fractions=(0.5, 0.25, 0.25))
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
        split_by(dataset)
    with pytest.raises(ValueError, match="needs a column 'subject'"):
        folds(Dataset.from_dict({"patient": ["00"]}))


def epochs(num_subjects: int = 3, concepts: str = "abcdefghij", step: float = 1.0) -> Dataset:
    """Windows of 1 s: every subject saw every concept twice, in one recording."""
    rows = [(f"{s:02d}", c, i) for s in range(num_subjects) for i, c in enumerate(concepts * 2)]
    return Dataset.from_dict(
        {
            "window_id": [f"{s}/{i}" for s, _, i in rows],
            "corpus": ["things"] * len(rows),
            "subject": [s for s, _, _ in rows],
            "session": [str(i % 2) for _, _, i in rows],
            "recording": [f"{s}.edf" for s, _, _ in rows],
            "concept": [c for _, c, _ in rows],
            "part": ["test" if c in "ij" else "train" for _, c, _ in rows],
            "signal_hash": [f"{s}{i}" for s, _, i in rows],
            "start_seconds": [i * step for _, _, i in rows],
            "num_samples": [100] * len(rows),
            "sampling_rate": [100.0] * len(rows),
        }
    )


def test_a_split_by_concept_shares_people_and_no_concept():
    splits = split_by(epochs(), "concept", seed=1)
    concepts = {part: set(rows["concept"]) for part, rows in splits.items()}
    assert [len(found) for found in concepts.values()] == [8, 1, 1]
    assert not concepts["train"] & (concepts["validation"] | concepts["test"])
    assert all(len(set(rows["subject"])) == 3 for rows in splits.values())
    check_disjoint(splits, by="concept")
    with pytest.raises(LeakError, match="'train' and 'validation' share 3 subjects"):
        check_disjoint(splits)


def test_windows_of_two_concepts_that_overlap_are_warned_of(caplog):
    import logging

    apart, close = (split_by(epochs(step=step), "concept") for step in (1.0, 0.2))
    logger = logging.getLogger("eeg_hf.corpora.windows.leaks")
    logger.addHandler(caplog.handler)
    try:
        check_disjoint(apart, by="concept")
        assert not caplog.records
        check_disjoint(close, by="concept")
    finally:
        logger.removeHandler(caplog.handler)
    assert "overlap one of another part in the same recording" in caplog.text


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("concept", "a", "share 1 values of 'concept': a"),
        ("window_id", "00/0", "share 1 windows: 00/0"),
        ("signal_hash", "000", "share 1 windows with identical samples, hash: 000"),
    ],
)
def test_what_a_split_by_concept_may_not_share_is_named(column, value, message):
    splits = split_by(epochs(), "concept", seed=1)
    leaky = splits["test"].map(lambda row, i: {column: value if i == 0 else row[column]}, with_indices=True)
    train = splits["train"] if "a" in splits["train"]["concept"] else splits["validation"]
    with pytest.raises(LeakError, match=message):
        check_disjoint({"train": train, "test": leaky}, by="concept")


def test_sessions_of_two_people_with_one_number_are_two():
    splits = split_by(epochs(), "session", (0.5, 0.25, 0.25))
    names = {part: set(zip(d["subject"], d["session"], strict=True)) for part, d in splits.items()}
    assert [len(found) for found in names.values()] == [2, 2, 2]
    assert len(set().union(*names.values())) == 6
    parts = {"train": epochs().filter(lambda row: row["session"] == "0")}
    parts["test"] = epochs().filter(lambda row: row["session"] == "1")
    with pytest.raises(LeakError, match="share 3 recordings: things/00.edf"):  # this corpus has both in one
        check_disjoint(parts, by="session")


def test_folds_by_a_column_test_each_value_once():
    found = folds(epochs(), 5, num_validation=1, column="concept")
    tested = [set(fold["test"]["concept"]) for fold in found]
    assert sum(map(len, tested)) == len(set().union(*tested)) == 10
    for fold in found:
        check_disjoint(fold, by="concept")


def test_a_marked_split_is_taken_and_anything_else_refused():
    splits = split_as_marked(epochs(), "part")
    assert {part: len(rows) for part, rows in splits.items()} == {"train": 48, "test": 12}
    with pytest.raises(ValueError, match="must hold train, validation or test, it holds 0, 1"):
        split_as_marked(epochs(), "session")
    gaps = Dataset.from_dict({"part": ["train", None, None, "test"]})
    with pytest.raises(ValueError, match="2 of 4 rows have no part"):
        split_as_marked(gaps, "part")


def test_validation_is_taken_from_the_training_subjects_where_there_is_none(uneven):
    splits = official_split(uneven, {"train": [f"{i:02d}" for i in range(14)], "test": ["15", "16"]})
    taken = take_validation(splits, seed=2)
    assert list(taken) == ["train", "validation", "test"]
    assert len(subjects(taken)["validation"]) == 1 and len(subjects(taken)["train"]) == 13
    assert subjects(taken)["test"] == {"15", "16"}
    check_disjoint(taken)
    assert subjects(take_validation(splits, seed=2)) == subjects(taken)
    assert take_validation(taken) is taken
    lone = DatasetDict(train=uneven.filter(lambda row: row["subject"] == "00"))
    assert list(take_validation(lone)) == ["train"]


def test_numbers_may_be_split_by_too():
    rows = Dataset.from_dict({"release": [1, 2, 3, 4] * 3})
    splits = split_by(rows, "release", (0.5, 0.25, 0.25))
    assert sorted(len(set(part["release"])) for part in splits.values()) == [1, 1, 2]


@pytest.fixture
def said(caplog):
    """Return the messages of the splits."""
    import logging

    loggers = [logging.getLogger(f"eeg_hf.corpora.windows.{name}") for name in ("leaks", "splits")]
    for logger in loggers:
        logger.addHandler(caplog.handler)
    yield caplog
    for logger in loggers:
        logger.removeHandler(caplog.handler)


def photographs(num_subjects=10, num_concepts=20):
    """Everybody saw two images of every concept."""
    rows = [
        (f"{s:02d}", c, i) for s in range(1, num_subjects + 1) for c in range(num_concepts) for i in range(2)
    ]
    return Dataset.from_dict(
        {
            "window_id": [f"{s}/{c}/{i}" for s, c, i in rows],
            "corpus": ["things"] * len(rows),
            "subject": [s for s, _, _ in rows],
            "concept": [f"c{c:02d}" for _, c, _ in rows],
            "image": [f"c{c:02d}_{i}.jpg" for _, c, i in rows],
        }
    )


def values_of(splits, column):
    return {part: set(rows[column]) for part, rows in splits.items()}


def test_leaving_one_out_tests_him_and_nobody_else():
    splits = leave_out(photographs(), "08", num_validation=2, seed=3)
    people = values_of(splits, "subject")
    assert people["test"] == {"08"} and [len(people[part]) for part in splits] == [7, 2, 1]
    check_disjoint(splits)
    assert values_of(leave_out(photographs(), "08", 2, seed=4), "subject") != people
    assert list(leave_out(photographs(), "things/08", num_validation=0)) == ["train", "test"]
    by_concept = leave_out(photographs(), "c03", column="concept")
    assert values_of(by_concept, "concept")["test"] == {"c03"}


def test_who_cannot_be_left_out_is_named():
    with pytest.raises(
        ValueError, match="one of the subjects to leave out, none is '11': things/01, things/02"
    ):
        leave_out(photographs(), "11")
    with pytest.raises(ValueError, match="9 validation subjects leave none to train on: without '08' the"):
        leave_out(photographs(), "08", num_validation=9)
    other = photographs().map(lambda row: {"corpus": "other"})
    with pytest.raises(ValueError, match="to leave out, 2 are '08'"):
        leave_out(concatenate_datasets([photographs(), other]), "08")


@pytest.mark.parametrize("first", ["subject", "leave_out"])
def test_crossed_splits_share_neither_people_nor_concepts_nor_images(first, said):
    rows = photographs().shuffle(seed=0)
    by_person = split_by(rows) if first == "subject" else leave_out(rows, "08")
    crossed = cross_splits([by_person, split_by(rows, "concept", seed=1)])
    for column in ("subject", "concept", "image"):
        check_disjoint(crossed, by=column)
    assert [len(part) for part in crossed.values()] == [8 * 16 * 2, 1 * 2 * 2, 1 * 2 * 2]
    assert f"{400 - 256 - 8} of 400 windows are in no part" in said.text
    assert "were seen in training too" not in said.text


def test_splits_that_cannot_be_crossed_are_refused():
    rows = photographs(3, 3)
    with pytest.raises(ValueError, match=r"the splits have no window of part '\w+' in common"):
        cross_splits([split_by(rows, "concept", seed=seed) for seed in (0, 1, 2)])
    with pytest.raises(ValueError, match="crossing splits needs a column 'window_id'"):
        cross_splits([split_by(rows.remove_columns("window_id"))] * 2)


def test_images_that_parts_share_are_named_and_refused_where_the_split_keeps_them_apart(said):
    rows = photographs()
    check_disjoint(split_by(rows))  # everybody saw everything
    assert "40 of 40 images of the other parts were seen in training too: c00_0.jpg, c00_1.jpg" in said.text
    with pytest.raises(LeakError, match="'train' and 'validation' share 40 values of 'image': c00_0.jpg"):
        check_disjoint(split_by(rows), by="image")
    by_concept = split_by(rows, "concept")
    seen = by_concept["train"]["image"][0]
    named_twice = by_concept["test"].map(lambda row, i: {"image": seen if i == 0 else row["image"]}, True)
    named_twice = DatasetDict({**by_concept, "test": named_twice})
    with pytest.raises(LeakError, match=f"'train' and 'test' share 1 images: {seen}"):
        check_disjoint(named_twice, by="concept")
