# SPDX-License-Identifier: Apache-2.0
"""Small trees in the published layout of restricted corpora: real files, simulated subjects.

    write_hbn(tmp_path / "hbn", subjects=4, seconds=20.0)  # HBN().recordings(tmp_path / "hbn")
    write_tuh(tmp_path / "tueg", subjects=4, seconds=20.0)  # TUEG().recordings(tmp_path / "tueg")

Models can learn from them: all subjects respond alike to a second of a film, alpha is stronger with eyes
closed, and alpha is faster in older children (`age_of`, `alpha_hz`).
"""

import json
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import edfio
import mne
import numpy as np

from eeg_hf.processing.channels import STANDARD_19

Row = tuple[float, str, str]  # onset s, value, feedback
HBN_CHANNELS = (*(f"E{number}" for number in range(1, 129)), "Cz")
FILMS = ("DespicableMe", "ThePresent", "DiaryOfAWimpyKid", "FunwithFractals")
TRIALS_TASK = "contrastChangeDetection"
PEOPLE = (
    "participant_id\trelease_number\tsex\tage\tehq_total\tcommercial_use\tfull_pheno\tp_factor\tattention\t"
    "internalizing\texternalizing\tRestingState\tDespicableMe\tcontrastChangeDetection_1\n"
)
_OLD = {"T7": "T3", "T8": "T4", "P7": "T5", "P8": "T6"}
TUH_ELECTRODES = [_OLD.get(name, name).upper() for name in STANDARD_19]


def age_of(number: int) -> float:
    return 6.0 + 1.5 * (number % 10)


def alpha_hz(number: int) -> float:
    return 8.0 + 0.3 * (age_of(number) - 6.0)


def write_hbn(
    root: Path,
    subjects: int = 4,
    seconds: float = 20.0,
    *,
    rate: int = 100,
    suffix: str = ".bdf",
    release: str = "R1_L100_bdf",
    tasks: Sequence[str] = ("RestingState", "DespicableMe", "ThePresent", f"{TRIALS_TASK}_run-1"),
    first: int = 1,
) -> Path:
    """Write a release of HBN: 129 channels, participants.tsv with cells that are n/a, events of every task.

    Subjects are NDARAA000001 and on (`first`); every third has no p_factor, every fourth no age.
    """
    cells = {}
    for number in range(first, first + subjects):
        factors = [
            f"{step * (number % most) - 0.3:.2f}" for step, most in ((0.1, 7), (0.3, 3), (0.2, 4), (0.2, 5))
        ]
        factors[0] = "n/a" if number % 3 == 0 else factors[0]
        age = "n/a" if number % 4 == 0 else f"{age_of(number):.1f}"
        row = ["n/a", "FM"[number % 2], age, "80.0", "Yes", "Yes", *factors]
        cells[f"NDARAA{number:06d}"] = "\t".join(row)
        for task in tasks:
            rows = hbn_events(task, seconds, start=1.0 + 0.137 * number)
            path = root / release / f"sub-NDARAA{number:06d}" / "eeg"
            write_hbn_recording(
                path / f"sub-NDARAA{number:06d}_task-{task}_eeg{suffix}",
                _head(number, task, rows, rate, seconds),
                rate,
                rows,
            )
    write_hbn_people(root / release, cells)
    return root


def write_hbn_people(folder: Path, cells: Mapping[str, str]) -> None:
    """Write participants.tsv: subject -> cells from release to factors."""
    rows = [f"sub-{subject}\t{text}\tavailable\tunavailable\tcaution" for subject, text in cells.items()]
    (folder / "participants.tsv").write_text(PEOPLE + "\n".join(rows) + "\n")
    (folder / "dataset_description.json").write_text('{"Name": "HBN", "BIDSVersion": "1.9.0"}')


def write_hbn_recording(path: Path, data: np.ndarray, rate: int, rows: Sequence[Row]) -> None:
    """Write one recording (129 or 128 channels, time) in volts with its tables."""
    task = path.name.split("_task-")[1].split("_")[0]
    names = list(HBN_CHANNELS[: len(data)])
    raw = mne.io.RawArray(data, mne.create_info(names, rate, "eeg"), verbose="ERROR")
    path.parent.mkdir(parents=True, exist_ok=True)
    options = {"physical_range": (-1000, 1000)} if path.suffix == ".bdf" else {}
    raw.export(path, overwrite=True, verbose="ERROR", **options)
    channels = ["name\ttype\tunits"] + [f"{name}\tEEG\tuV" for name in names]
    stem = path.name.removesuffix(f"_eeg{path.suffix}")
    path.with_name(f"{stem}_channels.tsv").write_text("\n".join(channels) + "\n")
    has_feedback = task == TRIALS_TASK
    lines = ["onset\tduration\tvalue\tevent_code" + "\tfeedback" * has_feedback]
    lines += [f"{o}\tn/a\t{value}\t5" + f"\t{feedback}" * has_feedback for o, value, feedback in rows]
    path.with_name(f"{stem}_events.tsv").write_text("\n".join(lines) + "\n")
    settings = {"TaskName": task, "SamplingFrequency": rate, "PowerLineFrequency": 60}
    settings |= {"EEGReference": "Cz", "SoftwareFilters": "n/a"}
    (path.parents[2] / f"task-{task}_eeg.json").write_text(json.dumps(settings))


