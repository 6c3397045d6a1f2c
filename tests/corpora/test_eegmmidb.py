# SPDX-License-Identifier: Apache-2.0

import pytest

from eeg_hf.corpora import EEGMMIDB
from tests.recordings import real_recordings

REAL, needs_recordings = real_recordings("eegmmidb")
CUES = [(0.0, 1.0, "T0"), (1.0, 1.0, "T1"), (2.0, 1.0, "T2"), (2.5, 0.1, "noise")]
LABELS = ["Fc5.", "C3..", "Cz..", "C4..", "Oz.."]


@pytest.mark.parametrize("layout", ["{subject}/{name}", "{name}"])
def test_both_layouts_are_read(layout, write_edf, tmp_path):
    for subject, run in (("S002", 1), ("S001", 14)):
        name = f"{subject}R{run:02d}.edf"
        write_edf(tmp_path / layout.format(subject=subject, name=name), LABELS, 160.0, 3.0)
    found = EEGMMIDB().recordings(tmp_path)
    assert [(r.subject, r.run, r.labels["run_type"]) for r in found] == [
        ("S001", "14", "imagined_fists_feet"),
        ("S002", "01", "eyes_open"),
    ]


@pytest.mark.parametrize(
    ("run", "task", "names"),
    [
        (1, "baseline", ["eyes_open"]),
        (2, "baseline", ["eyes_closed"]),
        (7, "motor_execution", ["rest", "left_fist", "right_fist"]),
        (12, "motor_imagery", ["rest", "imagined_left_fist", "imagined_right_fist"]),
        (5, "motor_execution", ["rest", "both_fists", "both_feet"]),
        (10, "motor_imagery", ["rest", "imagined_both_fists", "imagined_both_feet"]),
    ],
)
def test_cues_are_named_by_what_they_mean_in_their_run(run, task, names, write_edf, tmp_path):
    write_edf(tmp_path / f"S001R{run:02d}.edf", LABELS, 160.0, 3.0, annotations=CUES)
    corpus = EEGMMIDB()
    (recording,) = corpus.recordings(tmp_path)
    events = corpus.events(recording, corpus.read(recording))
    assert recording.task == task
    assert [event.name for event in events] == names
    assert [event.onset for event in events] == pytest.approx([0.0, 1.0, 2.0][: len(names)], abs=0.01)


def test_a_file_keeps_the_rate_of_its_own_header(write_edf, tmp_path):
    write_edf(tmp_path / "S088" / "S088R03.edf", LABELS, 128.0, 3.0)
    corpus = EEGMMIDB()
    assert corpus.read(corpus.recordings(tmp_path)[0]).info["sfreq"] == 128.0


def test_runs_and_files_that_the_corpus_does_not_have_are_no_recordings(write_edf, tmp_path):
    write_edf(tmp_path / "S001R15.edf", LABELS, 160.0, 3.0)
    (tmp_path / "S001R01.edf.event").write_text("not an EDF")
    with pytest.raises(FileNotFoundError, match="expected S001/S001R01.edf"):
        EEGMMIDB().recordings(tmp_path)


@needs_recordings
def test_the_real_imagery_runs_have_fifteen_trials_of_each_length():
    corpus = EEGMMIDB()
    (recording,) = [r for r in corpus.recordings(REAL) if (r.subject, r.run) == ("S001", "04")]
    events = corpus.events(recording, corpus.read(recording))
    names = [event.name for event in events]
    assert names.count("rest") == 15
    assert names.count("imagined_left_fist") + names.count("imagined_right_fist") == 15
    assert {round(event.duration, 1) for event in events if event.name != "rest"} == {4.1}
