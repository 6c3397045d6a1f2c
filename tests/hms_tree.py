# SPDX-License-Identifier: Apache-2.0
"""A tree laid out as the competition HMS, whose votes follow a truth that EEG and spectrogram both show.

Every window has a hidden strength of each of six kinds. Experts vote by its softmax. Each kind has a rhythm,
which is the stronger in the EEG and in the spectrogram the stronger the kind, with noise of their own.
"""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.special import softmax

from eeg_hf.corpora.hms import REGIONS, VOTES

RHYTHMS_HZ = (2.0, 4.0, 6.5, 9.0, 12.0, 16.0)
ELECTRODES = (
    *("Fp1", "F3", "C3", "P3", "F7", "T3", "T5", "O1", "Fz", "Cz"),
    *("Pz", "Fp2", "F4", "C4", "P4", "F8", "T4", "T6", "O2"),
)
KINDS = ("Seizure", "LPD", "GPD", "LRDA", "GRDA", "Other")
ROWS_OF_A_RECORDING = 3
_RATE = 200


def write_tree(folder, patients=12, recordings=2, seed=0, noise=0.5, eeg_noise=1.0):
    """Write train.csv, train_eegs/ and train_spectrograms/, and a test part of one row."""
    random = np.random.default_rng(seed)
    lines = [
        "eeg_id,eeg_label_offset_seconds,spectrogram_id,spectrogram_label_offset_seconds,label_id,patient_id,"
        "expert_consensus," + ",".join(VOTES)
    ]
    for patient in range(patients):
        for recording in range(recordings):
            eeg_id = 1000 + 10 * patient + recording
            strengths = random.normal(scale=1.5, size=(ROWS_OF_A_RECORDING, 6))
            shown = strengths + random.normal(scale=eeg_noise, size=strengths.shape)
            _write_eeg(folder / f"train_eegs/{eeg_id}.parquet", shown, random)
            for row, strength in enumerate(strengths):
                spectrogram_id, experts = 10 * eeg_id + row, int(random.choice([3, 12, 20]))
                path = folder / f"train_spectrograms/{spectrogram_id}.parquet"
                _write_spectrogram(path, strength, random, noise)
                votes = random.multinomial(experts, softmax(strength))
                name = KINDS[int(votes.argmax())]
                ids = (eeg_id, 10.0 * row, spectrogram_id, 0.0, spectrogram_id, 500 + patient)
                lines.append(",".join(map(str, (*ids, name, *votes))))
    (folder / "train.csv").write_text("\n".join(lines) + "\n")
    _write_eeg(folder / "test_eegs/77.parquet", np.zeros((3, 6)), random, seconds=50)
    _write_spectrogram(folder / "test_spectrograms/770.parquet", np.zeros(6), random, 0.0)
    (folder / "test.csv").write_text("spectrogram_id,eeg_id,patient_id\n770,77,9\n")


def _write_eeg(path, strengths, random, seconds=70):
    """Row r of the table votes on the 10 s from 20 + 10 r on."""
    times = np.arange(_RATE * seconds) / _RATE
    row = np.clip((times - 20) // 10, 0, len(strengths) - 1).astype(int)
    data = 10 * random.normal(size=(len(ELECTRODES), len(times)))
    for rhythm, strength in zip(RHYTHMS_HZ, strengths.T, strict=True):
        phases = random.uniform(0, 2 * np.pi, (len(ELECTRODES), 1))
        data += 8 * np.exp(strength[row] / 2) * np.sin(2 * np.pi * rhythm * times + phases)
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = dict(zip(ELECTRODES, data.astype(np.float32), strict=True))
    pq.write_table(pa.table(columns), path)


def _write_spectrogram(path, strength, random, noise):
    frequencies = [round(0.59 + 0.19525 * index, 2) for index in range(100)]
    shown = strength + random.normal(scale=noise, size=6)
    distance = np.abs(np.subtract.outer(np.array(frequencies), RHYTHMS_HZ))  # (frequencies, kinds)
    power = 0.1 + np.exp(shown[distance.argmin(axis=1)]) * (distance.min(axis=1) < 0.8)
    values = (power[:, None] * random.gamma(4, 0.25, (4, 100, 300))).astype(np.float32)
    columns = {"time": np.arange(1, 601, 2)}
    for region, of_region in zip(REGIONS, values, strict=True):
        columns |= {f"{region}_{f:g}": row for f, row in zip(frequencies, of_region, strict=True)}
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)
