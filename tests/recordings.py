# SPDX-License-Identifier: Apache-2.0
"""Real recordings, which are never committed: tests that need them are skipped where EEG_HF_DATA has none."""

import os
from pathlib import Path

import pytest


def real_recordings(name):
    """Return a folder of the recordings, and the mark of tests that are skipped where it is absent."""
    folder = Path(os.environ.get("EEG_HF_DATA", "nowhere")) / name
    reason = f"recordings are never committed, and EEG_HF_DATA holds no {name}"
    return folder, pytest.mark.skipif(not folder.is_dir(), reason=reason)
