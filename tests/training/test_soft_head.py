# SPDX-License-Identifier: Apache-2.0
"""A head that is fitted to the shares of experts' votes."""

import numpy as np
import pytest
from scipy.special import softmax

from eeg_hf.evaluation.vote_metrics import vote_divergence
from eeg_hf.training.convex_head import fit_head
from eeg_hf.training.soft_head import fit_soft_head


def test_probabilities_are_those_of_the_experts():
    random = np.random.default_rng(0)
    features, groups = random.normal(size=(400, 4)).astype(np.float32), np.repeat(np.arange(8), 50)
    truth = softmax(features @ random.normal(size=(4, 3)), axis=1)
    votes = np.stack([random.multinomial(10, row) for row in truth]) / 10
    weak = (0.1, 1.0, 10.0)
    soft = fit_soft_head(features, votes, groups, weak)
    hard = fit_head(features, votes.argmax(axis=1), groups, weak)
    found, sure = (softmax(features @ head.weight.T + head.bias, axis=1) for head in (soft, hard))
    assert np.abs(found - truth).mean() < 0.03
    assert vote_divergence(truth, found) < 0.3 * vote_divergence(truth, sure)
    with pytest.raises(ValueError, match="add up to 1"):
        fit_soft_head(features, 2 * votes, groups)
