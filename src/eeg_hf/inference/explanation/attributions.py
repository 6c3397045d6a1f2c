# SPDX-License-Identifier: Apache-2.0
"""Attributions of a classifier's output to the parts of its windows, by captum and by attention rollout."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

Forward = Callable[..., torch.Tensor]


@dataclass(frozen=True)
class Parts:
    """Windows taken apart, and what they are compared with.

    Attributes:
        signal: (batch, bands, channels, time): the bands of a window sum to it.
        baselines: The same of windows without features, one for each draw.
        others: The other inputs of the model, each with a row a window.
        targets: (batch,) index of the explained output of each window.
    """

    signal: torch.Tensor
    baselines: tuple[torch.Tensor, ...]
    others: Mapping[str, torch.Tensor]
    targets: torch.Tensor


def import_captum() -> Any:
    """Return captum.attr, or say how to install it."""
    try:
        import captum.attr
    except ModuleNotFoundError as error:
        raise ImportError('captum is not installed: pip install "eeg-hf[explain]"') from error
    return captum.attr


def forward_of(model: Any, names: tuple[str, ...]) -> Forward:
    """Return a function from bands (batch, bands, channels, time) and the other inputs to logits."""

    def forward(signal: torch.Tensor, *others: torch.Tensor) -> torch.Tensor:
        inputs = dict(zip(names, others, strict=True))
        logits: torch.Tensor = model(input_values=signal.sum(dim=1).to(model.dtype), **inputs).logits
        return contrast(logits.float(), model.config)

    return forward


def contrast(logits: torch.Tensor, config: Any) -> torch.Tensor:
    """Return logits minus the mean of the other classes, (windows, labels).

    A logit alone says nothing where classes compete: softmax does not change when all of them rise.
    """
    count = logits.shape[-1]
    if count == 1 or getattr(config, "problem_type", None) in ("regression", "multi_label_classification"):
        return logits
    return (logits - logits.mean(dim=-1, keepdim=True)) * (count / (count - 1))


def integrated_gradients(model: Any, parts: Parts, num_steps: int, batch_size: int) -> torch.Tensor:
    """Integrate gradients from each baseline to the windows (Sundararajan et al. 2017, arXiv 1703.01365).

    Returns:
        (batch, bands, channels, time), the mean over the baselines; they sum to the difference of outputs.

    Raises:
        ValueError: If the model has no gradients.
    """
    captum = import_captum()
    forward = forward_of(model, tuple(parts.others))
    others = tuple(parts.others.values())
    with torch.enable_grad():
        probe = parts.signal.detach()[:1].requires_grad_()
        if not forward(probe, *(value[:1] for value in others)).requires_grad:
            raise ValueError(
                "integrated_gradients: the model has no gradients, as exported ones: use method='occlusion'"
            )
        found = [
            captum.IntegratedGradients(forward).attribute(
                parts.signal,
                baselines=baseline,
                target=parts.targets,
                additional_forward_args=others,
                n_steps=num_steps,
                internal_batch_size=max(batch_size, len(parts.signal)),
            )
            for baseline in parts.baselines
        ]
    return torch.stack(found).mean(dim=0).detach()


@torch.no_grad()
def occlusion(model: Any, parts: Parts, segments: torch.Tensor, batch_size: int) -> torch.Tensor:
    """Replace each band of each channel by the baseline's, and note by how much the output falls.

    Args:
        model: The classifier.
        parts: The windows.
        segments: (time,) index of the stretch of each sample: stretches are replaced one by one.
        batch_size: Windows in one forward pass.

    Returns:
        (batch, bands, channels, time): the fall, spread over the samples of a stretch.
    """
    captum = import_captum()
    _, bands, channels, _ = parts.signal.shape
    cells = torch.arange(bands * channels, device=segments.device).view(1, bands, channels, 1)
    count = int(segments.max()) + 1
    cells = cells * count + segments  # (1, bands, channels, time)
    sizes = torch.bincount(segments, minlength=count)[segments]  # samples of each stretch
    found = [
        captum.FeatureAblation(forward_of(model, tuple(parts.others))).attribute(
            parts.signal,
            baselines=baseline,
            target=parts.targets,
            additional_forward_args=tuple(parts.others.values()),
            feature_mask=cells,
            perturbations_per_eval=max(1, batch_size // len(parts.signal)),
        )
        for baseline in parts.baselines
    ]
    return torch.stack(found).mean(dim=0) / sizes


@torch.no_grad()
def attention_rollout(model: Any, values: torch.Tensor, others: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Follow attention from the pooled output back to the patches (Abnar and Zuidema 2020, arXiv 2005.00928).

    It says where the encoder looked, not for which class, and nothing of frequency bands.

    Args:
        model: A classifier with factorised attention: along time, then across channels.
        values: (batch, channels, time).
        others: The other inputs of the model.

    Returns:
        (batch, channels, num_patches), shares that sum to one.

    Raises:
        ValueError: If the model returns no attention weights.
    """
    before = getattr(model.config, "_attn_implementation", None)
    wanted = {"output_attentions": True, "output_channel_attentions": True}
    try:
        model.set_attn_implementation("eager")  # the only one that returns its weights
        outputs = model(input_values=values.to(model.dtype), **others, **wanted)
    except (TypeError, AttributeError) as error:
        raise _no_attention(model) from error
    finally:
        if before is not None:
            model.set_attn_implementation(before)
    if not getattr(outputs, "attentions", None):
        raise _no_attention(model)
    over_channels = getattr(outputs, "channel_attentions", None) or [None] * len(outputs.attentions)
    first = outputs.attentions[0]  # (batch, channels, heads, patches, patches)
    share = first.new_full(
        (len(first), first.shape[1], first.shape[-1]), 1.0 / first.shape[1] / first.shape[-1]
    )
    if (mask := others.get("channel_mask")) is not None and mask.shape[1] == share.shape[1]:
        share = share * mask[:, :, None]
        share = share / share.sum(dim=(1, 2), keepdim=True)
    for temporal, spatial in zip(reversed(outputs.attentions), reversed(list(over_channels)), strict=True):
        if spatial is not None:  # (batch, patches, heads, channels, channels)
            share = 0.5 * share + 0.5 * torch.einsum("bcp,bpcd->bdp", share, spatial.mean(dim=2))
        share = 0.5 * share + 0.5 * torch.einsum("bcp,bcpq->bcq", share, temporal.mean(dim=2))
    return share.float()


def _no_attention(model: Any) -> ValueError:
    name = type(model).__name__
    return ValueError(
        f"rollout: {name} returns no attention weights: use 'integrated_gradients' or 'occlusion'"
    )
