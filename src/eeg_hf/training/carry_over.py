# SPDX-License-Identifier: Apache-2.0
"""Carry weights from one phase of training to the next: tensors of the same name and size."""

from collections.abc import Mapping
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
    """The tensors that went from one model into another.

    Attributes:
        carried: Names of the tensors that were copied.
        new: Names of tensors that the earlier model lacks or has in another size; they keep their initial
            values.
        dropped: Names of tensors that the later model lacks or has in another size, or that `carry` excludes.
        share: Share of the later model that was carried: of its numbers or of its tensors, whichever is less,
            because one large tensor of fixed size can be most of a small model.
    """

    carried: list[str]
    new: list[str]
    dropped: list[str]
    share: float

    def to_dict(self) -> dict[str, Any]:
        """Return all fields, for a JSON file."""
        return asdict(self)

    def __str__(self) -> str:
        return (
            f"carried {len(self.carried)} tensors, {self.share:.1%} of the model; new: {_some(self.new)}; "
            f"dropped: {_some(self.dropped)}"
        )


def carry_over(
    model: nn.Module,
    earlier: str | Path | Mapping[str, torch.Tensor],
    *,
    carry: str = "all",
    minimum_share: float = 0.5,
) -> CarryReport:
    """Copy the tensors of an earlier model that have the same name and size into a model.

    Other than `load_state_dict(strict=False)`, this skips tensors of another size, reports what was copied,
    and refuses an earlier model that has too little in common.

    Args:
        model: Changed in place, parameters and saved buffers.
        earlier: Folder with `model.safetensors`, or the tensors by name. The tensors of a bare encoder are
            matched with the encoder of a model.
        carry: `"all"`; `"encoder"`, without heads (names that begin with the model's `base_model_prefix`); or
            `"none"`.
        minimum_share: Share of the model that must be carried, unless `carry` is `"none"`.

    Raises:
        ValueError: If less than the minimum matches; names what does not.
        FileNotFoundError: If the folder holds no weights.
    """
    if carry not in CARRIES:
        raise ValueError(f"carry: expected one of {', '.join(CARRIES)}, got {carry!r}")
    if not 0 <= minimum_share <= 1:
        raise ValueError(f"minimum_carried: expected a share from 0 to 1, got {minimum_share}")
    theirs = dict(earlier) if isinstance(earlier, Mapping) else read_weights(Path(earlier))
    ours = model.state_dict()
    # The tensors of a bare encoder lack the prefix that they have in a model that holds one
    prefix = f"{getattr(model, 'base_model_prefix', 'model')}."
    ours_has_encoder, theirs_has_encoder = (
        any(name.startswith(prefix) for name in names) for names in (ours, theirs)
    )
    if ours_has_encoder and not theirs_has_encoder:
        theirs = {prefix + name if prefix + name in ours else name: tensor for name, tensor in theirs.items()}
    # Same name, same shape, and allowed by `carry`
    carried = [
        name
        for name, tensor in ours.items()
        if (carry == "all" or (carry == "encoder" and name.startswith(prefix)))
        and name in theirs
        and theirs[name].shape == tensor.shape
    ]
    # Report before anything changes: a model with too little in common stays as it is
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


def read_weights(folder: Path) -> dict[str, torch.Tensor]:
    """Read `model.safetensors` of a folder."""
    path = folder / "model.safetensors"
    if not path.is_file():
        raise FileNotFoundError(f"no weights in {folder}: expected model.safetensors")
    return load_file(path)


def _some(names: list[str]) -> str:
    """Return the first few names, and the number of the others."""
    rest = len(names) - _SHOWN
    return (", ".join(names[:_SHOWN]) or "none") + (f" and {rest} more" if rest > 0 else "")
