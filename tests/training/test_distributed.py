# SPDX-License-Identifier: Apache-2.0
"""Two real processes on the CPU."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.training.gathered_losses import LOSSES, draw_windows, find


def launch(worker, *arguments, environment, port):
    """Run a script beside this one on two processes."""
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", f"--master_port={port}"]
    done = subprocess.run(
        [*command, str(Path(__file__).with_name(worker)), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=200,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]


def test_replicas_stay_equal_when_a_frozen_encoder_is_freed(prepared, tmp_path, environment):
    launch("replicas.py", prepared, tmp_path, environment=environment, port=29612)
    found = torch.load(tmp_path / "found.pt")
    assert len(found["replicas"]) == 2
    assert torch.equal(*found["replicas"])
    assert found["moved"] > 1e-4  # it did move once it was freed


@pytest.fixture(scope="module")
def found_by_two(tmp_path_factory, environment):
    path = tmp_path_factory.mktemp("gathered") / "found.pt"
    launch("gathered_losses.py", path, environment=environment, port=29613)
    return torch.load(path)


@pytest.mark.parametrize("loss", LOSSES)
def test_two_processes_of_8_contrast_as_one_of_16(found_by_two, loss):
    expected = find(loss, draw_windows())
    assert expected["loss"] > 0.1
    assert expected["contrast.temperature.log_temperature"].abs() > 1e-3
    assert found_by_two[loss].keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(found_by_two[loss][name], tensor, atol=1e-6, rtol=1e-4, msg=name)
