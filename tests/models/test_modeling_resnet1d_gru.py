# SPDX-License-Identifier: Apache-2.0
"""The residual and recurrent network of HMS."""

import pytest
import torch
from transformers import AutoModel, AutoModelForSequenceClassification

from eeg_hf import ResNet1dGRUConfig, ResNet1dGRUForSequenceClassification, create_model


def test_it_takes_any_length_learns_and_comes_back_from_a_file(tmp_path):
    torch.manual_seed(0)
    model = create_model("resnet1d_gru", {"num_channels": 4, "num_blocks": 2}).add_classification_head(2)
    labels = torch.arange(16) % 2
    windows = torch.randn(16, 4, 300) * (1 + 2 * labels[:, None, None])
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    losses = []
    for _ in range(15):
        optimizer.zero_grad()
        loss = model(windows, labels=labels).loss
        loss.backward()
        losses.append(loss.item())
        optimizer.step()
    assert all(weight.grad is not None for weight in model.parameters())
    assert losses[-1] < 0.5 * losses[0]
    model.eval().save_pretrained(tmp_path)
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    encoder = AutoModel.from_pretrained(tmp_path)
    with torch.no_grad():
        assert torch.equal(loaded(windows).logits, model(windows).logits)
        assert encoder(windows[..., :123]).pooler_output.shape == (16, encoder.pooler_size)
    shares = torch.tensor([[0.25, 0.75], [float("nan")] * 2])
    assert model(windows[:2], labels=shares).loss.isfinite()


def test_what_does_not_fit_is_named():
    model = ResNet1dGRUForSequenceClassification(ResNet1dGRUConfig(num_channels=4, num_blocks=2))
    with pytest.raises(ValueError, match="expected 4 channels and 8 samples or more, got 3 and 300"):
        model(torch.randn(1, 3, 300))
    with pytest.raises(ValueError, match="expected odd lengths"):
        ResNet1dGRUConfig(kernel_sizes=[4])
