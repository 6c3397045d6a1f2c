# SPDX-License-Identifier: Apache-2.0
import zipfile

import numpy as np
import pyarrow.parquet as pq
import pytest

from eeg_hf import EEGFeatureExtractor
from eeg_hf.corpora import prepare
from eeg_hf.corpora.bonn import NUM_SAMPLES, RATE, Bonn
from tests.recordings import real_recordings

REAL, needs_recordings = real_recordings("bonn")
NAMES = ("A_Z/Z001.txt", "B_O/O001.txt", "C_N/N001.TXT", "D_F/F001.txt", "E_S/S001.txt", "E_S/S002.txt")
UV = 200.0


def segment(seed, amplitude=UV):
    """Return integers, one per line, with the line endings of the published files."""
    time = np.arange(NUM_SAMPLES) / RATE
    samples = amplitude * np.sin(2 * np.pi * 8 * time) + np.random.default_rng(seed).normal(size=NUM_SAMPLES)
    return "".join(f"{round(value)}\r\n" for value in samples)


def write_folders(root):
    for seed, name in enumerate(NAMES):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(segment(seed).encode())
    return root


def write_zips(root):
    """Write the five published archives, Z.zip to S.zip."""
    for seed, name in enumerate(NAMES):
        folder, file = name.split("/")
        with zipfile.ZipFile(root / f"{folder[-1]}.zip", "a") as archive:
            archive.writestr(file, segment(seed))
    return root


def write_one_zip(root):
    with zipfile.ZipFile(root / "bonn.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for seed, name in enumerate(NAMES):
            archive.writestr(name, segment(seed))
    return root


@pytest.mark.parametrize("write", [write_folders, write_zips, write_one_zip])
def test_sets_and_conditions_follow_from_the_letter_however_packed(write, tmp_path):
    corpus = Bonn()
    found = corpus.recordings(write(tmp_path))
    assert [(r.subject, r.session, r.run, r.labels["condition"], r.labels["seizure"]) for r in found] == [
        ("patients", "C", "001", "interictal_opposite", "no"),
        ("patients", "D", "001", "interictal_focus", "no"),
        ("patients", "E", "001", "seizure", "yes"),
        ("patients", "E", "002", "seizure", "yes"),
        ("volunteers", "A", "001", "eyes_open", "no"),
        ("volunteers", "B", "001", "eyes_closed", "no"),
    ]
    raw = corpus.read(found[0])
    assert (raw.ch_names, raw.info["sfreq"], raw.n_times) == (["EEG"], RATE, NUM_SAMPLES)
    assert np.abs(raw.get_data()).max() == pytest.approx(UV * 1e-6, rel=0.03)


def test_prepared_windows_keep_amplitude_and_labels(tmp_path):
    extractor = EEGFeatureExtractor(RATE, 0.5, 40.0, reference="original", window_seconds=4.0)
    report = prepare(Bonn(), tmp_path / "out", extractor, root=write_one_zip(tmp_path))
    assert report["failures"] == [] and report["windows"] == 6 * 5
    rows = pq.read_table(tmp_path / "out" / "data").to_pydict()
    assert sorted(set(zip(rows["set"], rows["seizure"], strict=True))) == [
        *(("A", "no"), ("B", "no"), ("C", "no"), ("D", "no"), ("E", "yes"))
    ]
    signal = np.frombuffer(rows["signal"][2], "<i2") * rows["scale"][2][0]
    assert rows["channels"][2] == ["EEG"] and np.isfinite(rows["channel_positions"]).all()
    assert np.std(signal) * np.sqrt(2) == pytest.approx(UV, rel=0.02)


def test_an_archive_that_changes_is_prepared_anew(tmp_path):
    (recording, *_) = Bonn().recordings(write_one_zip(tmp_path))
    before = Bonn().provenance(recording)
    with zipfile.ZipFile(tmp_path / "bonn.zip", "a") as archive:
        archive.writestr("note.txt", "one more")
    assert Bonn().provenance(recording) != before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (segment(0)[:1000], "has .* samples, expected 4097"),
        (segment(0).replace("\r\n", "\r\nx", 1), ": expected one number per line"),
        ("nan" + segment(0)[1:], "has 4097 samples, expected 4097 finite ones"),
        ("", "has 0 samples"),
    ],
)
def test_segments_that_are_not_whole_are_refused(text, message, tmp_path):
    (tmp_path / "Z001.txt").write_text(text)
    (recording,) = Bonn().recordings(tmp_path)
    with pytest.raises(ValueError, match=f"Z001.txt.*{message}"):
        Bonn().read(recording)


def test_folders_beside_their_archive_and_damaged_archives_are_refused(tmp_path):
    write_one_zip(write_folders(tmp_path))
    with pytest.raises(ValueError, match="more than once.*keep one copy"):
        Bonn().recordings(tmp_path)
    (tmp_path / "bonn.zip").write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(ValueError, match="bonn.zip is not a complete .zip file"):
        Bonn().recordings(tmp_path)


@needs_recordings
def test_the_real_sets_are_whole_and_seizures_are_large():
    corpus = Bonn()
    found = corpus.recordings(REAL)
    assert len(found) == 500
    amplitude = {}
    for recording in found[::10]:
        condition = recording.labels["condition"]
        amplitude.setdefault(condition, []).append(np.median(np.abs(corpus.read(recording).get_data())) * 1e6)
    medians = {condition: np.median(values) for condition, values in amplitude.items()}
    assert set(medians) == {
        *("eyes_open", "eyes_closed", "interictal_opposite", "interictal_focus", "seizure")
    }
    assert medians["seizure"] > 3 * max(value for name, value in medians.items() if name != "seizure")
    assert 10 < medians["eyes_open"] < 60
