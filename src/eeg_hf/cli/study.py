# SPDX-License-Identifier: Apache-2.0
"""A folder of recordings with labels becomes an honest table, a report to look at, and a model to keep.

    eeg-hf study lab_folder --label_column condition --output_dir runs/study
    eeg-hf study lab_folder --label_column condition --quick true
    eeg-hf study lab_folder --label_column condition,age --budget 30min
    eeg-hf study bids_root --events '{"standard": "standard", "oddball": "target"}'

Labels are columns of the folder's metadata.csv, of BIDS tables, or names of folders. The headers are read,
what was understood is printed, and settings that fit all recordings are chosen. Then the commands that it
prints run: prepare, finetune and evaluate by folds of subjects, in each regime; and a last training on
everybody.

The folder of the study holds report.html, results.{csv,tex,md,json}, figures as PNG, SVG and PDF, methods.md,
the model in `model/`, and study.yaml: `eeg-hf study runs/study/study.yaml` makes the same numbers again. A
study that was interrupted goes on when it is started again.
"""

import dataclasses
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..experiments.classifiers.strategies import to_words
from ..experiments.study.arguments import StudyArguments
from ..folder_lock import locked_folder
from .parsing import Command
from .steps import is_finished, run_once, run_verb

if TYPE_CHECKING:
    from ..experiments.study.budget import Budget, Work
    from ..experiments.study.progress import Progress
    from ..experiments.study.question import Question
    from ..experiments.study.understanding import Study

METHOD = "EEGFoundation, second order, linear head"
KEPT = "the kept model: chosen by inner folds"
TOGETHER = "one model for all labels, a head for each"
INNER_FOLDS = 3


def study(
    data_dir: str | Path,
    label_column: str | Sequence[str] = (),
    output_dir: str | Path = "runs/study",
    **settings: Any,
) -> Path:
    """Do from Python what `eeg-hf study` does: from a folder of recordings to a table, a report and a model.

    A study that was interrupted goes on when it is called again.

    Args:
        data_dir: Folder of recordings with labels.
        label_column: Column of the labels, or several; default: the only one there is.
        output_dir: Folder for everything.
        **settings: Further options by their names, such as `quick=True`, `budget="30min"` or
            `events={"standard": "standard", "oddball": "target"}`; `eeg-hf study --help` lists them.

    Returns:
        The folder, with `report.html`, `results.csv` and `model/` in it.

    Raises:
        ValueError: If the folder, its labels or an option cannot be used; the message says what to do.
    """
    labels = [label_column] if isinstance(label_column, str) else [*label_column]
    args = StudyArguments([str(data_dir)], labels, output_dir=str(output_dir), **settings)
    try:
        with locked_folder(args.output_dir, "eeg_hf.study"):
            run(args)
    except SystemExit as stopped:  # a step ends its process with a line, which is for shells
        raise stopped.__context__ or RuntimeError(f"study: a step ended with code {stopped.code}") from None
    return Path(args.output_dir)


def run(args: StudyArguments) -> None:
    """Understand the folder, run every step, and write the report."""
    from ..experiments.study.budget import Budget
    from ..experiments.study.progress import Progress
    from ..experiments.study.understanding import understand

    budget = Budget(args.budget)
    study = understand(args)
    if args.budget:
        study = take_subjects(args, study)
    for line in study.describe():
        say(line)
    for question in study.questions:
        check_candidates(args, question)
    Path(args.output_dir).mkdir(parents=True, exist_ok=True)
    with Progress() as progress:
        run_steps(args, study, budget, progress)


