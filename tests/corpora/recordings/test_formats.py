# SPDX-License-Identifier: Apache-2.0
import re
from pathlib import Path

import mne
import numpy as np
import pytest
import scipy.io
from tests.recordings import real_recordings

from eeg_hf.corpora.recordings.formats import companions, find_recordings, read_recording

REAL, needs_recordings = real_recordings("formats")
RATE = 128.0
NAMES = ["Fp1", "Cz", "O2"]


def sines(seconds: float = 4.0) -> np.ndarray:
    """50, 100 and 150 uV at 5, 10 and 15 Hz, in volts."""
    t = np.arange(round(RATE * seconds)) / RATE
    return np.stack([50e-6 * (k + 1) * np.sin(2 * np.pi * 5 * (k + 1) * t) for k in range(3)])


def raw_sines(seconds: float = 4.0, names: list[str] = NAMES) -> mne.io.RawArray:
    return mne.io.RawArray(sines(seconds), mne.create_info(names, RATE, "eeg"), verbose="ERROR")


def write_edf(
    path: Path,
    data: np.ndarray,
    unit: bytes = b"uV",
    starts: list[float] | None = None,
    marks: list[tuple[float, float, str]] = (),
    samples: list[int] | None = None,
    labels: list[str] = NAMES,
    width: int = 2,
) -> Path:
    """Write records of one second; with `starts`, as EDF+D with the time of each record."""
    samples = samples or [int(RATE)] * len(data)
    num_records = data.shape[1] // max(samples) if samples else len(starts or [])
    annotated = starts is not None
    signals = [*labels, *(["EDF Annotations"] if annotated else [])]
    counts = [*samples, *([60] if annotated else [])]
    n = len(signals)

    def field(value: object, size: int) -> bytes:
        return str(value).encode("latin-1").ljust(size) if not isinstance(value, bytes) else value.ljust(size)

    version = b"\xffBIOSEMI" if width == 3 else field("0", 8)
    head = version + field("X X X X", 80) + field("Startdate X X X X", 80) + b"01.01.2012.00.00"
    head += field(256 * (n + 1), 8) + field("EDF+D" if annotated else "", 44)
    head += field(num_records, 8) + field(1, 8) + field(n, 4)
    units = [unit] * len(data) + [b""] * (n - len(data))
    columns = [(16, signals), (80, [""] * n), (8, units), (8, [-3200] * n), (8, [3200] * n)]
    columns += [(8, [-32000] * n), (8, [32000] * n), (80, [""] * n), (8, counts), (32, [""] * n)]
    head += b"".join(field(value, size) for size, values in columns for value in values)
    digital = np.round(data * 1e7).astype("<i4")  # 0.1 uV a step
    body = b""
    for i in range(num_records):
        for row, count in zip(digital, samples, strict=True):
            values = row[i * count : (i + 1) * count].astype("<i4").view(np.uint8).reshape(-1, 4)
            body += values[:, :width].tobytes()
        if annotated:
            tal = f"+{starts[i]:g}\x14\x14\x00".encode()
            for onset, duration, name in marks if i == 0 else ():
                tal += f"+{onset:g}\x15{duration:g}\x14{name}\x14\x00".encode("latin-1")
            body += tal.ljust(width * 60, b"\0")
    path.write_bytes(head + body)
    return path


@pytest.mark.parametrize("unit", [b"uV", b"\xb5V", b"\xc2\xb5V", b"UV", b"microV", b"uvolt"])
def test_edf_is_in_volts_however_its_unit_is_spelt(tmp_path, unit):
    raw = read_recording(write_edf(tmp_path / "a.EDF", sines(), unit))
    assert not raw.preload and raw.ch_names == NAMES
    assert np.abs(raw.get_data() - sines()).max() < 1e-7


@pytest.mark.parametrize(("unit", "factor"), [(b"mV", 1e3), (b"V", 1e6), (b"nV", 1e-3)])
def test_edf_of_another_unit_of_voltage_is_scaled_by_it(tmp_path, unit, factor):
    raw = read_recording(write_edf(tmp_path / "a.edf", sines(), unit))
    assert np.abs(raw.get_data() / factor - sines()).max() < 1e-7


def test_edf_without_a_unit_is_not_guessed(tmp_path):
    path = write_edf(tmp_path / "a.edf", sines(), b"")
    with pytest.raises(ValueError, match=r"a.edf states no unit for 3 channels \(Fp1, Cz, O2\): set unit="):
        read_recording(path)
    assert np.abs(read_recording(path, unit="uV").get_data() - sines()).max() < 1e-7


