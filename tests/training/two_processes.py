# SPDX-License-Identifier: Apache-2.0
"""Run by test_distributed.py on two processes, which start once for all."""

import sys
from pathlib import Path

import gathered_losses
import replicas
import torch

if __name__ == "__main__":
    output_dir = Path(sys.argv[2])
    replicas.main(Path(sys.argv[1]), output_dir)  # Trainer joins the processes
    gathered_losses.main(output_dir / "gathered.pt")
    torch.distributed.destroy_process_group()
