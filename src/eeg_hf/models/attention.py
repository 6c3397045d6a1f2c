# SPDX-License-Identifier: Apache-2.0
"""Multi-head self-attention over one axis, by the attention implementations of transformers."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedConfig
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.utils import TransformersKwargs

from .dropout import dropout as apply_dropout


def refuse_unknown_options(model: str, options: Mapping[str, object]) -> None:
    """Raise a TypeError naming keyword arguments that an encoder would silently ignore.

    Options that transformers defines are passed through: `output_attentions` and its like, and those of
    attention functions. So are options that are None: PEFT passes the inputs of text models this way.

    Args:
        model: Name of the encoder's class.
        options: Its further keyword arguments.
    """
    known = {"use_cache", *TransformersKwargs.__annotations__}  # Trainer sets use_cache in every config
    given = [name for name, value in options.items() if value is not None]
    unknown = [name for name in given if name not in known and not name.startswith("output_")]
    found = f"{model}: unexpected {', '.join(unknown)}"
    if "mask_ratio" in unknown or "mask_noise" in unknown:
        raise TypeError(
            f"{found}: an encoder only removes what `mask` marks: pass mask, bool "
            "(batch, channels, time), or call the pretraining model, which draws a mask"
        )
    if unknown:
        raise TypeError(f"{found}; expected inputs of forward, or output_...")


def eager_attention_forward(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    grid: torch.Size | None = None,
    **kwargs: object,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attend by matrix products; the only implementation that returns its weights.

    The weights have the shape (*grid, heads, length, length) if the rows of the batch are those of a grid;
    what is attended is made of them, so that they can have a gradient.
    """
    # Queries are scaled, not weights: of 256 channels, the latter are eight times as many numbers
    weights = (query * scaling) @ key.transpose(-1, -2)  # (batch, heads, length, length)
    if attention_mask is not None:
        weights = weights + attention_mask
    weights = softmax_over_keys(weights)
    if grid is not None:
        weights = weights.unflatten(0, grid)
    kept = apply_dropout(weights, dropout, module.training)
    attended = kept.reshape(-1, *kept.shape[-3:]) @ value  # (batch, heads, length, head_dim)
    return attended.transpose(1, 2).contiguous(), weights


def softmax_over_keys(weights: torch.Tensor) -> torch.Tensor:
    """Return the softmax over the last dimension, of any shape.

    On a CPU, torch takes up to ten times as long for rows that are shorter than its vectors of 16 numbers, as
    those of 10 patches are: they are filled up.
    """
    missing = 16 - weights.shape[-1]
    if torch.compiler.is_compiling() or weights.device.type != "cpu" or missing <= 0:
        return weights.softmax(dim=-1)
    filled = nn.functional.pad(weights, (0, missing), value=-torch.inf)
    return filled.softmax(dim=-1)[..., :-missing]


def attend_by_products(*args: Any, **kwargs: Any) -> tuple[torch.Tensor, None]:
    """Attend like `eager_attention_forward`, but return no weights, as sdpa does."""
    return eager_attention_forward(*args, **kwargs)[0], None


class Attention(nn.Module):
    """Bidirectional self-attention among the tokens of a sequence."""

    def __init__(self, config: PreTrainedConfig) -> None:
        super().__init__()
        self.config = config
        self.head_dim = config.hidden_size // config.num_attention_heads
        self.scaling = self.head_dim**-0.5
        self.is_causal = False
        self.q_proj = nn.Linear(config.hidden_size, config.hidden_size)
        self.k_proj = nn.Linear(config.hidden_size, config.hidden_size)
        self.v_proj = nn.Linear(config.hidden_size, config.hidden_size)
        self.o_proj = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(
        self,
        hidden_states: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        grid: torch.Size | None = None,
        **kwargs: object,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return the attended tokens (batch, length, hidden_size) and, with `eager`, the weights.

        Args:
            hidden_states: (batch, length, hidden_size).
            attention_mask: In the form of the attention implementation.
            grid: Shape of the rows of the batch, which that of the weights begins with; (batch,) by default.
            **kwargs: Passed to the attention implementation.
        """
        query, key, value = (
            project(hidden_states).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )  # each (batch, heads, length, head_dim)
        attend: Callable = ALL_ATTENTION_FUNCTIONS.get_interface(
            self.config._attn_implementation, eager_attention_forward
        )
        if attend is eager_attention_forward:
            kwargs["grid"] = grid
        elif self._drops_by_products(hidden_states):
            attend = attend_by_products
        attended, weights = attend(
            self,
            query,
            key,
            value,
            attention_mask,
            dropout=self.config.dropout if self.training else 0.0,
            scaling=self.scaling,
            **kwargs,
        )
        return self.o_proj(attended.flatten(2)), weights  # attended (batch, length, heads, head_dim)

    def _drops_by_products(self, hidden_states: torch.Tensor) -> bool:
        """Whether torch would attend by matrix products anyway, and draw its dropout slowly.

        Its fused attention knows no dropout on a CPU.
        """
        is_sdpa = self.config._attn_implementation == "sdpa"
        return is_sdpa and hidden_states.device.type == "cpu" and self.training and self.config.dropout > 0
