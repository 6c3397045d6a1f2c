# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import torch
from datasets import Dataset
from tests.models.test_modeling_eeg_foundation import tiny_config

from eeg_hf import (
    EEGDataCollator,
    EEGFeatureExtractor,
    EEGFoundationModel,
    EEGPreTrainingCollator,
    WindowDataset,
)
from eeg_hf.collation.group_calibrations import calibrate_groups, calibration_windows
from eeg_hf.models.standard_montage import STANDARD_POSITIONS

NAMES = list(STANDARD_POSITIONS)


def make_rows(num_windows=20, seed=0):
    random = np.random.default_rng(seed)
    rows = []
    for index in range(num_windows):
        values = random.normal(0, 20, (19, 1000))
        scale = np.abs(values).max(axis=1) / 32767
        rows.append(
            {
                "window_id": f"lab/{index:02d}",
                "alignment_group": f"lab/{index % 2}",
                "channels": NAMES,
                "channel_positions": np.ravel(list(STANDARD_POSITIONS.values())).tolist(),
                "num_samples": 1000,
                "start_seconds": 5.0 * (index // 2),
                "condition": "rest" if index // 2 % 2 else "task",
                "signal": np.round(values / scale[:, None]).astype("<i2").tobytes(),
                "scale": scale.tolist(),
            }
        )
    return Dataset.from_list(rows)


@pytest.fixture(scope="module")
def rows():
    return make_rows()


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    fields = {"second_order": True, "second_order_bands": [[4, 8], [8, 13]]}
    return EEGFoundationModel(tiny_config(dropout=0.0, **fields)).eval()


def test_each_regime_uses_what_it_says(rows):
    assert not calibration_windows(rows, "unseen").any()
    assert calibration_windows(rows, "all").all()
    early = np.array(rows["start_seconds"]) < 30
    assert (calibration_windows(rows, "first_30s") == early).all()
    is_rest = np.array(rows["condition"]) == "rest"
    found = calibration_windows(rows, "first_30s", "condition", "rest")
    assert (found == (early & is_rest)).all()
    for regime, number in (("20P", 2), ("50P", 5)):
        chosen = calibration_windows(rows, regime, seed=3)
        assert [int(chosen[np.arange(20) % 2 == group].sum()) for group in (0, 1)] == [number, number]
        assert (chosen == calibration_windows(rows, regime, seed=3)).all()
        assert (chosen != calibration_windows(rows, regime, seed=4)).any()


def test_unknown_regimes_and_groups_without_windows_are_refused(rows):
    with pytest.raises(ValueError, match="regime: expected one of unseen, first_30s"):
        calibration_windows(rows, "aligned")
    with pytest.raises(ValueError, match="first_30s: no window to calibrate lab/0, lab/1 on"):
        calibration_windows(rows, "first_30s", "condition", "sleep")


@torch.no_grad()
def test_the_collator_recentres_each_group_by_its_own(rows, model):
    extractor = EEGFeatureExtractor()
    calibrations = calibrate_groups(rows, extractor, model, batch_size=7)
    assert {group: each.num_seconds for group, each in calibrations.items()} == {"lab/0": 50, "lab/1": 50}
    collate = EEGDataCollator(extractor, calibrations=calibrations)
    batch = collate(WindowDataset(rows).__getitems__(list(range(20))))
    assert batch["recentring_whitening"].shape == (20, 2, 19, 19)
    torch.testing.assert_close(
        batch["recentring_log_power"][3], torch.from_numpy(calibrations["lab/1"].log_power)
    )
    vectors = model(**batch).band_features[:, 0]
    power = vectors[..., 190:]  # the last features are log power
    for group in (0, 1):
        torch.testing.assert_close(power[group::2].mean(dim=0), torch.zeros(2, 19), atol=1e-4, rtol=0)


def test_only_the_chosen_windows_count_and_10_s_are_needed(rows, model):
    chosen = np.arange(20) < 8
    found = calibrate_groups(rows, EEGFeatureExtractor(), model, chosen)
    assert found["lab/0"].num_seconds == 20.0
    with pytest.raises(ValueError, match="expected 10 s of signal or more"):
        calibrate_groups(rows, EEGFeatureExtractor(), model, np.arange(20) < 2)


def test_groups_whose_montage_changes_are_refused(rows, model):
    mixed = Dataset.from_list([*rows, {**rows[0], "channels": [*NAMES[:-1], "Oz"]}])
    with pytest.raises(ValueError, match="lab/0: its windows have different channels"):
        calibrate_groups(mixed, EEGFeatureExtractor(), model)


def test_pretraining_draws_the_noise_of_bands_by_row(rows):
    collate = EEGPreTrainingCollator(EEGFeatureExtractor(), patch_size=200, view=None, num_bands=12)
    windows = WindowDataset(rows)
    noise = collate(windows.__getitems__([0, 1, 2]))["band_noise"]
    assert noise.shape == (3, 12)
    torch.testing.assert_close(collate(windows.__getitems__([2]))["band_noise"][0], noise[2])
