# SPDX-License-Identifier: Apache-2.0
"""Pauses and lost samples, in whatever way a format states them."""

from pathlib import Path

import numpy as np
import pytest

from eeg_hf.corpora.recordings.formats import read_recording
from eeg_hf.corpora.recordings.gaps import persyst_joins

RATE = 250.0


def boundaries(raw) -> list[float]:
    return [round(mark["onset"], 4) for mark in raw.annotations if mark["description"] == "BAD boundary"]


def write_openbci(path: Path, kept: np.ndarray, clock: bool = True, wraps: int = 256) -> Path:
    """Write a text of OpenBCI's program with the kept samples of a recording."""
    rng = np.random.default_rng(0)
    lines = ["%OpenBCI Raw EXG Data", "%Sample Rate = 250 Hz"]
    lines.append("Sample Index, EXG Channel 0, EXG Channel 1" + (", Timestamp" if clock else ""))
    for sample in kept:
        a, b = 20 * rng.normal(size=2)
        stamp = f", {1.6e9 + sample / RATE:.4f}" if clock else ""
        lines.append(f"{sample % wraps}, {a:.2f}, {b:.2f}{stamp}")
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("clock", [True, False])
def test_packets_lost_by_the_counter_are_boundaries(tmp_path, clock):
    kept = np.setdiff1d(np.arange(2000), [100, 500, 501, 502, 1279, 1280])  # the last two around a wrap
    with pytest.warns(RuntimeWarning, match="misses samples at 3 places, by its sample numbers"):
        raw = read_recording(write_openbci(tmp_path / "a.txt", kept, clock), sampling_rate=RATE, unit="uV")
    assert raw.ch_names == ["EXG Channel 0", "EXG Channel 1"]
    assert boundaries(raw) == [100 / RATE, 499 / RATE, 1275 / RATE]


def test_one_sample_in_twelve_lost_is_still_a_counter_and_not_a_channel(tmp_path):
    kept = np.flatnonzero(np.arange(2000) % 12 != 5)
    with pytest.warns(RuntimeWarning, match="misses samples at 167 places"):
        raw = read_recording(write_openbci(tmp_path / "a.txt", kept), sampling_rate=RATE, unit="uV")
    assert len(raw.ch_names) == 2 and len(boundaries(raw)) == 167


def test_nothing_lost_gives_no_boundary(tmp_path, recwarn):
    raw = read_recording(
        write_openbci(tmp_path / "a.txt", np.arange(2000), wraps=200), sampling_rate=RATE, unit="uV"
    )
    assert boundaries(raw) == [] and not [w for w in recwarn if w.category is RuntimeWarning]


@pytest.mark.parametrize("decimals", [3, 4])
def test_a_regular_clock_shows_a_single_lost_sample(tmp_path, decimals):
    kept = np.setdiff1d(np.arange(1000), [300])
    rows = [f"{s / RATE:.{decimals}f},{np.sin(s):.4f},{np.cos(s):.4f}" for s in kept]
    path = tmp_path / "a.csv"
    path.write_text("time,C3,C4\n" + "\n".join(rows) + "\n")
    with pytest.warns(RuntimeWarning, match="misses samples at 1 places, by its times"):
        raw = read_recording(path, sampling_rate=RATE, unit="uV")
    assert boundaries(raw) == [300 / RATE]


def test_a_clock_of_packets_is_no_loss(tmp_path, recwarn):
    stamps = np.arange(1000) // 10 * 10 / RATE  # ten samples arrive together
    rows = [f"{stamp:.3f},{np.sin(i):.4f},{np.cos(i):.4f}" for i, stamp in enumerate(stamps)]
    path = tmp_path / "a.csv"
    path.write_text("time,C3,C4\n" + "\n".join(rows) + "\n")
    assert boundaries(read_recording(path, sampling_rate=RATE, unit="uV")) == []
    assert not [w for w in recwarn if w.category is RuntimeWarning]


def test_pauses_of_persyst_are_in_its_sample_times(tmp_path):
    path = tmp_path / "a.lay"
    path.write_text(
        "[FileInfo]\nFile=a.dat\n[SampleTimes]\n0=36000.0\n2560=36010.0\n5120=36500.5\n[Other]\n9=9\n"
    )
    assert persyst_joins(path, 256.0) == [20.0]
