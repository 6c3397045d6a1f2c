# SPDX-License-Identifier: Apache-2.0
"""Fine-tune a classifier or regressor on the windows of a prepared corpus, split by subject."""

import copy
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from datasets import Dataset, DatasetDict
from transformers import EarlyStoppingCallback, TrainingArguments, set_seed
from transformers.trainer_utils import IntervalStrategy
from transformers.utils import logging

from ...bundled_weights import find_weights
from ...collation import DEFAULT_VIEW, EEGDataCollator, MixupCollator, WindowDataset
from ...corpora import ContaminationError, SeenWindows, SplitContents, load_alignments
from ...evaluation import Predictions, write_json
from ...evaluation.report import format_summary
from ...processing.feature_extraction_eeg import EEGFeatureExtractor
from ...training import ConvexHead, EEGTrainer, FreezeEncoder
from ...training.adapters import add_adapter, import_peft, merge_adapter
from ...training.moved_weights import FILE as TRAINED_FILE
from ...training.moved_weights import WeightWatch
from ...training.quantization_aware import restore_layers, round_layers
from ..inner_folds import inner_splits
from ..options import split_words
from ..searching import DEFAULT_SPACE, apply_settings, check_space, import_optuna, search_settings
from ..split_arguments import SplitArguments
from ..training_statistics import collect_statistics
from .arguments import FinetuneArguments
from .bands import choose_bands
from .calibrated_split import CalibratedSplit, calibrate_split
from .choosing import Choice, choose_architecture
from .classical import ClassicalStatistics, fit_classical, try_classical
from .head import fit_head, fit_statistics, train_head, training_rows
from .hosted import check_hosted
from .model import build_model, check_weights
from .shots import few_shot_split
from .target import REGRESSION_METRIC, Target, load_target
from .testing import judge_test_part, summarize_folds

logger = logging.get_logger(__name__)

VALIDATION_FOLDS = 5
"""One of these parts of the training subjects selects the epoch where a split has no validation part."""
GENTLE = 0.1
"""Learning rate of a fine-tuning that starts from a fitted head, as a share of what is set."""


def run(args: FinetuneArguments, split_args: SplitArguments, training_args: TrainingArguments) -> None:
    """Fine-tune once or for every fold, and write the test metrics."""
    args.check()
    check_options(args)
    if not logging.is_progress_bar_enabled():  # which Trainer does not ask
        training_args.disable_tqdm = True
    if len(args.label_columns) > 1:
        from .several_tasks import run as fit_several

        fit_several(args, split_args, training_args)
        return
    if args.search:
        check_space(args.search_space, FinetuneArguments)
        import_optuna()  # before anything is trained
    if args.adapter != "none":
        import_peft()
    dataset, target = load_target(
        args.data, args.label_column, args.task == "regression", args.class_names, split_words(args.votes)
    )
    for name in args.architectures:
        if (own := replace(args, architecture=name)).is_hosted:
            check_hosted(own, dataset, target)
    if len(args.architectures) == 1:
        args, training_args = settle(args, training_args, target)
    output_dir = Path(str(training_args.output_dir))
    splits = split_args.apply(dataset, args.folds, args.protocol, args.label_column)
    is_folded = bool(args.folds or args.protocol)
    statistics = ClassicalStatistics(dataset)
    if split_args.split == "none" and not is_folded and args.fits_at_once:
        # A model for new recordings: everybody is trained on, and nobody is tested
        finetune(splits[0], target, args, training_args, output_dir, split_args.fold, statistics=statistics)
        return
    refuse_missing_parts(splits, split_args.split, needs_validation=not args.fits_at_once)
    folds = range(len(splits)) if is_folded else [split_args.fold]
    sources = [find_weights((args.model or "").format(fold=fold)) for fold in folds]
    for source in set(filter(None, sources)):  # all folds before the first one is trained
        check_weights(source, dataset)
    judged = [judge(source, parts, args.contaminated) for source, parts in zip(sources, splits, strict=True)]
    records = [  # beside the metrics: what a card needs to know of the test
        describe_test(split_args.describe(args.folds, args.protocol), parts, note)
        for parts, note in zip(splits, judged, strict=True)
    ]
    metrics: dict[str, Any] = {}
    if is_folded:
        metrics["folds"] = [
            finetune(
                parts,
                target,
                args,
                training_args,
                output_dir / f"fold-{fold}",
                fold,
                records[fold],
                is_kept=False,
                statistics=statistics,
            )
            for fold, parts in logging.tqdm([*enumerate(splits)], desc="folds", unit="fold")
        ]
    else:
        metrics |= finetune(
            splits[0],
            target,
            args,
            training_args,
            output_dir,
            split_args.fold,
            records[0],
            statistics=statistics,
        )
    if training_args.process_index == 0:
        summary: Mapping[str, Any] = {name: {"mean": value} for name, value in metrics.items()}
        if is_folded:
            summary = metrics["summary"] = summarize_folds(metrics["folds"], output_dir)
        note = next((note for note in judged if note), None)
        record = describe_test(split_args.describe(args.folds, args.protocol), splits, note)
        write_json(output_dir / "metrics.json", {**metrics, **record})
        logger.warning(f"{record['split']}: {record['split_holds']}")
        shown = ", ".join(f"{name} {format_summary(summary[name])}" for name in target.shown_metrics)
        logger.warning(f"test: {shown}")


