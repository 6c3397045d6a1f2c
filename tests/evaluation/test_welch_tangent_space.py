# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from eeg_hf.evaluation.welch_tangent_space import WelchTangentSpace

SUBJECTS = np.repeat(["a", "b", "c", "d", "e", "f"], 20)
LABELS = np.tile([0, 1], 60)
BANDS = [(4, 8), (8, 13), (13, 30)]


def make_windows(seed=0, mixing=0.4):
    """Return windows of subjects whose channels are mixed differently; the class couples two sources."""
    random = np.random.default_rng(seed)
    sources = random.normal(0, 10, (120, 4, 400))
    sources[LABELS == 1, 0] += 0.8 * sources[LABELS == 1, 1]
    windows = np.empty_like(sources)
    for subject in np.unique(SUBJECTS):
        rows = subject == SUBJECTS
        windows[rows] = (np.eye(4) + mixing * random.normal(size=(4, 4))) @ sources[rows]
    return windows


@pytest.mark.parametrize(("is_aligned", "mixing"), [(False, 0.05), (True, 0.05), (True, 0.4)])
def test_it_finds_what_the_covariances_tell(is_aligned, mixing):
    windows, is_train = make_windows(mixing=mixing), SUBJECTS < "e"
    classifier = WelchTangentSpace(200, is_aligned, BANDS)
    classifier.fit(windows[is_train], LABELS[is_train], SUBJECTS[is_train])
    assert classifier.shrinkage_ in ((0.1, 0.0), (0.01, 0.3))
    accuracy = (classifier.predict(windows[~is_train], SUBJECTS[~is_train]) == LABELS[~is_train]).mean()
    assert accuracy > 0.8


def test_alignment_removes_any_mixing_of_a_subject():
    windows, is_train = make_windows(), SUBJECTS < "e"
    classifier = WelchTangentSpace(200, True, BANDS, shrinkages=[(1e-6, 0.0)])
    classifier.fit(windows[is_train], LABELS[is_train], SUBJECTS[is_train])
    test, owners = windows[~is_train], SUBJECTS[~is_train]
    gain = np.array([3.0, 0.2, 1.0, 10.0])[:, None]
    # An orthogonal matrix remains, which a congruence by positive gains changes little
    found = classifier.predict_proba(test * gain, owners)[:, 1]
    assert np.corrcoef(found, classifier.predict_proba(test, owners)[:, 1])[0, 1] > 0.6


def test_it_must_know_whose_windows_it_aligns():
    windows = make_windows()
    classifier = WelchTangentSpace(200, True, BANDS).fit(windows, LABELS, SUBJECTS)
    with pytest.raises(ValueError, match="needs the subject of each window"):
        classifier.predict_proba(windows)


def test_one_subject_and_subjects_of_one_class_leave_nothing_to_choose_on():
    windows = make_windows(mixing=0.0)
    alone = WelchTangentSpace(200, False, BANDS).fit(windows[:20], LABELS[:20], SUBJECTS[:20])
    assert (alone.predict(windows[:20]) == LABELS[:20]).mean() > 0.8
    owners = np.where(LABELS == 1, "a", "b")
    split = WelchTangentSpace(200, False, BANDS).fit(windows, LABELS, owners)
    assert (split.predict(windows) == LABELS).mean() > 0.8


def test_bands_that_the_rate_does_not_hold_are_left_out():
    windows = make_windows()
    assert WelchTangentSpace(40).covariances(windows).shape == (120, 8, 4, 4)
