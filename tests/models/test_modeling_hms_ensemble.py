# SPDX-License-Identifier: Apache-2.0
"""Members of any make vote by their probabilities."""

import numpy as np
import pytest
import timm
import torch
from scipy.special import softmax
from scipy.stats import entropy
from transformers import (
    AutoModelForSequenceClassification,
    TimmWrapperConfig,
    TimmWrapperForImageClassification,
)

from eeg_hf import (
    EEGFoundationConfig,
    EEGFoundationForSequenceClassification,
    HMSEnsembleConfig,
    HMSEnsembleModel,
    create_model,
)
from eeg_hf.evaluation.vote_metrics import vote_divergence


@pytest.fixture
def members():
    torch.manual_seed(0)
    config = EEGFoundationConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, num_labels=6
    )
    return {
        "foundation": EEGFoundationForSequenceClassification(config).eval(),
        "efficientnet": timm.create_model(
            "efficientnet_b0", pretrained=False, in_chans=4, num_classes=6
        ).eval(),
    }


def test_eeg_and_spectrogram_members_vote(members):
    config = HMSEnsembleConfig(inputs={"efficientnet": "spectrogram"}, weights={"foundation": 3.0})
    ensemble = HMSEnsembleModel(members, config).eval()
    eeg, spectrogram = torch.randn(2, 19, 1000), torch.randn(2, 4, 64, 64)
    with torch.no_grad():
        votes = ensemble(eeg, spectrogram, labels=torch.tensor([0, 5]))
        eeg_votes = members["foundation"](eeg).logits.softmax(-1)
        image_votes = members["efficientnet"](spectrogram).softmax(-1)
    torch.testing.assert_close(votes.logits.exp(), 0.75 * eeg_votes + 0.25 * image_votes)
    torch.testing.assert_close(votes.loss, torch.nn.functional.nll_loss(votes.logits, torch.tensor([0, 5])))


def test_votes_are_learned_on_request(members):
    config = HMSEnsembleConfig(inputs={"efficientnet": "spectrogram"}, learn_weights=True)
    ensemble = HMSEnsembleModel(members, config)
    ensemble(torch.randn(2, 19, 400), torch.randn(2, 4, 32, 32), labels=torch.tensor([0, 1])).loss.backward()
    assert ensemble.vote_logits.grad is not None


def test_what_does_not_fit_is_named(members):
    with pytest.raises(ValueError, match="'resnet'.*not among the members"):
        HMSEnsembleModel(members, HMSEnsembleConfig(inputs={"resnet": "eeg"}))
    with pytest.raises(ValueError, match="expected one of"):
        HMSEnsembleModel(members, HMSEnsembleConfig(inputs={"foundation": "sound"}))
    ensemble = HMSEnsembleModel(members, HMSEnsembleConfig(inputs={"efficientnet": "spectrogram"}))
    with pytest.raises(ValueError, match="needs the input 'spectrogram', got None"):
        ensemble(torch.randn(1, 19, 400))


def test_three_members_are_saved_and_loaded_as_one_model(members, tmp_path):
    timm_config = TimmWrapperConfig(
        architecture="test_efficientnet", num_labels=6, model_args={"in_chans": 4}
    )
    base_models = {
        "foundation": members["foundation"],
        "resnet1d_gru": create_model("resnet1d_gru", {"num_blocks": 2}).add_classification_head(6),
        "efficientnet": TimmWrapperForImageClassification(timm_config),
    }
    ensemble = HMSEnsembleModel(base_models, HMSEnsembleConfig(weights={"foundation": 2.0})).eval()
    eeg, spectrogram = torch.randn(2, 19, 400), torch.randn(2, 4, 64, 64)
    with torch.no_grad():
        expected = ensemble(eeg, spectrogram).logits
        ensemble.save_pretrained(tmp_path)
        loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path)
        assert isinstance(loaded, HMSEnsembleModel) and list(loaded.base_models) == sorted(base_models)
        assert torch.equal(loaded(eeg, spectrogram).logits, expected)
        assert torch.equal(loaded(input_values=eeg, pixel_values=spectrogram).logits, expected)
    torch.testing.assert_close(expected.exp().sum(dim=-1), torch.ones(2))
    with pytest.raises(ValueError, match="members efficientnet: expected models of transformers"):
        HMSEnsembleModel(members, HMSEnsembleConfig(inputs={"efficientnet": "spectrogram"})).save_pretrained(
            tmp_path
        )


class Known(torch.nn.Module):
    """A member that says what it is given."""

    def forward(self, values):
        return values


def test_a_calibrated_ensemble_is_better_than_its_members_where_the_truth_is_known():
    random = np.random.default_rng(0)
    truth = random.normal(scale=1.5, size=(600, 6))
    votes = np.stack([random.multinomial(12, row) for row in softmax(truth, axis=1)])
    # Two members that know the truth but for noise of their own, one far too sure; and one that guesses
    noisy = truth + random.normal(scale=0.7, size=truth.shape)
    too_sure = 3 * (truth + random.normal(scale=0.7, size=truth.shape))
    guess = random.normal(scale=1.5, size=truth.shape)
    logits = torch.tensor(np.stack([guess, noisy, too_sure]), dtype=torch.float32)  # in order of their names
    ensemble = HMSEnsembleModel({name: Known() for name in ("noisy", "too sure", "guess")})
    shares = torch.tensor(votes / votes.sum(axis=1, keepdims=True), dtype=torch.float32)
    found = ensemble.calibrate(logits[:, :300], shares[:300])
    assert found["temperatures"]["too sure"] / found["temperatures"]["noisy"] == pytest.approx(3, rel=0.2)
    assert found["weights"]["guess"] < 0.1
    with torch.no_grad():
        together = ensemble.vote(ensemble.calibrated(logits[:, 300:])).exp().numpy()
        apart = ensemble.calibrated(logits[:, 300:]).exp().numpy()
    score = vote_divergence(votes[300:], together)
    assert score < 0.9 * min(vote_divergence(votes[300:], each) for each in apart)


def test_the_divergence_is_that_of_the_competition():
    random = np.random.default_rng(0)
    votes = random.integers(0, 5, (50, 6))
    votes[:, 0] += 1
    said = softmax(random.normal(size=(50, 6)), axis=1)
    assert vote_divergence(votes, said) == pytest.approx(entropy(votes, said, axis=1).mean())
    certain = np.eye(6)[[0, 1]]
    assert vote_divergence(certain, certain) == pytest.approx(0, abs=1e-12)
    assert vote_divergence(certain, certain[::-1]) == pytest.approx(-np.log(1e-15))
    for wrong, message in ((said[:, :5], "expected votes"), (said * 2, "add up to 1"), (-said, "from 0 on")):
        with pytest.raises(ValueError, match=message):
            vote_divergence(votes, wrong)
