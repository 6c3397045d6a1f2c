# SPDX-License-Identifier: Apache-2.0
"""Pretrain EEGFoundation, or the masked VAE, on prepared corpora, without labels."""

from pathlib import Path

import torch
from datasets import Dataset, concatenate_datasets
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForPreTraining,
    PreTrainedConfig,
    PreTrainedModel,
    TrainingArguments,
    set_seed,
)
from transformers.utils import logging

from ..collation import DEFAULT_VIEW, SIGNAL_COLUMNS, EEGPreTrainingCollator, WindowDataset
from ..corpora import load_alignments, mixture, split_for_pretraining
from ..models.configuration_eeg_foundation import EEGFoundationConfig
from ..models.configuration_eeg_fsq import EEGFSQConfig
from ..models.configuration_eeg_masked_vae import EEGMaskedVAEConfig
from ..processing.feature_extraction_eeg import EEGFeatureExtractor
from ..training import (
    ChannelGroupedSampler,
    EEGTrainer,
    PlotReconstruction,
    resume_checkpoint,
)
from .config_fields import check_config_fields
from .pretraining_arguments import PretrainArguments
from .split_arguments import SplitArguments

logger = logging.get_logger("eeg_hf.pretrain")

SIGNAL_SETTINGS = (
    *("sampling_rate", "highpass_hz", "lowpass_hz", "reference"),
    *("normalization", "clip", "alignment"),
)
"""What a codec and the windows whose codes it tells must have in common."""


def run(args: PretrainArguments, split_args: SplitArguments, training_args: TrainingArguments) -> None:
    """Run the recipe."""
    training_args.remove_unused_columns = False
    training_args.prediction_loss_only = True
    set_seed(training_args.seed)

    weights = parse_mixture(args)
    train, validation = load_parts(args, split_args, training_args, weights)
    extractor = EEGFeatureExtractor.from_pretrained(next(iter(weights)), alignment=args.alignment)
    alignments = load_alignments(*weights) if args.alignment != "none" else None

    model = build_model(args, extractor)
    config = model.config
    view = DEFAULT_VIEW if getattr(config, "contrastive_weight", 0) > 0 else None
    stretch_size = getattr(config, "stretch_size", config.patch_size)
    collators = [
        EEGPreTrainingCollator(extractor, stretch_size, view, alignments=alignments, seed=training_args.seed)
        for _ in range(2)
    ]  # the second one never changes its epoch: every evaluation hides the same stretches

    trainer = EEGTrainer(
        model=model,
        args=training_args,
        train_dataset=train,
        eval_dataset=None if validation is None else WindowDataset(validation),
        data_collator=collators[0],
        eval_data_collator=collators[1],
        processing_class=extractor,
    )
    if validation is not None and getattr(config, "predicts_signal", True):
        names = validation[0]["channels"]
        trainer.add_callback(
            PlotReconstruction(Path(training_args.output_dir), extractor.sampling_rate, names)
        )
    num_windows = train.num_rows if args.streaming else len(train)
    logger.warning(f"{model.num_parameters():,} parameters, {num_windows:,} windows to train on")
    if not args.streaming:
        log_padding(train, training_args)
    trainer.train(resume_from_checkpoint=resume_checkpoint(training_args))
    trainer.save_model()
    trainer.save_state()
    if validation is not None:
        trainer.save_metrics("eval", trainer.evaluate())


def build_model(args: PretrainArguments, extractor: EEGFeatureExtractor) -> PreTrainedModel:
    """Return the model, new or to go on with, and with it the codec whose codes it predicts."""
    config_class = find_config_class(args)
    fields = check_config_fields(args.config, config_class)
    codec = load_codec(args.codec, extractor) if args.codec else None
    if codec is not None:
        fields = {
            "code_levels": codec.config.levels,
            "codes_per_patch": codec.config.codes_per_patch,
            **fields,
        }
    if args.model_name_or_path:
        config = AutoConfig.from_pretrained(args.model_name_or_path, **fields)
        model = AutoModelForPreTraining.from_pretrained(args.model_name_or_path, config=config)
    else:
        config = config_class(**{"sampling_rate": extractor.sampling_rate, **fields})
        model = AutoModelForPreTraining.from_config(config)
    if codec is not None:
        model.set_codec(codec)
    elif getattr(config, "predicts_codes", False):
        raise ValueError(f"target: {config.target} needs --codec, a model of eeg-hf train-tokenizer")
    return model


