# SPDX-License-Identifier: Apache-2.0
import warnings

import numpy as np
import pyarrow.parquet as pq
import pytest

from eeg_hf import EEGFeatureExtractor
from eeg_hf.corpora import prepare
from eeg_hf.corpora.hbn import HBN
from tests.corpora.written_trees import (
    FILMS,
    hbn_events,
    write_hbn,
    write_hbn_people,
    write_hbn_recording,
)

NET = "GSN-HydroCel-129"
UV = 30.0
# Two answered trials, one without an answer, one without a target, and the last one, which is not closed.
TRIALS = [
    (0.5, "contrastChangeB1_start", "n/a"),
    (1.0, "contrastTrial_start", "n/a"),
    (2.0, "right_target", "n/a"),
    (3.1, "right_buttonPress", "smiley_face"),
    (3.3, "right_buttonPress", "n/a"),
    (4.0, "contrastTrial_start", "n/a"),
    (4.5, "left_buttonPress", "non_target"),
    (5.0, "left_target", "n/a"),
    (6.6, "right_buttonPress", "sad_face"),
    (8.0, "contrastTrial_start", "n/a"),
    (8.5, "left_target", "n/a"),
    (10.0, "contrastTrial_start", "n/a"),
    (11.0, "contrastTrial_start", "n/a"),
    (11.5, "left_target", "n/a"),
    (12.0, "left_buttonPress", "smiley_face"),
]


def write_release(root, name, people, suffix=".bdf", rate=100, tasks=("contrastChangeDetection_run-1",)):
    """A release; 15 s of a sine of 5 Hz whose amplitude halves from E1 to E2; people: subject -> cells."""
    gain = np.linspace(0.5, 1.0, 129)
    gain[0], gain[-1] = 1.0, 0.0
    data = np.outer(gain, UV * 1e-6 * np.sin(2 * np.pi * 5 * np.arange(15 * rate) / rate))
    for subject in people:
        for task in tasks:
            path = root / name / f"sub-{subject}" / "eeg" / f"sub-{subject}_task-{task}_eeg{suffix}"
            rows = TRIALS if task.startswith("contrast") else hbn_events(task, 14.5, start=1.0)
            write_hbn_recording(path, data, rate, rows)
    write_hbn_people(root / name, people)
    return root / name


CELLS = "{}\tF\t9.5\t80.0\tYes\tYes\t-0.25\t0.5\tn/a\t1.25"


def test_releases_beside_each_other_are_one_corpus_with_a_split(tmp_path):
    write_release(tmp_path, "R5_L100_bdf", {"NDARAA000001": CELLS.format("R5")})
    write_release(tmp_path, "ds005507", {"NDARAA000002": CELLS.format("n/a")}, ".set", 500, ["DespicableMe"])
    first, second = HBN().recordings(tmp_path)
    assert (first.subject, first.run, first.task) == (
        "NDARAA000001",
        "contrastChangeDetection_1",
        "contrastChangeDetection",
    )
    assert dict(first.labels) == {
        **{"release": "R5", "part": "validation", "sex": "F", "age": 9.5, "ehq_total": 80.0},
        **{"p_factor": -0.25, "attention": 0.5, "internalizing": None, "externalizing": 1.25},
        **{"availability": "caution", "response_time": None, "correct": None},
        **{"stimulus": None, "stimulus_seconds": None},
    }
    assert (second.run, second.labels["release"], second.labels["part"]) == ("DespicableMe", "R3", "train")
    assert second.labels["availability"] == "unavailable"
    (alone,) = HBN().recordings(tmp_path / "R5_L100_bdf")
    assert alone.labels == first.labels


def test_the_bad_subjects_are_left_out_and_said(tmp_path, caplog):
    people = {"NDARAA000001": CELLS.format("R1"), "NDARME789TD2": CELLS.format("R1")}
    write_release(tmp_path, "R1_L100_bdf", people)
    assert [r.subject for r in HBN().recordings(tmp_path)] == ["NDARAA000001"]
    assert "NDARME789TD2 (left out by the organisers" in caplog.text and len(HBN.known_bad) == 9


