# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from PIL import Image

from eeg_hf import EEGFeatureExtractor
from eeg_hf.corpora import SimulatedThings, load_windows, prepare, split_windows

SMALL = {"num_concepts": 10, "images_per_concept": 3, "repetitions": 2, "num_test_concepts": 200}


def epochs_of(corpus, subject, name):
    (found,) = [r for r in corpus.recordings() if (r.subject, r.task) == (subject, name)]
    return 1e6 * corpus.read(found).get_data()


@pytest.mark.parametrize(("snr", "variability"), [(0.004, 0.0), (0.2, 0.9)])
def test_the_best_decoder_reaches_the_ceiling_and_no_more(snr, variability):
    corpus = SimulatedThings(**SMALL, test_repetitions=15, snr=snr, variability=variability)
    latents = corpus.images("test").latents
    for subject in ("00", "01"):
        truth, single = corpus.truth(subject), []
        for repetition in range(15):
            epochs = epochs_of(corpus, subject, f"test_{repetition:02d}")
            single.append(truth.log_likelihoods(epochs, latents))
        found = [np.mean(scores.argmax(axis=1) == np.arange(200)) for scores in single]
        expected = truth.ceiling(latents)
        assert 0.15 < expected[1] < 0.5 < expected[5]
        assert np.mean(found) == pytest.approx(expected[1], abs=0.04)
        ranks = [(scores > np.diag(scores)[:, None]).sum(axis=1) for scores in single]
        assert np.mean(np.array(ranks) < 5) == pytest.approx(expected[5], abs=0.04)
        summed = np.sum(single, axis=0).argmax(axis=1)
        averaged = truth.ceiling(latents, repetitions=15)
        assert averaged[1] > 0.85 and np.mean(summed == np.arange(200)) == pytest.approx(
            averaged[1], abs=0.06
        )


def test_averaged_epochs_are_the_mean_of_the_repetitions():
    settings = {**SMALL, "test_repetitions": 3}
    averaged, single = SimulatedThings(**settings, average_repetitions=True), SimulatedThings(**settings)
    expected = np.mean([epochs_of(single, "01", f"test_{n:02d}") for n in range(3)], axis=0)
    assert epochs_of(averaged, "01", "test_mean") == pytest.approx(expected)
    recording = next(r for r in averaged.recordings() if r.task == "test_mean")
    assert averaged.events(recording, averaged.read(recording))[0].labels["repetition"] is None
    truth, latents = averaged.truth("01"), averaged.images("test").latents
    by_mean = truth.log_likelihoods(expected, latents, repetitions=3)
    by_sum = sum(truth.log_likelihoods(epochs_of(single, "01", f"test_{n:02d}"), latents) for n in range(3))
    assert by_mean == pytest.approx(by_sum)


def test_signal_and_noise_are_as_strong_as_is_said():
    corpus = SimulatedThings(
        num_concepts=400, repetitions=1, num_test_concepts=1, images_per_concept=2, snr=0.5, variability=0
    )
    truth, epochs = corpus.truth("00"), epochs_of(corpus, "00", "train_00")
    seen = np.einsum("nk,kct->nct", corpus.images("train").latents, truth.projection)
    noise = epochs - seen
    assert np.square(seen).mean() / np.square(noise).mean() == pytest.approx(0.5, rel=0.05)
    covariance = np.einsum("nct,ndt->cd", noise, noise) / len(noise) / noise.shape[2]
    assert covariance == pytest.approx(truth.noise_covariance, abs=2)
    assert np.sqrt(np.diag(covariance)) == pytest.approx(np.full(19, 10), rel=0.02)
    lag = np.mean(noise[:, :, 1:] * noise[:, :, :-1])
    assert abs(lag) < 0.5


@pytest.mark.parametrize(("snr", "variability"), [(0.003, 0.0), (0.01, 0.8)])
def test_the_decoded_latent_is_the_posterior_mean(snr, variability):
    options = {"num_concepts": 2000, "repetitions": 1, "num_test_concepts": 1, "images_per_concept": 1}
    corpus = SimulatedThings(**options, snr=snr, variability=variability)
    truth, latents = corpus.truth("00"), corpus.images("train").latents
    decoded = truth.decode(epochs_of(corpus, "00", "train_00"))
    error = np.cov((decoded - latents).T)
    assert error == pytest.approx(np.linalg.inv(truth.information + np.eye(8)), abs=0.05)
    assert np.square(decoded - latents).mean() < np.square(latents).mean()


