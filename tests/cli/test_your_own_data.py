# SPDX-License-Identifier: Apache-2.0
"""`docs/your_data.md`: a study understands and prepares four kinds of folders as laboratories have them."""

import mne
import numpy as np
import pandas as pd
import pytest

from eeg_hf.cli.study import prepare_words
from eeg_hf.corpora import load_windows
from eeg_hf.experiments.study.arguments import StudyArguments
from eeg_hf.experiments.study.understanding import understand
from tests.commands import run_command

NAMES = ["Fp1", "Fp2", "C3", "C4", "P3", "P4", "O1", "O2"]


def make_raw(names=NAMES, rate=250.0, seconds=12, seed=0):
    samples = np.random.default_rng(seed).normal(0, 2e-5, (len(names), int(rate * seconds)))
    return mne.io.RawArray(samples, mne.create_info(list(names), rate, "eeg"), verbose="ERROR")


def prepare_study(folder, output_dir, **options):
    """Understand a folder as `eeg-hf study` does, and prepare it with the settings that were chosen."""
    args = StudyArguments([str(folder)], output_dir=str(output_dir), num_proc=1, **options)
    study = understand(args)
    run_command("prepare", *prepare_words(args, study), "--output_dir", output_dir)
    return study, load_windows(output_dir)


def test_brainvision_with_a_table(tmp_path):
    pytest.importorskip("pybv")
    rows = ["Datei;Proband;Gruppe;Alter"]
    for number in range(4):
        make_raw(seed=number).export(tmp_path / f"vp{number}.vhdr", fmt="brainvision", verbose="ERROR")
        rows.append(f"vp{number}.vhdr;{number};{'Kontrolle' if number % 2 else 'Patient'};{30 + number},5")
    (tmp_path / "metadata.csv").write_text("\n".join(rows) + "\n")
    study, windows = prepare_study(
        tmp_path, tmp_path / "out", label_column=["Gruppe,Alter"], window_seconds=3.0
    )
    assert [question.label for question in study.questions] == ["Gruppe", "Alter"]
    assert set(windows["Gruppe"]) == {"Kontrolle", "Patient"} and max(windows["Alter"]) == 33.5
    assert study.plan.reference == "average" and len(windows) == 16


def test_a_bids_tree(tmp_path):
    mne_bids = pytest.importorskip("mne_bids")
    root = tmp_path / "bids"
    for number in range(4):
        raw = make_raw(seed=number)
        raw.info["line_freq"] = 50
        path = mne_bids.BIDSPath(subject=f"{number:02}", task="rest", datatype="eeg", root=root)
        mne_bids.write_raw_bids(raw, path, allow_preload=True, format="BrainVision", verbose="ERROR")
    table = pd.read_csv(root / "participants.tsv", sep="\t")
    table["group"] = ["a", "b"] * 2
    table.to_csv(root / "participants.tsv", sep="\t", index=False)
    study, windows = prepare_study(root, tmp_path / "out", label_column=["group"])
    assert study.corpus.name == "bids" and set(windows["group"]) == {"a", "b"}
    assert len(set(windows["subject"])) == 4


def test_tables_of_a_headset_with_few_channels(tmp_path):
    rows = ["file_name,subject,state"]
    for number in range(4):
        samples = np.random.default_rng(number).normal(0, 20, (3000, 4))
        columns = [f"EXG Channel {index}" for index in range(4)]
        pd.DataFrame(samples, columns=columns).to_csv(tmp_path / f"r{number}.csv", index=False)
        rows.append(f"r{number}.csv,p{number // 2},{('open', 'closed')[number % 2]}")
    (tmp_path / "metadata.csv").write_text("\n".join(rows) + "\n")
    electrodes = dict(
        zip([f"EXG Channel {index}" for index in range(4)], ("C3", "C4", "O1", "O2"), strict=True)
    )
    options = {"sampling_rate": 250, "unit": "uV", "channel_names": electrodes}
    study, windows = prepare_study(tmp_path, tmp_path / "out", label_column=["state"], corpus_options=options)
    assert study.plan.reference == "original" and "the average of 4 electrodes" in " ".join(
        study.plan.reasons
    )
    assert windows[0]["channels"] == ["C3", "C4", "O1", "O2"] and set(windows["state"]) == {"open", "closed"}


def test_nights_with_hypnograms(tmp_path):
    pytest.importorskip("edfio")
    stages = ["Sleep stage W", "Sleep stage 2", "Sleep stage R"]
    rows = ["file_name,subject"]
    for number in range(3):
        raw = make_raw(["Fpz", "Cz"], rate=100.0, seconds=360, seed=number)
        raw.set_annotations(
            mne.Annotations(np.arange(12) * 30.0, [30.0] * 12, [stages[k % 3] for k in range(12)])
        )
        raw.export(tmp_path / f"night{number}.edf", fmt="edf", verbose="ERROR")
        rows.append(f"night{number}.edf,s{number}")
    (tmp_path / "metadata.csv").write_text("\n".join(rows) + "\n")
    study, windows = prepare_study(tmp_path, tmp_path / "out", segments="annotations")
    assert study.questions[0].label == "event" and study.plan.window_seconds == 30.0
    assert set(windows["event"]) == set(stages) and len(windows) == 36
