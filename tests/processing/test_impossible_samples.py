# SPDX-License-Identifier: Apache-2.0
"""Samples that no electrode gives are stopped at every door of the extractor."""

import mne
import numpy as np
import pytest

from eeg_hf import EEGFeatureExtractor

NAMES = ["Fp1", "Fp2", "C3", "C4", "O1", "O2"]
IMPOSSIBLE = {"1e301": 1e301, "float32": 3e38, "inf": np.inf, "3 V": 3e6, "-3 V": -3e6}


def through(door: str, samples_uv: np.ndarray) -> dict:
    extractor = EEGFeatureExtractor(window_seconds=2.0)
    if door == "recording":
        info = mne.create_info(NAMES, 200.0, "eeg")
        return extractor(mne.io.RawArray(samples_uv * 1e-6, info, verbose="ERROR"))
    described = {"sampling_rate": 200, "channel_names": NAMES, "unit": "uV"}
    return extractor(samples_uv, **described, is_preprocessed=door == "clean array")


@pytest.mark.parametrize("kind", IMPOSSIBLE)
@pytest.mark.parametrize("door", ["array", "recording", "clean array"])
def test_a_channel_with_one_is_bad_and_the_others_are_as_without_it(kind, door):
    samples = 20 * np.random.default_rng(0).normal(size=(6, 2000))
    damaged = samples.copy()
    damaged[2, 500] = IMPOSSIBLE[kind]
    found = through(door, damaged)
    assert found["channel_mask"][0].tolist() == [True, True, False, True, True, True]
    assert found["input_values"].isfinite().all() and not found["input_values"][:, 2].any()
    samples[2] = 0.0
    expected = through(door, samples)
    assert np.allclose(found["input_values"], expected["input_values"], atol=1e-5)


@pytest.mark.parametrize("kind", IMPOSSIBLE)
@pytest.mark.parametrize("door", ["array", "recording", "clean array"])
def test_a_recording_with_one_in_every_channel_is_refused(kind, door):
    samples = 20 * np.random.default_rng(0).normal(size=(6, 2000))
    samples[:, 500] = IMPOSSIBLE[kind]
    with pytest.raises(ValueError, match="every (EEG )?channel"):
        through(door, samples)
