# SPDX-License-Identifier: Apache-2.0
import mne
import numpy as np
import pytest

from eeg_hf import EEGFeatureExtractor
from eeg_hf.processing.bad_spans import bad_windows


@pytest.mark.parametrize(
    ("onset", "duration", "text", "num_bad"),
    [
        (5.0, 1.0, "BAD blink", 1),
        (3.5, 1.0, "bad", 2),
        (7.0, 0.0, "BAD boundary", 1),
        (8.0, 0.0, "EDGE boundary", 0),
        (5.0, 1.0, "stimulus", 0),
    ],
)
def test_the_extractor_says_which_windows_are_bad(onset, duration, text, num_bad):
    samples = 20e-6 * np.random.default_rng(0).normal(size=(3, 4000))
    raw = mne.io.RawArray(samples, mne.create_info(["C3", "Cz", "C4"], 200.0, "eeg"), verbose="ERROR")
    raw.set_annotations(mne.Annotations(onset, duration, text))
    batch = EEGFeatureExtractor(window_seconds=4.0)(raw, return_report=True)
    found = [line for line in batch["report"][0]["warnings"] if "overlap spans" in line]
    assert bool(found) == bool(num_bad)
    assert not found or found[0].startswith(f"{num_bad} of 5 windows overlap")


@pytest.mark.parametrize("num_windows", [4, 5, 6])
def test_a_changed_rate_may_move_the_last_window(num_windows):
    raw = mne.io.RawArray(np.zeros((1, 4000)), mne.create_info(1, 200.0, "eeg"), verbose="ERROR")
    raw.set_annotations(mne.Annotations(13.0, 7.0, "BAD"))
    expected = [False, False, False, True, True, False][:num_windows]
    assert bad_windows(raw, 4.0, num_windows).tolist() == expected
