# SPDX-License-Identifier: Apache-2.0
"""Formats of single manufacturers of amplifiers, written byte by byte."""

import ctypes
import importlib.util
import struct
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from eeg_hf.corpora.recordings.formats import companions, find_recordings, read_recording

RATE = 128.0
NAMES = ["Fp1", "Cz", "O2"]


def sines() -> np.ndarray:
    """50, 100 and 150 uV at 5, 10 and 15 Hz over four seconds, in volts."""
    t = np.arange(512) / RATE
    return np.stack([50e-6 * (k + 1) * np.sin(2 * np.pi * 5 * (k + 1) * t) for k in range(3)])


def write_xdf(
    path: Path,
    unit: str = "microvolts",
    streams: int = 1,
    lost: int = 0,
    kind: str = "string",
    marks: Sequence[tuple[float, Sequence[str | int]]] = ((113.0, ("cue",)),),
) -> Path:
    """One EEG stream with a pause of ten seconds in its middle, and a stream of markers.

    Args:
        path: The file.
        unit: Unit of the EEG.
        streams: Number of EEG streams.
        lost: Samples promised and not written.
        kind: Format of the markers.
        marks: Time, and one value per column, of each marker.
    """

    def chunk(tag: int, content: bytes) -> bytes:
        return b"\x04" + struct.pack("<IH", len(content) + 2, tag) + content

    channels = "".join(
        f"<channel><label>{n}</label><unit>{unit}</unit><type>EEG</type></channel>" for n in NAMES
    )
    times = 100 + np.arange(512) / RATE
    times[256:] += 10
    out = b"XDF:" + chunk(1, b"<?xml version='1.0'?><info><version>1.0</version></info>")
    for stream in range(1, streams + 1):
        info = "<name>amp</name><type>EEG</type><channel_count>3</channel_count>"
        info += f"<nominal_srate>{RATE}</nominal_srate>"
        info += f"<channel_format>float32</channel_format><desc><channels>{channels}</channels></desc>"
        out += chunk(2, struct.pack("<I", stream) + f"<info>{info}</info>".encode())
        body = struct.pack("<IBI", stream, 4, 512)
        for at, sample in zip(times, (sines().T * 1e6).astype("<f4"), strict=True):
            body += struct.pack("<Bd", 8, at) + sample.tobytes()
        out += chunk(3, body)
        footer = f"<info><sample_count>{512 + lost}</sample_count></info>"
        out += chunk(6, struct.pack("<I", stream) + footer.encode())
    info = f"<name>m</name><type>Markers</type><channel_count>{len(marks[0][1])}</channel_count>"
    info += f"<nominal_srate>0</nominal_srate><channel_format>{kind}</channel_format>"
    out += chunk(2, struct.pack("<I", 9) + f"<info>{info}</info>".encode())
    body = struct.pack("<IBB", 9, 1, len(marks))
    for at, values in marks:
        body += struct.pack("<Bd", 8, at)
        for value in values:
            as_text = struct.pack("<BB", 1, len(str(value))) + str(value).encode()
            body += (
                as_text if kind == "string" else struct.pack({"int32": "<i", "double64": "<d"}[kind], value)
            )
    out += chunk(3, body)
    out += chunk(6, struct.pack("<I", 9) + f"<info><sample_count>{len(marks)}</sample_count></info>".encode())
    path.write_bytes(out)
    return path


def xdf_events(path: Path, kind: str, *marks: tuple[float, Sequence[str | int]]) -> list[tuple[float, str]]:
    pytest.importorskip("pyxdf")
    raw = read_recording(write_xdf(path, kind=kind, marks=marks))
    found = [(round(a["onset"], 2), a["description"]) for a in raw.annotations]
    return [(onset, text) for onset, text in found if "boundary" not in text]


@pytest.mark.parametrize("kind", ["int32", "double64"])
def test_xdf_markers_may_be_numbers(tmp_path, kind):
    assert xdf_events(tmp_path / "a.xdf", kind, (100.5, (1,)), (101.0, (22,))) == [(0.5, "1"), (1.0, "22")]


def test_all_columns_of_xdf_markers_are_kept(tmp_path):
    marks = [(100.5, ("trial", "left")), (101.0, ("trial", "right"))]
    assert xdf_events(tmp_path / "a.xdf", "string", *marks) == [(0.5, "trial/left"), (1.0, "trial/right")]


