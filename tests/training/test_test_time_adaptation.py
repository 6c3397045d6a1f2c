# SPDX-License-Identifier: Apache-2.0
"""A classifier that adapts to the unlabelled windows of a person."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from eeg_hf import EEGFoundationConfig, EEGFoundationForSequenceClassification
from eeg_hf.training.test_time_adaptation import (
    adapt_classifier,
    adapted_parameters,
    information_loss,
    predict_adapted,
)


class Linear(nn.Module):
    """A norm and a head, for people whose features lie elsewhere."""

    config = SimpleNamespace(num_labels=2)
    device = torch.device("cpu")

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(2)
        self.classifier = nn.Linear(2, 2)
        self.classifier.weight.data = torch.tensor([[-2.0, 0.0], [2.0, 0.0]])
        self.classifier.bias.data.zero_()

    def forward(self, input_values):
        return SimpleNamespace(logits=self.classifier(self.norm(input_values)))


def test_the_loss_is_that_of_entropies_in_closed_form():
    assert information_loss(torch.zeros(5, 4)).item() == pytest.approx(0)  # sure of nothing
    one_class = torch.tensor([[50.0, 0.0]] * 3)
    assert information_loss(one_class).item() == pytest.approx(0, abs=1e-6)  # all in one class
    assert information_loss(torch.eye(4) * 100).item() == pytest.approx(-torch.tensor(4.0).log().item())


def test_people_whose_features_lie_elsewhere_are_read_again():
    generator = torch.Generator().manual_seed(0)
    classes = torch.arange(80) % 2
    features = torch.randn(80, 2, generator=generator) * 0.4
    features[:, 0] += 2.0 * classes - 1.0
    people = ["a"] * 40 + ["b"] * 40
    features[40:, 0] += 5.0  # all of b looks like the second class

    rows = [{"input_values": row, "labels": torch.tensor(-1)} for row in features]
    model = Linear().eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    plain = model(features).logits.argmax(dim=1)
    assert (plain[40:] == classes[40:]).float().mean() == 0.5

    collate = torch.utils.data.default_collate
    found = torch.from_numpy(predict_adapted(model, rows, people, collate, steps=40, learning_rate=0.05))
    for owned in (slice(0, 40), slice(40, 80)):
        assert (found[owned].argmax(dim=1) == classes[owned]).float().mean() > 0.9
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_only_norms_and_the_head_move_and_what_cannot_adapt_is_refused():
    config = EEGFoundationConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, num_labels=2
    )
    torch.manual_seed(0)
    model = EEGFoundationForSequenceClassification(config)
    windows = {"input_values": torch.randn(4, 19, 400), "labels": torch.tensor([0, 1, 0, 1])}
    adapted = adapt_classifier(model, [windows], steps=2, learning_rate=0.1)
    moved = {
        name
        for (name, new), old in zip(adapted.named_parameters(), model.parameters(), strict=True)
        if not torch.equal(new, old)
    }
    assert moved and all("norm" in name or name.startswith("classifier") for name in moved)
    assert sum(each.numel() for each in adapted_parameters(model)) < 0.1 * model.num_parameters()
    other = {**windows, "labels": torch.tensor([1, 1, 1, 1])}
    again = adapt_classifier(model, [other], steps=2, learning_rate=0.1)
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), adapted.parameters(), strict=True))
    with pytest.raises(ValueError, match="expected the windows of a person, got none"):
        adapt_classifier(model, [])
    config.num_labels = 1
    with pytest.raises(ValueError, match="expected a classifier of one task"):
        adapt_classifier(EEGFoundationForSequenceClassification(config), [windows])
