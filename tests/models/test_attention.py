# SPDX-License-Identifier: Apache-2.0
"""Attention by matrix products, and its softmax, whose short rows are filled up on a CPU."""

import pytest
import torch

from eeg_hf.models.attention import eager_attention_forward, softmax_over_keys


@pytest.mark.parametrize("length", [3, 19, 70])
def test_products_attend_as_torch_does(length):
    generator = torch.Generator().manual_seed(length)
    shape, mask = (2, 3, length, 16), torch.zeros(2, 1, 1, length)
    mask[1, ..., length // 2 + 1 :] = -torch.inf  # padded keys
    query, key, value, target = (torch.randn(shape, generator=generator) for _ in range(4))
    results = []
    for is_ours in (True, False):
        inputs = [tensor.clone().requires_grad_() for tensor in (query, key, value)]
        if is_ours:
            attended, _ = eager_attention_forward(torch.nn.Identity(), *inputs, mask, scaling=0.3)
            attended = attended.transpose(1, 2)
        else:
            attended = torch.nn.functional.scaled_dot_product_attention(*inputs, mask, scale=0.3)
        results.append([attended, *torch.autograd.grad((attended * target).sum(), inputs)])
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("length", [1, 5, 10, 15, 16, 17])
def test_short_rows_have_the_softmax_and_the_gradient_of_torch(length):
    generator = torch.Generator().manual_seed(length)
    weights = torch.randn(3, 2, 4, length, generator=generator) * 5
    weights[0, :, :, length // 2 + 1 :] = -torch.inf  # padded keys
    target = torch.randn(weights.shape, generator=generator)
    ours, theirs = (weights.clone().requires_grad_() for _ in range(2))
    found, expected = softmax_over_keys(ours), theirs.softmax(dim=-1)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-7)
    gradients = [
        torch.autograd.grad((out * target).sum(), x)[0] for out, x in ((found, ours), (expected, theirs))
    ]
    torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-6)
