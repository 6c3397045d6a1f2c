# SPDX-License-Identifier: Apache-2.0
"""Memory that one step frees and the next one uses."""

import platform
import subprocess
import sys

import pytest

GLIBC = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="no glibc, which alone has these settings"
)
STEPS = """
import resource, sys
import torch
from eeg_hf.kept_memory import kept_memory

def count_faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        blocks = [torch.ones(size) for size in (10_000_000, 2_000_000, 2_000_000, 9_000_000)]  # 92 MB
        del blocks
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()

before = count_faults()
with kept_memory():
    with kept_memory():  # as an evaluation within a training
        count_faults()
    kept = count_faults()
    held = resident()
print(before, kept, held - resident(), count_faults())
"""


@GLIBC
def test_steps_get_no_new_pages_and_the_memory_is_given_back(environment):
    before, kept, given_back, after = count(environment)
    assert kept < 0.02 * before and after > 0.15 * before  # at least what was given back
    assert given_back > 80e6


@GLIBC
@pytest.mark.parametrize(
    ("variable", "value"),
    [("MALLOC_MMAP_THRESHOLD_", "1000000"), ("GLIBC_TUNABLES", "glibc.malloc.mmap_threshold=1000000")],
)
def test_what_the_environment_says_of_memory_is_left_alone(environment, variable, value):
    before, kept, given_back, _ = count({**environment, variable: value})
    assert kept > 0.9 * before and given_back < 10e6


def count(environment):
    """Return page faults before and within the context, bytes given back at its end, and faults after it."""
    result = subprocess.run(
        [sys.executable, "-c", STEPS], env=environment, capture_output=True, text=True, check=True
    )
    return map(int, result.stdout.split())
