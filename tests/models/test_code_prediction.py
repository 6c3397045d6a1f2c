# SPDX-License-Identifier: Apache-2.0
"""Pretraining on the codes of a frozen codec."""

import copy
import math

import pytest
import torch
from transformers.utils import can_return_loss, find_labels

from eeg_hf import EEGFoundationConfig, EEGFoundationForPreTraining, EEGFSQConfig, EEGFSQModel
from eeg_hf.models.objective_codes import CodeHead, masked_code_loss

LEVELS = [4, 3, 5]
CODEC = {
    "patch_size": 100,
    "hidden_dims": [16],
    "levels": LEVELS,
    "codes_per_patch": 2,
    "sampling_rate": 100.0,
}


def make_codec(**fields):
    torch.manual_seed(1)
    return EEGFSQModel(EEGFSQConfig(**{**CODEC, **fields})).eval()


def make_model(**fields):
    torch.manual_seed(0)
    config = {
        **{"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32},
        **{"sampling_rate": 100.0, "patch_size": 100, "scale_factors": [1], "overlap": 0.0, "dropout": 0.0},
        **{"target": "codes", "code_levels": LEVELS, "codes_per_patch": 2, "contrastive_weight": 0.0},
    }
    return EEGFoundationForPreTraining(EEGFoundationConfig(**{**config, **fields}))


def signal(num_samples=500):
    return torch.randn(3, 19, num_samples, generator=torch.Generator().manual_seed(0))


def hide_patches(num_samples=500):
    mask = torch.zeros(3, 19, num_samples, dtype=torch.bool)
    mask[:, ::2, 100:200] = True
    return mask


def test_knowing_nothing_costs_one_and_knowing_all_nothing():
    digits = torch.stack([torch.randint(level, (2, 3, 4, 2)) for level in LEVELS], dim=-1)
    is_hidden = torch.rand(2, 3, 4) < 0.5
    is_hidden[:, 0, 0] = True
    nothing = torch.zeros(2, 3, 4, 2, sum(LEVELS))
    assert masked_code_loss(nothing, digits, LEVELS, is_hidden).item() == pytest.approx(1.0, abs=1e-6)
    one_hot = [torch.nn.functional.one_hot(digits[..., i], level).float() for i, level in enumerate(LEVELS)]
    known = 100 * torch.cat(one_hot, dim=-1)
    assert masked_code_loss(known, digits, LEVELS, is_hidden).item() == pytest.approx(0.0, abs=1e-6)


def test_the_loss_is_the_cross_entropy_of_each_dimension_over_its_logarithm():
    logits = torch.randn(1, 1, 1, 1, sum(LEVELS))
    digits = torch.tensor([2, 0, 4]).view(1, 1, 1, 1, 3)
    by_hand = [
        torch.nn.functional.cross_entropy(part, digit.view(1)).item() / math.log(level)
        for level, part, digit in zip(
            LEVELS, logits.view(1, -1).split(LEVELS, -1), digits.view(3), strict=True
        )
    ]
    loss = masked_code_loss(logits, digits, LEVELS, torch.ones(1, 1, 1, dtype=torch.bool))
    assert loss.item() == pytest.approx(sum(by_hand) / 3, abs=1e-6)


def test_a_window_without_a_hidden_patch_gives_zero_and_a_path_for_gradients():
    model = make_model()
    model.set_codec(make_codec())
    loss = model(signal(), mask=torch.zeros(3, 19, 500, dtype=torch.bool)).loss
    assert loss.item() == 0
    loss.backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_the_head_has_one_output_a_level():
    head = CodeHead(32, [8, 8, 8, 5, 5, 5], codes_per_patch=1)
    assert head.out.out_features == 39
    assert head(torch.randn(2, 19, 5, 32)).shape == (2, 19, 5, 1, 39)


def test_only_hidden_patches_are_scored():
    model = make_model().eval()
    mask, labels = hide_patches(), make_codec().encode(signal()).indices
    loss = model(signal(), mask=mask, code_indices=labels).code_loss
    by_patch = labels.unflatten(-1, (5, 2)).clone()
    is_hidden = mask.unflatten(-1, (5, -1)).all(-1)
    by_patch[~is_hidden] = 0
    assert model(signal(), mask=mask, code_indices=by_patch.flatten(-2)).code_loss == loss
    by_patch[is_hidden] = 0
    assert model(signal(), mask=mask, code_indices=by_patch.flatten(-2)).code_loss != loss


def test_the_codec_gives_the_labels_and_is_no_part_of_the_model(tmp_path):
    model, codec = make_model().eval(), make_codec()
    names = {name for name, _ in model.named_parameters()}
    labels = codec.encode(signal()).indices
    expected = model(signal(), mask=hide_patches(), code_indices=labels).loss
    model.set_codec(codec)
    before = copy.deepcopy(codec.state_dict())
    loss = model(signal(), mask=hide_patches()).loss
    assert loss == expected
    loss.backward()
    assert {name for name, _ in model.named_parameters()} == names
    assert all(parameter.grad is None for parameter in codec.parameters())
    assert all(torch.equal(value, before[name]) for name, value in codec.state_dict().items())
    model.save_pretrained(tmp_path)
    again = EEGFoundationForPreTraining.from_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"needs model.set_codec"):
        again(signal())


