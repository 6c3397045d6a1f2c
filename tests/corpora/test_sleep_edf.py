# SPDX-License-Identifier: Apache-2.0
import sys

import pytest

from eeg_hf import EEGFeatureExtractor
from eeg_hf.corpora import prepare
from eeg_hf.corpora.sleep_edf import SleepEDF

CASSETTE = [
    ("EEG Fpz-Cz", 40.0),
    ("EEG Pz-Oz", 25.0),
    ("EOG horizontal", 200.0),
    ("Resp oro-nasal", 300.0),
    ("EMG submental", 5.0),
    ("Temp rectal", 37.0),
    ("Event marker", 100.0),
]
SLOW = dict.fromkeys(("Resp oro-nasal", "EMG submental", "Temp rectal", "Event marker"), 1.0)
TELEMETRY = [("EEG Fpz-Cz", 40.0), ("EEG Pz-Oz", 25.0), ("EOG horizontal", 200.0), ("EMG submental", 9.0)]
NIGHT = [  # seconds, stage: an hour awake, half an hour of sleep, an hour awake
    (3600, "Sleep stage W"),
    (300, "Sleep stage 1"),
    (600, "Sleep stage 2"),
    (60, "Movement time"),
    (120, "Sleep stage 3"),
    (180, "Sleep stage 4"),
    (240, "Sleep stage R"),
    (300, "Sleep stage W"),
    (30, "Sleep stage 2"),
    (3600, "Sleep stage W"),
    (6000, "Sleep stage ?"),
]
SECONDS = sum(seconds for seconds, _ in NIGHT) - 6000  # hypnograms are longer than the recording


def write_hypnogram(write_sines, path, night=NIGHT):
    marks, onset = [], 0.0
    for seconds, stage in night:
        marks.append((onset, float(seconds), stage))
        onset += seconds
    return write_sines(path, [], annotations=marks)


@pytest.fixture(scope="module")
def tree(write_sines, tmp_path_factory):
    root = tmp_path_factory.mktemp("sleep")
    for folder, name, scored in (
        ("sleep-cassette", "SC4001E0", "SC4001EC"),
        ("sleep-cassette", "SC4002E0", "SC4002EH"),
        ("sleep-cassette", "SC4362F0", "SC4362FV"),
        ("sleep-telemetry", "ST7011J0", "ST7011JP"),
    ):
        channels, rates = (CASSETTE, SLOW) if name.startswith("SC") else (TELEMETRY, {"EMG submental": 100.0})
        seconds = SECONDS if name == "SC4001E0" else 120.0
        write_sines(root / folder / f"{name}-PSG.edf", channels, 100.0, seconds, rates=rates)
        write_hypnogram(write_sines, root / folder / f"{scored}-Hypnogram.edf")
    return root


def stages(tree, **options):
    corpus = SleepEDF(**options)
    recording = corpus.recordings(tree)[0]
    return [(e.onset, e.duration, e.name) for e in corpus.events(recording, corpus.read(recording))]


def test_two_nights_of_a_person_are_sessions_of_one_subject(tree):
    found = SleepEDF().recordings(tree)
    assert [(r.subject, r.session, r.labels["study"]) for r in found] == [
        ("SC400", "1", "cassette"),
        ("SC400", "2", "cassette"),
        ("SC436", "2", "cassette"),
        ("ST701", "1", "telemetry"),
    ]


def test_stages_are_merged_and_the_day_is_cut_off(tree):
    assert stages(tree) == [
        (1800.0, 1800.0, "W"),
        (3600.0, 300.0, "N1"),
        (3900.0, 600.0, "N2"),
        (4560.0, 120.0, "N3"),
        (4680.0, 180.0, "N3"),
        (4860.0, 240.0, "REM"),
        (5100.0, 300.0, "W"),
        (5400.0, 30.0, "N2"),
        (5430.0, 1800.0, "W"),
    ]


def test_all_wake_is_kept_on_request(tree):
    kept = stages(tree, wake_minutes=None)
    assert kept[0] == (0.0, 3600.0, "W") and kept[-1] == (5430.0, 3600.0, "W")
    with pytest.raises(ValueError, match="wake_minutes must be 0 or more, .* got -1"):
        SleepEDF(wake_minutes=-1)


def test_what_windows_there_are_depends_on_the_option(tree):
    recording = SleepEDF().recordings(tree)[0]
    assert SleepEDF().provenance(recording) != SleepEDF(wake_minutes=None).provenance(recording)


