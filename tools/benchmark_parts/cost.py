# SPDX-License-Identifier: Apache-2.0
"""What a large corpus costs on one core, on one machine and on several, from figures measured on two cores.

Assumed, and said in each row: every doubling of the processes of a machine costs the share of speed that two
processes were measured to lose; machines are alike; preparing shares nothing; training sends the gradients of
every step around the ring of the processes, and nothing is computed meanwhile.
"""

import math

from benchmark_parts.timing import Row

LARGE_CORPUS_HOURS = 25_000
CORES, MACHINES = 16, 4
WINDOW_SECONDS = 10


def speed_up(processes: int, of_two: float) -> float:
    """Return the speed of processes of one machine, relative to one.

    Args:
        processes: Their number.
        of_two: The speed of two.
    """
    return processes * (of_two / 2) ** math.log2(processes)


def exchange_seconds(gradient_bytes: float, network_gbit: float) -> float:
    """Return how long the link of a machine takes to pass all gradients round a ring, sums and means."""
    return 2 * 8 * gradient_bytes / (network_gbit * 1e9)


def cost_of_preparing(hours_per_core_hour: float, of_two: float | None) -> list[Row]:
    """Return hours on one core, on all cores of a machine and on a Ray cluster.

    Args:
        hours_per_core_hour: EEG that one process prepares in an hour.
        of_two: The speed of two processes, relative to one; None if it was not measured.
    """
    one = LARGE_CORPUS_HOURS / hours_per_core_hour
    machine = one / speed_up(CORES, of_two or 2.0)
    known = f"two processes are {of_two:.3g} x one" if of_two else "assumed: in proportion"
    what = f"prepare {LARGE_CORPUS_HOURS:,} h"
    return [
        Row(f"{what}, one process", one, "h", peer_name="by the speed above"),
        Row(f"{what}, {CORES} processes of one machine", machine, "h", peer_name=known),
        Row(f"{what}, a Ray cluster of {MACHINES} such machines", machine / MACHINES, "h", peer_name=known),
    ]


def cost_of_training(
    size: str, windows_per_second: float, batch_size: int, of_two: float, gradient_bytes: float, gbit: float
) -> list[Row]:
    """Return hours of one pass on one process, on all cores of a machine and on several machines.

    Args:
        size: Name of the model.
        windows_per_second: Windows of 10 s that one process on one core trains on.
        batch_size: Windows in a step of each process.
        of_two: The speed of two processes, relative to one.
        gradient_bytes: Size of all gradients.
        gbit: Gbit/s between machines.
    """
    windows = LARGE_CORPUS_HOURS * 3600 / WINDOW_SECONDS
    step = batch_size / windows_per_second * CORES / speed_up(CORES, of_two)  # seconds, each on a core
    between = step + exchange_seconds(gradient_bytes, gbit)
    hours_of_step = windows / batch_size / 3600  # hours of a pass for each second of a step
    what = f"pretrain {size}, a pass over {LARGE_CORPUS_HOURS:,} h"
    known = f"two processes are {of_two:.3g} x one"
    network = f"{known}; {gradient_bytes / 1e6:,.0f} MB of gradients over an assumed {gbit:g} Gbit/s"
    return [
        Row(f"{what}, one process", windows / windows_per_second / 3600, "h", peer_name="by the speed above"),
        Row(f"{what}, {CORES} processes of one machine", hours_of_step * step / CORES, "h", peer_name=known),
        Row(
            f"{what}, {MACHINES} such machines",
            hours_of_step * between / (CORES * MACHINES),
            "h",
            peer_name=network,
        ),
    ]
