# SPDX-License-Identifier: Apache-2.0
"""Dropout with a mask of 16-bit draws: the law of torch's, its gradient, its generator."""

import pytest
import torch
from torch import nn

from eeg_hf import EEGFoundationConfig, EEGFoundationModel
from eeg_hf.models.dropout import Dropout, dropout
from eeg_hf.models.factorized_attention import TemporalAttention


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_zeros_have_the_rate_and_the_rest_is_scaled(p: float, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    values = torch.ones(300, 333, dtype=dtype)
    dropped = dropout(values, p, training=True)
    assert dropped.dtype == dtype
    share = float((dropped == 0).double().mean())
    assert share == pytest.approx(p, abs=4 * (p * (1 - p) / values.numel()) ** 0.5)  # 4 standard errors
    kept = dropped[dropped != 0].double()  # the rate is rounded to 1 / 65,536, the factor to the dtype
    torch.testing.assert_close(kept, torch.full_like(kept, 1 / (1 - p)), rtol=4e-3, atol=0)


def test_neighbours_are_dropped_independently() -> None:
    """Four elements share a draw of the generator: their bits must not depend on each other."""
    torch.manual_seed(0)
    kept = (dropout(torch.ones(200_000), 0.3, training=True) != 0).view(-1, 4).double()
    correlations = torch.corrcoef(kept.T) - torch.eye(4, dtype=torch.float64)
    assert correlations.abs().max() < 0.02  # 4.5 standard errors


def test_the_gradient_is_that_of_the_kept_elements() -> None:
    values = torch.randn(4, 5, 7, requires_grad=True)  # 140 elements; 143 would not fill the last draw
    dropped = dropout(values, 0.25, training=True)
    dropped.sum().backward()
    torch.testing.assert_close(dropped, values * values.grad)
    torch.testing.assert_close(values.grad, (dropped != 0) / 0.75)


@pytest.mark.parametrize("shape", [(), (1,), (3, 1, 5), (0, 4)])
def test_any_shape(shape: tuple[int, ...]) -> None:
    assert dropout(torch.ones(shape), 0.5, training=True).shape == shape


def test_the_same_seed_drops_the_same_elements() -> None:
    layer, values = Dropout(0.5), torch.ones(1000)
    torch.manual_seed(3)
    first = layer(values)
    assert not torch.equal(first, layer(values))
    torch.manual_seed(3)
    assert torch.equal(first, layer(values))


def test_nothing_is_dropped_outside_of_training_or_at_rate_0() -> None:
    values = torch.randn(100)
    assert torch.equal(Dropout(0.5).eval()(values), values)
    assert torch.equal(dropout(values, 0.0, training=True), values)
    assert not dropout(values, 1.0, training=True).any()
    assert isinstance(Dropout(0.1), nn.Dropout)  # what code that looks for dropout layers finds


def test_attention_in_training_drops_weights_and_returns_none() -> None:
    config = EEGFoundationConfig(hidden_size=32, num_attention_heads=4, dropout=0.5)
    config._attn_implementation = "sdpa"
    attention, tokens = TemporalAttention(config), torch.randn(2, 3, 6, 32)
    whole, weights = attention.eval()(tokens)
    assert weights is None
    attention.train()
    torch.manual_seed(0)
    attended = torch.stack([attention(tokens)[0] for _ in range(2000)])
    assert attention(tokens)[1] is None
    assert attended.std(dim=0).min() > 0
    torch.testing.assert_close(attended.mean(dim=0), whole, atol=0.05, rtol=0)


def test_backward_keeps_the_mask_in_a_byte_an_element_and_has_a_backward_of_its_own() -> None:
    values, kept = torch.randn(64, 64, requires_grad=True), []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor) or tensor, lambda t: t):
        dropped = dropout(values, 0.5, training=True)
    assert [tensor.element_size() for tensor in kept] == [1]
    (slope,) = torch.autograd.grad((dropped**2).sum(), values, create_graph=True)
    (curvature,) = torch.autograd.grad(slope.sum(), values)
    torch.testing.assert_close(curvature, 8.0 * (dropped != 0))  # of (2 x)^2


def test_compiled_code_draws_its_own_mask_and_drops_no_attention_by_another_way() -> None:
    torch.compiler.reset()
    compiled = torch.compile(lambda values: dropout(values, 0.3, True), fullgraph=True, backend="aot_eager")
    values = torch.ones(300, 333, requires_grad=True)
    dropped = compiled(values)
    dropped.sum().backward()
    torch.testing.assert_close(dropped, values.grad)
    share = float((dropped == 0).double().mean())
    assert share == pytest.approx(0.3, abs=4 * (0.3 * 0.7 / values.numel()) ** 0.5)  # 4 standard errors
    config = EEGFoundationConfig(
        hidden_size=32, num_attention_heads=4, num_hidden_layers=1, intermediate_size=64, dropout=0.2
    )
    graphs: list[torch.fx.GraphModule] = []

    def backend(graph: torch.fx.GraphModule, _: object) -> torch.fx.GraphModule:
        graphs.append(graph)
        return graph

    model = torch.compile(EEGFoundationModel(config).train(), fullgraph=True, backend=backend)
    model(torch.randn(2, 3, 400), torch.rand(2, 3, 3)).pooler_output.sum().backward()
    called = {str(node.target) for node in graphs[0].graph.nodes}
    assert not any("scaled_dot_product" in name or name.endswith("dropout") for name in called)