def test_xdf_markers_outside_the_recording_are_left_out(tmp_path):
    with pytest.warns(RuntimeWarning, match="2 of 3 markers of stream m of a.xdf lie outside"):
        found = xdf_events(tmp_path / "a.xdf", "string", (70.0, ("a",)), (100.5, ("b",)), (200.0, ("c",)))
    assert found == [(0.5, "b")]
    with pytest.warns(RuntimeWarning, match="1 of 1 markers .* is it on another clock"):
        assert xdf_events(tmp_path / "b.xdf", "int32", (1e9, (1,))) == []


def test_xdf_gives_its_eeg_stream_with_markers_and_pauses(tmp_path):
    pytest.importorskip("pyxdf")
    raw = read_recording(write_xdf(tmp_path / "a.xdf"))
    assert raw.ch_names == NAMES and raw.info["sfreq"] == RATE
    assert np.abs(raw.get_data() - sines()).max() < 1e-9
    found = {a["description"]: a["onset"] for a in raw.annotations}
    assert found["BAD boundary"] == 2.0 and found["cue"] == pytest.approx(3.0, abs=1 / RATE)
    with pytest.raises(ValueError, match="b.xdf has 2 EEG streams, expected one"):
        read_recording(write_xdf(tmp_path / "b.xdf", streams=2))
    with pytest.raises(
        ValueError, match="c.xdf is truncated or damaged: .* promises 522 samples and holds 512"
    ):
        read_recording(write_xdf(tmp_path / "c.xdf", lost=10))
    path = write_xdf(tmp_path / "d.xdf", unit="")
    with pytest.raises(ValueError, match="d.xdf states no unit in volts for channel Fp1"):
        read_recording(path)
    assert np.abs(read_recording(path, unit="uV").get_data() - sines()).max() < 1e-9


def test_a_missing_package_is_named_as_pip_knows_it(tmp_path, monkeypatch):
    find = importlib.util.find_spec
    missing = ("pyxdf", "mffpy", "pymatreader", "antio")
    monkeypatch.setattr("importlib.util.find_spec", lambda n, *a: None if n in missing else find(n, *a))
    write_xdf(tmp_path / "a.xdf")
    (tmp_path / "a.mff").mkdir()
    for name in ("info.xml", "epochs.xml", "signal1.bin"):
        (tmp_path / "a.mff" / name).write_text("")
    (tmp_path / "a.set").write_bytes(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(600))
    (tmp_path / "a.cnt").write_bytes(b"RIFF    CNT ".ljust(1000))
    for suffix, package in zip((".xdf", ".mff", ".set", ".cnt"), missing, strict=True):
        command = r'pip install "eeg-hf\[formats\]"'
        with pytest.raises(ImportError, match=f"a{suffix} needs the package {package}: {command}"):
            read_recording(tmp_path / f"a{suffix}")


def test_an_incomplete_mff_names_what_is_missing(tmp_path):
    (tmp_path / "a.mff").mkdir()
    (tmp_path / "a.mff" / "info.xml").write_text("<x/>")
    with pytest.raises(FileNotFoundError, match="a.mff is not complete: epochs.xml is missing"):
        read_recording(tmp_path / "a.mff")
    with pytest.raises(ValueError, match=f"{tmp_path.name} is a folder, expected a recording"):
        read_recording(tmp_path)


def test_neuroscan_cnt(tmp_path):
    data = np.round(sines() * 1e8).astype("<i4")  # 0.01 uV a step
    head = bytearray(900 + 75 * 3)
    head[:12] = b"Version 3.0\0"
    head[225:247] = b"01/01/20  12:00:00".ljust(22, b"\0")
    struct.pack_into("<H", head, 370, 3)
    struct.pack_into("<H", head, 376, int(RATE))
    struct.pack_into("<i", head, 864, data.shape[1])
    struct.pack_into("<I", head, 886, len(head) + data.nbytes)
    for i, name in enumerate(NAMES):
        at = 900 + 75 * i
        head[at : at + 10] = name.encode().ljust(10, b"\0")
        struct.pack_into("<ff", head, at + 19, 10.0 * i, 5.0 + i * i)
        struct.pack_into("<f", head, at + 59, 2.048)
        struct.pack_into("<f", head, at + 71, 1.0)
    event = struct.pack("<Bll", 1, 8, 0) + struct.pack("<HBBl", 7, 0, 0, len(head) + 257 * 12)
    path = tmp_path / "a.cnt"
    path.write_bytes(bytes(head) + data.T.tobytes() + event)
    raw = read_recording(path)
    assert raw.ch_names == NAMES and raw.info["sfreq"] == RATE
    assert np.abs(raw.get_data() - sines()).max() < 1e-8
    assert [(a["onset"], a["description"]) for a in raw.annotations] == [(2.0, "7")]
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(
        ValueError, match="a.cnt is truncated: its header promises 7269 bytes, the file has 5000"
    ):
        read_recording(path)


