# SPDX-License-Identifier: Apache-2.0
"""Train an ensemble on the votes of experts: folds by patient, stages, a calibrated vote, a submission."""

import copy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from datasets import Dataset, DatasetDict
from pyarrow import csv
from torch.utils.data import DataLoader
from transformers import PreTrainedModel, TrainingArguments, set_seed
from transformers.trainer_utils import IntervalStrategy, SaveStrategy
from transformers.utils import logging

from ...atomic_files import write_text
from ...collation import EEGDataCollator
from ...corpora import SeenWindows, load_windows, split_windows
from ...corpora.hms import VOTES
from ...evaluation import collect_provenance, write_json
from ...evaluation.vote_metrics import vote_divergence
from ...models.losses import task_loss
from ...models.modeling_hms_ensemble import HMSEnsembleModel, default_input
from ...processing.feature_extraction_eeg import EEGFeatureExtractor
from ...tables import markdown_table
from ...training import EEGTrainer, fit_population
from ...training.votes import train_by_votes
from .arguments import EnsembleArguments
from .members import build_member, check_members
from .windows import EnsembleCollator, vote_windows

logger = logging.get_logger(__name__)

CONSTANT = "mean of the training votes"
ENSEMBLE = "ensemble"


def run(args: EnsembleArguments, training_args: TrainingArguments) -> None:
    """Train an ensemble of each fold, score it on patients that it never saw, and write all votes."""
    args.check()
    check_members(args.members)
    dataset = load_votes(args.data)
    folder = Path(str(training_args.output_dir))
    splits = patient_folds(dataset, args, training_args.seed)
    test = load_windows(args.test) if args.test else None
    check_windows(dataset, test, args)
    tested: list[np.ndarray] = []
    scores: list[dict[str, Any]] = []
    rows: list[pa.Table] = []
    for fold, parts in enumerate(splits):
        where = folder / f"fold-{fold}"
        ensemble, extractor = train_ensemble(parts, args, training_args, where)
        collator = EnsembleCollator(EEGDataCollator(extractor), args.recordings)
        answers = predict_votes(ensemble, parts["test"], collator)
        constant = mean_votes(parts["train"])
        scores.append(score_votes(answers, parts["test"], constant))
        rows.append(vote_table(parts["test"], answers[ENSEMBLE]))
        if test is not None:
            unread = EnsembleCollator(EEGDataCollator(extractor), args.recordings, "test")
            tested.append(predict_votes(ensemble, test, unread)[ENSEMBLE])
        shown = ", ".join(f"{name} {score:.3f}" for name, score in scores[-1].items())
        logger.warning(f"fold {fold}: KL {shown}")
    csv.write_csv(pa.concat_tables(rows), folder / "out_of_fold.csv")
    if test is not None:
        submission = vote_table(test, np.mean(tested, axis=0)).drop_columns(["label_id"])
        csv.write_csv(submission, folder / "submission.csv")
    write_scores(folder, scores, dataset, args, training_args)


def load_votes(data: str) -> Dataset:
    """Return the windows with a vote.

    Raises:
        ValueError: If the corpus has no votes, or no window has one.
    """
    dataset = load_windows(data)
    lacking = [name for name in (*VOTES, "num_votes", "spectrogram_id") if name not in dataset.column_names]
    if lacking:
        raise ValueError(
            f"--data {data} has no column {lacking[0]}: expected windows of `eeg-hf prepare prepare_hms`"
        )
    votes = np.array(dataset["num_votes"][:], float)
    found = dataset.select(np.flatnonzero(votes > 0))
    if not len(found):
        raise ValueError(f"--data {data}: no window has a vote: its test part is for --test")
    return found


