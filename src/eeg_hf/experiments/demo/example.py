# SPDX-License-Identifier: Apache-2.0
"""An example recording: simulated, so that it needs no download and no consent."""

from pathlib import Path

from ...atomic_files import atomic_path
from ...corpora.simulated import Simulated

NAME = "example_simulated.edf"
_UV_RANGE = 1000.0


def write_example(folder: Path, seconds: float = 30.0) -> Path:
    """Write half a minute of simulated EEG as EDF, unless it is there; return its path."""
    path = folder / NAME
    if not path.exists():
        corpus = Simulated(num_subjects=1, seconds=seconds)
        raw = corpus.read(corpus.recordings()[0])
        raw.set_annotations(None)
        limits = (-_UV_RANGE, _UV_RANGE)
        with atomic_path(path) as partial:
            raw.export(partial, fmt="edf", physical_range=limits, overwrite=True, verbose="ERROR")
    return path
