# SPDX-License-Identifier: Apache-2.0
"""The audit of recordings, before they are prepared."""

import json
import re
from pathlib import Path

import mne
import numpy as np
import pytest
from tests.commands import fail_command, run_command

from eeg_hf.corpora import FolderCorpus, audit_recordings
from eeg_hf.corpora.recordings.format_facts import FORMATS, table_of_formats
from eeg_hf.corpora.recordings.formats import EXTENSIONS, TABLE_EXTENSIONS

NAMES = ["Fp1", "Fp2", "C3", "C4", "O1", "O2"]


def write(path: Path, names=NAMES, scale: float = 1.0, rate: float = 200.0) -> None:
    samples = 20e-6 * np.random.default_rng(0).normal(size=(len(names), round(40 * rate)))
    samples[:, 1:] = 0.5 * (samples[:, 1:] + samples[:, :-1])
    raw = mne.io.RawArray(samples * scale, mne.create_info(names, rate, "eeg"), verbose="ERROR")
    marks = [(5.0, 0.0, "cue"), (9.0, 0.0, "cue"), (20.0, 3.0, "BAD_ACQ_SKIP"), (30.0, 1.5, "BAD blink")]
    raw.set_annotations(mne.Annotations(*zip(*marks, strict=True)))
    raw.save(path, verbose="ERROR")


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    root = tmp_path / "lab"
    root.mkdir()
    write(root / "S01_raw.fif")
    write(root / "S02_raw.fif", names=["Fp1", "Fp2", "C3", "C4", "X1", "X2"], rate=250.0)
    write(root / "S03_raw.fif", scale=1e6)
    (root / "S04.edf").write_bytes(b"0       " + b"x" * 300)
    return root


def test_each_recording_is_described(lab):
    found = audit_recordings(FolderCorpus(), lab)
    good, other, slipped, damaged = found.rows
    assert (good.path, good.format, good.subject) == ("S01_raw.fif", "FIF", "S01")
    assert (good.sampling_rate, good.seconds, good.channels) == (200.0, 40.0, {"eeg": 6})
    assert (good.gaps, good.bad_seconds, good.events) == (1, 4.5, {"cue": 2})
    assert good.positions == "names" and good.unit_factor == 1.0 and good.reason is None
    assert 5 < good.median_uv < 20 and good.quality > 0.8
    assert other.positions == "unknown: X1, X2" and other.sampling_rate == 250.0
    assert slipped.unit_factor == 1e-6 and slipped.median_uv == pytest.approx(good.median_uv)
    assert "damaged EDF header" in damaged.reason and damaged.quality is None
    said = " ".join(found.warnings)
    assert "1 of 4 recordings cannot be used" in said and "2 sampling rates" in said
    assert "the unit of 1 recordings is not the one stated, such as S03_raw.fif" in said


def test_the_command_tells_recordings_from_windows(lab, prepared, tmp_path):
    printed = run_command("audit", lab, "--output", tmp_path / "audit.json")
    assert printed.split()[:2] == ["recording", "format"] and "S04.edf: S04.edf has a damaged EDF" in printed
    rows = json.loads((tmp_path / "audit.json").read_text())["recordings"]
    assert [row["path"] for row in rows] == ["S01_raw.fif", "S02_raw.fif", "S03_raw.fif", "S04.edf"]
    assert "expected prepared corpora, or one folder of recordings" in fail_command("audit", lab, prepared)
    (tmp_path / "empty").mkdir()
    assert "empty holds none" in fail_command("audit", tmp_path / "empty")


def test_every_extension_belongs_to_one_format():
    listed = [extension for each in FORMATS for extension in each.extensions]
    assert set(listed) == {*EXTENSIONS, *TABLE_EXTENSIONS}
    assert {extension for extension in listed if listed.count(extension) > 1} == {".cnt"}


def test_the_documents_show_the_table_of_the_code():
    text = (Path(__file__).parents[3] / "docs" / "formats.md").read_text(encoding="utf-8")
    assert table_of_formats() in text
    assert not re.search(r"\| *\|", table_of_formats())