def test_latents_have_unit_variance_and_say_what_is_drawn():
    images = SimulatedThings(num_concepts=3000, images_per_concept=1).images("train")
    assert np.cov(images.latents.T) == pytest.approx(np.eye(8), abs=0.07)
    assert images.latents.mean(axis=0) == pytest.approx(np.zeros(8), abs=0.07)
    for row in range(20):
        pixels = np.asarray(images.draw(row, 64)).astype(float)
        is_shape = np.ptp(pixels, axis=2) > 60
        centre = np.argwhere(is_shape).mean(axis=0)[::-1]  # x, y
        assert centre == pytest.approx(64 * (0.5 + 0.22 * images.place[row]), abs=3)
        colour = Image.new("RGB", (1, 1), tuple(map(int, np.median(pixels[is_shape], axis=0)))).convert("HSV")
        turned = abs(colour.getpixel((0, 0))[0] / 255 - images.hue[row])
        assert min(turned, 1 - turned) < 0.03


def test_a_share_of_the_response_is_the_persons_own():
    def alike(share):
        corpus = SimulatedThings(**SMALL, subject_share=share)
        first, second = (corpus.truth(subject).projection.ravel() for subject in ("00", "01"))
        return np.corrcoef(first, second)[0, 1]

    assert alike(0.0) == pytest.approx(1)
    assert abs(alike(1.0)) < 0.4 < alike(0.3) < 0.95


def test_nothing_is_found_where_there_is_no_signal():
    corpus = SimulatedThings(**SMALL, snr=0.0)
    latents = corpus.images("test").latents
    assert corpus.truth("00").ceiling(latents)[1] < 0.01
    stronger = SimulatedThings(**SMALL).truth("00")
    of_twenty = stronger.ceiling(latents, n_way=20)
    assert of_twenty[1] > stronger.ceiling(latents)[1] + 0.2
    assert stronger.ceiling(latents, ks=(200,))[200] == pytest.approx(1)
    assert stronger.ceiling(latents, n_way=5)[5] == pytest.approx(1)


def test_the_same_seed_gives_the_same_samples_whatever_else_is_made():
    few, many = SimulatedThings(1, **SMALL), SimulatedThings(3, **SMALL)
    assert np.array_equal(epochs_of(few, "00", "train_01"), epochs_of(many, "00", "train_01"))
    assert not np.array_equal(epochs_of(few, "00", "train_00"), epochs_of(few, "00", "train_01"))
    other = SimulatedThings(1, **SMALL, seed=1)
    assert other.images("train").concepts != few.images("train").concepts
    assert few.provenance(few.recordings()[0]) != other.provenance(few.recordings()[0])


def test_prepared_windows_find_their_images_and_split_by_concept_and_person(tmp_path):
    corpus = SimulatedThings(3, 6, 2, repetitions=2, num_test_concepts=4, test_repetitions=2)
    extractor = EEGFeatureExtractor(100.0, None, None, reference="original", window_seconds=1.0)
    report = prepare(corpus, tmp_path / "out", extractor, segments="events")
    assert report["failures"] == [] and report["windows"] == 3 * (12 * 2 + 4 * 2)
    rows = load_windows(tmp_path / "out")
    files = {path.name: path for path in corpus.write_images(tmp_path / "images", 32).rglob("*.jpg")}
    assert set(rows["image"]) == set(files) and len(files) == 16
    first = files[corpus.images("test").files[0]].relative_to(tmp_path / "images")
    concept = corpus.images("test").concepts[0]
    assert first.parts[:2] == ("test_images", f"00007_{concept}") and f"{concept}_01.jpg" == first.name
    assert Image.open(tmp_path / "images" / first).size == (32, 32)

    official = split_windows(rows, "official")
    concepts = {part: set(found["concept"]) for part, found in official.items()}
    assert [len(found) for found in concepts.values()] == [5, 1, 4] and len(
        set.union(*concepts.values())
    ) == 10
    assert all(len(set(found["subject"])) == 3 for found in official.values())
    crossed = split_windows(rows, "official+leave_out:02", num_validation_subjects=1)
    assert {part: len(found) for part, found in crossed.items()} == {"train": 20, "validation": 4, "test": 8}
    assert set(crossed["test"]["subject"]) == {"02"} and set(crossed["test"]["part"]) == {"test"}
    apart = split_windows(rows, "subject + column:concept")
    assert len({s for part in apart.values() for s in set(part["subject"])}) == 3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"snr": -1}, "expected snr and variability >= 0 and subject_share 0 to 1, got -1, 0.7 and 0.3"),
        (
            {"subject_share": 2},
            "expected snr and variability >= 0 and subject_share 0 to 1, got 0.2, 0.7 and 2",
        ),
        ({"test_repetitions": 0}, "test_repetitions must be 1 or more, got 0"),
        ({"num_subjects": 0}, "expected 1 to 1000 subjects"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        SimulatedThings(**settings)
    with pytest.raises(ValueError, match="part: expected train or test, got 'validation'"):
        SimulatedThings().images("validation")
