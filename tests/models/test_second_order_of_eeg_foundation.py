# SPDX-License-Identifier: Apache-2.0
"""EEGFoundation with second-order tokens: what the switch adds, and what it leaves alone."""

import pytest
import torch

from eeg_hf import EEGFoundationForPreTraining, EEGFoundationForSequenceClassification, EEGFoundationModel
from tests.models.test_modeling_eeg_foundation import signal, tiny_config

BANDS = [[4, 8], [8, 13], [13, 30]]


def second_order_config(**fields):
    return tiny_config(**{"second_order": True, "second_order_bands": BANDS, "dropout": 0.0, **fields})


def build(model_class=EEGFoundationModel, **fields):
    torch.manual_seed(0)
    return model_class(second_order_config(**fields)).eval()


def identity(batch):
    return {
        "recentring_whitening": torch.eye(19).expand(batch, 3, 19, 19),
        "recentring_log_power": torch.zeros(batch, 3, 19),
    }


@torch.no_grad()
def test_patch_tokens_are_those_of_a_model_without():
    plain, model = EEGFoundationModel(tiny_config(dropout=0.0)).eval(), build()
    missing = model.load_state_dict(plain.state_dict(), strict=False).missing_keys
    assert missing
    assert all(name.startswith("second_order.") for name in missing)
    values = signal(batch=2)
    found, expected = model(values), plain(values)
    assert torch.equal(found.last_hidden_state, expected.last_hidden_state)
    assert "band_states" not in expected
    assert found.band_states.shape == (2, 1, 3, model.config.hidden_size)
    assert found.band_features.shape == (2, 1, 3, 209)


def test_an_old_checkpoint_gets_fresh_second_order_tokens(tmp_path):
    EEGFoundationModel(tiny_config()).save_pretrained(tmp_path)
    fields = second_order_config().to_diff_dict()
    fields = {name: value for name, value in fields.items() if name.startswith("second_order")}
    model = EEGFoundationModel.from_pretrained(tmp_path, **fields)
    features = model.second_order.features
    assert torch.equal(features.whitening, torch.eye(19).expand(3, 19, 19))
    assert torch.equal(features.scale, torch.ones(3, 209))
    assert 0.03 < model.second_order.projection.weight.std() < 0.2
    assert model(signal(batch=2)).pooler_output.isfinite().all()


@torch.no_grad()
def test_a_classifier_reads_the_vectors_of_all_bands():
    model = build(EEGFoundationForSequenceClassification, num_labels=2)
    values = signal(batch=2)
    before = model(values).logits
    model.band_classifier.weight[1, 209 + 5] = 2.0  # a feature of the second band
    found = model(values)
    feature = model.model(values).band_features[:, 0, 1, 5]
    torch.testing.assert_close(found.logits[:, 1] - before[:, 1], 2.0 * feature)
    assert torch.equal(found.logits[:, 0], before[:, 0])


@torch.no_grad()
def test_several_tasks_each_read_the_bands():
    model = build(EEGFoundationForSequenceClassification, tasks={"age": 1, "sex": 2})
    assert {name: tuple(head.weight.shape) for name, head in model.band_classifiers.items()} == {
        "age": (1, 3 * 209),
        "sex": (2, 3 * 209),
    }
    assert set(model(signal(batch=2)).logits) == {"age", "sex"}


@torch.no_grad()
def test_recentring_comes_with_the_batch_or_from_the_population():
    model = build()
    values = signal(batch=2)
    expected = model(values).band_features
    torch.testing.assert_close(model(values, **identity(2)).band_features, expected)
    power = {**identity(2), "recentring_log_power": torch.ones(2, 3, 19)}
    found = model(values, **power).band_features
    torch.testing.assert_close(found[..., 190:], expected[..., 190:] - 1.0)
    with pytest.raises(ValueError, match="belong together: give both or none"):
        model(values, recentring_log_power=torch.ones(2, 3, 19))


@torch.no_grad()
def test_masked_bands_are_predicted_from_the_others():
    model = build(
        EEGFoundationForPreTraining,
        reconstruction_weight=0.0,
        contrastive_weight=0.0,
        objectives={"masked_bands": {"mask_ratio": 0.34}},
    )
    noise = torch.tensor([[0.1, 0.5, 0.9], [0.9, 0.5, 0.1]])
    outputs = model(signal(batch=2), band_noise=noise, **identity(2))
    predicted = outputs.others["band_prediction"]
    target = model.model(signal(batch=2)).band_features
    masked = [(0, 0, 0), (1, 0, 2)]
    expected = torch.stack([(predicted[at] - target[at]).square().mean() for at in masked]).mean()
    torch.testing.assert_close(outputs.loss, expected)
    assert not outputs.mask.any()
    # What is masked is not seen: the prediction stays when only that band changes
    time = torch.arange(1000) / 200
    theta = 30 * torch.sin(2 * torch.pi * 6 * time) * torch.linspace(1, 2, 19)[:, None]
    changed = model(signal(batch=2) + theta, band_noise=noise).others["band_prediction"]
    torch.testing.assert_close(changed[0, 0, 0], predicted[0, 0, 0], atol=0.05, rtol=0.05)


@torch.no_grad()
def test_masked_samples_do_not_change_the_target_of_masked_bands():
    model = build(
        EEGFoundationForPreTraining, contrastive_weight=0.5, objectives={"masked_bands": {"weight": 2.0}}
    )
    noise = torch.rand(2, 3, generator=torch.Generator().manual_seed(0))
    mask = torch.zeros(2, 19, 1000, dtype=torch.bool)
    mask[:, :10, 200:600] = True
    views = signal(batch=2, seed=1)
    outputs = model(signal(batch=2), mask=mask, band_noise=noise, augmented_values=views, **identity(2))
    objective = model.objectives["masked_bands"]
    target = model.model(signal(batch=2)).band_features
    error = (outputs.others["band_prediction"] - target).square().mean(dim=-1)[:, 0]
    is_masked = noise.argsort(dim=-1).argsort(dim=-1) < round(objective.settings["mask_ratio"] * 3)
    torch.testing.assert_close(outputs.others["masked_bands_loss"], error[is_masked].mean())


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"second_order": False}, "needs second_order=True and two bands"),
        ({"second_order_bands": [[8, 13]]}, "needs second_order=True and two bands"),
        ({"objectives": {"masked_bands": {"mask_ratio": 1.0}}}, "expected a share between 0 and 1, got 1.0"),
        ({"objectives": {"masked_bands": {"ratio": 0.5}}}, "has no setting .*ratio"),
    ],
)
def test_an_objective_that_cannot_work_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        EEGFoundationForPreTraining(second_order_config(**{"objectives": {"masked_bands": {}}, **fields}))


def test_noise_must_have_a_number_for_each_band():
    model = build(EEGFoundationForPreTraining, objectives={"masked_bands": {}})
    with pytest.raises(ValueError, match=r"band_noise: expected \(2, 3\), got \(2, 4\)"):
        model(signal(batch=2), band_noise=torch.rand(2, 4))
