# SPDX-License-Identifier: Apache-2.0
"""What one phase of training leaves to the next: tensors of the same name and size, and a report of them."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn

CARRIES = ("all", "encoder", "none")
_SHOWN = 4


@dataclass(frozen=True)
class CarryReport:
    """Which tensors went from one model into another.

    Attributes:
        carried: Names of those that did, bit by bit.
        new: Names of those that the earlier model did not have, or had in another size: they keep the weights
            they were initialised with.
        dropped: Names of those that the later model does not have, or not in that size, or that were not to
            be carried.
        share: Share of the later model that was carried: of its numbers or of its tensors, whichever is less.
            A small model can be mostly one large tensor of fixed size.
    """

    carried: list[str]
    new: list[str]
    dropped: list[str]
    share: float

    def to_dict(self) -> dict[str, Any]:
        """Return all of it, for a JSON file."""
        return asdict(self)

    def __str__(self) -> str:
        return (
            f"carried {len(self.carried)} tensors, {self.share:.1%} of the model; new: {_some(self.new)}; "
            f"dropped: {_some(self.dropped)}"
        )


def carry_over(
    model: nn.Module,
    earlier: str | Path | Mapping[str, torch.Tensor],
    carry: str = "all",
    minimum_share: float = 0.5,
) -> CarryReport:
    """Copy into a model the tensors of an earlier one that have the same name and size.

    As `load_state_dict(strict=False)`, but tensors of another size are left out instead of an error, what
    happened is reported, and a model that would take over too little is refused.

    Args:
        model: Changed in place, parameters and saved buffers.
        earlier: Folder with `model.safetensors`, or the tensors by name. Those of an encoder by itself find
            their place in a model that holds one.
        carry: `"all"`; `"encoder"`, without heads (names that begin with the model's `base_model_prefix`); or
            `"none"`.
        minimum_share: Share of the model that must be carried, unless nothing is to be.

    Raises:
        ValueError: If less than the minimum matches, naming what does not.
        FileNotFoundError: If the folder holds no weights.
    """
    if carry not in CARRIES:
        raise ValueError(f"carry: expected one of {', '.join(CARRIES)}, got {carry!r}")
    if not 0 <= minimum_share <= 1:
        raise ValueError(f"minimum_carried: expected a share from 0 to 1, got {minimum_share}")
    theirs = dict(earlier) if isinstance(earlier, Mapping) else read_weights(Path(earlier))
    ours = model.state_dict()
    prefix = f"{getattr(model, 'base_model_prefix', 'model')}."
    if _is_inside(prefix, ours) and not _is_inside(prefix, theirs):  # an encoder, for a model that holds one
        theirs = {prefix + name if prefix + name in ours else name: tensor for name, tensor in theirs.items()}
    carried = [
        name
        for name, tensor in ours.items()
        if (carry == "all" or (carry == "encoder" and name.startswith(prefix)))
        and name in theirs
        and theirs[name].shape == tensor.shape
    ]
    num_carried = sum(ours[name].numel() for name in carried)
    share = min(num_carried / sum(tensor.numel() for tensor in ours.values()), len(carried) / len(ours))
    report = CarryReport(carried, sorted(set(ours) - set(carried)), sorted(set(theirs) - set(carried)), share)
    if carry != "none" and share < minimum_share:
        resized = [name for name in report.new if name in theirs]
        absent = [name for name in report.new if name not in theirs]
        raise ValueError(
            f"only {share:.1%} of the model is in the earlier weights, expected at least "
            f"{minimum_share:.0%}; of another size: {_some(resized)}; not there: {_some(absent)}; give both "
            "phases the same config, or lower minimum_carried"
        )
    model.load_state_dict({name: theirs[name] for name in carried}, strict=False)
    return report


def _is_inside(prefix: str, names: Iterable[str]) -> bool:
    return any(name.startswith(prefix) for name in names)


def read_weights(folder: Path) -> dict[str, torch.Tensor]:
    """Read `model.safetensors` of a folder."""
    path = folder / "model.safetensors"
    if not path.is_file():
        raise FileNotFoundError(f"no weights in {folder}: expected model.safetensors")
    return load_file(path)


def _some(names: list[str]) -> str:
    """Name a few."""
    if not names:
        return "none"
    rest = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {rest} more" if rest > 0 else "")


__all__ = ["CarryReport", "carry_over", "read_weights"]
