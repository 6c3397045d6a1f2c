# SPDX-License-Identifier: Apache-2.0
"""Checks that several configs share; each raises a ValueError naming the field."""

from collections.abc import Sequence
from typing import Any

_MOST = {"layers": 1000, "depth": 1000, "size": 2**24, "dim": 2**20, "dims": 2**20, "channels": 2**16}
"""Last word of a field -> its largest value: above it, building the model takes hours or all memory."""
_MOST_ENTRIES = 2**16


def check_sizes(config: Any) -> None:
    """Refuse sizes that no model has; a file of a stranger may state any."""
    for name, value in vars(config).items():
        most = _MOST.get(name.rpartition("_")[2])
        entries = list(value) if isinstance(value, (list, tuple)) else [value]
        if len(entries) > _MOST_ENTRIES:
            raise ValueError(f"{name}: expected at most {_MOST_ENTRIES} entries, got {len(entries)}")
        for entry in entries:
            if most is not None and isinstance(entry, (int, float)) and entry > most:
                raise ValueError(f"{name}: expected at most {most}, got {entry}")


def check_positive(config: Any, *names: str) -> None:
    """Check that fields are whole numbers of at least 1, and that all sizes are possible."""
    check_sizes(config)
    for name in names:
        value = getattr(config, name)
        if not isinstance(value, int) or value < 1:
            raise ValueError(f"{name}: expected a positive whole number, got {value!r}")


def check_choice(config: Any, **allowed: Sequence[str]) -> None:
    """Check that fields have one of their allowed values."""
    for name, values in allowed.items():
        if getattr(config, name) not in values:
            raise ValueError(f"{name}: expected one of {', '.join(values)}, got {getattr(config, name)!r}")


def check_attention_heads(config: Any) -> None:
    """Check that the heads divide the width of the tokens."""
    if config.hidden_size % config.num_attention_heads:
        raise ValueError(
            f"hidden_size ({config.hidden_size}) must be a multiple of num_attention_heads "
            f"({config.num_attention_heads})"
        )


def check_channels(config: Any, *names: str) -> None:
    """Check that fields that are given have one entry a channel."""
    for name in names:
        value = getattr(config, name)
        if value is not None and len(value) != config.num_channels:
            raise ValueError(f"{name} has {len(value)} entries, but num_channels is {config.num_channels}")


def check_windows(config: Any) -> None:
    """Check that the longest window holds a patch, and that the share to mask is one."""
    if config.max_seq_length < config.patch_size:
        raise ValueError(
            f"max_seq_length ({config.max_seq_length}) is shorter than patch_size ({config.patch_size})"
        )
    if not 0 < config.mask_ratio < 1:
        raise ValueError(f"mask_ratio: expected a share between 0 and 1, got {config.mask_ratio}")
