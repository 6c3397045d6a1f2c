# SPDX-License-Identifier: Apache-2.0
"""Small trees of real EDF files in the layout of the public corpora, written by MNE."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import mne
import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.corpora.written_trees import write_edf_signals

EEGMAT_LABELS = ["EEG Fp1", "EEG Fp2", "EEG T3", "EEG Cz", "EEG O1", "EEG O2", "EEG A2-A1", "ECG ECG"]
WriteEdf = Callable[..., Path]


@pytest.fixture(scope="session")
def write_edf() -> WriteEdf:
    def write(
        path: Path,
        labels: Sequence[str] = EEGMAT_LABELS,
        rate: float = 250.0,
        seconds: float = 7.0,
        seed: int = 0,
        amplitude_uv: float = 20.0,
        annotations: Sequence[tuple[float, float, str]] = (),
    ) -> Path:
        noise = np.random.default_rng(seed).normal(size=(len(labels), round(rate * seconds)))
        raw = mne.io.RawArray(
            noise * amplitude_uv * 1e-6, mne.create_info(list(labels), rate, "eeg"), verbose="ERROR"
        )
        if annotations:
            onsets, durations, names = zip(*annotations, strict=True)
            raw.set_annotations(mne.Annotations(onsets, durations, names))
        path.parent.mkdir(parents=True, exist_ok=True)
        limits = (-10.0 * amplitude_uv - 1.0, 10.0 * amplitude_uv + 1.0)  # in microvolt
        raw.export(path, fmt="edf", physical_range=limits, overwrite=True, verbose="ERROR")
        return path

    return write


@pytest.fixture(scope="session")
def make_eegmat(write_edf: WriteEdf) -> Callable[[Path, int], Path]:
    def make(root: Path, num_subjects: int = 2) -> Path:
        rows = ["Subject,Age,Gender,Recording year,Number of subtractions,Count quality"]
        for subject in range(num_subjects):
            for run, seconds in ((1, 7.0), (2, 6.0)):
                write_edf(root / f"Subject{subject:02d}_{run}.edf", seconds=seconds, seed=10 * subject + run)
            rows.append(f"Subject{subject:02d},{20 + subject},{'FM'[subject % 2]},2011,9.7,{subject % 2}")
        (root / "subject-info.csv").write_text("\n".join(rows) + "\n")
        return root

    return make


@pytest.fixture(scope="session")
def write_sines() -> WriteEdf:
    def write(
        path: Path,
        channels: Sequence[tuple[str, float]],
        rate: float = 250.0,
        seconds: float = 20.0,
        hz: float = 10.0,
        rates: Mapping[str, float] | None = None,
        annotations: Sequence[tuple[float, float | None, str]] = (),
    ) -> Path:
        """Write (label, amplitude in uV) as sines of one frequency; `rates` are those of other channels."""
        samples = []
        for label, amplitude in channels:
            times = np.arange(round((rates or {}).get(label, rate) * seconds)) / (rates or {}).get(
                label, rate
            )
            samples.append((label, amplitude * np.sin(2 * np.pi * hz * times)))
        return write_edf_signals(path, samples, rate, rates, annotations)

    return write


@pytest.fixture(scope="session")
def read_windows() -> Callable[[Path], list[dict[str, object]]]:
    def read(prepared: Path) -> list[dict[str, object]]:
        """Read all rows, with `amplitude`: that of a sine of each channel's power, in uV."""
        rows = [
            row for path in sorted(prepared.glob("data/*.parquet")) for row in pq.read_table(path).to_pylist()
        ]
        for row in rows:
            counts = np.frombuffer(row["signal"], "<i2").reshape(len(row["channels"]), -1)
            deviation = (counts * np.array(row["scale"])[:, None]).std(axis=1)
            row["amplitude"] = dict(zip(row["channels"], np.sqrt(2) * deviation, strict=True))
        return rows

    return read
