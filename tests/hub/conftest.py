# SPDX-License-Identifier: Apache-2.0
"""A Hub on this machine, and interpreters that talk to it: with eeg_hf, and without."""

import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from hub_server import HubServer  # noqa: E402
from interpreters import TOKEN, Interpreter  # noqa: E402


@pytest.fixture(scope="session")
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


@pytest.fixture(scope="session")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that both interpreters work in."""
    return tmp_path_factory.mktemp("workplace")


@pytest.fixture(scope="session")
def client(hub: HubServer, workplace: Path) -> Iterator[Interpreter]:
    """Return an interpreter with eeg_hf that talks to the Hub."""
    with Interpreter(sys.executable, workplace, hub.environment(workplace / "home", None)) as started:
        yield started


@pytest.fixture(scope="session")
def bare(hub: HubServer, workplace: Path, bare_python: Path) -> Iterator[Interpreter]:
    """Return an interpreter without eeg_hf that talks to the Hub, with a cache of its own."""
    with Interpreter(bare_python, workplace, hub.environment(workplace / "bare", None)) as started:
        yield started
