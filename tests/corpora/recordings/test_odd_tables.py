# SPDX-License-Identifier: Apache-2.0
"""Tables that are valid although their rows or signs are unusual."""

import numpy as np
import pytest

from eeg_hf.corpora.recordings.formats import read_recording
from eeg_hf.corpora.recordings.side_table import read_rows


def test_rows_without_their_last_cell_as_mind_monitor_writes_them(tmp_path):
    rows = [f"2021-03-04 10:00:00.{4 * i:03d},{800 + i % 7}.5,{790 - i % 5}.25,80" for i in range(200)]
    rows.insert(100, "2021-03-04 10:00:00.399,,,,/muse/elements/blink")
    path = tmp_path / "muse.csv"
    path.write_text("TimeStamp,RAW_TP9,RAW_AF7,Battery,Elements\n" + "\n".join(rows) + "\n")
    raw = read_recording(path, sampling_rate=250, unit="uV")
    assert raw.n_times == 200 and raw.ch_names[:2] == ["RAW_TP9", "RAW_AF7"]
    assert np.allclose(raw.get_data(picks=[0])[0, :3] * 1e6, [800.5, 801.5, 802.5])
    assert [(round(a["onset"], 3), a["description"]) for a in raw.annotations] == [
        (0.4, "/muse/elements/blink")
    ]


def test_a_row_that_ends_within_its_samples_is_damaged(tmp_path):
    path = tmp_path / "cut.csv"
    path.write_text("C3,C4,Cz\n" + "1.5,2.5,3.5\n" * 50 + "1.5,2.5\n" + "1.5,2.5,3.5\n" * 50)
    with pytest.raises(ValueError, match="cut.csv cannot be read as a table: .* Expected 3 columns, got 2"):
        read_recording(path, sampling_rate=250, unit="uV")


@pytest.mark.parametrize("ends", [("Zeit", "Marker"), ("Zeit", "C4"), ("Fp2", "Marker")])
def test_semicolons_and_decimal_commas_between_whole_numbers(tmp_path, ends):
    first, last = ends
    step = 4 if first == "Zeit" else 1
    rows = [f"{step * i};{i % 9 - 4},544;-{i % 5},316;{i % 3}" for i in range(100)]
    path = tmp_path / "german.csv"
    path.write_text(f"{first};Fp1;C3;{last}\n" + "\n".join(rows) + "\n")
    raw = read_recording(path, sampling_rate=250, unit="uV")
    assert raw.ch_names == [name for name in (first, "Fp1", "C3", last) if name != "Zeit"]
    assert np.allclose(raw.get_data(picks=["Fp1"])[0, 1:3] * 1e6, [-3.544, -2.544])
    assert np.allclose(raw.get_data(picks=["C3"])[0, :3] * 1e6, [0.316 * -1, -1.316, -2.316])


@pytest.mark.parametrize(
    ("name", "match"),
    [("a.trc", "Micromed: export it as EDF"), ("a.e", "Nicolet or Natus: export"), ("a.rhd", "Intan")],
)
def test_a_format_that_is_not_read_is_named_with_a_way_to_convert_it(tmp_path, name, match):
    (tmp_path / name).write_bytes(b"x" * 100)
    with pytest.raises(ValueError, match=f"{name} has a format that is not read, that of {match}"):
        read_recording(tmp_path / name)


def test_a_row_with_a_surplus_cell_is_left_out_and_not_the_corpus(tmp_path, caplog):
    path = tmp_path / "metadata.csv"
    path.write_text("file_name,age\na.edf,1\nb.edf,2,too,many\nc.edf,3,,\n")
    assert read_rows(path) == [{"file_name": "a.edf", "age": "1"}, {"file_name": "c.edf", "age": "3"}]
    assert "row 3 has 4 cells, its header names 2 columns: 1 such rows are left out" in caplog.text
    path.write_text("file_name,age\na.edf,1,2\nb.edf,2,3\n")
    with pytest.raises(ValueError, match="row 2 has 3 cells, its header names 2 columns"):
        read_rows(path)
