# SPDX-License-Identifier: Apache-2.0
"""Windows and the images that subjects saw: opened, compared with the options, and split."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset, DatasetDict
from torch.utils.data import DataLoader
from transformers.utils import logging

from ...collation import EEGDataCollator, WindowDataset
from ...corpora import drop_unlabelled, get_corpus, load_alignments, load_windows, prepare, split_windows
from ...images.image_embeddings import ImageEmbeddings
from ...images.image_folder import ImageFolder
from ...images.vision_towers import VisionTower, create_vision_tower, full_tower_name
from ...processing.feature_extraction_eeg import EEGFeatureExtractor
from ...processing.filtering import design_band_pass, design_notch, window_filter
from .arguments import PARTS, PairArguments

logger = logging.get_logger(__name__)

FORMER_FS = 500.0  # Hz, the default of the published script: who copies its command has not chosen it

Images = ImageEmbeddings | ImageFolder


def open_windows(args: PairArguments) -> tuple[Dataset, Path]:
    """Return the windows that have an image, and the folder of the prepared corpus.

    A folder with THINGS-EEG2 as published is prepared first, into its subfolder `prepared`.

    Raises:
        FileNotFoundError: If there is neither a prepared corpus nor a published one.
        ValueError: If no window names its image, or the options do not fit the files.
    """
    folder = Path(args.data)
    if any(folder.rglob("preprocessed_eeg_*.npy")):
        folder = folder / "prepared"
        if not (folder / "README.md").exists():
            prepare_published(Path(args.data), folder)
    dataset = load_windows(folder)
    if "image" not in dataset.column_names:
        raise ValueError(
            f"data: the windows of {folder} have no column 'image' that names the image seen: prepare a "
            "corpus of subjects who look at images, such as things_eeg2"
        )
    dataset = drop_unlabelled(dataset, "image")
    if args.subjects:
        dataset = select_subjects(dataset, args.subjects)
    check_signals(args, dataset, EEGFeatureExtractor.from_pretrained(folder))
    return dataset, folder


def prepare_published(root: Path, folder: Path) -> None:
    """Make windows of the published epochs of THINGS-EEG2 without changing their signals.

    Raises:
        ValueError: If a file cannot be read, or image_metadata.npy, which names the images, is missing.
    """
    corpus = get_corpus("things_eeg2", average_repetitions=True)
    first = corpus.recordings(root)[0]
    epochs = corpus.read(first)
    if corpus.events(first, epochs)[0].labels["image"] is None:
        raise ValueError(f"data: no image_metadata.npy below {root}: put it there, it names the images")
    rate = float(epochs.info["sfreq"])
    extractor = EEGFeatureExtractor(
        sampling_rate=rate,
        highpass_hz=None,
        lowpass_hz=None,
        reference="original",
        window_seconds=len(epochs.times) / rate,
    )
    logger.warning(f"{root} holds published epochs: they become windows in {folder}, once")
    failures = prepare(corpus, folder, extractor, root=root, segments="events")["failures"]
    if failures:
        (folder / "README.md").unlink()  # finished shards stay, and the next start tries the rest again
        raise ValueError(
            f"data: {len(failures)} recordings cannot be read, the first {failures[0]['path']} "
            f"({failures[0]['reason']}): replace these files or remove them"
        )


def check_signals(args: PairArguments, dataset: Dataset, extractor: EEGFeatureExtractor) -> None:
    """Refuse a length, a rate or filters that the files cannot have."""
    rate, length = extractor.sampling_rate, dataset[0]["num_samples"]
    if args.eeg_len not in (0, length):
        raise ValueError(
            f"eeg_len: windows have {length} samples, got {args.eeg_len}: use --eeg_len {length}, or 0 for "
            "any length, or prepare windows of another length"
        )
    expected = args.expected_filters()
    if expected.get("notch_hz", 0.0) >= rate / 2:
        edge = expected.pop("notch_hz")
        logger.warning(f"notch: nothing to filter, files of {rate:g} Hz hold nothing at {edge:g} Hz")
    for edge in expected.values():
        if edge >= rate / 2:
            raise ValueError(
                f"bandpass: {edge:g} Hz is not below {rate / 2:g} Hz, half the rate of the files"
            )
    if args.fs == FORMER_FS != rate:
        logger.warning(f"fs: expected {args.fs:g} Hz, the files have {rate:g} Hz, which is used")
    elif args.fs not in (None, rate):
        raise ValueError(
            f"fs: the files have {rate:g} Hz, got {args.fs:g}: leave --fs out, or correct the files"
        )
    narrower = [
        f"{name} {found:g}"
        for name, sign in (("highpass_hz", 1), ("lowpass_hz", -1))
        if name in expected
        and (found := getattr(extractor, name)) is not None
        and sign * found > sign * expected[name]
    ]
    if narrower:
        raise ValueError(
            f"bandpass: the windows were prepared with {', '.join(narrower)} Hz and hold no more: leave "
            "--bandpass out, or prepare them with these edges"
        )


def extractor_for(args: PairArguments, prepared: EEGFeatureExtractor, **changes: Any) -> EEGFeatureExtractor:
    """Return the extractor of windows with the filters that the options ask for."""
    edges = {
        name: edge for name, edge in args.expected_filters().items() if 0 < edge < prepared.sampling_rate / 2
    }
    made = EEGFeatureExtractor.from_dict({**prepared.to_dict(), **edges, **changes})
    assert isinstance(made, EEGFeatureExtractor)  # a tuple only with return_unused_kwargs
    return made


def filter_for(wanted: EEGFeatureExtractor, prepared: EEGFeatureExtractor, length: int) -> np.ndarray | None:
    """Return the filter that windows lack as they were prepared, `None` if they have it.

    Args:
        wanted: The extractor of the model.
        prepared: That of the windows.
        length: Their number of samples.
    """
    edges = [
        edge if edge is not None and (found is None or sign * found < sign * edge) else None
        for edge, found, sign in (
            (wanted.highpass_hz, prepared.highpass_hz, 1),
            (wanted.lowpass_hz, prepared.lowpass_hz, -1),
        )
    ]
    rate, notch = prepared.sampling_rate, wanted.notch_hz
    filters = [design_band_pass(rate, *edges)] if any(edges) else []
    if isinstance(notch, float) and notch != prepared.notch_hz:
        filters.append(design_notch(rate, [notch * n for n in range(1, 10) if notch * n < rate / 2 - 1]))
    if not filters:
        return None
    seconds = length / rate
    logger.warning(
        f"bandpass, notch: not yet applied {wanted.highpass_hz}, {wanted.lowpass_hz} and {notch} Hz; "
        f"windows of {seconds:g} s are filtered as if they went on mirrored at their ends, which leaves "
        f"what is below {0.5 / seconds:.2g} Hz to the mean; eeg-hf prepare filters whole recordings"
    )
    return window_filter(rate, length, filters)


def split_pairs(args: PairArguments, dataset: Dataset) -> DatasetDict:
    """Split windows into `train`, `validation` and `test`, and refuse leaks.

    A split by concept uses the corpus's column `part` where it has one; validation concepts then come from
    training.

    Raises:
        ValueError: If the split does not exist, or there are too few concepts.
        LeakError: If parts share the values they are split by.
    """
    is_marked = "part" in dataset.column_names
    if args.split is None:  # kept, so that an export splits in the same way
        args.split = default_split(dataset)
        has_other = is_marked and args.split != "concept"
        other = ": the corpus has a split by concept, which --split concept takes" if has_other else ""
        logger.warning(f"split: {args.split}, as nothing else was asked for{other}")
    method = args.split
    if method == "concept":
        method = "official" if is_marked else "column:concept"
    dataset = keep_concepts(args, dataset, is_marked)
    splits = split_windows(dataset, method, num_validation_subjects=1, seed=args.split_seed)
    missing = sorted(set(PARTS) - set(splits))
    if missing:
        raise ValueError(
            f"split {args.split!r} has no {missing} part: choose concept, subject or leave_out:08"
        )
    return splits


def default_split(dataset: Dataset) -> str:
    """Return the split by subject where every part can have one, and otherwise by concept."""
    return "subject" if len(set(dataset["subject"][:])) >= len(PARTS) else "concept"


def keep_concepts(args: PairArguments, dataset: Dataset, is_marked: bool) -> Dataset:
    """Keep the first `n_classes` training concepts by name, and all test concepts."""
    concepts = np.array(dataset["concept"], dtype=str)
    is_trained = np.array(dataset["part"]) == "train" if is_marked else np.ones(len(dataset), bool)
    names = np.unique(concepts[is_trained])
    if len(names) < 2:
        raise ValueError(
            f"expected two or more concepts to train on, got {len(names)}: {', '.join(names) or 'none'}"
        )
    wanted = len(names) if args.n_classes is None else args.n_classes
    if not 2 <= wanted <= len(names):
        raise ValueError(f"n_classes: expected 2 to {len(names)} concepts, got {wanted}")
    return dataset.select(np.flatnonzero(~is_trained | np.isin(concepts, names[:wanted])))


def select_subjects(dataset: Dataset, subjects: Sequence[str]) -> Dataset:
    """Return the rows of some subjects.

    Raises:
        ValueError: If a subject has no row.
    """
    found = np.array(dataset["subject"][:])
    missing = sorted(set(subjects) - set(found.tolist()))
    if missing:
        known = sorted(set(found.tolist()))[:10]
        raise ValueError(f"subjects: no window of {', '.join(missing)}, expected some of {', '.join(known)}")
    return dataset.select(np.flatnonzero(np.isin(found, subjects)))


def read_windows(
    rows: Dataset, extractor: EEGFeatureExtractor, folder: Path, batch_size: int
) -> Iterator[dict[str, torch.Tensor]]:
    """Yield normalised windows in order, as batches of [`EEGDataCollator`].

    Raises:
        ValueError: If the extractor is for another sampling rate.
    """
    rates = set(rows["sampling_rate"][:])  # unique() would copy all signals of selected rows
    if rates != {extractor.sampling_rate}:
        raise ValueError(
            f"the model was trained at {extractor.sampling_rate:g} Hz, the windows have {sorted(rates)}: "
            "prepare them at that rate"
        )
    lacking = filter_for(extractor, EEGFeatureExtractor.from_pretrained(folder), rows[0]["num_samples"])
    collator = EEGDataCollator(extractor, alignments=alignments_for(extractor, folder), window_filter=lacking)
    yield from DataLoader(WindowDataset(rows), batch_size=batch_size, collate_fn=collator)


def alignments_for(extractor: EEGFeatureExtractor, folder: Path) -> dict[str, np.ndarray] | None:
    """Return the whitening matrices of a prepared corpus if the extractor aligns windows."""
    return load_alignments(folder) if extractor.alignment != "none" else None


def open_images(
    args: PairArguments, vision_encoder: str, freeze_vision: bool
) -> tuple[Images, VisionTower | None]:
    """Return the embeddings of the images, or the images and the tower that reads them.

    Raises:
        ValueError: If the embeddings come from another tower, or the tower is to be trained.
    """
    if args.image_embeddings is None:
        tower = create_vision_tower(vision_encoder)
        folder = ImageFolder(args.images or Path(args.data) / "images", tower.preprocess)
        if freeze_vision:
            logger.warning(
                "the frozen tower embeds each image on every access: eeg-hf embed-images does it once"
            )
        return folder, tower
    found = ImageEmbeddings.load(args.image_embeddings)
    if not freeze_vision:
        raise ValueError("freeze_vision false: a tower is trained on images, leave --image_embeddings out")
    if not found.tower.startswith("features:") and found.tower != full_tower_name(vision_encoder):
        raise ValueError(
            f"image_embeddings: made by {found.tower}, expected {full_tower_name(vision_encoder)}: use "
            f"--vision_encoder {found.tower}, or embed the images again"
        )
    return found, None


class ShuffledImages:
    """Images of which each is replaced by another one of its part: the control of a training.

    All windows of an image get the same wrong image, and every image is used, so that nothing else changes.

    Args:
        images: The true images.
        parts: Indices of the images of each part's windows; images are never exchanged between parts.
        seed: Seed of the permutation.
    """

    def __init__(self, images: Images, parts: Sequence[np.ndarray], seed: int) -> None:
        self.images = images
        self.index = images.index
        self.replacements = np.arange(len(images.index.image_ids))
        rng = np.random.default_rng(seed)
        for places in parts:
            order = rng.permutation(np.unique(places))
            self.replacements[order] = np.roll(order, 1)  # a cycle: no image keeps its place
        logger.warning("shuffle_pairs: images are paired at random, this model is a control")

    def read(self, places: Sequence[int] | np.ndarray) -> dict[str, torch.Tensor]:
        """Return the replacements of some images."""
        return self.images.read(self.replacements[np.asarray(places)])
