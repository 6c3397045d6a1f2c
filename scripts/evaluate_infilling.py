# SPDX-License-Identifier: Apache-2.0
r"""Hide stretches of EEG and compare what fills them in: models, the best linear guess, a straight line.

    python scripts/evaluate_infilling.py --data runs/data/simulated --output_dir runs/infilling
    python scripts/evaluate_infilling.py --data runs/data/eegmat --output_dir runs/infilling \
        --models "masked VAE=runs/masked_vae-*" --mask_ratios 0.25 0.5 0.75
    # a quick fine-tune, before and after: amplitude and spectrum of the corpus it was aligned with
    python scripts/evaluate_infilling.py --data runs/data/isc_video --split subject \
        --output_dir runs/aligned --models "before=runs/masked_vae" "after=runs/masked_vae_aligned"

A model is a folder that scripts/pretrain.py left, a masked VAE or EEGFoundation; `*` in its name means one
run a seed. Split as in the training, or the people tested are those trained on. All methods get the same
windows, normalised before anything is hidden, with the same stretches of single channels hidden.

The first table is over the hidden samples of each channel of each window. The second is over whole windows
with nothing hidden: by how many dB amplitude and band power of what comes out differ from what went in.
"""

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from evaluate_parts.arguments import named_folders
from evaluate_parts.infilling import (
    Filler,
    Windows,
    draw_line,
    draw_masks,
    fill_with,
    fit_linear_guess,
    judge_hidden,
    judge_levels,
    load_model,
    read_windows,
)
from transformers.utils import logging

from eeg_hf import EEGFeatureExtractor
from eeg_hf.corpora import SplitArguments, split_for_pretraining
from eeg_hf.evaluation import aggregate_folds, collect_provenance, plot_reconstruction, write_json
from eeg_hf.evaluation.report import format_summary, markdown_table, write_text
from eeg_hf.training import parse_recipe, run_main

logger = logging.get_logger("eeg_hf.evaluate_infilling")


@dataclass
class InfillingArguments:
    """What to compare, on what."""

    data: str = field(metadata={"help": "Prepared corpus: windows of one length and one montage."})
    output_dir: str = field(metadata={"help": "Where metrics.json, table.md and the pictures go."})
    models: list[str] = field(default_factory=list, metadata={"help": "name=folder of trained models."})
    part: str = field(default="test", metadata={"help": "Part of the split to test."})
    mask_ratios: list[float] = field(
        default_factory=lambda: [0.25, 0.5, 0.75], metadata={"help": "Shares of the stretches to hide."}
    )
    stretch_seconds: float = field(default=1.0, metadata={"help": "How long the hidden stretches are."})
    max_windows: int = field(default=256, metadata={"help": "Windows to test, drawn at random; 0 = all."})
    max_train_windows: int = field(default=4096, metadata={"help": "Windows the linear guess is fitted to."})
    seed: int = field(default=0, metadata={"help": "Seed of the windows and of what is hidden."})


def main() -> None:
    """Hide, fill in and compare; write the results and print the tables."""
    args, split_args = parse_recipe((InfillingArguments, SplitArguments), description=__doc__)
    named = named_folders("models", args.models)
    extractor = EEGFeatureExtractor.from_pretrained(args.data)
    models = {
        name: [fill_with(load_model(folder, extractor)) for folder in folders] for name, folders in named
    }
    parts = split_for_pretraining([args.data], split_args.split, **split_args.options)[0]
    if not parts.get(args.part):
        raise ValueError(f"{args.data}: --split {split_args.split} has no part {args.part!r}, take another")
    test = read_windows(parts[args.part], extractor, args.max_windows, args.seed)
    fillers: dict[str, list[Filler]] = {"straight line": [draw_line]}
    if args.part != "train" and parts.get("train"):
        train = read_windows(parts["train"], extractor, args.max_train_windows, args.seed)
        fillers["best linear guess (Wiener)"] = [fit_linear_guess(train)]
    fillers |= models
    output_dir = Path(args.output_dir)
    output_dir.mkdir(parents=True, exist_ok=True)
    hidden: dict[str, dict[str, list[dict[str, Any]]]] = {name: {} for name in fillers}
    for ratio in args.mask_ratios:
        mask = draw_masks(test, args.stretch_seconds, ratio, args.seed)
        for name, seeds in fillers.items():
            logger.warning(f"{name}, {ratio:.0%} hidden")
            filled = [fill(test, mask) for fill in seeds]
            hidden[name][f"{ratio:.0%}"] = [judge_hidden(test, values, mask) for values in filled]
            if name in models:
                draw_window(
                    test, filled[0], mask, output_dir / f"{slug(name)}-{round(100 * ratio)}.png", name
                )
    nothing = np.zeros(test.values.shape, bool)
    levels = {
        name: [judge_levels(test, fill(test, nothing)) for fill in seeds] for name, seeds in models.items()
    }
    tables = "\n\n".join([hidden_table(hidden), *([level_table(levels)] if levels else [])]) + "\n"
    about = collect_provenance(
        dataset=", ".join(parts[args.part].unique("corpus")),
        licence=", ".join(parts[args.part].unique("licence")),
        seeds=range(max(map(len, fillers.values()))),
        split=f"{split_args.split} split, part {args.part}",
        people=len(set(test.subjects)),
        windows=len(test.values),
        stretch_seconds=args.stretch_seconds,
        models=args.models,
    )
    write_json(output_dir / "metrics.json", {"hidden": hidden, "levels_db": levels, "provenance": about})
    write_text(output_dir / "table.md", tables)
    sys.stdout.write(tables)


def hidden_table(found: Mapping[str, Mapping[str, Sequence[Mapping[str, Any]]]]) -> str:
    """Return the scores of each method at each share hidden."""
    rows = []
    for name, by_ratio in found.items():
        row = {"Method": name}
        for ratio, seeds in by_ratio.items():
            for metric, title in (("correlation", "correlation"), ("nrmse_std", "NRMSE")):
                summary = aggregate_folds([{metric: scores[metric]} for scores in seeds])[metric]
                row[f"{ratio} hidden: {title}"] = format_summary(summary)
        rows.append(row)
    return markdown_table(rows, ["Method"])


def level_table(found: Mapping[str, Sequence[Mapping[str, float]]]) -> str:
    """Return how far off amplitude and bands of each model are."""
    rows = []
    for name, seeds in found.items():
        summary = aggregate_folds(seeds)
        errors = {f"{level} (dB)": format_summary(summary[level], 2) for level in summary}
        rows.append({"Off by": name, **errors})
    return markdown_table(rows, ["Off by"])


def draw_window(test: Windows, filled: np.ndarray, mask: np.ndarray, path: Path, name: str) -> None:
    """Draw the first window."""
    title = f"{name}: {mask[0].mean():.0%} hidden"
    names = test.channels
    plot_reconstruction(test.values[0], filled[0], mask[0], test.sampling_rate, names, title=title, path=path)


def slug(name: str) -> str:
    """Return a name that can be part of a file's."""
    return re.sub(r"\W+", "_", name).strip("_") or "model"


if __name__ == "__main__":
    run_main(main, "eeg_hf.evaluate_infilling")
