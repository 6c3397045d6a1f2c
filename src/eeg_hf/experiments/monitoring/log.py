# SPDX-License-Identifier: Apache-2.0
"""The log of `eeg-hf monitor`: a row for each recording that a model met, as Parquet."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ...atomic_files import atomic_path
from ...corpora.recordings.recording_files import state_of
from ..training_statistics import FILE, MEASURES, Facts

LOG = "log.parquet"
_LISTS = ("spectrum", "scores")


def describe_model(folder: str) -> str:
    """Return a digest of the statistics of a model, by which a log knows what it compares with."""
    return hashlib.sha256((Path(folder) / FILE).read_bytes()).hexdigest()[:16]


def read_log(folder: Path, model: str) -> pd.DataFrame:
    """Return the rows of former calls, the oldest first.

    Raises:
        ValueError: If they are of another model, or no log at all.
    """
    path = folder / LOG
    if not path.is_file():
        return pd.DataFrame({"file": [], "state": []})
    try:
        log = pd.read_parquet(path)
        models = set(log["model"])
    except (ValueError, OSError, KeyError) as error:
        raise ValueError(
            f"{path} cannot be read as a log: choose another --output_dir, or remove it"
        ) from error
    if models - {model}:
        raise ValueError(f"{folder} holds the log of another model: choose another --output_dir")
    return log


def write_log(log: pd.DataFrame, folder: Path) -> None:
    """Write all rows, atomically."""
    with atomic_path(folder / LOG) as partial:
        log.to_parquet(partial, index=False)


def state_text(path: Path) -> str:
    """Return what shows whether a file is the one that the log knows; empty of one that cannot be read."""
    try:
        return json.dumps(state_of(path))
    except OSError:
        return ""


def as_cells(facts: Facts) -> dict[str, Any]:
    """Return the measures of a recording as cells; embeddings are too large."""
    return {
        name: facts[name].tolist() if name in _LISTS else float(facts[name][0])
        for name in MEASURES
        if name in facts and name != "embedding"
    }


def as_facts(row: pd.Series) -> Facts:
    """Return the measures of a row of the log."""
    found = {}
    for name in MEASURES:
        cell = row.get(name)
        if isinstance(cell, (Sequence, np.ndarray)) or (cell is not None and np.isfinite(cell)):
            found[name] = np.atleast_1d(np.asarray(cell, float))
    return found


__all__ = ["LOG", "as_cells", "as_facts", "describe_model", "read_log", "state_text", "write_log"]