def check_windows(dataset: Dataset, test: Dataset | None, args: EnsembleArguments) -> None:
    """Refuse what would fail after the first member is trained.

    Raises:
        FileNotFoundError: If the spectrogram of a first window is missing.
        ValueError: If no window has the votes of a stage.
    """
    most = max(dataset["num_votes"][:])
    if args.least_votes[-1] > most:
        raise ValueError(
            f"--least_votes: no window has {args.least_votes[-1]} votes or more, the most is {most:g}"
        )
    collator = EEGDataCollator(EEGFeatureExtractor.from_pretrained(args.data))
    for part, rows in (("train", dataset), ("test", test)):
        if rows is not None:
            images = EnsembleCollator(collator, args.recordings, part).images
            images(vote_windows(rows).__getitems__([0]))


def patient_folds(dataset: Dataset, args: EnsembleArguments, seed: int) -> list[DatasetDict]:
    """Return folds by patient whose validation patients calibrate."""
    patients = len(set(dataset["subject"]))
    number = args.num_calibration_patients or max(1, round(patients * (1 - 1 / args.folds) / 5))
    return [
        split_windows(
            dataset, "fold", num_folds=args.folds, fold=fold, num_validation_subjects=number, seed=seed
        )
        for fold in range(args.folds)
    ]


def train_ensemble(
    parts: DatasetDict, args: EnsembleArguments, training_args: TrainingArguments, folder: Path
) -> tuple[HMSEnsembleModel, EEGFeatureExtractor]:
    """Train the members of a fold in stages, calibrate their vote, and save them as one model."""
    extractor = EEGFeatureExtractor.from_pretrained(args.data)
    members = {}
    for name, fields in args.members.items():
        set_seed(training_args.seed)
        member: Any = build_member(name, fields, parts["train"][0], parts["train"])
        reads = default_input(member)
        collator = EnsembleCollator(EEGDataCollator(extractor), args.recordings, reads=(reads,))
        if getattr(member.config, "second_order", False):
            fit_population(member, vote_windows(parts["train"]), collator)
        sizes = train_member(member, parts["train"], collator, args, training_args, folder / name)
        logger.warning(f"{name}: trained on {' then '.join(map(str, sizes))} windows")
        members[name] = member.eval()
    ensemble: Any = HMSEnsembleModel(members).eval()
    calibrating = EnsembleCollator(EEGDataCollator(extractor), args.recordings)
    logits, shares = ask_windows(ensemble, parts["validation"], calibrating)
    found = ensemble.calibrate(logits, shares)
    ensemble.save_pretrained(folder)
    extractor.save_pretrained(folder)
    SeenWindows.of([parts["train"]], [parts["validation"]]).save(folder)
    write_json(folder / "calibration.json", found)
    return ensemble, extractor


def train_member(
    member: PreTrainedModel,
    rows: Dataset,
    collator: EnsembleCollator,
    args: EnsembleArguments,
    training_args: TrainingArguments,
    folder: Path,
) -> list[int]:
    """Train one member on shares of votes, in stages; return the number of windows of each."""

    def train(chosen: Dataset, stage: int) -> None:
        own = copy.copy(training_args)
        own.output_dir = str(folder / f"stage-{stage}")
        own.learning_rate = training_args.learning_rate * args.later_rate**stage
        own.remove_unused_columns, own.label_names = False, ["labels"]
        own.eval_strategy, own.load_best_model_at_end = IntervalStrategy.NO, False
        own.save_strategy = SaveStrategy.NO
        EEGTrainer(
            model=member,
            args=own,
            train_dataset=vote_windows(chosen),
            data_collator=collator,
            compute_loss_func=vote_loss,
        ).train()

    return train_by_votes(train, rows, least_votes=args.least_votes)


def vote_loss(outputs: Any, labels: torch.Tensor, num_items_in_batch: Any = None) -> torch.Tensor:
    """Return the cross-entropy with the shares of votes: their KL divergence but for a constant."""
    return task_loss(outputs.logits, labels, outputs.logits.shape[-1])


