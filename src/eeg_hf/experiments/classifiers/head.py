# SPDX-License-Identifier: Apache-2.0
"""The head of a model: fitted at once, fine-tuned with the encoder, or the first and then the second."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from datasets import Dataset, DatasetDict, concatenate_datasets
from transformers.utils import logging

from ...collation import WindowDataset
from ...evaluation import write_json
from ...training import ConvexHead, EEGTrainer, fit_classifier, fit_population, resume_checkpoint
from ...training.classifier_head import usual_choices
from ..inner_folds import inner_groups
from .target import Target

logger = logging.get_logger(__name__)

FILE = "head.json"


def train_head(
    trainer: EEGTrainer,
    parts: DatasetDict,
    target: Target,
    head: str,
    is_pretrained: bool,
    band_scores: Mapping[str, float],
) -> ConvexHead | None:
    """Train a model as `--head` says, and write down what was chosen.

    Args:
        trainer: Of the model, with its windows and collators.
        parts: The split.
        target: What is predicted.
        head: `convex`, `finetune` or `both`.
        is_pretrained: Whether the encoder is worth reading besides its second-order vectors.
        band_scores: Of the choices of bands, for the record; empty where there was none.

    Returns:
        The head, where it is all that was trained.
    """
    folder = Path(str(trainer.args.output_dir))
    train = training_rows(parts, head)
    if head == "finetune":
        trainer.train(resume_from_checkpoint=resume_checkpoint(trainer.args))
        return None
    fitted = fit_head(trainer, train, target, is_pretrained)
    facts = {
        "kept": "convex",
        "parts": fitted.parts,
        "inverse_regularization": fitted.inverse_regularization,
        "scores": {str(value): score for value, score in fitted.scores.items()},
        "num_windows": len(train),
        **({"bands": band_scores} if band_scores else {}),
    }
    if head == "both":
        facts |= finetune_gently(trainer)
    if trainer.is_world_process_zero():
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / FILE, facts)
    return fitted if head == "convex" else None


def training_rows(parts: DatasetDict, head: str) -> Dataset:
    """Return the windows to learn from: a convex head selects nothing on the validation subjects."""
    is_all = head == "convex" and "validation" in parts
    return concatenate_datasets([parts["train"], parts["validation"]]) if is_all else parts["train"]


def fit_statistics(trainer: EEGTrainer, parts: DatasetDict, target: Target, head: str) -> None:
    """Fit what is no weight, before the training: the statistics that recentre second-order tokens."""
    model, collator = trainer_parts(trainer)
    if getattr(getattr(model, "config", None), "second_order", False):
        fit_population(model, WindowDataset(training_rows(parts, head), [target.column]), collator)


def fit_head(trainer: EEGTrainer, train: Dataset, target: Target, is_pretrained: bool) -> ConvexHead:
    """Fit the head on what the frozen encoder says of the training windows."""
    model, collator = trainer_parts(trainer)
    candidates = usual_choices(model)
    if getattr(model.config, "second_order", False) and is_pretrained:
        candidates.append(("pooled", "bands"))
    fitted = fit_classifier(
        model,
        WindowDataset(train, [target.column]),
        collator,
        target.encode(train),
        inner_groups(train),
        candidates=candidates,
        shares=target.shares(train) if target.votes else None,
    )
    logger.warning(
        f"convex head on {' + '.join(fitted.parts)}: C = {fitted.inverse_regularization:g}, chosen by inner "
        f"folds of {len(set(train['subject']))} subjects"
    )
    return fitted


def trainer_parts(trainer: EEGTrainer) -> tuple[Any, Any]:
    """Return the model and the collator of the tested windows."""
    return trainer.model, trainer.eval_data_collator


def finetune_gently(trainer: EEGTrainer) -> dict[str, Any]:
    """Fine-tune from the fitted head; go back to it unless the validation subjects prefer what follows.

    Returns:
        What was kept, and the selecting metric of both on the validation subjects.
    """
    model: Any = trainer.model
    metric = f"eval_{(trainer.args.metric_for_best_model or 'loss').removeprefix('eval_')}"
    before = trainer.evaluate()[metric]
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    trainer.train(resume_from_checkpoint=resume_checkpoint(trainer.args))
    after = trainer.evaluate()[metric]
    is_better = after > before if trainer.args.greater_is_better else after < before
    if not is_better:
        model.load_state_dict(weights)
    kept = "finetuned" if is_better else "convex"
    logger.warning(
        f"{metric.removeprefix('eval_')} of the validation subjects: convex head {before:.3f}, fine-tuned "
        f"{after:.3f}: {kept} is kept"
    )
    return {"kept": kept, "validation": {"metric": metric, "convex": before, "finetuned": after}}
