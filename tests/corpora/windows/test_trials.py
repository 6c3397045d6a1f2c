# SPDX-License-Identifier: Apache-2.0
"""Windows at events: their baseline, and means of trials."""

from dataclasses import asdict

import mne
import numpy as np
import pytest

from eeg_hf import EEGFeatureExtractor, load_windows, prepare
from eeg_hf.collation import decode_windows
from eeg_hf.corpora import FolderCorpus
from eeg_hf.corpora.windows.window_plan import WindowPlan

RATE = 100.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Seven standards and three targets; the k-th of each kind is a step of k uV after its event."""
    place = tmp_path_factory.mktemp("steps")
    samples = np.zeros((3, 1200))
    samples[2] = np.random.default_rng(0).normal(0, 1e-6, 1200)  # an electrode that is not flat
    counts = {"standard": 0, "target": 0}
    names = ["standard"] * 2 + ["target"] + ["standard"] * 3 + ["target"] * 2 + ["standard"] * 2
    for trial, name in enumerate(names):
        counts[name] += 1
        start = 100 + 100 * trial
        samples[0, start - 20 : start + 60] += 50e-6  # what a baseline removes
        samples[0, start : start + 60] += counts[name] * 1e-6
    info = mne.create_info(["Cz", "Pz", "Oz"], RATE, "eeg")
    raw = mne.io.RawArray(samples, info, verbose="ERROR")
    raw.set_annotations(mne.Annotations(np.arange(1.0, 11.0), 0.0, names))
    raw.save(place / "p1_raw.fif", verbose="ERROR")
    return place


def cut(folder, output_dir, **options):
    extractor = EEGFeatureExtractor(
        RATE, highpass_hz=None, lowpass_hz=None, reference="original", window_seconds=0.8, bad_channels="none"
    )
    prepare(
        FolderCorpus(root=folder), output_dir, extractor, root=folder, segments="events", tmin=-0.2, **options
    )
    rows = load_windows(output_dir)
    values = decode_windows(rows.with_format("arrow")[:])[0]
    return rows["event"][:], values[:, 0]  # at Cz


def test_what_is_before_an_event_is_subtracted(folder, tmp_path):
    names, values = cut(folder, tmp_path / "raw")
    assert values[0, :20] == pytest.approx(50, abs=0.1)
    names, values = cut(folder, tmp_path / "corrected", baseline=(-0.2, 0.0))
    assert np.abs(values[:, :20]).max() < 0.1
    steps = values[:, 20:].mean(axis=1)
    assert steps[[name == "target" for name in names]] == pytest.approx([1, 2, 3], abs=0.1)


def test_trials_of_an_event_that_follow_each_other_become_their_mean(folder, tmp_path):
    names, values = cut(folder, tmp_path, baseline=(-0.2, 0.0), average=3)
    # Standards 1-3 and 4-6, targets 1-3; the seventh standard is left over
    assert names == ["standard", "target", "standard"]
    assert values[:, 20:].mean(axis=1) == pytest.approx([2, 2, 5], abs=0.1)


def test_settings_that_are_not_used_leave_older_corpora_as_they_are():
    plain = WindowPlan("events", 1.0, 1.0)
    assert set(asdict(plain)) - set(plain.settings()) == {"baseline", "average"}
    assert WindowPlan("events", 1.0, 1.0, average=2).settings()["average"] == 2
    with pytest.raises(
        ValueError, match=r"inside the window, from -0.2 to 0.8 s of the event, got -0.3 to 0"
    ):
        WindowPlan("events", 1.0, 1.0, tmin=-0.2, baseline=(-0.3, 0.0))
    with pytest.raises(ValueError, match="for segments='events', got 'fixed'"):
        WindowPlan("fixed", 1.0, 1.0, average=2)
