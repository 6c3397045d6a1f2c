# SPDX-License-Identifier: Apache-2.0
r"""What second-order tokens, recentring, a convex head and masked-band pretraining are each worth.

    python -m eeg_hf.experiments.second_order_study --data runs/data/eegmat --label_column condition \
        --rest rest --output_dir runs/second_order
    python -m eeg_hf.experiments.second_order_study src/eeg_hf/recipes/study/second_order_eegmat.yaml
    python -m eeg_hf.experiments.second_order_study --data runs/data/eegmat --label_column condition \
        --rest rest --output_dir runs/second_order --parts label_efficiency --seeds 0 1 2 3 4

Every choice (penalty, shrinkage) is made by grouped folds inside the training subjects. Seed 0 has the folds
of `GroupKFold`, other seeds shuffle the subjects. In the regimes with a calibration, the windows that a
subject is calibrated on are neither trained on nor scored, except in the regime `all`.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from scipy.special import softmax
from sklearn.model_selection import GroupKFold
from transformers import HfArgumentParser, TrainingArguments, set_seed
from transformers.utils import logging

from ..collation import EEGDataCollator, EEGPreTrainingCollator, WindowDataset, decode_windows
from ..collation.group_calibrations import REGIMES, calibrate_groups, calibration_windows
from ..corpora import drop_unlabelled, load_windows
from ..evaluation import Predictions, collect_provenance, summarize_predictions, write_json
from ..evaluation.by_subject import paired_difference
from ..evaluation.metrics import balanced_accuracy
from ..evaluation.welch_tangent_space import WelchTangentSpace
from ..models.configuration_eeg_foundation import EEGFoundationConfig
from ..models.modeling_eeg_foundation import EEGFoundationForPreTraining, EEGFoundationModel
from ..models.second_order import mean_over_stretches
from ..processing.calibration import Calibration
from ..processing.feature_extraction_eeg import EEGFeatureExtractor
from ..training.convex_head import collect_features, fit_head
from ..training.population import fit_population
from ..training.trainer import EEGTrainer

logger = logging.get_logger(__name__)

PARTS = ("methods", "ablation", "label_efficiency")
OURS, RIVAL = "second-order vectors, convex head", "tangent space, 12 Welch bands"
# One thing of the method left out at a time
ABLATIONS: dict[str, dict[str, Any]] = {
    "whole": {},
    "covariances, not split": {"second_order_split": False},
    "hardly shrunk after recentring": {"second_order_shrinkage": 0.05},
    "8 harmonics": {"second_order_basis": "harmonics", "second_order_degree": 2},
    "15 harmonics": {"second_order_basis": "harmonics", "second_order_degree": 3},
}
SIZE: dict[str, Any] = {
    "hidden_size": 32,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "num_hidden_layers": 0,
}


@dataclass
class StudyArguments:
    """What to study, on what."""

    data: str = field(metadata={"help": "Prepared corpus, folder or Hub name."})
    label_column: str = field(metadata={"help": "Column of the labels."})
    output_dir: str = field(metadata={"help": "Where results.json goes."})
    rest: str | None = field(
        default=None, metadata={"help": "Label of rest, of which 30 s calibrate; none = the first 30 s."}
    )
    parts: list[str] = field(
        default_factory=lambda: ["methods", "ablation"], metadata={"help": f"Some of {', '.join(PARTS)}."}
    )
    regimes: list[str] = field(
        default_factory=lambda: ["unseen", "first_30s", "all"],
        metadata={"help": f"Some of {', '.join(REGIMES)}."},
    )
    seeds: list[int] = field(default_factory=lambda: [0], metadata={"help": "Shuffles of the subjects."})
    folds: int = field(default=5, metadata={"help": "Folds of subjects."})
    group_column: str = field(
        default="subject", metadata={"help": "What stays on one side of a fold; within one subject: run."}
    )
    num_labelled: list[int] = field(
        default_factory=lambda: [2, 4, 8, 16, 28], metadata={"help": "Labelled subjects of the curve."}
    )
    draws: int = field(default=5, metadata={"help": "Draws of the labelled subjects in each fold."})
    pretrain_epochs: float = field(default=15.0, metadata={"help": "Epochs of masked-band prediction."})


@dataclass(frozen=True)
class Corpus:
    """A prepared corpus with its labels as numbers."""

    rows: Dataset
    extractor: EEGFeatureExtractor
    labels: np.ndarray
    groups: np.ndarray
    args: StudyArguments

    @classmethod
    def load(cls, args: StudyArguments) -> "Corpus":
        """Read the windows that have a label."""
        rows = drop_unlabelled(load_windows(args.data), args.label_column)
        names = sorted(rows.unique(args.label_column))
        labels = np.array([names.index(label) for label in rows[args.label_column]])
        groups = np.array(rows[args.group_column]).astype(str)
        return cls(rows, EEGFeatureExtractor.from_pretrained(args.data), labels, groups, args)

    def split(self, seed: int, is_scored: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the rows of the training and the test part of each fold, among those that are scored."""
        rows = np.flatnonzero(is_scored)
        options = {"shuffle": True, "random_state": seed} if seed else {}
        for train, test in GroupKFold(self.args.folds, **options).split(rows, groups=self.groups[rows]):
            yield rows[train], rows[test]

    def reference(self, regime: str, seed: int = 0) -> np.ndarray:
        """Return the rows that subjects are calibrated on, (rows,) bool."""
        return calibration_windows(self.rows, regime, self.args.label_column, self.args.rest, seed)

    def microvolts(self) -> np.ndarray:
        """Return all windows (windows, channels, time) in uV."""
        return decode_windows(WindowDataset(self.rows).__getitems__(list(range(len(self.rows)))))[0]

    def predictions(self, test: np.ndarray, scores: np.ndarray) -> Predictions:
        """Name the scores of a test part."""
        subjects = np.array(self.rows["subject"]).astype(str)[test]
        return Predictions(np.array(self.rows["window_id"])[test], subjects, self.labels[test], scores)