def write_persyst(path: Path) -> Path:
    names = "".join(f"{name}-Ref={i + 1}\n" for i, name in enumerate(NAMES))
    header = "[FileInfo]\nFile=C:\\data\\a.dat\nFileType=Interleaved\nSamplingRate=128\nHeaderLength=0\n"
    header += f"Calibration=0.01\nWaveformCount=3\nDataType=0\n[ChannelMap]\n{names}[Patient]\n"
    header += "First=\nLast=\nSex=\nHand=\nBirthDate=01/01/80\nTestDate=2020.01.01\nTestTime=12:00:00\n"
    path.write_text(header.replace("C:\\data\\a", path.stem))
    path.with_suffix(".dat").write_bytes(np.round(sines().T * 1e8).astype("<i2").tobytes())
    return path


def test_persyst(tmp_path):
    write_persyst(tmp_path / "a.lay")
    raw = read_recording(tmp_path / "a.lay")
    assert [name.capitalize() for name in raw.ch_names] == NAMES and raw.info["sfreq"] == RATE
    assert np.abs(raw.get_data() - sines()).max() < 1e-8
    assert companions(tmp_path / "a.lay") == [tmp_path / "a.dat"]
    (tmp_path / "a.dat").unlink()
    with pytest.raises(FileNotFoundError, match="a.lay names the data file a.dat, which is not beside it"):
        read_recording(tmp_path / "a.lay")


def write_nihon_kohden(path: Path) -> Path:
    step = (3199.902 + 3200) / 65535  # uV
    data = np.round((sines() * 1e6 + 3200) / step) - 0x8000
    stored = np.vstack([data, np.zeros((1, 512))]).astype("<i2").view("<u2") + np.uint16(0x8000)
    block = bytearray(0x1900 + 0x27 + 30)
    block[:16] = block[0x81:0x91] = b"EEG-1100A V01.00"
    block[0x91], block[0x17FE], block[0x400 + 17] = 1, 1, 1
    struct.pack_into("<I", block, 0x92, 0x400)
    struct.pack_into("<I", block, 0x400 + 18, 0x1900)
    struct.pack_into("<HI", block, 0x1900 + 0x1A, int(RATE), 40)
    block[0x1900 + 0x26] = 3
    for i, label in enumerate((0, 17, 9)):
        block[0x1900 + 0x27 + 10 * i] = label
    path.write_bytes(bytes(block) + stored.T.astype("<u2").tobytes())
    return path


def test_nihon_kohden_is_told_apart_from_the_data_of_brainvision(tmp_path):
    path = write_nihon_kohden(tmp_path / "a.EEG")
    raw = read_recording(path)
    assert raw.ch_names == ["FP1", "CZ", "O2"] and raw.info["sfreq"] == RATE
    assert np.abs(raw.get_data() - sines()).max() < 1e-7
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(ValueError, match="a.EEG"):
        read_recording(path)
    (tmp_path / "b.eeg").write_bytes(b"\1\0" * 100)
    with pytest.raises(ValueError, match="b.eeg is not a Nihon Kohden file"):
        read_recording(tmp_path / "b.eeg")


def write_mff(path: Path) -> Path:
    pytest.importorskip("mffpy")
    from mffpy.bin_writer import BinWriter
    from mffpy.writer import Writer

    writer, signal = Writer(str(path)), BinWriter(sampling_rate=int(RATE))
    writer.addxml("fileInfo", recordTime=datetime(2020, 1, 1, 12, tzinfo=UTC))
    writer.add_coordinates_and_sensor_layout("HydroCel GSN 32 1.0")
    signal.add_block((np.vstack([sines()] * 11) * 1e6).astype("f4"))
    writer.addbin(signal)
    writer.write()
    return path


def test_egi_mff(tmp_path):
    raw = read_recording(write_mff(tmp_path / "a.mff"))
    assert raw.info["sfreq"] == RATE and raw.ch_names[:3] == ["E1", "E2", "E3"]
    assert np.abs(raw.get_data("eeg")[:3] - sines()).max() < 1e-9


