# SPDX-License-Identifier: Apache-2.0
"""Fine-tune a classifier on the windows of a prepared corpus, split by subject."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from datasets import Dataset, DatasetDict
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    EarlyStoppingCallback,
    PreTrainedModel,
    Trainer,
    TrainingArguments,
    set_seed,
)
from transformers.utils import logging

from ...collation import DEFAULT_VIEW, EEGDataCollator, MixupCollator, WindowDataset
from ...corpora import (
    ContaminationError,
    SeenWindows,
    SplitContents,
    load_alignments,
    load_windows,
    with_classes,
)
from ...evaluation import (
    Predictions,
    aggregate_folds,
    classification_metrics,
    eegnet,
    make_compute_metrics,
    plot_confusion_matrix,
    plot_training_curves,
    summarize_predictions,
    write_json,
)
from ...evaluation.report import format_summary
from ...models.configuration_eeg_foundation import EEGFoundationConfig
from ...processing.feature_extraction_eeg import EEGFeatureExtractor
from ...training import EEGTrainer, FreezeEncoder, balanced_class_weights, resume_checkpoint
from ..config_fields import check_config_fields, keep_structure
from ..split_arguments import SplitArguments
from .arguments import FinetuneArguments

logger = logging.get_logger(__name__)


def run(args: FinetuneArguments, split_args: SplitArguments, training_args: TrainingArguments) -> None:
    """Fine-tune once or for every fold, and write the test metrics."""
    training_args.remove_unused_columns = False
    dataset, class_names = with_classes(load_windows(args.data), args.label_column, args.class_names)
    output_dir = Path(str(training_args.output_dir))
    splits = split_args.apply(dataset, args.folds, args.protocol, args.label_column)
    is_folded = bool(args.folds or args.protocol)
    refuse_missing_parts(splits, split_args.split)
    folds = range(len(splits)) if is_folded else [split_args.fold]
    judged = [  # all folds before the first one is trained
        judge((args.model or "").format(fold=fold), parts, args.contaminated)
        for fold, parts in zip(folds, splits, strict=True)
    ]
    records = [  # beside the metrics: what a card needs to know of the test
        describe_test(split_args.describe(args.folds, args.protocol), parts, note)
        for parts, note in zip(splits, judged, strict=True)
    ]
    metrics: dict[str, Any] = {}
    if is_folded:
        metrics["folds"] = [
            finetune(
                parts, class_names, args, training_args, output_dir / f"fold-{fold}", fold, records[fold]
            )
            for fold, parts in enumerate(splits)
        ]
    else:
        metrics |= finetune(
            splits[0], class_names, args, training_args, output_dir, split_args.fold, records[0]
        )
    if training_args.process_index == 0:
        summary: Mapping[str, Any] = {name: {"mean": value} for name, value in metrics.items()}
        if is_folded:
            saved = [output_dir / f"fold-{fold}/predictions.parquet" for fold in range(len(splits))]
            of_folds = summarize_predictions([[Predictions.load(path) for path in saved]])
            metrics["summary"] = summary = {**aggregate_folds(metrics["folds"]), **of_folds}
        note = next((note for note in judged if note), None)
        record = describe_test(split_args.describe(args.folds, args.protocol), splits, note)
        write_json(output_dir / "metrics.json", {**metrics, **record})
        logger.warning(f"{record['split']}: {record['split_holds']}")
        names = ("balanced_accuracy", "auroc")
        logger.warning("test: " + ", ".join(f"{name} {format_summary(summary[name])}" for name in names))


def finetune(
    splits: DatasetDict,
    class_names: list[str],
    args: FinetuneArguments,
    training_args: TrainingArguments,
    output_dir: Path,
    fold: int,
    record: Mapping[str, str] | None = None,
) -> dict[str, float]:
    """Train on one split, keep the best epoch, save everything, and return the metrics of the test part.

    Args:
        splits: `train`, `validation` and `test`.
        class_names: Classes in order.
        args: The options.
        training_args: Settings of Trainer; their output folder is replaced.
        output_dir: Folder of this run.
        fold: Replaces `{fold}` in the name of the pretrained weights.
        record: What is known of the test, see `describe_test`; written beside its metrics.
    """
    set_seed(training_args.seed)
    training_args.output_dir = str(output_dir)
    source = (args.model or "").format(fold=fold)
    known = SeenWindows.load(source) if source else None
    extractor = EEGFeatureExtractor.from_pretrained(source or args.data, alignment=args.alignment)
    label2id = {name: index for index, name in enumerate(class_names)}
    alignments = load_alignments(args.data) if args.alignment != "none" else None
    collate = (extractor, args.label_column, label2id, alignments)
    eval_collator = EEGDataCollator(*collate)
    train_collator: Any = EEGDataCollator(
        *collate, augmentation=DEFAULT_VIEW if args.augment else None, seed=training_args.seed
    )
    if args.mixup_alpha:
        train_collator = MixupCollator(train_collator, len(class_names), args.mixup_alpha, training_args.seed)
    train_labels = [label2id[label] for label in splits["train"][args.label_column]]
    refuse_missing_classes(train_labels, class_names, args.label_column)
    model = build_model(args, source, splits["train"], extractor, class_names, train_labels)

    windows = {part: WindowDataset(rows, [args.label_column]) for part, rows in splits.items()}
    callbacks: list[Any] = [EarlyStoppingCallback(args.patience)] if args.patience else []
    if args.freeze_epochs or args.gradual_unfreezing:
        callbacks.append(FreezeEncoder(args.freeze_epochs, args.gradual_unfreezing))
    trainer = EEGTrainer(
        model=model,
        args=training_args,
        train_dataset=windows["train"],
        eval_dataset=windows["validation"],
        data_collator=train_collator,
        eval_data_collator=eval_collator,
        processing_class=extractor,
        compute_metrics=make_compute_metrics(class_names),
        callbacks=callbacks,
        layer_decay=args.layer_decay,
        seen_windows=SeenWindows.of([splits["train"]], [splits["validation"]]) | known,
    )
    trainer.train(resume_from_checkpoint=resume_checkpoint(training_args))
    trainer.save_model()
    trainer.save_state()
    metrics = evaluate_classifier(trainer, splits["test"], windows["test"], class_names, output_dir)
    if record and trainer.is_world_process_zero():
        write_json(output_dir / "metrics.json", {**metrics, **record})
    return metrics


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


def refuse_missing_classes(train_labels: list[int], class_names: list[str], label_column: str) -> None:
    """Refuse classes that nothing could be learned of, such as the numbers of a column that is no class."""
    missing = [name for index, name in enumerate(class_names) if index not in set(train_labels)]
    if missing:
        raise ValueError(
            f"{label_column}: {len(missing)} of {len(class_names)} classes have no window to train on "
            f"({', '.join(missing[:3])}): choose a column of classes, --class_names or another split"
        )


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


def build_model(
    args: FinetuneArguments,
    source: str,
    train: Dataset,
    extractor: EEGFeatureExtractor,
    class_names: list[str],
    train_labels: list[int],
) -> PreTrainedModel | torch.nn.Module:
    """Return a pretrained encoder with a new head, a new model, or the baseline."""
    weights = balanced_class_weights(train_labels, len(class_names)) if args.class_weights else None
    first = train[0]
    if args.architecture == "eegnet":
        return eegnet(
            num_channels=len(first["channels"]),
            num_classes=len(class_names),
            num_samples=first["num_samples"],
            sampling_rate=extractor.sampling_rate,
            class_weights=weights,
        )
    fields = {
        **check_config_fields(args.config, EEGFoundationConfig),
        "id2label": dict(enumerate(class_names)),
        "label2id": {name: index for index, name in enumerate(class_names)},
        "class_weights": weights,
        "label_smoothing": args.label_smoothing,
        "num_channels": len(first["channels"]),
        "channel_names": first["channels"],
        "channel_positions": np.reshape(first["channel_positions"], (-1, 3)).tolist(),
    }
    if source:
        fields = keep_structure(fields, AutoConfig.from_pretrained(source), source)
        return AutoModelForSequenceClassification.from_pretrained(source, **fields)
    config = EEGFoundationConfig(sampling_rate=extractor.sampling_rate, **fields)
    return AutoModelForSequenceClassification.from_config(config)


def evaluate_classifier(
    trainer: Trainer, rows: Dataset, windows: WindowDataset, class_names: list[str], output_dir: Path
) -> dict[str, float]:
    """Predict the test part, save scores and figures, and return its metrics."""
    predicted = trainer.predict(windows)
    scores = torch.from_numpy(predicted.predictions).float().softmax(dim=-1).numpy()
    labels = np.asarray(predicted.label_ids)
    metrics = classification_metrics(labels, scores, class_names)
    if trainer.is_world_process_zero():
        predictions = Predictions(np.array(rows["window_id"]), np.array(rows["subject"]), labels, scores)
        predictions.save(output_dir / "predictions.parquet")
        write_json(output_dir / "metrics.json", metrics)
        plot_confusion_matrix(
            labels, scores.argmax(axis=-1), class_names, path=output_dir / "confusion_matrix.png"
        )
        if any({"loss", "eval_loss"} & entry.keys() for entry in trainer.state.log_history):
            plot_training_curves(trainer.state.log_history, path=output_dir / "training_curves.png")
    return metrics


def refuse_missing_parts(splits: list[DatasetDict], method: str) -> None:
    """Refuse a split without a part that selects epochs, or one to test."""
    missing = sorted({"train", "validation", "test"} - set(splits[0]))
    if missing:
        raise ValueError(f"split {method!r} has no {missing} part: choose official, subject or fold")