def hbn_events(task: str, seconds: float, start: float) -> list[Row]:
    """List the rows of events.tsv of a task: a film, rest in four turns, or a trial every 4 s."""
    if task in FILMS:
        return [(start, "video_start", ""), (seconds - 0.5, "video_stop", "")]
    if task == "RestingState":
        turns = np.linspace(start, seconds - 1.0, 5)
        names = ["instructed_toOpenEyes", "instructed_toCloseEyes"] * 2 + ["break cnt"]
        return [(round(onset, 3), name, "") for onset, name in zip(turns.tolist(), names, strict=True)]
    rows: list[Row] = []
    for trial, onset in enumerate(np.arange(start, seconds, 4.0).tolist()):
        answer = ("smiley_face", "sad_face")[trial % 2]
        rows.append((onset, "contrastTrial_start", "n/a"))
        rows.append((onset + 0.5, "left_target", "n/a"))
        rows.append((onset + 1.5 + 0.1 * (trial % 5), "left_buttonPress", answer))
    return rows


def write_tuh(
    root: Path,
    subjects: int = 4,
    seconds: float = 20.0,
    *,
    rates: Sequence[float] = (250.0, 256.0),
    first: int = 0,
) -> Path:
    """Write TUEG: one EDF file per subject, 21 electrodes (19, A1, A2), ECG and photic, at each rate in turn.

    Subjects are aaaaaaaa, aaaaaaab and on (from `first`).
    """
    for number in range(first, first + subjects):
        subject = "aaaaaa" + "".join(chr(ord("a") + place) for place in divmod(number, 26))
        rate = rates[number % len(rates)]
        brain = 1e6 * _background(21, round(rate * seconds), rate, 10.0, number)
        labels = [f"EEG {name}-REF" for name in (*TUH_ELECTRODES, "A1", "A2")]
        pulse = 100 * np.sin(2 * np.pi * 1.2 * np.arange(brain.shape[1]) / rate)
        others = [("EEG EKG1-REF", pulse), ("PHOTIC-REF", 0 * pulse)]
        samples = [*zip(labels, brain, strict=True), *others]
        name = f"{subject}_s001_t000.edf"
        write_edf_signals(root / "edf/000" / subject / "s001_2015/01_tcp_ar" / name, samples, rate)
    return root


def write_edf_signals(
    path: Path,
    samples: Sequence[tuple[str, np.ndarray]],
    rate: float,
    rates: Mapping[str, float] | None = None,
    annotations: Sequence[tuple[float, float | None, str]] = (),
) -> Path:
    """Write (label, samples in microvolt); `rates` are those of channels with another rate."""
    signals = [
        edfio.EdfSignal(
            values,
            (rates or {}).get(label, rate),
            label=label,
            physical_dimension="uV",
            physical_range=(-500, 500),
        )
        for label, values in samples
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    edfio.Edf(signals, annotations=[edfio.EdfAnnotation(*mark) for mark in annotations]).write(path)
    return path


def _head(number: int, task: str, rows: Sequence[Row], rate: int, seconds: float) -> np.ndarray:
    """Return a recording of a task, (129, time) in volts; Cz, the reference, is zero."""
    num_samples = round(rate * seconds)
    seed = zlib.crc32(f"{number}{task}".encode())
    data = _background(len(HBN_CHANNELS), num_samples, rate, alpha_hz(number), seed)
    times = np.arange(num_samples) / rate
    if task in FILMS:
        film = np.random.default_rng(zlib.crc32(task.encode())).normal(size=round(10 * seconds)) * 8e-6
        data += np.cos(np.arange(129))[:, None] * np.interp(
            times - rows[0][0], np.arange(len(film)) / 10, film, left=0.0
        )
    if task == "RestingState":
        onsets = [onset for onset, _, _ in rows]
        is_closed = np.searchsorted(onsets, times, side="right") % 2 == 0
        data += 15e-6 * is_closed * np.sin(2 * np.pi * alpha_hz(number) * times)
    data[-1] = 0.0
    return data


def _background(num: int, num_samples: int, rate: float, hz: float, seed: int) -> np.ndarray:
    """Return 1/f noise of 10 uV and a rhythm of 5 uV, (num, num_samples) in volts."""
    random = np.random.default_rng(seed)
    frequencies = np.fft.rfftfreq(num_samples, 1 / rate)
    spectrum = np.fft.rfft(random.normal(size=(num, num_samples))) / np.sqrt(np.maximum(frequencies, 0.5))
    noise = np.fft.irfft(spectrum, num_samples)
    rhythm = np.sin(2 * np.pi * (hz * np.arange(num_samples) / rate + random.random((num, 1))))
    return 10e-6 * noise / noise.std() + 5e-6 * np.sqrt(2) * rhythm
