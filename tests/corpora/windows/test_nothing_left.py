# SPDX-License-Identifier: Apache-2.0
"""What leaves no window to train on ends with one line and an exit code, never as if all were well."""

import json
from dataclasses import replace

import pyarrow.parquet as pq
import pytest
from tests.commands import fail_command
from tests.corpora.written_trees import write_hbn

from eeg_hf import EEGFeatureExtractor
from eeg_hf.corpora import Simulated, load_windows, prepare

NOBODY = "no subject of part 'train' is in the dataset, which has 04, 05"
PEOPLE = json.dumps({"num_subjects": 6, "seconds": 12})


def test_keep_counts_recordings_whatever_the_number_of_their_windows(tmp_path, caplog):
    caplog.set_level("INFO", logger="eeg_hf")
    report = prepare(
        Simulated(2, seconds=12),
        tmp_path,
        EEGFeatureExtractor(window_seconds=1.0),
        stride_seconds=0.25,
        keep={"task": ["rest"]},
    )
    assert (report["recordings_ok"], report["windows"]) == (2, 90)
    assert "keep: task keeps 2 of 4 recordings" in caplog.text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--keep", '{"task": ["sleep"]}'], "none of 12 recordings has task sleep; there is rest, task"),
        (
            ["--segments", "events", "--event_labels", '{"T1": "left"}'],
            "event_labels names none of its events",
        ),
        (["--segments", "annotations", "--window_seconds", "11"], "no window left: dropped 1 too_short"),
        (["--reject_uv", "0.001"], "no window left: dropped 2 high"),
    ],
)
def test_a_preparation_that_leaves_no_window_fails(options, message, tmp_path):
    command = ["--corpus", "simulated", "--corpus_options", PEOPLE, "--output_dir", tmp_path / "out"]
    line = fail_command("prepare", *command, *options)
    assert message in line


@pytest.mark.parametrize("offset", [1.7e9, -1e4])
def test_events_on_another_clock_are_named_with_both_times(offset, tmp_path, monkeypatch):
    def shifted(self, recording, raw):
        return [replace(event, onset=event.onset + offset) for event in events(self, recording, raw)]

    events = Simulated.events
    monkeypatch.setattr(Simulated, "events", shifted)
    with pytest.raises(RuntimeError, match="no window left: dropped .* outside; events lie between .*clock"):
        prepare(
            Simulated(1, seconds=12), tmp_path, EEGFeatureExtractor(window_seconds=1.0), segments="events"
        )


def test_a_corpus_without_films_has_no_window_of_a_film(tmp_path):
    write_hbn(tmp_path / "hbn", 2, 12.0, tasks=("RestingState",))
    recipe = ["--corpus", "hbn", "--data_dir", tmp_path / "hbn", "--segments", "annotations"]
    recipe += ["--event_labels", '{"film": "film"}', "--output_dir", tmp_path / "out"]
    line = fail_command("prepare", *recipe)
    assert "event_labels names none of its events" in line


@pytest.fixture(scope="module")
def nobody_to_train_on(tmp_path_factory):
    """Two of the people who are for validation and test."""
    folder = tmp_path_factory.mktemp("nobody")
    extractor = EEGFeatureExtractor(window_seconds=2.0)
    prepare(Simulated(6, seconds=6), folder, extractor, subjects=["04", "05"])
    return folder


@pytest.mark.parametrize("verb", ["pretrain", "finetune"])
def test_a_training_part_without_windows_is_an_error(verb, nobody_to_train_on, tmp_path):
    recipe = {"pretrain": "pretrain_tiny", "finetune": "finetune_eegmat"}[verb]
    command = [recipe, "--data", nobody_to_train_on, "--split", "official"]
    command += ["--label_column", "condition"] * (verb == "finetune")
    line = fail_command(verb, *command, "--output_dir", tmp_path / "run")
    assert line == NOBODY


@pytest.mark.parametrize("objective", [{}, {"objective": "classification", "label_column": "condition"}])
def test_a_phase_without_windows_is_an_error(objective, nobody_to_train_on, tmp_path):
    phase = json.dumps({"name": "only", "data": str(nobody_to_train_on), **objective})
    command = ["--phases", phase, "--output_dir", tmp_path / "run", "--split", "official"]
    line = fail_command("train-phases", *command)
    assert line == NOBODY


def test_shards_without_rows_are_refused(nobody_to_train_on, tmp_path):
    for shard in nobody_to_train_on.glob("data/*.parquet"):
        (tmp_path / "data").mkdir(exist_ok=True)
        pq.write_table(pq.read_table(shard).slice(0, 0), tmp_path / "data" / shard.name)
    (tmp_path / "README.md").touch()
    with pytest.raises(ValueError, match="holds no window: its 2 shards are empty, prepare it again"):
        load_windows(tmp_path)
