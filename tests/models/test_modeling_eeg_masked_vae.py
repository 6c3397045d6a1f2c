# SPDX-License-Identifier: Apache-2.0
"""What every user of EEGMaskedVAE relies on."""

import math

import pytest
import torch
from torch import nn
from torch.distributions import Normal, kl_divergence
from transformers import AutoModel

from eeg_hf import EEGMaskedVAEConfig, EEGMaskedVAEForPreTraining, EEGMaskedVAEModel
from eeg_hf.models.modeling_eeg_masked_vae import kl_divergence_loss
from eeg_hf.models.spatial_guess import SpatialGuess

TINY = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_decoder_layers": 1,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "latent_size": 8,
    "patch_size": 50,
}


def signal(batch=2, channels=19, num_samples=600, seed=0):
    return torch.randn(batch, channels, num_samples, generator=torch.Generator().manual_seed(seed))


def positions(channels, seed=0):
    xyz = torch.randn(channels, 3, generator=torch.Generator().manual_seed(seed))
    return 0.1 * xyz / xyz.norm(dim=-1, keepdim=True)


def build(**fields):
    torch.manual_seed(0)
    return EEGMaskedVAEForPreTraining(EEGMaskedVAEConfig(**{**TINY, **fields})).eval()


@pytest.fixture
def model():
    return build()


def hidden_stretch(start=100, stop=200, channel=3):
    mask = torch.zeros(2, 19, 600, dtype=torch.bool)
    mask[:, channel, start:stop] = True
    return mask


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"hidden_size": 30}, "multiple of num_attention_heads"),
        ({"latent_size": 0}, "latent_size: expected a positive"),
        ({"stretch_patches": 0}, "stretch_patches: expected a positive"),
        ({"max_seq_length": 20}, "shorter than patch_size"),
        ({"mask_ratio": 1.0}, "mask_ratio: expected a share"),
        ({"beta": -1.0}, "beta: expected 0 or more"),
        ({"free_bits": math.nan}, "free_bits: expected 0 or more"),
        ({"channel_names": ["Cz"]}, "channel_names has 1 entries"),
    ],
)
def test_config_refuses_what_cannot_work(fields, message):
    with pytest.raises(ValueError, match=message):
        EEGMaskedVAEConfig(**{**TINY, **fields})


@torch.no_grad()
@pytest.mark.parametrize(("channels", "num_samples"), [(4, 600), (64, 333), (128, 40)])
def test_any_montage_and_length_go_through_the_same_weights(model, channels, num_samples):
    eeg = signal(1, channels, num_samples)
    outputs = model(eeg, channel_positions=positions(channels))
    assert outputs.reconstruction.shape == eeg.shape
    assert outputs.latent_mean.shape == (1, channels, math.ceil(num_samples / 50), 8)
    assert outputs.loss.isfinite()


def test_input_that_does_not_fit_is_refused(model):
    with pytest.raises(ValueError, match="pass channel_positions"):
        model(signal(channels=8))
    with pytest.raises(ValueError, match="mask: expected"):
        model(signal(), mask=torch.zeros(2, 19, 10, dtype=torch.bool))
    with pytest.raises(ValueError, match="latent_noise: expected"):
        model(signal(), latent_noise=torch.zeros(2, 19, 3, 8))
    with pytest.raises(ValueError, match="mask_ratio"):
        model(signal(), mask_ratio=1.5)


@torch.no_grad()
@pytest.mark.parametrize("stretch", [(100, 200), (110, 130)], ids=["whole patches", "a part of one"])
def test_what_is_hidden_does_not_leak(model, stretch):
    mask, eeg = hidden_stretch(*stretch), signal()
    other = torch.where(mask, 100 * signal(seed=1), eeg)
    outputs, changed = model(eeg, mask=mask), model(other, mask=mask)
    for name in ("reconstruction", "latent_mean", "latent_log_variance"):
        assert torch.equal(outputs[name], changed[name]), name
    assert not torch.equal(outputs.reconstruction_loss, changed.reconstruction_loss)
    seen = model(other, mask=hidden_stretch(channel=5))
    assert not torch.allclose(seen.latent_mean, outputs.latent_mean)


@torch.no_grad()
def test_permuting_channels_with_their_positions_permutes_what_comes_out(model):
    eeg, xyz, mask = signal(), positions(19), hidden_stretch()
    order = torch.randperm(19, generator=torch.Generator().manual_seed(0))
    rebuilt = model.reconstruct(eeg, mask, xyz)
    permuted = model.reconstruct(eeg[:, order], mask[:, order], xyz[order])
    torch.testing.assert_close(permuted, rebuilt[:, order], atol=1e-5, rtol=1e-4)
    assert not torch.allclose(model.reconstruct(eeg[:, order], mask[:, order], xyz), permuted, atol=1e-3)