def make_encoder(corpus: Corpus, **fields: Any) -> EEGFoundationModel:
    """Return an encoder with second-order tokens for the channels of a corpus."""
    first = corpus.rows[0]
    config = EEGFoundationConfig(
        **SIZE,
        second_order=True,
        sampling_rate=corpus.extractor.sampling_rate,
        num_channels=len(first["channels"]),
        channel_names=first["channels"],
        channel_positions=np.reshape(first["channel_positions"], (-1, 3)).tolist(),
        **fields,
    )
    return EEGFoundationModel(config).eval()


def make_collator(corpus: Corpus, calibrations: Mapping[str, Calibration] | None) -> EEGDataCollator:
    """Return the collator that recentres by some calibrations."""
    return EEGDataCollator(corpus.extractor, calibrations=calibrations)


def read_vectors(
    corpus: Corpus, model: EEGFoundationModel, calibrations: Mapping[str, Calibration] | None
) -> np.ndarray:
    """Return what the head reads of all windows, (windows, features)."""
    return collect_features(model, WindowDataset(corpus.rows), make_collator(corpus, calibrations))


def calibrate_corpus(
    corpus: Corpus, model: EEGFoundationModel, regime: str, seed: int
) -> tuple[dict[str, Calibration] | None, np.ndarray]:
    """Return the calibrations of a regime, None for `unseen`, and which rows are trained on and scored."""
    is_used = corpus.reference(regime, seed)
    if regime == "unseen":
        return None, ~is_used
    calibrations = calibrate_groups(corpus.rows, corpus.extractor, model, is_used)
    return calibrations, np.ones(len(is_used), bool) if regime == "all" else ~is_used


def run_vectors(corpus: Corpus, regime: str, seed: int, **fields: Any) -> list[Predictions]:
    """Return the predictions of a convex head on second-order vectors, one entry a fold."""
    set_seed(0)
    model = make_encoder(corpus, **fields)
    calibrations, is_scored = calibrate_corpus(corpus, model, regime, seed)
    vectors = None if calibrations is None else read_vectors(corpus, model, calibrations)
    found = []
    for train, test in corpus.split(seed, is_scored):
        if calibrations is None:  # recentred by the mean of the training subjects
            fit_population(model, WindowDataset(corpus.rows.select(train)), make_collator(corpus, None))
            vectors = read_vectors(corpus, model, None)
        assert vectors is not None
        head = fit_head(vectors[train], corpus.labels[train], corpus.groups[train])
        logits = vectors[test] @ head.weight.T + head.bias
        found.append(corpus.predictions(test, softmax(logits, axis=1)))
    return found


