# SPDX-License-Identifier: Apache-2.0
"""An ensemble of classifiers of the EEG and of its spectrogram, calibrated and saved as one model."""

import inspect
from collections.abc import Mapping
from typing import Any

import torch
import transformers
from torch import nn
from transformers import AutoConfig, AutoModelForImageClassification, PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput

from .configuration_hms_ensemble import INPUTS, HMSEnsembleConfig
from .losses import task_loss

_MOST_STEPS = 200


class HMSEnsembleModel(PreTrainedModel):
    """Average the class probabilities of several classifiers.

    A member is any module that maps its input to logits (batch, classes), as a tensor or as an output with
    `logits`: an [`EEGFoundationForSequenceClassification`], a [`ResNet1dGRUForSequenceClassification`], a
    network of braindecode, an image network of transformers (timm's EfficientNet as
    `TimmWrapperForImageClassification`) on spectrograms. An ensemble whose members all are models of
    transformers is saved, loaded and pushed as one.

    Args:
        base_models: The members by name; or the config of a saved ensemble, which builds them.
        config: Inputs and weights of the members.

    Example:
        >>> ensemble = HMSEnsembleModel(
        ...     {"foundation": foundation, "resnet1d_gru": resnet, "efficientnet": efficientnet},
        ...     HMSEnsembleConfig(inputs={"efficientnet": "spectrogram"}),
        ... )  # doctest: +SKIP
        >>> ensemble(eeg, spectrogram).logits.exp().sum(-1)  # doctest: +SKIP
    """

    config: HMSEnsembleConfig
    config_class = HMSEnsembleConfig
    main_input_name = "input_values"
    input_modalities: str | list[str] = ["time", "image"]
    accepts_loss_kwargs = False  # losses are means: Trainer must divide them when it accumulates gradients

    def __init__(
        self,
        base_models: Mapping[str, nn.Module] | HMSEnsembleConfig,
        config: HMSEnsembleConfig | None = None,
    ) -> None:
        if isinstance(base_models, HMSEnsembleConfig):
            config, base_models = base_models, build_members(base_models)
        config = config or HMSEnsembleConfig()
        if not isinstance(config, HMSEnsembleConfig):
            raise TypeError(
                f"config: expected HMSEnsembleConfig(inputs=..., weights=...), got {type(config).__name__}"
            )
        if not base_models:
            raise ValueError("base_models: expected at least one model")
        # In the order in which config.json gives them back: weights and temperatures go by place
        base_models = dict(sorted(base_models.items()))
        inputs, weights = config.inputs or {}, config.weights or {}
        unknown = sorted({*inputs, *weights} - set(base_models))
        if unknown:
            raise ValueError(f"config names {unknown}, which are not among the members {sorted(base_models)}")
        config.members = {
            name: describe_member(model)
            for name, model in base_models.items()
            if isinstance(model, PreTrainedModel)
        }
        super().__init__(config)
        # Positive weights as logits of a softmax, whose sum does not matter
        votes = torch.tensor([float(weights.get(name, 1.0)) for name in base_models])
        self.base_models = nn.ModuleDict(base_models)
        self.vote_logits = nn.Parameter(votes.log(), requires_grad=config.learn_weights)
        self.log_temperatures = nn.Parameter(torch.zeros(len(base_models)), requires_grad=False)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """Leave the members as they are."""

    def forward(
        self,
        eeg: torch.Tensor | None = None,
        spectrogram: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        input_values: torch.Tensor | None = None,
        pixel_values: torch.Tensor | None = None,
        **kwargs: Any,
    ) -> SequenceClassifierOutput:
        """Average the members' class probabilities.

        Args:
            eeg: (batch, channels, time), input of the EEG members.
            spectrogram: (batch, maps, frequency, time), input of the spectrogram members.
            labels: (batch,) class indices or (batch, classes) shares.
            input_values: As `eeg`, by the name that collators give it.
            pixel_values: As `spectrogram`.
            **kwargs: What else EEG members take, such as `channel_positions`.

        Returns:
            `logits` are log probabilities (batch, classes).
        """
        eeg = input_values if eeg is None else eeg
        spectrogram = pixel_values if spectrogram is None else spectrogram
        log_votes = self.calibrated(self.ask_members(eeg, spectrogram, **kwargs))
        log_probabilities = self.vote(log_votes)
        loss = None if labels is None else task_loss(log_probabilities, labels, log_probabilities.shape[-1])
        return SequenceClassifierOutput(loss=loss, logits=log_probabilities)

    def ask_members(
        self, eeg: torch.Tensor | None, spectrogram: torch.Tensor | None, **kwargs: Any
    ) -> torch.Tensor:
        """Return the logits of every member by name, in order of the names, (members, batch, classes)."""
        given = {"eeg": eeg, "spectrogram": spectrogram}
        answers = []
        for name, model in self.base_models.items():
            kind = (self.config.inputs or {}).get(name) or default_input(model)
            values = given[kind]
            if values is None:
                raise ValueError(f"member {name!r} needs the input {kind!r}, got None")
            answers.append(self.ask(name, kind, values, kwargs if kind == "eeg" else {}).float())
        return torch.stack(answers)

    def calibrated(self, logits: torch.Tensor) -> torch.Tensor:
        """Return the log probabilities of every member at its temperature, (members, batch, classes)."""
        return (logits / self.log_temperatures.exp()[:, None, None]).log_softmax(dim=-1)

    def vote(self, log_votes: torch.Tensor) -> torch.Tensor:
        """Return the logarithm of the weighted mean of probabilities, (batch, classes)."""
        weights = self.vote_logits.log_softmax(dim=0)[:, None, None]
        return (log_votes + weights).logsumexp(dim=0)

    def ask(
        self, name: str, kind: str, values: torch.Tensor, others: Mapping[str, Any] | None = None
    ) -> torch.Tensor:
        """Return the logits (batch, classes) of a member for its input."""
        model: Any = self.base_models[name]
        known = inspect.signature(model.forward).parameters
        try:
            output = model(values, **{key: value for key, value in (others or {}).items() if key in known})
        except (RuntimeError, TypeError, ValueError) as error:
            (other,) = set(INPUTS) - {kind}
            raise ValueError(
                f"member {name!r} does not take the {kind} {tuple(values.shape)}: if it reads the {other}, "
                f"say so: HMSEnsembleConfig(inputs={{{name!r}: {other!r}}}) ({error})"
            ) from error
        logits = output if torch.is_tensor(output) else getattr(output, "logits", None)
        if not torch.is_tensor(logits):
            raise ValueError(
                f"member {name!r} returns no logits: an encoder becomes a classifier by "
                "add_classification_head(num_classes)"
            )
        return logits

    @torch.enable_grad()
    def calibrate(self, logits: torch.Tensor, labels: torch.Tensor) -> dict[str, dict[str, float]]:
        """Fit the temperature of every member, then the weights, on held-out windows.

        Each temperature minimises the cross-entropy of its member (https://arxiv.org/abs/1706.04599), the
        weights that of the vote. Members are not trained; use windows of subjects that trained none of them.

        Args:
            logits: Of the members, from `ask_members`, (members, windows, classes).
            labels: (windows,) class indices or (windows, classes) shares.

        Returns:
            `temperatures` and `weights` by member.
        """
        logits = logits.detach().float()
        if logits.shape[0] != len(self.base_models) or logits.shape[1] != len(labels):
            raise ValueError(
                f"calibrate: expected logits ({len(self.base_models)} members, {len(labels)} windows, "
                f"classes), got {tuple(logits.shape)}"
            )
        num_classes = logits.shape[-1]
        temperatures = self.log_temperatures.detach().clone().requires_grad_()

        def apart() -> torch.Tensor:
            scaled = (logits / temperatures.exp()[:, None, None]).log_softmax(dim=-1)
            return torch.stack([task_loss(member, labels, num_classes) for member in scaled]).sum()

        _minimize(apart, temperatures)
        self.log_temperatures.data.copy_(temperatures.detach())
        votes = self.vote_logits.detach().clone().requires_grad_()
        log_votes = self.calibrated(logits).detach()

        def together() -> torch.Tensor:
            mean = (log_votes + votes.log_softmax(dim=0)[:, None, None]).logsumexp(dim=0)
            return task_loss(mean, labels, num_classes)

        _minimize(together, votes)
        self.vote_logits.data.copy_(votes.detach())
        names = list(self.base_models)
        found = {"temperatures": self.log_temperatures.exp(), "weights": self.vote_logits.softmax(dim=0)}
        return {kind: dict(zip(names, values.tolist(), strict=True)) for kind, values in found.items()}

    def save_pretrained(self, save_directory: Any, *args: Any, **kwargs: Any) -> None:
        """Save all members as one model.

        Raises:
            ValueError: If a member is no model of transformers: nothing could build it again.
        """
        bare = sorted(set(self.base_models) - set(self.config.members or {}))
        if bare:
            raise ValueError(
                f"members {', '.join(bare)}: expected models of transformers, which alone can be rebuilt: "
                "a network of timm becomes one as TimmWrapperForImageClassification"
            )
        super().save_pretrained(save_directory, *args, **kwargs)


