# SPDX-License-Identifier: Apache-2.0
"""Train a tokenizer, a codec of EEG, on prepared corpora, without labels."""

from pathlib import Path

from datasets import Dataset, concatenate_datasets
from transformers import AutoConfig, AutoModel, TrainingArguments, set_seed
from transformers.utils import logging

from ..collation import SIGNAL_COLUMNS, EEGTokenizerCollator, WindowDataset, sample_patches
from ..corpora import get_corpus, load_alignments, prepare, split_for_pretraining
from ..models.configuration_eeg_fsq import EEGFSQConfig
from ..processing.feature_extraction_eeg import EEGFeatureExtractor
from ..training import (
    EEGTokenizerTrainer,
    PlotReconstruction,
    resume_checkpoint,
)
from .config_fields import check_config_fields
from .split_arguments import SplitArguments
from .tokenizer_training_arguments import TokenizerArguments

logger = logging.get_logger("eeg_hf.train_tokenizer")


def run(args: TokenizerArguments, split_args: SplitArguments, training_args: TrainingArguments) -> None:
    """Run the recipe."""
    training_args.remove_unused_columns = False
    training_args.prediction_loss_only = True
    set_seed(training_args.seed)
    output_dir = Path(training_args.output_dir)
    if not args.data:
        with training_args.main_process_first(desc="simulated corpus"):
            args.data = [prepare_simulated(output_dir / "simulated")]

    train, validation = load_parts(args.data, split_args)
    extractor, rate = load_extractor(args)
    alignments = load_alignments(*args.data) if args.alignment != "none" else None

    config = build_config(args, rate)
    checkpoint = resume_checkpoint(training_args)
    collator = EEGTokenizerCollator(extractor, config.patch_size, alignments=alignments)
    if args.model_name_or_path:
        model = AutoModel.from_pretrained(args.model_name_or_path, config=config)
    else:
        model = AutoModel.from_config(config)
        if model.config.linear_path and not checkpoint:
            model.initialize_linear_path(sample_patches(train, collator, seed=training_args.seed))

    trainer = EEGTokenizerTrainer(
        model=model,
        args=training_args,
        train_dataset=train,
        eval_dataset=None if validation is None else WindowDataset(validation, ["sampling_rate"]),
        data_collator=collator,
        processing_class=extractor,
    )
    logger.warning(f"{model.num_parameters():,} parameters, {len(train):,} windows to train on")
    if validation is not None:
        first = validation[0]
        trainer.add_callback(PlotReconstruction(output_dir, first["sampling_rate"], first["channels"]))
    trainer.train(resume_from_checkpoint=checkpoint)
    trainer.save_model()
    trainer.save_state()
    if validation is not None:
        trainer.save_metrics("eval", trainer.evaluate())


def prepare_simulated(folder: Path) -> str:
    """Prepare the simulated corpus, for a first run without recordings."""
    logger.warning("no --data: training on SIMULATED EEG, which says nothing about real EEG")
    corpus = get_corpus("simulated")
    prepare(corpus, folder, EEGFeatureExtractor(window_seconds=5.12))
    return str(folder)


def load_parts(data: list[str], split_args: SplitArguments) -> tuple[WindowDataset, Dataset | None]:
    """Return what to train on and the windows to validate on, None where no corpus leaves any."""
    columns = [*SIGNAL_COLUMNS, "channels", "sampling_rate"]
    splits = split_for_pretraining(data, split_args.split, **split_args.options)
    parts = {
        name: concatenate_datasets([found[name].select_columns(columns) for found in splits if name in found])
        for name in ("train", "validation")
        if any(name in found for found in splits)
    }
    if not parts.get("train"):
        raise ValueError(f"{', '.join(data)}: split {split_args.split!r} leaves no window to train on")
    return WindowDataset(parts["train"], ["sampling_rate"]), parts.get("validation") or None


def load_extractor(args: TokenizerArguments) -> tuple[EEGFeatureExtractor, float | None]:
    """Return the extractor to save with the tokenizer, and the rate of all corpora if there is one."""
    found = {name: EEGFeatureExtractor.from_pretrained(name, alignment=args.alignment) for name in args.data}
    extractor = found[args.data[0]]
    for setting in ("normalization", "clip", *(["sampling_rate"] if args.rates == "same" else [])):
        values = {name: getattr(other, setting) for name, other in found.items()}
        if len(set(values.values())) > 1:
            shown = ", ".join(f"{name} has {value}" for name, value in values.items())
            hint = ", or say --rates keep" if setting == "sampling_rate" else ""
            raise ValueError(f"expected corpora of one {setting}, but {shown}: prepare them alike{hint}")
    if args.rates not in ("same", "keep"):
        raise ValueError(f"rates: expected same or keep, got {args.rates!r}")
    rates = sorted({other.sampling_rate for other in found.values()})
    if len(rates) == 1:
        return extractor, rates[0]
    logger.warning(
        f"rates of {', '.join(f'{rate:g}' for rate in rates)} Hz: the extractor saved with the tokenizer is "
        f"that of {args.data[0]}, for {extractor.sampling_rate:g} Hz"
    )
    return extractor, None


def build_config(args: TokenizerArguments, rate: float | None) -> EEGFSQConfig:
    """Return the config of the recipe, or of the weights to go on from; it must fit the data."""
    fields = check_config_fields(args.config, EEGFSQConfig)
    if args.model_name_or_path:
        config = AutoConfig.from_pretrained(args.model_name_or_path, **fields)
        if not isinstance(config, EEGFSQConfig):
            raise ValueError(f"{args.model_name_or_path}: expected a tokenizer, got {config.model_type}")
    else:
        config = EEGFSQConfig(**{"sampling_rate": rate, **fields})
    if config.sampling_rate not in (None, rate):
        data = f"windows at {rate:g} Hz" if rate else "windows at several rates"
        raise ValueError(
            f"sampling_rate: the config says {config.sampling_rate:g} Hz, the corpora have {data}: prepare "
            'them at that rate, or set config: {"sampling_rate": ...}'
        )
    return config