def test_a_signal_with_another_unit_than_voltage_is_no_eeg(tmp_path):
    raw = read_recording(write_edf(tmp_path / "a.edf", sines(), b"mmHg"))
    assert raw.get_channel_types() == ["misc"] * 3
    assert np.abs(raw.get_data() - sines() * 1e6).max() < 0.1


def test_a_signal_without_a_unit_costs_only_itself(tmp_path):
    path = write_edf(tmp_path / "a.edf", sines())
    content = path.read_bytes()
    at = 256 + 96 * 3  # unit of the first signal
    path.write_bytes(content[:at] + b" " * 8 + content[at + 8 :])
    raw = read_recording(path)
    assert raw.get_channel_types() == ["misc", "eeg", "eeg"]
    assert np.abs(raw.get_data("eeg") - sines()[1:]).max() < 1e-7


def test_a_signal_without_a_scale_is_bad_and_the_others_are_read(tmp_path):
    path = write_edf(tmp_path / "a.edf", sines())
    content = bytearray(path.read_bytes())
    at = 256 + 112 * 3  # physical maximum of the first signal
    content[at : at + 8] = b"-3200".ljust(8)
    path.write_bytes(content)
    raw = read_recording(path)
    assert raw.info["bads"] == ["Fp1"]
    assert np.abs(raw.get_data()[1:] - sines()[1:]).max() < 1e-7
    for start in range(at, at + 24, 8):
        content[start : start + 8] = b"-3200".ljust(8)
    path.write_bytes(content)
    with pytest.raises(
        ValueError, match="a.edf has a damaged EDF header: no signal has a digital and a phys"
    ):
        read_recording(path)


def test_gaps_of_a_discontinuous_edf_are_marked_and_events_stay_with_their_samples(tmp_path):
    marks = [(0.5, 0.0, "before"), (10.25, 0.0, "after"), (1.5, 9.0, "across")]
    starts = [0.0, 1.0, 10.0, 11.0]  # eight seconds are missing after the second
    raw = read_recording(write_edf(tmp_path / "a.edf", sines(), starts=starts, marks=marks))
    assert raw.n_times == 4 * RATE
    found = {a["description"]: (a["onset"], a["duration"]) for a in raw.annotations}
    assert found["before"] == (0.5, 0.0) and found["after"] == (2.25, 0.0)
    assert found["across"] == (1.5, 1.0)
    assert found["BAD boundary"] == found["EDGE boundary"] == (2.0, 0.0)


def test_an_annotation_within_a_pause_is_left_out_with_a_warning(tmp_path):
    marks = [(0.5, 0.0, "before"), (5.0, 1.0, "nobody recorded this"), (10.25, 0.0, "after")]
    path = write_edf(tmp_path / "a.edf", sines(), starts=[0.0, 1.0, 10.0, 11.0], marks=marks)
    with pytest.warns(RuntimeWarning, match="1 of 3 annotations lie in a pause"):
        raw = read_recording(path)
    found = {a["description"]: a["onset"] for a in raw.annotations}
    assert found == {"before": 0.5, "after": 2.25, "BAD boundary": 2.0, "EDGE boundary": 2.0}


def test_an_annotation_outside_of_the_recording_is_left_out_with_a_warning(tmp_path):
    path = write_edf(tmp_path / "a.edf", sines(), starts=[0.0, 1.0, 2.0, 3.0], marks=[(1.0, 0.0, "in")])
    path.write_bytes(
        path.read_bytes().replace(b"EDF+D", b"EDF+C").replace(b"+1\x150\x14in", b"+9\x150\x14in")
    )
    with pytest.warns(RuntimeWarning, match="(?i)a.edf: .*annotation"):
        raw = read_recording(path)
    assert len(raw.annotations) == 0


def test_a_discontinuous_edf_without_gaps_has_no_marks(tmp_path):
    starts = [5.5, 6.5, 7.5, 8.5]  # the clock of the header started before the first record
    raw = read_recording(write_edf(tmp_path / "a.edf", sines(), starts=starts, marks=[(7.0, 0, "cue")]))
    assert [(a["onset"], a["description"]) for a in raw.annotations] == [(1.5, "cue")]
    with pytest.raises(ValueError, match="b.edf is discontinuous .* not in order of time"):
        read_recording(write_edf(tmp_path / "b.edf", sines(), starts=[0.0, 3.0, 2.0, 4.0]))


def continuous(path: Path, starts: list[float], marks: list[tuple[float, float, str]] = ()) -> Path:
    """Write a file that calls itself continuous, whatever its clock says."""
    write_edf(path, sines(), starts=starts, marks=marks)
    path.write_bytes(path.read_bytes().replace(b"EDF+D", b"EDF+C"))
    return path


