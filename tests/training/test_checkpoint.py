# SPDX-License-Identifier: Apache-2.0
"""A run resumes from the last checkpoint that was written to its end."""

import pytest
from transformers import TrainingArguments

from eeg_hf.training import resume_checkpoint


def find(folder, wanted):
    return resume_checkpoint(TrainingArguments(str(folder), resume_from_checkpoint=wanted))


@pytest.mark.parametrize("wanted", [None, "false", "no"])
def test_a_run_starts_anew_unless_asked_to_resume(tmp_path, wanted):
    (tmp_path / "checkpoint-1").mkdir()
    (tmp_path / "checkpoint-1/trainer_state.json").write_text("{}")
    assert find(tmp_path, wanted) is None


def test_the_last_complete_checkpoint_is_taken(tmp_path):
    assert find(tmp_path, "true") is None
    for step, state in {"5": "{}", "10": "{}", "20": '{"global_'}.items():
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        (folder / "trainer_state.json").write_text(state)
    (tmp_path / "checkpoint-30").mkdir()  # the state was not written yet
    assert find(tmp_path, "true") == find(tmp_path, "yes") == str(tmp_path / "checkpoint-10")
    assert find(tmp_path, str(tmp_path / "checkpoint-5")) == str(tmp_path / "checkpoint-5")
