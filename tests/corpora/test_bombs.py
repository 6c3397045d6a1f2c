# SPDX-License-Identifier: Apache-2.0
"""Small files that want gigabytes are refused in one line, before anything is allocated."""

import gzip
import io
import json
import re
import struct
import zipfile
import zlib

import mne
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from eeg_hf import EEGFeatureExtractor, EEGFoundationConfig
from eeg_hf.corpora.recordings import memory_bound
from eeg_hf.corpora.recordings.eeg_feature import Eeg
from eeg_hf.corpora.recordings.formats import read_recording
from eeg_hf.corpora.recordings.side_table import read_rows
from eeg_hf.processing.filtering import check_filters, resample
from tests.corpora.mutations import export, write_gdf, write_set
from tests.corpora.test_amplifier_formats import write_curry, write_nicolet, write_persyst


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
        ({"sampling_rate": 1e12}, "sampling_rate must be at most 100000"),
        ({"window_seconds": 1e12}, "window_seconds must be at most 86400"),
        ({"clip": 1e308}, "clip must be at most 1e.30"),
        ({"clip": 1e-300}, "clip must be at least 0.001"),  # every sample would be zero
        ({"reference": None}, "reference must be a list of channel names, got None"),
    ],
)
def test_settings_of_a_stranger(tmp_path, setting, match):
    EEGFeatureExtractor().save_pretrained(tmp_path)
    path = tmp_path / "preprocessor_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **setting}))
    with pytest.raises(ValueError, match=match):
        EEGFeatureExtractor.from_pretrained(tmp_path)


def test_a_window_that_is_all_padding():
    extractor = EEGFeatureExtractor(window_seconds=86400.0)
    seconds = np.random.default_rng(0).normal(scale=20.0, size=(4, 2000))
    with pytest.raises(ValueError, match="window_seconds=86400, but the recording has 10 s"):
        extractor(seconds, sampling_rate=200, channel_names=["C3", "C4", "F3", "F4"], unit="uV")


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


def claim_brainvision(path):
    export(path, "brainvision", False)
    text = path.read_text()
    rest = text.partition("Ch1=")[2].partition("\n")[0].partition(",")[2]
    listed = "\n".join(f"Ch{number + 1}=E{number},{rest}" for number in range(200_000))
    text = re.sub(r"Ch1=(.|\n)*?(\n\n|$)", lambda _: f"{listed}\n", text, count=1)
    path.write_text(text.replace("NumberOfChannels=3", "NumberOfChannels=200000"))
    path.with_suffix(".eeg").write_bytes(bytes(4 * 200_000))


def claim_gdf(path):
    write_gdf(path, 1)
    head = bytearray(path.read_bytes()[:256])
    head[184:192] = struct.pack("<q", 256 * 200_001)
    head[252:256] = struct.pack("<I", 200_000)
    with path.open("wb") as file:
        file.write(head)
        file.truncate(256 * 200_001 + 10)


def claim_edf(path):
    width = 256 * 10_000
    head = (
        b"0".ljust(184) + str(width).encode().ljust(8) + b" " * 44 + b"1".ljust(8) + b"1".ljust(8) + b"9999"
    )
    path.write_bytes(head.ljust(width))


def claim_cnt(path):
    head = bytearray(900)
    head[:12] = b"Version 3.0\0"
    struct.pack_into("<H", head, 370, 65_535)
    path.write_bytes(head + bytes(75 * 65_535))


def claim_xdf(path):
    def chunk(tag, content):
        return b"\x04" + struct.pack("<IH", len(content) + 2, tag) + content

    info = "<info><name>amp</name><type>EEG</type><channel_count>200000</channel_count><nominal_srate>128"
    info += "</nominal_srate><channel_format>float32</channel_format><desc></desc></info>"
    path.write_bytes(b"XDF:" + chunk(1, b"<info></info>") + chunk(2, struct.pack("<I", 1) + info.encode()))


def claim_curry(path):
    write_curry(path)
    header = path.with_name(path.name + ".dpa")
    header.write_text(header.read_text().replace("NumChannels          = 3", "NumChannels          = 200000"))


def claim_persyst(path):
    write_persyst(path)
    path.write_text(path.read_text().replace("WaveformCount=3", "WaveformCount=200000"))


def claim_nicolet(path):
    write_nicolet(path)
    header = path.with_suffix(".head")
    header.write_text(header.read_text().replace("num_channels=3", "num_channels=200000"))


CLAIMS = {
    "a.vhdr": (claim_brainvision, 200_000),
    "a.gdf": (claim_gdf, 200_000),
    "a.edf": (claim_edf, 9_999),
    "n.cnt": (claim_cnt, 65_535),
    "a.xdf": (claim_xdf, 200_000),
    "c.cdt": (claim_curry, 200_000),
    "p.lay": (claim_persyst, 200_000),
    "l.data": (claim_nicolet, 200_000),
    "a.set": (lambda path: write_set(path, nbchan=200_000.0), 200_000),
    "b.set": (lambda path: write_set(path, external=True, nbchan=200_000.0), 200_000),
    "e.raw": (
        lambda path: path.write_bytes(struct.pack(">i6hi5hih", 4, *[1] * 6, 0, 128, 32_767, *[0] * 3, 1, 0)),
        32_767,
    ),
}


@pytest.mark.parametrize("name", CLAIMS)
def test_more_channels_than_any_recording_has(name, tmp_path, monkeypatch):
    write, number = CLAIMS[name]
    write(tmp_path / name)
    monkeypatch.setattr(mne.io, "read_raw", None)  # no reader is asked
    if name == "a.xdf":
        pytest.importorskip("pyxdf")
        monkeypatch.setattr("pyxdf.load_xdf", None)
    with pytest.raises(ValueError, match=f"promises {number} channels, expected at most 4096") as refused:
        read_recording(tmp_path / name)
    assert name in str(refused.value)


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_more_columns_than_any_recording_has(name, tmp_path, monkeypatch):
    names = [f"E{number}" for number in range(1025)]
    if name == "a.csv":
        (tmp_path / name).write_text(",".join(names) + "\n" + ",".join("1" for _ in names) + "\n")
        monkeypatch.setattr(pa.csv, "read_csv", None)
    else:
        pq.write_table(pa.table(dict.fromkeys(names, [1.0, 2.0])), tmp_path / name)
    with pytest.raises(
        ValueError, match=f"{name} has 1025 columns, expected one per channel and at most 1024"
    ):
        read_recording(tmp_path / name, sampling_rate=128, unit="uV")