def test_a_file_that_calls_itself_continuous_is_not_where_its_clock_jumps(tmp_path):
    marks = [(0.5, 0.0, "before"), (10.25, 0.0, "after")]
    raw = read_recording(continuous(tmp_path / "a.edf", [0.0, 1.0, 10.0, 11.0], marks))
    found = {a["description"]: a["onset"] for a in raw.annotations}
    assert found == {"before": 0.5, "after": 2.25, "BAD boundary": 2.0, "EDGE boundary": 2.0}
    with pytest.raises(ValueError, match="b.edf is discontinuous .*by its clock.* not in order of time"):
        read_recording(continuous(tmp_path / "b.edf", [0.0, 5.0, 1.0, 2.0]))


@pytest.mark.parametrize(
    "starts",
    [
        [0.0, 1.0, 2.0, 3.0],
        [0.0, 0.0, 0.0, 0.0],  # written by programs that do not keep the time
        [0.0, 1.0003, 2.0006, 3.0009],  # the amplifier's clock is not the computer's
        [7.5, 8.5, 9.5, 10.5],
    ],
)
def test_a_continuous_file_has_no_gap(tmp_path, starts):
    raw = read_recording(continuous(tmp_path / "a.edf", starts))
    assert not [a for a in raw.annotations if a["description"].lower().startswith(("bad", "edge"))]


def test_times_that_are_rounded_to_hundredths_are_no_gaps(tmp_path):
    path = continuous(tmp_path / "a.edf", [0.0, 0.99, 1.98, 2.98])  # records of 127 / 128 s
    content = bytearray(path.read_bytes())
    content[244:252] = b"0.992188"
    path.write_bytes(content)
    assert not [a for a in read_recording(path).annotations if a["description"].startswith(("BAD", "EDGE"))]


def test_edf_annotations_in_latin1_are_read(tmp_path):
    path = write_edf(
        tmp_path / "a.edf", sines(), starts=[0, 1, 2, 3], marks=[(1.0, 0.0, "Augen ge\xf6ffnet")]
    )
    assert read_recording(path).annotations.description.tolist() == ["Augen ge\xf6ffnet"]


def test_eeg_that_is_slower_than_other_signals_is_right_in_every_part(tmp_path):
    data = np.stack([sines()[0], sines()[0], np.zeros(512)])
    data[0, :128], data[1, :256] = sines()[0, ::4], sines()[0, ::2]
    path = write_edf(tmp_path / "a.edf", data, samples=[32, 64, 128], labels=["Fz", "Cz", "Flow"])
    raw = read_recording(path)
    assert raw.info["sfreq"] == 128.0
    part = raw.get_data(start=100, stop=400)
    assert np.abs(part[0] - sines()[0, 100:400]).max() < 2e-6
    assert np.array_equal(part, raw.get_data()[:, 100:400])


def test_an_edf_that_was_not_ended_is_read_to_its_last_whole_record(tmp_path):
    path = write_edf(tmp_path / "a.edf", sines())
    content = path.read_bytes()
    path.write_bytes(content[:236] + b"-1      " + content[244:-100])
    assert read_recording(path).n_times == 3 * RATE


def test_a_name_that_says_another_format_than_the_file(tmp_path):
    path = write_edf(tmp_path / "a.edf", sines(), width=3)
    with pytest.raises(ValueError, match="a.edf is not an EDF file: .* looks like BDF"):
        read_recording(path)
    bdf = path.rename(tmp_path / "a.bdf")
    assert np.abs(read_recording(bdf).get_data() - sines()).max() < 1e-7
    (tmp_path / "b.edf").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    with pytest.raises(ValueError, match="b.edf is not an EDF file: .* Git LFS pointer .*git lfs pull"):
        read_recording(tmp_path / "b.edf")
    (tmp_path / "c.edf").symlink_to(tmp_path / "annex")
    with pytest.raises(FileNotFoundError, match="c.edf does not exist; it is a dangling link"):
        read_recording(tmp_path / "c.edf")


def test_an_edf_of_annotations_only_says_so(tmp_path):
    path = write_edf(tmp_path / "hypnogram.edf", sines()[:0], starts=[0.0], labels=[])
    with pytest.raises(ValueError, match="hypnogram.edf has annotations and no signal"):
        read_recording(path)


