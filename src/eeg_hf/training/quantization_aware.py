# SPDX-License-Identifier: Apache-2.0
"""Train a model as it will answer in int8: layers compute on weights and inputs that are rounded to int8.

The layers are those that `eeg_hf.inference.quantization` quantises, rounded as onnxruntime rounds; gradients
pass the rounding as if it were not there (https://arxiv.org/abs/1712.05877). The weights themselves stay in
single precision, under their names: what is saved is an ordinary model.
"""

import copy
from collections.abc import Mapping
from functools import partial
from typing import Any, Literal

import torch
from torch import nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from transformers import PreTrainedModel

Kind = Literal["dynamic", "static"]

_CONVOLUTIONS = (nn.Conv1d.forward, nn.Conv2d.forward)
_FORWARDS = {"dynamic": (nn.Linear.forward,), "static": (nn.Linear.forward, *_CONVOLUTIONS)}
_LAYERS = (F.linear, F.conv1d, F.conv2d)
_PRODUCTS = (torch.matmul, torch.Tensor.matmul, torch.Tensor.__matmul__)
_SMALLEST_SCALE = 1e-12  # of a tensor of zeros


def round_layers(model: PreTrainedModel, batch: Mapping[str, torch.Tensor], kind: Kind) -> list[str]:
    """Let layers compute as in int8, until `restore_layers`.

    Args:
        model: Classifier or regressor; its layers are changed in place, their weights are not.
        batch: Some of its input, of which `input_values` is (batch, channels, time).
        kind: What `eeg-hf export --int8` will be told. `dynamic` takes linear layers, `static` convolutions
            too; either way the range of inputs is that of the batch.

    Returns:
        Names of these layers.

    Raises:
        ValueError: If there are none.
    """
    names = find_layers(model, batch, kind)
    if not names:
        hint = ": take static, for convolutions" if kind == "dynamic" else ""
        raise ValueError(f"quantization_aware {kind}: the model has no layer that int8 takes{hint}")
    for name in names:
        layer = model.get_submodule(name)
        layer.__class__ = type(type(layer).__name__, (_Rounded, type(layer)), {})
    return names


def restore_layers(model: nn.Module) -> None:
    """Let all layers compute in single precision again."""
    for layer in model.modules():
        if isinstance(layer, _Rounded):
            layer.__class__ = type(layer).__bases__[1]


def find_layers(model: PreTrainedModel, batch: Mapping[str, torch.Tensor], kind: Kind) -> list[str]:
    """Return the names of the layers that `eeg-hf export --int8` quantises; as in `round_layers`.

    Not what reads the signal itself, which requires a gradient here, while weights do not.
    """
    device = model.device
    model = copy.deepcopy(model).eval().requires_grad_(False)
    found: dict[str, None] = {}

    def look(name: str, layer: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        is_head = isinstance(layer, nn.Linear) and inputs[0].ndim == 2  # reads one vector a window
        if not inputs[0].requires_grad and not is_head:
            found[name] = None

    for name, layer in model.named_modules():
        if type(layer).forward in _FORWARDS[kind]:
            layer.register_forward_pre_hook(partial(look, name))
    batch = {name: value.to(device) for name, value in batch.items()}
    signal = batch["input_values"].clone().requires_grad_()
    with torch.enable_grad(), _DetachedLayers():
        model(**{**batch, "input_values": signal.clone()})  # which the model may change in place
    return [*found]


class _DetachedLayers(TorchFunctionMode):
    """What a layer, or a product with a fixed matrix, has computed is the signal itself no longer."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = function(*args, **(kwargs or {}))
        is_layer = function in _LAYERS or (function in _PRODUCTS and args[1].ndim == 2)
        return output.detach() if is_layer else output


class _Rounded(nn.Module):
    """A linear layer or a convolution that computes on rounded weights and inputs."""

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        layer: Any = self
        values, weight = round_inputs(values), round_weights(layer.weight)
        if isinstance(self, nn.Linear):
            return F.linear(values, weight, self.bias)
        return layer._conv_forward(values, weight, layer.bias)


def round_inputs(values: torch.Tensor) -> torch.Tensor:
    """Round values of any shape to 256 steps of their range, which holds zero."""
    low, high = values.detach().float().aminmax()
    low, high = low.clamp(max=0), high.clamp(min=0)
    scale = ((high - low) / 255).clamp(min=_SMALLEST_SCALE)
    zero = (-low / scale).round().to(torch.int32)
    return torch.fake_quantize_per_tensor_affine(values.float(), scale, zero, 0, 255).to(values.dtype)


def round_weights(weight: torch.Tensor) -> torch.Tensor:
    """Round weights (outputs, ...) to 255 steps, symmetric about zero, of the range of each output."""
    scale = (weight.detach().float().flatten(1).abs().amax(dim=1) / 127).clamp(min=_SMALLEST_SCALE)
    zeros = torch.zeros_like(scale, dtype=torch.int32)
    return torch.fake_quantize_per_channel_affine(weight.float(), scale, zeros, 0, -127, 127).to(weight.dtype)


__all__ = ["find_layers", "restore_layers", "round_inputs", "round_layers", "round_weights"]
