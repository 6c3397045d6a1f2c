# SPDX-License-Identifier: Apache-2.0
"""What several tests share: a small prepared corpus, and a way to run the scripts."""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no test may wait for a hub that is not there


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    """Return the folder of a prepared simulated corpus: 6 people, two conditions of 20 s, windows of 2 s."""
    from eeg_hf import EEGFeatureExtractor
    from eeg_hf.corpora import Simulated, prepare

    folder = tmp_path_factory.mktemp("prepared")
    corpus = Simulated(num_subjects=6, seconds=20)
    prepare(corpus, corpus.locate(), folder, EEGFeatureExtractor(window_seconds=2.0))
    return folder


@pytest.fixture(scope="session")
def script_environment(tmp_path_factory):
    """Return the environment of a script run by a test: one thread, its own cache."""
    cache = tmp_path_factory.mktemp("hf_home")
    return {**os.environ, "OMP_NUM_THREADS": "1", "HF_HOME": str(cache), "TOKENIZERS_PARALLELISM": "false"}


@pytest.fixture(scope="session")
def run_script(script_environment):
    """Return a function that runs one of the scripts and returns the finished process."""

    def run(name, *arguments, launcher=(), check=True, environment=script_environment):
        command = [sys.executable, *launcher, str(ROOT / "scripts" / name), *map(str, arguments)]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=300, env=environment, check=False
        )
        if check and done.returncode:
            raise AssertionError(
                f"{name} ended with {done.returncode}:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
            )
        return done

    return run


@pytest.fixture
def fail_script(monkeypatch, capfd, caplog):
    """Return a function that runs a script here, which must fail, and returns its last line and exit code."""

    def run(name, *arguments):
        path = ROOT / "scripts" / name
        monkeypatch.setattr(sys, "argv", [str(path), *map(str, arguments)])
        # Last: beside the script stands evaluate.py, which is not the library of that name.
        monkeypatch.setattr(sys, "path", [*sys.path, str(path.parent)])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(path), run_name="__main__")
        shown = capfd.readouterr().err + "\n".join(record.getMessage() for record in caplog.records)
        assert "Traceback" not in shown
        return shown.strip().splitlines()[-1], ended.value.code

    return run