def run_steps(args: StudyArguments, study: "Study", budget: "Budget", progress: "Progress") -> None:
    """Prepare the recordings, train, compare and report."""
    from ..experiments.study.window_checks import check_windows

    output_dir = Path(args.output_dir)
    progress.plan(list_costs(args, study))
    with progress.step(output_dir / "windows", "preparing the recordings"):
        run_verb("prepare", *prepare_words(args, study), "--output_dir", output_dir / "windows")
        prepared = check_windows(output_dir / "windows", study)
    for reason in prepared.plan.reasons[len(study.plan.reasons) :]:
        say(f"chosen: {reason}")
    study = prepared
    begun = time.monotonic()
    for question in study.questions:
        train_last(args, question, progress)
    # What is kept beside a model, such as statistics of its training, costs a fit too
    fits = sum(count_fits(args, question) + 1 for question in study.questions)
    fit_to_time(args, study, budget, (time.monotonic() - begun) / fits)
    folds = min(args.folds, study.plan.folds)
    study = dataclasses.replace(study, plan=dataclasses.replace(study.plan, folds=folds))
    progress.plan(list_costs(args, study))
    write_settings(output_dir / "study.yaml", args, [question.label for question in study.questions])
    together = train_together(args, study, progress)
    for question in study.questions:
        answer(args, study, question, together.get(question.label), progress)
    if len(study.questions) > 1:
        write_overview(study, output_dir)


def list_costs(args: StudyArguments, study: "Study") -> dict[Path, float]:
    """Return what each step may cost in seconds, by the folder that it writes."""
    from ..experiments.study.budget import expected_fit_seconds, preparation_seconds

    output_dir, work = Path(args.output_dir), wanted_work(args, study)
    costs = {output_dir / "windows": preparation_seconds(study.readable, args.num_proc)}
    if learns_together(args, study):
        fit = expected_fit_seconds(study.readable, study.plan.sampling_rate)
        costs[output_dir / "model"] = fit
        costs |= {output_dir / "together": work.folds * fit} if tests_together(args, study) else {}
    for question in study.questions:
        fit = expected_fit_seconds(study.used(question), study.plan.sampling_rate)
        folder, choices = question.folder, count_fits(args, question)
        costs[folder / "model"] = choices * fit
        costs |= {folder / "kept": work.folds * choices * fit} if tests_choice(args, question) else {}
        costs |= {folder / regime: work.folds * fit for regime in work.regimes}
        costs |= {folder / "table": work.table_cost(fit) + 1, folder / "report": work.report_cost(fit)}
    return costs


def run_step(progress: "Progress", title: str, folder: Path, *words: object) -> None:
    """Run a command with an output folder as a step, unless it finished before."""
    with progress.step(folder, title, is_finished(folder, *words)):
        run_once(folder, *words)


def take_subjects(args: StudyArguments, study: "Study") -> "Study":
    """Leave out subjects whose recordings would take more than a share of the time to prepare."""
    from ..experiments.study.budget import Budget, choose_subjects
    from ..experiments.study.lab_folder import EVENT
    from ..experiments.study.understanding import understand

    table = study.readable
    labels = [each.label for each in study.questions if each.label != EVENT and not each.is_regression]
    there = sorted(set(table["subject"]))
    chosen = choose_subjects(table, labels, Budget(args.budget).seconds, args.num_proc)
    if len(chosen) == len(there):
        return study
    args.prepare = {**args.prepare, "subjects": chosen}
    args.left_out = [*args.left_out, f"{len(there) - len(chosen)} of {len(there)} subjects"]
    return understand(args)


def fit_to_time(args: StudyArguments, study: "Study", budget: "Budget", fit_seconds: float) -> None:
    """Reduce folds, regimes and baselines to what the time allows; say what is left out."""
    from ..experiments.study.budget import choose_work, keep_work, kept_work

    if args.budget:
        wanted = wanted_work(args, study)
        key = f"{args.budget}: {wanted} {[question.label for question in study.questions]}"
        work = kept_work(Path(args.output_dir), key)
        work = work or choose_work(wanted, budget.left / len(study.questions), fit_seconds)
        keep_work(Path(args.output_dir), work, key)
        args.folds, args.regimes, args.baselines = work.folds, list(work.regimes), work.baselines
        args.details, args.tests_choice = work.details, bool(work.choices)
        args.left_out = [*args.left_out, *work.left_out]
    for line in args.left_out:
        say(f"LEFT OUT to keep within the time: {line}")


def wanted_work(args: StudyArguments, study: "Study") -> "Work":
    """Return what is to be done for each label."""
    from ..experiments.study.budget import Work

    choices = [count_fits(args, question) for question in study.questions if tests_choice(args, question)]
    return Work(
        folds=min(args.folds, study.plan.folds),
        regimes=tuple(args.regimes),
        baselines=args.baselines,
        details=args.details,
        choices=max(choices, default=0),
    )