def test_converted_line_endings_are_named(tmp_path):
    noise = np.random.default_rng(0).normal(size=(3, 60 * 128)) * 20e-6
    path = write_edf(tmp_path / "a.edf", noise)
    content = path.read_bytes()
    path.write_bytes(content.replace(b"\n", b"\r\n")[: len(content)])  # same size as promised
    with pytest.raises(ValueError, match=r"a.edf has damaged line endings: all \d+ LF bytes"):
        read_recording(path)


def test_the_giant_is_refused_from_its_header(tmp_path):
    path = write_edf(tmp_path / "a.edf", sines())
    content = path.read_bytes()
    at = 256 + 216 * 3
    path.write_bytes(content[:at] + b"99999999" * 3 + content[at + 24 :])
    with pytest.raises(
        ValueError, match=f"truncated: its header promises 2400001000 bytes, the file has {len(content)}"
    ):
        read_recording(path)


def test_the_rate_that_was_said_is_compared(tmp_path):
    path = write_edf(tmp_path / "a.edf", sines())
    assert read_recording(path, sampling_rate=128.0).n_times == 512
    with pytest.raises(ValueError, match="a.edf has a rate of 128 Hz, expected sampling_rate=256"):
        read_recording(path, sampling_rate=256.0)


def test_brainvision_files_renamed_with_their_header_are_found(tmp_path):
    raw = raw_sines()
    raw.set_annotations(mne.Annotations([1.0], [0.0], ["Stimulus/S  1"]))
    raw.export(tmp_path / "old.vhdr", fmt="brainvision", verbose="ERROR")
    assert companions(tmp_path / "old.vhdr") == [tmp_path / "old.eeg", tmp_path / "old.vmrk"]
    for suffix in (".vhdr", ".eeg", ".vmrk"):
        (tmp_path / f"old{suffix}").rename(tmp_path / f"new{suffix}")
    raw = read_recording(tmp_path / "new.vhdr")
    assert np.abs(raw.get_data() - sines()).max() < 1e-7 and len(raw.annotations) == 1
    assert companions(tmp_path / "new.vhdr") == [tmp_path / "new.eeg", tmp_path / "new.vmrk"]
    with pytest.raises(ValueError, match="new.eeg is a part of a recording: open new.vhdr"):
        read_recording(tmp_path / "new.eeg")
    (tmp_path / "new.vmrk").unlink()
    with pytest.raises(
        FileNotFoundError, match="new.vhdr names the marker file old.vmrk, but neither that nor"
    ):
        read_recording(tmp_path / "new.vhdr")


