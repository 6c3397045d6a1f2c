# SPDX-License-Identifier: Apache-2.0
"""A small part of the kills: a preparation, and what the tool says of a job that a kill damages."""

import time
from pathlib import Path

import numpy as np
import pytest
from tests.tools.loading import load_tool

from eeg_hf import EEGFeatureExtractor
from eeg_hf.corpora import Simulated, prepare

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def tool():
    return load_tool("kill_and_resume")


def test_a_killed_preparation_ends_with_the_same_bytes(tool, tmp_path):
    extractor = EEGFeatureExtractor(sampling_rate=100.0, lowpass_hz=40.0, window_seconds=2.0)

    def work(folder: Path) -> None:
        prepare(Simulated(3, seconds=4.0), folder, extractor)

    job = tool.Job(work, tool.digests("**/*"))
    hits, equal = tool.try_job("prepare", job, 3, np.random.default_rng(0), tmp_path)
    assert hits >= equal == 3


def test_what_a_kill_damages_is_found(tool, tmp_path, capsys, monkeypatch):
    def append(folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        for _ in range(20):
            with (folder / "log").open("a") as file:  # a second run writes behind what the first one left
                file.write("line\n")
            time.sleep(0.002)

    monkeypatch.setattr(tool.tempfile, "mkdtemp", lambda prefix: str(tmp_path / prefix))
    job = tool.Job(append, tool.digests("*"))
    hits, equal = tool.try_job("append", job, 3, np.random.default_rng(0), tmp_path)
    assert hits >= 3 > equal
    assert "append 0: differs" in capsys.readouterr().out
