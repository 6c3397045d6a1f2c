# SPDX-License-Identifier: Apache-2.0
import math

import pytest
import torch

from eeg_hf import EEGFoundationConfig
from eeg_hf.models.second_order import (
    Recentring,
    SecondOrderFeatures,
    SecondOrderTokens,
    cross_spectra,
    frame_signal,
    mean_over_stretches,
    split_power,
)

RATE, FRAME = 200.0, 200
SIZES = {"hidden_size": 16, "num_attention_heads": 4, "intermediate_size": 32, "num_hidden_layers": 1}


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def make_config(**fields: object) -> EEGFoundationConfig:
    config = EEGFoundationConfig(**SIZES, dropout=0.0, second_order=True, **fields)
    config._attn_implementation = "eager"
    return config


def make_features(**fields: object) -> SecondOrderFeatures:
    features = SecondOrderFeatures(make_config(**fields)).eval()
    features.reset_parameters()
    return features


def positions(batch: int) -> torch.Tensor:
    return torch.tensor(make_config().channel_positions).expand(batch, -1, -1)


def test_a_sine_lies_in_its_band_with_its_power_and_phase():
    time = torch.arange(1000) / RATE
    values = torch.stack(
        [
            3 * torch.sin(2 * math.pi * 10 * time),
            3 * torch.sin(2 * math.pi * 10 * time + math.pi / 3),
            3 * torch.sin(2 * math.pi * 10 * time + math.pi / 2),
        ]
    )
    bands = [(4, 8), (8, 13), (20, 30)]
    spectra, is_real = cross_spectra(values[None], bands, RATE, FRAME)
    assert spectra.shape == (1, 1, 3, 3, 3)
    assert is_real.all()
    # A Hann window spreads a sine of amplitude A over three bins, A^2 frame / 16 times 1/4, 1 and 1/4
    expected = 3**2 * FRAME / 16 * 1.5 / 5  # the mean over the five bins of the band
    assert spectra[0, 0, 1, 0, 0] == pytest.approx(expected, rel=1e-4)
    correlations, log_power = split_power(spectra)
    assert correlations[0, 0, 1, 0, 1] == pytest.approx(math.cos(math.pi / 3), abs=1e-4)
    assert correlations[0, 0, 1, 0, 2] == pytest.approx(0.0, abs=1e-4)
    assert log_power[0, 0, 1, 0] == pytest.approx(math.log(expected), abs=1e-4)
    assert spectra[0, 0, [0, 2]].abs().max() < 1e-3 * expected


def test_an_offset_is_in_no_band():
    values = draw(2, 3, 1000)
    bands = [(1, 3), (3, 8)]
    moved = cross_spectra(values + 50.0, bands, RATE, FRAME)[0]
    torch.testing.assert_close(moved, cross_spectra(values, bands, RATE, FRAME)[0], atol=1e-2, rtol=1e-3)


def test_frames_with_padding_do_not_count_and_a_short_window_is_one_frame():
    mask = torch.arange(700).lt(torch.tensor([[700], [450], [120]]))
    frames, is_real = frame_signal(draw(3, 2, 700), mask, FRAME)
    assert frames.shape == (3, 2, 6, 200)
    assert is_real.sum(dim=1).tolist() == [6, 3, 1]
    assert frame_signal(draw(1, 2, 120), None, FRAME)[0].shape == (1, 2, 1, 200)


def test_a_band_without_a_frequency_is_refused():
    with pytest.raises(ValueError, match=r"\[7.2, 7.8\] Hz holds no frequency .* 1 Hz apart"):
        cross_spectra(draw(1, 2, 400), [(7.2, 7.8)], RATE, FRAME)
    cross_spectra(draw(1, 2, 1000), [(7.2, 7.8)], RATE, 1000)


@pytest.mark.parametrize("basis", ["channels", "harmonics"])
@pytest.mark.parametrize("length", [520, 1000, 90])
def test_padding_changes_nothing(basis, length):
    features = make_features(second_order_basis=basis)
    values = draw(2, 19, length)
    alone, _ = features(values, positions(2))
    padded = torch.nn.functional.pad(values, (0, 1400 - length))
    mask = torch.arange(1400).lt(length).expand(2, -1)
    found, is_real = features(padded, positions(2), None, mask)
    torch.testing.assert_close(found, alone, atol=1e-4, rtol=1e-4)
    assert is_real.all()


