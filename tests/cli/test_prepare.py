# SPDX-License-Identifier: Apache-2.0
"""A corpus prepared as users do it."""

import json

import mne
import numpy as np
import pytest
import yaml
from datasets import load_dataset

from eeg_hf.cli.parsing.recipe_files import list_recipes
from tests.commands import fail_command, run_command

SIMULATED = ("--corpus", "simulated", "--corpus_options")
MADE = "prepare_simulated_things"  # the only recipe whose corpus is made, not found
RECIPES = [name for name in list_recipes() if name.startswith("prepare_") and name != MADE]


@pytest.fixture(autouse=True)
def no_recordings(monkeypatch, tmp_path):
    monkeypatch.delenv("EEG_HF_DATA", raising=False)
    monkeypatch.setenv("EEG_HF_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "datasets_cache")


def test_a_corpus_is_prepared_and_the_summary_says_how_much(tmp_path):
    options = (*SIMULATED, '{"num_subjects": 2}', "--output_dir", tmp_path / "out")
    options += ("--window_seconds", 10, "--reference", "Fz", "Cz", "--lowpass_hz", -1)
    printed = run_command("prepare", *options)
    assert "4 recordings prepared; 24 windows" in printed and "hours of EEG per minute per core" in printed
    assert str(tmp_path / "out" / "report.jsonl") in printed
    row = load_dataset(str(tmp_path / "out"), split="train")[0]
    assert row["num_samples"] == 2000 and row["reference"] == "Fz+Cz"
    assert "nothing left to do (0 shards written, 2 kept)" in run_command("prepare", *options)


def test_a_recipe_has_the_same_settings_as_options(tmp_path):
    recipe = {
        "corpus": "simulated",
        "corpus_options": {"num_subjects": 1},
        "output_dir": str(tmp_path / "out"),
        "segments": "events",
        "window_seconds": 2,
        "tmin": 0.5,
        "notch_hz": 50,
        "lowpass_hz": 60,
        "channels": ["O1", "O2"],
        "reference": ["original"],
    }
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    run_command("prepare", tmp_path / "recipe.yaml", "--tmin", 0.25)
    row = load_dataset(str(tmp_path / "out"), split="train")[0]
    assert (row["event"], row["channels"], row["reference"]) == ("rest", ["O1", "O2"], "infinity")
    assert row["start_seconds"] == 0.25


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        (
            {"corpus": "simulated", "window_secs": 2},
            "unknown setting 'window_secs', did you mean 'window_seconds'?",
        ),
        ({"corpus": "simulated", "num_proc": "two"}, "invalid int value: 'two'"),
        ({"window_seconds": 2}, "expected --corpus, which is required"),
    ],
)
def test_a_recipe_with_a_wrong_field_is_refused_by_name(recipe, message, tmp_path):
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    line = fail_command("prepare", tmp_path / "recipe.yaml", "--output_dir", tmp_path / "out")
    assert message in line


def test_the_recipe_of_the_simulated_pairs_makes_them(tmp_path):
    small = json.dumps({"num_subjects": 1, "num_concepts": 2, "num_test_concepts": 3, "test_repetitions": 2})
    printed = run_command("prepare", MADE, "--output_dir", tmp_path / "out", "--corpus_options", small)
    assert f"{2 * 10 * 4 + 3 * 2} windows" in printed


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_recipes_of_the_package_are_read(recipe, tmp_path):
    if recipe == "prepare_moabb":
        pytest.importorskip("moabb")
    nowhere = tmp_path / "nowhere"
    line = fail_command("prepare", recipe, "--output_dir", tmp_path / "out", "--data_dir", nowhere)
    assert str(nowhere) in line


def test_the_users_own_folder_is_used_and_failures_are_counted(tmp_path):
    folder = tmp_path / "own"
    folder.mkdir()
    names = [f"EEG {name}" for name in ("Fp1", "Fp2", "C3", "C4", "O1", "O2")]
    noise = np.random.default_rng(1).normal(size=(6, 1250)) * 2e-5
    raw = mne.io.RawArray(noise, mne.create_info(names, 250.0, "eeg"), verbose="ERROR")
    raw.export(folder / "Subject00_1.edf", physical_range=(-200, 200), verbose="ERROR")
    (folder / "Subject00_2.edf").write_bytes(b"not an EDF")
    options = ("--corpus", "eegmat", "--data_dir", folder, "--output_dir", tmp_path / "out")
    assert "1 recordings prepared, 1 failed; 1 windows" in run_command("prepare", *options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--corpus", "eegmatt"), "unknown corpus 'eegmatt', did you mean 'eegmat'"),
        (("--corpus", "eegmat", "--download", "false"), "eegmat not found: EEG_HF_DATA is not set"),
        (("--corpus", "eegmat", "--data_dir", "empty"), "no eegmat recordings: empty is not a folder"),
        (
            ("--corpus", "simulated", "--window_seconds", "600"),
            "60.0 s are less than one window of 600 s (24",
        ),
        (("--corpus", "simulated", "--lowpass_hz", "100"), "lowpass_hz"),
        (("--corpus", "simulated", "--segments", "trials"), "segments: expected one of fixed, events"),
    ],
)
def test_where_nothing_can_be_done_it_says_why_in_one_line_and_fails(options, message, tmp_path):
    assert message in fail_command("prepare", "--output_dir", tmp_path / "out", *options)
    assert not (tmp_path / "out" / "README.md").exists()
