# SPDX-License-Identifier: Apache-2.0
"""Any architecture of braindecode as a model of transformers, the way transformers hosts those of timm.

The network inside is braindecode's own, unchanged: the same seed gives the same weights, the same input the
same output. What it gains is a config, safetensors, the Auto classes, Trainer, pipelines and the Hub.
"""

import copy
import difflib
import functools
import importlib
import inspect
import warnings
from types import ModuleType
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPooling, SequenceClassifierOutput

from .configuration_braindecode import BraindecodeConfig
from .losses import task_loss
from .pretrained_model import classifier_config
from .standard_montage import SAME_PLACE_METRES, standard_name
from .token_grid import refuse_empty

BUILD_ERRORS = (
    *(ValueError, TypeError, RuntimeError, AssertionError),
    *(AttributeError, LookupError, ArithmeticError, NotImplementedError),
)
"""What networks of braindecode raise for channels and lengths that they were not made for."""


def list_architectures() -> tuple[str, ...]:
    """Return the names of the networks in `braindecode.models`.

    Raises:
        ImportError: If braindecode is not installed.
    """
    models = _import_models()
    return tuple(name for name in models.__all__ if _is_network(getattr(models, name)))


def find_network(architecture: str) -> type[nn.Module]:
    """Return the class of a network, or raise a ValueError that suggests the name closest to its own."""
    known = list_architectures()
    if architecture in known:
        return getattr(_import_models(), architecture)
    by_lower = {name.lower(): name for name in known}
    close = difflib.get_close_matches(architecture.lower(), by_lower, n=1)
    hint = f", did you mean {by_lower[close[0]]!r}?" if close else ","
    raise ValueError(
        f"architecture: braindecode has no {architecture!r}{hint} expected one of {', '.join(known)}"
    )


def _import_models() -> ModuleType:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of montages that MNE is about to drop
            models = importlib.import_module("braindecode.models")
    except ModuleNotFoundError as error:
        raise ImportError('braindecode is not installed: pip install "eeg-hf[baselines]"') from error
    _accept_one_channel()
    return models


@functools.cache
def _accept_one_channel() -> None:
    """Let braindecode's merged convolutions in time and space compute windows of one channel.

    ShallowFBCSPNet and Deep4Net of 1.8.1 fail there, because a `squeeze` takes one axis too many.
    """
    convolution = importlib.import_module("braindecode.modules").CombinedConv
    merged = convolution.forward

    def forward(self: Any, windows: torch.Tensor) -> torch.Tensor:
        apart = windows.shape[-1] == 1  # (batch, 1, time, channels)
        return self.conv_spat(self.conv_time(windows)) if apart else merged(self, windows)

    convolution.forward = forward


def _is_network(value: Any) -> bool:
    return inspect.isclass(value) and issubclass(value, nn.Module)


def build_network(config: BraindecodeConfig) -> nn.Module:
    """Return the network of a config with random weights.

    Raises:
        ImportError: If braindecode is not installed.
        ValueError: If it has no such architecture, or that one refuses the size of the windows.
    """
    network_class = find_network(config.architecture)
    sizes: dict[str, Any] = {
        "n_chans": config.num_channels + (config.input_scaling == "bendr"),
        "n_times": config.num_samples,
        "n_outputs": config.num_labels,
        "sfreq": config.sampling_rate,
        "chs_info": describe_channels(config),
    }
    known_sizes = inspect.signature(network_class.__init__).parameters
    sizes = {name: value for name, value in sizes.items() if name in known_sizes and value is not None}
    try:
        # On the CPU even where from_pretrained builds on "meta": networks compute buffers that no file holds
        with torch.device("cpu"):
            return network_class(**{**sizes, **(config.network or {})})
    except BUILD_ERRORS as error:
        raise ValueError(
            f"{config.architecture} of braindecode cannot be built for {config.num_channels} channels, "
            f"{config.num_samples} samples and {config.sampling_rate:g} Hz: {' '.join(str(error).split())}"
        ) from error