def train_last(args: StudyArguments, question: "Question", progress: "Progress") -> None:
    """Choose the model that is kept by folds of everybody, and train it on everybody."""
    question.folder.mkdir(parents=True, exist_ok=True)
    last = ["--split", "none", *kept_words(args, question)]
    windows = Path(args.output_dir) / "windows"
    words = ("finetune", *finetune_words(args, windows, question), *last)
    run_step(progress, f"{question.label}: the model that is kept", question.folder / "model", *words)


def kept_words(args: StudyArguments, question: "Question") -> list[str]:
    """Return the options of the model that is kept: what it is chosen from, or the regime of the only one."""
    names = candidates(args, question)
    if len(names) == 1:
        return ["--architecture", names[0], "--regime", args.regimes[0]]
    return ["--architecture", ",".join(names), "--search_folds", str(INNER_FOLDS)]


def candidates(args: StudyArguments, question: "Question") -> tuple[str, ...]:
    """Return the methods that the kept model is chosen from.

    Where it is to be calibrated on each subject, that is ours alone.
    """
    if args.architectures:
        return tuple(args.architectures)
    found = question.candidates(are_evoked=args.segments == "events")
    return found if args.regimes[0] == "unseen" else found[:1]


def check_candidates(args: StudyArguments, question: "Question") -> None:
    """Refuse methods that the kept model cannot be chosen from, before anything is prepared."""
    from ..experiments.classifiers.arguments import FinetuneArguments, find_idle

    for name, reason in find_idle({"head": "convex", **args.finetune}).items():
        if name in args.finetune:
            raise ValueError(f"finetune.{name}: no effect, {reason}")
    names = candidates(args, question)
    if args.regimes[0] != "unseen" and set(names) != {"eeg_foundation"}:
        raise ValueError(
            f"architectures: {', '.join(names)} with --regimes {args.regimes[0]} first: only eeg_foundation "
            "is calibrated on a subject; name the regime unseen first"
        )
    task: Any = "regression" if question.is_regression else "classification"
    FinetuneArguments("", question.label, task=task, architecture=",".join(names), head="convex").check()


def count_fits(args: StudyArguments, question: "Question") -> int:
    """Return how many fits it takes to choose and train a model."""
    number = len(candidates(args, question))
    return 1 if number == 1 else INNER_FOLDS * number + 1


def tests_choice(args: StudyArguments, question: "Question") -> bool:
    """Return whether the choice of the kept model is tested by folds."""
    return args.tests_choice and count_fits(args, question) > 1


def answer(
    args: StudyArguments,
    study: "Study",
    question: "Question",
    together: Path | None,
    progress: "Progress",
) -> None:
    """Compare methods on a label, and write the report."""
    from ..atomic_files import write_text
    from ..evaluation import read_report
    from ..experiments.study.report import Notes, write_report
    from ..experiments.study.result_files import short_table, write_results

    windows, folder = Path(args.output_dir) / "windows", question.folder
    split, shown = split_settings(args, study), folder / args.regimes[0]
    runs = [f"{TOGETHER}={together}"] if together else []
    shared, label = ("finetune", *finetune_words(args, windows, question)), question.label
    if tests_choice(args, question):
        shown = folder / "kept"
        words = (*shared, *kept_words(args, question), *to_words(split))
        run_step(progress, f"{label}: a test of the choice", shown, *words)
        runs.append(f"{KEPT}={shown}")
    for regime in args.regimes:
        words = (*shared, *to_words({**split, "regime": regime}))
        run_step(progress, f"{label}: our model, {regime}", folder / regime, *words)
        runs.append(f"{METHOD}, {regime}={folder / regime}")
    compared = {"data": str(windows), **question_settings(question), **split}
    compared |= {"baselines": None if args.baselines else False}
    compared |= {"evoked": True if args.segments == "events" and args.baselines else None}
    words = ("evaluate", *to_words(compared), "--runs", *runs)
    run_step(progress, f"{label}: the table with baselines", folder / "table", *words)

    rows, _ = read_report(folder / "table")
    write_results(rows, folder, folder / "table" / "metrics.json")
    notes = Notes(shown, args.left_out, args.details and args.regimes[0] == "unseen")
    with progress.step(folder / "report", f"{label}: the report"):
        report = write_report(windows, question, study, notes)
    write_text(
        folder / "recordings.csv", study.table.drop(columns=["channels", "samples"]).to_csv(index=False)
    )
    say(f"\n{short_table(rows)}\n\nreport: {report}; model for new recordings: {folder / 'model'}")


