# SPDX-License-Identifier: Apache-2.0
"""Two processes that pretrain together, beside one that does so alone, each on one thread.

They exchange gradients as Trainer has them do. The first process also trains a model of its own while the
second one waits, in turns, so that both speeds are of the same minutes.
"""

import json
import os
import socket
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import distributed
from torch.multiprocessing import start_processes
from transformers import TrainingArguments

from benchmark_parts.cost import cost_of_training
from benchmark_parts.models import SIZES, build_config, make_batch
from benchmark_parts.timing import BenchmarkArguments, Row, Timing, Work, race_all, repeat_training
from eeg_hf import EEGFoundationForPreTraining
from eeg_hf.training import EEGTrainer

PROCESSES = 2
STEPS_A_TURN = {"tiny": 10, "small": 1}  # about a second
DROPOUT = 0.1


def measure_distributed(args: BenchmarkArguments) -> list[Row]:
    """Pretrain on the CPU by one process and by two; tell what a large corpus would cost."""
    rows = []
    for size in args.sizes:
        with TemporaryDirectory() as folder:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                port = free.getsockname()[1]
            settings = (port, size, args.batch_size, args.pairs, Path(folder))
            start_processes(train_in_turns, settings, nprocs=PROCESSES, start_method="spawn")
            found = json.loads((Path(folder) / "found.json").read_text())
        # One process alone does half the work of two
        timing = Timing(found["two"], [PROCESSES * seconds for seconds in found["one"]])
        windows = PROCESSES * STEPS_A_TURN[size] * args.batch_size
        what = f"pretrain {size}, two processes of one thread"
        row = timing.row(what, windows, "windows/s", "one process of one thread", "≥ 1.8")
        assert row.ratio is not None and row.peer is not None
        cost = (row.peer, args.batch_size, row.ratio, found["gradient_bytes"], args.network_gbit)
        rows += [row, *cost_of_training(size, *cost)]
    return rows


def train_in_turns(rank: int, port: int, size: str, batch_size: int, turns: int, folder: Path) -> None:
    """Train together and alone in turns; the first process writes the seconds of each turn."""
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": PROCESSES, "RANK": rank}
    threads = {"OMP_NUM_THREADS": 1}  # accelerate would take all cores for each process
    os.environ |= {name: str(value) for name, value in {**address, **threads, "LOCAL_RANK": rank}.items()}
    torch.set_num_threads(1)
    torch.manual_seed(rank)
    settings = TrainingArguments(str(folder), use_cpu=True, ddp_backend="gloo", report_to="none")
    own, shared = build_pretraining(size), build_pretraining(size)
    trainer = EEGTrainer(model=shared, args=settings)
    batch, steps = make_batch(batch_size), STEPS_A_TURN[size]
    alone = repeat_steps(own, batch, steps)
    together = repeat_steps(trainer.accelerator.prepare_model(shared), batch, steps)

    def by_the_first() -> None:
        if rank == 0:
            alone()
        distributed.barrier()

    seconds: dict[str, Any] = race_all({"two": together, "one": by_the_first}, turns)
    if rank == 0:
        trained = [each for each in shared.parameters() if each.requires_grad]
        seconds["gradient_bytes"] = sum(each.numel() * each.element_size() for each in trained)
        (folder / "found.json").write_text(json.dumps(seconds))
    distributed.destroy_process_group()


def build_pretraining(size: str) -> EEGFoundationForPreTraining:
    """Return a model for masked pretraining."""
    return EEGFoundationForPreTraining(build_config(SIZES[size], DROPOUT, contrastive_weight=0.0))


def repeat_steps(model: torch.nn.Module, batch: dict[str, torch.Tensor], steps: int) -> Work:
    """Return a function that trains several steps."""
    step = repeat_training(model, lambda: model(**batch).loss)

    def work() -> None:
        for _ in range(steps):
            step()

    return work