def restore_buffers(model: "BraindecodeModel") -> None:
    """Compute the buffers of a network anew that are not saved; from_pretrained leaves them uninitialised."""
    saved = set(model.network.state_dict())
    names = [name for name, _ in model.network.named_buffers() if name not in saved]
    if not names:
        return
    fresh = build_network(model.config)
    for name in names:
        parent, _, leaf = name.rpartition(".")
        value = fresh.get_buffer(name).to(model.device)
        model.network.get_submodule(parent).register_buffer(leaf, value, persistent=False)


def refuse_offload(model: PreTrainedModel) -> None:
    """Refuse a model of which a part waits on the CPU or the disk until its module is called.

    Networks of braindecode use weights of modules that they do not call, which then are not there.
    """
    places = {str(place) for place in (getattr(model, "hf_device_map", None) or {}).values()}
    if "disk" in places or ("cpu" in places and len(places) > 1):
        raise ValueError(
            f"device_map: {model.config.architecture} of braindecode cannot be offloaded in parts, got "
            f"{', '.join(sorted(places))}: load all of it on one device, such as device_map='cpu'"
        )


def find_blocks(network: nn.Module) -> list[nn.Module]:
    """Return the layers of a network whose outputs are its hidden states: the longest list of one class.

    Networks of transformers keep their layers in such a list; those of a few convolutions have none.
    """
    found: list[nn.Module] = []
    for container in network.modules():
        if isinstance(container, (nn.ModuleList, nn.Sequential)):
            blocks = list(container)
            is_stack = len({type(block) for block in blocks}) == 1
            if is_stack and len(blocks) > max(len(found), 1) and [*blocks[0].parameters()]:
                found = blocks
    return found


def forward_options(network: nn.Module, config: BraindecodeConfig) -> dict[str, Any]:
    """Return the arguments of a network besides the windows: Labram looks its electrodes up in every call."""
    names = config.channel_names
    if not names or "ch_names" not in inspect.signature(network.forward).parameters:
        return {}
    places = config.channel_positions or [None] * len(names)
    return {"ch_names": [standard_name(*each) for each in zip(names, places, strict=True)]}


def describe_channels(config: BraindecodeConfig) -> list[dict[str, Any]] | None:
    """Return the channels as entries of `mne.Info["chs"]`, as far as braindecode reads them."""
    if (
        config.channel_names is None or config.input_scaling == "bendr"
    ):  # which has an input that is no electrode
        return None
    positions = config.channel_positions or [[0.0, 0.0, 0.0]] * config.num_channels
    return [
        {"ch_name": name, "kind": "eeg", "loc": [*map(float, place), *[0.0] * 9]}
        for name, place in zip(config.channel_names, positions, strict=True)
    ]


def scale_input(values: torch.Tensor, scaling: str) -> torch.Tensor:
    """Return windows (batch, channels, time) in microvolts on the scale that weights were trained on."""
    if scaling == "millivolt":
        return values / 1000
    if scaling == "percentile_95":
        largest = values.abs().float().quantile(0.95, dim=-1, keepdim=True).to(values.dtype)
        return values / (largest + 1e-8)
    if scaling == "bendr":
        low, high = (bound(values, dim=(1, 2), keepdim=True) for bound in (torch.amin, torch.amax))
        unit = 2 * (values - low) / (high - low).clamp(min=1e-8) - 1
        return torch.cat([unit, torch.zeros_like(unit[:, :1])], dim=1)
    return values


