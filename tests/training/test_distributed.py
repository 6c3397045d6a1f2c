# SPDX-License-Identifier: Apache-2.0
"""Two real processes on the CPU."""

import subprocess
import sys
from pathlib import Path

import torch


def test_replicas_stay_equal_when_a_frozen_encoder_is_freed(prepared, tmp_path, script_environment):
    worker = Path(__file__).with_name("replicas.py")
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--master_port=29612"]
    done = subprocess.run(
        [*launch, str(worker), str(prepared), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=200,
        env=script_environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = torch.load(tmp_path / "found.pt")
    assert len(found["replicas"]) == 2
    assert torch.equal(*found["replicas"])
    assert found["moved"] > 1e-4  # it did move once it was freed
