# SPDX-License-Identifier: Apache-2.0
"""Pretrain EEGFoundation on prepared corpora, without labels.

    python scripts/pretrain.py scripts/recipes/pretrain_tiny.yaml --data runs/data/simulated --max_steps 20
    # CPU, a minute python scripts/pretrain.py scripts/recipes/pretrain_small.yaml --data runs/data/eegmat
    # --bf16 true one GPU accelerate launch scripts/pretrain.py scripts/recipes/pretrain_small.yaml --data
    # runs/data/eegmat several

Subjects of the validation and test parts are never trained on. `--split fold --fold k` leaves out the test
subjects of fold k, so that a classifier may be tested on them. A run that was killed goes on with
--resume_from_checkpoint true.
"""

from dataclasses import dataclass, field
from pathlib import Path

from datasets import concatenate_datasets
from transformers import AutoConfig, AutoModelForPreTraining, TrainingArguments, set_seed
from transformers.utils import logging

from eeg_hf import EEGFeatureExtractor, EEGFoundationConfig, EEGPreTrainingCollator, WindowDataset
from eeg_hf.augmentation import DEFAULT_VIEW
from eeg_hf.corpora import load_alignments, split_for_pretraining
from eeg_hf.data_collator import SIGNAL_COLUMNS
from eeg_hf.training import (
    EEGTrainer,
    PlotReconstruction,
    parse_config_fields,
    parse_recipe,
    resume_checkpoint,
    run_main,
)

logger = logging.get_logger("eeg_hf.pretrain")


@dataclass
class PretrainArguments:
    """What to pretrain, on what."""

    data: list[str] = field(metadata={"help": "Prepared corpora, folders or Hub names."})
    config: str = field(default="{}", metadata={"help": "Fields of EEGFoundationConfig (JSON)."})
    model_name_or_path: str | None = field(default=None, metadata={"help": "Go on from these weights."})
    alignment: str = field(
        default="none", metadata={"help": "none or euclidean (uses every subject's windows)."}
    )
    split: str = field(default="official", metadata={"help": "official, subject, fold or none."})
    num_folds: int = field(default=5, metadata={"help": "Number of folds of --split fold."})
    fold: int = field(default=0, metadata={"help": "Which fold's test subjects are left out."})
    num_validation_subjects: int = field(
        default=4, metadata={"help": "Subjects of each fold that select epochs."}
    )
    split_seed: int = field(default=0, metadata={"help": "Seed of the split."})


def main() -> None:
    """Run the recipe."""
    args, training_args = parse_recipe((PretrainArguments, TrainingArguments), description=__doc__)
    training_args.remove_unused_columns = False
    training_args.prediction_loss_only = True
    set_seed(training_args.seed)

    splits = split_for_pretraining(
        args.data,
        args.split,
        num_folds=args.num_folds,
        fold=args.fold,
        num_validation_subjects=args.num_validation_subjects,
        seed=args.split_seed,
    )
    train, validation = (
        concatenate_datasets(
            [parts[name].select_columns(list(SIGNAL_COLUMNS)) for parts in splits if name in parts]
        )
        if any(name in parts for parts in splits)
        else None
        for name in ("train", "validation")
    )
    extractor = EEGFeatureExtractor.from_pretrained(args.data[0], alignment=args.alignment)
    alignments = load_alignments(*args.data) if args.alignment != "none" else None

    fields = parse_config_fields(args.config, EEGFoundationConfig)
    if args.model_name_or_path:
        config = AutoConfig.from_pretrained(args.model_name_or_path, **fields)
        model = AutoModelForPreTraining.from_pretrained(args.model_name_or_path, config=config)
    else:
        config = EEGFoundationConfig(sampling_rate=extractor.sampling_rate, **fields)
        model = AutoModelForPreTraining.from_config(config)
    view = DEFAULT_VIEW if config.contrastive_weight > 0 else None
    collators = [
        EEGPreTrainingCollator(
            extractor, config.patch_size, view, alignments=alignments, seed=training_args.seed
        )
        for _ in range(2)
    ]  # the second one never changes its epoch: every evaluation hides the same stretches

    trainer = EEGTrainer(
        model=model,
        args=training_args,
        train_dataset=WindowDataset(train),
        eval_dataset=None if validation is None else WindowDataset(validation),
        data_collator=collators[0],
        eval_data_collator=collators[1],
        processing_class=extractor,
    )
    if validation is not None and config.reconstruction_weight > 0:
        names = splits[0]["validation"][0]["channels"]
        trainer.add_callback(
            PlotReconstruction(Path(training_args.output_dir), extractor.sampling_rate, names)
        )
    logger.warning(f"{model.num_parameters():,} parameters, {len(train):,} windows to train on")
    trainer.train(resume_from_checkpoint=resume_checkpoint(training_args))
    trainer.save_model()
    trainer.save_state()
    if validation is not None:
        trainer.save_metrics("eval", trainer.evaluate())


if __name__ == "__main__":
    run_main(main, "eeg_hf.pretrain")
