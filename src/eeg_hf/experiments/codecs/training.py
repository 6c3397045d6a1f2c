# SPDX-License-Identifier: Apache-2.0
"""Train a tokenizer, a codec of EEG, on prepared corpora, without labels."""

from pathlib import Path

from datasets import Dataset
from transformers import AutoConfig, AutoModel, TrainingArguments, set_seed
from transformers.utils import logging

from ...collation import SIGNAL_COLUMNS, EEGTokenizerCollator, WindowDataset, sample_patches
from ...corpora import SeenWindows, get_corpus, load_alignments, prepare, split_for_pretraining
from ...models.configuration_eeg_fsq import EEGFSQConfig
from ...processing.feature_extraction_eeg import EEGFeatureExtractor
from ...training import EEGTokenizerTrainer, PlotReconstruction, resume_checkpoint
from ..config_fields import check_config_fields
from ..joined_parts import join_parts
from ..split_arguments import SplitArguments
from .arguments import TokenizerArguments

logger = logging.get_logger(__name__)


def run(args: TokenizerArguments, split_args: SplitArguments, training_args: TrainingArguments) -> None:
    """Train and evaluate one tokenizer."""
    training_args.remove_unused_columns = False
    training_args.prediction_loss_only = True
    set_seed(training_args.seed)
    output_dir = Path(str(training_args.output_dir))
    data = args.data or []
    if not data:
        # All processes read one folder: one of them prepares it, the others then find it complete
        with training_args.main_process_first(desc="simulated corpus"):
            data = [prepare_simulated(output_dir / "simulated")]

    parts = load_parts(data, split_args)
    train, validation = WindowDataset(parts["train"], ["sampling_rate"]), parts.get("validation") or None
    if validation is None:  # which Trainer refuses to evaluate, or to choose a best epoch, on
        logger.warning("no window is left to validate on: nothing is evaluated")
        training_args.eval_strategy, training_args.load_best_model_at_end = "no", False
    seen = SeenWindows.of([parts["train"]], [validation] if validation else [])
    if args.model:
        seen |= SeenWindows.load(args.model)
    extractor, rate = load_extractor(data, args)
    alignments = load_alignments(*data) if args.alignment != "none" else None

    config = build_config(args, rate)
    checkpoint = resume_checkpoint(training_args)
    collator = EEGTokenizerCollator(extractor, config.patch_size, alignments=alignments)
    if args.model:
        model = AutoModel.from_pretrained(args.model, config=config)
    else:
        model = AutoModel.from_config(config)
        # A checkpoint has the linear path already: principal components of other windows would replace it
        if model.config.linear_path and not checkpoint:
            model.initialize_linear_path(sample_patches(train, collator, seed=training_args.seed))

    trainer = EEGTokenizerTrainer(
        model=model,
        args=training_args,
        train_dataset=train,
        eval_dataset=None if validation is None else WindowDataset(validation, ["sampling_rate"]),
        data_collator=collator,
        processing_class=extractor,
        seen_windows=seen,
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
    logger.warning("no --data: training on SIMULATED EEG, whose results say nothing about real EEG")
    prepare(get_corpus("simulated"), folder, EEGFeatureExtractor(window_seconds=5.12))
    return str(folder)


def load_parts(data: list[str], split_args: SplitArguments) -> dict[str, Dataset]:
    """Return the training windows and, if any corpus has them, the validation windows."""
    splits = split_for_pretraining(data, split_args.split, **split_args.options)
    parts = join_parts(splits, [*SIGNAL_COLUMNS, "channels", "sampling_rate"])
    if not parts.get("train"):
        raise ValueError(f"{', '.join(data)}: split {split_args.split!r} leaves no window to train on")
    return parts


def load_extractor(data: list[str], args: TokenizerArguments) -> tuple[EEGFeatureExtractor, float | None]:
    """Return the extractor to save with the tokenizer, and the sampling rate if all corpora have the same.

    Raises:
        ValueError: If corpora differ in a setting that the tokenizer sees.
    """
    found = {name: EEGFeatureExtractor.from_pretrained(name, alignment=args.alignment) for name in data}
    extractor = found[data[0]]
    for setting in ("normalization", "clip", *(["sampling_rate"] if args.rates == "same" else [])):
        values = {name: getattr(other, setting) for name, other in found.items()}
        if len(set(values.values())) > 1:
            shown = ", ".join(f"{name} has {value}" for name, value in values.items())
            hint = ", or use --rates keep" if setting == "sampling_rate" else ""
            raise ValueError(f"expected corpora of one {setting}, but {shown}: prepare them alike{hint}")
    rates = sorted({other.sampling_rate for other in found.values()})
    if len(rates) == 1:
        return extractor, rates[0]
    logger.warning(
        f"rates of {', '.join(f'{rate:g}' for rate in rates)} Hz: the extractor saved with the tokenizer is "
        f"that of {data[0]}, for {extractor.sampling_rate:g} Hz"
    )
    return extractor, None


def build_config(args: TokenizerArguments, rate: float | None) -> EEGFSQConfig:
    """Return the config of the recipe, or of the weights to start from; it must fit the data.

    Raises:
        ValueError: If a field does not exist, or the model is for another sampling rate.
    """
    fields = check_config_fields(args.config, EEGFSQConfig)
    if args.model:
        config = AutoConfig.from_pretrained(args.model, **fields)
        if not isinstance(config, EEGFSQConfig):
            raise ValueError(f"{args.model}: expected a tokenizer, got {config.model_type}")
    else:
        config = EEGFSQConfig(**{"sampling_rate": rate, **fields})
    if config.sampling_rate not in (None, rate):
        data = f"windows at {rate:g} Hz" if rate else "windows at several rates"
        raise ValueError(
            f"sampling_rate: the config has {config.sampling_rate:g} Hz, the corpora have {data}: prepare "
            "them at that rate, or set config.sampling_rate"
        )
    return config