def split_settings(args: StudyArguments, study: "Study") -> dict[str, Any]:
    """Return the options of the folds, the same for every method."""
    folds = min(args.folds, study.plan.folds)
    return {"folds": folds, "split_seed": args.seed, "num_validation_subjects": 0}


def learns_together(args: StudyArguments, study: "Study") -> bool:
    """Return whether one model learns all labels: a head is of numbers where its label is."""
    return len(study.questions) > 1 and args.task == "auto" and args.regimes[0] == "unseen"


def tests_together(args: StudyArguments, study: "Study") -> bool:
    """Return whether that model is tested: folds of the labels must be the same."""
    return args.tests_choice and study.has_equal_recordings


def train_together(args: StudyArguments, study: "Study", progress: "Progress") -> dict[str, Path]:
    """Train one model with a head for each label on everybody who has any of them, and test it by folds.

    Returns:
        Folder of its predictions for each label; empty where folds of the labels differ.
    """
    from ..experiments.classifiers.several_tasks import task_folders

    if not learns_together(args, study):
        return {}
    output_dir, labels = Path(args.output_dir), [question.label for question in study.questions]
    settings = {"data": str(output_dir / "windows"), "label_column": ",".join(labels), "head": "convex"}
    words = ("finetune", "finetune_tiny", *to_words({**settings, "report_to": "none", **args.finetune}))
    run_step(progress, "one model for all labels", output_dir / "model", *words, "--split", "none")
    if not tests_together(args, study):
        return {}
    folds = to_words(split_settings(args, study))
    run_step(progress, "a test of one model for all labels", output_dir / "together", *words, *folds)
    return task_folders(output_dir / "together", labels)


def prepare_words(args: StudyArguments, study: "Study") -> list[str]:
    """Return the options of `eeg-hf prepare`."""
    settings: dict[str, Any] = {
        "corpus": "bids" if study.corpus.name == "bids" else "folder",
        "data_dir": str(study.root),
        "segments": args.segments,
        "event_labels": args.events,
        "corpus_options": args.corpus_options,
        "num_proc": args.num_proc,
        **study.plan.prepare_options(),
        **args.prepare,
    }
    return to_words(settings)


def question_settings(question: "Question") -> dict[str, Any]:
    """Return the options that name a label, of `eeg-hf finetune` and `evaluate`."""
    task = {"task": "regression"} if question.is_regression else {}
    votes = {"votes": list(question.votes)} if question.votes else {}
    return {"label_column": question.label, **task, **votes}


def finetune_words(args: StudyArguments, windows: Path, question: "Question") -> list[str]:
    """Return the options of `eeg-hf finetune` that all trainings share."""
    settings = {"data": str(windows), **question_settings(question), "head": "convex", "report_to": "none"}
    return ["finetune_tiny", *to_words({**settings, **args.finetune})]


def write_overview(study: "Study", output_dir: Path) -> None:
    """Write one table and one page for several labels."""
    from ..experiments.study.overview import write_overview_page

    warnings = {question: [*study.warnings(question), *study.told] for question in study.questions}
    say(f"\nall labels: {write_overview_page(warnings, output_dir)}")


def write_settings(path: Path, args: StudyArguments, labels: list[str]) -> None:
    """Write the recipe that makes the same study again."""
    from omegaconf import OmegaConf

    from ..atomic_files import write_text

    settings = {**vars(args), "label_column": labels, "data_dir": [str(Path(args.data_dir[0]).resolve())]}
    settings |= {"quick": False, "budget": None}  # what fitted is written down
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
