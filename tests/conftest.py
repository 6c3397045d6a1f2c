# SPDX-License-Identifier: Apache-2.0
"""What several tests share: a small prepared corpus, and a way to run the scripts."""

import contextlib
import importlib
import io
import logging
import os
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
    prepare(corpus, folder, EEGFeatureExtractor(window_seconds=2.0))
    return folder


@pytest.fixture(scope="session")
def script_environment(tmp_path_factory):
    """Return the environment of a script run by a test: one thread, its own cache."""
    cache = tmp_path_factory.mktemp("hf_home")
    return {**os.environ, "OMP_NUM_THREADS": "1", "HF_HOME": str(cache), "TOKENIZERS_PARALLELISM": "false"}


@pytest.fixture(scope="session")
def run_script(script_environment):
    """Return a function that runs a command and returns what it printed.

    It runs in this process, unless the test wants another launcher or environment: importing torch takes seconds.
    """

    def run(name, *arguments, launcher=(), check=True, environment=None):
        words = [str(word) for word in arguments]
        verb = name.removesuffix(".py")
        if not launcher and environment is None and check:
            return run_here(verb, words)
        done = subprocess.run(
            [sys.executable, *launcher, str(ROOT / "scripts" / f"{verb}.py"), *words],
            capture_output=True,
            text=True,
            timeout=300,
            env=environment or script_environment,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(
                f"{name} ended with {done.returncode}:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
            )
        return done

    return run


def run_here(verb, words):
    """Run a command in this process; a failure is an AssertionError with what it printed."""
    out, err = io.StringIO(), io.StringIO()
    handler = logging.StreamHandler(err)
    loggers = [logging.getLogger(name) for name in ("transformers", "eeg_hf")]
    for logger in loggers:
        logger.addHandler(handler)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            importlib.import_module(f"eeg_hf.cli.{verb}").main(words)
    except SystemExit as ended:
        raise AssertionError(
            f"eeg-hf {verb} ended with {ended.code}:\n{out.getvalue()[-2000:]}\n{err.getvalue()[-4000:]}"
        ) from ended
    finally:
        for logger in loggers:
            logger.removeHandler(handler)
    return subprocess.CompletedProcess([verb, *words], 0, out.getvalue(), err.getvalue())


@pytest.fixture
def fail_script(capfd):
    """Return a function that runs a command here, which must fail, and returns its last line and exit code."""

    def run(name, *arguments):
        verb = name.removesuffix(".py")
        with pytest.raises(SystemExit) as ended:
            importlib.import_module(f"eeg_hf.cli.{verb}").main([str(word) for word in arguments])
        shown = capfd.readouterr().err
        assert "Traceback" not in shown
        return shown.strip().splitlines()[-1], ended.value.code

    return run
