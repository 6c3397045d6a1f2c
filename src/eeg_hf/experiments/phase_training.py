# SPDX-License-Identifier: Apache-2.0
"""Train in phases, as a recipe says: masked pretraining with auxiliary tasks, contrast, fine-tuning."""

import time
from functools import partial
from pathlib import Path
from typing import Any

from transformers import set_seed
from transformers.utils import logging

from ..collation import PairColumns, WindowDataset
from ..training import (
    START,
    EEGTrainer,
    Phase,
    is_finished,
    mark_finished,
    mark_started,
    resume_checkpoint,
)
from .finetuning import test_classifier
from .phase_arguments import PhasesArguments
from .phase_models import auxiliary_tasks, build_config, build_model
from .phase_testing import test_regression
from .phase_trainer import callbacks, collation, draw_probe, is_classes, pair_sampler
from .phase_windows import (
    check_contract,
    in_pairs,
    known_people,
    load_extractor,
    load_parts,
    people_of,
    refuse_known_people,
)
from .split_arguments import SplitArguments

logger = logging.get_logger("eeg_hf.train_phases")

COMMON = ("config", "adapter_montage", "training", "max_steps", "alignment", "seed")
"""Options that decide what comes out of every phase."""


def run(args: PhasesArguments, split_args: SplitArguments) -> None:
    """Run the phases of a recipe, one after another."""
    phases = args.read_phases()
    weights = {START: Path(args.start_from) if args.start_from else None}  # what a phase may begin with
    before = START
    for phase in phases:
        folder = Path(args.output_dir) / phase.name
        earlier = weights[phase.after or before]
        description = {
            "phase": phase.to_dict(),
            "earlier": earlier and str(earlier.name),
            "tiny": args.tiny,
            "common": {name: getattr(args, name) for name in COMMON},
            "split": vars(split_args),
        }
        if is_finished(folder, description):
            logger.warning(f"{phase.name}: finished before, skipped")
        else:
            if args.training_arguments(phase).process_index == 0:
                mark_started(folder, description)
            is_last = phase is phases[-1]
            trainer, report = train_phase(phase, args, split_args, earlier, is_last)
            if trainer.is_world_process_zero():
                mark_finished(folder, description, report)
                draw_probe(args)
            trainer.accelerator.wait_for_everyone()
        weights[phase.name], before = folder, phase.name


def train_phase(
    phase: Phase, args: PhasesArguments, split_args: SplitArguments, earlier: Path | None, is_last: bool
) -> tuple[EEGTrainer, dict[str, Any]]:
    """Train one phase, save its model and return its report."""
    training_args = args.training_arguments(phase)
    set_seed(args.seed)
    split = args.split_arguments(phase, split_args)
    pairs = PairColumns(phase.pairs.stimulus, phase.pairs.seconds) if phase.pairs else None
    columns = [*auxiliary_tasks(phase), *(pairs.columns if pairs else ())]
    parts = load_parts(phase, columns, split, args.seed)
    known = set() if phase.carry == "none" else known_people(earlier)
    refuse_known_people(phase, parts, known)
    if not phase.is_pretraining:
        columns = [str(phase.label_column)]
    extractor = load_extractor(phase, args.alignment)
    if earlier is not None:
        check_contract(extractor, earlier, phase.name)
    classes = list(phase.class_names or ())
    if is_classes(phase) and not classes:
        classes = sorted(set(parts["train"][phase.label_column][:]))
    config = build_config(phase, args.config_fields(phase), parts["train"], extractor, classes)
    model, carried = build_model(phase, config, earlier, args.minimum_carried)
    if carried is not None:
        logger.warning(f"{phase.name}: {carried}")
    logger.warning(f"{phase.name}: {model.num_parameters():,} parameters, {len(parts['train']):,} windows")

    validation = parts.get("validation")
    if pairs and phase.pairs and validation is not None:
        validation, training_args.per_device_eval_batch_size = in_pairs(
            validation,
            pairs,
            training_args.world_size,
            training_args.eval_batch_size,
            phase.pairs.subjects_per_time,
            config.contrastive_guard_seconds,
        )
    train = WindowDataset(parts["train"], columns)
    if validation is None:
        training_args.eval_strategy = "no"
    trainer = EEGTrainer(
        model=model,
        args=training_args,
        train_dataset=train,
        eval_dataset=None if validation is None else WindowDataset(validation, columns),
        processing_class=extractor,
        callbacks=callbacks(phase, args, split_args),
        layer_decay=phase.layer_decay,
        train_sampler=pair_sampler(phase, config, train, pairs, args.seed),
        **collation(phase, args, config, extractor, pairs),
    )
    started = time.perf_counter()
    trainer.train(resume_from_checkpoint=resume_checkpoint(training_args))
    report: dict[str, Any] = {
        "carried": carried and carried.to_dict(),
        "steps": trainer.state.global_step,
        "seconds": time.perf_counter() - started,
        "people": sorted(known | people_of(parts["train"])),
    }
    trainer.save_model()
    trainer.save_state()
    if validation is not None:
        report["validation"] = trainer.evaluate()
    if not phase.is_pretraining and "test" not in parts:
        logger.warning(f"{phase.name}: split {split.split!r} leaves no test part, nothing is tested")
    elif not phase.is_pretraining:
        output_dir = Path(args.output_dir) if is_last else Path(training_args.output_dir)
        windows = WindowDataset(parts["test"], columns)
        judge = partial(test_classifier, class_names=classes) if is_classes(phase) else test_regression
        report["test"] = judge(trainer, parts["test"], windows, output_dir=output_dir)
    return trainer, report
