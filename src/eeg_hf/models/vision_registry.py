# SPDX-License-Identifier: Apache-2.0
"""Where a model asks for an image tower by its name.

The code of a model travels alone to machines that have only torch and transformers, so it cannot import
open_clip. What can, tells itself here: eeg_hf does when it is imported.
"""

from collections.abc import Callable

from torch import nn

_builders: list[Callable[[str, bool], nn.Module]] = []


def set_tower_builder(builder: Callable[[str, bool], nn.Module]) -> None:
    """Say what builds towers: called with a name, and whether pretrained weights are wanted."""
    _builders[:] = [builder]


def build_tower(name: str, is_pretrained: bool = True) -> nn.Module:
    """Build an image tower.

    Args:
        name: As in [`EEGCLIPConfig`].
        is_pretrained: Load the weights that the name says; False where others are about to be loaded.

    Raises:
        ImportError: If nothing here can build one.
    """
    if not _builders:
        raise ImportError(
            f"the image tower {name!r} is built by eeg_hf: pip install 'eeg-hf[clip]' and import eeg_hf, or "
            "hand one over by set_vision_tower"
        )
    return _builders[0](name, is_pretrained)


__all__ = ["build_tower", "set_tower_builder"]
