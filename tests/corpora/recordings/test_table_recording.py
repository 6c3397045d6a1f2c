# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.recordings import real_recordings

from eeg_hf.corpora.recordings.formats import read_recording

REAL, needs_recordings = real_recordings("formats/csv_muse")
RATE = 128.0
NAMES = ["TP9", "AF7", "AF8", "TP10"]
SAMPLES = 20.0 * np.random.default_rng(0).normal(size=(256, 4)).round(3)  # uV


def table(
    delimiter: str = ",", header: bool = True, comma: bool = False, before: str = "", end: str = "\n"
) -> str:
    lines = [delimiter.join(NAMES)] if header else []
    rows = [delimiter.join(f"{value:.5f}" for value in row) for row in SAMPLES]
    lines += [row.replace(".", ",") if comma else row for row in rows]
    return before + end.join(lines) + end


def read(path: Path, content: str | bytes, **options):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_recording(path, **{"sampling_rate": RATE, "unit": "uV", **options})


@pytest.mark.parametrize(
    "content",
    [
        table(),
        table(";"),
        table("\t"),
        table(" "),
        table("   "),
        table("|"),
        table(";", comma=True),
        table("\t", comma=True),
        table(end="\r\n"),
        table(end="\r"),
        table(before="\ufeff"),
        table(before="# device: X\n% 128 Hz\n\n"),
        table().encode("utf-16"),
        table(end=",\n"),
    ],
)
@pytest.mark.parametrize("suffix", [".csv", ".txt"])
def test_every_habit_of_writing_a_table_gives_the_same_volts(tmp_path, content, suffix):
    raw = read(tmp_path / f"a{suffix}", content)
    assert raw.ch_names == NAMES and raw.info["sfreq"] == RATE
    assert np.allclose(raw.get_data().T * 1e6, SAMPLES, atol=1e-9)


@pytest.mark.parametrize(("unit", "factor"), [("uV", 1e-6), ("\u00b5V", 1e-6), ("mV", 1e-3), ("V", 1.0)])
def test_the_stated_unit_counts(tmp_path, unit, factor):
    assert np.allclose(read(tmp_path / "a.tsv", table("\t"), unit=unit).get_data().T, SAMPLES * factor)


def test_a_table_without_names_of_one_or_more_columns(tmp_path):
    raw = read(tmp_path / "a.csv", table(header=False))
    assert raw.ch_names == ["EEG 001", "EEG 002", "EEG 003", "EEG 004"] and raw.n_times == 256
    one = "\n".join(str(i % 50) for i in range(4097))  # like the Bonn files
    raw = read(tmp_path / "Z001.txt", one, sampling_rate=173.61)
    assert raw.ch_names == ["EEG 001"] and raw.n_times == 4097
    counted = ",".join("0123") + "\n" + table(header=False)  # pandas' names of unnamed columns
    assert read(tmp_path / "b.csv", counted).n_times == 256


@pytest.mark.parametrize("missing", ["sampling_rate", "unit"])
def test_rate_and_unit_must_be_stated(tmp_path, missing):
    with pytest.raises(ValueError, match=f"a.csv is a table and does not state its .*: set {missing}="):
        read(tmp_path / "a.csv", table(), **{missing: None})


def with_times(times: np.ndarray, name: str = "timestamps", form: str = "{}") -> str:
    rows = [
        f"{form.format(t)},{','.join(f'{v:.3f}' for v in row)},{i % 9 == 0:d}"
        for i, (t, row) in enumerate(zip(times, SAMPLES, strict=True))
    ]
    return "\n".join([f"{name},{','.join(NAMES)},Marker0", *rows])


@pytest.mark.parametrize(
    ("name", "scale"),
    [("timestamps", 1.0), ("Time (ms)", 1e3), ("time", 1e6), ("LSL Timestamp", 1.0), ("t", 1.0)],
)
def test_times_are_no_channel_and_are_compared_with_the_rate(tmp_path, name, scale):
    times = (1528297607.9 + np.arange(256) / RATE) * scale
    raw = read(tmp_path / "a.csv", with_times(times, name, "{:.3f}"))
    assert raw.ch_names == [*NAMES, "Marker0"]
    assert raw.get_channel_types() == ["eeg"] * 4 + ["stim"]
    assert raw.get_data("stim").max() == 1.0  # triggers are not scaled
    with pytest.raises(ValueError, match=r"a.csv contradicts 256 Hz: its times advance at"):
        read_recording(tmp_path / "a.csv", sampling_rate=256.0, unit="uV")
    with pytest.raises(ValueError, match=r"set sampling_rate= \(its times advance at"):
        read_recording(tmp_path / "a.csv", unit="uV")


def test_dates_are_times_too(tmp_path):
    stamps = np.datetime64("2024-05-01T12:00:00.000") + (np.arange(256) * 1000 / RATE).astype(
        "timedelta64[ms]"
    )
    raw = read(tmp_path / "a.csv", with_times(stamps))
    assert raw.ch_names == [*NAMES, "Marker0"]
    with pytest.raises(ValueError, match="contradicts 100 Hz"):
        read_recording(tmp_path / "a.csv", sampling_rate=100.0, unit="uV")


def test_a_pause_between_two_rows_is_marked(tmp_path):
    times = np.arange(256) / RATE + np.where(np.arange(256) >= 128, 30.0, 0.0)
    raw = read(tmp_path / "a.csv", with_times(times))
    assert {(a["description"], a["onset"]) for a in raw.annotations} == {
        ("BAD boundary", 1.0),
        ("EDGE boundary", 1.0),
    }
    with pytest.raises(ValueError, match="b.csv is not in order of time: its times go back at row 200"):
        read(
            tmp_path / "b.csv", with_times(np.where(np.arange(256) >= 199, -3.0, 0.0) + np.arange(256) / RATE)
        )


