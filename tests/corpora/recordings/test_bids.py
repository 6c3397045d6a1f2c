# SPDX-License-Identifier: Apache-2.0
import json
import warnings
from pathlib import Path

import mne
import numpy as np
import pytest

from eeg_hf.corpora.recordings.bids import bids_events, read_bids
from eeg_hf.corpora.recordings.bids_tree import bids_recordings, is_bids, read_json, sidecars

LABELS = ("Fp1", "Fp2", "Cz", "VEOG", "EKG1", "Trigger")
RATE, SECONDS, SINE_UV = 200.0, 4.0, 30.0
FORMATS = {".edf": "edf", ".vhdr": "brainvision", ".set": "eeglab"}


def recording(scale: float = 1.0, labels=LABELS, annotations=()) -> mne.io.RawArray:
    time = np.arange(round(RATE * SECONDS)) / RATE
    sine = SINE_UV * 1e-6 * scale * np.sin(2 * np.pi * 10 * time)
    raw = mne.io.RawArray(
        np.stack([sine * (row + 1) for row in range(len(labels))]),
        mne.create_info(list(labels), RATE, "eeg"),
        verbose="ERROR",
    )
    if annotations:
        onsets, durations, names = zip(*annotations, strict=True)
        raw.set_annotations(mne.Annotations(onsets, durations, names))
    return raw


def write(root: Path, below: str, raw: mne.io.BaseRaw | None = None) -> Path:
    path = root / below
    path.parent.mkdir(parents=True, exist_ok=True)
    raw = recording() if raw is None else raw
    raw.export(path, fmt=FORMATS[path.suffix.lower()], overwrite=True, verbose="ERROR")
    return path


def table(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.replace(" | ", "\t").encode(encoding))
    return path


def note(path: Path, **content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def opened(path: Path) -> tuple[mne.io.BaseRaw, list[str]]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        raw = read_bids(path)
    return raw, [str(warning.message) for warning in caught]


def amplitude_uv(raw: mne.io.BaseRaw, name: str) -> float:
    return float(np.abs(raw.get_data(picks=[name])).max() * 1e6)


# -- recordings ---------------------------------------------------------------------------------------------


def test_recordings_have_their_entities_and_what_the_tables_say(tmp_path):
    write(tmp_path, "sub-01/ses-a/eeg/sub-01_ses-a_task-rest_acq-hd_run-2_eeg.vhdr")
    write(tmp_path, "sub-02/eeg/sub-02_task-rest_eeg.EDF")
    table(
        tmp_path / "participants.tsv",
        "\ufeffparticipant_id | age | sex\r\nsub-01 | 23 | n/a\r\nsub-03 | 40 | F\r\n",
    )
    table(tmp_path / "sub-01" / "sub-01_sessions.tsv", "session_id | mood\nses-a | calm\nses-b | tense\n")
    first, second = bids_recordings(tmp_path)
    assert (first.subject, first.session, first.task, first.run) == ("01", "a", "rest", "2")
    assert first.entities["acq"] == "hd"
    assert first.subject_row == {"age": "23", "sex": None} and first.session_row == {"mood": "calm"}
    assert (second.session, second.run, second.subject_row) == (None, None, {})
    assert is_bids(tmp_path) and not is_bids(tmp_path / "sub-01")


def test_what_is_derived_hidden_ignored_or_a_part_is_no_recording(tmp_path, caplog):
    write(tmp_path, "sub-01/eeg/sub-01_task-rest_eeg.vhdr")
    for below in (
        "derivatives/clean/sub-01/eeg/sub-01_task-rest_eeg.edf",
        "sourcedata/sub-01/eeg/sub-01_task-rest_eeg.edf",
        "sub-01/eeg/._sub-01_task-rest_eeg.edf",
        "sub-01/eeg/sub-01_task-pilot_eeg.edf",
        "sub-02/eeg/sub-02_task-rest_eeg.edf",
        "sub-03/eeg/sub-09_task-rest_eeg.edf",
        "sub-04/ses-a/eeg/sub-04_task-rest_eeg.edf",
    ):
        (tmp_path / below).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / below).write_bytes(b"")
    (tmp_path / ".bidsignore").write_text("# not yet\nsub-02/\nsub-01/\n!sub-01/**\n*_task-pilot_*\n")
    assert [file.path.name for file in bids_recordings(tmp_path)] == ["sub-01_task-rest_eeg.vhdr"]
    assert "2 files are left out" in caplog.text and "sub-03/eeg/sub-09_task-rest_eeg.edf" in caplog.text


