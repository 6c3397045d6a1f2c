# SPDX-License-Identifier: Apache-2.0
import json
import math
import subprocess
from dataclasses import replace

import numpy as np
import pytest

from eeg_hf.evaluation.by_subject import describe_difference
from eeg_hf.evaluation.metrics import aggregate_folds, chance_level
from eeg_hf.evaluation.provenance import collect_provenance, git_commit
from eeg_hf.evaluation.report import (
    ResultRow,
    format_summary,
    read_report,
    results_table,
    write_json,
    write_report,
)


def row(method, regime="unseen", split="5 subject folds", accuracies=(0.7, 0.8), **options):
    metrics = aggregate_folds([{"balanced_accuracy": value, "auroc": value + 0.1} for value in accuracies])
    return ResultRow(method, regime, split, metrics, num_subjects=36, num_windows=1707, **options)


ROWS = [
    row(
        "EEGFoundation | tiny",
        "aligned",
        accuracies=(0.8, 0.84),
        seeds=(0, 1),
    ),
    row("band power", accuracies=(0.66, 0.76)),
    row("tangent space"),
    row("EEGNet", split="official split", accuracies=(0.64,)),
    row("EEGNet", accuracies=(0.64, 0.74)),
]
PROVENANCE = {
    "dataset": "EEGMAT 1.0.0",
    "licence": "ODC-By-1.0",
    "seeds": [0, 1],
    "chance": {"auroc": 0.5},
    "commit": None,
}


