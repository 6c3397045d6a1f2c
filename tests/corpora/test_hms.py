# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from eeg_hf import EEGFeatureExtractor
from eeg_hf.corpora import prepare
from eeg_hf.corpora.hms import HMS, REGIONS, VOTES, read_spectrogram
from eeg_hf.processing.channels import canonical_names

ELECTRODES = [
    "Fp1",
    "F3",
    "C3",
    "P3",
    "F7",
    "T3",
    "T5",
    "O1",
    "Fz",
    "Cz",
    "Pz",
    "Fp2",
    "F4",
    "C4",
    "P4",
    "F8",
    "T4",
    "T6",
    "O2",
]
COLUMNS = (
    "eeg_id,eeg_sub_id,eeg_label_offset_seconds,spectrogram_id,spectrogram_sub_id,"
    "spectrogram_label_offset_seconds,label_id,patient_id,expert_consensus," + ",".join(VOTES)
)
ROWS = [
    "1628180742,0,0.0,353733,0,0.0,127492639,42516,Seizure,3,0,0,0,0,0",
    "1628180742,1,6.0,353733,1,6.0,3887563113,42516,LPD,1,2,0,0,0,1",
    "1628180742,2,20.0,353733,2,20.0,1142670488,42516,GRDA,0,0,0,0,10,5",
    "2277392603,0,0.0,924234,0,0.0,1978807404,30539,GPD,0,0,5,0,1,5",
    "722738444,0,0.0,999431,0,0.0,557980729,42516,Other,0,0,0,0,0,1",
]
FREQUENCIES = [f"{round(0.59 + 0.19525 * i, 2):g}" for i in range(100)]


def write_eeg(path, seconds=70, holes=(), amplitude=30.0):
    """Sines of 10 Hz, each 2 uV larger than the one before; holes are (electrode, start s, stop s)."""
    wave = np.sin(2 * np.pi * 10 * np.arange(200 * seconds) / 200)
    columns = {name: ((amplitude + 2 * i) * wave).astype(np.float32) for i, name in enumerate(ELECTRODES)}
    columns["EKG"] = (900 * wave).astype(np.float32)
    for name, start, stop in holes:
        for hollow in ELECTRODES if name == "all" else [name]:
            columns[hollow][round(200 * start) : round(200 * stop)] = np.nan
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)


def write_spectrogram(path, rows=320):
    """Power that encodes its position: 1000 x region + frequency number + row / 1000."""
    columns = {"time": np.arange(1, 2 * rows, 2)}
    for region, name in enumerate(("LL", "RL", "RP", "LP")):  # not in the order of REGIONS
        for bin_, frequency in enumerate(FREQUENCIES):
            columns[f"{name}_{frequency}"] = (1000 * region + bin_ + np.arange(rows) / 1000).astype(
                np.float32
            )
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "hms"
    for eeg_id in (1628180742, 2277392603):
        write_eeg(folder / "train_eegs" / f"{eeg_id}.parquet")
    (folder / "train.csv").write_text("\n".join([COLUMNS, *ROWS]) + "\n")
    return folder


def test_recordings_are_those_of_the_table_that_are_there(root):
    write_eeg(root / "train_eegs" / "999.parquet", seconds=50)  # in no row
    assert [(r.subject, r.run) for r in HMS().recordings(root)] == [
        ("30539", "2277392603"),
        ("42516", "1628180742"),
    ]


def test_rows_are_events_with_shares_of_the_votes(root):
    corpus = HMS()
    recording = corpus.recordings(root)[1]
    first, second, third = corpus.events(recording, corpus.read(recording))
    assert [(e.onset, e.duration, e.name) for e in (first, second, third)] == [
        (0.0, 50.0, "Seizure"),
        (6.0, 50.0, "LPD"),
        (20.0, 50.0, "GRDA"),
    ]
    assert [second.labels[vote] for vote in VOTES] == [0.25, 0.5, 0.0, 0.0, 0.0, 0.25]
    assert [sum(event.labels[vote] for vote in VOTES) for event in (first, second, third)] == [1.0, 1.0, 1.0]
    assert third.labels["num_votes"] == 15.0 and third.labels["label_id"] == "1142670488"
    assert (third.labels["spectrogram_id"], third.labels["spectrogram_offset_seconds"]) == ("353733", 20.0)
    assert set(third.labels) == set(corpus.label_names)


def test_windows_are_the_rows_in_microvolt_without_the_heart(root, tmp_path, read_windows):
    write_eeg(root / "train_eegs" / "2277392603.parquet", seconds=52)
    report = prepare(
        HMS(), tmp_path / "out", EEGFeatureExtractor(window_seconds=50.0), root=root, segments="events"
    )
    assert report["failures"] == [] and report["windows"] == 4
    rows = read_windows(tmp_path / "out")
    assert [(row["subject"], row["event"], row["start_seconds"]) for row in rows] == [
        ("30539", "GPD", 0.0),
        ("42516", "Seizure", 0.0),
        ("42516", "LPD", 6.0),
        ("42516", "GRDA", 20.0),
    ]
    assert rows[2]["lpd_vote"] == 0.5 and rows[2]["spectrogram_id"] == "353733"
    names = canonical_names(ELECTRODES)
    assert rows[0]["channels"] == names and rows[0]["sampling_rate"] == 200.0
    expected = {name: abs(2 * i - 18.0) for i, name in enumerate(names)}  # against the mean of 48 uV
    assert rows[2]["amplitude"] == pytest.approx(expected, abs=0.3)


