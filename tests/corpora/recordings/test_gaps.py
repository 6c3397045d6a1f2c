# SPDX-License-Identifier: Apache-2.0
"""Joins and pauses as the formats of amplifiers state them; no window crosses one."""

import struct
from pathlib import Path

import mne
import numpy as np
import pytest

from eeg_hf import EEGFeatureExtractor
from eeg_hf.corpora.corpus import annotated
from eeg_hf.corpora.recordings.formats import read_recording
from eeg_hf.corpora.windows.window_plan import WindowPlan

RATE = 128
NAMES = ["Fp1", "Cz", "O2"]


def noise(seconds: float = 8.0) -> np.ndarray:
    """Return three channels of 20 uV, in volts."""
    return 20e-6 * np.random.default_rng(0).normal(size=(3, round(seconds * RATE)))


def boundaries(raw) -> list[float]:
    return sorted({round(m["onset"], 3) for m in raw.annotations if m["description"] == "BAD boundary"})


def write_cnt(path: Path, events: list[tuple[int, int, int]], positions: int = 1) -> Path:
    """Write a Neuroscan CNT file with events (sample, code, keypad and accept byte).

    Args:
        path: The file.
        events: The events.
        positions: Type of the event table: 1 and 2 store bytes, 3 samples.
    """
    data = np.round(noise() * 1e8).astype("<i4")  # 0.01 uV a step
    head = bytearray(900 + 75 * 3)
    head[:12], head[225:247] = b"Version 3.0\0", b"01/01/20  12:00:00".ljust(22, b"\0")
    struct.pack_into("<H", head, 370, 3)
    struct.pack_into("<H", head, 376, RATE)
    struct.pack_into("<i", head, 864, data.shape[1])
    struct.pack_into("<I", head, 886, len(head) + data.nbytes)
    for i, name in enumerate(NAMES):
        head[900 + 75 * i : 910 + 75 * i] = name.encode().ljust(10, b"\0")
        struct.pack_into("<ff", head, 919 + 75 * i, 10.0 * i, 5.0 + i * i)
        struct.pack_into("<f", head, 959 + 75 * i, 2.048)
        struct.pack_into("<f", head, 971 + 75 * i, 1.0)
    rows = b""
    for sample, code, accept in events:
        at = sample if positions == 3 else len(head) + sample * 12
        rows += struct.pack("<HBBi", code, 0, accept, at).ljust(8 if positions == 1 else 19, b"\0")
    table = struct.pack("<Bii", positions, len(rows), 0) + rows
    path.write_bytes(bytes(head) + data.T.tobytes() + table)
    return path


@pytest.mark.parametrize("positions", [1, 2, 3])
def test_neuroscan_marks_pauses_and_resets(tmp_path, positions):
    events = [(0, 0, 0xE0), (128, 7, 0), (256, 0, 0xE0), (640, 0, 0xB0)]
    raw = read_recording(write_cnt(tmp_path / "a.cnt", events, positions))
    assert boundaries(raw) == [2.0, 5.0]


def test_neuroscan_without_pauses_has_no_boundary(tmp_path):
    assert boundaries(read_recording(write_cnt(tmp_path / "a.cnt", [(128, 7, 0), (300, 8, 0)]))) == []


def test_a_neuroscan_file_of_unknown_precision_is_read_as_asked(tmp_path):
    path = write_cnt(tmp_path / "a.cnt", [])
    expected = read_recording(path).get_data()
    content = bytearray(path.read_bytes())
    struct.pack_into("<i", content, 864, 0)  # no number of samples: 2 or 4 bytes each
    path.write_bytes(content)
    with pytest.raises(ValueError, match="a.cnt .*sample_format='int16' or 'int32'"):
        read_recording(path)
    assert np.array_equal(read_recording(path, sample_format="int32").get_data(), expected)
    struct.pack_into("<i", content, 864, expected.shape[1])
    struct.pack_into("<I", content, 886, 10**9)  # the position of the events is beyond the file
    path.write_bytes(content)
    with pytest.raises(ValueError, match="a.cnt"):
        read_recording(path)
    assert np.array_equal(read_recording(path, sample_format="int32").get_data(), expected)
    with pytest.raises(ValueError, match="sample_format must be int16, int32 or None, got 'float'"):
        read_recording(path, sample_format="float")


def test_egi_simple_binary_marks_its_segments(tmp_path):
    data = np.round(noise() * 1e6 * 10).astype(">i2")  # 0.1 uV a step
    events = np.zeros((2, data.shape[1]), ">i2")
    events[0, [0, 384]] = 1  # epoc
    events[1, [100, 500]] = 1
    head = struct.pack(">ihhhhhhi", 2, 2020, 1, 1, 12, 0, 0, 0)
    head += struct.pack(">hhhhhihh", RATE, 3, 1, 16, 6554, data.shape[1], 2, 0)
    (tmp_path / "a.raw").write_bytes(head[:36] + b"epocstim" + np.vstack([data, events]).T.tobytes())
    raw = read_recording(tmp_path / "a.raw")
    assert boundaries(raw) == [3.0]


