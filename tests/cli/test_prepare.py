# SPDX-License-Identifier: Apache-2.0
import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from datasets import load_dataset

SCRIPT = Path(__file__).parents[2] / "scripts" / "prepare.py"
Run = Callable[..., int]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    monkeypatch.delenv("EEG_HF_DATA", raising=False)
    monkeypatch.setenv("EEG_HF_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "datasets_cache")
    spec = importlib.util.spec_from_file_location("prepare_script", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "prepare_script", module)  # dataclasses look their module up
    spec.loader.exec_module(module)

    def call(*arguments: object) -> int:
        monkeypatch.setattr(sys, "argv", ["prepare.py", *map(str, arguments)])
        return module.main()

    return call


def test_a_corpus_is_prepared_and_the_summary_says_how_much(run, tmp_path, capsys):
    options = ("--window_seconds", 10, "--reference", "Fz", "Cz", "--lowpass_hz", -1)
    assert (
        run(
            "--corpus",
            "simulated",
            "--corpus_options",
            '{"num_subjects": 2}',
            "--output_dir",
            tmp_path / "out",
            *options,
        )
        == 0
    )
    said = capsys.readouterr().out
    assert "4 recordings prepared; 24 windows" in said and "hours of EEG per minute per core" in said
    assert str(tmp_path / "out" / "report.jsonl") in said
    row = load_dataset(str(tmp_path / "out"), split="train")[0]
    assert row["num_samples"] == 2000 and row["reference"] == "Fz+Cz"
    assert (
        run(
            "--corpus",
            "simulated",
            "--corpus_options",
            '{"num_subjects": 2}',
            "--output_dir",
            tmp_path / "out",
            *options,
        )
        == 0
    )
    assert "nothing left to do (0 shards written, 2 kept)" in capsys.readouterr().out


def test_a_yaml_file_says_the_same_as_options(run, tmp_path):
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
    assert run(tmp_path / "recipe.yaml", "--tmin", 0.25) == 0
    row = load_dataset(str(tmp_path / "out"), split="train")[0]
    assert (row["event"], row["channels"], row["reference"]) == ("rest", ["O1", "O2"], "infinity")
    assert row["start_seconds"] == 0.25


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        (
            {"corpus": "simulated", "window_secs": 2},
            "unknown field 'window_secs', did you mean 'window_seconds'?",
        ),
        ({"corpus": "simulated", "num_proc": "two"}, "invalid int value: 'two'"),
        ({"window_seconds": 2}, "the following arguments are required: --corpus"),
    ],
)
def test_a_recipe_with_a_wrong_field_is_refused_by_name(run, recipe, message, tmp_path, capsys):
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    with pytest.raises(SystemExit) as caught:
        run(tmp_path / "recipe.yaml", "--output_dir", tmp_path / "out")
    assert caught.value.code != 0 and message in capsys.readouterr().err


RECIPES = sorted(SCRIPT.parent.glob("recipes/prepare_*.yaml"))
SIMULATED = "prepare_simulated_things"  # the only one whose corpus is made, not found


def test_the_recipe_of_the_simulated_pairs_makes_them(run, tmp_path, capsys):
    small = json.dumps({"num_subjects": 1, "num_concepts": 2, "num_test_concepts": 3, "test_repetitions": 2})
    recipe = SCRIPT.parent / f"recipes/{SIMULATED}.yaml"
    assert run(recipe, "--output_dir", tmp_path / "out", "--corpus_options", small) == 0
    assert f"{2 * 10 * 4 + 3 * 2} windows" in capsys.readouterr().out


@pytest.mark.parametrize(
    "recipe", [path for path in RECIPES if path.stem != SIMULATED], ids=lambda path: path.stem
)
def test_the_recipes_of_the_repository_are_read(run, recipe, tmp_path, capsys):
    if recipe.stem == "prepare_moabb":
        pytest.importorskip("moabb")
    code = run(recipe, "--output_dir", tmp_path / "out", "--data_dir", tmp_path / "nowhere")
    said = capsys.readouterr().err.strip().splitlines()
    assert code == 2 and str(tmp_path / "nowhere") in said[-1] and said[-1].startswith("prepare: ")


def test_the_users_own_folder_is_used_and_failures_are_counted(run, make_folder, tmp_path, capsys):
    (make_folder / "Subject00_2.edf").write_bytes(b"not an EDF")
    code = run("--corpus", "eegmat", "--data_dir", make_folder, "--output_dir", tmp_path / "out")
    assert code == 0
    assert "1 recordings prepared, 1 failed; 1 windows" in capsys.readouterr().out


@pytest.fixture
def make_folder(tmp_path: Path) -> Path:
    import mne
    import numpy as np

    names = [f"EEG {name}" for name in ("Fp1", "Fp2", "C3", "C4", "O1", "O2")]
    for run in (1, 2):
        noise = np.random.default_rng(run).normal(size=(6, 1250)) * 2e-5
        raw = mne.io.RawArray(noise, mne.create_info(names, 250.0, "eeg"), verbose="ERROR")
        (tmp_path / "own").mkdir(exist_ok=True)
        raw.export(tmp_path / "own" / f"Subject00_{run}.edf", physical_range=(-200, 200), verbose="ERROR")
    return tmp_path / "own"


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
        (("--corpus", "simulated", "--segments", "trials"), "segments must be one of fixed"),
    ],
)
def test_where_nothing_can_be_done_it_says_why_in_one_line_and_fails(run, options, message, tmp_path, capsys):
    assert run("--output_dir", tmp_path / "out", *options) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("prepare: ") and message in said
    assert not (tmp_path / "out" / "README.md").exists()