def test_short_gaps_are_bridged_and_long_ones_cost_their_windows(root, tmp_path, read_windows):
    holes = [("O1", 10.0, 10.05), ("all", 30.0, 30.5), ("all", 66.0, 68.0)]
    write_eeg(root / "train_eegs" / "1628180742.parquet", holes=holes)
    report = prepare(
        HMS(),
        tmp_path / "out",
        EEGFeatureExtractor(window_seconds=50.0),
        root=root,
        segments="events",
        subjects=["42516"],
    )
    assert report["dropped"] == {"annotated": 1}
    assert [row["event"] for row in read_windows(tmp_path / "out")] == ["Seizure", "LPD"]


def test_a_gap_of_one_electrode_is_marked_and_filled_with_a_straight_line(root):
    write_eeg(root / "train_eegs" / "2277392603.parquet", holes=[("Cz", 20.0, 22.5), ("EKG", 1.0, 9.0)])
    raw = HMS().read(HMS().recordings(root)[0])
    (mark,) = raw.annotations
    assert (mark["description"], mark["onset"], mark["duration"]) == ("BAD_missing", 20.0, 2.5)
    assert np.isfinite(raw.get_data()).all()
    inside = raw.get_data(["Cz"], start=4000, stop=4500)[0]
    assert np.abs(np.diff(inside, 2)).max() < 1e-12


def test_an_electrode_that_was_never_there_is_bad_and_the_others_are_kept(root, tmp_path, read_windows):
    holes = [("T5", 0.0, 70.0), ("Pz", 0.0, 40.0), ("Pz", 69.0, 70.0), ("all", 51.0, 70.0)]
    write_eeg(root / "train_eegs" / "1628180742.parquet", holes=holes)
    prepare(
        HMS(),
        tmp_path / "out",
        EEGFeatureExtractor(window_seconds=50.0),
        root=root,
        segments="events",
        subjects=["42516"],
    )
    (row,) = read_windows(tmp_path / "out")
    assert sorted(row["bad_channels"]) == ["P7", "Pz"] and row["amplitude"]["P7"] == 0.0


def test_a_recording_of_nothing_is_reported(root, tmp_path):
    write_eeg(root / "train_eegs" / "1628180742.parquet", holes=[("all", 0.0, 70.0)])
    (root / "train_eegs" / "2277392603.parquet").write_bytes(b"PAR1 and nothing behind it")
    corpus = HMS()
    broken, empty = corpus.recordings(root)
    with pytest.raises(ValueError, match="1628180742.parquet: no sample of any electrode is finite"):
        corpus.read(empty)
    with pytest.raises(ValueError, match="2277392603.parquet cannot be read"):
        corpus.read(broken)


def test_the_test_part_has_no_votes(root):
    write_eeg(root / "test_eegs" / "3911565283.parquet", seconds=50)
    (root / "test.csv").write_text("spectrogram_id,eeg_id,patient_id\n853520,3911565283,6885\n")
    corpus = HMS(part="test")
    (recording,) = corpus.recordings(root)
    (event,) = corpus.events(recording, corpus.read(recording))
    assert (recording.subject, event.onset, event.name) == ("6885", 0.0, "unlabelled")
    assert event.labels["seizure_vote"] is None and event.labels["spectrogram_id"] == "853520"
    with pytest.raises(ValueError, match="part must be 'train' or 'test'"):
        HMS(part="validation")


def test_what_is_missing_is_named(root):
    (root / "train.csv").write_text("eeg,patient\n1,2\n")
    with pytest.raises(ValueError, match="train.csv lacks eeg_id and patient_id and spectrogram_id"):
        HMS().recordings(root)
    (root / "train.csv").unlink()
    with pytest.raises(FileNotFoundError, match="train.csv is missing; expected train.csv and train_eegs/"):
        HMS().recordings(root)


def test_a_table_written_anew_is_read_anew(root):
    corpus = HMS()
    recording = corpus.recordings(root)[0]
    before = corpus.provenance(recording)
    (root / "train.csv").write_text("\n".join([COLUMNS, ROWS[3].replace("GPD", "LRDA")]) + "\n")
    assert [event.name for event in corpus.events(recording, corpus.read(recording))] == ["LRDA"]
    assert corpus.provenance(recording) != before


def test_spectrograms_have_regions_and_frequencies_in_order(root):
    write_spectrogram(root / "train_spectrograms" / "353733.parquet")
    whole = read_spectrogram(root, 353733)
    part = read_spectrogram(root, "353733", offset_seconds=20.0)
    assert whole.power.shape == (320, 4, 100) and part.power.shape == (300, 4, 100)
    assert part.regions == REGIONS and part.power.dtype == np.float32
    assert part.frequencies[[0, -1]] == pytest.approx([0.59, 19.92]) and (np.diff(part.frequencies) > 0).all()
    assert part.times[[0, -1]].tolist() == [21.0, 619.0]
    region = {"LL": 0, "RL": 1, "RP": 2, "LP": 3}
    assert part.power[5, :, 7] == pytest.approx([1000 * region[name] + 7 + 0.015 for name in REGIONS])


def test_spectrograms_that_are_none_are_refused(root):
    with pytest.raises(FileNotFoundError, match="no spectrogram 1: "):
        read_spectrogram(root, 1)
    write_spectrogram(root / "train_spectrograms" / "2.parquet", rows=305)
    with pytest.raises(ValueError, match="2.parquet has 305 times, expected at least 310"):
        read_spectrogram(root, 2, offset_seconds=20)
    pq.write_table(pa.table({"time": [1], "LL_0.59": [0.0]}), root / "train_spectrograms" / "3.parquet")
    with pytest.raises(ValueError, match="3.parquet: expected time and LL, RL, LP, RP .* got 1 columns"):
        read_spectrogram(root, 3)
