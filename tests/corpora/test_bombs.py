# SPDX-License-Identifier: Apache-2.0
"""Small files that want gigabytes are refused in one line, before anything is allocated."""

import gzip
import io
import json
import zipfile
import zlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from eeg_hf import EEGFeatureExtractor, EEGFoundationConfig
from eeg_hf.corpora.recordings import memory_bound
from eeg_hf.corpora.recordings.eeg_feature import Eeg
from eeg_hf.corpora.recordings.formats import read_recording
from eeg_hf.corpora.recordings.side_table import read_rows
from eeg_hf.processing.filtering import check_filters, resample
from tests.corpora.mutations import write_set


@pytest.fixture
def little(monkeypatch):
    """Allow a megabyte instead of 256, so that a bomb of a few megabytes is one."""
    monkeypatch.setattr(memory_bound, "_FREE_BYTES", 2**20)


def test_a_zip_whose_entries_share_their_bytes(tmp_path):
    buffer, content = io.BytesIO(), bytes(5_000)
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.edf", content)
        for number in range(200):  # the same local entry again
            entry = zipfile.ZipInfo("a.edf")
            entry.header_offset, entry.file_size, entry.compress_size = 0, len(content), len(content)
            entry.CRC = zlib.crc32(content)
            entry.filename = f"b{number}.edf"
            archive.filelist.append(entry)
    with pytest.raises(ValueError, match=r"has \d+ bytes and promises 1005000: refused"):
        Eeg().decode_example({"path": None, "bytes": buffer.getvalue()})


@pytest.mark.parametrize("values", [np.zeros(200_000), pa.repeat(pa.scalar("x" * 1000), 20_000)])
def test_parquet(tmp_path, little, values):
    pq.write_table(pa.table({f"c{i}": values for i in range(2)}), tmp_path / "a.parquet")
    assert (tmp_path / "a.parquet").stat().st_size < 20_000
    with pytest.raises(ValueError, match="wants .* MiB of memory, expected at most 1"):
        read_recording(tmp_path / "a.parquet", sampling_rate=128, unit="uV")
    with pytest.raises(ValueError, match="wants .* MiB of memory"):
        read_rows(tmp_path / "a.parquet")


def test_a_compressed_matlab_file(tmp_path, little):
    write_set(tmp_path / "a.set")
    head = (tmp_path / "a.set").read_bytes()[:128]
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(bytes(2**20)) for _ in range(4)) + packer.flush()
    element = np.array([15, len(packed)], "<u4").tobytes() + packed
    (tmp_path / "a.set").write_bytes(head + element)
    with pytest.raises(ValueError, match="a.set .*: a variable .* wants . MiB of memory"):
        read_recording(tmp_path / "a.set")


def test_a_chunked_hdf5_file(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "a.set", "w") as file:
        file.create_dataset("EEG/data", (10**9, 4), "f8", chunks=(1000, 4))
    with pytest.raises(ValueError, match="a.set of .* bytes wants 30518 MiB of memory"):
        read_recording(tmp_path / "a.set")


def test_a_compressed_fif_file(tmp_path, little):
    with gzip.open(tmp_path / "a_raw.fif.gz", "wb") as file:
        file.write(bytes(2**22))
    with pytest.raises(ValueError, match="a_raw.fif.gz of .* bytes wants .* MiB"):
        read_recording(tmp_path / "a_raw.fif.gz")


def test_a_workbook(tmp_path, little):
    pytest.importorskip("openpyxl")
    with zipfile.ZipFile(tmp_path / "metadata.xlsx", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet1.xml", bytes(2**22))
    with pytest.raises(ValueError, match="metadata.xlsx of .* bytes wants 4 MiB"):
        read_rows(tmp_path / "metadata.xlsx")


@pytest.mark.parametrize(
    ("setting", "match"),
    [
        ({"notch_hz": 1e-6}, "notch_hz=1e-06 Hz and its multiples are no line noise"),
        ({"highpass_hz": 1e-5}, "highpass_hz=1e-05 Hz needs a filter of 6.6e.07 samples at 200 Hz"),
        ({"sampling_rate": 1e12}, "sampling_rate must be at most 1e.06"),
        ({"window_seconds": 1e12}, "window_seconds must be at most 1e.06"),
    ],
)
def test_settings_of_a_stranger(tmp_path, setting, match):
    EEGFeatureExtractor().save_pretrained(tmp_path)
    path = tmp_path / "preprocessor_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **setting}))
    with pytest.raises(ValueError, match=match):
        EEGFeatureExtractor.from_pretrained(tmp_path)


def test_filters_that_the_rate_of_a_file_makes_endless():
    with pytest.raises(ValueError, match="lowpass_hz=99.9999 Hz needs a filter of 6.6e.06|at most"):
        check_filters(200.0, 400.0, None, 99.99999, None)
    with pytest.raises(ValueError, match="highpass_hz=0.01 Hz needs a filter"):
        check_filters(1e6, 200.0, 0.01, None, None)
    check_filters(5000.0, 200.0, 0.01, 45.0, 50.0)


def test_rates_without_a_small_ratio_are_changed_without_a_filter_of_gigabytes():
    t = np.arange(2000) / 173.613
    changed = resample(np.sin(2 * np.pi * 5 * t)[None], 173.613, 256.001)
    expected = np.sin(2 * np.pi * 5 * np.arange(changed.shape[1]) / 256.001)
    assert np.abs(changed[0] - expected)[200:-200].max() < 2e-3


@pytest.mark.parametrize(
    ("field", "value"),
    [("num_hidden_layers", 100_000), ("hidden_size", 2**40), ("num_channels", 200_000)],
)
def test_a_config_of_a_stranger(field, value):
    with pytest.raises(ValueError, match=f"{field}: expected at most"):
        EEGFoundationConfig(**{field: value})


def test_a_matlab_file_of_zeros_is_still_read(tmp_path):
    write_set(tmp_path / "a.set", pnts=2_000_000.0, data=np.zeros((3, 2_000_000), np.float32))
    assert (tmp_path / "a.set").stat().st_size < 100_000
    assert read_recording(tmp_path / "a.set").n_times == 2_000_000
