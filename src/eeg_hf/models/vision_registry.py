# SPDX-License-Identifier: Apache-2.0
"""Registry through which a model builds an image tower by its name.

The code of a model must run on machines that have only torch and transformers, so it cannot import open_clip.
When eeg_hf is imported, it registers its builder here.
"""

from collections.abc import Callable

from torch import nn

# At most one, in a list that functions can change
_builders: list[Callable[[str, bool], nn.Module]] = []


def set_tower_builder(builder: Callable[[str, bool], nn.Module]) -> None:
    """Register the builder of towers; it is called with a name and with `is_pretrained`."""
    _builders[:] = [builder]


def build_tower(name: str, is_pretrained: bool = True) -> nn.Module:
    """Build an image tower.

    Args:
        name: As in [`EEGCLIPConfig`].
        is_pretrained: Load the weights that the name stands for; False if others are loaded afterwards.

    Raises:
        ImportError: If no builder is registered.
    """
    if not _builders:
        raise ImportError(
            f'the image tower {name!r} needs eeg_hf: pip install "eeg-hf[clip]" and import eeg_hf, or pass a '
            "tower to set_vision_tower"
        )
    return _builders[0](name, is_pretrained)


__all__ = ["build_tower", "set_tower_builder"]