def test_of_a_subject_listed_twice_only_what_contradicts_itself_is_unknown(tmp_path, caplog):
    for subject in ("01", "02"):
        write(tmp_path, f"sub-{subject}/eeg/sub-{subject}_task-rest_eeg.edf")
    rows = "sub-01 | 20 | f\nsub-01 | 30 | f\nsub-02 | 40 | m\n"
    table(tmp_path / "participants.tsv", "participant_id | age | sex\n" + rows)
    with caplog.at_level("WARNING"):
        found = {file.subject: dict(file.subject_row) for file in bids_recordings(tmp_path)}
    assert found == {"01": {"age": None, "sex": "f"}, "02": {"age": "40", "sex": "m"}}
    assert "more than one row for 01 (age)" in caplog.text


# -- inheritance ---------------------------------------------------------------------------------------------


def test_the_most_specific_table_counts_and_json_is_merged_from_the_root_down(tmp_path):
    path = write(tmp_path, "sub-01/ses-a/eeg/sub-01_ses-a_task-rest_run-1_eeg.edf")
    note(tmp_path / "task-rest_eeg.json", PowerLineFrequency=60, EEGReference="Cz")
    note(tmp_path / "task-other_eeg.json", PowerLineFrequency=1)
    note(tmp_path / "sub-01" / "sub-01_eeg.json", EEGReference="linked ears")
    note(path.with_suffix(".json"), SamplingFrequency=RATE)
    table(tmp_path / "task-rest_channels.tsv", "name | type\nFp1 | EEG\n")
    general = table(
        tmp_path / "sub-01" / "ses-a" / "sub-01_ses-a_task-rest_channels.tsv", "name | type\nFp1 | MISC\n"
    )
    table(path.parent / "sub-01_ses-a_task-rest_run-2_channels.tsv", "name | type\nFp1 | EOG\n")
    assert read_json(sidecars(path, "eeg.json")) == {
        "PowerLineFrequency": 60,
        "EEGReference": "linked ears",
        "SamplingFrequency": RATE,
    }
    assert sidecars(path, "channels.tsv")[-1] == general
    raw, messages = opened(path)
    assert raw.info["line_freq"] == 60.0 and raw.info["description"] == "EEGReference: linked ears"
    assert raw.get_channel_types(["Fp1"]) == ["misc"] and messages == []


def test_two_tables_of_one_folder_are_told_apart_by_their_entities(tmp_path):
    path = write(tmp_path, "sub-01/eeg/sub-01_task-rest_run-1_eeg.edf")
    table(path.parent / "sub-01_task-rest_channels.tsv", "name | status\nFp1 | bad\n")
    table(path.parent / "sub-01_task-rest_run-1_channels.tsv", "name | status\nFp2 | bad\n")
    assert opened(path)[0].info["bads"] == ["Fp2"]


# -- channels ------------------------------------------------------------------------------------------------


def test_kinds_and_bad_channels_in_any_order_and_spelling(tmp_path):
    path = write(tmp_path, "sub-01/eeg/sub-01_task-rest_eeg.edf")
    rows = (
        "name | type | status",
        "EKG1 | ecg | good",
        "VEOG | VEOG | n/a",
        "cz | EEG | BAD",
        "EEG Fp2-REF | REF | good",
    )
    table(
        path.parent / "sub-01_task-rest_channels.tsv",
        "\n".join([*rows, "Trigger | TRIG | n/a", "C9 | EEG | bad", ""]),
    )
    raw, messages = opened(path)
    kinds = dict(zip(raw.ch_names, raw.get_channel_types(), strict=True))
    assert kinds == {
        "Fp1": "eeg",
        "Fp2": "misc",
        "Cz": "eeg",
        "VEOG": "eog",
        "EKG1": "ecg",
        "Trigger": "stim",
    }
    assert raw.info["bads"] == ["Cz"]
    assert messages == ["sub-01_task-rest_channels.tsv names 1 channels that the file lacks: C9"]


