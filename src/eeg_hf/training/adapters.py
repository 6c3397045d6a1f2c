# SPDX-License-Identifier: Apache-2.0
"""Adapters of peft beside frozen weights: LoRA, DoRA and IA3."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from torch import nn
from transformers import PreTrainedModel

Adapter = Literal["lora", "dora", "ia3"]

_ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
_FEEDFORWARD = ("up_proj", "down_proj")
TARGET_MODULES: Mapping[str, Sequence[str]] = {
    "eeg_foundation": (*_ATTENTION, *_FEEDFORWARD),
    "eeg_masked_vae": (*_ATTENTION, *_FEEDFORWARD),
    "eeg_conv_transformer": (*_ATTENTION, *_FEEDFORWARD),
    "eeg_clip": (*_ATTENTION, *_FEEDFORWARD),
}
"""Layers that adapters change, by `model_type`."""
HEADS = (
    *("classifier", "classifiers", "band_classifier", "band_classifiers", "course_classifier", "pooling"),
)
"""New layers, which are trained whole and saved with the adapter."""


def import_peft() -> Any:
    """Return the package, or raise an ImportError that says how to install it."""
    try:
        import peft
    except ModuleNotFoundError as error:
        raise ImportError('peft is not installed: pip install "eeg-hf[peft]"') from error
    return peft


def add_adapter(model: PreTrainedModel, kind: Adapter, options: Mapping[str, Any] | None = None) -> Any:
    """Return a model of peft: the weights are frozen, an adapter beside them and the head are trained.

    Args:
        model: A classifier on a pretrained encoder.
        kind: `"lora"` (https://arxiv.org/abs/2106.09685), `"dora"` (https://arxiv.org/abs/2402.09353) or
            `"ia3"` (https://arxiv.org/abs/2205.05638).
        options: Fields of peft's config that differ from the defaults here, such as `{"r": 16}`.

    Raises:
        ImportError: If peft is not installed.
        ValueError: If the model has none of the layers, or peft refuses the options.
    """
    peft = import_peft()
    names = _target_modules(model)
    heads = [name for name in HEADS if hasattr(model, name)]
    if model.config.model_type == "braindecode":
        heads = ["final_layer"]
    if getattr(model.config, "second_order", False):
        heads.append("second_order.features")  # the statistics of the training windows
    if getattr(model.config, "time_course_seconds", None) is not None:
        heads.append("time_course")  # likewise
    settings: dict[str, Any] = {"target_modules": names, "modules_to_save": heads}
    if kind == "ia3":
        config_class: Any = peft.IA3Config
        settings["feedforward_modules"] = [name for name in names if name in _FEEDFORWARD[1:]]
    else:
        config_class = peft.LoraConfig
        settings |= {"r": 8, "lora_alpha": 16, "use_dora": kind == "dora"}
    try:
        return peft.get_peft_model(model, config_class(**{**settings, **(options or {})}))
    except (TypeError, ValueError) as error:
        raise ValueError(f"adapter {kind}: {' '.join(str(error).split())}") from error


def merge_adapter(adapted: Any) -> PreTrainedModel:
    """Return the model that an adapter is merged into; it needs peft no longer.

    peft's `merge_and_unload` asks layers that are saved whole for their `weight` where the adapter is IA3
    (peft 0.21), which heads of several layers lack: they are put in their places first.

    Args:
        adapted: What `add_adapter` or `PeftModel.from_pretrained` returned.
    """
    from peft.utils import ModulesToSaveWrapper

    model = adapted.get_base_model()
    wrapped = [(name, each) for name, each in model.named_modules() if isinstance(each, ModulesToSaveWrapper)]
    for name, each in wrapped:
        model.set_submodule(name, each.modules_to_save[each.active_adapters[0]])
    return adapted.merge_and_unload()


def _target_modules(model: PreTrainedModel) -> list[str]:
    """Return the layers of this architecture that adapters change."""
    model_type = model.config.model_type
    known = TARGET_MODULES.get(model_type)
    if known is None and model_type == "braindecode":
        # Linear layers by their full names, without the last one, which is the head
        return [
            name
            for name, layer in model.named_modules()
            if isinstance(layer, nn.Linear)
            and "final_layer" not in name
            and not _is_of_attention(model, name)
        ]
    if known is None:
        raise ValueError(f"adapter: expected one of {', '.join(TARGET_MODULES)}, got {model_type!r}")
    found = {name.rpartition(".")[2] for name, _ in model.named_modules()}
    return [name for name in known if name in found]


def _is_of_attention(model: nn.Module, name: str) -> bool:
    """Return whether a layer is the output of torch's own attention, whose forward reads weights directly."""
    parent = name.rpartition(".")[0]
    return isinstance(model.get_submodule(parent), nn.MultiheadAttention)