class BraindecodePreTrainedModel(PreTrainedModel):
    """Base of the hosted models."""

    config: BraindecodeConfig
    config_class = BraindecodeConfig
    base_model_prefix = "model"
    main_input_name = "input_values"
    input_modalities: str | list[str] = "time"
    accepts_loss_kwargs = False  # losses are means: Trainer must divide them when it accumulates gradients

    @classmethod
    def from_pretrained(cls, *args: Any, **kwargs: Any) -> Any:
        """Load as every model of transformers, then restore what no file of weights holds.

        Raises:
            ValueError: If parts of the model would be offloaded to the CPU or the disk.
        """
        loaded: Any = super().from_pretrained(*args, **kwargs)
        model = loaded[0] if isinstance(loaded, tuple) else loaded
        refuse_offload(model)
        restore_buffers(model.base_model)
        return loaded

    def _init_weights(self, module: nn.Module) -> None:
        """Leave the weights as braindecode initialised them."""

    def add_classification_head(
        self, num_labels: int, **config_updates: Any
    ) -> "BraindecodeForSequenceClassification":
        """Return a classifier with a new `final_layer` on this network; both share all other weights.

        Args:
            num_labels: Number of classes; 1 means regression.
            **config_updates: Other fields of the config to change, such as `id2label`.

        Raises:
            ValueError: If the network has no `final_layer`.
        """
        network: Any = self.base_model.network
        if not hasattr(network, "final_layer"):
            raise ValueError(f"{self.config.architecture} of braindecode has no final_layer to replace")
        classifier = BraindecodeForSequenceClassification(
            classifier_config(self.config, num_labels, config_updates)
        )
        shared = copy.copy(network)  # the same layers, in a list of their own
        shared._modules = {**network._modules, "final_layer": classifier.model.network.final_layer}
        classifier.model.network = shared
        return classifier


