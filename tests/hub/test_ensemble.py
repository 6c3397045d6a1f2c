# SPDX-License-Identifier: Apache-2.0
"""An ensemble pushed to the Hub, and pulled into an empty cache."""

import pytest

PUSH = """
import numpy as np, torch
from transformers import TimmWrapperConfig, TimmWrapperForImageClassification
from eeg_hf import EEGFeatureExtractor, EEGFoundationConfig, EEGFoundationForSequenceClassification
from eeg_hf import HMSEnsembleModel, create_model
from eeg_hf.hub import push

torch.manual_seed(0)
small = dict(d_model=32, n_layers=1, n_heads=2, d_ff=64, overlap=0.0, num_labels=6)
members = {
    "foundation": EEGFoundationForSequenceClassification(EEGFoundationConfig(**small)),
    "resnet1d_gru": create_model("resnet1d_gru", {"num_blocks": 2}).add_classification_head(6),
    "efficientnet": TimmWrapperForImageClassification(
        TimmWrapperConfig(architecture="test_efficientnet", num_labels=6, model_args={"in_chans": 4})
    ),
}
ensemble = HMSEnsembleModel(members).eval()
ensemble.log_temperatures.data.normal_()
push(ensemble, "org/ensemble", "v1.0", feature_extractor=EEGFeatureExtractor(window_seconds=2.0))
eeg, image = torch.randn(2, 19, 400), torch.randn(2, 4, 64, 64)
with torch.no_grad():
    np.savez("ensemble.npz", eeg=eeg, image=image, votes=ensemble(eeg, image).logits)
"""

PULL = """
import numpy as np, torch
from transformers import AutoModelForSequenceClassification
from eeg_hf.hub import pull

kept = np.load("ensemble.npz")
ensemble = AutoModelForSequenceClassification.from_pretrained(pull("org/ensemble", "v1.0")).eval()
with torch.no_grad():
    votes = ensemble(torch.from_numpy(kept["eeg"]), torch.from_numpy(kept["image"])).logits
print(np.array_equal(votes.numpy(), kept["votes"]))
"""


@pytest.mark.slow
def test_an_ensemble_comes_back_from_the_hub_bit_for_bit(client):
    client(PUSH)
    assert client(PULL).strip().endswith("True")
