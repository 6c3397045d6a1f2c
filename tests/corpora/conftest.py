# SPDX-License-Identifier: Apache-2.0
"""Small trees of real EDF files in the layout of the public corpora, written by MNE."""

from collections.abc import Callable, Sequence
from pathlib import Path

import mne
import numpy as np
import pytest

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
        limits = (-10.0 * amplitude_uv - 1.0, 10.0 * amplitude_uv + 1.0)  # MNE takes them in microvolt
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
