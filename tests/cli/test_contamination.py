# SPDX-License-Identifier: Apache-2.0
"""A model is not tested on subjects it was pretrained on, unless the row says so."""

import json

import pytest

from eeg_hf.corpora import SeenWindows
from tests.commands import fail_command, run_command

TINY = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
QUICK = (
    *("--config", json.dumps({**TINY, "overlap": 0.0}), "--max_steps", 1, "--eval_strategy", "no"),
    *("--save_strategy", "no", "--report_to", "none", "--logging_steps", 1),
)
SPLIT = ("--split", "fold", "--num_folds", 2, "--num_validation_subjects", 1)


@pytest.fixture(scope="module")
def pretrained(prepared, tmp_path_factory):
    """Weights pretrained without the test subjects of fold 0."""
    folder = tmp_path_factory.mktemp("pretrained")
    run_command("pretrain", "pretrain_tiny", "--data", prepared, "--output_dir", folder, *QUICK, *SPLIT)
    return folder


def finetune(prepared, model, output_dir, *more):
    words = ("finetune_eegmat", "--data", prepared, "--model", model, "--output_dir", output_dir, *QUICK[2:])
    return "finetune", *words, "--patience", 0, "--load_best_model_at_end", "false", *SPLIT, *more


def test_pretraining_records_its_windows_beside_the_weights(pretrained):
    seen = SeenWindows.load(pretrained)
    uses = seen.table.column("use").to_pylist()
    assert {"trained", "selected"} == set(uses) and len(seen) > 20
    assert len(seen.subjects) == 3 and all(name.startswith("simulated/") for name in seen.subjects)


def test_folds_over_pretrained_subjects_are_refused_by_name(prepared, pretrained, tmp_path):
    line = fail_command(*finetune(prepared, pretrained, tmp_path / "run", "--folds", 2))
    assert f"{pretrained} was trained on" in line and "subjects (simulated/" in line
    assert "--contaminated mark" in line and not (tmp_path / "run").exists()


def test_the_same_split_is_clean_and_its_windows_are_carried_on(prepared, pretrained, tmp_path):
    run_command(*finetune(prepared, pretrained, tmp_path))
    assert "contamination" not in json.loads((tmp_path / "metrics.json").read_text())
    assert SeenWindows.load(tmp_path).subjects >= SeenWindows.load(pretrained).subjects
    table = ("--data", prepared, "--label_column", "condition", "--baselines", "false", *SPLIT)
    done = run_command("evaluate", *table, "--output_dir", tmp_path / "table", "--runs", f"clean={tmp_path}")
    assert "| clean |" in done


def test_a_contaminated_row_is_refused_or_marked(prepared, pretrained, tmp_path):
    run = tmp_path / "run"
    run_command(*finetune(prepared, pretrained, run, "--folds", 2, "--contaminated", "mark"))
    judged = json.loads((run / "fold-1" / "metrics.json").read_text())
    assert judged["contamination"].startswith("the pretrained weights have seen")
    table = ("--data", prepared, "--label_column", "condition", "--baselines", "false", *SPLIT, "--folds", 2)
    words = ("evaluate", *table, "--output_dir", tmp_path / "table", "--runs", f"dirty={run}")
    line = fail_command(*words)
    assert "was trained on" in line and "--contaminated mark" in line
    assert "dirty (contaminated: has seen" in run_command(*words, "--contaminated", "mark")


def test_a_model_that_says_nothing_is_marked(prepared, pretrained, tmp_path):
    run = tmp_path / "run"
    run_command(*finetune(prepared, pretrained, run))
    (run / "seen_windows.parquet").unlink()
    table = ("--data", prepared, "--label_column", "condition", "--baselines", "false", *SPLIT)
    done = run_command("evaluate", *table, "--output_dir", tmp_path / "table", "--runs", f"old={run}")
    assert "old (unknown what it has seen)" in done