def run_tangent_space(corpus: Corpus, regime: str, seed: int) -> list[Predictions]:
    """Return the predictions of the baseline, which knows the regimes `unseen` and `all`."""
    windows = WelchTangentSpace(corpus.extractor.sampling_rate, is_aligned=regime == "all")
    covariances = windows.covariances(corpus.microvolts())
    found = []
    for train, test in corpus.split(seed, np.ones(len(corpus.labels), bool)):
        windows.fit_covariances(covariances[train], corpus.labels[train], corpus.groups[train])
        scores = windows.predict_covariances(covariances[test], corpus.groups[test])
        found.append(corpus.predictions(test, scores))
    return found


def compare_methods(corpus: Corpus) -> list[dict[str, Any]]:
    """Return a row for each method and regime, with the paired difference to the baseline."""
    rows = []
    for regime in corpus.args.regimes:
        runs = [run_vectors(corpus, regime, seed) for seed in corpus.args.seeds]
        row = describe(OURS, regime, runs)
        if regime in ("unseen", "all"):
            rival = [run_tangent_space(corpus, regime, seed) for seed in corpus.args.seeds]
            row["minus_tangent_space"] = paired_difference(by_subject(runs), by_subject(rival))
            rows.append(describe(RIVAL, regime, rival))
        rows.append(row)
    return rows


def run_ablation(corpus: Corpus) -> list[dict[str, Any]]:
    """Return a row for each variant of the method in each regime."""
    return [
        describe(name, regime, [run_vectors(corpus, regime, seed, **fields) for seed in corpus.args.seeds])
        for name, fields in ABLATIONS.items()
        for regime in corpus.args.regimes
    ]


def describe(name: str, regime: str, runs: list[list[Predictions]]) -> dict[str, Any]:
    """Return a method's metrics over folds and seeds, and log them."""
    summary = summarize_predictions(runs)
    shown = {metric: summary[metric] for metric in ("balanced_accuracy", "auroc")}
    logger.warning(f"{name}, {regime}: " + ", ".join(f"{key} {value}" for key, value in shown.items()))
    return {"method": name, "regime": regime, "num_seeds": len(runs), **shown}


def by_subject(runs: Sequence[Sequence[Predictions]]) -> dict[str, float]:
    """Return the balanced accuracy of each subject, averaged over seeds."""
    scores: dict[str, list[float]] = {}
    for run in runs:
        whole = Predictions.concatenate(list(run))
        for subject in np.unique(whole.subjects):
            rows = whole.subjects == subject
            right = balanced_accuracy(whole.labels[rows], whole.scores[rows].argmax(axis=1))
            scores.setdefault(subject, []).append(right)
    return {subject: float(np.mean(each)) for subject, each in scores.items()}


def pretrain(
    corpus: Corpus, train: np.ndarray, calibrations: Mapping[str, Calibration], seed: int, output_dir: str
) -> EEGFoundationModel:
    """Return an encoder that has predicted masked bands on the training subjects, without labels."""
    set_seed(seed)
    encoder = make_encoder(corpus)
    windows = WindowDataset(corpus.rows.select(train))
    fit_population(encoder, windows, make_collator(corpus, calibrations))
    if not corpus.args.pretrain_epochs:
        return encoder
    fields = {"reconstruction_weight": 0.0, "contrastive_weight": 0.0, "objectives": {"masked_bands": {}}}
    model = EEGFoundationForPreTraining(EEGFoundationConfig(**{**encoder.config.to_dict(), **fields}))
    model.model = encoder
    bands = len(encoder.config.second_order_bands)
    trainer = EEGTrainer(
        model=model,
        args=TrainingArguments(
            output_dir,
            num_train_epochs=corpus.args.pretrain_epochs,
            per_device_train_batch_size=64,
            learning_rate=2e-3,
            lr_scheduler_type="cosine",
            warmup_steps=20,
            weight_decay=0.01,
            seed=seed,
            save_strategy="no",
            report_to="none",
            remove_unused_columns=False,
            disable_tqdm=True,
            logging_steps=100,
        ),
        train_dataset=windows,
        data_collator=EEGPreTrainingCollator(
            corpus.extractor,
            encoder.config.patch_size,
            view=None,
            num_bands=bands,
            calibrations=calibrations,
            seed=seed,
        ),
    )
    trainer.train()
    return encoder.eval()