@torch.no_grad()
def ask_windows(
    ensemble: HMSEnsembleModel, rows: Dataset, collator: EnsembleCollator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the logits of all members (members, windows, classes) and the shares of votes."""
    answers, shares = [], []
    for batch in DataLoader(vote_windows(rows), 32, collate_fn=collator):
        inputs = {name: value.to(ensemble.device) for name, value in batch.items() if name != "labels"}
        answers.append(
            ensemble.ask_members(inputs.pop("input_values"), inputs.pop("pixel_values", None), **inputs)
        )
        shares.append(batch["labels"])
    return torch.cat(answers, dim=1).cpu(), torch.cat(shares)


@torch.no_grad()
def predict_votes(
    ensemble: HMSEnsembleModel, rows: Dataset, collator: EnsembleCollator
) -> dict[str, np.ndarray]:
    """Return the probabilities (windows, classes) of each member, calibrated, and of the ensemble."""
    logits, _ = ask_windows(ensemble, rows, collator)
    log_votes = ensemble.calibrated(logits.to(ensemble.device))
    found = dict(zip(ensemble.base_models, log_votes.exp().cpu().numpy(), strict=True))
    return {**found, ENSEMBLE: ensemble.vote(log_votes).exp().cpu().numpy()}


def read_shares(rows: Dataset) -> np.ndarray:
    """Return the shares of votes (windows, classes)."""
    return np.stack([np.array(rows[name][:], float) for name in VOTES], axis=1)


def mean_votes(rows: Dataset) -> np.ndarray:
    """Return the mean shares (classes,), what a guess that looks at nothing would say."""
    mean = read_shares(rows).mean(axis=0) + 1e-6
    return mean / mean.sum()


def score_votes(answers: dict[str, np.ndarray], rows: Dataset, constant: np.ndarray) -> dict[str, float]:
    """Return the divergence from the votes of each answer, and of a constant."""
    shares = read_shares(rows)
    guesses = {**answers, CONSTANT: np.tile(constant, (len(shares), 1))}
    return {
        name: vote_divergence(shares, said / said.sum(axis=1, keepdims=True))
        for name, said in guesses.items()
    }


def vote_table(rows: Dataset, probabilities: np.ndarray) -> pa.Table:
    """Return the predicted votes as the competition's submissions hold them, with the label's id."""
    shares = probabilities.astype(float)
    shares /= shares.sum(axis=1, keepdims=True)
    ids = {"label_id": rows["label_id"][:], "eeg_id": rows["run"][:]}
    return pa.table({**ids, **dict(zip(VOTES, shares.T, strict=True))})


def write_scores(
    folder: Path,
    scores: list[dict[str, float]],
    dataset: Dataset,
    args: EnsembleArguments,
    training_args: TrainingArguments,
) -> None:
    """Write the divergences of all folds as `metrics.json` and `report.md`, and print the table."""
    names = [*scores[0]]
    means = {name: float(np.mean([fold[name] for fold in scores])) for name in names}
    spread = {name: float(np.std([fold[name] for fold in scores])) for name in names}
    provenance = collect_provenance(
        dataset=", ".join(dataset.unique("corpus")),
        licence=", ".join(dataset.unique("licence")),
        seeds=[training_args.seed],
        split=f"{args.folds} folds of {len(set(dataset['subject']))} patients, {len(dataset)} windows",
    )
    found = {"kl": means, "folds": scores, "provenance": provenance}
    write_json(folder / "metrics.json", found)
    ordered = sorted(names, key=lambda name: means[name])
    lines = [{"Method": name, "KL": f"{means[name]:.3f} ± {spread[name]:.3f}"} for name in ordered]
    table = markdown_table(lines, ["Method"])
    title = f"# Votes\n\nMean KL divergence from the votes, less is better; {provenance['split']}."
    write_text(folder / "report.md", f"{title}\n\n{table}\n")
    sys.stdout.write(f"{table}\n")
