# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest
from transformers.utils import logging

from eeg_hf.corpora import Recording
from eeg_hf.corpora.windows.recording_filter import keep_recordings

RECORDINGS = [
    Recording(Path(f"{subject}_{task}"), "c", subject, "1", str(run), task, {"age": age})
    for subject, age in (("01", 20.0), ("02", None))
    for run, task in enumerate(("rest", "movie"))
]


def names(keep):
    return [recording.path.name for recording in keep_recordings(RECORDINGS, keep)]


@pytest.mark.parametrize(
    ("keep", "expected"),
    [
        (None, ["01_rest", "01_movie", "02_rest", "02_movie"]),
        ({"task": "movie"}, ["01_movie", "02_movie"]),
        ({"task": ["rest", "movie"], "subject": ["02"]}, ["02_rest", "02_movie"]),
        ({"run": [1], "age": [20.0]}, ["01_movie"]),
        ({"age": [None]}, ["02_rest", "02_movie"]),
    ],
)
def test_recordings_are_kept_by_fields_and_labels(keep, expected):
    assert names(keep) == expected


def test_a_filter_that_keeps_nothing_names_what_there_is():
    with pytest.raises(ValueError, match="none of 4 recordings has task sleep; there is movie, rest"):
        names({"task": "sleep"})
    with pytest.raises(
        ValueError, match="no field 'tasks': expected one of subject, session, run, task, age"
    ):
        names({"tasks": "rest"})


def test_a_filter_that_keeps_everything_says_so(caplog):
    logging.enable_propagation()
    try:
        names({"task": ["rest", "movie"]})
    finally:
        logging.disable_propagation()
    assert "task leaves none of 4 recordings out" in caplog.text