def find_config_class(args: PretrainArguments) -> type[PreTrainedConfig]:
    """Return the config of what is trained, that of the weights to go on from if there are any."""
    known = {found.model_type: found for found in (EEGFoundationConfig, EEGMaskedVAEConfig)}
    name = args.architecture
    if args.model_name_or_path:
        name = AutoConfig.from_pretrained(args.model_name_or_path).model_type
    if name not in known:
        raise ValueError(f"architecture: expected one of {', '.join(known)}, got {name}")
    if args.codec and name != "eeg_foundation":
        raise ValueError(f"codec: expected eeg_foundation, which predicts its tokens, got {name}")
    return known[name]


def load_codec(folder: str, extractor: EEGFeatureExtractor) -> PreTrainedModel:
    """Return the codec; refuse one that was trained on signals of another kind."""
    config = AutoConfig.from_pretrained(folder)
    if not isinstance(config, EEGFSQConfig):
        raise ValueError(f"codec: {folder} is no tokenizer, expected eeg_fsq, got {config.model_type}")
    theirs, ours = EEGFeatureExtractor.from_pretrained(folder).to_dict(), extractor.to_dict()
    for name in SIGNAL_SETTINGS:
        if theirs[name] != ours[name]:
            raise ValueError(
                f"codec: {folder} was trained with {name} {theirs[name]}, the corpus here has {ours[name]}"
            )
    return AutoModel.from_pretrained(folder)


def parse_mixture(args: PretrainArguments) -> dict[str, float]:
    """Return the corpora with their weights; those of `data` have none to speak of."""
    try:
        weights = {str(name): float(weight) for name, weight in args.mixture.items()}
    except (ValueError, TypeError, AttributeError):
        raise ValueError(f"mixture: expected prepared corpora and weights, got {args.mixture!r}") from None
    if bool(weights) == bool(args.data):
        raise ValueError("expected either data or mixture, to say what to train on")
    if args.streaming and not weights:
        raise ValueError("streaming reads a mixture: give one, such as mixture: {runs/data/eegmat: 1}")
    return weights or dict.fromkeys(args.data, 1.0)


def load_parts(
    args: PretrainArguments,
    split_args: SplitArguments,
    training_args: TrainingArguments,
    weights: dict[str, float],
) -> tuple[torch.utils.data.Dataset, Dataset | None]:
    """Return what to train on and the windows to validate on, None where no corpus leaves any."""
    columns = [*SIGNAL_COLUMNS, "channels"]
    if args.data:
        splits = split_for_pretraining(args.data, split_args.split, **split_args.options)
        parts = {
            name: concatenate_datasets(
                [found[name].select_columns(columns) for found in splits if name in found]
            )
            for name in ("train", "validation")
            if any(name in found for found in splits)
        }
    else:
        parts = mixture(
            weights,
            streaming=args.streaming,
            split=split_args.split,
            split_options=split_args.options,
            seed=training_args.seed,
            rates=args.rates,
            columns=columns,
            rank=training_args.process_index,
            world_size=training_args.world_size,
            run_length=training_args.train_batch_size,
        )
    validation = parts.get("validation")
    if not args.streaming:
        return WindowDataset(parts["train"]), validation
    return parts["train"], validation and validation.take(args.validation_windows)


def log_padding(train: WindowDataset, training_args: TrainingArguments) -> None:
    """Say what grouping windows by their number of channels saves, where they differ."""
    counts = train.num_channels
    if len(set(counts)) > 1:
        sampler = ChannelGroupedSampler(counts, training_args.train_batch_size, training_args.seed)
        with_groups, without = sampler.padding_share(), sampler.padding_share(grouped=False)
        logger.warning(
            f"{min(counts)} to {max(counts)} channels: padding is {with_groups:.1%} of the input, grouped by "
            f"number of channels; it would be {without:.1%} without"
        )
