# SPDX-License-Identifier: Apache-2.0
"""What every user of the codec relies on."""

import math

import pytest
import torch
from huggingface_hub.errors import StrictDataclassFieldValidationError
from transformers import AutoConfig, AutoFeatureExtractor, AutoModel

from eeg_hf import EEGFeatureExtractor, EEGFSQConfig, EEGFSQModel, create_model
from eeg_hf.models.modeling_eeg_fsq import RateEmbedding, Snake

SIZE = 32
TINY = {
    "patch_size": SIZE,
    "hidden_dims": [16, 12],
    "levels": [8, 5, 3],
    "codes_per_patch": 2,
    "conv_channels": [4, 8],
    "conv_strides": [4, 2],
    "conditioning_dim": 8,
}
VARIANTS = [
    {"architecture": architecture, "activation": activation, "use_conditioning": conditioned}
    for architecture in ("mlp", "conv")
    for activation in ("relu", "snake")
    for conditioned in (False, True)
]


def names(fields):
    return "-".join(map(str, fields.values()))


def build(seed=0, **fields):
    """Return a codec none of whose parameters is where it began, so that each of them has a say."""
    torch.manual_seed(seed)
    model = EEGFSQModel(EEGFSQConfig(**{**TINY, **fields})).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def signal(*shape, seed=0):
    return torch.randn(*(shape or (2, 3, 4 * SIZE)), generator=torch.Generator().manual_seed(seed))


def rate(model, hertz=200.0):
    return {"sampling_rate": hertz} if model.config.use_conditioning else {}


def refused(message, call, *arguments, **keywords):
    with pytest.raises(ValueError, match=message) as error:
        call(*arguments, **keywords)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("fields", VARIANTS, ids=names)
@torch.no_grad()
def test_both_forms_of_input_give_the_same_tokens(fields):
    model, eeg = build(**fields), signal()
    encoded = model.encode(eeg, **rate(model))
    assert encoded.indices.shape == (2, 3, 8) and encoded.indices.dtype == torch.int64
    assert encoded.codes.shape == (2, 3, 8, 3) and encoded.codes.abs().max() <= 1
    alone = model.encode(eeg.reshape(24, SIZE), **rate(model))
    assert alone.indices.shape == (24, 2) and alone.codes.shape == (24, 2, 3)
    assert torch.equal(alone.indices.view(2, 3, 8), encoded.indices)  # in the order of time
    decoded = model.decode(alone.indices, **rate(model))
    assert decoded.shape == (24, SIZE)
    torch.testing.assert_close(decoded.view_as(eeg), model.decode(encoded.indices, **rate(model)))


@pytest.mark.parametrize("fields", VARIANTS, ids=names)
@torch.no_grad()
def test_what_is_decoded_is_what_forward_returns(fields):
    model, eeg = build(**fields), signal()
    outputs = model(eeg, **rate(model))
    assert torch.equal(model.encode(eeg, **rate(model)).indices, outputs.indices)
    torch.testing.assert_close(model.decode(outputs.indices, **rate(model)), outputs.reconstruction)
    torch.testing.assert_close(outputs.loss, (outputs.reconstruction - eeg).square().mean())
    assert model(eeg, **rate(model), return_loss=False).loss is None


@pytest.mark.parametrize("linear_path", [True, False])
@pytest.mark.parametrize("fields", VARIANTS, ids=names)
def test_every_parameter_learns(fields, linear_path):
    model = build(**fields, linear_path=linear_path).train()
    model(signal(8, 3, 4 * SIZE), **rate(model, torch.linspace(100, 500, 8))).loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad.isfinite().all() and parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize("fields", VARIANTS, ids=names)
@torch.no_grad()
def test_a_patch_is_coded_by_itself(fields):
    model, eeg = build(**fields), signal()
    changed = eeg.clone()
    changed[1, 2, SIZE : 2 * SIZE] = 5.0
    before, after = (model(values, **rate(model)) for values in (eeg, changed))
    tokens = torch.zeros_like(before.indices, dtype=torch.bool)
    tokens[1, 2, 2:4] = True
    samples = torch.zeros_like(eeg, dtype=torch.bool)
    samples[1, 2, SIZE : 2 * SIZE] = True
    assert torch.equal(before.indices[~tokens], after.indices[~tokens])
    torch.testing.assert_close(before.reconstruction[~samples], after.reconstruction[~samples])
    assert not torch.equal(before.indices[tokens], after.indices[tokens])
    one = model.decode(before.indices[..., 2:4], **rate(model))  # tokens without their neighbours
    torch.testing.assert_close(one, before.reconstruction[..., SIZE : 2 * SIZE])


