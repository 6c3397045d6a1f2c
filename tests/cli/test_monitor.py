# SPDX-License-Identifier: Apache-2.0
"""`eeg-hf monitor`: quiet while nothing changes, loud when something does, one line for what does not fit."""

import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from transformers import AutoModelForSequenceClassification, pipeline

from eeg_hf import EEGFeatureExtractor, EEGFoundationConfig, get_corpus
from eeg_hf.experiments.training_statistics import FILE, TrainingStatistics, measure_recording
from tests.commands import fail_command, run_command

TINY = {"d_model": 16, "n_layers": 1, "n_heads": 2, "d_ff": 32, "overlap": 0.0}


def simulated(number):
    corpus = get_corpus("simulated", num_subjects=number, seconds=8)
    return [(each, corpus.read(each)) for each in corpus.recordings() if each.labels["condition"] == "rest"]


def save(raw, folder, name, gain=1.0):
    folder.mkdir(exist_ok=True)
    raw.copy().apply_function(lambda samples: gain * samples).save(
        folder / f"{name}_raw.fif", verbose="ERROR"
    )


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A classifier with the statistics of sixteen recordings."""
    folder = tmp_path_factory.mktemp("model")
    torch.manual_seed(0)
    config = EEGFoundationConfig(**TINY, second_order=True, id2label={0: "rest", 1: "task"})
    AutoModelForSequenceClassification.from_config(config).save_pretrained(folder)
    EEGFeatureExtractor(window_seconds=2.0).save_pretrained(folder)
    classify = pipeline("eeg-classification", model=str(folder))
    facts = [
        measure_recording(raw, classify.model.eval(), classify.feature_extractor) for _, raw in simulated(16)
    ]
    assert all(set(each) == {"spectrum", "amplitude", "quality", "embedding", "scores"} for each in facts)
    TrainingStatistics.of(facts).save(folder)
    return folder


@pytest.fixture(scope="module")
def unchanged():
    return [raw for _, raw in simulated(22)[16:]]


def test_a_folder_is_watched_again_and_again(model, unchanged, tmp_path):
    new, output = tmp_path / "new", tmp_path / "monitor"
    for number, raw in enumerate(unchanged[:4]):
        save(raw, new, f"a{number}")
    words = (model, new, "--output_dir", output, "--fail_on_alarm", "true")
    assert "4 new recordings, 0 in the log before" in (printed := run_command("monitor", *words))
    assert "no alarm" in printed
    first = pd.read_parquet(output / "log.parquet")
    assert (first["p"] > 0.01).all() and first["p: scores"].notna().all()
    assert "0 new recordings, 4 in the log before" in run_command("monitor", *words)
    save(unchanged[4], new, "loud", gain=20.0)
    (new / "broken_raw.fif").write_bytes(b"nothing")
    with pytest.raises(SystemExit) as ended:
        run_command("monitor", *words)
    assert ended.value.code == 1
    log = pd.read_parquet(output / "log.parquet").set_index("file")
    assert len(log) == 6 and log.loc[first["file"], "p"].equals(first.set_index("file")["p"])
    loud = log[log["alarm"].fillna("") != ""]
    assert [name.rpartition("/")[2] for name in loud.index] == ["loud_raw.fif"]
    assert "amplitude differs" in loud["alarm"].iloc[0] and " times theirs" in loud["alarm"].iloc[0]
    page = (output / "monitor.html").read_text()
    assert "loud_raw.fif: quality differs" in page and "broken_raw.fif" in page
    assert "http" not in page.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "https://matplotlib.org", ""
    ).replace("http://creativecommons.org", "")
    assert page.count("<svg") == 5


def test_bad_input_is_one_line(model, unchanged, tmp_path):
    save(unchanged[0], tmp_path / "new", "a")
    words = (tmp_path / "new", "--output_dir", tmp_path / "monitor")
    assert "expected a model and recordings" in fail_command("monitor", model)
    (tmp_path / "empty").mkdir()
    assert "holds none" in fail_command("monitor", model, tmp_path / "empty", *words[1:])
    assert "share between 0 and 1" in fail_command("monitor", model, *words, "--false_alarm_rate", "5")
    bare = shutil.copytree(model, tmp_path / "bare", ignore=shutil.ignore_patterns(FILE))
    assert "holds no training_statistics" in fail_command("monitor", bare, *words)
    few = shutil.copytree(model, tmp_path / "few")
    random = np.random.default_rng(0)
    TrainingStatistics.of([{"amplitude": random.normal(size=1)} for _ in range(6)]).save(few)
    assert "is of 6 recordings, expected 10" in fail_command("monitor", few, *words)
    odd = unchanged[0].copy().rename_channels(lambda name: f"X{name}")
    save(odd, tmp_path / "odd", "a")
    line = fail_command("monitor", model, tmp_path / "odd", "--output_dir", tmp_path / "monitor")
    assert "none of 1 recordings could be read: unknown EEG channel" in line
    broken = unchanged[0].copy().apply_function(lambda samples: samples * np.nan)
    save(broken, tmp_path / "nan", "a")
    line = fail_command("monitor", model, tmp_path / "nan", "--output_dir", tmp_path / "monitor")
    assert "none of 1 recordings could be read" in line and "NaN" in line
    run_command("monitor", model, *words)
    TrainingStatistics.of([{"amplitude": random.normal(size=1)} for _ in range(16)]).save(few)
    assert "the log of another model" in fail_command("monitor", few, *words)
