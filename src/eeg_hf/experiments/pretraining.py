# SPDX-License-Identifier: Apache-2.0
"""Pretrain EEGFoundation or the masked VAE on prepared corpora, without labels."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from datasets import Dataset, DatasetDict, concatenate_datasets
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForPreTraining,
    PreTrainedConfig,
    PreTrainedModel,
    TrainingArguments,
    set_seed,
)
from transformers.trainer_utils import IntervalStrategy, SaveStrategy
from transformers.utils import logging

from ..collation import (
    DEFAULT_VIEW,
    SIGNAL_COLUMNS,
    EEGDataCollator,
    EEGPreTrainingCollator,
    WindowDataset,
)
from ..collation.group_calibrations import calibrate_groups
from ..corpora import SeenWindows, drop_unlabelled, load_alignments, mixture, split_for_pretraining
from ..corpora.windows.encoding import OPTIONAL_COLUMNS
from ..corpora.windows.seen_windows import COLUMNS
from ..models.configuration_eeg_foundation import EEGFoundationConfig
from ..models.configuration_eeg_fsq import EEGFSQConfig
from ..models.configuration_eeg_masked_vae import EEGMaskedVAEConfig
from ..processing.calibration import Calibration
from ..processing.feature_extraction_eeg import EEGFeatureExtractor
from ..training import (
    ChannelGroupedSampler,
    EEGTrainer,
    PlotReconstruction,
    fit_population,
    resume_checkpoint,
)
from ..training.probe import probe_encoder
from .config_fields import check_config_fields
from .inner_folds import inner_splits
from .joined_parts import join_parts
from .pretraining_arguments import PretrainArguments
from .searching import (
    DEFAULT_SPACE,
    apply_settings,
    check_space,
    import_optuna,
    replace_arguments,
    search_settings,
)
from .split_arguments import SplitArguments

logger = logging.get_logger(__name__)

CONFIGS = {config.model_type: config for config in (EEGFoundationConfig, EEGMaskedVAEConfig)}
SIGNAL_SETTINGS = (
    *("sampling_rate", "highpass_hz", "lowpass_hz", "reference"),
    *("normalization", "clip", "alignment"),
)
"""Settings that a codec must share with the windows whose codes it provides."""
MAX_CLASSES = 50
"""More than these are numbers, which no probe of a search tells apart."""
STREAM_WINDOWS = 1024
"""Windows of a stream that tell the statistics of second-order tokens."""


def run(args: PretrainArguments, split_args: SplitArguments, training_args: TrainingArguments) -> None:
    """Pretrain and evaluate one model."""
    args.check_search()
    if args.search:
        check_space(args.search_space, PretrainArguments)
        import_optuna()
    training_args.remove_unused_columns = False
    training_args.prediction_loss_only = True
    set_seed(training_args.seed)

    corpora = parse_mixture(args)
    train, validation, seen = load_parts(args, split_args, training_args, corpora)
    if args.search:
        args, training_args = choose_settings(args, training_args, train.rows, list(corpora))
        set_seed(training_args.seed)
    trainer = build_trainer(args, training_args, list(corpora), train, validation, seen)
    model: Any = trainer.model
    if validation is not None and getattr(model.config, "predicts_signal", True):
        extractor: Any = trainer.processing_class
        names = validation[0]["channels"]
        folder = Path(str(training_args.output_dir))
        trainer.add_callback(PlotReconstruction(folder, extractor.sampling_rate, names))
    num_windows = len(train) if isinstance(train, WindowDataset) else train.num_rows
    logger.warning(f"{model.num_parameters():,} parameters, {num_windows:,} windows to train on")
    if isinstance(train, WindowDataset):
        log_padding(train, training_args)
    trainer.train(resume_from_checkpoint=resume_checkpoint(training_args))
    trainer.save_model()
    trainer.save_state()
    if validation is not None:
        trainer.save_metrics("eval", trainer.evaluate())


def build_trainer(
    args: PretrainArguments,
    training_args: TrainingArguments,
    corpora: Sequence[str],
    train: Any,
    validation: Dataset | None,
    seen: SeenWindows | None = None,
) -> EEGTrainer:
    """Return the trainer of a new model, with its windows and collators.

    Args:
        args: The options.
        training_args: Those of Trainer.
        corpora: Names of the prepared corpora.
        train: Windows to train on, or their stream.
        validation: Windows that are evaluated on.
        seen: What the model has seen once it is trained.
    """
    # Trainer refuses to evaluate, or to choose a best epoch, without windows to do it on
    if validation is None:
        training_args.eval_strategy, training_args.load_best_model_at_end = IntervalStrategy.NO, False
    extractor = EEGFeatureExtractor.from_pretrained(
        corpora[0], alignment=args.alignment, calibration_regime=args.regime
    )
    alignments = load_alignments(*corpora) if args.alignment != "none" else None
    model = build_model(args, extractor)
    config = model.config
    calibrations = prepare_bands(model, extractor, train, validation, alignments)
    # The epoch of the second one stays 0: every evaluation hides the same stretches
    collators = [
        EEGPreTrainingCollator(
            extractor,
            getattr(config, "stretch_size", config.patch_size),
            DEFAULT_VIEW if getattr(config, "contrastive_weight", 0) > 0 else None,
            num_bands=len(config.second_order_bands) if getattr(config, "second_order", False) else 0,
            alignments=alignments,
            calibrations=calibrations,
            seed=training_args.seed,
        )
        for _ in range(2)
    ]
    return EEGTrainer(
        model=model,
        args=training_args,
        train_dataset=train,
        eval_dataset=None if validation is None else WindowDataset(validation),
        data_collator=collators[0],
        eval_data_collator=collators[1],
        processing_class=extractor,
        seen_windows=seen,
    )


def choose_settings(
    args: PretrainArguments, training_args: TrainingArguments, train: Dataset, corpora: Sequence[str]
) -> tuple[PretrainArguments, TrainingArguments]:
    """Return the settings that a search on folds of the training subjects prefers.

    The score of a fold is the loss of its held-out subjects, or how well a linear probe of the encoder reads
    a label of theirs.
    """
    label2id = number_classes(train, args.search_label) if args.search_label else None

    def score(settings: Mapping[str, Any], parts: DatasetDict, folder: Path) -> float:
        own, training = apply_settings(args, training_args, settings)
        no_files = {"save_strategy": SaveStrategy.NO, "report_to": [], "load_best_model_at_end": False}
        once = {"output_dir": str(folder), "eval_strategy": IntervalStrategy.NO, **no_files}
        training = replace_arguments(training, once)
        set_seed(training.seed)
        windows = WindowDataset(parts["train"])
        trainer = build_trainer(own, training, corpora, windows, parts["validation"])
        trainer.train()
        if label2id is None:
            return float(trainer.evaluate()["eval_loss"])
        return probe_fold(trainer, parts, str(args.search_label), label2id)

    splits = inner_splits(train, args.search_folds)
    space = args.search_space or DEFAULT_SPACE
    direction: Literal["maximize", "minimize"] = "maximize" if args.search_label else "minimize"
    found = search_settings(training_args, space, args.search, score, splits, direction, args.search_engine)
    return apply_settings(args, training_args, found.settings)


def probe_fold(trainer: Any, parts: DatasetDict, column: str, label2id: Mapping[Any, int]) -> float:
    """Return the balanced accuracy of a linear probe on the held-out subjects of an inner fold."""
    alignments = trainer.eval_data_collator.alignments
    collator = EEGDataCollator(trainer.processing_class, column, label2id, alignments)
    fitted, scored = (
        WindowDataset(drop_unlabelled(parts[part], column), [column]) for part in ("train", "validation")
    )
    return probe_encoder(trainer.model, fitted, scored, collator)["balanced_accuracy"]


def number_classes(train: Dataset, column: str) -> dict[Any, int]:
    """Return the index of each class of a column.

    Raises:
        ValueError: If there is no such column, or nothing to tell apart.
    """
    classes = sorted(set(drop_unlabelled(train, column)[column][:]))
    if not 2 <= len(classes) <= MAX_CLASSES:
        raise ValueError(f"--search_label {column}: expected 2 to {MAX_CLASSES} classes, got {len(classes)}")
    return {name: index for index, name in enumerate(classes)}


def prepare_bands(
    model: PreTrainedModel,
    extractor: EEGFeatureExtractor,
    train: Any,
    validation: Dataset | None,
    alignments: Mapping[str, np.ndarray] | None,
) -> dict[str, Calibration] | None:
    """Give second-order tokens the statistics of the training windows, and calibrate all subjects.

    Returns:
        The calibrations, or None where the regime recentres all subjects alike.

    Raises:
        ValueError: If subjects are to be calibrated for a model without such tokens, or of a stream.
    """
    has_bands, regime = getattr(model.config, "second_order", False), extractor.calibration_regime
    if not has_bands and regime == "unseen":
        return None
    windows = train if isinstance(train, WindowDataset) else WindowDataset(train.take(STREAM_WINDOWS))
    calibrations = None
    if regime != "unseen":
        if not has_bands or windows is not train:
            wanted = "no --streaming" if has_bands else "config.second_order=true"
            raise ValueError(f"regime: {regime} needs {wanted}")
        rows = [windows.rows, *([] if validation is None else [validation])]
        calibrations = calibrate_groups(concatenate_datasets(rows), extractor, model)
    collate = EEGDataCollator(extractor, alignments=alignments, calibrations=calibrations)
    fit_population(model, windows, collate)
    return calibrations


def build_model(args: PretrainArguments, extractor: EEGFeatureExtractor) -> PreTrainedModel:
    """Return a new model, or one with given weights, with the codec whose codes it predicts.

    Raises:
        ValueError: If a field of the config does not exist, or a codec is missing or does not fit.
    """
    config_class = find_config_class(args)
    fields = check_config_fields(args.config, config_class)
    codec = load_codec(args.codec, extractor) if args.codec else None
    if codec is not None:
        levels, codes = codec.config.levels, codec.config.codes_per_patch
        fields = {"code_levels": levels, "codes_per_patch": codes, **fields}
    if args.model:
        config = AutoConfig.from_pretrained(args.model, **fields)
        if config.sampling_rate != extractor.sampling_rate:
            raise ValueError(
                f"{args.model} was trained at {config.sampling_rate:g} Hz, the corpus has "
                f"{extractor.sampling_rate:g} Hz: prepare it with --sampling_rate {config.sampling_rate:g}"
            )
        model = AutoModelForPreTraining.from_pretrained(args.model, config=config)
    else:
        config = config_class(**{"sampling_rate": extractor.sampling_rate, **fields})
        model = AutoModelForPreTraining.from_config(config)
    if codec is not None:
        model.set_codec(codec)
    elif getattr(config, "predicts_codes", False):
        raise ValueError(f"target: {config.target} needs --codec, a model of eeg-hf train-tokenizer")
    return model


def find_config_class(args: PretrainArguments) -> type[PreTrainedConfig]:
    """Return the config class of the model to train, that of the weights to start from if there are any."""
    name = AutoConfig.from_pretrained(args.model).model_type if args.model else args.architecture
    if name not in CONFIGS:
        raise ValueError(f"model: expected one of {', '.join(CONFIGS)}, got {name}")
    if args.codec and name != EEGFoundationConfig.model_type:
        raise ValueError(f"codec: expected eeg_foundation, which predicts its codes, got {name}")
    return CONFIGS[name]


def load_codec(folder: str, extractor: EEGFeatureExtractor) -> PreTrainedModel:
    """Return the codec; refuse one that was trained on other signals."""
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
    """Return the corpora with their weights; those of `data` have equal ones, which are not used."""
    try:
        weights = {str(name): float(weight) for name, weight in args.mixture.items()}
    except (ValueError, TypeError):
        raise ValueError(f"mixture: expected prepared corpora and weights, got {args.mixture!r}") from None
    if bool(weights) == bool(args.data):
        raise ValueError("expected either data or mixture, to name the training data")
    if args.streaming and not weights:
        raise ValueError("streaming needs a mixture, such as mixture: {runs/data/eegmat: 1}")
    return weights or dict.fromkeys(args.data or [], 1.0)


def load_parts(
    args: PretrainArguments,
    split_args: SplitArguments,
    training_args: TrainingArguments,
    weights: dict[str, float],
) -> tuple[Any, Dataset | None, SeenWindows]:
    """Return the training windows or their stream, the validation windows or None, and all that is seen."""
    columns = [*SIGNAL_COLUMNS, "channels"]
    parts: Mapping[str, Any]
    if args.data:
        splits = split_for_pretraining(args.data, split_args.split, **split_args.options)
        label = [args.search_label] if args.search_label else []
        parts = join_parts(splits, [*dict.fromkeys([*columns, *label])])
    else:
        parts = mixture(
            weights,
            streaming=args.streaming,
            split=split_args.split,
            split_options=split_args.options,
            seed=training_args.seed,
            rates=args.rates,
            columns=[*columns, *OPTIONAL_COLUMNS, *([] if args.streaming else COLUMNS)],
            rank=training_args.process_index,
            world_size=training_args.world_size,
            run_length=training_args.train_batch_size,
        )
    validation = parts.get("validation")
    selecting = [] if validation is None else validation.windows if args.streaming else [validation]
    seen = SeenWindows.of(parts["train"].windows if args.streaming else [parts["train"]], selecting)
    if args.model:
        seen |= SeenWindows.load(args.model)
    if args.streaming:
        return parts["train"], validation and validation.take(args.validation_windows), seen
    return WindowDataset(parts["train"]), validation, seen


def log_padding(train: WindowDataset, training_args: TrainingArguments) -> None:
    """Log how much padding is saved by grouping windows by channel count."""
    counts = train.num_channels.tolist()
    if len(set(counts)) > 1:
        sampler = ChannelGroupedSampler(counts, training_args.train_batch_size, training_args.seed)
        with_groups, without = sampler.padding_share(), sampler.padding_share(grouped=False)
        logger.warning(
            f"{min(counts)} to {max(counts)} channels: padding is {with_groups:.1%} of the input, grouped by "
            f"number of channels; it would be {without:.1%} without"
        )
