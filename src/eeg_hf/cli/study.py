# SPDX-License-Identifier: Apache-2.0
"""A folder of recordings with labels becomes an honest table, a report to look at, and a model to keep.

    eeg-hf study lab_folder --label_column condition --output_dir runs/study
    eeg-hf study lab_folder --label_column condition --quick true
    eeg-hf study bids_root --label_column group --segments events prepare.window_seconds=1

Labels are columns of the folder's metadata.csv, of BIDS tables, or names of folders. The headers are read,
what was understood is printed, and settings that fit all recordings are chosen. Then the commands that it
prints run: prepare, finetune and evaluate by folds of subjects, in each regime; and a last training on
everybody.

The folder of the study holds report.html, results.{csv,tex,md,json}, figures as PNG, SVG and PDF, methods.md,
the model in `model/`, and study.yaml: `eeg-hf study runs/study/study.yaml` makes the same numbers again. A
study that was interrupted goes on when it is started again.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..experiments.classifiers.strategies import to_words
from ..experiments.study.arguments import StudyArguments
from .parsing import Command
from .steps import run_once, run_verb

if TYPE_CHECKING:
    from ..experiments.study.plan import Plan

METHOD = "EEGFoundation, second order, linear head"


def run(args: StudyArguments) -> None:
    """Understand the folder, run every step, and write the report."""
    from ..atomic_files import write_text
    from ..evaluation import read_report
    from ..experiments.study.lab_folder import choose_label, open_folder, read_facts
    from ..experiments.study.label_checks import list_warnings, refuse_unlearnable
    from ..experiments.study.plan import make_plan
    from ..experiments.study.report import write_report
    from ..experiments.study.result_files import short_table, write_results

    root, output_dir = Path(args.data_dir[0]), Path(args.output_dir)
    corpus = open_folder(root, args.corpus_options)
    recordings = corpus.recordings(root)
    table = read_facts(corpus, recordings, root)
    label = choose_label(table, list(corpus.label_names), args.label_column)
    readable = table[table["problem"].isna()]
    refuse_unlearnable(readable, label)
    warnings = list_warnings(table, label)
    used = readable[readable[label].notna()]
    plan = make_plan(used, label, args.window_seconds, args.folds)
    hours = used["seconds"].sum() / 3600
    say(f"{len(used)} recordings of {used['subject'].nunique()} subjects, {hours:.1f} h")
    say(f"{label}: " + ", ".join(f"{name} {count}" for name, count in used[label].value_counts().items()))
    for line in plan.reasons:
        say(f"chosen: {line}")
    for line in warnings:
        say(f"WARNING: {line}")
    output_dir.mkdir(parents=True, exist_ok=True)
    write_settings(output_dir / "study.yaml", args, label)

    windows = output_dir / "windows"
    run_verb("prepare", *prepare_words(args, plan, corpus.name, root), "--output_dir", windows)
    runs = []
    for regime in args.regimes:
        run_once(
            output_dir / regime, "finetune", *finetune_words(args, windows, label), *folds(args, plan, regime)
        )
        runs.append(f"{METHOD}, {regime}={output_dir / regime}")
    compare = ["--data", windows, "--label_column", label, *to_words(split_settings(args, plan))]
    run_once(output_dir / "table", "evaluate", *compare, "--runs", *runs)
    last = ["--split", "none", "--regime", args.regimes[0]]
    run_once(output_dir / "model", "finetune", *finetune_words(args, windows, label), *last)

    rows, _ = read_report(output_dir / "table")
    write_results(rows, output_dir, output_dir / "table" / "metrics.json")
    report = write_report(output_dir, label, table, plan, warnings, output_dir / args.regimes[0])
    write_text(output_dir / "recordings.csv", table.drop(columns="channels").to_csv(index=False))
    say(f"\n{short_table(rows)}\n\nreport: {report}; model for new recordings: {output_dir / 'model'}")


def prepare_words(args: StudyArguments, plan: "Plan", corpus: str, root: Path) -> list[str]:
    """Return the options of `eeg-hf prepare`."""
    kind = "bids" if corpus == "bids" else "folder"
    settings: dict[str, Any] = {
        "corpus": kind,
        "data_dir": str(root),
        "segments": args.segments,
        "corpus_options": args.corpus_options,
        "num_proc": args.num_proc,
        **plan.prepare_options(),
        **args.prepare,
    }
    return to_words(settings)


def finetune_words(args: StudyArguments, windows: Path, label: str) -> list[str]:
    """Return the options of `eeg-hf finetune` that all trainings share."""
    settings = {"data": str(windows), "label_column": label, "head": "convex", "report_to": "none"}
    return ["finetune_tiny", *to_words({**settings, **args.finetune})]


def folds(args: StudyArguments, plan: "Plan", regime: str) -> list[str]:
    """Return the options of a cross-validation."""
    return to_words({**split_settings(args, plan), "regime": regime})


def split_settings(args: StudyArguments, plan: "Plan") -> dict[str, Any]:
    """Return the options that divide the subjects; a head that is fitted at once selects no epoch on some."""
    return {"folds": plan.folds, "split_seed": args.seed, "num_validation_subjects": 0}


def write_settings(path: Path, args: StudyArguments, label: str) -> None:
    """Write the recipe that makes the same study again."""
    from omegaconf import OmegaConf

    from ..atomic_files import write_text

    settings = {**vars(args), "label_column": label, "data_dir": [str(Path(args.data_dir[0]).resolve())]}
    write_text(path, OmegaConf.to_yaml(OmegaConf.create({"command": "study", **settings})))


def say(line: str) -> None:
    """Print a line."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def read_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Replace a study.yaml in the place of the folder by its settings; options override them."""
    words = settings.get("data_dir", [])
    if len(words) != 1 or not words[0].endswith((".yaml", ".yml")):
        return settings
    from .parsing.recipe_files import load_yaml

    loaded = dict(load_yaml(Path(words[0]).read_text(encoding="utf-8")))
    if loaded.pop("command", None) != "study":
        raise ValueError(f"{words[0]} is no study.yaml: expected one that eeg-hf study wrote")
    return {**loaded, **{name: value for name, value in settings.items() if name != "data_dir"}}


COMMAND = main = Command(
    "study", __doc__ or "", run, (StudyArguments,), positional="data_dir", adapt=read_settings
)

if __name__ == "__main__":
    main()
