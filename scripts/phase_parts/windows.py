# SPDX-License-Identifier: Apache-2.0
"""The windows of one phase: read, split by subject, refused where there are none to train on."""

from collections.abc import Mapping, Sequence

from datasets import Dataset, DatasetDict, concatenate_datasets

from eeg_hf import EEGFeatureExtractor, WindowDataset
from eeg_hf.corpora import (
    SplitArguments,
    drop_unlabelled,
    load_alignments,
    load_windows,
    mixture,
    split_for_pretraining,
)
from eeg_hf.data_collator import SIGNAL_COLUMNS
from eeg_hf.pair_columns import PairColumns
from eeg_hf.training import PairSampler, Phase


def load_parts(
    phase: Phase, columns: Sequence[str], split_args: SplitArguments, seed: int
) -> Mapping[str, Dataset]:
    """Return `train` and, where the split leaves them, `validation` and `test`."""
    if not phase.is_pretraining:
        if len(phase.sources) != 1:
            raise ValueError(f"phase {phase.name!r}: expected one corpus with labels, got {phase.sources}")
        rows = drop_unlabelled(load_windows(phase.sources[0]), str(phase.label_column))
        parts: Mapping[str, Dataset] = split_args.apply(rows)[0]
    elif isinstance(phase.data, Mapping):
        wanted = [*dict.fromkeys([*SIGNAL_COLUMNS, "channels", *columns])]
        parts = mixture(
            dict(phase.data),
            split=split_args.split,
            split_options=split_args.options,
            seed=seed,
            columns=wanted,
        )
    else:
        parts = join(
            phase, split_for_pretraining(phase.sources, split_args.split, **split_args.options), columns
        )
    if not parts.get("train"):
        raise ValueError(f"phase {phase.name!r}: no window to train on in {', '.join(phase.sources)}")
    return parts


def join(phase: Phase, splits: Sequence[DatasetDict], columns: Sequence[str]) -> dict[str, Dataset]:
    """Lay corpora one after another, part by part."""
    wanted = [*dict.fromkeys([*SIGNAL_COLUMNS, "channels", *columns])]
    for name, found in zip(phase.sources, splits, strict=True):
        missing = sorted(set(wanted) - set(found["train"].column_names))
        if missing:
            raise ValueError(
                f"phase {phase.name!r}: {name} lacks the columns {missing}; give corpora weights to mix "
                "them, which leaves such labels empty"
            )
    return {
        part: concatenate_datasets([found[part].select_columns(wanted) for found in splits if part in found])
        for part in ("train", "validation", "test")
        if any(part in found for found in splits)
    }


def load_extractor(phase: Phase, alignment: str) -> EEGFeatureExtractor:
    """Return the signal contract of the first corpus of a phase, as the others must have it."""
    return EEGFeatureExtractor.from_pretrained(phase.sources[0], alignment=alignment)


def load_matrices(phase: Phase, alignment: str) -> Mapping | None:
    """Return the whitening matrices of all people of a phase."""
    return load_alignments(*phase.sources) if alignment != "none" else None


def in_pairs(
    rows: Dataset, pairs: PairColumns, batch_size: int, subjects_per_time: int, guard: float
) -> Dataset:
    """Order validation windows so that each batch has positives and negatives, always the same ones."""
    windows = WindowDataset(rows, pairs.columns)
    sampler = PairSampler.from_windows(
        windows, pairs, batch_size, subjects_per_time=subjects_per_time, guard_seconds=guard
    )
    return rows.select(list(sampler))
