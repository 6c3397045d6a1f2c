# SPDX-License-Identifier: Apache-2.0
"""What several tests share: a small prepared corpus, and the environment of other processes."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

os.environ.setdefault("OMP_NUM_THREADS", "1")  # a fork of a process with more may wait for ever
os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no test may wait for a network
os.environ.setdefault("EEG_HF_EMBEDDING_CACHE", "0")  # nor leave embeddings, or find those of another


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    """Return a prepared simulated corpus: 6 subjects, two conditions of 20 s, windows of 2 s."""
    from eeg_hf import EEGFeatureExtractor
    from eeg_hf.corpora import Simulated, prepare

    folder = tmp_path_factory.mktemp("prepared")
    prepare(Simulated(num_subjects=6, seconds=20), folder, EEGFeatureExtractor(window_seconds=2.0))
    return folder


@pytest.fixture(scope="session")
def environment(tmp_path_factory):
    """Return the environment of a process that a test starts: one thread, its own cache."""
    cache = tmp_path_factory.mktemp("hf_home")
    return {**os.environ, "OMP_NUM_THREADS": "1", "HF_HOME": str(cache), "TOKENIZERS_PARALLELISM": "false"}
