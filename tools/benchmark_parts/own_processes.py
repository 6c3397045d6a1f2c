# SPDX-License-Identifier: Apache-2.0
"""Pieces of work that take turns but share no memory: each in a process of its own, as its users have it."""

import contextlib
import multiprocessing
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

import torch

from benchmark_parts.timing import Work
from eeg_hf.kept_memory import kept_memory

_REPEATS = 3  # of a work in its turn


@dataclass(frozen=True)
class Made:
    """A piece of work, or none where it could not be made, and what there is to say of it."""

    work: Work | None
    about: Any = None


@dataclass(frozen=True)
class Maker:
    """How to make a piece of work in another process.

    Attributes:
        make: Makes it; known by name to a new process, as the arguments are.
        arguments: Of `make`.
        keeps_memory: Whether the process keeps what it frees, as `EEGTrainer` does.
    """

    make: Callable[..., Made]
    arguments: tuple[Any, ...] = field(default=())
    keeps_memory: bool = False


def race_elsewhere(makers: Mapping[str, Maker], turns: int) -> tuple[dict[str, list[float]], dict[str, Any]]:
    """Time pieces of work in turn, each in a process of its own; every other turn goes backwards.

    Returns:
        Seconds of each turn of what could be made, and what there is to say of each.
    """
    context = multiprocessing.get_context("spawn")
    started: dict[str, tuple[BaseProcess, Connection]] = {}
    for name, maker in makers.items():  # all import at once, and make their work one after the other
        ours, theirs = context.Pipe()
        arguments = (maker, torch.get_num_threads(), theirs)
        process = context.Process(target=_serve, args=arguments, daemon=True)
        process.start()
        started[name] = process, ours
    try:
        made = {name: _ask(connection) for name, (_, connection) in started.items()}
        seconds: dict[str, list[float]] = {name: [] for name, (is_made, _) in made.items() if is_made}
        for turn in range(turns):
            for name in seconds if turn % 2 == 0 else reversed([*seconds]):
                seconds[name].append(_ask(started[name][1]))
    finally:
        for process, _ in started.values():
            process.kill()
            process.join()
    return seconds, {name: about for name, (_, about) in made.items()}


def _ask(connection: Connection) -> Any:
    connection.send("go")
    return connection.recv()


def _serve(maker: Maker, num_threads: int, connection: Connection) -> None:
    """Make the work, say so, and return the seconds that it takes whenever asked."""
    torch.set_num_threads(num_threads)
    torch.manual_seed(0)
    with kept_memory() if maker.keeps_memory else contextlib.nullcontext():
        connection.recv()
        made = maker.make(*maker.arguments)
        connection.send((made.work is not None, made.about))
        while (work := made.work) is not None:
            connection.recv()
            work()  # threads and caches wake up
            started = time.perf_counter()
            for _ in range(_REPEATS):
                work()
            connection.send((time.perf_counter() - started) / _REPEATS)
