# SPDX-License-Identifier: Apache-2.0
"""A small part of the fuzzing: a few damaged files of every format, with fixed seeds, in this process."""

import signal
import warnings
from pathlib import Path

import pytest
from tests.tools.loading import load_tool

ROOT = Path(__file__).parents[2]
IN_PROCESS = (
    "a.edf",
    "plus.edf",
    "a.bdf",
    "a_raw.fif",
    "a.vhdr",
    "a.set",
    "b.set",
    "two.gdf",
    "a.raw",
    "a.csv",
)
IN_PROCESS += ("a.parquet", "x.xdf", "p.lay", "nc.cnt", "nk.eeg", "o.txt", "h.set", "l.data")


@pytest.fixture(scope="module")
def tool():
    return load_tool("fuzz_readers")


class Hangs(BaseException):
    """Not an Exception, so that no reader catches it."""


@pytest.fixture
def limit():
    def stop(*_: object) -> None:
        raise Hangs

    signal.signal(signal.SIGPROF, stop)
    yield lambda: signal.setitimer(signal.ITIMER_PROF, 5.0)
    signal.setitimer(signal.ITIMER_PROF, 0)


def test_damaged_files_are_read_sanely_or_refused_in_one_line(tool, tmp_path, limit):
    (tmp_path / "whole").mkdir()
    names = tool.write_originals(tmp_path / "whole", IN_PROCESS)
    assert len(names) >= 14
    faults, found = [], set()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in names:
            limit()
            category, why = tool.judge(tool.make(tmp_path / "whole", name, 2, tmp_path / "damaged"))
            found.add(category)
            if category not in ("read", "refused"):
                faults.append(f"{name} {category} {why}")
    assert not faults and found == {"read", "refused"}


def test_the_same_seed_gives_the_same_damage(tool, tmp_path):
    (tmp_path / "whole" / "a.edf").mkdir(parents=True)
    (tmp_path / "whole" / "a.edf" / "a.edf").write_bytes(bytes(range(256)) * 10)
    made = [
        tool.make(tmp_path / "whole", "a.edf", seed, tmp_path / "damaged").read_bytes() for seed in (3, 3, 4)
    ]
    assert made[0] == made[1] != made[2] != bytes(range(256)) * 10


@pytest.mark.parametrize(
    ("error", "category"),
    [
        (ValueError("s7.edf is damaged"), "refused"),
        (ValueError("is damaged"), "traceback"),
        (ValueError("s7.edf is\ndamaged"), "traceback"),
        (KeyError("a"), "traceback"),
        (MemoryError("s7.edf is too large"), "refused"),
    ],
)
def test_what_counts_as_a_refusal(tool, error, category):
    assert tool._judge_error(error, Path("s7.edf"))[0] == category
