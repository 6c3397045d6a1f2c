# SPDX-License-Identifier: Apache-2.0
"""Train in phases from one recipe: masked pretraining with auxiliary tasks, contrast, fine-tuning."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from datasets import Dataset
from transformers import set_seed
from transformers.utils import logging

from ...collation import PairColumns, WindowDataset
from ...corpora import SeenWindows
from ...processing.feature_extraction_eeg import EEGFeatureExtractor
from ...training import (
    START,
    EEGTrainer,
    Phase,
    is_finished,
    mark_finished,
    mark_started,
    resume_checkpoint,
)
from ...training.phases import without_tokens
from ..classifiers.target import Target
from ..classifiers.testing import judge_test_part
from ..split_arguments import SplitArguments
from .arguments import PhasesArguments
from .models import auxiliary_tasks, build_config, build_model
from .trainer import build_callbacks, build_collators, build_sampler, plot_probe
from .windows import (
    check_contract,
    list_subjects,
    load_parts,
    order_in_pairs,
    read_known_subjects,
    refuse_known_subjects,
)

logger = logging.get_logger(__name__)

COMMON = ("config", "adapter_montage", "training", "max_steps", "alignment", "seed")
"""Options that affect the result of every phase."""


def run(args: PhasesArguments, split_args: SplitArguments) -> None:
    """Train the phases of a recipe one after another; skip those that are finished."""
    phases = args.read_phases()
    weights = {START: Path(args.model) if args.model else None}  # folders that a phase may start from
    before = START
    for phase in phases:
        folder = Path(args.output_dir) / phase.name
        earlier = weights[phase.after or before]
        description = without_tokens(
            {
                "phase": phase.to_dict(),
                "earlier": earlier and str(earlier.name),
                "tiny": args.tiny,
                "common": {name: getattr(args, name) for name in COMMON},
                "split": vars(split_args),
            }
        )
        if is_finished(folder, description):
            logger.warning(f"{phase.name}: finished before, skipped")
        else:
            if args.training_arguments(phase).process_index == 0:
                mark_started(folder, description)
            trainer, report = train_phase(phase, args, split_args, earlier, is_last=phase is phases[-1])
            if trainer.is_world_process_zero():
                mark_finished(folder, description, report)
                plot_probe(args)
            trainer.accelerator.wait_for_everyone()
        weights[phase.name], before = folder, phase.name


def train_phase(
    phase: Phase, args: PhasesArguments, split_args: SplitArguments, earlier: Path | None, is_last: bool
) -> tuple[EEGTrainer, dict[str, Any]]:
    """Train one phase, save its model and return its report.

    Args:
        phase: The phase.
        args: The options of all phases.
        split_args: How windows are split, unless the phase says otherwise.
        earlier: Folder of the weights to start from.
        is_last: The last phase writes its test results to the folder of all phases.
    """
    training_args = args.training_arguments(phase)
    set_seed(args.seed)

    # Windows, without subjects that the weights were trained on in validation and test
    split = args.split_arguments(phase, split_args)
    pairs = PairColumns(phase.pairs.stimulus, phase.pairs.seconds) if phase.pairs else None
    columns = [*auxiliary_tasks(phase), *(pairs.columns if pairs else ())]
    parts = load_parts(phase, columns, split, args.seed)
    known = set() if phase.carry == "none" else read_known_subjects(earlier)
    refuse_known_subjects(phase, parts, known)
    if not phase.is_pretraining:
        columns = [str(phase.label_column)]
    extractor = EEGFeatureExtractor.from_pretrained(phase.sources[0], alignment=args.alignment)
    if earlier is not None:
        check_contract(extractor, earlier, phase.name)

    # Model
    classes = list(phase.class_names or ())
    if phase.objective == "classification" and not classes:
        classes = sorted(set(parts["train"][phase.label_column][:]))
    config = build_config(phase, args.config_fields(phase), parts["train"], extractor, classes)
    model, carried = build_model(phase, config, earlier, args.minimum_carried)
    if carried is not None:
        logger.warning(f"{phase.name}: {carried}")
    logger.warning(f"{phase.name}: {model.num_parameters():,} parameters, {len(parts['train']):,} windows")

    # Trainer
    validation = parts.get("validation")
    if pairs and phase.pairs and validation is not None:
        guard, subjects = config.contrastive_guard_seconds, phase.pairs.subjects_per_time
        validation = order_in_pairs(validation, pairs, training_args, subjects, guard)
    if validation is None:
        training_args.eval_strategy, training_args.load_best_model_at_end = "no", False
    train = WindowDataset(parts["train"], columns)
    trainer = EEGTrainer(
        model=model,
        args=training_args,
        train_dataset=train,
        eval_dataset=None if validation is None else WindowDataset(validation, columns),
        processing_class=extractor,
        callbacks=build_callbacks(phase, args, split_args),
        layer_decay=phase.layer_decay,
        seen_windows=seen_windows(parts, None if phase.carry == "none" else earlier),
        train_sampler=build_sampler(phase, config, train, pairs, args.seed),
        **build_collators(phase, args, config, extractor, pairs),
    )
    started = time.perf_counter()
    trainer.train(resume_from_checkpoint=resume_checkpoint(training_args))
    report: dict[str, Any] = {
        "carried": carried and carried.to_dict(),
        "steps": trainer.state.global_step,
        "seconds": time.perf_counter() - started,
        "people": sorted(known | list_subjects(parts["train"])),
    }
    trainer.save_model()
    trainer.save_state()
    if validation is not None:
        report["validation"] = trainer.evaluate()
    if not phase.is_pretraining and "test" not in parts:
        logger.warning(f"{phase.name}: split {split.split!r} has no test part, nothing is tested")
    elif not phase.is_pretraining:
        folder = Path(args.output_dir) if is_last else Path(str(training_args.output_dir))
        target = Target(str(phase.label_column), classes)
        report["test"] = judge_test_part(trainer, parts["test"], target, folder)
    return trainer, report


def seen_windows(parts: Mapping[str, Dataset], earlier: Path | None) -> SeenWindows:
    """Return the windows that a model has seen after a phase and the phases before it."""
    seen = SeenWindows.of([parts["train"]], [parts["validation"]] if "validation" in parts else [])
    return seen if earlier is None else seen | SeenWindows.load(earlier)
