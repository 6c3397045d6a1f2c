# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from eeg_hf import EEGConvTransformerConfig, EEGConvTransformerModel

TINY = {"conv_size": 16, "d_model": 16, "n_layers": 1, "n_heads": 2, "d_ff": 24, "dropout": 0.0}
PLACES = (
    0.1 * torch.nn.functional.normalize(torch.randn(5, 3, generator=torch.Generator().manual_seed(1)))
).tolist()


def build(**fields):
    torch.manual_seed(0)
    return EEGConvTransformerModel(EEGConvTransformerConfig(num_channels=5, **{**TINY, **fields})).eval()


def test_defaults_are_those_of_things_eeg2():
    config = EEGConvTransformerConfig()
    assert (config.hidden_size, config.num_hidden_layers, config.num_attention_heads) == (256, 4, 8)
    assert (list(config.kernel_sizes), config.pooler_size, config.temporal_pool) == ([7, 5, 3], 512, "cls")


@pytest.mark.parametrize("samples", [1, 39, 40, 41])
def test_a_token_stands_for_eight_samples_and_a_cls_token_comes_first(samples):
    outputs = build()(torch.randn(2, 5, samples))
    assert outputs.last_hidden_state.shape == (2, 1 + -(-samples // 8), 16)
    assert outputs.pooler_output.shape == (2, 24)


@pytest.mark.parametrize("pool", ["cls", "mean", "max"])
def test_a_window_padded_is_the_window(pool):
    model, eeg = build(temporal_pool=pool), torch.randn(1, 5, 40)
    padded = torch.cat([eeg, torch.full((1, 5, 24), 9.0)], dim=-1)
    mask = torch.arange(64).lt(40)[None]
    expected = model(eeg).pooler_output
    torch.testing.assert_close(
        model(padded, attention_mask=mask).pooler_output, expected, atol=1e-6, rtol=1e-5
    )
    assert not torch.allclose(model(padded).pooler_output, expected)


def test_the_convolutions_see_as_far_as_their_dilated_kernels_reach():
    # kernels 7, 5, 3 at distances 1, 2, 4 of their own input: 3 + 2 * 2 * 2 + 1 * 4 * 4 samples either way
    model = build()
    eeg = torch.randn(1, 5, 160, requires_grad=True)
    tokens, _ = model.embeddings(eeg, None)
    tokens[0, 1 + 10].sum().backward()  # token 10 stands at sample 80
    reached = eeg.grad.abs().sum(dim=(0, 1)).nonzero().flatten()
    assert (reached.min().item(), reached.max().item()) == (80 - 27, 80 + 27)


def test_other_channels_are_refused_or_adapted():
    eeg, places = torch.randn(2, 5, 40), torch.tensor(PLACES)
    model = build(channel_positions=PLACES)
    assert torch.equal(model(eeg, channel_positions=places).pooler_output, model(eeg).pooler_output)
    with pytest.raises(ValueError, match="expected 5 channels, got 4"):
        model(eeg[:, :4])
    with pytest.raises(ValueError, match="expected the electrodes of the config in their order"):
        model(eeg, channel_positions=places.flip(0))
    adapted = build(channel_positions=PLACES, channel_adapter="spline")
    expected = adapted(eeg, channel_positions=places).pooler_output
    found = adapted(eeg.flip(1), channel_positions=places.flip(0)).pooler_output
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kernel_sizes": [7, 4, 3]}, "kernel_sizes: expected odd"),
        ({"strides": [2, 2]}, "strides: expected 3 whole numbers"),
        ({"n_heads": 3}, "must be a multiple of num_attention_heads"),
        ({"temporal_pool": "last"}, "temporal_pool: expected one of cls, mean, max"),
        ({"channel_adapter": "zero_pad"}, "channel_adapter: expected one of none, perceiver, spline"),
        ({"channel_adapter": "spline"}, "needs channel_positions"),
        ({"channel_positions": PLACES[:2]}, "has 2 entries, but num_channels is 5"),
        ({"d_model": 0}, "hidden_size: expected a positive whole number"),
    ],
)
def test_what_cannot_work_is_refused_by_name(fields, message):
    with pytest.raises(ValueError, match=message):
        EEGConvTransformerConfig(num_channels=5, **{**TINY, **fields})


def test_too_long_a_window_is_refused():
    with pytest.raises(ValueError, match="1 to 80 samples"):
        build(max_seq_length=80)(torch.randn(1, 5, 81))
