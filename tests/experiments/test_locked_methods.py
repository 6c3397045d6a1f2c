# SPDX-License-Identifier: Apache-2.0
"""Windows locked to a stimulus: methods find responses whose truth is known, from the command line too."""

import json
from dataclasses import dataclass

import numpy as np
import pytest
from tests.commands import fail_command, run_command
from transformers import AutoModelForSequenceClassification

from eeg_hf import EEGFeatureExtractor
from eeg_hf.corpora import prepare
from eeg_hf.corpora.corpus import Event, annotated
from eeg_hf.corpora.simulated import Simulated
from eeg_hf.corpora.simulated_corpus import background, pattern
from eeg_hf.evaluation.evoked_responses import EvokedCovariances
from eeg_hf.evaluation.steady_state import StimulusCorrelations
from eeg_hf.experiments.second_order.arguments import SecondOrderArguments
from eeg_hf.experiments.second_order.corpus import StudyCorpus
from eeg_hf.experiments.second_order.methods import build_method

RATE = 200
CHANNELS = ["O1", "O2", "P3", "P4", "Pz", "Cz"]


@dataclass(eq=False)
class Locked(Simulated):
    """A response at the back of the head, at each event, in a background of 10 uV."""

    responses: tuple = ()  # name -> (microvolt at each sample of a second)
    largest_shift: int = 0  # samples by which the response of an event is rolled at most

    def read(self, recording):
        random = np.random.default_rng([9, int(recording.subject), int(recording.run)])
        onsets = np.arange(0.5, self.seconds - 2, 1.5)
        names = [name for name, _ in self.responses]
        said = [names[number % len(names)] for number in range(len(onsets))]
        signal = 10 * background(round(self.seconds * self.sampling_rate), self.sampling_rate, random)
        place, courses = pattern(("O1", "Pz"), 0.06)[:, None], dict(self.responses)
        for onset, name in zip(onsets, said, strict=True):
            start = round(onset * self.sampling_rate)
            course = np.roll(courses[name], random.integers(0, self.largest_shift + 1))
            signal[:, start : start + len(course)] += place * course
        return self._raw(signal, [Event(onset, 1.0, name) for onset, name in zip(onsets, said, strict=True)])

    def events(self, recording, raw):
        return [event for event in annotated(raw) if event.name in dict(self.responses)]


SECONDS = np.arange(250) / 250
EVOKED = (
    ("early", 30 * np.exp(-((SECONDS - 0.3) ** 2) / 0.008)),
    ("late", 30 * np.exp(-((SECONDS - 0.6) ** 2) / 0.008)),
)
STEADY = tuple((f"{hz}", 7 * np.sin(2 * np.pi * hz * SECONDS)) for hz in (9.0, 11.0, 13.0))
ONE_BAND = tuple((f"{hz}", 7 * np.sin(2 * np.pi * hz * SECONDS)) for hz in (9.0, 10.0))  # of the usual ones


def prepare_locked(folder, responses, **settings):
    corpus = Locked(num_subjects=4, seconds=40, responses=responses, **settings)
    extractor = EEGFeatureExtractor(window_seconds=1.0, channels=CHANNELS, reference="original")
    prepare(corpus, folder, extractor, segments="events")
    return folder


@pytest.fixture(scope="module")
def evoked(tmp_path_factory):
    return prepare_locked(tmp_path_factory.mktemp("evoked"), EVOKED)


@pytest.fixture(scope="module")
def steady(tmp_path_factory):
    return prepare_locked(tmp_path_factory.mktemp("steady"), STEADY)


def score(folder, name):
    """Return the balanced accuracy of a method for two unseen subjects."""
    corpus = StudyCorpus.load(SecondOrderArguments(str(folder), "event", "unused", folds=2))
    fold = next(corpus.folds("unseen", seed=0))
    said = build_method(name, corpus).score(fold).argmax(axis=1)
    labels = corpus.labels[fold.test]
    return np.mean([(said == labels)[labels == label].mean() for label in np.unique(labels)])


@pytest.mark.parametrize("name", ["erp_covariances", "xdawn_covariances", "chosen_features"])
def test_evoked_responses_are_found(evoked, name):
    assert score(evoked, name) > 0.85