@pytest.mark.parametrize("basis", ["channels", "harmonics"])
def test_padded_stretches_are_marked_and_zero(basis):
    features = make_features(second_order_basis=basis, second_order_stretch_seconds=2.0)
    assert features.frames_per_stretch == 3
    values = draw(1, 19, 1000)
    alone, alone_real = features(values, positions(1))
    assert alone.shape[1] == 3
    padded = torch.nn.functional.pad(values, (0, 1000))
    found, is_real = features(padded, positions(1), None, torch.arange(2000).lt(1000)[None])
    assert alone_real.all()
    assert is_real.tolist() == [[True] * 3 + [False] * 4]
    torch.testing.assert_close(found[:, :3], alone, atol=1e-4, rtol=1e-4)
    assert (found[:, 3:] == 0).all()
    torch.testing.assert_close(mean_over_stretches(found, is_real), alone.mean(dim=1), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("basis", ["channels", "harmonics"])
def test_the_order_of_the_channels_does_not_matter(basis):
    features = make_features(second_order_basis=basis)
    values, order = draw(2, 19, 1000), torch.randperm(19)
    expected, _ = features(values, positions(2))
    found, _ = features(values[:, order], positions(2)[:, order])
    torch.testing.assert_close(found, expected, atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize("basis", ["channels", "harmonics"])
def test_a_masked_channel_changes_nothing_whatever_it_holds(basis):
    features = make_features(second_order_basis=basis)
    values, mask = draw(2, 19, 1000), torch.arange(19).ne(5).expand(2, -1)
    expected, _ = features(torch.where(mask[..., None], values, 0.0), positions(2), mask)
    others = [index for index in range(19) if index != 5]
    found, _ = features(values[:, others], positions(2)[:, others])
    torch.testing.assert_close(found, expected, atol=2e-4, rtol=1e-4)


def test_recentring_by_its_own_mean_leaves_nothing():
    features = make_features()
    values = draw(3, 19, 1000)
    matrices, log_power, _, _ = features.compute_statistics(values, positions(3))
    eigenvalues, vectors = torch.linalg.eigh(matrices[:, 0].double())
    whitening = ((vectors / eigenvalues.sqrt()[..., None, :]) @ vectors.mT).float()
    found, _ = features(values, positions(3), recentring=Recentring(whitening, log_power[:, 0]))
    assert found.abs().max() < 1e-3


def test_population_statistics_standardise():
    features = make_features()
    values = draw(8, 19, 1000)
    raw, _ = features(values, positions(8))
    features.set_population(None, raw[:, 0].mean(dim=0), raw[:, 0].std(dim=0))
    found, _ = features(values, positions(8))
    torch.testing.assert_close(found[:, 0].mean(dim=0), torch.zeros(12, 209), atol=1e-4, rtol=0)
    assert found[:, 0].std(dim=0).max() == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_input_is_computed_in_float32(dtype):
    features = make_features()
    values = draw(2, 19, 1000).to(dtype)
    found, _ = features(values, positions(2))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, features(values.float(), positions(2))[0])
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(features(values.float(), positions(2))[0], found)


def test_gradients_of_the_signal_are_finite_even_for_silence():
    features = make_features()
    values = torch.cat([draw(1, 19, 1000), torch.zeros(1, 19, 1000)]).requires_grad_()
    features(values, positions(2))[0].square().sum().backward()
    assert values.grad.isfinite().all()
    assert values.grad[0].abs().sum() > 0


def test_tokens_hide_masked_bands_and_ignore_padded_stretches():
    tokens = SecondOrderTokens(make_config(second_order_stretch_seconds=1.0)).eval()
    tokens.projection.reset_parameters()
    values, is_real = draw(2, 5, 12, 209), torch.arange(5).lt(4).expand(2, -1)
    expected = tokens(values, is_real)
    assert expected.shape == (2, 5, 12, 16)
    changed = values.clone()
    changed[:, 4] = 100.0
    torch.testing.assert_close(tokens(changed, is_real)[:, :4], expected[:, :4])
    is_masked = torch.zeros(2, 5, 12, dtype=torch.bool)
    is_masked[:, :, 3] = True
    changed = values.clone()
    changed[:, :, 3] = 7.0
    torch.testing.assert_close(tokens(changed, is_real, is_masked), tokens(values, is_real, is_masked))


def test_it_exports_for_any_batch_without_eigenvalues():
    features = make_features(second_order_basis="harmonics")
    batch = torch.export.Dim("batch", min=1, max=64)
    inputs = (draw(3, 19, 1000), positions(3).clone())
    program = torch.export.export(features, inputs, dynamic_shapes=({0: batch}, {0: batch}))
    targets = {str(node.target) for node in program.graph.nodes}
    assert not [target for target in targets if "eig" in target or "linalg" in target]
    for count in (1, 5):
        values = draw(count, 19, 1000, seed=1)
        found, _ = program.module()(values, positions(count).clone())
        torch.testing.assert_close(found, features(values, positions(count))[0], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"second_order_basis": "pca"}, "second_order_basis: expected one of channels, harmonics"),
        ({"second_order_degree": 4}, "second_order_degree: expected 1, 2 or 3, got 4"),
        ({"second_order_shrinkage": 0.0}, "second_order_shrinkage: expected a share between 0 and 1"),
        ({"second_order_bands": [[8, 13], [90, 130]]}, r"between 0 and 100 Hz, got \[90, 130\]"),
        ({"second_order_bands": []}, "second_order_bands: expected one band or more"),
        ({"second_order_frame_seconds": 0.01}, "second_order_frame_seconds: expected 4 samples"),
        ({"num_channels": 2}, "needs channel_positions"),
    ],
)
def test_settings_that_cannot_work_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        make_config(**fields)


def test_settings_of_tokens_that_are_off_are_not_checked():
    assert EEGFoundationConfig(sampling_rate=50.0).second_order_bands[-1][1] > 25  # beyond Nyquist