def test_an_index_is_no_channel(tmp_path):
    lines = table().splitlines()
    rows = [f",{lines[0]}", *(f"{i},{line}" for i, line in enumerate(lines[1:]))]
    assert read(tmp_path / "a.csv", "\n".join(rows)).ch_names == NAMES
    rows = [f"Sample Index,{lines[0]}", *(f"{i % 256},{line}" for i, line in enumerate(lines[1:]))]
    assert read(tmp_path / "b.csv", "%OpenBCI Raw EEG Data\n" + "\n".join(rows)).ch_names == NAMES


def test_text_in_a_column_that_is_mostly_empty_are_marks(tmp_path):
    lines = table().splitlines()
    rows = [f"{lines[0]},Elements", *(f"{line}," for line in lines[1:])]
    rows[11] += "blink"
    rows.insert(33, ",,,,/muse/marker/1")  # a row without samples
    raw = read(tmp_path / "a.csv", "\n".join(rows))
    assert raw.ch_names == NAMES and np.allclose(raw.get_data().T * 1e6, SAMPLES, atol=1e-9)
    assert [(round(a["onset"] * RATE), a["description"]) for a in raw.annotations] == [
        (10, "blink"),
        (32, "/muse/marker/1"),
    ]


def test_lines_before_the_names_of_the_columns_are_no_part_of_the_table(tmp_path):
    before = "title:rest,headset type:EPOCX,channels:60\nsecond,line\n"
    assert np.allclose(read(tmp_path / "a.csv", table(before=before)).get_data().T * 1e6, SAMPLES, atol=1e-9)
    with pytest.raises(ValueError, match="cannot be read as a table"):  # names fewer than columns
        read(tmp_path / "b.csv", "TP9,AF7\n" + table(header=False))


def test_what_headsets_write_beside_their_samples_is_no_eeg(tmp_path):
    others = ["Delta_TP9", "HSI_AF7", "CQ.AF3", "MOT.AccX", "MOT.Q0", "EEG.RawCq", "MarkerIndex", "AUX_RIGHT"]
    lines = table().splitlines()
    rows = [",".join([lines[0], *others]), *(line + ",0.5" * len(others) for line in lines[1:])]
    raw = read(tmp_path / "a.csv", "\n".join(rows))
    assert raw.copy().pick("eeg").ch_names == NAMES


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "subject,age,sex\ns01,20,F\ns02,21,M\n",
            r"columns without numbers: subject \('s01'\), sex \('F'\)",
        ),
        ("Fp1,Fp1\n1,2\n3,4\n", "columns of the same name: Fp1"),
        ("Fp1,Cz\n1,2\n3\n", "cannot be read as a table: .*Expected 2 columns, got 1"),
        ("Fp1,Cz\n", "not a table of samples"),
        ("\n".join([",".join(["1.5"] * 500)] * 19), "has 19 rows and 500 columns: .*transpose it"),
        ("Read me: this folder holds recordings.\nThey are good.\n", "a.csv"),
        (b"\x00\x01\x02\x03" * 50, "is not a text file"),
        ("", "is empty"),
    ],
)
def test_what_is_no_table_of_samples_is_refused_in_one_line(tmp_path, content, message):
    with pytest.raises(ValueError, match=f"a.csv .*{message}|{message}") as caught:
        read(tmp_path / "a.csv", content)
    assert "a.csv" in str(caught.value) and "\n" not in str(caught.value)


def test_missing_samples_stay_missing(tmp_path):
    lines = table().splitlines()
    lines[3], lines[4] = ",1.5,NaN,2", "1,2,3,n/a"
    data = read(tmp_path / "a.csv", "\n".join(lines)).get_data()
    assert np.argwhere(np.isnan(data)).tolist() == [[0, 2], [2, 2], [3, 3]]


def test_parquet_with_an_ekg_and_an_index(tmp_path):
    columns = {"Fp1": SAMPLES[:, 0].astype("f4"), "EKG": SAMPLES[:, 1].astype("f4"), "n": ["x"] * 256}
    path = tmp_path / "1000.parquet"
    pq.write_table(pa.table(columns), path)
    with pytest.raises(ValueError, match=r"1000.parquet has columns without numbers: n \('x'\)"):
        read_recording(path, sampling_rate=200.0, unit="uV")
    columns["__index_level_0__"] = np.arange(256)
    del columns["n"]
    pq.write_table(pa.table(columns), path)
    raw = read_recording(path, sampling_rate=200.0, unit="uV")
    assert raw.ch_names == ["Fp1", "EKG"] and raw.get_channel_types() == ["eeg", "ecg"]
    assert np.allclose(raw.get_data()[0] * 1e6, SAMPLES[:, 0], atol=1e-5)


@needs_recordings
def test_a_real_muse_table():
    path = next(REAL.glob("*.csv"))
    raw = read_recording(path, sampling_rate=256, unit="uV")
    assert raw.ch_names == [*NAMES, "Right AUX", "Marker0"]
    expected = np.genfromtxt(path, delimiter=",", skip_header=1)
    assert np.allclose(raw.get_data()[:4].T * 1e6, expected[:, 1:5])
    assert np.array_equal(raw.get_data()[5], expected[:, 6])
