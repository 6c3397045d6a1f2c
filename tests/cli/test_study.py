# SPDX-License-Identifier: Apache-2.0
"""`eeg-hf study`: from a laboratory's folder to a table, a report and a model, in one command."""

import json

import pandas as pd
import pytest
from transformers import pipeline

import eeg_hf
from eeg_hf import get_corpus
from eeg_hf.cli.study import prepare_words
from eeg_hf.experiments.study.arguments import StudyArguments
from eeg_hf.experiments.study.understanding import understand
from eeg_hf.experiments.study.window_checks import check_windows
from tests.commands import fail_command, run_command

GERMAN = {"rest": "Ruhe", "task": "Rechnen"}
TINY_CONFIG = {
    **{"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32},
    **{"second_order": True, "overlap": 0.0},
}
TINY = f"finetune.config={json.dumps(TINY_CONFIG)}"


def write_lab(folder, num_subjects=4, seconds=16, lengths=None):
    """Write a folder as a laboratory has it: sub-folders, German names, two formats, a table.

    Recordings that `lengths` names by subject and condition have as many seconds.
    """
    rows = ["file,Participant,Bedingung,Age,Sex"]
    corpus = get_corpus("simulated", num_subjects=num_subjects, seconds=seconds)
    for number, recording in enumerate(corpus.recordings()):
        raw = corpus.read(recording)
        condition = GERMAN[recording.labels["condition"]]
        if length := (lengths or {}).get((recording.subject, condition)):
            raw.crop(tmax=length)
        place = folder / f"Messungen {recording.subject}"
        place.mkdir(parents=True, exist_ok=True)
        if number % 4 < 2:
            path = place / f"{condition}_raw.fif"
            raw.save(path, verbose="ERROR")
        else:
            path = place / f"{condition}.vhdr"
            raw.export(path, fmt="brainvision", verbose="ERROR")
        name = path.relative_to(folder).as_posix()
        rows.append(f"{name},P{recording.subject},{condition},{20 + number},{'wm'[number % 2]}")
    (folder / "metadata.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    pytest.importorskip("pybv")
    return write_lab(tmp_path_factory.mktemp("lab"))


@pytest.fixture(scope="module")
def study(lab, tmp_path_factory):
    """The folder of a finished study, and what it printed."""
    output_dir = tmp_path_factory.mktemp("study")
    words = ("--label_column", "Bedingung", "--folds", 2, "--regimes", "unseen", "--num_proc", 1)
    words += ("--window_seconds", 2)
    return output_dir, run_command("study", lab, *words, "--output_dir", output_dir, TINY)


def test_one_command_leaves_a_table_a_report_and_a_model(study, lab, tmp_path):
    output_dir, printed = study
    assert "8 recordings of 4 subjects" in printed and "Bedingung: " in printed
    table = pd.read_csv(output_dir / "results.csv")
    assert {"method", "regime", "balanced_accuracy", "auroc"} <= set(table)
    assert table["method"].str.contains("EEGFoundation").any() and len(table) > 2
    for name in ("results.tex", "results.md", "results.json", "methods.md", "recordings.csv", "study.yaml"):
        assert (output_dir / name).stat().st_size > 0, name
    names = ("spectra", "confusion", "curves", "topographies", "examples", "electrodes", "subjects")
    for name in (*names, "decision", "embedding"):  # two training subjects have no learning curve
        assert all((output_dir / f"figures/{name}.{kind}").exists() for kind in ("png", "svg", "pdf")), name
    text = (output_dir / "report.html").read_text()
    assert "Ruhe" in text and "balanced accuracy" in text and "https://doi.org" in text
    assert "notch filter at 50 Hz first" in text and "the nearest window of another recording" in text
    answer = pipeline("eeg-classification", model=str(output_dir / "model"))(
        str(next(lab.rglob("*_raw.fif")))
    )
    assert answer["label"] in GERMAN.values()


def test_python_does_the_same(study, lab, tmp_path, capsys):
    settings = {"folds": 2, "regimes": ["unseen"], "num_proc": 1, "window_seconds": 2, "details": False}
    settings |= {"architectures": ["eeg_foundation"], "finetune": {"config": TINY_CONFIG}}
    folder = eeg_hf.study(lab, "Bedingung", tmp_path, **settings)
    assert (folder / "report.html").exists() and "8 recordings of 4 subjects" in capsys.readouterr().out
    tables = [pd.read_csv(each / "results.csv").set_index("method") for each in (folder, study[0])]
    ours = next(name for name in tables[0].index if name.startswith("EEGFoundation"))
    assert tables[0].loc[ours, "balanced_accuracy"] == tables[1].loc[ours, "balanced_accuracy"]
    with pytest.raises(ValueError, match="Bedingungen"):
        eeg_hf.study(lab, "Bedingungen", tmp_path / "other")
    with pytest.raises(ValueError, match="sampling_rate"):  # of a step, which ends a shell's command
        eeg_hf.study(lab, "Bedingung", tmp_path / "rate", num_proc=1, prepare={"sampling_rate": -1})


def test_the_table_is_that_of_the_commands_it_prints(study):
    output_dir, printed = study
    rows = json.loads((output_dir / "table/metrics.json").read_text())["results"]
    ours = next(row for row in rows if "EEGFoundation" in row["method"])
    folds = json.loads((output_dir / "unseen/metrics.json").read_text())["summary"]
    assert ours["metrics"]["balanced_accuracy"]["mean"] == pytest.approx(folds["balanced_accuracy"]["mean"])
    verbs = [line.split()[2] for line in printed.splitlines() if line.startswith("$ eeg-hf")]
    assert verbs == ["prepare", "finetune", "finetune", "finetune", "evaluate"]
    choice = json.loads((output_dir / "model/choice.json").read_text())
    assert {"eeg_foundation", "tangent_space", "band_power"} < set(choice["scores"])
    assert f"was chosen by inner folds of subjects and fitted on everybody: {choice['chosen']}" in (
        (output_dir / "report.html").read_text()
    )
    assert any(row["method"].startswith("the kept model") for row in rows)


def test_its_settings_make_the_same_numbers_again_and_finished_steps_are_kept(study, tmp_path):
    output_dir, _ = study
    before = (output_dir / "results.csv").read_text()
    printed = run_command("study", output_dir / "study.yaml")
    assert printed.count("is finished") == 4 and (output_dir / "results.csv").read_text() == before


def test_several_labels_are_answered_apart_and_together(lab, tmp_path):
    words = ("--label_column", "bedingung,Age", "--folds", 2, "--regimes", "unseen", "--num_proc", 1)
    words += ("--window_seconds", 2, "--architectures", "eeg_foundation", "--baselines", "false")
    printed = run_command("study", lab, *words, "--details", "false", "--output_dir", tmp_path, TINY)
    assert "Age: numbers from 20 to 27" in printed and "Bedingung: Rechnen 4, Ruhe 4" in printed
    table = pd.read_csv(tmp_path / "results.csv")
    assert set(table["label"]) == {"Bedingung", "Age"}
    together = table[table["method"].str.startswith("one model for all labels")]
    assert together["balanced_accuracy"].notna().sum() == 1 and together["mae"].notna().sum() == 1
    page = (tmp_path / "report.html").read_text()
    assert "Its scores are a row of each table" in page and "Age/report.html" in page
    answer = pipeline("eeg-classification", model=str(tmp_path / "model"))(str(next(lab.rglob("*_raw.fif"))))
    assert answer["tasks"]["Bedingung"]["label"] in GERMAN.values()
    assert isinstance(answer["tasks"]["Age"]["value"], float)


@pytest.mark.parametrize(
    ("short", "expected"),
    [
        ({"00", "01", "02", "03"}, "class 'Rechnen' of 'Bedingung' is left with windows of no subject"),
        ({"00", "01", "03"}, "class 'Rechnen' of 'Bedingung' is left with windows of one subject in 4 recor"),
    ],
)
def test_a_class_that_is_lost_when_recordings_are_cut_is_named_with_the_reason(short, expected, tmp_path):
    lab = write_lab(tmp_path / "lab", lengths={(subject, "Rechnen"): 2.0 for subject in short})
    words = ("--label_column", "Bedingung", "--output_dir", tmp_path / "study", "--num_proc", 1)
    line = fail_command("study", lab, *words)
    assert line.startswith(expected) and "are less than one window of 4 s; mend that, such as by" in line
    assert not (tmp_path / "study" / "model").exists()


def test_folds_follow_the_subjects_that_are_left_when_recordings_are_cut(tmp_path):
    lab = write_lab(tmp_path / "lab", lengths={(subject, "Rechnen"): 2.0 for subject in ("00", "03")})
    study = understand(StudyArguments([str(lab)], ["Bedingung"], output_dir=str(tmp_path), num_proc=1))
    words = prepare_words(StudyArguments([str(lab)], num_proc=1), study)
    run_command("prepare", *words, "--output_dir", tmp_path / "windows")
    left = check_windows(tmp_path / "windows", study)
    assert (study.plan.folds, left.plan.folds) == (4, 2)
    assert left.plan.reasons[-1].startswith("2 folds, because recordings of Bedingung without a window")


def test_bad_input_is_one_line(tmp_path, lab):
    assert "is not a folder" in fail_command("study", tmp_path / "nothing")
    line = fail_command("study", lab, "--label_column", "Bedingug", "--output_dir", tmp_path / "out")
    assert "did you mean 'Bedingung'" in line
    line = fail_command("study", lab, "--output_dir", tmp_path / "out")
    assert "expected --label_column" in line and "Bedingung" in line
    words = (lab, "--label_column", "Bedingung", "--output_dir", tmp_path / "out")
    assert "budget: expected a time such as 90s" in fail_command("study", *words, "--budget", "soon")
    assert "a regression needs numbers" in fail_command("study", *words, "--task", "regression")
    line = fail_command("study", *words, "prepare.subjects=[nobody]")
    assert "names nobody: the folder has P00" in line
    line = fail_command("study", lab, "--events", '{"S 1": "x"}', "--output_dir", tmp_path / "out")
    assert "no event to use: the recording has" in line
