# SPDX-License-Identifier: Apache-2.0
import pickle

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from eeg_hf import EEGFeatureExtractor
from eeg_hf.corpora import Simulated, prepare
from eeg_hf.corpora.recordings.recording_names import RecordingNames
from eeg_hf.corpora.recordings.side_table import column_types, read_rows
from eeg_hf.corpora.windows.label_table import LabelTable

TEXT = """recording,onset,duration,event,grade,rater
S01/night.edf,130,10,slow,3,anna
S01/night.edf,120.5,10,slow,2,n/a
S02/night.edf,0,,,,ben
"""


def test_rows_become_events_with_labels(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text(TEXT)
    labels = pickle.loads(pickle.dumps(LabelTable.read(path)))
    assert labels.label_names == {"grade": float, "rater": str}
    first, second = labels.events_of("S01/night.edf")
    assert (first.onset, first.duration, first.name) == (120.5, 10.0, "slow")
    assert first.labels == {"grade": 2.0, "rater": None} and second.onset == 130.0
    (other,) = labels.events_of("S02/night.edf")
    assert (other.duration, other.name, other.labels["grade"]) == (0.0, "row", None)
    assert labels.events_of("S03/night.edf") == []


def test_films_listed_beside_a_corpus_give_windows_their_second(tmp_path, read_windows):
    path = tmp_path / "films.csv"
    rows = ["recording,onset,duration,event,stimulus,stimulus_seconds"]
    rows += ["00_rest,2.3,6,film,clip,10", "01_rest,3.117,6,film,clip,10", "01_task,1,6,other,,"]
    path.write_text("\n".join(rows) + "\n")
    corpus, extractor = Simulated(2, seconds=12), EEGFeatureExtractor(100.0, window_seconds=2.0)
    table = LabelTable.read(path)
    prepare(corpus, tmp_path / "out", extractor, segments="annotations", label_table=table)
    found = [(r["subject"], r["stimulus"], r["stimulus_seconds"]) for r in read_windows(tmp_path / "out")]
    films = [(who, "clip", second) for who in ("00", "01") for second in (10.0, 12.0, 14.0)]
    assert found == [*films, *[("01", None, None)] * 3]


@pytest.mark.parametrize("text", ["S01/night.edf", "S01/night", "D:\\lab\\s01\\NIGHT.EDF", "./S01/night.edf"])
def test_a_recording_is_named_by_path_name_or_stem(text, tmp_path):
    path = tmp_path / "labels.tsv"
    path.write_text(f"recording\tonset\n{text}\t1\nelse.edf\t1\n")
    labels = LabelTable.read(path)
    names = ["S01/night.edf", "S02/night.edf"]
    assert [len(labels.events_of(name)) for name in names] == [1, 0]
    assert labels.unmatched(names) == ["else.edf"]


def test_a_name_that_could_be_two_recordings_is_refused_with_both(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("recording,onset\nnight,1\n")
    labels = LabelTable.read(path)
    with pytest.raises(ValueError, match=r"'night' names 2 recordings: S01/night.edf, S02/night.edf"):
        labels.unmatched(["S01/night.edf", "S02/night.edf"])
    with pytest.raises(ValueError, match=r"names 2 recordings: night.edf, night.set"):
        labels.unmatched(["night.edf", "night.set"])
    assert labels.unmatched(["night.edf", "day.edf"]) == []


def test_a_parquet_table_with_columns_of_other_names(tmp_path):
    path = tmp_path / "train.parquet"
    columns = {
        "eeg_id": [7, 7, 8],
        "offset": [0.0, 50.0, 2.0],
        "votes": [3, 1, 2],
        "subject": ["a", "b", "c"],
    }
    pq.write_table(pa.table(columns), path)
    labels = LabelTable.read(path, recording="eeg_id", onset="offset")
    assert labels.label_names == {"votes": float, "subject_label": str}
    assert [e.labels["votes"] for e in labels.events_of("train_eegs/7.parquet")] == [3.0, 1.0]


def test_the_digest_changes_with_the_table_and_with_how_it_is_read(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text(TEXT)
    same, again = LabelTable.read(path), LabelTable.read(path)
    assert same.fingerprint == again.fingerprint != LabelTable.read(path, event="rater").fingerprint
    path.write_text(TEXT.replace("anna", "carl"))
    assert LabelTable.read(path).fingerprint != same.fingerprint


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("file,onset\na,1\n", "has no column recording: it has file, onset"),
        ("recording,onset\na,soon\n", "row 2 has no time in seconds"),
        ("recording,onset\na,1\nb,\n", "row 3 has no time in seconds"),
        ("recording,onset\n,1\n", "row 2 names no recording"),
        ("recording,onset,duration\na,1,-2\n", "row 2 lasts -2 s"),
        ("recording,onset\na,inf\n", "not finite"),
    ],
)
def test_a_row_without_recording_or_time_is_refused(text, reason, tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=reason):
        LabelTable.read(path)


def test_a_table_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="label table .*labels.csv not found"):
        LabelTable.read(tmp_path / "labels.csv")


