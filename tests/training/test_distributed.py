# SPDX-License-Identifier: Apache-2.0
"""Two real processes on the CPU."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.training.gathered_losses import LOSSES, draw_windows, find


@pytest.fixture(scope="module")
def found_by_two(prepared, environment, tmp_path_factory):
    """Return the folder that two processes have written to."""
    folder = tmp_path_factory.mktemp("two_processes")
    script = Path(__file__).with_name("two_processes.py")
    done = subprocess.run(
        [sys.executable, str(script), str(prepared), str(folder)],
        capture_output=True,
        text=True,
        timeout=200,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def test_replicas_stay_equal_when_a_frozen_encoder_is_freed(found_by_two):
    found = torch.load(found_by_two / "replicas.pt")
    assert len(found["replicas"]) == 2
    assert torch.equal(*found["replicas"])
    assert found["moved"] > 1e-4  # it did move once it was freed


@pytest.mark.parametrize("loss", LOSSES)
def test_two_processes_of_8_contrast_as_one_of_16(found_by_two, loss):
    expected = find(loss, draw_windows())
    assert expected["loss"] > 0.1
    assert expected["contrast.temperature.log_temperature"].abs() > 1e-3
    found = torch.load(found_by_two / "gathered.pt")[loss]
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, atol=1e-6, rtol=1e-4, msg=name)
