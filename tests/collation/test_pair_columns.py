# SPDX-License-Identifier: Apache-2.0
"""What the pretraining collator says of stimuli, people and further tasks."""

import zlib

import numpy as np
import pyarrow as pa
import pytest
import torch

from eeg_hf import EEGFeatureExtractor, EEGPreTrainingCollator, PairColumns

ROWS = {
    "stimulus": ["film", "film", None, "film", "other"],
    "stimulus_seconds": [2.0, 4.0, 1.0, None, float("nan")],
    "corpus": ["lab", "clinic", "lab", "lab", "lab"],
    "subject": ["01", "01", "01", "02", "02"],
}


def test_names_become_the_same_numbers_everywhere():
    batch = PairColumns("stimulus", "stimulus_seconds").collate(pa.table(ROWS))
    film = zlib.crc32(b"film")
    assert batch["stimulus_ids"].tolist() == [film, film, -1, -1, -1]
    assert batch["stimulus_seconds"][:2].tolist() == [2.0, 4.0]
    assert batch["stimulus_seconds"][2:].isnan().all()
    assert [batch[name].dtype for name in batch] == [torch.int64, torch.float32, torch.int64]
    clinic, lab = zlib.crc32(b"clinic/01"), zlib.crc32(b"lab/01")
    assert batch["subject_ids"][:3].tolist() == [lab, clinic, lab]


def test_a_stimulus_without_a_clock_is_at_second_zero():
    batch = PairColumns("stimulus").collate(pa.table(ROWS))
    assert (batch["stimulus_ids"] >= 0).tolist() == [True, True, False, True, True]
    assert batch["stimulus_seconds"][[0, 1, 3, 4]].tolist() == [0.0] * 4
    assert PairColumns("subject").columns == ["subject", "corpus"]


def test_rows_without_the_columns_are_refused():
    with pytest.raises(ValueError, match="expected rows with the column 'stimulus_seconds'"):
        PairColumns("stimulus", "stimulus_seconds").collate(pa.table({"stimulus": ["film"]}))


@pytest.fixture
def rows():
    random = np.random.default_rng(0)
    signal = {
        "alignment_group": "lab",
        "channel_positions": [0.01] * 6,
        "num_samples": 100,
        "scale": [0.1, 0.1],
    }
    return [
        {**signal, "window_id": str(row), "signal": random.integers(-99, 99, 200).astype("<i2").tobytes()}
        | {name: values[row] for name, values in ROWS.items()}
        | {"age": 30.0 + row if row else None, "sex": ["F", "M", None, "F", "M"][row]}
        for row in range(5)
    ]


def test_pretraining_batches_hold_pairs_and_the_targets_of_further_tasks(rows):
    collator = EEGPreTrainingCollator(
        EEGFeatureExtractor(normalization="none"),
        patch_size=50,
        pairs=PairColumns("stimulus", "stimulus_seconds"),
        label_column={"age": "age", "sex": "sex"},
        label2id={"sex": {"F": 0, "M": 1}},
    )
    batch = collator(rows)
    assert "labels" not in batch
    assert batch["auxiliary_targets"]["age"][0].isnan()
    assert batch["auxiliary_targets"]["age"][1:].tolist() == [31.0, 32.0, 33.0, 34.0]
    assert batch["auxiliary_targets"]["sex"].tolist() == [0, 1, -100, 0, 1]
    assert {"stimulus_ids", "stimulus_seconds", "subject_ids", "mask_noise", "augmented_values"} <= set(batch)


def test_without_pairs_and_tasks_nothing_is_added(rows):
    batch = EEGPreTrainingCollator(EEGFeatureExtractor(normalization="none"), patch_size=50)(rows)
    assert not {"stimulus_ids", "subject_ids", "auxiliary_targets", "labels"} & set(batch)
