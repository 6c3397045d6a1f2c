# SPDX-License-Identifier: Apache-2.0
"""Memory that one step frees and the next one uses."""

import platform
import subprocess
import sys
from pathlib import Path

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
print(before, kept, held - resident())
"""


@GLIBC
def test_steps_get_no_new_pages_and_the_memory_is_given_back(environment):
    before, kept, given_back = count(environment)
    assert kept < 0.02 * before and given_back > 80e6


HUGE = """
import re, resource, sys
import torch
from eeg_hf.kept_memory import kept_memory

def read(name):
    with open("/proc/self/" + ("status" if name == "VmSize" else "smaps_rollup")) as file:
        return int(re.search(name + ":\\s+(\\d+)", file.read())[1])

if sys.argv[1:] == ["limited"]:
    resource.setrlimit(resource.RLIMIT_AS, (2**36, 2**36))
before = read("VmSize")
with kept_memory():
    reserved = read("VmSize") - before
    with kept_memory():
        more = read("VmSize") - before - reserved
    ones = torch.ones(50_000_000)  # 200 MB
    print(reserved, more, read("AnonHugePages"))
"""


@GLIBC
@pytest.mark.parametrize("is_limited", [False, True])
def test_the_heap_gets_huge_pages_where_addresses_are_free(environment, is_limited):
    switch = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    if not switch.exists() or "[never]" in switch.read_text():
        pytest.skip("the system has no transparent huge pages")
    command = [sys.executable, "-c", HUGE, *(["limited"] if is_limited else [])]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    reserved, more, huge = map(int, result.stdout.split())  # kB
    assert more == 0 and (reserved < 1e5 if is_limited else reserved > 5e5)
    assert is_limited or "[madvise]" not in switch.read_text() or huge > 1e5


@GLIBC
@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("MALLOC_MMAP_THRESHOLD_", "1000000"),
        ("GLIBC_TUNABLES", "glibc.malloc.mmap_threshold=1000000"),
        ("LD_PRELOAD", "libjemalloc.so.2"),  # the linker goes on without it where it is not installed
    ],
)
def test_what_the_environment_says_of_memory_is_left_alone(environment, variable, value):
    before, kept, given_back = count({**environment, variable: value})
    assert kept > 0.5 * before and given_back < 10e6  # glibc alone learns to keep some


def count(environment):
    """Return page faults before and within the context, and bytes given back at its end."""
    result = subprocess.run(
        [sys.executable, "-c", STEPS], env=environment, capture_output=True, text=True, check=True
    )
    return map(int, result.stdout.split())
