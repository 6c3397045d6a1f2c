# SPDX-License-Identifier: Apache-2.0
"""Which layers are trained as they will answer in int8, and that they round as onnxruntime does."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from eeg_hf import EEGFoundationConfig, EEGFoundationForSequenceClassification
from eeg_hf.models.configuration_braindecode import BraindecodeConfig
from eeg_hf.models.modeling_braindecode import BraindecodeForSequenceClassification
from eeg_hf.training.quantization_aware import (
    find_layers,
    restore_layers,
    round_inputs,
    round_layers,
    round_weights,
)

SIZE = {"d_model": 16, "n_layers": 1, "n_heads": 2, "d_ff": 32, "overlap": 0.0}
EEG = {"input_values": torch.randn(4, 19, 400, generator=torch.Generator().manual_seed(0))}
EEGNET = {"architecture": "EEGNet", "num_channels": 19, "num_samples": 400, "sampling_rate": 200.0}


def make_model(**fields):
    torch.manual_seed(0)
    return EEGFoundationForSequenceClassification(EEGFoundationConfig(**SIZE, **fields)).eval()


def make_eegnet():
    pytest.importorskip("braindecode")
    torch.manual_seed(0)
    return BraindecodeForSequenceClassification(BraindecodeConfig(**EEGNET, num_labels=2)).eval()


@torch.no_grad()
def answer(model):
    return model(**EEG).logits


@pytest.mark.parametrize("shift", [0.0, 3.0, -3.0])
def test_rounding_is_that_of_onnxruntime(tmp_path, shift):
    onnx = pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    from onnxruntime.quantization import QuantType, quantize_dynamic

    generator = torch.Generator().manual_seed(0)
    values = torch.randn(8, 5, 16, generator=generator) + shift
    layer = nn.Linear(16, 12, bias=False)
    model = onnx.parser.parse_model("""
        <ir_version: 10, opset_import: ["": 20]>
        graph (float[8, 5, 16] values) => (float[8, 5, 12] products) { products = MatMul(values, weight) }""")
    matrix = layer.weight.detach().numpy().T.copy()
    model.graph.initializer.append(onnx.numpy_helper.from_array(matrix, "weight"))
    onnx.save(model, tmp_path / "a.onnx")
    quantize_dynamic(tmp_path / "a.onnx", tmp_path / "b.onnx", per_channel=True, weight_type=QuantType.QInt8)
    found = runtime.InferenceSession(tmp_path / "b.onnx").run(None, {"values": values.numpy()})[0]
    with torch.no_grad():
        rounded = F.linear(round_inputs(values), round_weights(layer.weight)).numpy()
        whole = layer(values).numpy()
    # A value halfway between two steps may go either way
    assert np.abs(found - rounded).mean() < 0.02 * np.abs(found - whole).mean()


def test_constant_values_stay_finite():
    for values in (torch.zeros(2, 3), torch.full((2, 3), -2.0)):
        torch.testing.assert_close(round_inputs(values), values)
        torch.testing.assert_close(round_weights(values), values)


def test_what_reads_the_signal_and_the_head_stay_as_they_are():
    names = find_layers(make_model(), EEG, "dynamic")
    linear = {name for name, layer in make_model().named_modules() if isinstance(layer, nn.Linear)}
    waveforms = {name for name in linear if ".waveforms." in name}
    assert len(waveforms) == 4 and linear - {*names} == waveforms | {"classifier.out"}
    second = find_layers(make_model(second_order=True), EEG, "dynamic")
    assert {name for name in second if ".second_order." not in name} == {*names}
    assert any(".second_order.layers.0." in name for name in second)


def test_static_takes_convolutions_but_the_first():
    model = make_eegnet()
    names = find_layers(model, EEG, "static")
    layers = [name for name, each in model.named_modules() if isinstance(each, nn.Conv2d)]
    assert layers[1:] == names
    with pytest.raises(
        ValueError, match="quantization_aware dynamic: .* no layer that int8 takes: take static"
    ):
        round_layers(model, EEG, "dynamic")
    before = answer(model)
    round_layers(model, EEG, "static")
    assert 0 < (answer(model) - before).abs().max() < 0.1
    restore_layers(model)
    assert torch.equal(answer(model), before)


def test_layers_round_until_they_are_restored_and_weights_keep_their_names():
    model = make_model(second_order=True)
    kinds = {name: type(layer) for name, layer in model.named_modules()}
    before, weights = answer(model), copy.deepcopy(model.state_dict())
    round_layers(model, EEG, "dynamic")
    assert 0 < (answer(model) - before).abs().max() < 0.05
    twin = copy.deepcopy(model)
    assert torch.equal(answer(twin), answer(model))
    assert list(model.state_dict()) == list(weights)
    assert isinstance(model.model.layers[0].feed_forward.up_proj, nn.Linear)
    restore_layers(model)
    assert {name: type(layer) for name, layer in model.named_modules()} == kinds
    assert torch.equal(answer(model), before)


def test_gradients_pass_the_rounding():
    rounded, plain = make_model(), make_model()
    names = round_layers(rounded, EEG, "dynamic")
    for model in (rounded, plain):
        model(**EEG, labels=torch.tensor([0, 1, 0, 1])).loss.backward()
    for name in names:
        found, expected = (model.get_submodule(name).weight.grad for model in (rounded, plain))
        assert not torch.equal(found, expected)
        assert F.cosine_similarity(found.flatten(), expected.flatten(), dim=0) > 0.98, name