@pytest.mark.parametrize(("suffix", "rate"), [(".bdf", 100), (".set", 500)])
def test_electrodes_get_the_name_and_place_of_their_net(suffix, rate, tmp_path):
    write_release(tmp_path, "R1_L100", {"NDARAA000001": CELLS.format("R1")}, suffix, rate)
    corpus = HBN()
    (recording,) = corpus.recordings(tmp_path)
    raw = corpus.read(recording)
    assert (len(raw.ch_names), raw.ch_names[16], raw.ch_names[128]) == (129, f"{NET}/E17", "Cz")
    assert (raw.info["sfreq"], raw.info["line_freq"], set(raw.get_channel_types())) == (rate, 60, {"eeg"})
    assert np.abs(raw.get_data(picks=[0])).max() == pytest.approx(UV * 1e-6, rel=0.02)


def test_channels_that_a_sidecar_calls_emg_are_eeg(tmp_path):
    folder = write_release(tmp_path, "R1_L100_bdf", {"NDARAA000001": CELLS.format("R1")})
    for table in folder.rglob("*_channels.tsv"):
        table.write_text(table.read_text().replace("\tEEG\t", "\tEMG\t"))
    corpus = HBN()
    assert set(corpus.read(corpus.recordings(tmp_path)[0]).get_channel_types()) == {"eeg"}


def test_response_times_count_from_the_change_of_contrast_to_the_first_answer(tmp_path):
    write_release(tmp_path, "R1_L100_bdf", {"NDARAA000001": CELLS.format("R1")})
    corpus = HBN()
    (recording,) = corpus.recordings(tmp_path)
    with pytest.warns(UserWarning, match="1 of 3 trials have no answer and are left out"):
        events = corpus.events(recording, corpus.read(recording))
    assert [(e.onset, e.name, e.labels["correct"]) for e in events] == [
        (2.0, "right_target", 1.0),
        (5.0, "left_target", 0.0),
    ]
    assert [e.labels["response_time"] for e in events] == pytest.approx([1.1, 1.6])


def test_challenge_1_windows_begin_half_a_second_after_the_change(tmp_path):
    write_release(
        tmp_path / "hbn",
        "R5_L100_bdf",
        {"NDARAA000001": CELLS.format("R5")},
        tasks=("contrastChangeDetection_run-1", "DespicableMe"),
    )
    extractor = EEGFeatureExtractor(100.0, None, None, reference="original", window_seconds=2.0)
    report = prepare(
        HBN(),
        tmp_path / "out",
        extractor,
        root=tmp_path / "hbn",
        segments="events",
        tmin=0.5,
        keep={"task": ["contrastChangeDetection"]},
    )
    assert report["failures"] == [] and report["windows"] == 2
    rows = pq.read_table(tmp_path / "out" / "data").to_pydict()
    assert rows["response_time"] == pytest.approx([1.1, 1.6]) and rows["correct"] == [1.0, 0.0]
    assert rows["start_seconds"] == [2.5, 5.5] and rows["num_samples"] == [200, 200]
    assert rows["part"] == ["validation"] * 2 and rows["externalizing"] == [1.25] * 2
    assert len(rows["channels"][0]) == 129 and rows["bad_channels"][0] == ["Cz"]
    positions = np.array(rows["channel_positions"][0]).reshape(129, 3)
    assert np.isfinite(positions).all() and (np.linalg.norm(positions, axis=1) > 0.05).all()
    signal = np.frombuffer(rows["signal"][0], "<i2").reshape(129, -1) * np.array(rows["scale"][0])[:, None]
    assert np.abs(signal).max(axis=1)[[0, 1, 128]] == pytest.approx([UV, UV * 64.5 / 128, 0], rel=0.02)


def test_films_have_the_events_that_people_are_aligned_by(tmp_path):
    write_release(tmp_path, "R1_L100_bdf", {"NDARAA000001": CELLS.format("R1")}, tasks=("DespicableMe",))
    corpus = HBN()
    (recording,) = corpus.recordings(tmp_path)
    raw = corpus.read(recording)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        events = corpus.events(recording, raw)
    assert [(event.onset, event.duration, event.name) for event in events] == [
        (1.0, 0.0, "video_start"),
        (1.0, 13.0, "film"),
        (14.0, 0.0, "video_stop"),
    ]
    assert dict(events[1].labels) == {"stimulus": "DespicableMe", "stimulus_seconds": 0.0}
    next(tmp_path.rglob("*_events.tsv")).unlink()
    with pytest.raises(FileNotFoundError, match="_task-DespicableMe_eeg.bdf has no events.tsv"):
        corpus.events(recording, raw)