def test_both_targets_add_up_and_the_contrast_with_them():
    model = make_model(target="both", code_weight=0.5, contrastive_weight=0.25).eval()
    model.set_codec(make_codec())
    outputs = model(signal(), mask=hide_patches(), augmented_values=signal() + 0.1)
    parts = outputs.reconstruction_loss + 0.5 * outputs.code_loss + 0.25 * outputs.contrastive_loss
    assert outputs.loss.item() == pytest.approx(parts.item(), rel=1e-6)


def test_predicting_codes_can_be_learned():
    model = make_model()
    model.set_codec(make_codec())
    time = torch.arange(500) / 100
    waves = torch.sin(2 * math.pi * torch.arange(1, 4)[:, None, None] * time).expand(3, 19, 500)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(60):
        loss = model(waves, mask=hide_patches()).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1


def test_trainer_measures_a_loss_without_labels():
    assert find_labels(EEGFoundationForPreTraining) == []
    assert can_return_loss(EEGFoundationForPreTraining)


def test_samples_under_the_mask_reach_the_labels_only():
    model = make_model().eval()
    other = torch.where(hide_patches(), signal() + 5, signal())
    labels = make_codec().encode(signal()).indices
    first, second = (model(x, mask=hide_patches(), code_indices=labels) for x in (signal(), other))
    assert torch.equal(first.code_logits, second.code_logits)


def test_a_patch_cut_off_at_the_end_is_left_out_and_padding_may_be_anything():
    model = make_model().eval()
    model.set_codec(make_codec())
    outputs = model(signal(560), mask_ratio=0.5)
    assert outputs.code_logits.shape == (3, 19, 5, 2, sum(LEVELS))
    real = torch.ones(3, 500, dtype=torch.bool)
    real[:, 300:] = False
    padded = signal().masked_fill(~real[:, None], float("nan"))
    noise = torch.rand(3, 19, 5)
    loss = model(padded, attention_mask=real, mask_noise=noise).loss
    assert loss == model(signal(), attention_mask=real, mask_noise=noise).loss
    assert loss.isfinite()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"patch_size": 50}, "patch_size of the model, 100, got 50"),
        ({"sampling_rate": 200.0}, "sampling_rate of the model, 100.0, got 200.0"),
        ({"sampling_rate": None}, "sampling_rate of the model, 100.0, got None"),
        ({"levels": [4, 3, 6]}, r"code_levels of the model, \[4, 3, 5\], got \[4, 3, 6\]"),
        ({"codes_per_patch": 1}, "codes_per_patch of the model, 2, got 1"),
    ],
)
def test_a_codec_that_does_not_fit_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        make_model().set_codec(make_codec(**fields))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"target": "tokens"}, "target: expected one of signal, codes, both, got 'tokens'"),
        ({"overlap": 0.5}, "overlap: expected 0 with target='codes'"),
        ({"code_weight": 0.0}, "nothing to learn"),
    ],
)
def test_a_target_that_cannot_work_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        make_model(**fields)


def test_a_codec_for_a_model_of_samples_and_tokens_of_another_kind_are_refused():
    with pytest.raises(ValueError, match="expected 'codes' or 'both'"):
        make_model(target="signal").set_codec(make_codec())
    with pytest.raises(ValueError, match=r"code_indices: expected \(3, 19, 10\) tokens, got \(3, 19, 5\)"):
        make_model()(signal(), code_indices=torch.zeros(3, 19, 5, dtype=torch.long))
    with pytest.raises(ValueError, match="indices: expected 0 to 59, got 60 to 60"):
        make_model()(signal(), code_indices=torch.full((3, 19, 10), 60))