def test_only_the_derivations_are_eeg(tree, tmp_path, read_windows):
    extractor = EEGFeatureExtractor(
        sampling_rate=100, lowpass_hz=35, reference="original", window_seconds=30.0
    )
    corpus = SleepEDF()
    report = prepare(
        corpus, tmp_path, extractor, root=tree, segments="annotations", subjects=["SC400", "ST701"]
    )
    assert report["channel_counts"] == {2: 1}
    reasons = {failure["path"]: failure["reason"] for failure in report["failures"]}
    # Two minutes of a night whose first sleep comes after an hour: only wakefulness far from sleep.
    assert sorted(reasons) == [
        "sleep-cassette/SC4002E0-PSG.edf",
        "sleep-telemetry/ST7011J0-PSG.edf",
    ]
    rows = read_windows(tmp_path)
    counts = {stage: sum(row["event"] == stage for row in rows) for stage in ("W", "N1", "N2", "N3", "REM")}
    assert counts == {"W": 60 + 10 + 60, "N1": 10, "N2": 21, "N3": 10, "REM": 8}
    assert rows[5]["amplitude"] == pytest.approx({"Fpz-Cz": 40.0, "Pz-Oz": 25.0}, abs=0.3)
    assert rows[0]["sampling_rate"] == 100.0 and rows[0]["num_samples"] == 3000
    assert rows[0]["reference"] == "bipolar" and rows[0]["start_seconds"] == 1800.0


def test_a_night_without_its_hypnogram_says_which_is_missing(write_sines, tmp_path):
    write_sines(tmp_path / "SC4011E0-PSG.edf", CASSETTE, 100.0, 60.0, rates=SLOW)
    write_hypnogram(write_sines, tmp_path / "SC4012EC-Hypnogram.edf")  # of the other night
    with pytest.raises(FileNotFoundError, match=r"SC4011E0-PSG.edf: expected one SC4011E\*-Hypnogram.edf"):
        stages(tmp_path)


def test_another_file_in_the_hypnograms_place_is_refused(write_sines, tmp_path):
    write_sines(tmp_path / "SC4011E0-PSG.edf", CASSETTE, 100.0, 60.0, rates=SLOW)
    write_hypnogram(write_sines, tmp_path / "SC4011EC-Hypnogram.edf", [(30, "Lights off")])
    with pytest.raises(ValueError, match="SC4011EC-Hypnogram.edf holds no sleep stages"):
        stages(tmp_path)


def write_tables(tree, cassette, telemetry):
    xlwt = pytest.importorskip("xlwt")
    for name, rows in (("SC-subjects.xls", cassette), ("ST-subjects.xls", telemetry)):
        book = xlwt.Workbook()
        sheet = book.add_sheet("Sheet1")
        for i, row in enumerate(rows):
            for j, cell in enumerate(row):
                sheet.write(i, j, cell)
        book.save(str(tree / name))


def test_the_tables_count_the_sexes_the_other_way_round(tree):
    pytest.importorskip("xlrd")
    write_tables(
        tree,
        [
            ["subject", "night", "age", "sex (F=1)", "LightsOff"],
            [0, 1, 33, 1, "00:38"],
            [0, 2, 33, 1, "21:57"],
            [36, 2, 67, 2, "23:15"],
        ],
        [
            ["Subject - age - sex", "", "", "Placebo night", "", "Temazepam night", ""],
            ["Nr", "Age", "M1/F2", "night nr", "lights off", "night nr", "lights off"],
            [1, 60, 1, 1, "23:01", 2, "23:48"],
            [2, 35, 2, 2, "23:27", 1, "00:00"],
        ],
    )
    labels = [
        tuple(r.labels[name] for name in ("age", "sex", "treatment")) for r in SleepEDF().recordings(tree)
    ]
    assert labels == [(33.0, "F", None), (33.0, "F", None), (67.0, "M", None), (60.0, "M", "placebo")]


def test_without_xlrd_age_and_sex_are_not_known(tree, monkeypatch, caplog):
    (tree / "SC-subjects.xls").touch()
    monkeypatch.setitem(sys.modules, "xlrd", None)
    assert SleepEDF().recordings(tree)[0].labels["age"] is None
    assert 'pip install "eeg-hf[sleep]"' in caplog.text


def test_a_table_that_is_none_is_named(tree):
    pytest.importorskip("xlrd")
    (tree / "SC-subjects.xls").write_text("subject;night;age\n")
    with pytest.raises(ValueError, match="SC-subjects.xls is not the table of this corpus"):
        SleepEDF().recordings(tree)
