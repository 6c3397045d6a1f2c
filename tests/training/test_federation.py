# SPDX-License-Identifier: Apache-2.0
"""What leaves a laboratory that trains with others, and what it takes from them."""

import pytest
import torch

from eeg_hf import EEGFoundationConfig, EEGFoundationForPreTraining, EEGFoundationModel
from eeg_hf.training.federation import federated_client, shared_weights, take_shared_weights

SIZES = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
BANDS = {"second_order": True, "second_order_basis": "harmonics", "second_order_degree": 1}


def build(seed, **fields):
    torch.manual_seed(seed)
    model = EEGFoundationForPreTraining(EEGFoundationConfig(**SIZES, **{**BANDS, **fields}))
    for statistic in model.base_model.buffers():
        statistic.copy_(torch.randn_like(statistic))
    return model


def test_only_weights_of_the_encoder_leave():
    model = build(0)
    left = shared_weights(model)
    assert left.keys() == {name for name, _ in EEGFoundationModel(model.config).named_parameters()}
    stays = {f"model.{name}" for name, _ in model.base_model.named_buffers()}
    assert stays == {
        f"model.second_order.features.{each}" for each in ("whitening", "log_power", "mean", "scale")
    }
    heads = {name.partition(".")[0] for name in model.state_dict()} - {"model"}
    assert heads == {"decoder", "projection_head"}
    assert model.state_dict().keys() - {f"model.{name}" for name in left} == stays | {
        name for name in model.state_dict() if name.partition(".")[0] in heads
    }


def test_heads_and_statistics_stay_as_they_are():
    here, there = build(0), build(1)
    before = {name: tensor.clone() for name, tensor in here.state_dict().items()}
    taken = shared_weights(there)
    take_shared_weights(here, taken)
    for name, tensor in here.state_dict().items():
        expected = taken.get(name.removeprefix("model."), before[name])
        assert torch.equal(tensor, expected), name
    assert not torch.equal(here.decoder.weight, there.decoder.weight)


@pytest.mark.parametrize("fields", [{"hidden_size": 32}, {"num_hidden_layers": 2}, {"second_order": False}])
def test_another_encoder_is_refused(fields):
    here = build(0)
    before = {name: tensor.clone() for name, tensor in here.state_dict().items()}
    sizes = {**SIZES, **BANDS, **fields}
    other = EEGFoundationForPreTraining(EEGFoundationConfig(**sizes))
    with pytest.raises(ValueError, match="all clients need one config"):
        take_shared_weights(here, shared_weights(other))
    assert all(torch.equal(tensor, before[name]) for name, tensor in here.state_dict().items())


def test_what_a_client_sends_is_its_encoder_and_a_number_of_windows(monkeypatch):
    app = pytest.importorskip("flwr.app", reason="needs Flower, which is not among the extras of the tests")
    for name in ("run_id", "node_id", "task_id"):  # which Flower's own processes set
        monkeypatch.setattr(f"flwr.supercore.task_identity.TaskIdentity._{name}", 3)
    homes = []

    def train_at_home(number, weights):
        homes.append(build(number))
        take_shared_weights(homes[-1], weights)
        return homes[-1], 40

    start = build(7)
    content = app.RecordDict({"arrays": app.ArrayRecord(shared_weights(start))})
    message = app.Message(content, dst_node_id=3, message_type="train")
    context = app.Context(1, 3, {"partition-id": 2, "num-partitions": 3}, app.RecordDict(), {})
    answer = federated_client(train_at_home)(message, context).content
    assert set(answer) == {"arrays", "metrics"} and dict(answer["metrics"]) == {"num-examples": 40}
    sent = answer["arrays"].to_torch_state_dict()
    assert sent.keys() == shared_weights(start).keys()
    assert all(torch.equal(sent[name], weight) for name, weight in shared_weights(start).items())
    assert torch.equal(homes[0].decoder.weight, build(2).decoder.weight)