def test_an_unknown_kind_leaves_the_channel_as_it_is(tmp_path):
    path = write(tmp_path, "sub-01/eeg/sub-01_task-rest_eeg.edf")
    table(path.parent / "sub-01_task-rest_channels.tsv", "name | type\nFp1 | scalp\nFp2 | n/a\n")
    raw, messages = opened(path)
    assert (
        raw.get_channel_types(["Fp1", "Fp2"]) == ["eeg", "eeg"]
        and "unknown channel types SCALP" in messages[0]
    )


@pytest.mark.parametrize("suffix", [".edf", ".vhdr"])
@pytest.mark.parametrize("unit", ["\u00b5V", "V"])
def test_a_header_that_states_its_unit_is_not_scaled_again(suffix, unit, tmp_path):
    path = write(tmp_path, f"sub-01/eeg/sub-01_task-rest_eeg{suffix}")
    rows = [f"{name} | EEG | {unit}" for name in LABELS]
    table(path.parent / "sub-01_task-rest_channels.tsv", "\n".join(["name | type | units", *rows]), "latin-1")
    raw, messages = opened(path)
    assert amplitude_uv(raw, "Fp1") == pytest.approx(SINE_UV, rel=0.01)
    assert [("header's unit is used" in message) for message in messages] == ([] if unit != "V" else [True])


@pytest.mark.parametrize(
    ("scale", "unit", "is_scaled"),
    [(1.0, "uV", False), (1e-6, "V", True), (1e-3, "mV", True), (1.0, "V", False), (1.0, "n/a", False)],
)
def test_an_eeglab_file_is_in_the_table_s_unit_unless_that_cannot_be(scale, unit, is_scaled, tmp_path):
    path = write(tmp_path, "sub-01/eeg/sub-01_task-rest_eeg.set", recording(scale, LABELS[:3]))
    rows = [f"{name} | EEG | {unit}" for name in LABELS[:3]]
    table(path.parent / "sub-01_task-rest_channels.tsv", "\n".join(["name | type | units", *rows]))
    raw, messages = opened(path)
    assert amplitude_uv(raw, "Fp1") == pytest.approx(SINE_UV, rel=0.01)
    assert any(": used" in message for message in messages) is is_scaled
    assert any("is impossible" in message for message in messages) is (unit == "V" and scale == 1.0)


def test_a_blank_edf_header_takes_the_unit_of_the_table(tmp_path):
    path = write(tmp_path, "sub-01/eeg/sub-01_task-rest_eeg.edf")
    content = bytearray(path.read_bytes())
    count = int(content[252:256])
    start = 256 + (16 + 80) * count
    content[start : start + 8 * count] = b" " * (8 * count)
    path.write_bytes(content)
    rows = [f"{name} | EEG | \u03bcV" for name in LABELS]
    table(path.parent / "sub-01_task-rest_channels.tsv", "\n".join(["name | type | units", *rows]))
    assert amplitude_uv(opened(path)[0], "Fp1") == pytest.approx(SINE_UV, rel=0.01)


# -- eeg.json ------------------------------------------------------------------------------------------------


def test_a_wrong_rate_and_a_damaged_description_are_reported_and_cost_nothing(tmp_path):
    path = write(tmp_path, "sub-01/eeg/sub-01_task-rest_eeg.edf")
    note(path.with_suffix(".json"), SamplingFrequency=500, PowerLineFrequency="n/a")
    raw, messages = opened(path)
    assert raw.info["line_freq"] is None and "says 500 Hz, the file 200 Hz" in messages[0]
    for content in (b"{", b"\xff\xfe\x00", b"[" * 100_000, b"[1]"):
        path.with_suffix(".json").write_bytes(content)
        raw, messages = opened(path)
        assert "sub-01_task-rest_eeg.json is not" in messages[0] and len(raw.ch_names) == len(LABELS)


# -- positions -----------------------------------------------------------------------------------------------

HEAD = {"Fp1": (-0.03, 0.08, 0.02), "Fp2": (0.03, 0.08, 0.02), "Cz": (0.0, 0.0, 0.1)}


def place(path: Path, system: dict, rows: dict, space: str = "") -> None:
    stem = path.name.split("_task")[0] + space
    text = "\n".join(f"{name} | {x} | {y} | {z}" for name, (x, y, z) in rows.items())
    table(path.parent / f"{stem}_electrodes.tsv", f"name | x | y | z\n{text}\nGND | n/a | n/a | n/a\n")
    note(path.parent / f"{stem}_coordsystem.json", **system)


