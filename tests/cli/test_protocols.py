# SPDX-License-Identifier: Apache-2.0
"""Tables, files and cards say what a split holds, whatever it is called."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from eeg_hf import EEGFeatureExtractor
from eeg_hf.corpora import Simulated, prepare
from eeg_hf.hub import facts_from_run
from tests.commands import fail_command, run_command

TINY = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
QUICK = (
    *("--config", json.dumps({**TINY, "overlap": 0.0}), "--eval_strategy", "no"),
    *("--save_strategy", "no", "--load_best_model_at_end", "false", "--report_to", "none"),
)


@pytest.fixture(scope="module")
def sessions(tmp_path_factory):
    """Two subjects with two sessions each: the halves of their recordings."""
    folder = tmp_path_factory.mktemp("sessions")
    extractor = EEGFeatureExtractor(window_seconds=2.0, channels=["Fp1", "C3", "Cz", "O1", "O2"])
    prepare(Simulated(num_subjects=2, seconds=20), folder, extractor)
    for path in folder.glob("data/*.parquet"):
        table = pq.read_table(path)
        halves = ["1" if start < 10 else "2" for start in table["start_seconds"].to_pylist()]
        names = [f"{name} {half}" for name, half in zip(table["recording"].to_pylist(), halves, strict=True)]
        for column, values in (("session", halves), ("recording", names)):
            table = table.set_column(table.column_names.index(column), column, pa.array(values))
        pq.write_table(table, path)
    return folder


def evaluate(sessions, output_dir, *words):
    given = ("--data", sessions, "--label_column", "condition", "--output_dir", output_dir, *words)
    printed = run_command("evaluate", *given)
    return printed, json.loads((output_dir / "metrics.json").read_text())


def test_folds_of_sessions_know_their_subjects_in_table_report_and_file(sessions, tmp_path):
    options = ("--folds", 2, "--split_column", "session", "--num_validation_subjects", 0)
    printed, found = evaluate(sessions, tmp_path, *options)
    assert printed.startswith(
        "2 session folds, cross-session: 2 of 2 tested subjects were trained on, in other"
    )
    assert "subject unseen" not in printed + (tmp_path / "report.md").read_text()
    assert {row["regime"] for row in found["results"]} == {"known", "known_aligned"}
    assert {row["protocol"] for row in found["results"]} == {"cross-session"}
    assert found["provenance"]["split_holds"].startswith("2 of 2 tested subjects were trained on")


def test_a_split_by_recording_is_within_sessions(sessions, tmp_path):
    options = ("--split", "column:recording", "--baselines", "true")
    printed, found = evaluate(sessions, tmp_path, *options)
    assert "within-session" in printed.splitlines()[0] and "tested sessions too" in printed
    assert "unseen" not in {row["regime"] for row in found["results"]}


def test_one_tested_subject_has_a_figure_and_no_interval(sessions, tmp_path):
    printed, found = evaluate(sessions, tmp_path, "--split", "leave_out:00", "--num_validation_subjects", 0)
    assert "No interval: one subject was tested." in printed
    assert all(row["metrics"]["auroc"]["mean"] is not None for row in found["results"])
    assert all("interval" not in row["metrics"]["auroc"] for row in found["results"])


def test_a_protocol_is_trained_tested_and_put_on_a_card(sessions, tmp_path):
    run, protocol = tmp_path / "run", ("--protocol", "cross-session")
    words = ("finetune_eegmat", "--data", sessions, "--output_dir", run, *QUICK, *protocol)
    run_command("finetune", *words)
    saved = json.loads((run / "metrics.json").read_text())
    assert len(saved["folds"]) == 4 and saved["protocol"] == "cross-session"
    assert saved["split"] == "each session left out, cross-session"
    assert {"pooled", "subject_mean"} <= saved["summary"]["balanced_accuracy"].keys()
    _, found = evaluate(sessions, tmp_path / "table", "--runs", f"tiny={run}", *protocol)
    (row,) = (row for row in found["results"] if row["method"] == "tiny")
    assert (row["regime"], row["protocol"], row["num_subjects"]) == ("known", "cross-session", 2)
    assert row["difference"]["num_subjects"] == 2
    assert [*row["by_subject"]] == ["00", "01"]
    facts = facts_from_run(run / "fold-0")
    assert facts.own_results[0].split == "each session left out, cross-session"
    assert (facts.own_results[0].regime, facts.contamination) == ("known", "test subjects")


def test_a_corpus_of_one_session_has_none_to_cross(prepared, tmp_path):
    given = ("--data", prepared, "--label_column", "condition", "--output_dir", tmp_path)
    line = fail_command("evaluate", *given, "--protocol", "cross-session")
    assert line.startswith("cross-session: none of 6 subjects can be divided so (simulated/00: one session")
