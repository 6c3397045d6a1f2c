# SPDX-License-Identifier: Apache-2.0
"""The softmax of attention, whose short rows are filled up on a CPU."""

import pytest
import torch

from eeg_hf.models.attention import softmax_over_keys


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
