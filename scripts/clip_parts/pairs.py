# SPDX-License-Identifier: Apache-2.0
"""Windows and the images that people saw: opened, checked against what was asked for, and split."""

from pathlib import Path

import numpy as np
from datasets import Dataset, DatasetDict
from transformers.utils import logging

from eeg_hf import EEGFeatureExtractor, ImageEmbeddings, create_vision_tower, get_corpus
from eeg_hf.corpora import drop_unlabelled, load_windows, prepare, split_windows
from eeg_hf.image_folder import ImageFolder
from eeg_hf.vision_towers import VisionTower, full_tower_name

from .arguments import PairArguments

logger = logging.get_logger("eeg_hf.train_clip")


def open_windows(args: PairArguments) -> tuple[Dataset, Path]:
    """Return the windows of images, and the folder of the prepared corpus.

    A folder with THINGS-EEG2 as published is prepared first, into its subfolder `prepared`.

    Raises:
        FileNotFoundError: If there is neither a prepared corpus nor a published one.
        ValueError: If no window says its image, or what was asked for does not fit the files.
    """
    folder = Path(args.data_root)
    if any(folder.rglob("preprocessed_eeg_*.npy")):
        folder = folder / "prepared"
        if not (folder / "README.md").exists():
            prepare_published(Path(args.data_root), folder)
    dataset = drop_unlabelled(load_windows(folder), "image")
    if args.subjects:
        dataset = select(dataset, "subject", args.subjects)
    check_signals(args, dataset, EEGFeatureExtractor.from_pretrained(folder))
    return dataset, folder


def prepare_published(root: Path, folder: Path) -> None:
    """Make windows of the published epochs of THINGS-EEG2, as they are."""
    corpus = get_corpus("things_eeg2", average_repetitions=True)
    epochs = corpus.read(corpus.recordings(root)[0])
    rate = float(epochs.info["sfreq"])
    extractor = EEGFeatureExtractor(
        sampling_rate=rate,
        highpass_hz=None,
        lowpass_hz=None,
        reference="original",
        window_seconds=len(epochs.times) / rate,
    )
    logger.warning(f"{root} is as published: its epochs become windows in {folder}, once")
    prepare(corpus, root, folder, extractor, segments="events")


def check_signals(args: PairArguments, dataset: Dataset, extractor: EEGFeatureExtractor) -> None:
    """Refuse a length or filters that the files cannot have; say where they have others than asked for."""
    rate, length = extractor.sampling_rate, dataset[0]["num_samples"]
    if args.eeg_len not in (0, length):
        raise ValueError(
            f"eeg_len: windows have {length} samples, got {args.eeg_len}: say --eeg_len {length}, or 0 for "
            "whatever there is, or prepare windows of another length"
        )
    for name, edges in (("bandpass", args.bandpass), ("notch", [args.notch] if args.notch else [])):
        beyond = [edge for edge in edges if edge >= rate / 2]
        if beyond:
            raise ValueError(
                f"{name}: {beyond[0]:g} Hz is not below {rate / 2:g} Hz, half the rate of the files "
                f"({rate:g} Hz), above which they hold nothing"
            )
    if len(args.bandpass) != 2 or not 0 <= args.bandpass[0] < args.bandpass[1]:
        raise ValueError(f"bandpass: expected two edges in Hz, the lower first, got {args.bandpass}")
    if args.fs != rate:
        logger.warning(f"fs: {args.fs:g} Hz was said, the files say {rate:g} Hz, which is taken")
    asked = (*args.bandpass, args.notch)
    there = (extractor.highpass_hz, extractor.lowpass_hz, extractor.notch_hz)
    if asked != there:
        logger.warning(
            f"filters: windows stay as prepared (high-pass, low-pass, notch: {there}), not {asked}: "
            "filtering what is a second long would leave edges longer than it"
        )


def split_pairs(args: PairArguments, dataset: Dataset) -> DatasetDict:
    """Split windows into `train`, `validation` and `test`, and refuse what leaks.

    By concept means as the corpus's column `part` says, where it has one: validation concepts are then taken
    from training.

    Raises:
        ValueError: If there is no such split, or too few concepts.
        LeakError: If parts share what they are split by.
    """
    is_marked = "part" in dataset.column_names
    method = args.split
    if method == "concept":
        method = "official" if is_marked else "column:concept"
    dataset = keep_concepts(args, dataset, is_marked)
    splits = split_windows(dataset, method, num_validation_subjects=1, seed=args.split_seed)
    missing = sorted({"train", "validation", "test"} - set(splits))
    if missing:
        raise ValueError(
            f"split {args.split!r} has no {missing} part: choose concept, subject or leave_out:08"
        )
    return splits


def keep_concepts(args: PairArguments, dataset: Dataset, is_marked: bool) -> Dataset:
    """Leave as many concepts to train on as were asked for, the first by name, and all to test on."""
    concepts = np.array(dataset["concept"], dtype=str)
    is_learned = np.array(dataset["part"]) == "train" if is_marked else np.ones(len(dataset), bool)
    names = np.unique(concepts[is_learned])
    wanted = len(names) if args.n_classes is None else args.n_classes
    if not 2 <= wanted <= len(names):
        raise ValueError(
            f"n_classes: expected 2 to {len(names)} concepts, got {wanted}: with one there is nothing to "
            "tell apart"
        )
    return dataset.select(np.flatnonzero(~is_learned | np.isin(concepts, names[:wanted])))


def select(dataset: Dataset, column: str, values: list[str]) -> Dataset:
    """Return the rows that have one of some values in a column.

    Raises:
        ValueError: If a value is in no row.
    """
    found = np.array(dataset[column])
    missing = sorted(set(values) - set(found.tolist()))
    if missing:
        raise ValueError(
            f"{column}: no window of {missing}, expected some of {sorted(set(found.tolist()))[:10]}"
        )
    return dataset.select(np.flatnonzero(np.isin(found, values)))


def open_images(
    args: PairArguments, vision_encoder: str, freeze_vision: bool
) -> tuple[ImageEmbeddings | ImageFolder, VisionTower | None]:
    """Return embeddings of the images, or the images and the tower that their pixels are for.

    Raises:
        ValueError: If the embeddings are of another tower, or the tower is to be trained by them.
    """
    if args.image_embeddings is None:
        tower = create_vision_tower(vision_encoder)
        images = ImageFolder(args.images or Path(args.data_root) / "images", tower.preprocess)
        if freeze_vision:
            logger.warning(
                "the frozen tower embeds images anew whenever they are seen: embed_images.py saves it"
            )
        return images, tower
    found = ImageEmbeddings.load(args.image_embeddings)
    if not freeze_vision:
        raise ValueError("freeze_vision false: a tower is trained by images, leave --image_embeddings out")
    if not found.tower.startswith("features:") and found.tower != full_tower_name(vision_encoder):
        raise ValueError(
            f"image_embeddings: made by {found.tower}, expected {full_tower_name(vision_encoder)}: say "
            f"--vision_encoder {found.tower}, or embed the images again"
        )
    return found, None


__all__ = ["open_images", "open_windows", "split_pairs"]
