# SPDX-License-Identifier: Apache-2.0
"""What the preparation warned of, changed or guessed is counted by kind, and shown where users look."""

import mne
import numpy as np
import pytest
from tests.commands import run_command

from eeg_hf.corpora.windows.findings import summarize_findings
from eeg_hf.corpora.windows.recording_report import RecordingReport

NOTHING = {
    **{"channels": ["Fz", "Cz"], "renamed_channels": {"EEG Fz": "Fz"}, "dropped_channels": {}},
    **{"bad_channels": {}, "missing_channels": [], "interpolated_channels": [], "reference": "original"},
    **{"is_upsampled": False, "original_sampling_rate": 250.0, "quality": 1.0, "warnings": []},
}


def report(path, warnings=(), **decisions):
    return RecordingReport(
        path, "s", "1", "1", "rest", decisions={**NOTHING, **decisions}, warnings=[*warnings]
    )


@pytest.mark.parametrize(
    ("first", "second", "kind"),
    [
        (
            "clipped: samples lie at the converter's limit in Fz (22%)",
            "clipped: samples lie at the converter's limit in Fz (3%), Cz (41%)",
            "clipped: samples lie at the converter's limit in …",
        ),
        (
            "the recording (1.5 s) is shorter than its filter (6.6 s): the signal is distorted throughout",
            "the recording (2 s) is shorter than its filter (6.6 s): the signal is distorted throughout",
            "the recording (… s) is shorter than its filter (… s): the signal is distorted throughout",
        ),
        (
            "the amplitude shows that the unit is not the one stated: multiplied by 0.001",
            "the amplitude shows that the unit is not the one stated: multiplied by 1e+06",
            "the amplitude shows that the unit is not the one stated: multiplied by …",
        ),
        (
            "unlike the other channels of the reference: Fz (4.1 times as loud as the others)",
            "unlike the other channels of the reference: Fz (8.0 times as loud), Cz (5.2 times)",
            "unlike the other channels of the reference: …",
        ),
        ("a.edf: 12 records are lost", "b.edf: 1,300 records are lost", "…: … records are lost"),
    ],
)
def test_warnings_that_differ_in_numbers_and_names_are_one_kind(first, second, kind):
    found = summarize_findings(
        [report("a.edf", [first]), report("sub/b.edf", warnings=[second]), report("c.edf")]
    )
    assert [(one.kind, one.num_recordings) for one in found] == [(kind, 2)]
    assert found[0].examples == (f"a.edf: {first}", f"sub/b.edf: {second}")


def test_decisions_without_a_warning_are_found_too():
    decided = report(
        "a.edf",
        reference="average",
        bad_channels={"Cz": "flat"},
        dropped_channels={"ECG": "its label says ecg", "M1": "its position is unknown"},
        is_upsampled=True,
        quality=0.31,
    )
    found = {one.kind: str(one) for one in summarize_findings([decided])}
    assert len(found) == 5
    assert "a.edf: 1 electrodes" in found["the average of fewer than 8 electrodes, no neutral reference"]
    assert "a.edf: ECG)" in found["channels left out on the word of their labels"]
    assert "1 recording: bad channels set to zero (such as a.edf: Cz)" in found.values()


def test_nothing_is_said_of_clean_and_of_failed_recordings_without_warnings():
    assert summarize_findings([report("a.edf"), RecordingReport("b.edf", "s", "1", "1", "rest")]) == []


def test_console_and_card_sum_up_what_was_found(tmp_path):
    random = np.random.default_rng(0)
    for name in ("a", "b"):
        signal = random.normal(scale=2e-5, size=(4, 500))
        info = mne.create_info(["Fz", "Cz", "Pz", "Oz"], 250, "eeg")
        (tmp_path / "in").mkdir(exist_ok=True)
        mne.io.RawArray(signal, info, verbose="error").save(
            tmp_path / f"in/sub-{name}_raw.fif", verbose="error"
        )
    words = ("--corpus", "folder", "--data_dir", tmp_path / "in", "--output_dir", tmp_path / "out")
    printed = run_command("prepare", *words, "--window_seconds", 1.0)
    card = (tmp_path / "out/README.md").read_text()
    for text in (
        "2 recordings: the recording (… s) is shorter than its filter (… s): the signal is distorted",
        "2 recordings: the average of fewer than 8 electrodes, no neutral reference (such as",
    ):
        assert f"* {text}" in printed and f"* {text}" in card


def test_why_recordings_are_missing_is_said_like_all_else():
    reasons = [f"{name}.edf is not an EDF file: it is empty" for name in "ab"]
    failed = [
        RecordingReport(f"{name}.edf", "s", "1", "1", "rest", reason=why)
        for name, why in zip("ab", reasons, strict=True)
    ]
    (finding,) = summarize_findings([*failed, report("c.edf")])
    assert str(finding) == (
        "2 recordings: not prepared: … is not an EDF file: it is empty (such as "
        f"a.edf: {reasons[0]}; b.edf: {reasons[1]})"
    )
