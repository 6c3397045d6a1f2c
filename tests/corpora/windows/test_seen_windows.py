# SPDX-License-Identifier: Apache-2.0
"""A model knows its windows, and is not tested on them."""

import pytest
from datasets import Dataset

from eeg_hf.corpora.windows.seen_windows import FILE, SeenWindows


def rows(corpus, subjects, first_hash=0):
    size = len(subjects)
    hashes = [f"{number:016x}" for number in range(first_hash, first_hash + size)]
    return Dataset.from_dict({"corpus": [corpus] * size, "subject": subjects, "signal_hash": hashes})


def test_the_subjects_of_a_training_are_found_again():
    seen = SeenWindows.of([rows("a", ["01", "02"])], [rows("a", ["03"], 10)])
    overlap = seen.overlap(rows("a", ["02", "03", "04"], 100))
    assert overlap and overlap.subjects == ("a/02", "a/03")
    assert (overlap.num_subjects, overlap.num_windows) == (3, 0)
    assert overlap.describe() == "2 of 3 test subjects (a/02, a/03)"


def test_subject_01_of_another_corpus_is_another_subject():
    assert not SeenWindows.of([rows("a", ["01"])]).overlap(rows("b", ["01"], 5))


def test_a_copy_under_another_name_is_found_by_its_samples():
    overlap = SeenWindows.of([rows("a", ["01", "02"])]).overlap(rows("b", ["x", "y"], 1))
    assert overlap and not overlap.subjects and overlap.num_windows == 1
    assert "1 test windows, by their samples" in overlap.describe()


def test_a_split_by_session_may_know_its_subjects_but_not_the_windows_that_test_them():
    trained, tested = rows("a", ["01", "02"]), rows("a", ["01", "02", "03"], 100)
    seen = SeenWindows.of([trained])
    assert not seen.overlap(tested, [trained])
    assert SeenWindows.of([trained, rows("a", ["03"], 7)]).overlap(tested, [trained]).subjects == ("a/03",)
    assert SeenWindows.of([tested]).overlap(tested, [trained, tested]).num_windows == 3


def test_the_file_brings_everything_back(tmp_path):
    seen = SeenWindows.of([rows("a", ["01"])], [rows("a", ["02"], 5)])
    seen.save(tmp_path)
    assert SeenWindows.load(tmp_path).table.equals(seen.table)
    assert SeenWindows.load(tmp_path / "nothing") is None


def test_what_earlier_weights_saw_is_taken_over_and_counted_once():
    earlier = SeenWindows.of([rows("a", ["01", "02"])])
    later = SeenWindows.of([rows("a", ["03"], 7)], [rows("a", ["01"])])
    both = later | earlier
    assert len(both) == 3 and both.subjects == {"a/01", "a/02", "a/03"}
    uses = dict(zip(both.table["subject"].to_pylist(), both.table["use"].to_pylist(), strict=True))
    assert uses["01"] == "trained"  # by the earlier one, whatever the later one did with it
    assert (later | None) is later


def test_windows_without_names_are_compared_by_what_they_have():
    nameless = Dataset.from_dict({"signal_hash": ["0000000000000000"]})
    assert SeenWindows.of([rows("a", ["01"])]).overlap(nameless).num_windows == 1
    assert not SeenWindows.of([]).overlap(rows("a", ["01"]))


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / FILE).write_bytes(b"PAR1 nothing")
    with pytest.raises(ValueError, match=f"{FILE}: expected the windows of a training"):
        SeenWindows.load(tmp_path)
