# SPDX-License-Identifier: Apache-2.0
"""The windows of one phase: loaded, split by subject, and checked against the earlier phases."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from datasets import Dataset, DatasetDict
from transformers import TrainingArguments
from transformers.utils import logging

from ...collation import SIGNAL_COLUMNS, PairColumns, WindowDataset
from ...corpora import drop_unlabelled, load_windows, mixture, split_for_pretraining
from ...corpora.windows.encoding import OPTIONAL_COLUMNS
from ...processing.feature_extraction_eeg import EEGFeatureExtractor
from ...training import FINISHED, PairSampler, Phase, read_finished
from ..joined_parts import join_parts
from ..split_arguments import SplitArguments

logger = logging.get_logger(__name__)

PHASE_COLUMNS = (*SIGNAL_COLUMNS, "channels", "corpus", "subject")


def load_parts(
    phase: Phase, columns: Sequence[str], split_args: SplitArguments, seed: int
) -> Mapping[str, Dataset]:
    """Return `train` and, where the split makes them, `validation` and `test`.

    Args:
        phase: The phase.
        columns: Columns to load beside those of every phase.
        split_args: How to split each corpus.
        seed: Seed of a mixture.

    Raises:
        ValueError: If there is no training window, or a phase with labels names several corpora.
    """
    parts: Mapping[str, Dataset]
    if not phase.is_pretraining:
        if len(phase.sources) != 1:
            raise ValueError(f"phase {phase.name!r}: expected one corpus with labels, got {phase.sources}")
        parts = split_args.apply(drop_unlabelled(load_windows(phase.sources[0]), str(phase.label_column)))[0]
    elif isinstance(phase.data, Mapping):
        parts = mixture(
            dict(phase.data),
            split=split_args.split,
            split_options=split_args.options,
            seed=seed,
            columns=[*dict.fromkeys([*PHASE_COLUMNS, *OPTIONAL_COLUMNS, *columns])],
        )
    else:
        splits = split_for_pretraining(phase.sources, split_args.split, **split_args.options)
        parts = join(phase, splits, columns)
    if not parts.get("train"):
        raise ValueError(f"phase {phase.name!r}: no window to train on in {', '.join(phase.sources)}")
    return parts


def join(phase: Phase, splits: Sequence[DatasetDict], columns: Sequence[str]) -> dict[str, Dataset]:
    """Concatenate corpora part by part."""
    wanted = [*dict.fromkeys([*PHASE_COLUMNS, *columns])]
    for name, found in zip(phase.sources, splits, strict=True):
        missing = sorted(set(wanted) - set(found["train"].column_names))
        if missing:
            raise ValueError(
                f"phase {phase.name!r}: {name} lacks the columns {missing}; give the corpora weights to mix "
                "them, which leaves such labels empty"
            )
    return join_parts(splits, wanted)


def list_subjects(rows: Dataset) -> set[str]:
    """Return the subjects of some windows, as corpus/subject."""
    table = rows.select_columns(["corpus", "subject"]).with_format("arrow")[:]
    pairs = table.group_by(["corpus", "subject"]).aggregate([]).to_pylist()
    return {f"{row['corpus']}/{row['subject']}" for row in pairs}


def read_known_subjects(earlier: Path | None) -> set[str]:
    """Return the subjects that weights were trained on, in their phase and those before it."""
    if earlier is None or not (earlier / FINISHED).is_file():
        return set()
    return set(read_finished(earlier)["people"])


def refuse_known_subjects(phase: Phase, parts: Mapping[str, Dataset], known: set[str]) -> None:
    """Refuse to test or to select epochs on subjects that the weights were trained on.

    This includes phases without labels: an auxiliary task may have predicted their age.
    """
    for part in ("validation", "test"):
        shared = sorted(list_subjects(parts[part]) & known) if part in parts else []
        if shared:
            raise ValueError(
                f"phase {phase.name!r}: {len(shared)} subjects of its {part} part, such as {shared[0]}, were "
                "trained on in an earlier phase; give both the same split"
            )


def check_contract(extractor: EEGFeatureExtractor, earlier: Path, name: str) -> None:
    """Refuse windows of another rate than those of the weights; warn of other differences."""
    if not (earlier / "preprocessor_config.json").is_file():
        return
    theirs, ours = EEGFeatureExtractor.from_pretrained(earlier).to_dict(), extractor.to_dict()
    if theirs["sampling_rate"] != ours["sampling_rate"]:
        raise ValueError(
            f"phase {name!r}: its windows have {ours['sampling_rate']:g} Hz, those of {earlier.name} had "
            f"{theirs['sampling_rate']:g} Hz; prepare them at one rate (eeg-hf prepare --sampling_rate)"
        )
    differing = [
        f"{setting} {theirs[setting]} then, {ours[setting]} now"
        for setting in ("highpass_hz", "lowpass_hz", "reference", "normalization", "clip", "alignment")
        if theirs[setting] != ours[setting]
    ]
    if differing:
        logger.warning(f"{name}: signals differ from those of {earlier.name}: {'; '.join(differing)}")


def order_in_pairs(
    rows: Dataset,
    pairs: PairColumns,
    training_args: TrainingArguments,
    subjects_per_time: int,
    guard_seconds: float,
) -> Dataset | None:
    """Order validation windows so that each batch has positives and negatives, the same in every evaluation.

    If there are too few validation subjects to fill a batch, the smallest batch that can hold a pair is used.

    Args:
        rows: The windows.
        pairs: Columns that decide which windows belong together.
        training_args: Their evaluation batch size is reduced where needed.
        subjects_per_time: Subjects at each moment.
        guard_seconds: Distance below which moments of a stimulus are neither positive nor negative.

    Returns:
        The windows; None if not even the smallest batch can be filled.
    """
    windows, num_processes = WindowDataset(rows, pairs.columns), training_args.world_size
    smallest = max(2, 4 // num_processes)
    for size, subjects in ((training_args.eval_batch_size, subjects_per_time), (smallest, 2)):
        try:
            sampler = PairSampler.from_windows(
                windows, pairs, size * num_processes, subjects_per_time=subjects, guard_seconds=guard_seconds
            )
        except ValueError as error:
            reason = error
        else:
            training_args.per_device_eval_batch_size = size
            return rows.select(list(sampler))
    logger.warning(f"no evaluation: {reason}")
    return None