# -- tables as people write them -----------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_any_delimiter_encoding_and_line_ending(encoding, delimiter, tmp_path):
    path = tmp_path / "people.csv"
    lines = [["name", "unit", "age"], ["J\u00fcrgen", "\u00b5V", "41"], ["", "n/a", "NaN"], ["Ann", "", ""]]
    path.write_bytes("\r\n".join(delimiter.join(line) for line in lines).encode(encoding))
    rows = read_rows(path)
    assert rows[0] == {"name": "J\u00fcrgen", "unit": "\u00b5V", "age": "41"}
    assert rows[-1] == {"name": "Ann", "unit": None, "age": None}
    assert column_types(rows) == {"name": str, "unit": str, "age": float}


def test_quoted_cells_and_stray_quotation_marks(tmp_path):
    (tmp_path / "a.csv").write_text('name,note\n"Doe, J","said ""no"""\n')
    (tmp_path / "a.tsv").write_text('name\tnote\nDoe\t"5 inch\nRoe\tok\n')
    assert read_rows(tmp_path / "a.csv") == [{"name": "Doe, J", "note": 'said "no"'}]
    assert [row["name"] for row in read_rows(tmp_path / "a.tsv")] == ["Doe", "Roe"]
    (tmp_path / "a.csv").write_text('name,note\n"Doe, J\nRoe,ok\n')
    with pytest.raises(ValueError, match="is damaged"):
        read_rows(tmp_path / "a.csv")


@pytest.mark.parametrize("suffix", [".parquet", ".xlsx", ".jsonl"])
def test_a_damaged_table_is_refused_by_its_name(suffix, tmp_path):
    if suffix == ".xlsx":
        pytest.importorskip("openpyxl")
    path = tmp_path / f"people{suffix}"
    path.write_bytes(b"[" * 100_000)
    with pytest.raises(ValueError, match=f"people{suffix}"):
        read_rows(path)


@pytest.mark.parametrize("text", ["", "\n\n", "name,age\n"])
def test_a_table_without_rows_is_empty(text, tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(text)
    assert read_rows(path) == []


def test_names_that_differ_only_in_case_are_told_apart_by_the_exact_one():
    names = RecordingNames(["a/X.edf", "a/x.edf"])
    assert names.find("a/x.edf") == "a/x.edf" and names.find("b.edf") is None
    with pytest.raises(ValueError, match="names 2 recordings"):
        names.find("x.edf")


def test_a_table_of_excel_where_the_decimal_sign_is_a_comma(tmp_path):
    path = tmp_path / "a.csv"
    text = "recording;onset;duration;grade;note\na;0,5;10;1,5;1,5\na;12,25;10;;sch\u00e4fe\n"
    path.write_bytes(text.encode("cp1252"))
    first, second = LabelTable.read(path).events_of("a.edf")
    assert (first.onset, second.onset, second.labels["grade"]) == (0.5, 12.25, None)
    assert dict(first.labels) == {"grade": 1.5, "note": "1,5"} and second.labels["note"] == "sch\u00e4fe"