def write_ant(path: Path, is_rf64: bool) -> Path:
    """Write an eego recording with a trigger at two seconds, by the library that antio reads it with."""
    antio = pytest.importorskip("antio")
    library = ctypes.CDLL(str(next(Path(antio.__file__).parent.glob("libeep/libEep*"))))
    library.libeep_init()
    channels = library.libeep_create_channel_info()
    for name in NAMES:
        library.libeep_add_channel(channels, name.encode(), b"REF", b"uV")
    file = library.libeep_write_cnt(str(path).encode(), int(RATE), channels, int(is_rf64))
    about = library.libeep_create_recinfo()
    texts = (
        "hospital",
        "machine_make",
        "machine_model",
        "machine_serial_number",
        "patient_id",
        "patient_name",
    )
    for text in texts:
        getattr(library, f"libeep_set_{text}")(about, b"x")
    library.libeep_set_patient_sex(about, ctypes.c_char(b"F"))
    library.libeep_set_date_of_birth(about, 1980, 1, 1)
    library.libeep_set_start_time(about, ctypes.c_long(1577880000))
    library.libeep_add_recording_info(file, about)
    samples = np.ascontiguousarray((sines() * 1e6).T, np.float32)
    library.libeep_add_samples(file, samples.ctypes.data_as(ctypes.c_void_p), len(samples))
    library.libeep_add_trigger(file, ctypes.c_uint64(256), b"7")
    library.libeep_close(file)
    return path


@pytest.mark.parametrize("is_rf64", [False, True])
def test_ant_eego_also_in_rf64(tmp_path, is_rf64):
    raw = read_recording(write_ant(tmp_path / "a.cnt", is_rf64))
    assert (tmp_path / "a.cnt").read_bytes()[:4] == (b"RF64" if is_rf64 else b"RIFF")
    assert raw.ch_names == NAMES and raw.info["sfreq"] == RATE
    assert np.abs(raw.get_data() - sines()).max() < 1e-6
    assert [(a["onset"], a["description"]) for a in raw.annotations] == [(2.0, "7")]


def write_curry(path: Path, num_samples: int = 512, extra: str = "") -> Path:
    """Write Curry 8 (`.cdt`) or Curry 7 (`.dat` and `.dap`) files; return the main one."""
    count, is_new = len(NAMES), path.suffix == ".cdt"
    header = f"""DATA_PARAMETERS Start_of_Data
   FileVersion          = 804
   NumSamples           = {num_samples}
   NumChannels          = {count}
   NumTrials            = 1
   SampleFreqHz         = {RATE}
   TriggerOffsetUsec    = 0
   DataFormat           = FLOAT
   DataSampOrder        = SAMP
   SampleTimeUsec       = {1e6 / RATE}
   DataByteOrder        = NATIVE
   AmplifierInfo        =
   StartYear            = 2020
   StartMonth           = 1
   StartDay             = 1
   StartHour            = 12
   StartMin             = 0
   StartSec             = 0
   StartMillisec        = 0
{extra}DATA_PARAMETERS End_of_Data
DEVICE_PARAMETERS START
   DataUnit             = uV
   NumChanThisGroup     = {count}
DEVICE_PARAMETERS END
IMPEDANCE_VALUES START_LIST
{" ".join(["-1"] * count)}
IMPEDANCE_VALUES END_LIST
"""

    def table(name: str, rows: Sequence[str]) -> str:
        return f"\n{name} START\n{name} END\n{name} START_LIST\n" + "\n".join(rows) + f"\n{name} END_LIST\n"

    places = ["-27.0 83.0 -3.0", "0.0 -9.0 100.0", "29.0 -112.0 8.0"]  # mm
    labels = table("LABELS", NAMES) + table("SENSORS", places)
    data, labels_path = (path, None) if is_new else (path.with_suffix(".dat"), path.with_suffix(".rs3"))
    (path.with_name(path.name + ".dpa") if is_new else path).write_text(header + (labels if is_new else ""))
    if labels_path:
        labels_path.write_text(labels)
    data.write_bytes((sines() * 1e6).T.astype("<f4").tobytes())
    return path


@pytest.mark.parametrize("name", ["a.cdt", "a.dap"])
def test_curry(tmp_path, name):
    pytest.importorskip("curryreader")
    path = write_curry(tmp_path / name)
    raw = read_recording(path)
    assert raw.ch_names == NAMES and raw.info["sfreq"] == RATE
    assert np.abs(raw.get_data() - sines()).max() < 1e-9
    parts = {"a.cdt.dpa"} if name == "a.cdt" else {"a.dat", "a.rs3"}
    assert {part.name for part in companions(path)} == parts
    assert find_recordings(tmp_path) == [path]
    with pytest.raises(ValueError, match="promises 8400 bytes, the file has 6144"):
        read_recording(write_curry(path, num_samples=700))
    with pytest.raises(ValueError, match="is compressed: save it as raw float in Curry"):
        read_recording(write_curry(path, extra="   DataGuid = {2912E8D8-F5C8-4E25-A8E7-A1385967DA09}\n"))
    companions(path)[0].unlink()
    with pytest.raises(FileNotFoundError, match=f"{name} is not complete: .* is missing"):
        read_recording(path)