@torch.no_grad()
def embed_bands(
    corpus: Corpus, model: EEGFoundationModel, calibrations: Mapping[str, Calibration]
) -> np.ndarray:
    """Return the encoded second-order tokens of all windows side by side, (windows, bands * hidden_size)."""
    windows, collate, found = WindowDataset(corpus.rows), make_collator(corpus, calibrations), []
    for start in range(0, len(windows), 64):
        batch = collate(windows.__getitems__(list(range(start, min(start + 64, len(windows))))))
        features, is_real = model.second_order_features(**batch)
        tokens = model.second_order(features, is_real)
        found.append(mean_over_stretches(tokens, is_real).flatten(1))
    return torch.cat(found).numpy()


def label_efficiency(corpus: Corpus) -> list[dict[str, Any]]:
    """Return the scores of frozen features by the number of labelled subjects, aligned, one row a draw."""
    rows = []
    plain = make_encoder(corpus)
    calibrations = calibrate_groups(corpus.rows, corpus.extractor, plain)
    vectors = read_vectors(corpus, plain, calibrations)
    output_dir = str(Path(corpus.args.output_dir) / "pretraining")
    for seed in corpus.args.seeds:
        for fold, (train, test) in enumerate(corpus.split(seed, np.ones(len(corpus.labels), bool))):
            set_seed(seed)
            random_net = make_encoder(corpus)
            windows = WindowDataset(corpus.rows.select(train))
            fit_population(random_net, windows, make_collator(corpus, calibrations))
            features = {
                "raw vectors": vectors,
                "random weights": embed_bands(corpus, random_net, calibrations),
                "pretrained": embed_bands(
                    corpus, pretrain(corpus, train, calibrations, seed, output_dir), calibrations
                ),
            }
            rows += draw_subjects(corpus, features, train, test, seed, fold)
    return rows


def draw_subjects(
    corpus: Corpus,
    features: Mapping[str, np.ndarray],
    train: np.ndarray,
    test: np.ndarray,
    seed: int,
    fold: int,
) -> list[dict[str, Any]]:
    """Fit heads on some training subjects, drawn at random, and score them on the test part."""
    random = np.random.default_rng([seed, fold])
    owners, rows = corpus.groups[train], []
    for number in corpus.args.num_labelled:
        subjects = np.unique(owners)
        if number > len(subjects):
            continue
        num_draws = 1 if number == len(subjects) else corpus.args.draws
        for draw in range(num_draws):
            labelled = train[np.isin(owners, random.choice(subjects, number, replace=False))]
            for name, values in features.items():
                head = fit_head(values[labelled], corpus.labels[labelled], corpus.groups[labelled])
                scores = softmax(values[test] @ head.weight.T + head.bias, axis=1)
                summary = summarize_predictions([[corpus.predictions(test, scores)]])
                rows.append(
                    {
                        "features": name,
                        "num_labelled": number,
                        "seed": seed,
                        "fold": fold,
                        "draw": draw,
                        "balanced_accuracy": summary["balanced_accuracy"]["mean"],
                        "auroc": summary["auroc"]["mean"],
                    }
                )
    return rows


def run_study(args: StudyArguments) -> dict[str, Any]:
    """Run the parts that were asked for and write `results.json`.

    Raises:
        ValueError: If a part or a regime is unknown.
    """
    for name, given, known in (("parts", args.parts, PARTS), ("regimes", args.regimes, REGIMES)):
        if not set(given) <= set(known):
            raise ValueError(f"{name}: expected some of {', '.join(known)}, got {' '.join(given)}")
    corpus = Corpus.load(args)
    output_dir = Path(args.output_dir)
    output_dir.mkdir(parents=True, exist_ok=True)
    run = {"methods": compare_methods, "ablation": run_ablation, "label_efficiency": label_efficiency}
    results: dict[str, Any] = {part: run[part](corpus) for part in args.parts}
    results["provenance"] = collect_provenance(
        dataset=", ".join(corpus.rows.unique("corpus")),
        licence=", ".join(corpus.rows.unique("licence")),
        seeds=args.seeds,
        split=f"{args.folds} folds by {args.group_column}",
    )
    write_json(output_dir / "results.json", results)
    return results


def main() -> None:
    """Run the study from the command line."""
    arguments: Any = StudyArguments
    parser = HfArgumentParser(arguments, description=__doc__)
    if sys.argv[1:2] and sys.argv[1].endswith((".yaml", ".yml")):
        (args,) = parser.parse_yaml_file(sys.argv[1])
    else:
        (args,) = parser.parse_args_into_dataclasses()
    run_study(args)
    sys.stdout.write(f"results: {Path(args.output_dir) / 'results.json'}\n")


if __name__ == "__main__":
    main()
