# SPDX-License-Identifier: Apache-2.0
"""What a phase leaves to the next, bit by bit."""

import pytest
import torch
from safetensors.torch import save_file

from eeg_hf import (
    EEGFoundationForPreTraining,
    EEGFoundationForSequenceClassification,
    EEGFoundationModel,
    create_model,
)
from eeg_hf.training import CarryReport, carry_over

FIELDS = {
    **{"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32},
    **{"overlap": 0.0, "scale_factors": [1, 4]},
}


def build(auto_class=EEGFoundationForPreTraining, seed=0, **fields):
    torch.manual_seed(seed)
    return auto_class(create_model("eeg_foundation", {**FIELDS, **fields}).config)


def copy_of(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def assert_carried(model, before, earlier, report):
    """Every number of the model is the earlier one's or its own of before, as the report says."""
    after = model.state_dict()
    assert sorted([*report.carried, *report.new]) == sorted(after)
    assert sorted([*report.carried, *report.dropped]) == sorted(earlier)
    for name in report.carried:
        assert torch.equal(after[name], earlier[name]) and not after[name].isnan().any()
    for name in report.new:
        assert torch.equal(after[name], before[name])
    sizes = {name: tensor.numel() for name, tensor in after.items()}
    of_numbers = sum(sizes[name] for name in report.carried) / sum(sizes.values())
    assert report.share == pytest.approx(min(of_numbers, len(report.carried) / len(sizes)))


def test_all_that_fits_is_carried_to_the_bit(tmp_path):
    earlier = build(contrastive_weight=0.0, auxiliary_tasks={"age": {}, "sex": {"num_outputs": 2}}, seed=1)
    earlier.save_pretrained(tmp_path)
    model = build(auxiliary_tasks={"age": {}})
    before = copy_of(model)
    report = carry_over(model, tmp_path)
    assert_carried(model, before, earlier.state_dict(), report)
    assert {name.split(".")[0] for name in report.new} == {"projection_head"}
    assert {name.rsplit(".", 2)[0] for name in report.dropped} == {"auxiliary_head.heads.sex"}
    assert {"decoder.weight", "auxiliary_head.heads.age.out.weight"} <= set(report.carried)
    eeg, mask = torch.randn(2, 19, 400), torch.rand(2, 19, 400) > 0.5
    for each in (earlier.eval(), model.eval()):
        each.config.contrastive_weight = 0.0
    with torch.no_grad():
        assert torch.equal(model(eeg, mask=mask).reconstruction, earlier(eeg, mask=mask).reconstruction)


def test_buffers_are_carried_too():
    earlier = build(projection_batch_norm=True, seed=1).train()
    earlier(torch.randn(2, 19, 400), augmented_values=torch.randn(2, 19, 400))
    model = build(projection_batch_norm=True)
    report = carry_over(model, earlier.state_dict())
    assert not report.new and not report.dropped and report.share == 1
    assert torch.equal(model.projection_head.norm.running_mean, earlier.projection_head.norm.running_mean)
    assert model.projection_head.norm.num_batches_tracked == 1


def test_only_the_encoder_goes_to_a_classifier():
    earlier, model = build(seed=1), build(EEGFoundationForSequenceClassification)
    before = copy_of(model)
    report = carry_over(model, earlier.state_dict(), carry="encoder")
    assert_carried(model, before, earlier.state_dict(), report)
    assert all(name.startswith("model.") for name in report.carried)
    assert set(report.new) == {"classifier.out.weight", "classifier.out.bias"}
    again = build(EEGFoundationForSequenceClassification, seed=2)  # a head of one name and size would fit
    report = carry_over(again, model.state_dict(), carry="encoder")
    assert set(report.new) == set(report.dropped) == {"classifier.out.weight", "classifier.out.bias"}


def test_none_leaves_the_model_as_it_was():
    earlier, model = build(seed=1), build()
    before = copy_of(model)
    report = carry_over(model, earlier.state_dict(), carry="none", minimum_share=0.9)
    assert_carried(model, before, earlier.state_dict(), report)
    assert report.carried == [] and report.share == 0


def test_another_size_is_new_and_dropped():
    earlier, model = build(max_seq_length=2000, seed=1), build(max_seq_length=4000)
    before = copy_of(model)
    report = carry_over(model, earlier.state_dict())
    assert_carried(model, before, earlier.state_dict(), report)
    assert report.new == report.dropped == ["model.embeddings.time_positions.weight"]
    assert str(report).startswith(f"carried {len(report.carried)} tensors, {report.share:.1%} of the model")
    assert "new: model.embeddings.time_positions.weight; dropped: model.embeddings.time" in str(report)


def test_as_many_numbers_in_another_shape_are_not_carried():
    earlier, model = copy_of(build(seed=1)), build()
    before = copy_of(model)
    earlier["decoder.weight"] = earlier["decoder.weight"].T
    report = carry_over(model, earlier)
    assert_carried(model, before, earlier, report)
    assert report.new == report.dropped == ["decoder.weight"]


def test_an_encoder_by_itself_finds_its_place(tmp_path):
    encoder = build(EEGFoundationModel, seed=1)
    encoder.save_pretrained(tmp_path)
    for carry in ("all", "encoder"):
        model = build()
        before = copy_of(model)
        report = carry_over(model, tmp_path, carry=carry)
        theirs = {f"model.{name}": tensor for name, tensor in encoder.state_dict().items()}
        assert_carried(model, before, theirs, report)
        assert len(report.carried) == len(theirs) and not report.dropped


def test_too_little_in_common_is_refused_and_changes_nothing():
    earlier, model = build(hidden_size=64, seed=1), build()
    before = copy_of(model)
    expected = (
        r"^only 13\.\d% of the model is in .*, expected at least 50%; of another size: decoder.weight, "
    )
    with pytest.raises(ValueError, match=expected) as error:
        carry_over(model, earlier.state_dict())
    assert "not there: none; give both phases the same config, or lower minimum_carried" in str(error.value)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    report = carry_over(model, earlier.state_dict(), minimum_share=0.01)
    assert_carried(model, before, earlier.state_dict(), report)
    with pytest.raises(ValueError, match="not there: model.channel_adapter.gain"):
        carry_over(build(channel_adapter="perceiver"), earlier.state_dict())


def test_what_cannot_be_carried_is_refused(tmp_path):
    model = build()
    with pytest.raises(ValueError, match="carry: expected one of all, encoder, none, got 'encodr'"):
        carry_over(model, {}, carry="encodr")
    with pytest.raises(ValueError, match="minimum_carried: expected a share from 0 to 1, got 50"):
        carry_over(model, {}, minimum_share=50)
    with pytest.raises(FileNotFoundError, match="no weights in .*: expected model.safetensors"):
        carry_over(model, tmp_path)


def test_a_report_is_short_for_people_and_whole_for_json(tmp_path):
    save_file({f"odd_{index}": torch.zeros(1) for index in range(6)}, tmp_path / "model.safetensors")
    report = carry_over(build(), tmp_path, minimum_share=0.0)
    assert str(report).endswith("dropped: odd_0, odd_1, odd_2, odd_3 and 2 more")
    assert len(report.to_dict()["dropped"]) == 6
    assert CarryReport(**report.to_dict()) == report