def masks():
    """Return masks of the third channel and of all samples after two and a half patches."""
    channel_mask = torch.tensor([[True, True, False]] * 2)
    attention_mask = (torch.arange(4 * SIZE) < 2.5 * SIZE).expand(2, -1)
    return {"channel_mask": channel_mask, "attention_mask": attention_mask}


@pytest.mark.parametrize("filler", [0.0, 1e6, math.nan, math.inf])
@torch.no_grad()
def test_padding_counts_nowhere(filler):
    model, eeg = build(), signal()
    padded = torch.where(masks()["channel_mask"][..., None] & masks()["attention_mask"][:, None], eeg, filler)
    outputs = model(padded, **masks())
    alone = model(eeg[:, :2, : 2 * SIZE])  # only whole patches count
    torch.testing.assert_close(outputs.loss, alone.loss)
    assert torch.equal(outputs.indices[:, :2, :4], alone.indices)
    torch.testing.assert_close(outputs.reconstruction[:, :2, : 2 * SIZE], alone.reconstruction)
    assert outputs.reconstruction.isfinite().all()


def test_padding_gets_no_gradient_and_nothing_real_is_no_error():
    model = build()
    eeg = signal().requires_grad_()
    model(eeg, **masks()).loss.backward()
    assert not eeg.grad[:, 2].any() and not eeg.grad[..., 3 * SIZE :].any()
    assert eeg.grad[:, :2, : 2 * SIZE].abs().min() > 0
    nothing = model(signal(), channel_mask=torch.zeros(2, 3)).loss
    assert nothing == 0 and nothing.requires_grad


def test_masks_of_patches():
    model, patches = build(), signal(4, SIZE)
    mask = torch.ones(4, SIZE, dtype=torch.bool)
    mask[2:, -1] = False
    torch.testing.assert_close(model(patches, attention_mask=mask).loss, model(patches[:2]).loss)
    torch.testing.assert_close(model(patches, channel_mask=mask[:, -1]).loss, model(patches[:2]).loss)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("channel_mask", (3,)),
        ("channel_mask", (1, 3)),
        ("channel_mask", (2, 4)),
        ("attention_mask", (4 * SIZE,)),
        ("attention_mask", (1, 4 * SIZE)),
        ("attention_mask", (2, SIZE)),
        ("attention_mask", (2, 3, 4 * SIZE)),
    ],
)
def test_a_mask_of_another_shape_is_refused(name, shape):
    refused(rf"{name}: expected \(2, ", build(), signal(), **{name: torch.ones(shape)})


def test_other_keys_of_a_collator_do_not_matter():
    model, eeg = build(), signal()
    assert torch.equal(model(eeg, channel_positions=torch.zeros(2, 3, 3)).loss, model(eeg).loss)
    as_tuple = model(eeg, return_dict=False)
    assert isinstance(as_tuple, tuple) and torch.equal(as_tuple[3], model(eeg).indices)


@pytest.mark.parametrize("shape", [(7,), (1, 3, 4, SIZE), ()], ids=str)
def test_signals_of_other_dimensions_are_refused(shape):
    for call in (build(), build().encode):
        refused(rf"expected \(batch, channels, time\) or \(batch, {SIZE}\)", call, torch.zeros(shape))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_signal_is_refused(value):
    model, eeg = build(), signal()
    for call in (model, model.encode):
        refused("multiple of patch_size.*cut to 96 or pad to 128", call, eeg[..., :-1])
        refused("multiple of patch_size", call, eeg[..., :0])
        refused(f"patches of {SIZE} samples", call, signal(4, 2 * SIZE))
        refused("expected finite numbers", call, torch.where(eeg == eeg.max(), value, eeg))