class BraindecodeModel(BraindecodePreTrainedModel):
    """A network of braindecode and what enters its last layer.

    Example:
        >>> import torch
        >>> from eeg_hf import BraindecodeConfig, BraindecodeModel
        >>> config = BraindecodeConfig(architecture="ShallowFBCSPNet", num_channels=4, num_samples=400)
        >>> BraindecodeModel(config)(torch.randn(2, 4, 400)).pooler_output.shape
        torch.Size([2, 760])
    """

    def __init__(self, config: BraindecodeConfig) -> None:
        super().__init__(config)
        self.network = build_network(config)
        self.post_init()

    def forward(
        self, input_values: torch.Tensor, channel_positions: torch.Tensor | None = None, **kwargs: Any
    ) -> BaseModelOutputWithPooling:
        """Compute the features of windows.

        Args:
            input_values: (batch, channels, time), normalised.
            channel_positions: (batch, channels, 3) in metres, compared with those of the config.
            **kwargs: What else a batch has; masks mean nothing to these networks.

        Returns:
            `last_hidden_state`, what enters the last layer; `pooler_output`, the same as one vector a window;
            and with `output_hidden_states=True` the `hidden_states` of the layers, where the network has a
            list of them.

        Raises:
            ValueError: If the network has no `final_layer`, or the windows do not fit it.
        """
        wants_states = kwargs.pop("output_hidden_states", None) or self.config.output_hidden_states
        features: list[torch.Tensor] = []
        last = getattr(self.network, "final_layer", None)
        if last is None:
            raise ValueError(f"{self.config.architecture} of braindecode has no final_layer to read before")
        handle = last.register_forward_pre_hook(lambda _, inputs: features.append(inputs[0]))
        states: tuple[torch.Tensor, ...] | None = None
        try:
            if wants_states:
                _, states = self.compute_states(input_values, channel_positions)
            else:
                self.compute_logits(input_values, channel_positions)
        finally:
            handle.remove()
        if not features:
            raise ValueError(f"{self.config.architecture} of braindecode does not use its final_layer")
        return BaseModelOutputWithPooling(
            last_hidden_state=features[-1], pooler_output=features[-1].flatten(1), hidden_states=states
        )

    def compute_states(
        self, input_values: torch.Tensor, channel_positions: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        """Return the output of the network, and that of each of its layers, in the layout of the network.

        Raises:
            ValueError: If the network has no list of layers of one kind.
        """
        blocks = find_blocks(self.network)
        if not blocks:
            raise ValueError(
                f"output_hidden_states: {self.config.architecture} of braindecode has no list of layers of "
                "one kind; last_hidden_state is what enters its last layer"
            )
        states: list[torch.Tensor] = []

        def keep(_: nn.Module, __: Any, output: Any) -> None:
            states.append(output[0] if isinstance(output, (tuple, list)) else output)

        handles = [block.register_forward_hook(keep) for block in blocks]
        try:
            logits = self.compute_logits(input_values, channel_positions)
        finally:
            for handle in handles:
                handle.remove()
        return logits, tuple(states)

    def compute_logits(
        self, input_values: torch.Tensor, channel_positions: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return the output of the network, (batch, num_labels)."""
        self.check_windows(input_values, channel_positions)
        windows = scale_input(input_values.to(self.dtype), self.config.input_scaling)
        logits = self.network(windows, **forward_options(self.network, self.config))
        if not isinstance(logits, torch.Tensor) or logits.shape != (len(logits), self.config.num_labels):
            got = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
            raise ValueError(
                f"{self.config.architecture} of braindecode returns {got} and no class scores "
                f"(batch, {self.config.num_labels}) for a window"
            )
        return logits

    def check_windows(self, input_values: torch.Tensor, channel_positions: torch.Tensor | None) -> None:
        """Refuse windows of another shape, or of electrodes at other places."""
        config = self.config
        refuse_empty(input_values)
        if input_values.shape[1:] != (config.num_channels, config.num_samples):
            raise ValueError(
                f"input_values: {config.architecture} was built for ({config.num_channels} channels, "
                f"{config.num_samples} samples), got {tuple(input_values.shape[1:])}: set channels and "
                "window_seconds of the feature extractor"
            )
        if channel_positions is None or config.channel_positions is None or torch.compiler.is_compiling():
            return
        expected = torch.as_tensor(config.channel_positions).to(channel_positions)
        off = (channel_positions - expected).norm(dim=-1).amax()
        if off > SAME_PLACE_METRES:
            names = ", ".join(config.channel_names or ()) or "those of the config"
            raise ValueError(
                f"channel_positions: an electrode is {100 * off:.1f} cm from where {config.architecture} "
                f"was trained: expected {names}, in this order"
            )

    def get_embeddings(self, input_values: torch.Tensor, **inputs: torch.Tensor) -> torch.Tensor:
        """Return one vector (batch, features) a window."""
        return self(input_values, **inputs).pooler_output


class BraindecodeForSequenceClassification(BraindecodePreTrainedModel):
    """A network of braindecode that classifies windows, or predicts one number (`num_labels=1`)."""

    def __init__(self, config: BraindecodeConfig) -> None:
        super().__init__(config)
        self.model = BraindecodeModel(config)
        self.post_init()

    def forward(
        self,
        input_values: torch.Tensor,
        channel_positions: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        **kwargs: Any,
    ) -> SequenceClassifierOutput:
        """Classify windows.

        Args:
            input_values: (batch, channels, time), normalised.
            channel_positions: As in [`BraindecodeModel`].
            labels: (batch,) class indices or values, or (batch, num_labels) class shares. -100 and NaN mean
                missing.
            **kwargs: As in [`BraindecodeModel`].
        """
        config = self.config
        states: tuple[torch.Tensor, ...] | None = None
        if kwargs.get("output_hidden_states") or config.output_hidden_states:
            logits, states = self.model.compute_states(input_values, channel_positions)
        else:
            logits = self.model.compute_logits(input_values, channel_positions)
        if (config.regression_mean, config.regression_std) != (0, 1):
            logits = logits * config.regression_std + config.regression_mean
        loss = None
        if labels is not None:
            loss = task_loss(
                logits,
                labels,
                int(config.num_labels or 0),
                class_weights=config.class_weights,
                label_smoothing=config.label_smoothing if self.training else 0.0,
            )
            loss = loss / config.regression_std**2  # 1, but for a regression
        return SequenceClassifierOutput(loss=loss, logits=logits, hidden_states=states)


__all__ = ["BraindecodeForSequenceClassification", "BraindecodeModel", "BraindecodePreTrainedModel"]