@pytest.mark.parametrize(
    ("mark", "is_join"),
    [
        ("New Segment/", True),
        ("New Segment/LostSamples: 120", True),
        ("Comment/lost samples", True),
        ("Comment/--- buffer overflow ---", True),
        ("DC Correction/", True),
        ("Packet loss", True),
        ("boundary", True),
        ("Comment/pause for the subject", False),
        ("Stimulus/S  1", False),
    ],
)
def test_marks_of_programs_that_state_a_loss(tmp_path, mark, is_join):
    from mne.export import export_raw

    raw = mne.io.RawArray(noise(), mne.create_info(NAMES, RATE, "eeg"), verbose="ERROR")
    raw.set_annotations(mne.Annotations([0.0, 4.0], 0.0, [mark, mark]))
    export_raw(tmp_path / "a.edf", raw, verbose="ERROR")
    assert boundaries(read_recording(tmp_path / "a.edf")) == ([4.0] if is_join else [])


def test_a_boundary_of_erplab_is_a_number(tmp_path):
    eeglabio = pytest.importorskip("eeglabio")
    marks = [["7", "-99"], np.array([1.0, 4.0]), np.zeros(2)]
    eeglabio.raw.export_set(str(tmp_path / "a.set"), noise(), RATE, NAMES, annotations=marks)
    assert boundaries(read_recording(tmp_path / "a.set")) == [4.0]


def write_gdf(path: Path, data_uv: np.ndarray, events: list[tuple[int, int]]) -> Path:
    """Write a GDF file, version 2, with events (sample from 0, code)."""
    count, num_samples = data_uv.shape
    fixed = bytearray(256)
    fixed[:8] = b"GDF 2.20"
    struct.pack_into("<H", fixed, 184, count + 1)
    struct.pack_into("<qII", fixed, 236, num_samples // RATE, 1, 1)
    struct.pack_into("<H", fixed, 252, count)
    block = bytearray(256 * count)
    for i, name in enumerate(NAMES):
        block[16 * i : 16 * i + 16] = name.encode().ljust(16, b"\0")
        struct.pack_into("<H", block, 102 * count + 2 * i, 4275)
        for offset, value in ((104, -3276.8), (112, 3276.7), (120, -32768.0), (128, 32767.0)):
            struct.pack_into("<d", block, offset * count + 8 * i, value)
        struct.pack_into("<i", block, 216 * count + 4 * i, RATE)
        struct.pack_into("<i", block, 220 * count + 4 * i, 3)
    counts = np.clip(np.round(data_uv * 10), -32768, 32767).astype("<i2")
    body = counts.reshape(count, -1, RATE).transpose(1, 0, 2).tobytes()
    table = struct.pack("<B3sf", 1, len(events).to_bytes(3, "little"), RATE)
    table += np.array([at + 1 for at, _ in events], "<u4").tobytes()
    table += np.array([code for _, code in events], "<u2").tobytes()
    path.write_bytes(bytes(fixed) + bytes(block) + body + table)
    return path


def test_runs_joined_in_a_gdf_file(tmp_path):
    data = noise() * 1e6
    data[:, 412:512] = -3276.8  # as BioSig fills what is missing before the next run
    raw = read_recording(write_gdf(tmp_path / "a.gdf", data, [(0, 32766), (200, 769), (512, 32766)]))
    assert boundaries(raw) == [4.0]
    skips = [(m["onset"], m["duration"]) for m in raw.annotations if m["description"] == "BAD_ACQ_SKIP"]
    assert skips == [(412 / RATE, 100 / RATE)]


def test_no_window_crosses_what_is_missing(tmp_path):
    data = noise(40.0) * 1e6
    data[:, 2460:2560] = -3276.8
    raw = read_recording(write_gdf(tmp_path / "a.gdf", data, [(2560, 32766)]))
    clean, _ = EEGFeatureExtractor(sampling_rate=64, lowpass_hz=20).preprocess(raw)
    spans = [(m.onset, m.onset + m.duration) for m in annotated(clean) if m.name.startswith(("BAD", "EDGE"))]
    starts = WindowPlan("fixed", 1.0, 0.5).cut(clean.n_times, 64.0, bad_spans=spans).starts / 64
    assert all(start + 1 <= 2460 / RATE or start >= 2560 / RATE for start in starts)
    # Nor does the filter carry the filled stretch into the signal beside it
    assert np.abs(clean.get_data(tmax=2459 / RATE)).max() < 200e-6


def test_a_split_fif_with_a_skip(tmp_path):
    raw = mne.io.RawArray(noise(60.0), mne.create_info(NAMES, RATE, "eeg"), verbose="ERROR")
    raw.set_annotations(mne.Annotations([20.0], [10.0], ["BAD_ACQ_SKIP"]))
    raw.save(tmp_path / "a_raw.fif", buffer_size_sec=1.0, verbose="ERROR")
    found = read_recording(tmp_path / "a_raw.fif")
    assert {(m["onset"], m["duration"]) for m in found.annotations} == {(20.0, 10.0)}
    cuts = WindowPlan("fixed", 5.0, 5.0).cut(found.n_times, RATE, bad_spans=[(20.0, 30.0)])
    assert cuts.dropped == {"annotated": 2}
