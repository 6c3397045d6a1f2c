# SPDX-License-Identifier: Apache-2.0
"""The windows of one phase: read, split by subject, refused where there are none to train on."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from datasets import Dataset, DatasetDict, concatenate_datasets
from transformers.utils import logging

from ..collation import SIGNAL_COLUMNS, PairColumns, WindowDataset
from ..corpora import (
    drop_unlabelled,
    load_alignments,
    load_windows,
    mixture,
    split_for_pretraining,
)
from ..processing.feature_extraction_eeg import EEGFeatureExtractor
from ..training import FINISHED, PairSampler, Phase, read_finished
from .split_arguments import SplitArguments

logger = logging.get_logger("eeg_hf.train_phases")

PHASE_COLUMNS = (*SIGNAL_COLUMNS, "channels", "corpus", "subject")


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
        wanted = [*dict.fromkeys([*PHASE_COLUMNS, *columns])]
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


def people_of(rows: Dataset) -> set[str]:
    """Return whose windows these are, as corpus/subject."""
    pairs = rows.select_columns(["corpus", "subject"]).with_format("arrow")[:]
    found = pairs.group_by(["corpus", "subject"]).aggregate([]).to_pylist()
    return {f"{row['corpus']}/{row['subject']}" for row in found}


def known_people(earlier: Path | None) -> set[str]:
    """Return whom weights were trained on, in the phase that left them and in those before it."""
    if earlier is None or not (earlier / FINISHED).is_file():
        return set()
    return set(read_finished(earlier)["people"])


def refuse_known_people(phase: Phase, parts: Mapping[str, Dataset], known: set[str]) -> None:
    """Refuse to test or to select epochs on people whom the weights were trained on.

    Not even without labels: a phase that told their age or their factors knows them.
    """
    for part in ("validation", "test"):
        shared = sorted(people_of(parts[part]) & known) if part in parts else []
        if shared:
            raise ValueError(
                f"phase {phase.name!r}: {len(shared)} people of its {part} part, such as {shared[0]}, were "
                "trained on in an earlier phase; give both the same split"
            )


def join(phase: Phase, splits: Sequence[DatasetDict], columns: Sequence[str]) -> dict[str, Dataset]:
    """Lay corpora one after another, part by part."""
    wanted = [*dict.fromkeys([*PHASE_COLUMNS, *columns])]
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


def check_contract(extractor: EEGFeatureExtractor, earlier: Path, name: str) -> None:
    """Refuse windows of another rate than those that the weights come from; warn of other differences."""
    if not (earlier / "preprocessor_config.json").is_file():
        return
    theirs, ours = EEGFeatureExtractor.from_pretrained(earlier).to_dict(), extractor.to_dict()
    if theirs["sampling_rate"] != ours["sampling_rate"]:
        raise ValueError(
            f"phase {name!r}: its windows have {ours['sampling_rate']:g} Hz, those of {earlier.name} had "
            f"{theirs['sampling_rate']:g} Hz; prepare them alike (eeg-hf prepare --sampling_rate)"
        )
    differing = [
        f"{setting} {theirs[setting]} then, {ours[setting]} now"
        for setting in ("highpass_hz", "lowpass_hz", "reference", "normalization", "clip", "alignment")
        if theirs[setting] != ours[setting]
    ]
    if differing:
        logger.warning(f"{name}: signals differ from those of {earlier.name}: {'; '.join(differing)}")


def load_matrices(phase: Phase, alignment: str) -> Mapping | None:
    """Return the whitening matrices of all people of a phase."""
    return load_alignments(*phase.sources) if alignment != "none" else None


def in_pairs(
    rows: Dataset,
    pairs: PairColumns,
    num_processes: int,
    batch_size: int,
    subjects_per_time: int,
    guard: float,
) -> tuple[Dataset | None, int]:
    """Order validation windows so that each batch has positives and negatives, always the same ones.

    Few people validate: where they do not fill a batch, the smallest that can hold a pair is taken.

    Returns:
        The windows and the batch size of a process; no windows where not even that can be filled.
    """
    windows = WindowDataset(rows, pairs.columns)
    smallest = max(2, 4 // num_processes)
    for size, people in ((batch_size, subjects_per_time), (smallest, 2)):
        try:
            sampler = PairSampler.from_windows(
                windows, pairs, size * num_processes, subjects_per_time=people, guard_seconds=guard
            )
        except ValueError as error:
            reason = error
        else:
            return rows.select(list(sampler)), size
    logger.warning(f"no evaluation: {reason}")
    return None, batch_size