def test_what_are_no_tokens_is_refused():
    model = build()
    for tokens in (torch.zeros(2, 3, 4), torch.zeros(4, dtype=torch.long), torch.zeros(2, 3, 4).bool()):
        refused("indices: expected whole numbers", model.decode, tokens)
    for number in (0, 1, 5):
        refused(
            "multiple of codes_per_patch .2. tokens",
            model.decode,
            torch.zeros(2, 3, number, dtype=torch.long),
        )
    for index in (-1, 120):
        refused("expected 0 to 119", model.decode, torch.full((2, 3, 4), index))


@pytest.mark.parametrize("architecture", ["mlp", "conv"])
@torch.no_grad()
def test_rates_may_be_a_number_or_one_a_window(architecture):
    model, eeg = build(architecture=architecture, use_conditioning=True), signal()
    expected = torch.cat([model(eeg[:1], 128.0).reconstruction, model(eeg[1:], 512).reconstruction])
    for rates in (torch.tensor([128.0, 512.0]), torch.tensor([[128], [512]])):
        outputs = model(eeg, sampling_rate=rates)
        torch.testing.assert_close(outputs.reconstruction, expected)
        torch.testing.assert_close(model.decode(outputs.indices, rates), expected)
    assert (model(eeg, 128.0).reconstruction[1] - expected[1]).abs().max() > 1e-3  # the rate has a say


@torch.no_grad()
def test_a_codec_without_conditioning_needs_no_rate():
    model, eeg = build(), signal()
    assert torch.equal(model(eeg).reconstruction, model(eeg, sampling_rate=50.0).reconstruction)


def test_rates_that_are_none_are_refused():
    model = build(use_conditioning=True)
    tokens = torch.zeros(2, 3, 4, dtype=torch.long)
    for call, inputs in ((model, signal()), (model.encode, signal()), (model.decode, tokens)):
        refused("sampling_rate: this codec is conditioned on it", call, inputs)
        for hertz in (0, -200.0, math.nan, math.inf, torch.tensor([200.0, 0.0])):
            refused("sampling_rate: expected more than 0 Hz", call, inputs, sampling_rate=hertz)
        refused("expected 1 or 2 rates, got 3", call, inputs, sampling_rate=torch.ones(3))


@pytest.mark.parametrize("architecture", ["mlp", "conv"])
@torch.no_grad()
def test_conditioning_changes_nothing_at_first(architecture):
    torch.manual_seed(0)
    fields = {**TINY, "architecture": architecture}
    conditioned = EEGFSQModel(EEGFSQConfig(**fields, use_conditioning=True)).eval()
    plain = EEGFSQModel(EEGFSQConfig(**fields)).eval()
    plain.load_state_dict(conditioned.state_dict(), strict=False)
    for hertz in (100.0, 500.0):
        outputs = conditioned(signal(), sampling_rate=hertz)
        torch.testing.assert_close(outputs.reconstruction, plain(signal()).reconstruction)


@torch.no_grad()
def test_residual_units_change_nothing_at_first():
    unit = EEGFSQModel(EEGFSQConfig(**{**TINY, "architecture": "conv"})).decoder.nonlinear_path.last_unit
    assert torch.equal(unit(signal(2, 4, 8)), signal(2, 4, 8))


@torch.no_grad()
def test_rates_are_told_apart_by_their_ratio():
    torch.manual_seed(0)
    embed = RateEmbedding(EEGFSQConfig())
    assert torch.unique(embed(torch.tensor([100, 128, 160, 173.61, 200, 250, 256, 500])), dim=0).shape[0] == 8
    inputs = []
    embed.dense.register_forward_hook(lambda module, arguments, output: inputs.append(arguments[0]))
    embed(torch.tensor([100.0, 200.0, 400.0]))
    assert inputs[0][:, 0].tolist() == pytest.approx([-1.0, 0.0, 1.0])


