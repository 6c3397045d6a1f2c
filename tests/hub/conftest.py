# SPDX-License-Identifier: Apache-2.0
"""A Hub on this machine, and interpreters that talk to it: with eeg_hf, and without."""

import os
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from hub_server import HubServer  # noqa: E402

TOKEN = "hf_goodToken123"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubServer]:
    with HubServer(tmp_path_factory.mktemp("hub"), users={TOKEN: "org"}) as server:
        yield server


@pytest.fixture(scope="session")
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an interpreter with every library but eeg_hf, whose link to the source it lacks."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    own = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    libraries = Path(sysconfig.get_path("purelib"))
    (Path(own) / "libraries.pth").write_text(f"{libraries}\n")
    for mend in libraries.glob("_torchvision*.pth"):  # `make install` puts it there beside a CPU-only torch
        (Path(own) / f"x{mend.name}").write_text(mend.read_text())
    bare = folder / "bare_python"  # without the PYTHONPATH that may have brought eeg_hf into this process
    bare.write_text(f'#!/bin/sh\nunset PYTHONPATH\nexec {python} "$@"\n')
    bare.chmod(0o755)
    missing = subprocess.run([bare, "-c", "import torch, transformers, mne, eeg_hf"], capture_output=True)
    assert b"No module named 'eeg_hf'" in missing.stderr, missing.stderr
    return bare


Client = Callable[..., str]


def make_client(hub: HubServer, folder: Path) -> Client:
    """Return a function that runs code in an interpreter of its own, in a folder, talking to the Hub."""

    def run(
        code: str, python: Path | str = sys.executable, token: str | None = TOKEN, home: str = "home"
    ) -> str:
        environment = {k: v for k, v in os.environ.items() if k not in ("HF_TOKEN", "HF_HUB_OFFLINE")}
        environment.update(hub.environment(folder / home, token), OMP_NUM_THREADS="1")
        done = subprocess.run(
            [python, "-c", code], env=environment, cwd=folder, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
        assert TOKEN not in done.stdout + done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="module")
def client(hub: HubServer, tmp_path_factory: pytest.TempPathFactory) -> Client:
    """Return a client that works in one folder for all tests of a module."""
    return make_client(hub, tmp_path_factory.mktemp("client"))
