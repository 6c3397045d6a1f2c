# SPDX-License-Identifier: Apache-2.0
"""What is computed again for backward: the same gradients, without the memory."""

import pytest
import torch
from torch import nn

from eeg_hf import EEGFoundationConfig
from eeg_hf.models import recomputed as module
from eeg_hf.models.factorized_attention import FactorizedLayer, FeedForward


def make_config(**fields):
    return EEGFoundationConfig(
        **{"hidden_size": 32, "num_attention_heads": 4, "intermediate_size": 64, "dropout": 0.1, **fields}
    )


def gradients(block, values):
    block.zero_grad()
    torch.manual_seed(1)
    (inputs,) = torch.autograd.grad((block(values) ** 2).sum(), values, create_graph=True)
    inputs.square().sum().backward()  # a second backward through the first
    return [inputs.detach(), *(each.grad.clone() for each in block.parameters() if each.grad is not None)]


def count_kept(block, values):
    """Return the bytes of different tensors that a forward pass keeps for backward."""
    kept: dict[int, torch.Tensor] = {}

    def pack(tensor):
        kept[tensor.data_ptr()] = tensor
        return tensor

    wrapped = torch.autograd.graph.saved_tensors_hooks
    original, torch.autograd.graph.saved_tensors_hooks = (
        wrapped,
        lambda inner_pack, inner_unpack: wrapped(
            lambda tensor: packed if (packed := inner_pack(tensor)) is not tensor else pack(tensor),
            lambda packed: inner_unpack(packed),
        ),
    )
    try:
        with wrapped(pack, lambda tensor: tensor):
            block(values)
    finally:
        torch.autograd.graph.saved_tensors_hooks = original
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())


@pytest.mark.parametrize("block_type", [FeedForward, FactorizedLayer])
@pytest.mark.parametrize("activation", ["gelu", "silu", "relu"])
def test_gradients_are_the_same_to_the_bit_and_less_is_kept(block_type, activation, monkeypatch):
    torch.manual_seed(0)
    block = block_type(make_config(hidden_act=activation))
    values = torch.randn(2, 3, 5, 32, requires_grad=True)
    expected, kept = gradients(block, values), count_kept(block, values)
    monkeypatch.setattr(module, "SMALLEST", 0)
    found, less = gradients(block, values), count_kept(block, values)
    assert len(found) == len(expected) and all(map(torch.equal, found, expected))
    saves_activation = activation != "relu"  # which keeps its result, so that nothing would be won
    spared = 2 * 3 * 5 * 4 * (64 * saves_activation + 32 * (block_type is FactorizedLayer))
    assert kept - less == spared


def test_small_tensors_and_inference_are_left_alone():
    linear, values = nn.Linear(8, 8), torch.randn(4, 8, requires_grad=True)
    small = nn.functional.gelu(values)
    context = module.recomputed(small, nn.functional.gelu, values)
    with context:
        assert linear(small).grad_fn is not None
    assert type(context).__name__ == "nullcontext"
    with torch.no_grad():
        result = nn.functional.gelu(values)
    assert type(module.recomputed(result, nn.functional.gelu, values)).__name__ == "nullcontext"