def write_nedf(path: Path) -> Path:
    pytest.importorskip("defusedxml")
    counts = np.round(sines() / (2.4 / (6 * 8388607))).astype(np.int64)  # (channels, time)
    montage = "".join(f"<C{i}>{name}</C{i}>" for i, name in enumerate(NAMES))
    header = f"""<NEDF><NEDFversion>1.4</NEDFversion>
    <NumberOfChannelsOfAccelerometer>3</NumberOfChannelsOfAccelerometer>
    <StepDetails><StartDate_firstEEGTimestamp>1577880000000</StartDate_firstEEGTimestamp></StepDetails>
    <EEGSettings><TotalNumberOfChannels>3</TotalNumberOfChannels><EEGSamplingRate>{RATE:g}</EEGSamplingRate>
    <EEGMontage>{montage}</EEGMontage><NumberOfRecordsOfEEG>510</NumberOfRecordsOfEEG></EEGSettings></NEDF>"""
    body = b""
    for first in range(0, 510, 5):  # an accelerometer's sample, then five of EEG with a trigger each
        body += b"\0" * 6
        for sample in range(first, first + 5):
            body += b"".join(int(c & 0xFFFFFF).to_bytes(3, "big") for c in counts[:, sample])
            body += struct.pack(">i", 7 if sample == 256 else 0)
    path.write_bytes(header.encode().ljust(10240, b"\0") + body)
    return path


def test_neuroelectrics(tmp_path):
    path = write_nedf(tmp_path / "a.nedf")
    raw = read_recording(path)
    assert raw.ch_names == [*NAMES, "STI 014"] and raw.info["sfreq"] == RATE
    assert np.abs(raw.get_data("eeg") - sines()[:, :510]).max() < 1e-7
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="a.nedf is truncated: sample 509 of 510 is not there"):
        read_recording(path)


def write_nicolet(path: Path) -> Path:
    path.write_bytes(np.round(sines().T * 1e7).astype("<i2").tobytes())  # 0.1 uV a step
    path.with_suffix(".head").write_text(
        "start_ts=2020-01-01 12:00:00.000\nnum_samples=512\nsample_freq=128\nconversion_factor=0.1\n"
        f"num_channels=3\nelec_names=[{','.join(NAMES)}]\npat_id=1\nadm_id=1\nrec_id=1\nduration_in_sec=4\n"
    )
    return path


def test_nicolet(tmp_path):
    raw = read_recording(write_nicolet(tmp_path / "a.data"))
    assert raw.ch_names == NAMES and raw.info["sfreq"] == RATE
    assert np.abs(raw.get_data() - sines()).max() < 1e-7
    assert find_recordings(tmp_path) == [tmp_path / "a.data"]
    assert companions(tmp_path / "a.data") == [tmp_path / "a.head"]
    (tmp_path / "a.data").write_bytes((tmp_path / "a.data").read_bytes()[:-60])
    with pytest.raises(ValueError, match="a.data"):
        read_recording(tmp_path / "a.data")
    (tmp_path / "a.head").unlink()
    assert find_recordings(tmp_path) == []  # any program's data


def test_eximia_is_in_volts(tmp_path):
    counts = np.zeros((1450, 64), "<i2")
    counts[:, 4] = np.round(50 / 0.07629510948348212 * np.sin(2 * np.pi * 10 * np.arange(1450) / 1450))
    (tmp_path / "a.nxe").write_bytes(counts.tobytes())
    raw = read_recording(tmp_path / "a.nxe")
    assert raw.info["sfreq"] == 1450 and raw.get_data("Fp1").max() == pytest.approx(50e-6, rel=1e-2)
    (tmp_path / "a.nxe").write_bytes(counts.tobytes()[:-3])
    with pytest.raises(ValueError, match="a.nxe is damaged: .*truncated"):
        read_recording(tmp_path / "a.nxe")


def test_a_damaged_ant_recording_is_refused_and_not_read_for_ever(tmp_path):
    path = write_ant(tmp_path / "a.cnt", False)
    content = bytearray(path.read_bytes())
    at = content.index(b"data") + 608  # within the compressed samples
    content[at : at + 64] = b"\xff" * 64
    path.write_bytes(content)
    with pytest.raises(ValueError, match="a.cnt is truncated or damaged"):
        read_recording(path)