def check_options(args: FinetuneArguments) -> None:
    """Refuse options that contradict each other."""
    if args.alignment != "none" and args.regime != "unseen":
        raise ValueError(
            f"regime: {args.regime} and --alignment {args.alignment} both recentre a subject: choose one"
        )
    of_training = ("augment", "mixup_alpha", "freeze_epochs", "gradual_unfreezing")
    unused = [f"--{name}" for name in of_training if getattr(args, name)]
    if args.head == "convex" and not args.is_hosted and unused:
        raise ValueError(
            f"head: convex is fitted at once, without {', '.join(unused)}: take finetune or both"
        )
    if args.head != "finetune" and args.config.get("classifier_pooling", "mean") != "mean":
        raise ValueError(
            f"config.classifier_pooling: --head {args.head} reads the mean: take --head finetune"
        )
    if args.task == "regression" and args.adapt != "none":
        raise ValueError(f"--adapt {args.adapt} makes classes distinct; leave it out of a regression")
    if args.task == "regression" and args.mixup_alpha:
        raise ValueError("mixup_alpha: mixes classes; leave it out of a regression")


def adapt_training(
    training_args: TrainingArguments, args: FinetuneArguments, target: Target
) -> TrainingArguments:
    """Return the settings of Trainer for this target and this head."""
    changes: dict[str, Any] = {"remove_unused_columns": False}
    if target.is_regression and training_args.metric_for_best_model in ("balanced_accuracy", "auroc"):
        changes |= {"metric_for_best_model": REGRESSION_METRIC, "greater_is_better": False}
    if args.adapter != "none":
        changes["label_names"] = ["labels"]  # which Trainer cannot read from the signature of a wrapped model
    if args.head == "both":
        changes["learning_rate"] = training_args.learning_rate * GENTLE
    if args.head == "convex":  # nothing is selected by epochs
        changes |= {"eval_strategy": IntervalStrategy.NO, "load_best_model_at_end": False}
    for name, value in changes.items():
        setattr(training_args, name, value)
    return training_args


