# SPDX-License-Identifier: Apache-2.0
import json
import warnings

import mne
import numpy as np
import pyarrow.parquet as pq
import pytest

from eeg_hf import EEGFeatureExtractor
from eeg_hf.corpora import prepare
from eeg_hf.corpora.hbn import HBN

NET = "GSN-HydroCel-129"
UV = 30.0
PEOPLE = (
    "participant_id\trelease_number\tsex\tage\tehq_total\tcommercial_use\tfull_pheno\tp_factor\tattention\t"
    "internalizing\texternalizing\tRestingState\tDespicableMe\tcontrastChangeDetection_1\n"
)
# Two answered trials, one without an answer, one whose target never came, and the last, which nothing closes.
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


def write_recording(path, rate, has_reference=True, seconds=15):
    """129 channels, a sine of 5 Hz whose amplitude halves from E1 to E2; Cz is all zero."""
    names = [f"E{number}" for number in range(1, 129)] + ["Cz"] * has_reference
    gain = np.linspace(0.5, 1.0, len(names))
    gain[0] = 1.0
    gain[-1] *= not has_reference
    sine = UV * 1e-6 * np.sin(2 * np.pi * 5 * np.arange(round(seconds * rate)) / rate)
    raw = mne.io.RawArray(np.outer(gain, sine), mne.create_info(names, rate, "eeg"), verbose="ERROR")
    path.parent.mkdir(parents=True, exist_ok=True)
    options = {"physical_range": (-1000, 1000)} if path.suffix == ".bdf" else {}
    raw.export(path, overwrite=True, verbose="ERROR", **options)
    channels = ["name\ttype\tunits"] + [f"{name}\tEEG\tuV" for name in names]
    stem = path.name.removesuffix(f"_eeg{path.suffix}")
    path.with_name(f"{stem}_channels.tsv").write_text("\n".join(channels) + "\n")
    return path.with_name(f"{stem}_events.tsv")


def write_release(root, name, people, suffix=".bdf", rate=100, tasks=("contrastChangeDetection_run-1",)):
    """A release as it is published; people: subject -> cells of participants.tsv from release to factors."""
    folder = root / name
    for subject in people:
        for task in tasks:
            path = folder / f"sub-{subject}" / "eeg" / f"sub-{subject}_task-{task}_eeg{suffix}"
            events = write_recording(path, rate)
            is_film = task == "DespicableMe"
            rows = [(1.0, "video_start", ""), (14.0, "video_stop", "")] if is_film else TRIALS
            head = "onset\tduration\tvalue\tevent_code" + ("" if is_film else "\tfeedback")
            lines = [head] + [f"{o}\tn/a\t{v}\t5" + ("" if is_film else f"\t{f}") for o, v, f in rows]
            events.write_text("\n".join(lines) + "\n")
            settings = {"TaskName": task.split("_")[0], "SamplingFrequency": rate, "PowerLineFrequency": 60}
            settings |= {"EEGReference": "Cz", "SoftwareFilters": "n/a"}
            (folder / f"task-{task.split('_')[0]}_eeg.json").write_text(json.dumps(settings))
    rows = [f"sub-{subject}\t{cells}\tavailable\tunavailable\tcaution" for subject, cells in people.items()]
    (folder / "participants.tsv").write_text(PEOPLE + "\n".join(rows) + "\n")
    (folder / "dataset_description.json").write_text('{"Name": "HBN", "BIDSVersion": "1.9.0"}')
    return folder


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
        *(HBN(), tmp_path / "hbn", tmp_path / "out", extractor),
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
    assert [(event.onset, event.name) for event in events] == [(1.0, "video_start"), (14.0, "video_stop")]
    next(tmp_path.rglob("*_events.tsv")).unlink()
    with pytest.raises(FileNotFoundError, match="_task-DespicableMe_eeg.bdf has no events.tsv"):
        corpus.events(recording, raw)


def test_full_and_mini_copies_in_one_folder_are_refused(tmp_path):
    for name in ("R5_L100_bdf", "R5_mini_L100_bdf"):
        write_release(tmp_path, name, {"NDARAA000001": CELLS.format("R5")})
    with pytest.raises(ValueError, match="more than once, first subject NDARAA000001"):
        HBN().recordings(tmp_path)


def test_an_empty_folder_says_what_was_expected(tmp_path):
    with pytest.raises(FileNotFoundError, match="expected BIDS folders of releases, such as ds005505/"):
        HBN().recordings(tmp_path)
