# SPDX-License-Identifier: Apache-2.0
"""What every user of EEGFoundation relies on."""

import math

import pytest
import torch
from huggingface_hub.errors import StrictDataclassFieldValidationError
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForPreTraining,
    AutoModelForSequenceClassification,
)

from eeg_hf import (
    EEGFoundationConfig,
    EEGFoundationForPreTraining,
    EEGFoundationForSequenceClassification,
    EEGFoundationModel,
    create_model,
)


def tiny_config(**fields):
    return EEGFoundationConfig(
        **{
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "intermediate_size": 64,
            **fields,
        }
    )


def signal(batch=2, channels=19, num_samples=1000, seed=0):
    return torch.randn(batch, channels, num_samples, generator=torch.Generator().manual_seed(seed))


def positions(channels, seed=0):
    xyz = torch.randn(channels, 3, generator=torch.Generator().manual_seed(seed))
    return 0.1 * xyz / xyz.norm(dim=-1, keepdim=True)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return EEGFoundationModel(tiny_config()).eval()


def test_seed_names_and_defaults_are_accepted():
    config = EEGFoundationConfig(d_model=64, n_heads=4, n_layers=2, d_ff=128, n_channels=19)
    assert (config.hidden_size, config.num_attention_heads, config.num_hidden_layers) == (64, 4, 2)
    default = EEGFoundationConfig()
    assert (default.d_model, default.n_heads, default.n_layers, default.d_ff) == (512, 8, 12, 2048)
    assert (default.n_channels, default.max_seq_length, default.patch_size, default.overlap) == (
        19,
        10_000,
        200,
        0.5,
    )
    assert (default.mask_ratio, default.contrastive_temperature) == (0.15, 0.07)
    assert (default.reconstruction_weight, default.contrastive_weight, default.dropout) == (1.0, 0.5, 0.1)
    assert list(default.scale_factors) == [1, 2, 4, 8]
    assert default.use_multi_scale and default.use_channel_attention
    assert default.max_patches == 99


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"hidden_size": 30}, "multiple of num_attention_heads"),
        ({"d_model": "wide"}, "hidden_size"),
        ({"overlap": 1.0}, "overlap"),
        ({"scale_factors": [3]}, "scale_factors"),
        ({"mask_ratio": 0}, "mask_ratio"),
        ({"contrastive_temperature": 0}, "contrastive_temperature"),
        ({"max_seq_length": 100}, "max_seq_length"),
        ({"channel_names": ["Cz"]}, "channel_names"),
    ],
)
def test_config_refuses_what_cannot_work(fields, message):
    with pytest.raises(ValueError, match=message):
        tiny_config(**fields)


def test_config_refuses_a_wrong_type():
    with pytest.raises(StrictDataclassFieldValidationError, match="num_hidden_layers"):
        tiny_config(num_hidden_layers="two")


@pytest.mark.parametrize("channels", [4, 19, 64, 128])
@pytest.mark.parametrize("seconds", [2, 7.3, 50])
def test_any_montage_and_length_go_through_the_same_weights(model, channels, seconds):
    eeg = signal(1, channels, int(seconds * 200))
    with torch.no_grad():
        outputs = model(eeg, channel_positions=positions(channels))
    assert outputs.last_hidden_state.shape == (1, channels, math.ceil((seconds * 200 - 200) / 100) + 1, 32)
    assert outputs.pooler_output.isfinite().all()


def test_input_that_does_not_fit_is_refused(model):
    with pytest.raises(ValueError, match="pass channel_positions"):
        model(signal(channels=8))
    with pytest.raises(ValueError, match="max_seq_length"):
        model(signal(1, 19, 10_001))
    with pytest.raises(ValueError, match=r"\(batch, channels, time\)"):
        model(torch.randn(19, 1000))


def test_permuting_channels_with_their_positions_permutes_nothing():
    torch.manual_seed(0)
    classifier = EEGFoundationForSequenceClassification(tiny_config(num_labels=3)).eval()
    eeg, xyz = signal(), positions(19)
    order = torch.randperm(19)
    with torch.no_grad():
        logits = classifier(eeg, channel_positions=xyz).logits
        permuted = classifier(eeg[:, order], channel_positions=xyz[order]).logits
        moved = classifier(eeg[:, order], channel_positions=xyz).logits
    torch.testing.assert_close(permuted, logits, atol=1e-5, rtol=0)
    assert (moved - logits).abs().max() > 1e-4  # positions do matter


