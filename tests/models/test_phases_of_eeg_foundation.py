# SPDX-License-Identifier: Apache-2.0
"""EEGFoundation with channel adapters, with what is known of people, and with people contrasted."""

import math

import pytest
import torch

from eeg_hf import (
    EEGFoundationForPreTraining,
    EEGFoundationForSequenceClassification,
    EEGFoundationModel,
)
from eeg_hf.models.objective_same_stimulus import movie_isc_loss
from tests.models.test_modeling_eeg_foundation import positions, signal, tiny_config

ADAPTERS = ("perceiver", "spline", "zero_pad")
MOMENTS = {
    "stimulus_ids": torch.tensor([1, 1, 1, 1]),
    "stimulus_seconds": torch.tensor([0.0, 0.0, 5.0, 5.0]),
    "subject_ids": torch.tensor([1, 2, 1, 2]),
}
TASKS = {"age": {"num_outputs": 1, "weight": 1.0, "mean": 10.0, "std": 4.0}, "sex": {"num_outputs": 2}}


def adapted_config(name, **fields):
    return tiny_config(
        channel_adapter=name, adapter_channel_positions=positions(24, seed=1).tolist(), **fields
    )


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"channel_adapter": "percever"}, "channel_adapter: expected one of none, perceiver"),
        ({"channel_adapter": "perceiver", "num_channels": 4}, "needs adapter_channel_positions"),
        (
            {"channel_adapter": "spline", "adapter_channel_positions": [[0.0, 0.1]]},
            "adapter_channel_positions: expected triples",
        ),
        (
            {
                "channel_adapter": "spline",
                "adapter_channel_positions": [[0.0, 0.0, 0.1]],
                "adapter_channel_names": ["Cz", "Pz"],
            },
            "adapter_channel_names has 2 names",
        ),
        ({"channel_adapter": "perceiver", "adapter_heads": 3}, "multiple of adapter_heads"),
        ({"channel_adapter": "perceiver", "adapter_heads": 0}, "multiple of adapter_heads"),
        ({"channel_adapter": "spline", "target": "codes", "overlap": 0.0}, "needs channel_adapter='none'"),
        ({"regression_std": 0.0}, "regression_std"),
        ({"regression_std": math.nan}, "regression_std"),
        ({"contrastive_guard_seconds": -1.0}, "contrastive_guard_seconds"),
        ({"contrastive_weight": -0.5}, "contrastive_weight: expected 0 or more"),
        ({"auxiliary_tasks": {"age": {"outputs": 1}}}, r"'age' has \['outputs'\], expected num_outputs"),
        ({"auxiliary_tasks": {"age": {"num_outputs": 0}}}, "'age' needs num_outputs of 1 or more"),
        ({"auxiliary_tasks": {"age": {"std": 0.0}}}, "'age' needs num_outputs of 1 or more, std above 0"),
        ({"auxiliary_tasks": {"age": {"std": math.nan}}}, "std above 0"),
        ({"auxiliary_tasks": {"age": {"weight": "much"}}}, "weight of 0 or more"),
        ({"auxiliary_tasks": {"sex": {"num_outputs": 2, "classes": ["F"]}}}, "2 outputs and 1 classes"),
    ],
)
def test_config_refuses_adapters_and_tasks_that_cannot_work(fields, message):
    with pytest.raises(ValueError, match=message):
        tiny_config(**fields)


@pytest.mark.parametrize("name", ADAPTERS)
def test_samples_under_the_mask_reach_no_output_through_an_adapter(name):
    torch.manual_seed(0)
    model = EEGFoundationForPreTraining(adapted_config(name, auxiliary_tasks=TASKS)).eval()
    eeg = signal()
    with torch.no_grad():
        first = model(eeg, mask_ratio=0.5)
        second = model(torch.where(first.mask, 1e3, eeg), mask=first.mask)
        third = model(torch.where(first.mask, eeg, eeg + 1), mask=first.mask)
    for read in (
        lambda outputs: outputs.reconstruction,
        lambda outputs: outputs.contrastive_features,
        lambda outputs: outputs.auxiliary_logits["age"],
    ):
        assert torch.equal(read(second), read(first))
        assert not torch.allclose(read(third), read(first))  # what is not hidden does count


