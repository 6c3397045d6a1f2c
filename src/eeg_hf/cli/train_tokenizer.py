# SPDX-License-Identifier: Apache-2.0
r"""Train a tokenizer, a codec of EEG, on prepared corpora, without labels.

    # CPU, a minute
    eeg-hf train-tokenizer tokenizer_default \
        --data runs/data/simulated --max_steps 200
    # one GPU, several
    eeg-hf train-tokenizer tokenizer_snake --data runs/data/eegmat --bf16 true
    accelerate launch scripts/train_tokenizer.py tokenizer_snake --data runs/data/eegmat
    # corpora that were prepared at different rates
    eeg-hf train-tokenizer tokenizer_conditioning \
        --data runs/data/eegmat runs/data/eegmmidb
    # three learning rates x two activations; sweep.md compares them
    eeg-hf train-tokenizer tokenizer_default \
        --data runs/data/eegmat --sweep true

Subjects of the validation and test parts are never trained on; `--split fold --fold k` leaves out the test
subjects of fold k. Windows are cut to whole patches. A run that was killed goes on with
--resume_from_checkpoint true.
"""

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datasets import Dataset, concatenate_datasets
from transformers import AutoConfig, AutoModel, PreTrainedModel, TrainingArguments, set_seed
from transformers.utils import logging

from ..collation.data_collator import SIGNAL_COLUMNS, WindowDataset
from ..collation.tokenizer_collator import EEGTokenizerCollator, sample_patches
from ..corpora import SplitArguments, load_alignments, split_for_pretraining
from ..models.configuration_eeg_fsq import EEGFSQConfig
from ..processing.feature_extraction_eeg import EEGFeatureExtractor
from ..training import (
    EEGTokenizerTrainer,
    GridSweep,
    PlotReconstruction,
    parse_config_fields,
    parse_recipe,
    resume_checkpoint,
    run_main,
    write_sweep,
)

logger = logging.get_logger("eeg_hf.train_tokenizer")


@dataclass
class TokenizerArguments:
    """What to train, on what."""

    data: list[str] = field(
        metadata={"help": "Prepared corpora, folders or Hub names; each window once an epoch."}
    )
    rates: str = field(
        default="same", metadata={"help": "same, or keep: corpora of different sampling rates."}
    )
    config: str = field(default="{}", metadata={"help": "Fields of EEGFSQConfig (JSON)."})
    model_name_or_path: str | None = field(default=None, metadata={"help": "Go on from these weights."})
    alignment: str = field(
        default="none", metadata={"help": "none or euclidean (uses every subject's windows)."}
    )
    sweep: bool = field(default=False, metadata={"help": "Train and compare all of sweep_grid."})
    sweep_grid: str = field(
        default='{"learning_rate": [1e-3, 5e-4, 1e-4], "activation": ["relu", "snake"]}',
        metadata={"help": "Field of the training arguments or of EEGFSQConfig -> its values (JSON)."},
    )


def run() -> None:
    """Run the recipe."""
    args, split_args, training_args = parse_recipe(
        (TokenizerArguments, SplitArguments, TrainingArguments), description=__doc__
    )
    training_args.remove_unused_columns = False
    training_args.prediction_loss_only = True
    set_seed(training_args.seed)
    output_dir = Path(training_args.output_dir)

    train, validation = load_parts(args.data, split_args)
    extractor, rate = load_extractor(args)
    alignments = load_alignments(*args.data) if args.alignment != "none" else None

    config = build_config(args, rate)
    sweep = parse_sweep(args, config, training_args) if args.sweep else None
    checkpoint = resume_checkpoint(training_args)
    if sweep is not None and (validation is None or checkpoint or args.model_name_or_path):
        raise ValueError("sweep: expected windows to validate on and neither checkpoint nor weights")
    collator = EEGTokenizerCollator(extractor, config.patch_size, alignments=alignments)
    patches = sample_patches(train, collator, seed=training_args.seed)

    def build_model(trial: Any = None) -> PreTrainedModel:
        if args.model_name_or_path:
            return AutoModel.from_pretrained(args.model_name_or_path, config=config)
        chosen = sweep.choose(trial) if sweep is not None and trial is not None else {}
        model = AutoModel.from_config(change(config, chosen))
        if model.config.linear_path and not checkpoint:
            model.initialize_linear_path(patches)
        return model

    trainer = EEGTokenizerTrainer(
        model=None if sweep else build_model(),
        model_init=build_model if sweep else None,
        args=training_args,
        train_dataset=train,
        eval_dataset=None if validation is None else WindowDataset(validation, ["sampling_rate"]),
        data_collator=collator,
        processing_class=extractor,
    )
    logger.warning(f"{trainer.model.num_parameters():,} parameters, {len(train):,} windows to train on")
    if sweep is not None:
        rows = sweep.run(trainer)
        if trainer.is_world_process_zero():
            write_sweep(output_dir, rows)
        logger.warning(f"trial {rows[0]['trial']} has the least loss, see {output_dir / 'sweep.md'}")
        return
    if validation is not None:
        first = validation[0]
        trainer.add_callback(PlotReconstruction(output_dir, first["sampling_rate"], first["channels"]))
    trainer.train(resume_from_checkpoint=checkpoint)
    trainer.save_model()
    trainer.save_state()
    if validation is not None:
        trainer.save_metrics("eval", trainer.evaluate())


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
    fields = parse_config_fields(args.config, EEGFSQConfig)
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


def change(config: EEGFSQConfig, settings: dict[str, Any]) -> EEGFSQConfig:
    """Return a config with those of the settings that are its own, checked together."""
    fields = config.to_dict()
    return EEGFSQConfig.from_dict(fields | {name: settings[name] for name in settings if name in fields})


def parse_sweep(
    args: TokenizerArguments, config: EEGFSQConfig, training_args: TrainingArguments
) -> GridSweep:
    """Return the sweep; what no trial could use is refused before the first one."""
    try:
        sweep = GridSweep(json.loads(args.sweep_grid))
    except (json.JSONDecodeError, AttributeError):
        raise ValueError(f"sweep_grid: expected fields and their values, got {args.sweep_grid!r}") from None
    known = {item.name for item in dataclasses.fields(training_args)}
    own = {name: values for name, values in sweep.grid.items() if name not in known}
    parse_config_fields(json.dumps(own), EEGFSQConfig)
    if "patch_size" in own:  # windows are cut once, for all trials
        raise ValueError("sweep_grid: patch_size cannot differ between trials, start a sweep for each")
    for name, values in own.items():
        for value in values:
            change(config, {name: value})
    return sweep


def main() -> None:
    """Run the command."""
    run_main(run, "eeg_hf.train_tokenizer")


if __name__ == "__main__":
    main()