def test_padding_of_channels_and_time_changes_nothing(model):
    eeg, xyz = signal(num_samples=1050), positions(23)
    padded = torch.full((2, 23, 1400), float("nan"))
    padded[:, :19, :1050] = eeg
    channel_mask = torch.arange(23).lt(19).expand(2, -1)
    attention_mask = torch.arange(1400).lt(1050).expand(2, -1)
    with torch.no_grad():
        alone = model(eeg, channel_positions=xyz[:19]).pooler_output
        outputs = model(
            padded, channel_positions=xyz, channel_mask=channel_mask, attention_mask=attention_mask
        )
    torch.testing.assert_close(outputs.pooler_output, alone, atol=1e-5, rtol=0)


@pytest.mark.parametrize("overlap", [0.0, 0.5])
def test_samples_under_the_mask_reach_no_output(overlap):
    torch.manual_seed(0)
    model = EEGFoundationForPreTraining(tiny_config(overlap=overlap)).eval()
    eeg = signal()
    with torch.no_grad():
        first = model(eeg, mask_ratio=0.5)
        changed = torch.where(first.mask, 1e3, eeg)
        second = model(changed, mask=first.mask)
    assert torch.equal(first.reconstruction, second.reconstruction)
    assert torch.equal(first.contrastive_features, second.contrastive_features)
    assert first.mask.float().mean() == pytest.approx(0.5, abs=0.02)


def test_the_loss_is_on_hidden_samples_only():
    model = EEGFoundationForPreTraining(tiny_config()).eval()
    eeg = signal()
    with torch.no_grad():
        outputs = model(eeg, mask_ratio=0.25)
    error = (outputs.reconstruction - eeg).square()
    expected = torch.stack([error[row][outputs.mask[row]].mean() for row in range(2)]).mean()
    torch.testing.assert_close(outputs.reconstruction_loss, expected)
    assert outputs.contrastive_loss is None
    torch.testing.assert_close(outputs.loss, outputs.reconstruction_loss)


def test_visible_samples_count_only_on_request():
    torch.manual_seed(0)
    model = EEGFoundationForPreTraining(tiny_config(visible_weight=0.1)).eval()
    eeg = signal()
    outputs = model(eeg, mask_ratio=0.25)
    error = (outputs.reconstruction - eeg).square()
    expected = torch.stack([error[row][~outputs.mask[row]].mean() for row in range(2)]).mean()
    torch.testing.assert_close(outputs.visible_loss, expected)
    torch.testing.assert_close(outputs.loss, outputs.reconstruction_loss + 0.1 * outputs.visible_loss)


def test_objectives_are_weighted():
    torch.manual_seed(0)
    model = EEGFoundationForPreTraining(
        tiny_config(reconstruction_weight=2.0, contrastive_weight=0.25)
    ).eval()
    outputs = model(signal(), augmented_values=signal(seed=1))
    expected = 2 * outputs.reconstruction_loss + 0.25 * outputs.contrastive_loss
    torch.testing.assert_close(outputs.loss, expected)
    torch.testing.assert_close(outputs.contrastive_features.norm(dim=-1), torch.ones(2))


def test_auto_classes_load_a_saved_folder(tmp_path):
    EEGFoundationForPreTraining(tiny_config(num_labels=4)).save_pretrained(tmp_path)
    assert isinstance(AutoConfig.from_pretrained(tmp_path), EEGFoundationConfig)
    assert isinstance(AutoModel.from_pretrained(tmp_path), EEGFoundationModel)
    assert isinstance(AutoModelForPreTraining.from_pretrained(tmp_path), EEGFoundationForPreTraining)
    classifier = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert classifier(signal()).logits.shape == (2, 4)


