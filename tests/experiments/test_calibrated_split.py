# SPDX-License-Identifier: Apache-2.0
import json

import numpy as np
import pytest
import torch
from datasets import DatasetDict
from tests.collation.test_group_calibrations import make_rows
from tests.models.test_modeling_eeg_foundation import tiny_config

from eeg_hf import EEGDataCollator, EEGFeatureExtractor, EEGFoundationModel
from eeg_hf.collation.group_calibrations import balanced_weights, calibrate_groups
from eeg_hf.experiments.classifiers.calibrated_split import calibrate_split, warn_of_shares


@pytest.fixture(scope="module")
def rows():
    return make_rows(num_windows=24)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    fields = {"second_order": True, "second_order_bands": [[4, 8], [8, 13]]}
    return EEGFoundationModel(tiny_config(dropout=0.0, **fields)).eval()


def split(rows):
    """Return parts that share both subjects, as a split within subjects has them."""
    return DatasetDict({"train": rows.select(range(16)), "test": rows.select(range(16, 24))})


def test_windows_that_calibrate_are_in_no_part(rows, model):
    parts = split(rows)
    found = calibrate_split(parts, EEGFeatureExtractor(calibration_regime="50P"), model, "condition")
    left = [name for part in found.parts.values() for name in part["window_id"]]
    assert len(left) == 12 and set(found.calibrations) == {"lab/0", "lab/1"}
    assert all(each.num_seconds == 30 for each in found.calibrations.values())  # half of 60 s
    whole = calibrate_split(parts, EEGFeatureExtractor(calibration_regime="all"), model, "condition")
    assert whole.parts is parts and whole.calibrations["lab/0"].num_seconds == 60
    assert calibrate_split(parts, EEGFeatureExtractor(), model, "condition").calibrations is None


def test_the_same_windows_calibrate_whatever_other_rows_there_are(rows, model):
    extractor = EEGFeatureExtractor(calibration_regime="50P")
    whole = calibrate_split(DatasetDict({"test": rows}), extractor, model, "condition")
    is_first = np.array(rows["alignment_group"]) == "lab/0"
    alone = DatasetDict({"test": rows.select(np.flatnonzero(is_first))})
    left = set(calibrate_split(alone, extractor, model, "condition").parts["test"]["window_id"])
    assert left == {name for name in whole.parts["test"]["window_id"] if int(name[-2:]) % 2 == 0}


def test_classes_count_alike_where_training_subjects_are_calibrated(rows, model):
    parts = DatasetDict({"train": rows.select(range(18)), "test": rows.select(range(18, 24))})
    extractor = EEGFeatureExtractor(calibration_regime="all")
    plain, alike = (
        calibrate_split(parts, extractor, model, "condition", is_balanced=is_balanced).calibrations
        for is_balanced in (False, True)
    )
    labels, groups = (np.array(rows[name][:]) for name in ("condition", "alignment_group"))
    weights = np.ones(24)
    weights[:18] = balanced_weights(labels[:18], groups[:18])
    expected = calibrate_groups(rows, extractor, model, weights=weights)
    for name in ("lab/0", "lab/1"):
        np.testing.assert_allclose(alike[name].whitening, expected[name].whitening)
    assert any(not np.allclose(alike[name].whitening, plain[name].whitening) for name in alike)


def test_balanced_windows_weigh_as_much_as_those_of_unknown_class():
    """A subject in training and test part: neither part of their windows outweighs the other."""
    labels, groups = np.array(list("aaabaabb")), np.array(["s1"] * 4 + ["s2"] * 4)
    weights = balanced_weights(labels, groups)
    assert weights[:4].mean() == pytest.approx(1) and weights[4:].mean() == pytest.approx(1)
    assert weights[labels == "a"][:3].sum() == pytest.approx(weights[3])


def test_rest_can_be_marked_by_another_column(rows, model):
    extractor = EEGFeatureExtractor(calibration_regime="first_30s")
    by_label = calibrate_split(split(rows), extractor, model, "condition", "rest")
    by_column = calibrate_split(split(rows), extractor, model, "window_id", "condition=rest")
    assert by_label.parts["train"]["window_id"][:] == by_column.parts["train"]["window_id"][:]
    assert not any(
        start < 30 and name == "rest"
        for part in by_label.parts.values()
        for start, name in zip(part["start_seconds"], part["condition"], strict=True)
    )


def test_a_regime_that_leaves_a_part_empty_is_refused(rows, model):
    parts = DatasetDict({"train": rows.select(range(12, 24)), "test": rows.select(range(12))})
    extractor = EEGFeatureExtractor(calibration_regime="first_30s")
    with pytest.raises(ValueError, match="first_30s leaves no window of part 'test' to use"):
        calibrate_split(parts, extractor, model, "condition")


def test_other_shares_of_the_classes_are_noticed_in_training_subjects(rows, caplog):
    warn_of_shares(rows, "condition")
    assert not caplog.text
    groups = [f"lab/{index % 4}" for index in range(24)]
    labels = ["rest" if index % 4 == 3 or index // 4 % 2 else "task" for index in range(24)]
    changed = rows.remove_columns(["alignment_group", "condition"])
    changed = changed.add_column("alignment_group", groups).add_column("condition", labels)
    warn_of_shares(changed, "condition")
    assert "1 of 4 training subjects are calibrated on other shares of the classes (lab/3)" in caplog.text


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"sampling_rate": 250.0}, "made with sampling_rate=200.0, got sampling_rate=250.0"),
        ({"reference": "original"}, "made with reference='average', got reference='original'"),
        ({"normalization": "zscore"}, "made with normalization='robust', got normalization='zscore'"),
        ({"highpass_hz": 1.0}, "made with highpass_hz=0.5, got highpass_hz=1.0"),
    ],
)
def test_calibrations_of_other_signals_are_refused_by_the_collator(rows, model, other, message):
    extractor = EEGFeatureExtractor(calibration_regime="all")
    found = calibrate_split(split(rows), extractor, model, "condition").calibrations
    with pytest.raises(ValueError, match=message):
        EEGDataCollator(EEGFeatureExtractor(**other), calibrations=found)


@torch.no_grad()
def test_calibrations_of_another_model_are_refused_by_the_model(rows, model):
    found = calibrate_split(split(rows), EEGFeatureExtractor(calibration_regime="all"), model, "condition")
    inputs = found.calibrations["lab/0"].to_inputs(2)
    others = EEGFoundationModel(tiny_config(second_order=True, second_order_bands=[[4, 8]])).eval()
    with pytest.raises(
        ValueError, match=r"expected \(bands, components, components\) \(1, 19, 19\), got \(2,"
    ):
        others(torch.randn(2, 19, 400), **inputs)


def test_a_regime_holds_for_corpora_that_were_prepared_before_there_were_any(tmp_path):
    EEGFeatureExtractor().save_pretrained(tmp_path)
    path = tmp_path / "preprocessor_config.json"
    saved = json.loads(path.read_text())
    del saved["calibration_regime"]
    path.write_text(json.dumps(saved))
    found = EEGFeatureExtractor.from_pretrained(tmp_path, calibration_regime="all")
    assert found.calibration_regime == "all"
    assert EEGFeatureExtractor.from_pretrained(tmp_path).calibration_regime == "unseen"