def _minimize(loss: Any, parameter: torch.Tensor) -> None:
    """Minimise a convex or nearly convex function of a few numbers."""
    optimizer = torch.optim.LBFGS([parameter], max_iter=_MOST_STEPS, line_search_fn="strong_wolfe")

    def step() -> torch.Tensor:
        optimizer.zero_grad()
        value = loss()
        value.backward()
        return value

    optimizer.step(step)


def describe_member(model: PreTrainedModel) -> dict[str, Any]:
    """Return the config of a member and the class that it builds."""
    return {**model.config.to_dict(), "architectures": [type(model).__name__]}


def build_members(config: HMSEnsembleConfig) -> dict[str, nn.Module]:
    """Return the members of a saved ensemble with random weights.

    Raises:
        ValueError: If the config has none, or names a class that is neither a classifier here nor of
            transformers.
    """
    if not config.members:
        raise ValueError("base_models: expected at least one model, or the config of a saved ensemble")
    return {name: _build_member(name, fields) for name, fields in config.members.items()}


def _build_member(name: str, fields: Mapping[str, Any]) -> nn.Module:
    settings = {key: value for key, value in fields.items() if key not in ("architectures", "auto_map")}
    config = type(AutoConfig.for_model(settings["model_type"])).from_dict(settings)
    wanted = (fields.get("architectures") or [""])[0]
    for auto_class in (transformers.AutoModelForSequenceClassification, AutoModelForImageClassification):
        if type(config) in auto_class._model_mapping:
            model = auto_class.from_config(config)
            if type(model).__name__ == wanted:
                return model
    raise ValueError(
        f"member {name!r}: expected a classifier that the Auto classes know, got {wanted or 'none'}"
    )


def default_input(model: nn.Module) -> str:
    """Return what a member reads if nothing is said of it."""
    return "spectrogram" if getattr(model, "main_input_name", None) == "pixel_values" else "eeg"


__all__ = ["HMSEnsembleModel", "build_members", "default_input"]
