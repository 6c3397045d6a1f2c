# SPDX-License-Identifier: Apache-2.0
"""The signal contract beside a model, without which nothing can be cleaned for it."""

from pathlib import Path

from transformers.utils import FEATURE_EXTRACTOR_NAME, cached_file


def require_contract(model: str) -> None:
    """Refuse a model without a feature extractor.

    Args:
        model: Folder or Hub name.

    Raises:
        ValueError: If it has none.
    """
    path: str | Path | None = Path(model) / FEATURE_EXTRACTOR_NAME
    if not Path(model).is_dir():
        path = cached_file(model, FEATURE_EXTRACTOR_NAME, _raise_exceptions_for_missing_entries=False)
    if path is None or not Path(path).exists():
        raise ValueError(
            f"{model} has no signal contract ({FEATURE_EXTRACTOR_NAME}), so EEG cannot be cleaned for it:"
            " save the EEGFeatureExtractor of its training beside it (extractor.save_pretrained)"
        )


__all__ = ["require_contract"]