def cells(table):
    lines = [line for line in table.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").replace("\\|", "/").split("|")] for line in lines]


def test_table_orders_by_split_regime_and_result():
    order = [line[0] for line in cells(results_table(ROWS)) if line[0] not in ("Method", ":--")]
    assert order == ["tangent space", "band power", "EEGNet", "EEGFoundation / tiny", "EEGNet"]
    assert results_table(ROWS) == results_table(ROWS[::-1])


def test_table_says_all_that_is_known_of_a_row():
    header, alignment, *lines = cells(results_table(ROWS[:1]))
    assert len(header) == len(alignment)
    assert dict(zip(header, lines[0], strict=True)) == {
        "Method": "EEGFoundation / tiny",
        "Regime": "unlabelled windows of the subject used",
        "Balanced accuracy": "0.820 ± 0.020",
        "AUROC": "0.920 ± 0.020",
        "Subjects": "36",
        "Windows": "1,707",
        "Seeds": "0, 1",
    }


def test_regimes_have_the_names_of_moabb_in_the_table_and_the_file(tmp_path):
    known = replace(row("EEGNet", "known_aligned"), protocol="cross-session")
    assert results_table([known]).endswith(
        "* In MOABB's terms, cross-session: subject trained on, and unlabelled windows of the test used: "
        "TRAIN_AND_TARGET_UNLABELED_FULL.\n"
    )
    write_report(tmp_path, [known, row("band power")], PROVENANCE)
    results = json.loads((tmp_path / "metrics.json").read_text())["results"]
    assert [(one["target_data"], one["protocol"]) for one in results] == [
        ("TRAIN", ""),
        ("TRAIN_AND_TARGET_UNLABELED_FULL", "cross-session"),
    ]


def test_one_subject_has_no_interval_and_the_table_says_why():
    alone = replace(row("EEGNet"), num_subjects=1)
    assert "No interval: one subject was tested." in results_table([alone])
    assert "No interval" not in results_table(ROWS)


def test_best_of_each_regime_is_bold():
    accuracies = [line[2] for line in cells(results_table([*ROWS[:3], row("second", "aligned")]))[2:]]
    assert accuracies == ["**0.750 ± 0.050**", "0.710 ± 0.050", "**0.820 ± 0.020**", "0.750 ± 0.050"]


@pytest.mark.parametrize(
    ("summary", "text"),
    [
        ({"mean": 0.7504, "sd": 0.038, "values": [0.7, 0.8]}, "0.750 ± 0.038"),
        ({"mean": 0.75, "sd": 0.0, "values": [0.75]}, "0.750"),
        ({"mean": 0.75, "sd": 0.0, "values": [0.75], "interval": (0.6, 0.81)}, "0.750 [0.600, 0.810]"),
        ({"mean": math.nan, "sd": math.nan, "values": [math.nan]}, "–"),
        ({}, "–"),
    ],
)
def test_summary_is_written_as_far_as_it_goes(summary, text):
    assert format_summary(summary) == text


def test_unknown_regime_is_refused():
    with pytest.raises(
        ValueError, match="regime: expected one of unseen, first_30s, 20P, .*, known_aligned, got 'seen'"
    ):
        row("EEGNet", "seen")


def test_report_comes_back_as_it_was_written(tmp_path):
    with_interval = row("EEGNet", accuracies=(0.6, math.nan))
    with_interval.metrics["balanced_accuracy"]["interval"] = (0.5, 0.7)
    write_report(tmp_path, [with_interval, *ROWS], PROVENANCE)
    rows, provenance = read_report(tmp_path)
    assert provenance == PROVENANCE
    assert repr(sorted(map(repr, rows))) == repr(
        sorted(map(repr, [with_interval, *ROWS]))
    )  # NaN equals nothing


def test_report_shows_chance_pictures_and_provenance(tmp_path):
    picture = tmp_path / "plots" / "results.png"
    write_report(tmp_path / "run", ROWS, PROVENANCE, {"Balanced accuracy by method": picture}, title="EEGMAT")
    text = (tmp_path / "run" / "report.md").read_text()
    assert text.startswith("# EEGMAT\n")
    assert results_table(ROWS).strip() in text
    assert "Always predicting the most frequent class reaches: AUROC 0.500." in text
    assert "![Balanced accuracy by method](../plots/results.png)" in text
    assert "- licence: ODC-By-1.0\n- seeds: 0, 1\n- commit: unknown\n" in text
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["metrics.json", "report.md"]


def test_same_results_give_the_same_bytes(tmp_path):
    for name, rows in (("a", ROWS), ("b", ROWS[::-1])):
        write_report(tmp_path / name, rows, PROVENANCE)
    for file in ("metrics.json", "report.md"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_json_holds_no_nan_and_takes_numbers_of_numpy(tmp_path):
    path = tmp_path / "metrics.json"
    write_json(path, {"auroc": math.nan, "kappa": np.float32(0.5), "counts": (np.int64(3), math.inf)})

    def refuse(name):
        raise AssertionError(name)

    content = json.loads(path.read_text(), parse_constant=refuse)
    assert content == {"auroc": None, "kappa": 0.5, "counts": [3, None]}


def test_provenance_names_packages_data_and_commit():
    provenance = collect_provenance(
        "EEGMAT 1.0.0", "ODC-By-1.0", [0], chance_level([0, 0, 0, 1]), split="folds"
    )
    assert {"torch", "transformers", "mne", "scikit-learn"} <= set(provenance["packages"])
    assert provenance["chance"]["accuracy"] == 0.75
    assert provenance["split"] == "folds"
    json.dumps(provenance)


def git(folder, *arguments):
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    done = subprocess.run(
        ["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def test_commit_is_that_of_tracked_code_only(tmp_path):
    assert git_commit(tmp_path) is None
    git(tmp_path, "init")
    package, environment = tmp_path / "src", tmp_path / ".venv"
    for folder in (package, environment):
        folder.mkdir()
        (folder / "module.py").write_text("x = 1\n")
    git(tmp_path, "add", "src")
    git(tmp_path, "commit", "-m", "first")
    commit = git(tmp_path, "rev-parse", "HEAD")
    assert git_commit(package) == commit
    assert git_commit(environment) is None  # installed into an environment that lies in somebody's checkout
    (package / "module.py").write_text("x = 2\n")
    assert git_commit(package) == f"{commit}-dirty"


def test_pooled_figures_undefined_folds_and_the_paired_test_are_shown():
    summary = {
        **{"mean": 0.61, "sd": 0.1, "values": [0.7, math.nan], "interval": (0.5, 0.7)},
        **{"pooled": 0.61, "subject_mean": 0.64, "undefined_folds": (1, 2)},
    }
    difference = {"baseline": "CSP", "mean": -0.02, "interval": (-0.05, 0.01)}
    difference |= {"num_higher": 3, "num_lower": 9, "num_subjects": 12}
    found = ResultRow(
        "ours", "unseen", "2 folds", {"balanced_accuracy": summary}, 12, 100, difference=difference
    )
    table = results_table([found])
    header, _, line = cells(table)
    shown = dict(zip(header, line, strict=True))
    assert shown["Balanced accuracy"] == "0.610 [0.500, 0.700] (pooled; undefined in 1 of 2 folds)"
    assert (shown["Balanced accuracy, pooled"], shown["Balanced accuracy, mean of subjects"]) == (
        "0.610",
        "0.640",
    )
    assert (
        "* ours (subject unseen): difference -0.020 [-0.050, +0.010], higher in 3 of 12 subjects: no "
        "evidence that it beats CSP." in table
    )


@pytest.mark.parametrize(
    ("interval", "said"),
    [((0.01, 0.05), "it beats CSP"), ((-0.05, -0.01), "it is worse than CSP"), (None, "no evidence")],
)
def test_a_difference_is_said_as_far_as_its_interval_goes(interval, said):
    found = {"mean": 0.03, "interval": interval, "num_higher": 7, "num_lower": 5, "num_subjects": 12}
    assert said in describe_difference({"baseline": "CSP", **found})