def finetune(
    splits: DatasetDict,
    target: Target,
    args: FinetuneArguments,
    training_args: TrainingArguments,
    output_dir: Path,
    fold: int,
    record: Mapping[str, str] | None = None,
    is_kept: bool = True,
    statistics: ClassicalStatistics | None = None,
) -> dict[str, float]:
    """Train on one split, keep the best epoch, save everything, and return the metrics of the test part.

    Args:
        splits: `train`, `test` and, but for a convex head, `validation`.
        target: What is predicted.
        args: The options.
        training_args: Settings of Trainer; their output folder is replaced.
        output_dir: Folder of this run.
        fold: Replaces `{fold}` in the name of the pretrained weights.
        record: What is known of the test, see `describe_test`; written beside its metrics.
        is_kept: Whether the model is for use rather than one of several folds: statistics of its training
            are then kept, by which drift is found.
        statistics: Of the corpus, which classical methods share.
    """
    choice = None
    if len(args.architectures) > 1:
        choice = choose(splits, target, args, training_args, output_dir / "choice", statistics)
        args, training_args = settle(args, training_args, target, choice.architecture)
    if args.is_hosted and "validation" not in splits:
        splits = with_validation(splits)
    set_seed(training_args.seed)
    training_args.output_dir = str(output_dir)
    source = find_weights((args.model or "").format(fold=fold))
    plain: dict[str, Any] = {"normalization": "none", "clip": None} if args.is_classical else {}
    extractor = EEGFeatureExtractor.from_pretrained(
        source or args.data, alignment=args.alignment, calibration_regime=args.regime, **plain
    )
    splits = few_shot_split(splits, target.column, args.shots, training_args.seed, args.head == "convex")
    if args.search:
        args, training_args = choose_settings(args, training_args, splits["train"], target, extractor, source)

    def prepare(own: FinetuneArguments) -> tuple[EEGTrainer, DatasetDict]:
        set_seed(training_args.seed)
        return prepare_trainer(splits, target, own, training_args, extractor, source)

    def score_head(own: FinetuneArguments) -> float:
        tried, parts = prepare(own)
        return fit_head(tried, training_rows(parts, own.head), target, is_pretrained=False).best_score

    band_scores: Mapping[str, float] = {}
    if not source and args.fits_head:
        args, band_scores = choose_bands(args, splits["train"], extractor, score_head)
    trainer, parts = prepare(args)
    model: Any = trainer.model
    if args.adapter != "none":
        model = add_adapter(model, args.adapter, args.adapter_options)
        trainer.model = trainer.model_wrapped = model
    watch = WeightWatch(model)
    fitted = None
    if args.is_classical:
        fit_classical(model, training_rows(parts, "convex"), target, statistics)
    else:
        fitted = train_head(trainer, parts, target, args.head, bool(source), band_scores)
    restore_layers(model)
    moved = watch.measure(model)
    if args.adapter != "none":
        keep_adapter(trainer, output_dir / "adapter")
    if trainer.is_world_process_zero():
        output_dir.mkdir(parents=True, exist_ok=True)
        write_json(output_dir / TRAINED_FILE, {**vars(moved), "adapter": args.adapter})
        if choice is not None:
            choice.save(output_dir)
    trainer.save_model()
    trainer.save_state()
    if is_kept and trainer.is_world_process_zero():
        keep_statistics(trainer, parts, fitted, output_dir)
    if "test" not in parts:
        return {}
    metrics = judge_test_part(trainer, parts["test"], target, output_dir, args.adapt)
    if record and trainer.is_world_process_zero():
        write_json(output_dir / "metrics.json", {**metrics, **record})
    return metrics


def prepare_trainer(
    splits: DatasetDict,
    target: Target,
    args: FinetuneArguments,
    training_args: TrainingArguments,
    extractor: EEGFeatureExtractor,
    source: str,
) -> tuple[EEGTrainer, DatasetDict]:
    """Return the trainer of a model that has the statistics of its windows, and the windows of each part.

    Windows that calibrate a subject are left out of them, unless the regime is `all`.
    """
    model: Any = build_model(args, source, splits["train"], extractor, target)
    split = calibrate_split(splits, extractor, model, target.column, args.rest, args.balance_calibration)
    seen = describe_seen(splits, args.head) | (SeenWindows.load(source) if source else None)
    trainer = build_trainer(model, extractor, split, target, args, training_args, seen)
    fit_statistics(trainer, split.parts, target, args.head)
    if args.quantization_aware != "none":
        batch = next(iter(trainer.get_eval_dataloader(trainer.train_dataset)))
        names = round_layers(model, batch, args.quantization_aware)
        logger.warning(f"{len(names)} layers are trained as they will answer in int8")
    return trainer, split.parts