@pytest.mark.parametrize("name", ADAPTERS)
def test_permuting_channels_permutes_nothing_through_an_adapter(name):
    torch.manual_seed(0)
    model = EEGFoundationForPreTraining(adapted_config(name, contrastive_weight=0.0)).eval()
    eeg, xyz, order = signal(), positions(19), torch.randperm(19)
    with torch.no_grad():
        mask = model(eeg, channel_positions=xyz).mask
        expected = model(eeg, channel_positions=xyz, mask=mask).reconstruction
        permuted = model(eeg[:, order], channel_positions=xyz[order], mask=mask[:, order]).reconstruction
        moved = model(eeg[:, order], channel_positions=xyz, mask=mask[:, order]).reconstruction
    torch.testing.assert_close(permuted, expected[:, order], atol=1e-5, rtol=1e-4)
    assert (moved - expected[:, order]).abs().max() > 1e-4  # positions do matter


def test_padding_with_zeros_gives_what_no_adapter_gives():
    torch.manual_seed(0)
    plain = EEGFoundationForPreTraining(tiny_config(auxiliary_tasks=TASKS)).eval()
    padded = EEGFoundationForPreTraining(adapted_config("zero_pad", auxiliary_tasks=TASKS)).eval()
    padded.load_state_dict(plain.state_dict())
    inputs = {"input_values": signal(), "channel_mask": torch.arange(19).lt(15).expand(2, -1)}
    with torch.no_grad():
        expected = plain(**inputs, mask_ratio=0.5)
        found = padded(**inputs, mask=expected.mask)
    for name in ("reconstruction", "contrastive_features", "loss"):
        torch.testing.assert_close(found[name], expected[name], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(found.auxiliary_logits, expected.auxiliary_logits, atol=1e-5, rtol=1e-4)


def test_what_is_known_of_people_is_told_in_its_unit():
    torch.manual_seed(0)
    model = EEGFoundationForPreTraining(tiny_config(auxiliary_tasks=TASKS, auxiliary_weight=0.3)).eval()
    eeg, targets = signal(), {"age": torch.tensor([8.0, math.nan]), "sex": torch.tensor([-100, 1])}
    outputs = model(eeg, auxiliary_targets=targets)
    told = outputs.auxiliary_logits
    assert abs(told["age"].mean().item() - 10) < 4  # near the mean of the training set before any learning
    age = ((told["age"][0, 0] - 8) / 4).square()
    sex = torch.nn.functional.cross_entropy(told["sex"][1:], torch.tensor([1]))
    torch.testing.assert_close(outputs.auxiliary_loss, age + sex)
    torch.testing.assert_close(outputs.loss, outputs.reconstruction_loss + 0.3 * outputs.auxiliary_loss)
    without = model(eeg, mask=outputs.mask)
    assert without.auxiliary_loss is None
    torch.testing.assert_close(without.auxiliary_logits, told)
    nothing = {"age": torch.full((2,), math.nan), "sex": torch.full((2,), -100)}
    outputs = model(eeg, auxiliary_targets=nothing)
    outputs.loss.backward()
    assert outputs.auxiliary_loss == 0
    assert not [name for name, each in model.auxiliary_head.named_parameters() if each.grad is None]
    with pytest.raises(ValueError, match=r"unknown task \['height'\]"):
        model(eeg, auxiliary_targets={"height": torch.zeros(2)})


def test_views_count_as_windows_of_no_person_twice():
    """With two views in one pass, what is told is told of the windows alone."""
    torch.manual_seed(0)
    model = EEGFoundationForPreTraining(tiny_config(auxiliary_tasks=TASKS)).eval()
    targets = {"age": torch.tensor([8.0, 9.0])}
    outputs = model(signal(), augmented_values=signal(seed=1), auxiliary_targets=targets)
    assert {task: tuple(told.shape) for task, told in outputs.auxiliary_logits.items()} == {
        "age": (2, 1),
        "sex": (2, 2),
    }
    alone = model(signal(), mask=outputs.mask, auxiliary_targets=targets)
    torch.testing.assert_close(outputs.auxiliary_loss, alone.auxiliary_loss)


def test_a_phase_of_contrast_alone_hides_nothing():
    torch.manual_seed(0)
    model = EEGFoundationForPreTraining(tiny_config(reconstruction_weight=0.0, contrastive_weight=2.0)).eval()
    eeg = signal(batch=4)
    outputs = model(eeg, **MOMENTS)
    assert not outputs.mask.any() and outputs.reconstruction is None
    expected = movie_isc_loss(outputs.contrastive_features, *MOMENTS.values())
    torch.testing.assert_close(outputs.contrastive_loss, expected)
    torch.testing.assert_close(outputs.loss, 2 * expected)
    torch.testing.assert_close(
        outputs.contrastive_features, model.projection_head(model.model(eeg).pooler_output)
    )
    wider = EEGFoundationForPreTraining(
        tiny_config(reconstruction_weight=0.0, contrastive_guard_seconds=6.0)
    ).eval()
    assert wider(eeg, **MOMENTS).contrastive_loss == 0  # the guard of the config holds: no negative is left


def test_a_stimulus_without_its_second_or_person_is_refused():
    model = EEGFoundationForPreTraining(tiny_config())
    with pytest.raises(ValueError, match="stimulus_ids needs stimulus_seconds and subject_ids"):
        model(signal(batch=4), stimulus_ids=MOMENTS["stimulus_ids"])


@pytest.mark.parametrize("fields", [{}, {"auxiliary_tasks": TASKS, "auxiliary_weight": 0.0}])
def test_a_model_with_nothing_to_learn_is_refused(fields):
    with pytest.raises(ValueError, match="nothing to learn"):
        EEGFoundationForPreTraining(tiny_config(reconstruction_weight=0.0, contrastive_weight=0.0, **fields))


def test_a_learned_temperature_travels(tmp_path):
    model = EEGFoundationForPreTraining(tiny_config(learnable_temperature=True, contrastive_temperature=0.2))
    assert model.temperature().item() == pytest.approx(0.2)
    with torch.no_grad():
        model.temperature.log_temperature.fill_(math.log(0.5))
    model.save_pretrained(tmp_path)
    loaded = EEGFoundationForPreTraining.from_pretrained(tmp_path)
    assert loaded.temperature().item() == pytest.approx(0.5)
    model.model.save_pretrained(tmp_path / "encoder")  # where it is not saved, it starts as the config says
    loaded = EEGFoundationForPreTraining.from_pretrained(tmp_path / "encoder")
    assert loaded.temperature().item() == pytest.approx(0.2)


def test_new_parts_absent_from_a_checkpoint_are_initialised(tmp_path):
    EEGFoundationModel(tiny_config()).save_pretrained(tmp_path)
    fields = {
        **{"channel_adapter": "perceiver", "auxiliary_tasks": TASKS},
        **{"projection_batch_norm": True, "learnable_temperature": True},
    }
    loaded = EEGFoundationForPreTraining.from_pretrained(tmp_path, **fields)
    fresh = EEGFoundationForPreTraining(tiny_config(**fields))
    for kind in ("named_parameters", "named_buffers"):
        for (name, found), expected in zip(
            getattr(loaded, kind)(), dict(getattr(fresh, kind)()).values(), strict=True
        ):
            assert found.isfinite().all(), name
            assert found.float().abs().mean().item() == pytest.approx(
                expected.float().abs().mean().item(), rel=0.5, abs=0.1
            ), name
    assert torch.equal(loaded.projection_head.norm.running_var, torch.ones(32))
    assert torch.equal(
        loaded.model.channel_adapter.target_positions, torch.tensor(loaded.config.channel_positions)
    )


@pytest.mark.parametrize("missing", [math.nan, -100.0])
def test_a_regression_answers_in_the_unit_of_its_labels(missing):
    torch.manual_seed(0)
    plain = EEGFoundationForSequenceClassification(tiny_config(num_labels=1)).eval()
    in_years = EEGFoundationForSequenceClassification(
        tiny_config(num_labels=1, regression_mean=10.0, regression_std=4.0)
    ).eval()
    in_years.load_state_dict(plain.state_dict())
    eeg, years = signal(batch=3), torch.tensor([6.0, 12.0, missing])
    with torch.no_grad():
        standard = plain(eeg, labels=(years - 10) / 4 if math.isnan(missing) else None)
        outputs = in_years(eeg, labels=years)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert in_years(eeg).logits.dtype == torch.float32
    torch.testing.assert_close(outputs.logits, standard.logits * 4 + 10)
    expected = ((outputs.logits[:2, 0] - years[:2]) / 4).square().mean()
    torch.testing.assert_close(outputs.loss, expected)
    if standard.loss is not None:
        torch.testing.assert_close(outputs.loss, standard.loss)
