# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from scipy.linalg import eigh

from eeg_hf import EEGFeatureExtractor
from eeg_hf.corpora import SimulatedFilm, prepare
from eeg_hf.corpora.simulated import Simulated


def responses(corpus, film):
    """Return the signals of all subjects during a film, (subjects, 19, time) in microvolt."""
    shown = []
    for recording in corpus.recordings():
        if recording.task == film:
            raw = corpus.read(recording)
            (event,) = corpus.events(recording, raw)
            start = round(event.onset * corpus.sampling_rate)
            shown.append(raw.get_data()[:, start : start + round(event.duration * corpus.sampling_rate)])
    return 1e6 * np.stack(shown)


def covariances(people):
    """Return the covariances between and within subjects, means over pairs or subjects, (19, 19)."""
    people = people - people.mean(axis=-1, keepdims=True)
    count, _, length = people.shape
    within = np.einsum("pit,pjt->ij", people, people) / count / length
    total = people.sum(axis=0)
    return (total @ total.T / length - count * within) / count / (count - 1), within


@pytest.mark.parametrize(("share", "components"), [(0.0, 1), (0.5, 1), (0.8, 2)])
def test_what_correlates_between_people_is_what_the_truth_says(share, components):
    corpus = SimulatedFilm(8, 1, seconds=60, shared_share=share, num_components=components, sampling_rate=100)
    truth = corpus.truth("film_1")
    between, within = covariances(responses(corpus, "film_1"))
    expected = share * corpus.component_uv**2 * truth.patterns.T @ truth.patterns
    assert np.abs(between - expected).max() < 0.1 * corpus.component_uv**2
    filters = truth.filters[:, None]
    found = (filters @ between @ filters.swapaxes(1, 2)) / (filters @ within @ filters.swapaxes(1, 2))
    assert found.ravel() == pytest.approx(truth.isc, abs=0.06)
    assert truth.component_isc == share and (truth.isc <= share).all()
    if share:
        strongest = eigh(between, within, eigvals_only=True)[-components:]
        assert strongest[::-1] == pytest.approx(truth.isc, abs=0.1)  # fitted to these data


def test_people_respond_to_the_film_and_not_to_the_clock():
    corpus = SimulatedFilm(10, 2, seconds=40, shared_share=0.9, sampling_rate=100)
    truth = corpus.truth("film_2")
    mean = truth.filters[0] @ responses(corpus, "film_2").mean(axis=0)
    assert abs(np.corrcoef(mean, truth.courses[0])[0, 1]) > 0.9
    assert abs(np.corrcoef(mean, corpus.truth("film_1").courses[0])[0, 1]) < 0.3
    onsets = {corpus.events(r, corpus.read(r))[0].onset for r in corpus.recordings()}
    assert len(onsets) == 20 and 1.0 <= min(onsets) < max(onsets) <= 5.0


def test_the_same_seed_and_subject_give_the_same_samples_whatever_else_is_made():
    few, many = SimulatedFilm(2, 1, seconds=5), SimulatedFilm(3, 2, seconds=5)
    first = {r.run: many.read(r).get_data() for r in many.recordings() if r.subject == "01"}
    assert np.array_equal(few.read(few.recordings()[1]).get_data(), first["1"])
    assert not np.array_equal(first["1"][:, :1500], first["2"][:, :1500])
    other = SimulatedFilm(2, 1, seconds=5, shared_share=0.0)
    assert few.provenance(few.recordings()[0]) != other.provenance(other.recordings()[0])


def test_windows_are_at_the_same_seconds_of_the_film_in_all_people(tmp_path, read_windows):
    corpus = SimulatedFilm(4, 2, seconds=9)
    extractor = EEGFeatureExtractor(100.0, window_seconds=2.0)
    prepare(corpus, tmp_path, extractor, segments="annotations", stride_seconds=1.0)
    rows = read_windows(tmp_path)
    for subject in ("00", "01", "02", "03"):
        mine = [(r["stimulus"], r["stimulus_seconds"]) for r in rows if r["subject"] == subject]
        assert mine == [(film, float(second)) for film in ("film_1", "film_2") for second in range(8)]
    assert corpus.official_split == Simulated.official_split


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"shared_share": 1.5}, "shared_share must be 0 to 1, got 1.5"),
        ({"num_components": 9}, "num_components must be 1 to 4, got 9"),
        ({"num_films": 0}, "num_films must be 1 to 100, got 0"),
        ({"num_subjects": 0}, "expected 1 to 1000 subjects"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        SimulatedFilm(**settings)
    with pytest.raises(ValueError, match="no film 'film_3': expected one of film_1, film_2"):
        SimulatedFilm().truth("film_3")