def settle(
    args: FinetuneArguments, training_args: TrainingArguments, target: Target, architecture: str = ""
) -> tuple[FinetuneArguments, TrainingArguments]:
    """Return the settings of one architecture: that of the options, or one of several."""
    args = replace(args, architecture=architecture or args.architecture)
    if args.is_classical:
        args = replace(args, head="convex")
    elif args.is_hosted:
        args = replace(args, head="finetune")
    return args, adapt_training(copy.copy(training_args), args, target)


def choose(
    splits: DatasetDict,
    target: Target,
    args: FinetuneArguments,
    training_args: TrainingArguments,
    folder: Path,
    statistics: ClassicalStatistics | None,
) -> Choice:
    """Choose an architecture by inner folds of the training subjects."""
    shared = statistics or ClassicalStatistics(splits["train"])

    def run(name: str, parts: DatasetDict, place: Path) -> Predictions:
        own, training = settle(args, training_args, target, name)
        if own.is_classical:
            return try_classical(name, parts["train"], parts["test"], target, shared)
        finetune(parts, target, own, training, place, 0, is_kept=False)
        return Predictions.load(place / "predictions.parquet")

    return choose_architecture(args.architectures, splits, target, args.search_folds, run, folder)


def with_validation(splits: DatasetDict) -> DatasetDict:
    """Return a split in which some training subjects select the epoch."""
    parts = inner_splits(splits["train"], min(VALIDATION_FOLDS, len(set(splits["train"]["subject"][:]))))[0]
    return DatasetDict({**splits, **parts})


def choose_settings(
    args: FinetuneArguments,
    training_args: TrainingArguments,
    train: Dataset,
    target: Target,
    extractor: EEGFeatureExtractor,
    source: str,
) -> tuple[FinetuneArguments, TrainingArguments]:
    """Return the settings that a search on folds of the training subjects prefers."""
    metric = f"eval_{(training_args.metric_for_best_model or 'loss').removeprefix('eval_')}"
    block = "network" if args.is_hosted else "config"

    def score(settings: Mapping[str, Any], parts: DatasetDict, folder: Path) -> float:
        own, training = apply_settings(args, training_args, settings, block)
        training.output_dir = str(folder)
        set_seed(training.seed)
        trainer, _ = prepare_trainer(parts, target, own, training, extractor, source)
        if own.adapter != "none":
            model: Any = trainer.model
            trainer.model = trainer.model_wrapped = add_adapter(model, own.adapter, own.adapter_options)
        trainer.train()
        return float(trainer.evaluate()[metric])

    direction: Literal["maximize", "minimize"] = "maximize" if training_args.greater_is_better else "minimize"
    space = args.search_space or {**DEFAULT_SPACE, "label_smoothing": {"low": 0.0, "high": 0.2}}
    folds = inner_splits(train, args.search_folds)
    found = search_settings(training_args, space, args.search, score, folds, direction, args.search_engine)
    return apply_settings(args, training_args, found.settings, block)


def keep_adapter(trainer: EEGTrainer, folder: Path) -> None:
    """Save an adapter, and go on with the model that it is merged into."""
    adapted: Any = trainer.model
    if trainer.is_world_process_zero():
        adapted.save_pretrained(folder)
    trainer.model = trainer.model_wrapped = merge_adapter(adapted)


def keep_statistics(trainer: EEGTrainer, parts: DatasetDict, head: ConvexHead | None, folder: Path) -> None:
    """Write down what the recordings of a training were like, validation subjects included."""
    collator: Any = trainer.eval_data_collator
    rows, held_out, unseen = training_rows(parts, "convex"), None, set()
    if head is not None:
        held_out = head.held_out
    elif "validation" in parts:
        unseen = set(parts["validation"]["recording"][:])
    found = collect_statistics(rows, trainer.model, collator, held_out, unseen)
    if found is not None:
        found.save(folder)


def describe_test(
    split: str, splits: DatasetDict | list[DatasetDict], contamination: str | None
) -> dict[str, str]:
    """Return what is to be known of a test: the split, what it holds, and what `judge` found."""
    contents = SplitContents.of([splits] if isinstance(splits, DatasetDict) else splits)
    record = {
        "split": f"{split}, {contents.protocol}",
        "protocol": contents.protocol,
        "split_holds": contents.describe(),
    }
    return record if contamination is None else {**record, "contamination": contamination}


