# SPDX-License-Identifier: Apache-2.0
"""Small weights that come with the package, so that a model works at once and without a network."""

from pathlib import Path

from .suggestions import did_you_mean

_FOLDER = Path(__file__).parent / "bundled"


def bundled(name: str) -> Path:
    """Return the folder of weights that come with the package.

    Args:
        name: One of `bundled_names()`. Each folder holds a card, `README.md`, that says what the weights were
            trained on, and `seen_windows.parquet`: a test on subjects among these is refused.

    Raises:
        ValueError: If there are no such weights.

    Example:
        >>> from transformers import AutoModel
        >>> AutoModel.from_pretrained(bundled("eeg-foundation-tiny")).config.model_type
        'eeg_foundation'
    """
    names = bundled_names()
    if name not in names:
        raise ValueError(
            f"bundled: no weights {name!r} come with the package{did_you_mean(name, names)}; there are "
            f"{', '.join(names) or 'none'}"
        )
    return _FOLDER / name


def find_weights(name: str) -> str:
    """Return a folder or Hub name as it is, and of weights that come with the package their folder."""
    is_bundled = name in bundled_names() and not Path(name).exists()
    return str(bundled(name)) if is_bundled else name


def bundled_names() -> list[str]:
    """Return the names of the weights that come with the package."""
    return sorted(path.parent.name for path in _FOLDER.glob("*/config.json"))
