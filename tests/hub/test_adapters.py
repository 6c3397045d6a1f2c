# SPDX-License-Identifier: Apache-2.0
"""An adapter pushed to the Hub, and pulled by a process without eeg_hf, with a cache of its own."""

import pytest

PUSH = """
import numpy as np, torch
from transformers import AutoModel
from eeg_hf import EEGFeatureExtractor, EEGFoundationConfig
from eeg_hf.hub import push
from eeg_hf.training.adapters import add_adapter

torch.manual_seed(0)
config = EEGFoundationConfig(d_model=32, n_layers=1, n_heads=2, d_ff=64, overlap=0.0)
encoder = AutoModel.from_config(config)
push(encoder, "org/encoder", "v1.0", feature_extractor=EEGFeatureExtractor(window_seconds=2.0))
model = add_adapter(encoder.add_classification_head(2), "lora")
for name, weight in model.named_parameters():
    if weight.requires_grad:
        weight.data.normal_(std=0.1)
model.eval().push_to_hub("org/adapter")
eeg = torch.randn(2, 19, 400)
np.save("adapter-eeg.npy", eeg.numpy())
with torch.no_grad():
    np.save("adapter-logits.npy", model(input_values=eeg).logits.numpy())
"""

PULL = """
import numpy as np, torch
from peft import PeftModel
from transformers import AutoModel

classifier = AutoModel.from_pretrained("org/encoder", revision="v1.0", trust_remote_code=True)
classifier = classifier.add_classification_head(2)
model = PeftModel.from_pretrained(classifier, "org/adapter").eval()
eeg, expected = torch.from_numpy(np.load("adapter-eeg.npy")), np.load("adapter-logits.npy")
with torch.no_grad():
    assert np.array_equal(model(input_values=eeg).logits.numpy(), expected)
    merged = model.merge_and_unload()
    print(np.abs(merged(eeg).logits.numpy() - expected).max() < 1e-5)
"""


@pytest.mark.slow
def test_an_adapter_comes_back_from_the_hub_with_its_head_and_merges(client, bare):
    client(PUSH)
    assert bare(PULL).strip().endswith("True")
