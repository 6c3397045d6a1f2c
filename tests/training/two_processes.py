# SPDX-License-Identifier: Apache-2.0
"""Run by test_distributed.py: two processes, forks of this one, so that the libraries are imported once."""

import os
import sys
from pathlib import Path

import gathered_losses
import replicas
import torch


def work(prepared: Path, output_dir: Path) -> None:
    """Do the work of one process."""
    replicas.main(prepared, output_dir)  # Trainer joins the processes
    gathered_losses.main(output_dir / "gathered.pt")
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29612", "WORLD_SIZE": "2"}
    children = []
    for rank in ("0", "1"):
        child = os.fork()
        if not child:
            os.environ |= {"RANK": rank, "LOCAL_RANK": rank}
            work(Path(sys.argv[1]), Path(sys.argv[2]))
            os._exit(0)
        children.append(child)
    statuses = [os.waitpid(child, 0)[1] for child in children]
    sys.exit(int(any(statuses)))