@torch.no_grad()
def test_time_is_known_by_its_place():
    model = build()
    constant = torch.ones(1, 19, 200)
    latents = model(constant, mask=torch.zeros_like(constant, dtype=torch.bool)).latent_mean
    assert (latents[:, :, 0] - latents[:, :, 3]).abs().max() > 0.1


def test_the_divergence_is_that_of_torch_distributions():
    mean, log_variance = (torch.randn(3, 4, 5, 6, dtype=torch.float64) for _ in range(2))
    exact = kl_divergence(Normal(mean, (0.5 * log_variance).exp()), Normal(0.0, 1.0))
    is_real = torch.rand(3, 4, 5) < 0.7
    per_window = [exact[row][is_real[row]].sum(dim=-1).mean() for row in range(3)]
    found = kl_divergence_loss(mean, log_variance, is_real)
    assert found.item() == pytest.approx(torch.stack(per_window).mean().item(), rel=1e-5)


def test_free_bits_cost_the_same_whether_used_or_not():
    mean = torch.zeros(1, 1, 1, 3, requires_grad=True)
    with torch.no_grad():
        mean[..., 0] = 4.0  # 8 nats
    is_real = torch.ones(1, 1, 1, dtype=torch.bool)
    loss = kl_divergence_loss(mean, torch.zeros(1, 1, 1, 3), is_real, free_bits=2.0)
    assert loss.item() == pytest.approx(8 + 2 * 2 * math.log(2))
    loss.backward()
    assert mean.grad.flatten().tolist() == [4.0, 0.0, 0.0]


@torch.no_grad()
def test_the_loss_is_made_of_its_parts():
    model, mask, eeg = build(visible_weight=0.3, beta=0.5, beta_warmup_steps=0), hidden_stretch(), signal()
    outputs = model(eeg, mask=mask)
    error = (outputs.reconstruction - eeg).square()
    assert outputs.reconstruction_loss.item() == pytest.approx(error[mask].mean().item(), rel=1e-5)
    assert outputs.visible_loss.item() == pytest.approx(error[~mask].mean().item(), rel=1e-5)
    posterior = Normal(outputs.latent_mean, (0.5 * outputs.latent_log_variance).exp())
    nats = kl_divergence(posterior, Normal(0.0, 1.0)).sum(dim=-1).mean() / 50
    assert outputs.kl_loss.item() == pytest.approx(nats.item(), rel=1e-5)
    parts = outputs.reconstruction_loss + 0.3 * outputs.visible_loss + 0.5 * outputs.kl_loss
    assert outputs.loss.item() == pytest.approx(parts.item(), rel=1e-6)
    assert model(eeg, mask=mask, return_loss=False).loss is None


def test_latents_are_drawn_in_training_and_means_otherwise(model):
    mean, log_variance = torch.full((1, 1, 1, 20_000), 3.0), torch.full((1, 1, 1, 20_000), math.log(4.0))
    assert torch.equal(model.draw_latents(mean, log_variance), mean)
    noise = torch.full_like(mean, -1.0)
    torch.testing.assert_close(model.draw_latents(mean, log_variance, noise), mean - 2)
    torch.manual_seed(0)
    drawn = model.train().draw_latents(mean, log_variance)
    assert drawn.mean().item() == pytest.approx(3.0, abs=0.05)
    assert drawn.std().item() == pytest.approx(2.0, abs=0.05)


def test_the_divergence_is_warmed_up_and_the_step_is_saved(tmp_path):
    model = build(beta=0.1, beta_warmup_steps=3).train()
    weights = []
    for _ in range(5):
        weights.append(model.kl_weight().item())
        model(signal())
    assert weights == pytest.approx([0.025, 0.05, 0.075, 0.1, 0.1])
    model.eval()(signal())  # an evaluation is no step
    model.save_pretrained(tmp_path)
    assert EEGMaskedVAEForPreTraining.from_pretrained(tmp_path).num_steps.item() == 5
    encoder = AutoModel.from_pretrained(tmp_path)
    encoder.save_pretrained(tmp_path / "encoder")
    fresh = EEGMaskedVAEForPreTraining.from_pretrained(tmp_path / "encoder")  # no decoder, no step
    assert fresh.num_steps.item() == 0
    assert fresh.decoder.patch_head.weight.isfinite().all()
    assert fresh.model.log_variance_head.bias.tolist() == encoder.log_variance_head.bias.tolist()


