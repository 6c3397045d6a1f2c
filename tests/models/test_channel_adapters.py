# SPDX-License-Identifier: Apache-2.0
"""Channel adapters, most of them on TUH's 21 electrodes and HBN's net of 128."""

import numpy as np
import pytest
import torch
from mne.channels.interpolation import _make_interpolation_matrix

from eeg_hf import EEGFoundationConfig, EEGFoundationForPreTraining, EEGFoundationModel
from eeg_hf.models.channel_adapters import (
    PerceiverChannelAdapter,
    SplineChannelAdapter,
    ZeroPadChannelAdapter,
    build_channel_adapter,
)
from eeg_hf.models.spherical_splines import fit_centre, spline_matrix
from eeg_hf.processing.channels import STANDARD_19
from eeg_hf.processing.electrode_positions import montage_positions

TUH = torch.tensor(list(montage_positions([*STANDARD_19, "A1", "A2"]).values()))
HBN = torch.tensor(list(montage_positions("GSN-HydroCel-128").values()))
ADAPTERS = ("perceiver", "zero_pad", "spline")
FIXED = ("perceiver", "spline")  # those whose output lies at the places of the target
TINY = {
    **{"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32},
    **{"sampling_rate": 100.0, "patch_size": 50, "scale_factors": [1], "overlap": 0.0, "dropout": 0.0},
}


def make(name, target=HBN, **fields):
    torch.manual_seed(0)
    return build_channel_adapter(
        EEGFoundationConfig(channel_adapter=name, adapter_channel_positions=target.tolist(), **fields)
    )


def draw(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def places(batch=2, montage=TUH):
    return montage.expand(batch, -1, 3)


def smooth(positions, num_samples=2000):
    """Sample a random field of degrees 1 and 2 at electrodes: (1, channels, time), of variance 1 on TUH's."""

    def on_sphere(montage):
        centred = montage - fit_centre(montage[None])[0]
        x, y, z = torch.nn.functional.normalize(centred, dim=-1).float().unbind(-1)
        return torch.stack([x, y, z, x * y, x * z, y * z, x * x - y * y, 3 * z * z - 1], dim=-1)

    amplitudes = draw(8, num_samples)
    return (on_sphere(positions) @ amplitudes / (on_sphere(TUH) @ amplitudes).std())[None]


def correlation(first, second):
    return np.corrcoef(first.detach().flatten(), second.detach().flatten())[0, 1]


def test_without_an_adapter_there_is_none():
    assert build_channel_adapter(EEGFoundationConfig()) is None


@pytest.mark.parametrize("name", ADAPTERS)
def test_21_channels_of_tuh_become_128_of_hbn_and_21_again(name):
    adapter, values = make(name), draw(2, 21, 100)
    adapted = adapter(values, places())
    assert adapted.values.shape == (2, 128, 100)
    assert adapted.channel_positions.shape == (2, 128, 3)
    assert adapted.mask is None
    restored = adapter.restore(adapted.values, places())
    assert restored.shape == values.shape and restored.isfinite().all()
    if name == "zero_pad":
        torch.testing.assert_close(restored, values, atol=0, rtol=0)
        assert adapted.channel_mask.equal(torch.arange(128).lt(21).expand(2, -1))
    else:
        assert adapted.channel_mask is None
        torch.testing.assert_close(adapted.channel_positions, places(2, HBN))


@pytest.mark.parametrize("name", ADAPTERS)
def test_each_time_step_stands_by_itself(name):
    adapter, values = make(name), draw(2, 21, 40)
    mask = torch.zeros(2, 21, 40, dtype=torch.bool)
    mask[:, ::3, 10:20] = True
    values = values.masked_fill(mask, 0.0)
    changed = values.clone()
    changed[:, 1, 15] += 1.0
    difference = (
        adapter(changed, places(), mask=mask).values - adapter(values, places(), mask=mask).values
    ).abs()
    assert difference[..., 15].max() > 1e-3
    difference[..., 15] = 0
    assert difference.max() == 0


def test_blocks_of_time_change_nothing():
    values = draw(2, 21, 900)  # 128 targets x 22 keys x 4 heads x 2 windows: blocks of 186 samples
    adapter = make("perceiver")
    whole = adapter(values, places()).values
    parts = [adapter(part, places()).values for part in values.split(100, dim=-1)]
    torch.testing.assert_close(whole, torch.cat(parts, dim=-1), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("name", FIXED)
def test_the_order_of_the_channels_does_not_matter(name):
    adapter, values, order = make(name), draw(2, 21, 30), torch.randperm(21)
    is_real, mask = torch.arange(21).lt(18).expand(2, -1), draw(2, 21, 30, seed=1) > 1
    if name == "perceiver":
        torch.nn.init.normal_(adapter.queries)  # trained queries look at more than the nearest electrodes
    first = adapter(values, places(), is_real, mask)
    shuffled = adapter(values[:, order], places()[:, order], is_real[:, order], mask[:, order])
    torch.testing.assert_close(shuffled.values, first.values, atol=1e-5, rtol=1e-4)
    restored = adapter.restore(first.values, places())
    torch.testing.assert_close(
        adapter.restore(first.values, places()[:, order]), restored[:, order], atol=1e-5, rtol=1e-4
    )


@pytest.mark.parametrize("name", FIXED)
def test_channels_that_are_not_real_do_not_matter(name):
    adapter, values = make(name), draw(2, 21, 30)
    is_real = torch.arange(21).lt(16).expand(2, -1)
    expected = adapter(values[:, :16], places()[:, :16]).values
    values, positions = values.clone(), places().clone()
    values[:, 16:], positions[:, 16:] = 7.0, 0.0
    adapted = adapter(values, positions, is_real)
    torch.testing.assert_close(adapted.values, expected, atol=1e-5, rtol=1e-4)
    assert adapted.channel_mask is None or adapted.channel_mask.all()


def test_hidden_samples_are_not_read():
    adapter, values = make("perceiver"), draw(2, 21, 30)
    mask = torch.zeros(2, 21, 30, dtype=torch.bool)
    mask[:, :5, 10:20] = True
    changed = values.masked_fill(mask, 7.0)
    torch.testing.assert_close(
        adapter(changed, places(), mask=mask).values, adapter(values, places(), mask=mask).values
    )
    adapted = adapter(values, places(), mask=mask).values[..., 10:20]
    alone = adapter(values[:, 5:, 10:20], places()[:, 5:]).values
    torch.testing.assert_close(adapted, alone, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("name", FIXED)
def test_nothing_to_read_is_silence_and_not_nan(name):
    adapter, values = make(name), draw(2, 21, 30)
    is_real = torch.ones(2, 21, dtype=torch.bool)
    is_real[1] = False
    mask = torch.zeros(2, 21, 30, dtype=torch.bool)
    mask[0, :, 5:9] = True
    values = values.masked_fill(mask | ~is_real[..., None], 0.0).requires_grad_()
    adapted = adapter(values, places(), is_real, mask)
    assert adapted.values[1].abs().max() == 0 and adapted.values[0, :, 5:9].abs().max() == 0
    assert adapted.values.abs().max() > 0.1
    assert adapted.channel_mask.equal(torch.tensor([[True], [False]]).expand(2, 128))
    adapted.values.square().sum().backward()
    gradients = [values.grad, *(p.grad for p in adapter.parameters() if p.grad is not None)]
    assert all(gradient.isfinite().all() for gradient in gradients)


@pytest.mark.parametrize(("name", "lowest"), [("perceiver", 0.93), ("spline", 0.99)])
def test_it_starts_as_an_interpolation(name, lowest):
    adapter, values = make(name), smooth(TUH)
    values = values - values.mean(dim=1, keepdim=True)  # where equal weights would give exactly zero
    adapted = adapter(values, places(1)).values
    assert 0.7 < adapted.std() < 1.3
    assert correlation(adapted, smooth(HBN) - smooth(HBN).mean(dim=1, keepdim=True)) > lowest
    restored = adapter.restore(adapted, places(1))
    assert correlation(restored, values) > lowest
    if name == "spline":
        assert (restored - values).std() < 0.1


def test_the_way_back_is_linear_and_signed():
    adapter = make("perceiver")
    first, second = draw(2, 128, 30), draw(2, 128, 30, seed=1)
    mixed = adapter.restore(2 * first - 3 * second, places())
    apart = 2 * adapter.restore(first, places()) - 3 * adapter.restore(second, places())
    torch.testing.assert_close(mixed, apart, atol=1e-5, rtol=1e-4)
    with torch.no_grad():
        adapter.restore_gain.copy_(torch.tensor([3.0, -1.0, -1.0, 0.0]))  # a near minus a wide view
    weights = adapter.restore(torch.eye(128)[None], places(1))
    assert weights.min() < 0 < weights.max()
    torch.testing.assert_close(weights.sum(dim=-1), torch.ones(1, 21))


def test_every_parameter_gets_a_gradient():
    adapter = make("perceiver")
    mask = torch.zeros(2, 21, 30, dtype=torch.bool)
    mask[..., 3] = True
    adapted = adapter(draw(2, 21, 30).masked_fill(mask, 0.0), places(), mask=mask).values
    adapter.restore(adapted, places()).square().mean().backward()
    assert all(parameter.grad.abs().max() > 0 for parameter in adapter.parameters())


@pytest.mark.parametrize("name", FIXED)
def test_weights_and_target_travel_together(name):
    saved, other = make(name), make(name, target=HBN.flip(0))
    other.load_state_dict(saved.state_dict())
    values = draw(2, 21, 30)
    torch.testing.assert_close(other(values, places()).values, saved(values, places()).values, atol=0, rtol=0)
    assert other.target_positions.equal(HBN)


def test_splines_are_those_of_mne():
    truth = _make_interpolation_matrix(TUH.double().numpy(), HBN.double().numpy())
    found = spline_matrix(TUH[None], HBN[None])[0]
    np.testing.assert_allclose(found, truth, atol=1e-5)
    np.testing.assert_allclose(found.sum(dim=1), 1.0, atol=1e-9)


def test_splines_of_a_batch_are_those_of_its_windows():
    shifted = TUH + 0.01 * draw(21, 3)
    batch = torch.stack([TUH, shifted, TUH])
    is_real = torch.ones(3, 21, dtype=torch.bool)
    is_real[2, 15:] = False
    found = spline_matrix(batch, HBN[None], is_real)
    for row, (positions, real) in enumerate(zip(batch, is_real, strict=True)):
        alone = spline_matrix(positions[None, real], HBN[None])[0]
        torch.testing.assert_close(found[row, :, real], alone, atol=1e-9, rtol=1e-7)
        assert found[row, :, ~real].abs().sum() == 0


def test_a_sphere_is_found_again_and_held_where_the_electrodes_do_not_say():
    centre = torch.tensor([0.002, 0.02, 0.05])
    sphere = centre + 0.09 * torch.nn.functional.normalize(draw(30, 3), dim=-1)
    assert (fit_centre(sphere[None])[0, 0] - centre).abs().max() < 1e-3
    for few in (TUH[:1], TUH[:2], TUH[[0, 3, 16]]):
        assert (fit_centre(few[None])[0, 0] - torch.tensor([0.0, 0.015, 0.04])).abs().max() < 0.02


def test_zero_padding_leaves_the_encoder_as_it_was():
    torch.manual_seed(0)
    plain = EEGFoundationModel(EEGFoundationConfig(**TINY)).eval()
    padded = EEGFoundationModel(
        EEGFoundationConfig(**TINY, channel_adapter="zero_pad", adapter_channel_positions=HBN.tolist())
    ).eval()
    padded.load_state_dict(plain.state_dict())
    inputs = {"input_values": draw(2, 21, 200), "channel_positions": places()}
    inputs["mask"] = torch.zeros(2, 21, 200, dtype=torch.bool)
    inputs["mask"][:, ::4, 50:100] = True
    expected, found = plain(**inputs), padded(**inputs)
    torch.testing.assert_close(found.pooler_output, expected.pooler_output, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(
        found.last_hidden_state[:, :21], expected.last_hidden_state, atol=1e-5, rtol=1e-4
    )


@pytest.mark.parametrize("name", ADAPTERS)
def test_a_model_with_an_adapter_learns_to_fill_in_and_travels(name, tmp_path):
    torch.manual_seed(0)
    config = EEGFoundationConfig(
        **TINY, channel_adapter=name, adapter_channel_positions=HBN.tolist(), contrastive_weight=0.0
    )
    model = EEGFoundationForPreTraining(config).eval()
    mask = torch.zeros(2, 21, 200, dtype=torch.bool)
    mask[:, ::4, 50:100] = True
    inputs = {"input_values": draw(2, 21, 200), "channel_positions": places(), "mask": mask}
    outputs = model(**inputs)
    assert outputs.reconstruction.shape == (2, 21, 200)
    outputs.loss.backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    if name in FIXED:  # its output hides nothing: every target channel has some sample at every time
        assert gradients.pop("model.embeddings.mask_token") is None
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients.values())
    model.save_pretrained(tmp_path)
    again = EEGFoundationForPreTraining.from_pretrained(tmp_path)
    torch.testing.assert_close(again(**inputs).loss, outputs.loss, atol=0, rtol=0)


def test_a_model_without_adapter_can_be_given_one(tmp_path):
    EEGFoundationModel(EEGFoundationConfig(**TINY)).save_pretrained(tmp_path)
    for name in FIXED:
        settings = {"channel_adapter": name, "adapter_channel_positions": HBN.tolist()}
        model = EEGFoundationModel.from_pretrained(tmp_path, **settings)
        assert model.channel_adapter.target_positions.equal(HBN)
        assert all(parameter.isfinite().all() for parameter in model.parameters())
        adapted = model.channel_adapter(smooth(TUH), places(1)).values
        assert 0.7 < adapted.std() < 1.3


def test_bad_targets_are_refused_in_one_line():
    with pytest.raises(ValueError, match="expected at most 19 channels, got 21"):
        ZeroPadChannelAdapter(19)(draw(2, 21, 30), places())
    with pytest.raises(ValueError, match="channel_adapter: expected one of none, perceiver.*'percever'"):
        make("percever")
    with pytest.raises(ValueError, match="3 that are not finite"):
        SplineChannelAdapter([[0.0, 0.0, 0.1], [float("nan")] * 3])
    with pytest.raises(ValueError, match="target_positions: expected"):
        PerceiverChannelAdapter(torch.zeros(3, 2))
    with pytest.raises(ValueError, match=r"multiple of adapter_heads \(3"):
        PerceiverChannelAdapter(HBN, d_model=64, num_heads=3)