@pytest.mark.parametrize(
    ("frame", "unit", "convert"),
    [
        ("CapTrak", "m", lambda x, y, z: (x, y, z)),
        ("CapTrak", "mm", lambda x, y, z: (1e3 * x, 1e3 * y, 1e3 * z)),
        ("EEGLAB", "cm", lambda x, y, z: (1e2 * y, -1e2 * x, 1e2 * z)),
    ],
)
def test_positions_come_out_in_metres_in_the_head_frame(frame, unit, convert, tmp_path):
    path = write(tmp_path, "sub-01/eeg/sub-01_task-rest_eeg.edf")
    system = {"EEGCoordinateSystem": frame, "EEGCoordinateUnits": unit}
    place(path, system, {name: convert(*point) for name, point in HEAD.items()}, "_space-" + frame)
    raw, messages = opened(path)
    assert messages == []
    for name, point in HEAD.items():
        assert raw.info["chs"][raw.ch_names.index(name)]["loc"][:3] == pytest.approx(point, abs=1e-6)


def test_with_landmarks_any_frame_will_do(tmp_path):
    path = write(tmp_path, "sub-01/eeg/sub-01_task-rest_eeg.edf")
    marks = {"NAS": (0.0, 0.1, 0.0), "LPA": (-0.08, 0.0, 0.0), "RPA": (0.08, 0.0, 0.0)}
    shift = np.array([0.3, -0.2, 0.5])
    system = {
        "EEGCoordinateSystem": "Other",
        "EEGCoordinateUnits": "m",
        "AnatomicalLandmarkCoordinates": {name: list(shift + point) for name, point in marks.items()},
        "AnatomicalLandmarkCoordinateUnits": "m",
    }
    place(path, system, {name: tuple(shift + point) for name, point in HEAD.items()})
    raw, messages = opened(path)
    assert messages == []
    assert raw.info["chs"][2]["loc"][:3] == pytest.approx(HEAD["Cz"], abs=1e-6)


@pytest.mark.parametrize(
    ("system", "reason"),
    [
        ({"EEGCoordinateSystem": "Other", "EEGCoordinateUnits": "m"}, "frame 'Other' without landmarks"),
        ({"EEGCoordinateSystem": "CapTrak", "EEGCoordinateUnits": "n/a"}, "unit 'n/a'"),
        ({"EEGCoordinateSystem": "CapTrak", "EEGCoordinateUnits": "mm"}, "from the centre"),
        ({}, "unit 'n/a'"),
    ],
)
def test_positions_nobody_understands_are_left_out_and_said(system, reason, tmp_path):
    path = write(tmp_path, "sub-01/eeg/sub-01_task-rest_eeg.edf")
    place(path, system, HEAD)
    raw, messages = opened(path)
    assert len(messages) == 1 and reason in messages[0]
    assert not np.nan_to_num(raw.info["chs"][0]["loc"][:3]).any()


# -- events --------------------------------------------------------------------------------------------------

EVENTS = """onset | duration | trial_type | value | response_time
2.5 | n/a | target | 2 | 0.41
1.0 | 0.5 | standard | 1 | n/a
3.0 | 0 | n/a | 7 | n/a
n/a | 0 | lost | 9 | n/a
"""


def test_events_are_named_timed_and_labelled(tmp_path):
    path = write(tmp_path, "sub-01/eeg/sub-01_task-odd_eeg.edf")
    table(path.parent / "sub-01_task-odd_events.tsv", EVENTS)
    with pytest.warns(RuntimeWarning, match="1 of 4 events have no onset"):
        events = bids_events(path)
    assert [(e.onset, e.duration, e.name) for e in events] == [
        (1.0, 0.5, "standard"),
        (2.5, 0.0, "target"),
        (3.0, 0.0, "7"),
    ]
    assert events[1].labels == {"trial_type": "target", "value": "2", "response_time": "0.41"}
    with pytest.warns(RuntimeWarning):
        assert [e.name for e in bids_events(path, "value")] == ["1", "2", "7"]


