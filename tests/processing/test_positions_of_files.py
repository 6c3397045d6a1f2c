# SPDX-License-Identifier: Apache-2.0
"""Positions that a file states: names shared by two caps, and positions that cannot be on a head."""

import mne
import numpy as np
import pytest

from eeg_hf import EEGFeatureExtractor
from eeg_hf.processing.electrode_positions import positions_from_raw
from eeg_hf.processing.preprocessing import preprocess


def record(names: list[str]) -> mne.io.RawArray:
    samples = 20e-6 * np.random.default_rng(0).normal(size=(len(names), 2000))
    return mne.io.RawArray(samples, mne.create_info(names, 200.0, "eeg"), verbose="ERROR")


def biosemi_without(name: str, placed: bool) -> mne.io.BaseRaw:
    montage = mne.channels.make_standard_montage("biosemi128")
    raw = record(montage.ch_names)
    if placed:
        raw.set_montage(montage)
    return raw.drop_channels([name])


def test_an_incomplete_cap_with_positions_lies_where_the_file_says():
    raw = biosemi_without("B7", placed=True)
    clean, _ = preprocess(raw)
    stated = np.array([channel["loc"][:3] for channel in raw.info["chs"]])
    np.testing.assert_allclose(positions_from_raw(clean, prefer="file"), stated, atol=1e-6)
    assert stated[0][2] > 0.1  # A1 is the vertex, and not the left ear
    np.testing.assert_allclose(EEGFeatureExtractor()(raw)["channel_positions"][0], stated, atol=1e-6)
    np.testing.assert_allclose(positions_from_raw(raw), stated, atol=1e-6)


@pytest.mark.parametrize("policy", ["error", "drop", "mask"])
def test_an_incomplete_cap_without_positions_has_no_known_electrode(policy):
    with pytest.raises(ValueError, match="unknown EEG channel"):
        preprocess(biosemi_without("B7", placed=False), unknown_channels=policy)


@pytest.mark.parametrize(
    ("factor", "hint"), [(1e3, "are these mm"), (1e2, "are these cm"), (1e4, "expected")]
)
def test_a_position_that_cannot_be_on_a_head_is_refused(factor, hint):
    raw = record(["EEG 001", "EEG 002", "EEG 003"])
    for channel, place in zip(raw.info["chs"], np.eye(3), strict=True):
        channel["loc"][:3] = 0.09 * factor * place
    for door in (preprocess, EEGFeatureExtractor(), positions_from_raw):
        with pytest.raises(ValueError, match=f"position of 'EEG 001'.*{hint}"):
            door(raw)
    samples = raw.get_data()
    with pytest.raises(ValueError, match=hint):
        EEGFeatureExtractor(positions={"EEG 001": raw.info["chs"][0]["loc"][:3]})
    named = mne.io.RawArray(samples, mne.create_info(["C3", "Cz", "C4"], 200.0, "eeg"), verbose="ERROR")
    for channel, place in zip(named.info["chs"], np.eye(3), strict=True):
        channel["loc"][:3] = 0.09 * factor * place
    assert np.linalg.norm(EEGFeatureExtractor()(named)["channel_positions"], axis=-1).max() < 0.2
