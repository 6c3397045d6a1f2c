# SPDX-License-Identifier: Apache-2.0
"""A model is not tested on subjects it was pretrained on, unless the row says so."""

import json
from shutil import copytree

import pytest

from eeg_hf.cli.main import main
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
    words = ("finetune_eegmat", "--data", prepared, "--model", model, "--output_dir", output_dir)
    return "finetune", *words, "--report_to", "none", *SPLIT, *more


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


def test_an_audit_names_what_a_checkpoint_has_seen(prepared, pretrained, tmp_path):
    with pytest.raises(SystemExit) as ended:
        run_command("audit", prepared, "--against", pretrained, "--output", tmp_path / "audit.json")
    (found,) = json.loads((tmp_path / "audit.json").read_text())["against"]
    seen = SeenWindows.load(pretrained)
    assert ended.value.code == 1 and set(found["subjects"]) == seen.subjects
    assert set(found["trained"]) == seen.trained.subjects and len(found["trained"]) == 2
    assert (found["num_subjects"], found["num_seen"], found["num_windows"]) == (6, len(seen), 120)


def test_an_audit_of_other_subjects_is_clean(prepared, pretrained, tmp_path):
    folds = tmp_path / "folds"
    other = SeenWindows.load(pretrained)
    (folds / "fold-0").mkdir(parents=True)
    SeenWindows(other.table.slice(0, 0)).save(folds / "fold-0")
    printed = run_command("audit", prepared, "--against", folds)
    assert "CLEAN: " in printed and "has seen none of 6 subjects and none of 120 windows" in printed


def test_a_checkpoint_in_the_registry_is_found_and_one_that_says_nothing_refused(
    prepared, pretrained, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    copytree(pretrained, tmp_path / "models/registry/tiny/v1.0")
    with pytest.raises(SystemExit) as ended:
        main(["audit", str(prepared), "--against", "tiny/v1.0"])
    assert ended.value.code == 1
    assert "SEEN: tiny/v1.0 has seen 3 of 6 subjects and" in capsys.readouterr().out
    (tmp_path / "models/registry/tiny/v1.0/seen_windows.parquet").unlink()
    assert "tiny does not say which windows" in fail_command("audit", prepared, "--against", "tiny")
    assert "is neither a folder" in fail_command("audit", prepared, "--against", "nowhere")


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