def test_events_take_the_place_of_the_annotations_but_for_bad_stretches(tmp_path):
    marks = [(0.5, 0.0, "Stimulus/S  1"), (2.0, 0.5, "BAD_blink")]
    path = write(tmp_path, "sub-01/eeg/sub-01_task-odd_eeg.edf", recording(annotations=marks))
    table(tmp_path / "task-odd_events.tsv", "onset | duration | trial_type\n1.25 | 0 | go\n")
    raw, _ = opened(path)
    assert list(zip(raw.annotations.onset.round(6), raw.annotations.description, strict=True)) == [
        (1.25, "go"),
        (2.0, "BAD_blink"),
    ]


def test_times_count_from_the_first_sample_of_a_cropped_file(tmp_path):
    path = tmp_path / "sub-01/eeg/sub-01_task-odd_eeg.fif"
    path.parent.mkdir(parents=True)
    raw = recording()
    raw.set_meas_date(1_600_000_000)
    raw.crop(1.0).save(path, verbose="ERROR")
    table(tmp_path / "task-odd_events.tsv", "onset | duration | trial_type\n0.5 | 0 | go\n")
    raw, _ = opened(path)
    events, _ = mne.events_from_annotations(raw, verbose="ERROR")
    assert events[0, 0] - raw.first_samp == round(0.5 * RATE)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("onset | duration\nsoon | 1\n", "row 2 has no time in seconds"),
        ("onset | duration\n1 | -1\n", "row 2 lasts -1 s"),
        ("start | duration\n1 | 1\n", "has no column onset: it has start, duration"),
        ("onset | duration\n1 | 1 | more\n", "row 2 has 3 cells"),
    ],
)
def test_a_damaged_table_of_events_is_refused(text, reason, tmp_path):
    path = write(tmp_path, "sub-01/eeg/sub-01_task-odd_eeg.edf")
    table(path.parent / "sub-01_task-odd_events.tsv", text)
    with pytest.raises(ValueError, match=reason):
        bids_events(path)


# -- data that are not here ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["link", "pointer", "companion"])
def test_data_that_were_not_downloaded_name_the_command(kind, tmp_path):
    path = write(tmp_path, "sub-01/eeg/sub-01_task-rest_eeg.vhdr")
    lost = path if kind != "companion" else path.with_suffix(".eeg")
    lost.unlink()
    if kind == "pointer":
        lost.write_text("/annex/objects/MD5E-s1024--0123456789abcdef.vhdr\n")
    else:
        lost.symlink_to("../../.git/annex/objects/Xx/MD5E-s1024--0123456789abcdef")
    (file,) = bids_recordings(tmp_path)
    with pytest.raises(FileNotFoundError, match=f"{lost.name} was not downloaded.*datalad get .*{lost.name}"):
        read_bids(file.path)


def test_a_tree_written_by_mne_bids_reads_as_there(tmp_path):
    mne_bids = pytest.importorskip("mne_bids")
    raw = recording(annotations=[(1.0, 0.5, "go"), (2.0, 0.0, "stop")])
    raw.set_channel_types({"VEOG": "eog", "EKG1": "ecg", "Trigger": "stim"}, on_unit_change="ignore")
    raw.set_montage("colin27_1005", on_missing="ignore", verbose="ERROR")
    raw.info["line_freq"], raw.info["bads"] = 50.0, ["Fp2"]
    there = mne_bids.BIDSPath(subject="01", session="a", task="go", run="1", root=tmp_path, datatype="eeg")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mne_bids.write_raw_bids(raw, there, format="BrainVision", allow_preload=True, verbose="ERROR")
        expected = mne_bids.read_raw_bids(there, verbose="ERROR")
    (file,) = bids_recordings(tmp_path)
    ours, messages = opened(file.path)
    assert messages == []
    np.testing.assert_allclose(ours.get_data(), expected.get_data())
    assert ours.get_channel_types() == expected.get_channel_types()
    assert ours.info["bads"] == expected.info["bads"] == ["Fp2"] and ours.info["line_freq"] == 50.0
    assert ours.annotations.description.tolist() == expected.annotations.description.tolist()
    np.testing.assert_allclose(ours.annotations.onset, expected.annotations.onset)
    np.testing.assert_allclose(
        [ch["loc"][:3] for ch in ours.info["chs"][:3]],
        [ch["loc"][:3] for ch in expected.info["chs"][:3]],
        atol=1e-4,
    )
