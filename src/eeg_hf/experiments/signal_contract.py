# SPDX-License-Identifier: Apache-2.0
"""The signal contract beside a model, without which nothing can be cleaned for it."""

from pathlib import Path

from datasets import Dataset
from transformers.utils import FEATURE_EXTRACTOR_NAME, cached_file

from ..processing.feature_extraction_eeg import EEGFeatureExtractor


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


def check_rate(model: str, windows: Dataset) -> None:
    """Refuse windows of another sampling rate than the one that weights were trained at.

    Args:
        model: Folder or Hub name.
        windows: Of a prepared corpus.

    Raises:
        ValueError: If the rates differ: the model would take the windows for others, faster or slower.
    """
    theirs, ours = EEGFeatureExtractor.from_pretrained(model).sampling_rate, windows[0]["sampling_rate"]
    if theirs != ours:
        raise ValueError(
            f"{model} was trained on windows of {theirs:g} Hz, these have {ours:g} Hz: prepare the corpus "
            f"with --sampling_rate {theirs:g}"
        )


__all__ = ["check_rate", "require_contract"]
