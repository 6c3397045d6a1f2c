# SPDX-License-Identifier: Apache-2.0
"""Memory that one step frees and the next one uses."""

import platform
import subprocess
import sys

import pytest

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


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="no glibc, which alone has these settings")
def test_steps_get_no_new_pages_and_the_memory_is_given_back(environment):
    result = subprocess.run(
        [sys.executable, "-c", STEPS], env=environment, capture_output=True, text=True, check=True
    )
    before, kept, given_back, after = map(int, result.stdout.split())
    assert kept < 0.02 * before and after > 0.15 * before  # at least what was given back
    assert given_back > 80e6
