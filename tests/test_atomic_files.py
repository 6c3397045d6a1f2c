# SPDX-License-Identifier: Apache-2.0
import os
import subprocess
import sys

import pytest

from eeg_hf.atomic_files import atomic_path, partial_path, write_text
from eeg_hf.suggestions import did_you_mean


def test_a_file_is_replaced_and_its_folder_created(tmp_path):
    path = tmp_path / "new" / "report.md"
    write_text(path, "first")
    write_text(str(path), "zweite Fassung: ü")
    assert path.read_text(encoding="utf-8") == "zweite Fassung: ü"
    assert [each.name for each in path.parent.iterdir()] == ["report.md"]


def test_an_error_while_writing_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "scores.npz"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError, match="disk"), atomic_path(path) as partial:
        partial.write_bytes(b"ha")
        assert path.read_bytes() == b"old"
        raise RuntimeError("disk full")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("name", "known", "hint"),
    [
        ("lerning_rate", ["seed", "learning_rate"], ", did you mean 'learning_rate'?"),
        ("zzz", ["seed", "learning_rate"], ""),
        (3, ["seed"], ""),
    ],
)
def test_the_nearest_name_is_suggested(name, known, hint):
    assert did_you_mean(name, known) == hint


def test_several_names_may_be_suggested():
    assert did_you_mean("S0", ["S1", "S2"], n=2, cutoff=0.4) == ", did you mean 'S2' or 'S1'?"


def test_what_a_killed_process_left_of_the_same_file_is_removed(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    own, left = (partial_path(tmp_path / "a.json") for _ in range(2))
    left = left.with_name(left.name.replace(f"-{os.getpid()}-", f"-{dead.pid}-"))
    other = left.with_name(left.name.replace(".a.json.", ".b.json."))
    for path in (own, left, other):
        path.write_text("{")
    write_text(tmp_path / "a.json", "{}")
    assert {path.name for path in tmp_path.iterdir()} == {"a.json", own.name, other.name}
    left.write_text("{")
    write_text(tmp_path / "a.json", "{}")  # unchanged
    assert not left.exists()