def test_snake_is_the_textbook_formula():
    snake, values = Snake(4), signal(100, 4, 5).double()
    snake.frequency = torch.nn.Parameter(torch.tensor([0.1, 1.0, -2.0, 30.0], dtype=torch.float64))
    frequency = snake.frequency.detach()[:, None]
    expected = values + (frequency * values).sin() ** 2 / frequency
    torch.testing.assert_close(snake(values), expected, atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("frequency", [0.0, -0.0, 1e-30, -1e-30, 1e-8, -1e-6, 1e-6, 1e-3, -1e-3])
@pytest.mark.parametrize("spread", [1e-3, 1.0, 100.0])
def test_snake_is_stable_near_frequency_zero(frequency, spread):
    snake, values = Snake(1), (spread * signal(1000, 1)).requires_grad_()
    snake.frequency = torch.nn.Parameter(torch.full((1,), frequency))
    activated = snake(values)
    # The same without a division: at 0 it is x, and what it learns there is not nothing
    exact = values + frequency * (values * torch.sinc(frequency * values / math.pi)) ** 2
    torch.testing.assert_close(activated, exact, rtol=1e-3, atol=2e-3 * spread)
    activated.sum().backward()
    assert values.grad.isfinite().all() and snake.frequency.grad.isfinite().all()
    if abs(frequency) < 1e-3:
        torch.testing.assert_close(snake.frequency.grad, (values**2).sum()[None].detach(), rtol=0.01, atol=0)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"levels": [8, 1]}, "levels: expected whole numbers of at least 2"),
        ({"levels": []}, "levels: expected whole numbers"),
        ({"levels": [1000] * 7}, "more codes than an int64"),
        ({"patch_size": 0}, "patch_size"),
        ({"codes_per_patch": 0}, "codes_per_patch"),
        ({"hidden_dims": []}, "hidden_dims"),
        ({"hidden_dims": [8, 0]}, "hidden_dims"),
        ({"architecture": "rnn"}, "architecture: expected one of mlp, conv, got 'rnn'"),
        ({"activation": "gelu"}, "activation: expected one of relu, snake, got 'gelu'"),
        ({"dropout": 1.0}, "dropout"),
        ({"dropout": -0.1}, "dropout"),
        ({"sampling_rate": 0}, "sampling_rate"),
        ({"sampling_rate": math.nan}, "sampling_rate"),
        (
            {"architecture": "conv", "conv_strides": [3, 2]},
            "reduce by 6, which does not divide a patch of 32",
        ),
        ({"architecture": "conv", "conv_strides": [4]}, "one for each of the 2 conv_channels"),
        ({"architecture": "conv", "conv_channels": [], "conv_strides": []}, "conv_channels"),
    ],
)
def test_config_refuses_what_cannot_work(fields, message):
    refused(message, EEGFSQConfig, **{**TINY, **fields})


@pytest.mark.parametrize("levels", [[8.0, 5], [True, 8], 8, "8"])
def test_config_refuses_levels_of_another_type(levels):
    with pytest.raises(StrictDataclassFieldValidationError, match="levels"):
        EEGFSQConfig(levels=levels)


def test_defaults_are_those_of_the_seed_and_bits_follow_from_them():
    config = EEGFSQConfig()
    assert (config.patch_size, list(config.hidden_dims)) == (256, [512, 256, 128])
    assert (list(config.levels), config.codebook_size, config.code_dim) == ([8, 8, 8, 5, 5, 5], 64_000, 6)
    assert config.bits_per_second() == pytest.approx(math.log2(64_000) * 200 / 256)
    assert config.bits_per_second(512) == pytest.approx(math.log2(64_000) * 2)
    refused("several rates", EEGFSQConfig(sampling_rate=None).bits_per_second)
    for hertz in (0, -1.0, math.nan):
        refused("more than 0 Hz", config.bits_per_second, hertz)


@pytest.mark.parametrize("fields", VARIANTS, ids=names)
@torch.no_grad()
def test_a_saved_codec_gives_the_same_tokens(fields, tmp_path):
    model, eeg = build(**fields), signal()
    model.save_pretrained(tmp_path)
    EEGFeatureExtractor(window_seconds=2.0).save_pretrained(tmp_path)
    loaded = AutoModel.from_pretrained(tmp_path)
    assert isinstance(loaded, EEGFSQModel) and not loaded.training
    assert isinstance(AutoFeatureExtractor.from_pretrained(tmp_path), EEGFeatureExtractor)
    assert AutoConfig.from_pretrained(tmp_path).levels == [8, 5, 3]
    outputs, again = model(eeg, **rate(model)), loaded(eeg, **rate(model))
    assert torch.equal(outputs.indices, again.indices)
    torch.testing.assert_close(outputs.reconstruction, again.reconstruction, atol=1e-5, rtol=0)
    half = EEGFSQModel.from_pretrained(tmp_path, dtype=torch.bfloat16)
    assert half.decode(half.encode(eeg, **rate(model)).indices, **rate(model)).isfinite().all()
    assert torch.equal(half.quantizer.strides, model.quantizer.strides)


