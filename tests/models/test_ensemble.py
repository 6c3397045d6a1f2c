# SPDX-License-Identifier: Apache-2.0
"""Members of any make vote by their probabilities."""

import pytest
import timm
import torch

from eeg_hf import EEGFoundationConfig, EEGFoundationForSequenceClassification
from eeg_hf.models.ensemble import HMSEnsembleConfig, HMSEnsembleModel


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