def test_brainvision_cut_between_two_samples_is_found_by_its_markers(tmp_path):
    raw = raw_sines()
    raw.set_annotations(mne.Annotations([3.9], [0.0], ["end"]))
    raw.export(tmp_path / "a.vhdr", fmt="brainvision", verbose="ERROR")
    data = tmp_path / "a.eeg"
    data.write_bytes(data.read_bytes()[: data.stat().st_size // 2])
    with pytest.raises(ValueError, match="a.eeg is truncated"):
        read_recording(tmp_path / "a.vhdr")


def test_a_pause_in_a_brainvision_recording_is_marked(tmp_path):
    raw = raw_sines()
    raw.export(tmp_path / "a.vhdr", fmt="brainvision", verbose="ERROR")
    with (tmp_path / "a.vmrk").open("a") as file:
        file.writelines(f"\nMk{i}=New Segment,,{at},1,0,20200101120000000000" for i, at in ((1, 1), (2, 257)))
    found = {a["description"]: a["onset"] for a in read_recording(tmp_path / "a.vhdr").annotations}
    assert found["BAD boundary"] == found["EDGE boundary"] == 2.0


def save_set(path: Path, data: np.ndarray | str, **changes: object) -> Path:
    fields = {
        **{
            "setname": "s",
            "nbchan": 3.0,
            "trials": 1.0,
            "pnts": 512.0,
            "srate": RATE,
            "xmin": 0.0,
            "xmax": 4.0,
        },
        **{"icawinv": [], "icasphere": [], "icaweights": [], "data": data},
        "chanlocs": np.array([(n,) for n in NAMES], dtype=[("labels", object)]),
        "event": np.array([("boundary", 257.0)], dtype=[("type", object), ("latency", object)]),
    }
    scipy.io.savemat(path, {"EEG": fields | changes}, appendmat=False)
    return path


def test_eeglab_with_a_renamed_data_file_and_a_boundary(tmp_path):
    path = save_set(tmp_path / "new.set", "old.fdt")
    (tmp_path / "new.fdt").write_bytes((sines().T * 1e6).astype("<f4").tobytes())
    raw = read_recording(path)
    assert np.abs(raw.get_data() - sines()).max() < 1e-9 and not raw.preload
    assert {a["description"]: a["onset"] for a in raw.annotations}["BAD boundary"] == 2.0
    assert companions(path) == [tmp_path / "new.fdt"]
    with pytest.raises(ValueError, match="new.fdt is a part of a recording: open new.set"):
        read_recording(tmp_path / "new.fdt")
    (tmp_path / "new.fdt").write_bytes(b"\0" * 6000)
    with pytest.raises(
        ValueError, match="new.fdt is truncated: its header promises 6144 bytes, the file has 6000"
    ):
        read_recording(path)
    (tmp_path / "new.fdt").unlink()
    with pytest.raises(
        FileNotFoundError, match="new.set names the data file old.fdt, which is not beside it"
    ):
        read_recording(path)


def test_an_epoched_set_says_so(tmp_path):
    epochs = np.stack([sines() * 1e6] * 4, axis=2).astype("f4")
    path = save_set(tmp_path / "a.set", epochs, trials=4.0)
    with pytest.raises(ValueError, match=r"a.set is epoched \(4 trials\), expected a continuous recording"):
        read_recording(path)


def test_a_set_without_what_mne_needs_says_what(tmp_path):
    path = save_set(tmp_path / "a.set", (sines() * 1e6).astype("f4"), chaninfo=np.zeros((0, 0)))
    with pytest.raises(ValueError, match="a.set has an empty EEG.chaninfo, which MNE cannot read: save it"):
        read_recording(path)


def test_split_fif_is_one_recording(tmp_path):
    raw = raw_sines(3000.0)
    raw.save(tmp_path / "a_raw.fif", split_size="2MB", buffer_size_sec=10.0, verbose="ERROR")
    parts = companions(tmp_path / "a_raw.fif")
    assert parts and parts == sorted(set(tmp_path.iterdir()) - {tmp_path / "a_raw.fif"})
    assert find_recordings(tmp_path) == [tmp_path / "a_raw.fif"]
    assert read_recording(tmp_path / "a_raw.fif").n_times == 3000 * RATE
    parts[-1].unlink()
    with pytest.raises(ValueError, match="a_raw.fif .*next file .* does not exist"):
        read_recording(tmp_path / "a_raw.fif")


def test_recordings_are_found_without_their_parts(tmp_path):
    kept = [
        "a.edf",
        "b.BDF",
        "c.vhdr",
        "d.set",
        "e_raw.fif",
        "f.mff",
        "sub/g.EEG",
        "h.cnt",
        "i-2.fif",
        "j.xdf",
    ]
    other = ["c.eeg", "c.vmrk", "d.fdt", "e_raw-1.fif", "x-epo.fif", "y_trans.fif", "._a.edf", ".git/a.edf"]
    other += ["f.mff/x.edf", "notes.txt", "t.csv", "s_split-02_eeg.fif"]
    for name in (*kept, *other):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True, parents=True)
        if name == "f.mff":
            path.mkdir(exist_ok=True)
        else:
            path.write_bytes(b"EEG-1100A V01.00" if name.endswith("EEG") else b"")
    assert find_recordings(tmp_path) == sorted(tmp_path / name for name in kept)
    with_tables = sorted(tmp_path / name for name in (*kept, "notes.txt", "t.csv"))
    assert find_recordings(tmp_path, tables=True) == with_tables


def test_no_message_has_two_lines(tmp_path):
    (tmp_path / "a.nxe").write_bytes(b"\1\2" * 50)
    (tmp_path / "a.abc").write_bytes(b"x")
    for name in ("a.nxe", "a.abc", "none.edf"):
        with pytest.raises((ValueError, FileNotFoundError), match=re.escape(name)) as caught:
            read_recording(tmp_path / name)
        assert "\n" not in str(caught.value)


@needs_recordings
@pytest.mark.parametrize(
    "name", ["edf_eeglab/test.edf", "bdf_mne/test.bdf", "brainvision_mne/test.vhdr", "fif_ssvep"]
)
def test_real_files_are_as_mne_reads_them(name):
    path = REAL / name if Path(name).suffix else next((REAL / name).glob("*.fif"))
    raw, expected = read_recording(path), mne.io.read_raw(path, verbose="ERROR")
    assert raw.ch_names == expected.ch_names and raw.info["sfreq"] == expected.info["sfreq"]
    assert np.array_equal(raw.get_data(), expected.get_data())
    assert raw.annotations.description.tolist() == expected.annotations.description.tolist()


@needs_recordings
def test_the_real_damaged_file_is_recognised():
    with pytest.raises(ValueError, match="damaged_line_endings.edf has damaged line endings"):
        read_recording(REAL / "damaged_line_endings.edf")