@pytest.mark.parametrize(
    ("rows", "spans"),
    [
        ([(2.0, "video_start")], [(2.0, 13.0, "film")]),
        ([(2.0, "video_start"), (9.5, "boundary"), (14.0, "video_stop")], [(2.0, 7.5, "film")]),
        ([(2.0, "video_start"), (4.0, "video_start")], [(2.0, 2.0, "film"), (4.0, 11.0, "film")]),
        (
            [
                (0.0, "break cnt"),
                (1.0, "resting_start"),
                (3.0, "instructed_toOpenEyes"),
                (7.0, "instructed_toCloseEyes"),
            ],
            [(3.0, 4.0, "eyes_open"), (7.0, 8.0, "eyes_closed")],
        ),
    ],
)
def test_what_lasts_ends_at_a_gap_or_with_the_recording(rows, spans, tmp_path):
    write_release(tmp_path, "R1_L100_bdf", {"NDARAA000001": CELLS.format("R1")}, tasks=("RestingState",))
    table = next(tmp_path.rglob("*_events.tsv"))
    lines = ["onset\tduration\tvalue", *(f"{onset}\tn/a\t{value}" for onset, value in rows)]
    table.write_text("\n".join(lines) + "\n")
    corpus = HBN()
    (recording,) = corpus.recordings(tmp_path)
    events = corpus.events(recording, corpus.read(recording))
    marks = {value for _, value in rows}
    assert [(e.onset, e.duration, e.name) for e in events if e.name not in marks] == spans


def test_windows_of_films_are_at_the_same_seconds_in_all_people(tmp_path, read_windows):
    write_hbn(tmp_path / "hbn", subjects=3, seconds=12.0, tasks=("DespicableMe", "ThePresent"))
    extractor = EEGFeatureExtractor(100.0, 0.5, None, window_seconds=2.0)
    report = prepare(
        HBN(),
        tmp_path / "out",
        extractor,
        root=tmp_path / "hbn",
        segments="annotations",
        event_labels={"film": "film"},
        keep={"task": list(FILMS)},
    )
    assert report["failures"] == []
    rows = read_windows(tmp_path / "out")
    expected = [(s, film) for film in ("DespicableMe", "ThePresent") for s in (0.0, 2.0, 4.0, 6.0, 8.0)]
    for number in (1, 2, 3):
        mine = [row for row in rows if row["subject"] == f"NDARAA{number:06d}"]
        assert [(row["stimulus_seconds"], row["stimulus"]) for row in mine] == expected
        assert mine[0]["start_seconds"] == pytest.approx(1.0 + 0.137 * number, abs=0.005)
    ages = {row["subject"]: (row["age"], row["p_factor"], row["internalizing"]) for row in rows}
    assert ages["NDARAA000001"] == (7.5, -0.2, -0.1) and ages["NDARAA000003"] == (10.5, None, 0.3)


def test_windows_of_rest_are_named_by_the_eyes(tmp_path, read_windows):
    write_hbn(tmp_path / "hbn", subjects=2, seconds=22.0, tasks=("RestingState", "ThePresent"))
    report = prepare(
        HBN(),
        tmp_path / "out",
        EEGFeatureExtractor(100.0, 0.5, 45.0, window_seconds=2.0),
        root=tmp_path / "hbn",
        segments="annotations",
        event_labels={name: name for name in ("eyes_open", "eyes_closed")},
        keep={"task": "RestingState"},
    )
    assert report["failures"] == []
    rows = read_windows(tmp_path / "out")
    assert [row["event"] for row in rows[:8]] == (["eyes_open"] * 2 + ["eyes_closed"] * 2) * 2
    assert {row["stimulus"] for row in rows} == {row["stimulus_seconds"] for row in rows} == {None}


def test_full_and_mini_copies_in_one_folder_are_refused(tmp_path):
    for name in ("R5_L100_bdf", "R5_mini_L100_bdf"):
        write_release(tmp_path, name, {"NDARAA000001": CELLS.format("R5")})
    with pytest.raises(ValueError, match="more than once, first subject NDARAA000001"):
        HBN().recordings(tmp_path)


def test_an_empty_folder_says_what_was_expected(tmp_path):
    with pytest.raises(FileNotFoundError, match="expected BIDS folders of releases, such as ds005505/"):
        HBN().recordings(tmp_path)