@torch.no_grad()
def test_reconstruct_is_what_evaluation_rebuilds(model):
    eeg, mask = signal(), hidden_stretch()
    padding = {"channel_mask": torch.arange(19).lt(15).expand(2, -1)}
    torch.testing.assert_close(
        model.reconstruct(eeg, mask, **padding), model(eeg, mask=mask, **padding).reconstruction
    )
    nothing = torch.zeros_like(mask)
    assert torch.equal(model.reconstruct(eeg), model.reconstruct(eeg, nothing))


@torch.no_grad()
def test_the_spatial_guess_is_that_of_a_gaussian_process():
    torch.manual_seed(0)
    guess, xyz, patches = SpatialGuess(), positions(6)[None], torch.randn(1, 6, 2, 5)
    nn.init.constant_(guess.noise, -3.0)
    is_known = torch.ones(1, 6, 2, dtype=torch.bool)
    is_known[0, [1, 4], 0] = False
    spoiled = torch.where(is_known[..., None], patches, 1e6)
    kernel, noise = guess.kernel(xyz)
    assert kernel.diagonal(dim1=1, dim2=2).add(noise).allclose(torch.ones(6))
    known, hidden = [0, 2, 3, 5], [1, 4]
    solved = torch.linalg.solve(kernel[0][known][:, known] + noise * torch.eye(4), patches[0, known, 0])
    expected = kernel[0][hidden][:, known] @ solved
    torch.testing.assert_close(guess(spoiled, is_known, xyz)[0, hidden, 0], expected, atol=1e-4, rtol=1e-4)
    nobody = torch.zeros_like(is_known)
    assert not guess(patches, nobody, xyz).any()


@torch.no_grad()
def test_bad_channels_have_no_say_in_what_is_guessed(model):
    mask, is_good = hidden_stretch(), torch.arange(19).ne(5)
    eeg, xyz = signal(), positions(19)
    eeg[:, 5] = 1e6
    rebuilt = model.reconstruct(eeg, mask, xyz, is_good.expand(2, -1))
    alone = model.reconstruct(eeg[:, is_good], mask[:, is_good], xyz[is_good])  # as if they were not there
    torch.testing.assert_close(rebuilt[:, is_good], alone, atol=1e-4, rtol=1e-4)


def test_without_the_guess_what_is_hidden_does_not_leak_either():
    test_what_is_hidden_does_not_leak(build(use_spatial_guess=False), (110, 130))


def test_samples_are_signals_that_a_seed_decides(model):
    xyz = positions(7)
    first, again, other = (
        model.sample(3, xyz, 130, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)
    )
    assert first.shape == (3, 7, 130) and first.isfinite().all() and not first.requires_grad
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert not torch.equal(first[0], first[1])


def test_hidden_channels_are_learned_from_their_neighbours():
    """All channels carry one signal: what is hidden on one stands on the others."""
    model = build(beta_warmup_steps=0, visible_weight=0.1).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    errors = []
    for step in range(150):
        eeg = signal(8, 1, 200, seed=step).cumsum(dim=-1)
        eeg = (eeg / eeg.std(dim=-1, keepdim=True)).expand(-1, 4, -1)
        loss = model(eeg, positions(4), mask_ratio=0.25)
        loss.loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        errors.append(loss.reconstruction_loss.item())
    assert sum(errors[-10:]) < 0.5 * sum(errors[:10])


def test_both_attention_implementations_agree_and_attentions_come_out():
    eeg, mask = signal(), hidden_stretch()
    outputs = []
    for name in ("eager", "sdpa"):
        model = build().eval()
        model.set_attn_implementation(name)
        outputs.append(model(eeg, mask=mask, output_attentions=name == "eager", output_hidden_states=True))
    torch.testing.assert_close(outputs[0].reconstruction, outputs[1].reconstruction, atol=1e-5, rtol=1e-4)
    assert [tuple(weights.shape) for weights in outputs[0].attentions] == [(2, 19, 4, 12, 12)] * 2
    assert len(outputs[1].hidden_states) == 3


def test_embeddings_are_one_vector_a_window(model):
    eeg = signal()
    assert model.get_embeddings(eeg).shape == (2, 32)
    assert isinstance(model.base_model, EEGMaskedVAEModel)
