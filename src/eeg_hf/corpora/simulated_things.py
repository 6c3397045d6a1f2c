# SPDX-License-Identifier: Apache-2.0
"""A simulated corpus of subjects who look at pictures of shapes, with a known ceiling of retrieval.

For tests of models that align EEG with images. An image shows one shape of one colour and is described by its
latent, 8 numbers of unit variance. A concept is a shape, a hue and a place; its images differ in size. An
epoch is a noisy response to the latent, projected to electrodes and time:

    epoch = sum_k (latent_k + variability * random_k) * projection_k + noise

The noise is that of the electrodes, white in time. A decoder that knows the projection can average it away
over electrodes and samples; `variability` is in the response itself, and only repetitions reduce it.

Each number of the latent evokes one bump in time with a pattern over the head; a share of the pattern is
specific to the subject. With a known projection the best decoder has a closed form, and its retrieval
accuracy is the ceiling of any model (`ThingsTruth.ceiling`).

As in THINGS-EEG2, the recordings are epochs, split by concept into training and test: filters and the average
reference must be off (recipe prepare_simulated_things).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import hypergeom

from ..processing.channels import STANDARD_19
from .corpus import Event, Label, Recording
from .drawn_images import COLOURS, NUM_LATENTS, SHAPES, DrawnImages
from .simulated_corpus import SimulatedCorpus, background_mixing
from .things_eeg2 import ThingsEEG2

if TYPE_CHECKING:
    import mne

_NOISE_UV = 10.0
_PARTS: tuple[str, ...] = ("train", "test")
_FOLDERS = {"train": "training_images", "test": "test_images"}
_ALL = 1 << 20  # beyond any subject's number: seed of what all subjects share


@dataclass(frozen=True)
class ThingsTruth:
    """Response of a simulated subject to images.

    Attributes:
        projection: Response to each number of the latent, (8, channels, time) in microvolt.
        noise_covariance: Of the electrodes, (channels, channels) in squared microvolt; white in time.
        variability: Standard deviation of the response around the latent, between repetitions.
    """

    projection: np.ndarray
    noise_covariance: np.ndarray
    variability: float = 0.0

    @cached_property
    def filters(self) -> np.ndarray:
        """The matched filter of each number of the latent, (8, channels, time)."""
        filters = np.einsum("cd,kdt->kct", np.linalg.inv(self.noise_covariance), self.projection)
        # Inverse covariance of electrode noise and variability together, by Woodbury's identity
        of_noise = np.einsum("kct,lct->kl", filters, self.projection)
        damped = np.linalg.inv(np.eye(NUM_LATENTS) + self.variability**2 * of_noise)
        return np.einsum("kl,lct->kct", damped, filters)

    @cached_property
    def information(self) -> np.ndarray:
        """Fisher information of one epoch about the latent, (8, 8)."""
        return np.einsum("kct,lct->kl", self.filters, self.projection)

    def decode(self, epochs_uv: np.ndarray, repetitions: int = 1) -> np.ndarray:
        """Return the posterior mean of the latents (epochs, 8), with a normal prior.

        Args:
            epochs_uv: (epochs, channels, time) in microvolt, each the mean of some repetitions.
            repetitions: Number of repetitions in each mean.
        """
        matched = repetitions * np.einsum("kct,nct->nk", self.filters, epochs_uv)
        return np.linalg.solve(repetitions * self.information + np.eye(NUM_LATENTS), matched.T).T

    def log_likelihoods(self, epochs_uv: np.ndarray, latents: np.ndarray, repetitions: int = 1) -> np.ndarray:
        """Return the log-likelihood of each image, (epochs, images), the best possible ranking.

        Args:
            epochs_uv: As in `decode`.
            latents: Latents of the images, (images, 8).
            repetitions: As in `decode`.
        """
        matched = np.einsum("kct,nct->nk", self.filters, epochs_uv)
        return repetitions * self._likelihoods(matched, latents)

    def ceiling(
        self,
        latents: np.ndarray,
        repetitions: int = 1,
        ks: tuple[int, ...] = (1, 5),
        n_way: int | None = None,
        num_draws: int = 100,
        seed: int = 0,
    ) -> dict[int, float]:
        """Return the top-K retrieval accuracy of the best decoder.

        The noise is drawn; the choice of distractors is averaged in closed form.

        Args:
            latents: Latents of the gallery, (images, 8); each image is seen equally often.
            repetitions: Number of epochs of an image that are averaged.
            ks: Values of K.
            n_way: Number of images to choose from, drawn from the gallery; all of it by default.
            num_draws: Number of noise draws for each image.
            seed: Seed of the noise.

        Returns:
            K -> accuracy, 0 to 1.
        """
        random, num, spread = np.random.default_rng(seed), len(latents), self.information / repetitions
        hits = dict.fromkeys(ks, 0.0)
        for _ in range(num_draws):
            noise = random.multivariate_normal(np.zeros(NUM_LATENTS), spread, num, method="eigh")
            scores = self._likelihoods(latents @ self.information + noise, latents)  # (seen, candidates)
            own = np.diag(scores)[:, None]
            better = (scores > own).sum(axis=1) + random.integers((scores == own).sum(axis=1))
            for k in ks:
                hits[k] += hypergeom.cdf(k - 1, num - 1, better, (n_way or num) - 1).mean() / num_draws
        return {k: float(share) for k, share in hits.items()}

    def _likelihoods(self, matched: np.ndarray, latents: np.ndarray) -> np.ndarray:
        energy = np.einsum("nk,kl,nl->n", latents, self.information, latents)
        return np.asarray(matched @ latents.T - energy / 2)


@dataclass(eq=False)
class SimulatedThings(SimulatedCorpus):
    """Subjects look at pictures of shapes; the epochs are the same at each reading.

    A recording is one repetition of all images of a part, an epoch is one image. Labels are those of
    [`ThingsEEG2`]; `part` is by concept.

    Args:
        num_subjects: Number of subjects; subject n is the same whatever this number.
        num_concepts: Number of concepts in the training part.
        images_per_concept: Number of training images per concept.
        repetitions: Number of repetitions of each training image.
        num_test_concepts: Number of concepts in the test part, with one image each.
        test_repetitions: Number of repetitions of each test image.
        average_repetitions: Average the repetitions of each test image.
        snr: Power of the response to the latent over that of the noise, over all channels and samples.
        variability: Standard deviation of the response to a latent, in units of that between images.
        subject_share: Share of the patterns over the head that is specific to the subject, 0 to 1.
        seconds: Length of an epoch.
        seed: Seed of the subjects and images.
        sampling_rate: In Hz.

    Example:
        >>> corpus = SimulatedThings(num_subjects=2, num_concepts=5, num_test_concepts=20)
        >>> recording = corpus.recordings()[-1]
        >>> recording.task, corpus.read(recording).get_data().shape
        ('train_03', (50, 19, 100))
        >>> corpus.images("test").concepts[0], corpus.images("test").latents.shape
        ('cyan_star_0006', (20, 8))
    """

    name = "simulated_things"
    title = "Simulated EEG of subjects who look at shapes"
    label_names = ThingsEEG2.label_names
    official_split = None
    official_split_column = "part"
    official_split_by = "concept"

    num_subjects: int = 2
    num_concepts: int = 100
    images_per_concept: int = 10
    repetitions: int = 4
    num_test_concepts: int = 200
    test_repetitions: int = 20
    average_repetitions: bool = False
    snr: float = 0.2
    variability: float = 0.7
    subject_share: float = 0.3
    seconds: float = 1.0
    seed: int = 0
    sampling_rate: float = 100.0

    def __post_init__(self) -> None:
        super().__post_init__()
        counts = (
            "num_concepts",
            "images_per_concept",
            "repetitions",
            "num_test_concepts",
            "test_repetitions",
        )
        for name in counts:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be 1 or more, got {getattr(self, name)}")
        if min(self.snr, self.variability) < 0 or not 0 <= self.subject_share <= 1:
            raise ValueError(
                f"expected snr and variability >= 0 and subject_share 0 to 1, got {self.snr}, "
                f"{self.variability} and {self.subject_share}"
            )

    def _find_recordings(self, root: Path) -> Iterator[Recording]:
        """List a recording for each subject, part and repetition."""
        names = [f"train_{number:02d}" for number in range(self.repetitions)]
        averaged = self.average_repetitions
        names += ["test_mean"] if averaged else [f"test_{n:02d}" for n in range(self.test_repetitions)]
        empty: dict[str, Label] = dict.fromkeys(self.label_names)
        for number in range(self.num_subjects):
            for run, name in enumerate(sorted(names)):
                labels = {**empty, "part": name.partition("_")[0]}
                yield self._recording(root, number, run, name, labels)

    def images(self, part: str) -> DrawnImages:
        """Return the images of a part in the order of their epochs.

        Args:
            part: `"train"` or `"test"`.

        Raises:
            ValueError: If there is no such part.
        """
        if part not in _PARTS:
            raise ValueError(f"part: expected train or test, got {part!r}")
        first, count, each = 1, self.num_concepts, self.images_per_concept
        if part == "test":
            first, count, each = 1 + self.num_concepts, self.num_test_concepts, 1
        numbers = range(first, first + count)
        drawn = [self._concept(number) for number in numbers]
        shape, hue, x, y = (np.repeat(column, each) for column in zip(*drawn, strict=True))
        size = [np.random.default_rng([self.seed, _ALL + 2, number]).random(each) for number in numbers]
        concepts = [
            f"{COLOURS[round(6 * hue) % 6]}_{SHAPES[shape]}_{number:04d}"
            for number, (shape, hue, _, _) in zip(numbers, drawn, strict=True)
        ]
        return DrawnImages(
            concepts=[concept for concept in concepts for _ in range(each)],
            concept_index=np.repeat(numbers, each),
            files=[f"{concept}_{number:02d}.jpg" for concept in concepts for number in range(1, each + 1)],
            shape=shape.astype(int),
            hue=hue,
            place=np.stack([x, y], axis=1),
            size=np.concatenate(size),
        )

    def write_images(self, root: Path | str, pixels: int = 64) -> Path:
        """Draw all images into a folder with the layout of THINGS-EEG2.

        Args:
            root: Folder that gets `training_images/00001_red_circle_0001/red_circle_0001_01.jpg`, …
            pixels: Length of a side.

        Returns:
            The folder.
        """
        root = Path(root)
        for part in _PARTS:
            images = self.images(part)
            for row, file in enumerate(images.files):
                concept = f"{images.concept_index[row]:05d}_{images.concepts[row]}"
                path = root / _FOLDERS[part] / concept / file
                path.parent.mkdir(parents=True, exist_ok=True)
                images.draw(row, pixels).save(path, quality=95)
        return root

    def truth(self, subject: str) -> ThingsTruth:
        """Return the response of a subject.

        Args:
            subject: `"00"` and on.
        """
        num_samples, mixing = round(self.seconds * self.sampling_rate), background_mixing()
        # Patterns over the head, (channels, 8): of all subjects, and of this one
        shared, own = (
            mixing @ np.random.default_rng([self.seed, number, 0]).normal(size=(len(mixing), NUM_LATENTS))
            for number in (_ALL, int(subject))
        )
        share = self.subject_share
        patterns = np.sqrt(1 - share) * shared + np.sqrt(share) * own  # (channels, 8)
        times = np.arange(num_samples) / num_samples
        peaks = np.linspace(0.15, 0.75, NUM_LATENTS)  # of the epoch
        courses = np.exp(-(((times - peaks[:, None]) / 0.06) ** 2))  # (8, time)
        raw = patterns.T[:, :, None] * courses[:, None]  # (8, channels, time)
        power = np.square(raw).sum() / raw[0].size  # per sample, for latents of unit variance
        return ThingsTruth(
            projection=raw * np.sqrt(self.snr / power) * _NOISE_UV,
            noise_covariance=_NOISE_UV**2 * mixing @ mixing.T,
            variability=self.variability,
        )

    def read(self, recording: Recording) -> "mne.BaseEpochs":
        """Generate the epochs, in volts."""
        import mne

        part, _, repetition = recording.task.partition("_")
        numbers = range(self.test_repetitions) if repetition == "mean" else [int(repetition)]
        truth, latents = self.truth(recording.subject), self.images(part).latents
        each = [self._epochs(truth, latents, recording.subject, part, number) for number in numbers]
        info = mne.create_info(list(STANDARD_19), self.sampling_rate, "eeg")
        return mne.EpochsArray(1e-6 * np.mean(each, axis=0), info, tmin=0.0, baseline=None, verbose="ERROR")

    def events(self, recording: Recording, raw: "mne.io.BaseRaw | mne.BaseEpochs") -> list[Event]:
        """List the image of each epoch, named by its concept."""
        part, _, repetition = recording.task.partition("_")
        images = self.images(part)
        return [
            Event(
                row * self.seconds,
                self.seconds,
                images.concepts[row],
                {
                    "image": file,
                    "concept": images.concepts[row],
                    "image_index": float(row),
                    "concept_index": float(images.concept_index[row]),
                    "repetition": None if repetition == "mean" else float(repetition),
                    "part": part,
                },
            )
            for row, file in enumerate(images.files)
        ]

    def _concept(self, number: int) -> tuple[int, float, float, float]:
        """Return shape, hue and place of a concept."""
        random = np.random.default_rng([self.seed, _ALL + 1, number])
        x, y = random.uniform(-1, 1, 2)
        return int(random.integers(len(SHAPES))), float(random.random()), float(x), float(y)

    def _epochs(
        self, truth: ThingsTruth, latents: np.ndarray, subject: str, part: str, repetition: int
    ) -> np.ndarray:
        """Generate one repetition of some images, (images, channels, time) in microvolt."""
        random = np.random.default_rng([self.seed, int(subject), 1 + _PARTS.index(part), repetition])
        responded = latents + self.variability * random.normal(size=latents.shape)
        noise = random.normal(size=(len(latents), *truth.projection.shape[1:]))
        seen = np.einsum("nk,kct->nct", responded, truth.projection)
        return np.asarray(seen + _NOISE_UV * np.einsum("cd,ndt->nct", background_mixing(), noise))
