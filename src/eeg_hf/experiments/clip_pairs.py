# SPDX-License-Identifier: Apache-2.0
"""Windows and the images that people saw: opened, checked against what was asked for, and split."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from datasets import Dataset, DatasetDict
from torch.utils.data import DataLoader
from transformers.utils import logging

from ..collation import EEGDataCollator, WindowDataset
from ..corpora import drop_unlabelled, get_corpus, load_alignments, load_windows, prepare, split_windows
from ..images.image_embeddings import ImageEmbeddings
from ..images.image_folder import ImageFolder
from ..images.vision_towers import VisionTower, create_vision_tower, full_tower_name
from ..processing.feature_extraction_eeg import EEGFeatureExtractor
from .clip_arguments import RATE_UNSAID, PairArguments

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
    dataset = load_windows(folder)
    if "image" not in dataset.column_names:
        raise ValueError(
            f"data_root: windows of {folder} do not say which image was seen, they have no column 'image': "
            "prepare a corpus of people who look at images, such as things_eeg2"
        )
    dataset = drop_unlabelled(dataset, "image")
    if args.subjects:
        dataset = select(dataset, "subject", args.subjects)
    check_signals(args, dataset, EEGFeatureExtractor.from_pretrained(folder))
    return dataset, folder


def prepare_published(root: Path, folder: Path) -> None:
    """Make windows of the published epochs of THINGS-EEG2, as they are.

    Raises:
        ValueError: If a file cannot be read, or no image_metadata.npy says which images were seen.
    """
    corpus = get_corpus("things_eeg2", average_repetitions=True)
    first = corpus.recordings(root)[0]
    epochs = corpus.read(first)
    if corpus.events(first, epochs)[0].labels["image"] is None:
        raise ValueError(f"data_root: no image_metadata.npy below {root}: put it there, it names the images")
    rate = float(epochs.info["sfreq"])
    extractor = EEGFeatureExtractor(
        sampling_rate=rate,
        highpass_hz=None,
        lowpass_hz=None,
        reference="original",
        window_seconds=len(epochs.times) / rate,
    )
    logger.warning(f"{root} is as published: its epochs become windows in {folder}, once")
    failures = prepare(corpus, folder, extractor, root=root, segments="events")["failures"]
    if failures:
        (folder / "README.md").unlink()  # what is done is kept, and the next start tries the rest again
        raise ValueError(
            f"data_root: {len(failures)} recordings cannot be read, the first "
            f"{failures[0]['path']} ({failures[0]['reason']}): mend these files or take them away"
        )


def check_signals(args: PairArguments, dataset: Dataset, extractor: EEGFeatureExtractor) -> None:
    """Refuse a length or filters that the files cannot have; say where they have others than asked for."""
    rate, length = extractor.sampling_rate, dataset[0]["num_samples"]
    if args.eeg_len not in (0, length):
        raise ValueError(
            f"eeg_len: windows have {length} samples, got {args.eeg_len}: say --eeg_len {length}, or 0 for "
            "whatever there is, or prepare windows of another length"
        )
    asked = args.asked_filters()
    for name, edge in asked.items():
        if edge >= rate / 2:
            option = "notch" if name == "notch_hz" else "bandpass"
            raise ValueError(
                f"{option}: {edge:g} Hz is not below {rate / 2:g} Hz, half the rate of the files "
                f"({rate:g} Hz), above which they hold nothing"
            )
    if args.fs is not RATE_UNSAID and args.fs != rate:
        logger.warning(f"fs: {args.fs:g} Hz was said, the files say {rate:g} Hz, which is taken")
    there = {name: getattr(extractor, name) for name in asked}
    if asked != there:
        logger.warning(
            f"filters: windows stay as prepared, {there}, not {asked} as was said: filtering what is a "
            "second long would leave edges longer than it; prepare.py filters recordings"
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
    if len(names) < 2:
        raise ValueError(
            f"expected two or more concepts to train on, got {len(names)}: {', '.join(names) or 'none'}"
        )
    wanted = len(names) if args.n_classes is None else args.n_classes
    if not 2 <= wanted <= len(names):
        raise ValueError(f"n_classes: expected 2 to {len(names)} concepts, got {wanted}")
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


def read_windows(
    rows: Dataset, extractor: EEGFeatureExtractor, folder: Path, batch_size: int
) -> Iterator[dict[str, torch.Tensor]]:
    """Yield normalised windows in order, some at a time, as [`EEGDataCollator`] returns them.

    Raises:
        ValueError: If the extractor is for another rate.
    """
    rates = set(rows["sampling_rate"][:])  # not unique(), which copies all signals of selected rows
    if rates != {extractor.sampling_rate}:
        raise ValueError(
            f"the model was trained at {extractor.sampling_rate:g} Hz, the windows have {sorted(rates)}: "
            "prepare them at that rate"
        )
    collator = EEGDataCollator(extractor, alignments=alignments_for(extractor, folder))
    yield from DataLoader(WindowDataset(rows), batch_size=batch_size, collate_fn=collator)


def alignments_for(extractor: EEGFeatureExtractor, folder: Path) -> dict[str, np.ndarray] | None:
    """Return the whitening matrices of the prepared corpus, where windows are aligned by them."""
    return load_alignments(folder) if extractor.alignment != "none" else None


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


class ShuffledImages:
    """Images each of which stands for another one of its part: the control of a training.

    All windows of an image get the same wrong image, and every image is used, so nothing else changes.

    Args:
        images: The true ones.
        parts: Places of the images of each part's windows; no image is exchanged between parts.
        seed: Of the permutation.
    """

    def __init__(self, images: ImageEmbeddings | ImageFolder, parts: Sequence[np.ndarray], seed: int) -> None:
        self.images = images
        self.index = images.index
        self.stands_for = np.arange(len(images.index.image_ids))
        rng = np.random.default_rng(seed)
        for places in parts:
            order = rng.permutation(np.unique(places))
            self.stands_for[order] = np.roll(order, 1)  # none stays where it is
        logger.warning("shuffle_pairs: images are paired at random, this is a control and no model")

    def read(self, places: Sequence[int] | np.ndarray) -> dict[str, torch.Tensor]:
        """Return what the images that stand for others are."""
        return self.images.read(self.stands_for[np.asarray(places)])


__all__ = ["ShuffledImages", "alignments_for", "open_images", "open_windows", "read_windows", "split_pairs"]