def build_trainer(
    model: Any,
    extractor: EEGFeatureExtractor,
    split: CalibratedSplit,
    target: Target,
    args: FinetuneArguments,
    training_args: TrainingArguments,
    seen: SeenWindows,
) -> EEGTrainer:
    """Return the trainer with its windows, collators and callbacks."""
    alignments = load_alignments(args.data) if args.alignment != "none" else None
    collate: dict[str, Any] = {
        "feature_extractor": extractor,
        "label_column": target.column,
        "label2id": target.label2id,
        "alignments": alignments,
        "calibrations": split.calibrations,
    }
    seed = training_args.seed
    train_collator: Any = EEGDataCollator(
        **collate, augmentation=DEFAULT_VIEW if args.augment else None, seed=seed
    )
    if args.mixup_alpha:
        train_collator = MixupCollator(train_collator, len(target.class_names), args.mixup_alpha, seed)
    callbacks: list[Any] = []
    if args.patience and args.head != "convex":
        if training_args.eval_strategy == IntervalStrategy.NO:
            raise ValueError("--patience: stops by evaluations: take --eval_strategy epoch, or --patience 0")
        callbacks.append(EarlyStoppingCallback(args.patience))
    if args.freeze_epochs or args.gradual_unfreezing:
        callbacks.append(FreezeEncoder(args.freeze_epochs, args.gradual_unfreezing))
    windows = {part: WindowDataset(rows, [target.column]) for part, rows in split.parts.items()}
    return EEGTrainer(
        model=model,
        args=training_args,
        train_dataset=windows["train"],
        eval_dataset=windows.get("validation"),
        data_collator=train_collator,
        eval_data_collator=EEGDataCollator(**collate),
        processing_class=extractor,
        compute_metrics=target.compute_metrics(),
        callbacks=callbacks,
        layer_decay=args.layer_decay,
        seen_windows=seen,
    )


def describe_seen(parts: DatasetDict, head: str) -> SeenWindows:
    """Return the windows of a training; a convex head is fitted on the validation subjects too."""
    validation = [parts["validation"]] if "validation" in parts else []
    if head == "convex":
        return SeenWindows.of([parts["train"], *validation])
    return SeenWindows.of([parts["train"]], validation)


def judge(source: str, splits: DatasetDict, policy: Literal["refuse", "mark"]) -> str | None:
    """Return what pretrained weights have seen of the windows that select or test, for the record.

    Raises:
        ContaminationError: If they have seen any, unless they are to be marked.
    """
    if not source:
        return None
    known = SeenWindows.load(source)
    if known is None:
        logger.warning(f"{source} does not say which windows it was trained on: the test may be contaminated")
        return "unknown what the pretrained weights have seen"
    # What selected the pretraining may select again; what tests may not have done either
    parts = {part: [rows for name, rows in splits.items() if name not in ("test", part)] for part in splits}
    for part, seen in (("validation", known.trained), ("test", known)):
        if part not in splits:
            continue
        overlap = seen.overlap(splits[part], parts[part])
        if overlap and policy == "refuse":
            raise ContaminationError(
                f"{source} was trained on {overlap.describe(part)}: pretrain without them (the same --split, "
                "or once a fold with --split fold --fold k, then --model 'runs/encoder-{fold}'), or take "
                "--contaminated mark"
            )
        if overlap:
            logger.warning(f"CONTAMINATED: {source} was trained on {overlap.describe(part)}")
            return f"the pretrained weights have seen {overlap.describe(part)}"
    return None


def refuse_missing_parts(splits: list[DatasetDict], method: str, needs_validation: bool = True) -> None:
    """Refuse a split without a part that selects epochs, or one to test."""
    needed = {"train", "test", *(["validation"] if needs_validation else [])}
    missing = sorted(needed - set(splits[0]))
    if missing:
        raise ValueError(f"split {method!r} has no {missing[0]} part: choose official, subject or fold")