def test_weights_absent_from_a_checkpoint_are_initialised(tmp_path):
    """Models are built without memory when loaded: what the checkpoint lacks must be filled all the same."""
    torch.manual_seed(0)
    EEGFoundationModel(tiny_config()).save_pretrained(tmp_path)
    loaded = EEGFoundationForPreTraining.from_pretrained(tmp_path)
    for name, tensor in loaded.named_parameters():
        assert tensor.isfinite().all() and tensor.abs().max() < 10, name
    fresh = EEGFoundationForPreTraining(tiny_config())
    assert loaded.decoder.weight.std().item() == pytest.approx(fresh.decoder.weight.std().item(), rel=0.2)


def test_every_parameter_gets_a_gradient():
    model = EEGFoundationForPreTraining(tiny_config())
    model(signal(), augmented_values=signal(seed=1), mask_ratio=0.5).loss.backward()
    assert not [name for name, parameter in model.named_parameters() if parameter.grad is None]
    classifier = EEGFoundationForSequenceClassification(tiny_config(num_labels=3))
    classifier(signal(), labels=torch.tensor([0, 2])).loss.backward()
    # Nothing is hidden when classifying, but several processes wait for the gradient of every parameter
    assert not [name for name, parameter in classifier.named_parameters() if parameter.grad is None]
    assert not classifier.model.embeddings.mask_token.grad.any()


@pytest.mark.parametrize("fields", [{"contrastive_weight": 0}, {"reconstruction_weight": 0}])
def test_a_head_without_a_loss_is_left_out(fields):
    model = EEGFoundationForPreTraining(tiny_config(**fields))
    model(signal(), augmented_values=signal(seed=1), mask_ratio=0.5).loss.backward()
    assert not [name for name, parameter in model.named_parameters() if parameter.grad is None]


@pytest.mark.parametrize("implementation", ["eager", "flex_attention"])
@torch.compiler.set_stance("force_eager")  # flex compiles a kernel a shape: minutes, for the same numbers
def test_attention_implementations_agree(model, implementation):
    eeg = signal(num_samples=1000)
    masks = {
        "channel_mask": torch.arange(19).lt(15).expand(2, -1),
        "attention_mask": torch.arange(1000).lt(800).expand(2, -1),
    }
    with torch.no_grad():
        for inputs in ({}, masks):
            model.set_attn_implementation("sdpa")
            expected = model(eeg, **inputs).pooler_output
            model.set_attn_implementation(implementation)
            torch.testing.assert_close(model(eeg, **inputs).pooler_output, expected, atol=2e-5, rtol=0)


def test_hidden_states_and_attentions_come_back_on_request(model):
    model.set_attn_implementation("eager")
    outputs = model(
        signal(), output_hidden_states=True, output_attentions=True, output_channel_attentions=True
    )
    assert [state.shape for state in outputs.hidden_states] == [(2, 19, 9, 32)] * 3
    assert [weights.shape for weights in outputs.attentions] == [(2, 19, 4, 9, 9)] * 2
    assert [weights.shape for weights in outputs.channel_attentions] == [(2, 9, 4, 19, 19)] * 2
    torch.testing.assert_close(outputs.channel_attentions[0].sum(-1), torch.ones(2, 9, 4, 19))
    as_tuple = model(signal(), return_dict=False)
    assert isinstance(as_tuple, tuple) and torch.equal(as_tuple[1], model(signal()).pooler_output)


def test_bf16_autocast_runs_and_stays_near():
    torch.manual_seed(0)
    model = EEGFoundationForPreTraining(tiny_config()).eval()
    noise = torch.rand(2, 19, 5)
    exact = model(signal(), mask_noise=noise).loss
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = model(signal(), mask_noise=noise).loss
    rounded.backward()
    assert rounded.item() == pytest.approx(exact.item(), rel=0.05)


def test_activation_checkpointing_gives_the_same_gradients():
    gradients = []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        model = EEGFoundationForPreTraining(tiny_config(dropout=0.0)).train()
        if checkpointing:
            model.activation_checkpointing_enable()
        model(signal(), mask_noise=torch.linspace(0, 1, 190).view(2, 19, 5)).loss.backward()
        gradients.append([p.grad for p in model.parameters() if p.grad is not None])
    for first, second in zip(*gradients, strict=True):
        torch.testing.assert_close(first, second)


