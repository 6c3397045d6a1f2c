# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from eeg_hf import EEGFeatureExtractor
from eeg_hf.corpora import Simulated
from eeg_hf.evaluation.best_decoder import BestDecoder


@pytest.fixture(scope="module")
def windows():
    """Return (windows, 19, 1000) in uV, whether each is task, and its subject."""
    corpus, extractor = Simulated(num_subjects=8, seconds=20), EEGFeatureExtractor(normalization="none")
    found, labels, owners = [], [], []
    for recording in corpus.recordings():
        values = extractor(corpus.read(recording))["input_values"].numpy()
        found.append(values)
        labels += [recording.task == "task"] * len(values)
        owners += [recording.subject] * len(values)
    return np.concatenate(found), np.array(labels), np.array(owners)


def test_it_measures_the_parameters_that_the_corpus_was_made_with(windows):
    values, _, owners = windows
    is_whole = (values.std(axis=-1) > 0).all(axis=1)  # without dead electrodes
    _, power, _, _ = BestDecoder(200)._filter_alpha(values[is_whole], np.ones(19, bool))
    truth = np.array([Simulated().truth(owner).background_uv for owner in owners[is_whole]])
    np.testing.assert_allclose(np.sqrt(power) / truth, 1, atol=0.12)


def test_it_knows_more_of_subjects_whose_windows_it_has_seen(windows):
    values, labels, owners = windows
    unseen, aligned = (BestDecoder(200, is_aligned=each).predict_proba(values, owners) for each in (0, 1))
    right = [np.mean((scores[:, 1] > 0.5) == labels) for scores in (unseen, aligned)]
    assert right[1] > 0.9 > right[0] > 0.55
    np.testing.assert_allclose(aligned.sum(axis=1), 1)
    # Of an unseen subject each window is judged by itself
    alone = BestDecoder(200).predict_proba(values[:1], owners[:1])
    np.testing.assert_allclose(alone, unseen[:1], rtol=1e-6)


def test_its_probabilities_are_calibrated_up_to_the_size_of_the_sample(windows):
    values, labels, owners = windows
    scores = BestDecoder(200).predict_proba(values, owners)[:, 1]
    assert abs(scores.mean() - labels.mean()) < 0.12


def test_dead_electrodes_are_left_out(windows):
    values, labels, owners = windows
    damaged = values.copy()
    damaged[:, 0] = 0.0
    scores = BestDecoder(200, is_aligned=True).predict_proba(damaged, owners)
    assert np.mean((scores[:, 1] > 0.5) == labels) > 0.85
