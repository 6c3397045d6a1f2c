# SPDX-License-Identifier: Apache-2.0
"""More than 500 damaged files: each is read sanely, or refused in one line that names it."""

import resource
import signal
from pathlib import Path

import numpy as np
import pytest
import scipy.signal  # noqa: F401  # MNE imports it where rates differ, which takes a second

from eeg_hf.corpora.recordings.formats import read_recording
from tests.corpora.mutations import NAMES, RATE, TABLE, WRITERS, copy, hostile, sines

ALLOWED = (ValueError, FileNotFoundError, ImportError, OSError)
FRAGILE = [name for name in WRITERS if not name.endswith(".csv")]


class Hangs(BaseException):
    """Not an Exception, so that no reader catches it."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    for name, write in WRITERS.items():
        write(folder / name)
    return folder


@pytest.mark.parametrize("name", WRITERS)
def test_whole_files_give_the_sines_in_volts(whole, name):
    raw = read_recording(whole / name, **TABLE.get(Path(name).suffix, {}))
    data = raw.get_data(picks="eeg")[:3]
    assert raw.info["sfreq"] == RATE
    tolerance = 200e-6 / 2**15 if name.endswith((".edf", ".bdf")) else 1e-8
    assert np.abs(data[:, : sines().shape[1]] - sines()).max() < tolerance
    if not name.endswith(".raw"):
        assert raw.ch_names[:3] == NAMES


def outcome(path: Path) -> str:
    """Read a file within two seconds of CPU time; return the outcome."""

    def stop(*_: object) -> None:
        raise Hangs(path)

    signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, 2.0)
    try:
        raw = read_recording(path, **TABLE.get(path.suffix, {}))
        data = raw.get_data(verbose="ERROR")
    except ALLOWED as error:
        message = str(error)
        assert path.name in message or path.stem in message, message
        assert "\n" not in message, message
        return "refused"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    assert np.isfinite(raw.info["sfreq"]) and raw.info["sfreq"] > 0
    assert data.shape == (len(raw.ch_names), raw.n_times) and 0 < data.size < 10**7
    return "read"


def test_damaged_files_are_refused_or_read_sanely(whole, tmp_path):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    failures, outcomes = [], {}
    for how, path in hostile(whole, tmp_path):
        try:
            outcomes[how] = outcome(path)
        except (Exception, Hangs) as error:
            failures.append(f"{how}: {type(error).__name__} {error}")
    assert not failures, f"{len(failures)} of {len(outcomes)}: " + "\n".join(failures)
    assert len(outcomes) >= 500
    silent = [
        how
        for how, result in outcomes.items()
        if result == "read" and how.split()[-1].startswith(("first", "share", "last", "missing", "crlf"))
    ]
    # Lines of a text file can be lost without a trace, and its lines may have either ending.
    text = ("a.csv", "a.vhdr last", "a.vhdr crlf", "a.vhdr .vmrk")
    assert not [how for how in silent if not how.startswith(text) or how.endswith("missing")], silent
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024 < 300


@pytest.mark.parametrize("field", [b"\0\0\0\0", b"\xff\xff\xff\x7f", b"\1\0\0\0"])
def test_no_number_in_a_matlab_file_ends_the_process(whole, tmp_path, field):
    content = (whole / "b.set").read_bytes()  # scipy crashes on some of these with a segmentation fault
    path = copy(whole, tmp_path, "b.set")
    for at in range(128, len(content), 4):
        path.write_bytes(content[:at] + field + content[at + 4 :])
        outcome(path)


@pytest.mark.parametrize("name", FRAGILE)
def test_a_truncated_file_says_that_it_is(whole, tmp_path, name):
    path = copy(whole, tmp_path, name)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 3 // 4])
    with pytest.raises(ValueError, match=path.name):
        read_recording(path, **TABLE.get(path.suffix, {}))
