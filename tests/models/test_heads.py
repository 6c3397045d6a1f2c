# SPDX-License-Identifier: Apache-2.0
"""Heads on top of an encoder, by themselves."""

import pytest
import torch

from eeg_hf import HBN_AUXILIARY_TASKS
from eeg_hf.models.contrast import ContrastiveProjectionHead
from eeg_hf.models.objective_auxiliary import DemographicHead, MultiAuxiliaryHead


def draw(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_the_tasks_of_hbn_are_those_of_the_challenge():
    weights = {task: settings["weight"] for task, settings in HBN_AUXILIARY_TASKS.items()}
    assert weights == {
        **{"age": 1.0, "sex": 0.5, "p_factor": 1.0},
        **{"attention": 0.5, "internalizing": 0.5, "externalizing": 0.5},
    }
    outputs = {task: settings["num_outputs"] for task, settings in HBN_AUXILIARY_TASKS.items()}
    assert outputs == dict.fromkeys(weights, 1) | {"sex": 2}


@pytest.mark.parametrize("num_outputs", [1, 2, 5])
def test_a_demographic_head_is_two_layers(num_outputs):
    torch.manual_seed(0)
    head, features = DemographicHead(8, num_outputs=num_outputs, dropout=0.5).eval(), draw(3, 8)
    layers = [module for module in head.modules() if isinstance(module, torch.nn.Linear)]
    assert [(layer.in_features, layer.out_features) for layer in layers] == [(8, 8), (8, num_outputs)]
    assert head(features).shape == (3, num_outputs)
    assert torch.equal(head(features), head(features))
    assert not torch.equal(head.train()(features), head(features))  # dropout


def test_numbers_come_out_in_their_unit():
    torch.manual_seed(0)
    plain, in_years = DemographicHead(8, dropout=0.0), DemographicHead(8, dropout=0.0, mean=10.0, std=4.0)
    in_years.load_state_dict(plain.state_dict())
    features = draw(3, 8)
    torch.testing.assert_close(in_years(features), plain(features) * 4 + 10)


def test_numbers_keep_their_digits_in_bfloat16():
    """A year of birth has four digits, bfloat16 two and a half."""
    torch.manual_seed(0)
    head, features = DemographicHead(8, dropout=0.0, mean=1990.0, std=3.0), draw(64, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = head(features)
    torch.testing.assert_close(rounded, head(features), atol=0.05, rtol=0)


def test_every_task_has_a_head():
    torch.manual_seed(0)
    head = MultiAuxiliaryHead(8, HBN_AUXILIARY_TASKS, dropout=0.0)
    told = head(draw(3, 8))
    assert {task: tensor.shape for task, tensor in told.items()} == {
        task: (3, settings["num_outputs"]) for task, settings in HBN_AUXILIARY_TASKS.items()
    }
    sum(tensor.sum() for tensor in told.values()).backward()
    assert all(parameter.grad is not None for parameter in head.parameters())
    told = MultiAuxiliaryHead(8, {"age": {"mean": 1e6, "std": 1e-3}})(draw(3, 8))  # one output by default
    torch.testing.assert_close(told["age"], torch.full((3, 1), 1e6))


@pytest.mark.parametrize("batch_norm", [True, False])
def test_projections_have_unit_length(batch_norm):
    torch.manual_seed(0)
    head = ContrastiveProjectionHead(8, batch_norm=batch_norm)
    projected = head(100 * draw(5, 8))
    assert projected.shape == (5, 128)
    torch.testing.assert_close(projected.norm(dim=-1), torch.ones(5))


def test_batch_norm_knows_the_batch_only_while_it_learns():
    torch.manual_seed(0)
    head, features = ContrastiveProjectionHead(8), draw(6, 8)
    assert not torch.allclose(head(features)[:3], head(features[:3]))
    assert head.norm.running_mean.any()
    head.eval()
    torch.testing.assert_close(head(features)[:3], head(features[:3]))
    without = ContrastiveProjectionHead(8, batch_norm=False)
    torch.testing.assert_close(without(features)[:3], without(features[:3]))