def test_create_model_by_name():
    assert isinstance(create_model("eeg_fsq", TINY), EEGFSQModel)


def gaussian(number, seed=0):
    """Return patches (number, SIZE) of known covariance, that of a first-order process, and its spectrum."""
    lags = torch.arange(SIZE)
    covariance = 0.95 ** (lags[:, None] - lags).abs()  # of variance 1
    patches = signal(number, SIZE, seed=seed) @ torch.linalg.cholesky(covariance).T
    return patches, torch.linalg.eigvalsh(covariance).flip(0)


@pytest.mark.parametrize("architecture", ["mlp", "conv"])
@pytest.mark.parametrize("levels", [[16, 16, 16, 16], [3, 6, 12, 24], [24, 12, 6, 3]], ids=str)
@torch.no_grad()
def test_it_starts_at_the_principal_components(levels, architecture):
    torch.manual_seed(0)
    config = EEGFSQConfig(**{**TINY, "levels": levels, "codes_per_patch": 1, "architecture": architecture})
    model = EEGFSQModel(config).eval()
    untrained = model(gaussian(2000, seed=1)[0]).loss
    model.initialize_linear_path(gaussian(4000)[0])
    patches, variances = gaussian(2000, seed=1)
    outputs = model(patches)
    missed = variances[4:].sum() / SIZE
    # The error of the best quantiser of a normal distribution is about 2.7 / levels^2 of its variance
    ranked = torch.tensor(sorted(levels, reverse=True))
    theory = missed + (2.7 / ranked**2 * variances[:4]).sum() / SIZE
    assert missed < outputs.loss < 1.3 * theory < untrained / 4
    digits = model.quantizer.indices_to_digits(outputs.indices)
    assert all(len(digits[..., dimension].unique()) == level for dimension, level in enumerate(levels))


@torch.no_grad()
def test_more_levels_go_to_the_stronger_components():
    losses = []
    for levels in ([24, 12, 6, 3], [9, 9, 8, 8]):  # as many bits
        model = EEGFSQModel(EEGFSQConfig(**{**TINY, "levels": levels, "codes_per_patch": 1}))
        model.initialize_linear_path(gaussian(4000)[0])
        losses.append(model(gaussian(2000, seed=1)[0]).loss)
    assert losses[0] < losses[1]


@torch.no_grad()
def test_patches_of_few_dimensions_can_be_started_from():
    for patches in (torch.zeros(100, SIZE), signal(100, 1) @ signal(1, SIZE)):
        model = build()
        model.initialize_linear_path(patches)
        assert max(parameter.abs().max() for parameter in model.parameters()) < 1e4
        assert model(patches).loss.isfinite()


def test_what_cannot_be_started_from_is_refused():
    start = build().initialize_linear_path
    refused("linear_path=False", build(linear_path=False).initialize_linear_path, signal(100, SIZE))
    refused("more patches than the 6 latents", start, signal(6, SIZE))
    refused(r"expected \(num_patches, 32\)", start, signal(100, 3, SIZE))
    refused("finite", start, torch.full((100, SIZE), math.nan))


# Each value of the three fields
@pytest.mark.parametrize("fields", [VARIANTS[i] for i in (0, 7)], ids=names)
def test_overfits_one_batch(fields):
    torch.manual_seed(0)
    model = EEGFSQModel(EEGFSQConfig(**{**TINY, **fields, "hidden_dims": [64, 32]}))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    eeg = signal(1, 2, 4 * SIZE)
    for _ in range(150):
        optimizer.zero_grad()
        loss = model(eeg, **rate(model)).loss
        loss.backward()
        optimizer.step()
    assert loss < 0.2  # 1 where nothing is learned


def test_dropout_acts_in_training_only():
    model = build(dropout=0.5)
    assert not torch.equal(model.train()(signal()).reconstruction, model(signal()).reconstruction)
    assert torch.equal(model.eval()(signal()).reconstruction, model(signal()).reconstruction)