def test_a_covariance_forgets_when_something_happened(evoked):
    assert score(evoked, "band_power") < score(evoked, "chosen_features") - 0.1


@pytest.mark.parametrize("name", ["cca", "fbcca", "chosen_features"])
def test_steady_responses_are_found(steady, name):
    assert score(steady, name) > 0.75


def finetune(data, folder):
    """Return what the model of a recipe reaches for unseen subjects, and what its first fold has chosen."""
    words = ["--data", data, "--label_column", "event", "--folds", "2", "--output_dir", folder]
    run_command("finetune", "finetune_tiny", *words)
    metrics = json.loads((folder / "metrics.json").read_text())["summary"]
    return metrics["balanced_accuracy"]["mean"], json.loads((folder / "fold-0" / "head.json").read_text())


def test_the_model_reads_the_time_course_of_evoked_responses(evoked, tmp_path):
    accuracy, chosen = finetune(evoked, tmp_path)
    assert accuracy > 0.85
    assert "course" in chosen["parts"]
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "fold-0")
    assert model.config.time_course_seconds == 1.0
    assert model.course_classifier.weight.any()


def test_the_model_takes_narrow_bands_for_steady_responses_in_one_usual_band(tmp_path):
    steady = prepare_locked(tmp_path / "data", ONE_BAND, largest_shift=50)
    accuracy, chosen = finetune(steady, tmp_path)
    assert accuracy > 0.75
    assert chosen["bands"]["narrow"] > chosen["bands"]["usual"]
    config = AutoModelForSequenceClassification.from_pretrained(tmp_path / "fold-0").config
    assert list(config.second_order_bands[0]) == [5.0, 6.0]


def test_rivals_are_settable_from_the_command_line(steady, tmp_path):
    words = ["--data", steady, "--label_column", "event", "--folds", "2", "--regimes", "unseen"]
    words += ["--methods", "second_order", "cca", "--output_dir", tmp_path]
    run_command("evaluate-second-order", *words, "--stimulus_hz", "9", "11", "13")
    rows = json.loads((tmp_path / "results.json").read_text())["methods"]
    assert [row["method"] for row in rows] == ["second-order vectors, convex head", "CCA"]


def test_classes_without_a_frequency_need_one(evoked, tmp_path):
    words = ["--data", evoked, "--label_column", "event", "--folds", "2", "--output_dir", tmp_path]
    message = fail_command("evaluate-second-order", *words, "--methods", "cca", "--regimes", "unseen")
    assert message == "the classes early, late are no frequencies: give --stimulus_hz"


def test_correlations_with_the_stimulus_are_the_largest():
    random = np.random.default_rng(0)
    seconds = np.arange(2 * RATE) / RATE
    windows = random.normal(size=(6, 3, len(seconds)))
    for row, hz in enumerate((8, 10, 12, 8, 10, 12)):
        windows[row] += np.sin(2 * np.pi * hz * seconds + row)
    windows -= windows.mean(axis=1, keepdims=True)  # an average reference empties a direction
    windows[:, 0] += np.sin(2 * np.pi * 10 * seconds) * np.array([0, 1, 0, 0, 1, 0])[:, None]
    for num_bands, count in ((1, 3), (4, 12)):
        found = StimulusCorrelations(RATE, [8, 10, 12], num_bands=num_bands).fit_transform(windows)
        assert found.shape == (6, count) and (found >= 0).all() and (found <= 1 + 1e-9).all()
    with pytest.raises(ValueError, match="above 0 and below 100 Hz, got \\[8, 120\\]"):
        StimulusCorrelations(RATE, [8, 120]).fit(windows)


def test_one_subject_alone_leaves_c_as_it_is():
    random = np.random.default_rng(0)
    windows, labels = random.normal(0, 10, (40, 4, RATE)), np.tile([0, 1], 20)
    windows[labels == 1, 0] += 10 * np.sin(np.arange(RATE) / 20)
    model = EvokedCovariances(RATE, "xdawn").fit(windows, labels, np.repeat("a", 40))
    assert (model.predict(windows) == labels).mean() > 0.9