def test_embeddings_and_classification_head_share_the_encoder(model):
    eeg = signal()
    with torch.no_grad():
        assert model.get_embeddings(eeg).shape == (2, 32)
    classifier = model.add_classification_head(6, classifier_dropout=0.3)
    assert classifier(eeg).logits.shape == (2, 6)
    assert classifier.model is model and classifier.config.num_labels == 6
    weighted = classifier.add_classification_head(2, class_weights=[1.0, 2.0])
    assert weighted.model is model and weighted.add_classification_head(3).config.class_weights is None
    with pytest.raises(ValueError, match="num_labels: expected a number of classes, or 1 .* got 0"):
        model.add_classification_head(0)


def test_labels_of_every_kind():
    classifier = EEGFoundationForSequenceClassification(tiny_config(num_labels=3)).eval()
    eeg = signal(batch=3)
    hard = torch.tensor([0, 2, -100])
    shares = torch.nn.functional.one_hot(hard[:2], 3).float()
    with torch.no_grad():
        only_known = classifier(eeg[:2], labels=hard[:2]).loss
        torch.testing.assert_close(classifier(eeg, labels=hard).loss, only_known)
        torch.testing.assert_close(classifier(eeg[:2], labels=shares).loss, only_known)
        assert classifier(eeg, labels=torch.full((3,), -100)).loss == 0
    weighted = EEGFoundationForSequenceClassification(
        tiny_config(num_labels=3, class_weights=[3.0, 1.0, 1.0])
    ).eval()
    weighted.load_state_dict(classifier.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(
            weighted(eeg[:1], labels=hard[:1]).loss, 3 * classifier(eeg[:1], labels=hard[:1]).loss
        )


def test_several_tasks_with_missing_labels():
    classifier = EEGFoundationForSequenceClassification(tiny_config(tasks={"age": 1, "sex": 2}))
    nothing = {"age": torch.full((2,), float("nan")), "sex": torch.tensor([-100, -100])}
    outputs = classifier(signal(), labels=nothing)
    assert outputs.loss == 0 and outputs.loss.requires_grad
    some = {"age": torch.tensor([30.0, float("nan")]), "sex": torch.tensor([-100, 1])}
    assert classifier(signal(), labels=some).loss.isfinite()
    with pytest.raises(ValueError, match="unknown task"):
        classifier(signal(), labels={"height": torch.zeros(2)})


def test_overfits_one_batch():
    torch.manual_seed(0)
    classifier = EEGFoundationForSequenceClassification(
        tiny_config(num_hidden_layers=1, dropout=0.0, overlap=0.0)
    )
    optimizer = torch.optim.AdamW(classifier.parameters(), lr=3e-3)
    eeg, labels = signal(batch=4, num_samples=400), torch.tensor([0, 1, 1, 0])
    for _ in range(40):
        optimizer.zero_grad()
        loss = classifier(eeg, labels=labels).loss
        loss.backward()
        optimizer.step()
    assert loss < 0.05


def test_the_filterbank_starts_as_a_spectrum():
    bank = EEGFoundationModel(tiny_config()).embeddings.temporal_encoder.filterbanks[0]
    ten_hertz = torch.sin(2 * math.pi * 10 * torch.arange(200) / 200)
    with torch.no_grad():
        assert bank(ten_hertz.view(1, 1, 200)).argmax() == 9  # bands start at 1 Hz


def test_create_model_by_name():
    assert create_model("eeg_foundation", {"d_model": 64, "n_heads": 4}).config.hidden_size == 64
    with pytest.raises(ValueError, match="eeg_unknown"):
        create_model("eeg_unknown")


def test_waveforms_start_with_unit_features():
    torch.manual_seed(0)
    encoder = EEGFoundationModel(EEGFoundationConfig(d_model=128, n_layers=1)).embeddings.temporal_encoder
    for layer in (*encoder.waveforms, encoder.projection):
        assert layer.weight.std().item() * layer.in_features**0.5 == pytest.approx(1.0, rel=0.25)
        assert not layer.bias.any()
