# SPDX-License-Identifier: Apache-2.0
"""THINGS-EEG2 in the published layout with few channels and samples, whose signal depends on the images.

    things = write_things(tmp_path / "data")      # data/eeg/sub-01/*.npy, image_metadata.npy, data/images/
    things.truth("01").ceiling(things.images("test").latents, repetitions=80)

Numbers of images and repetitions are those of the reader: 16,540 by 4 and 200 by 80. Images are real JPEGs of
shapes; all 200 of the test part, and of the training part those of the first concepts by name.
"""

import pickle
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from eeg_hf.corpora import SimulatedThings
from eeg_hf.corpora.simulated_things import ThingsTruth
from eeg_hf.processing.channels import STANDARD_19

NOISE_UV = 10.0  # of the simulated corpus, by which epochs are divided: whitened ones have order 1


@dataclass(frozen=True)
class WrittenThings:
    """A written tree and the simulated corpus behind it.

    Attributes:
        root: Folder of `eeg`, `images` and image_metadata.npy.
        channels: Electrodes that were kept.
        simulated: Its epochs and images; person "01" of the tree is "00" here.
    """

    root: Path
    channels: tuple[str, ...]
    simulated: SimulatedThings = field(repr=False)

    def truth(self, subject: str) -> ThingsTruth:
        """Return the response of a subject, in whitened units and the written channels."""
        whole = self.simulated.truth(f"{int(subject) - 1:02d}")
        kept = [STANDARD_19.index(name) for name in self.channels]
        covariance = whole.noise_covariance[np.ix_(kept, kept)] / NOISE_UV**2
        return ThingsTruth(whole.projection[:, kept] / NOISE_UV, covariance, whole.variability)

    def image_ids(self, part: str) -> list[str]:
        """Return the paths of the images of a part below the folder of images."""
        images, folder = (
            self.simulated.images(part),
            {"train": "training_images", "test": "test_images"}[part],
        )
        return [
            f"{folder}/{number}/{file}"
            for number, file in zip(numbered(images.concepts), images.files, strict=True)
        ]


def numbered(concepts: Sequence[str], first: int = 1) -> list[str]:
    """Prefix each concept with its number, as in the folders of THINGS."""
    numbers = {concept: number for number, concept in enumerate(dict.fromkeys(concepts), start=first)}
    return [f"{numbers[concept]:05d}_{concept}" for concept in concepts]


def write_things(
    root: Path,
    subjects: int = 1,
    channels: Sequence[str] = ("Pz", "O1", "O2"),
    num_times: int = 20,
    is_pickle: bool = False,
    image_concepts: int = 5,
    pixels: int = 32,
    parts: Sequence[str] = ("train", "test"),
    **options: float,
) -> WrittenThings:
    """Write the epochs of some subjects, their metadata, and images.

    Args:
        root: Where to.
        subjects: How many people, sub-01 and on.
        channels: Electrodes, of the 19 of the 10-20 system.
        num_times: Samples of an epoch at 100 Hz, or at 250 Hz.
        is_pickle: As others made them (NICE, ATM): a bare pickle by the name of .npy at 250 Hz, whose times
            begin 50 samples before its data; else an .npy with a dict at 100 Hz, as the authors did.
        image_concepts: Training concepts whose images are written, the first by name, as --n_classes takes
            them; 1654 for all, which takes half a minute.
        pixels: Length of an image's side.
        parts: Parts whose epochs are written.
        **options: Of [`SimulatedThings`], such as `snr`.
    """
    rate = 250.0 if is_pickle else 100.0
    given = {"num_concepts": 1654, "repetitions": 4, "num_test_concepts": 200, "test_repetitions": 80}
    simulated = SimulatedThings(
        **{"num_subjects": subjects, "seconds": num_times / rate, "sampling_rate": rate, **given, **options}
    )
    things = WrittenThings(root, tuple(channels), simulated)
    for subject in range(subjects):
        for part in parts:
            write_epochs(things, subject, part, is_pickle)
    write_metadata(things)
    for part, most in (("train", image_concepts), ("test", len(simulated.images("test").files))):
        images = simulated.images(part)
        wanted = sorted(set(images.concepts))[:most]
        for row, (concept, image_id) in enumerate(zip(images.concepts, things.image_ids(part), strict=True)):
            if concept not in wanted:
                continue
            path = root / "images" / image_id
            path.parent.mkdir(parents=True, exist_ok=True)
            images.draw(row, pixels).save(path, quality=95)
    return things


def write_epochs(things: WrittenThings, subject: int, part: str, is_pickle: bool) -> None:
    """Write the file of a subject and a part: (images, repetitions, channels, time) in half precision."""
    kept, rate = [STANDARD_19.index(name) for name in things.channels], things.simulated.sampling_rate
    found = [
        things.simulated.read(recording).get_data(copy=False)[:, kept] / (NOISE_UV * 1e-6)
        for recording in things.simulated.recordings()
        if int(recording.subject) == subject and recording.task.startswith(part)
    ]
    values = np.stack([epochs.astype(np.float16) for epochs in found], axis=1)
    before = 50 if is_pickle else 0
    times = (np.arange(before + values.shape[-1]) - (before or round(0.2 * rate))) / rate
    content = {"preprocessed_eeg_data": values, "ch_names": list(things.channels), "times": times}
    name = {"train": "preprocessed_eeg_training.npy", "test": "preprocessed_eeg_test.npy"}[part]
    path = things.root / "eeg" / f"sub-{subject + 1:02d}" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if is_pickle:
        path.write_bytes(pickle.dumps(content, protocol=4))
    else:
        np.save(path, content)


def write_metadata(things: WrittenThings) -> None:
    """Write image_metadata.npy; concepts of the test part have another number there than in THINGS."""
    train, test = (things.simulated.images(part) for part in ("train", "test"))
    content = {
        "train_img_concepts": numbered(train.concepts),
        "train_img_concepts_THINGS": numbered(train.concepts),
        "train_img_files": train.files,
        "test_img_concepts": numbered(test.concepts),
        "test_img_concepts_THINGS": numbered(test.concepts, first=1655),
        "test_img_files": test.files,
    }
    np.save(things.root / "image_metadata.npy", content)
