# SPDX-License-Identifier: Apache-2.0
"""Headers made to take quadratic time are refused or read at once, for which a naive reader needs hours."""

import signal
from pathlib import Path

import pytest

from eeg_hf.corpora.recordings.formats import companions, read_recording
from eeg_hf.corpora.recordings.gaps import persyst_joins
from eeg_hf.corpora.recordings.recording_files import state_of
from eeg_hf.corpora.recordings.signal_header import _clock, read_edf_header
from eeg_hf.processing.channels import canonical_names
from tests.corpora.mutations import export
from tests.corpora.test_amplifier_formats import write_curry, write_persyst

MILLION = 10**6


class Slow(BaseException):
    """Not an Exception, so that no reader catches it."""


@pytest.fixture(autouse=True)
def limit():
    """End a test after five seconds of CPU time."""

    def stop(*_: object) -> None:
        raise Slow

    signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, 5.0)
    yield
    signal.setitimer(signal.ITIMER_PROF, 0)


@pytest.mark.parametrize(
    "line",
    ["DataFile=" + " " * MILLION + "x", "\n" * MILLION, "a" * MILLION, " " * MILLION, "Mk1=" * MILLION],
)
@pytest.mark.parametrize("extension", [".vhdr", ".vmrk"])
def test_brainvision(tmp_path, line, extension):
    export(tmp_path / "a.vhdr", "brainvision", True)
    text = (tmp_path / f"a{extension}").read_text()
    (tmp_path / f"a{extension}").write_text(text.replace("DataFile=a.eeg", f"{line}\nDataFile=a.eeg"))
    assert companions(tmp_path / "a.vhdr") == [tmp_path / "a.eeg", tmp_path / "a.vmrk"]
    state_of(tmp_path / "a.vhdr")


@pytest.mark.parametrize("line", ["\n" * MILLION, "File=" + " " * MILLION + "x", "[SampleTimes]\n" * 100_000])
def test_persyst(tmp_path, line):
    path = write_persyst(tmp_path / "a.lay")
    path.write_text(path.read_text() + line + "\nFile=a.dat\n")
    assert companions(path) == [tmp_path / "a.dat"]
    assert persyst_joins(path, 128.0) == []


def test_curry(tmp_path):
    path = write_curry(tmp_path / "a.cdt")
    header = path.with_name("a.cdt.dpa")
    header.write_text("\n" * MILLION + "a" * MILLION)
    with pytest.raises(ValueError, match="a.cdt has a damaged Curry header"):
        read_recording(path)


def test_annotations_of_edf(tmp_path):
    path = tmp_path / "a.edf"
    size = 2 * 250_000
    head = (
        b"0".ljust(184) + b"768".ljust(8) + b"EDF+D".ljust(44) + b"1".ljust(8) + b"1".ljust(8) + b"2".ljust(4)
    )
    fields = [(b"EDF Annotations", b"Cz", 16), (b"", b"", 80), (b"", b"uV", 8), (b"-1", b"-200", 8)]
    fields += [(b"1", b"200", 8), (b"-32768", b"-32768", 8), (b"32767", b"32767", 8), (b"", b"", 80)]
    fields += [(str(size // 2).encode(), b"128", 8), (b"", b"", 32)]
    head += b"".join(each.ljust(width) for first, second, width in fields for each in (first, second))
    path.write_bytes(head + (b"+1\x14" * size)[:size] + bytes(256))
    with pytest.raises(ValueError, match="record 0 has no time"):
        _clock(read_edf_header(path), 1)


@pytest.mark.parametrize("piece", ["A", "EEG ", "-", "A0", "Fp1-", " ", "EOG", "0", "LINKED "])
def test_names_of_channels(piece):
    canonical_names(["Fp1", piece * (200_000 // len(piece)), "A" + piece * 200_000 + "!"])


def test_a_header_of_a_hundred_megabytes_is_none(tmp_path: Path):
    with (tmp_path / "a.vhdr").open("wb") as file:
        file.write(b"Brain Vision Data Exchange Header File Version 1.0\n")
        file.truncate(100 * MILLION)
    with pytest.raises(ValueError, match="a.vhdr has 100000000 bytes, too many for a text header"):
        companions(tmp_path / "a.vhdr")
