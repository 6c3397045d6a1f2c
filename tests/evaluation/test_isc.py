# SPDX-License-Identifier: Apache-2.0
import math

import evaluate
import numpy as np
import pytest

from eeg_hf.evaluation import (
    CorrelatedComponents,
    EEGInterSubjectCorrelation,
    cross_validated_isc,
    evaluate_isc_metric,
    isc_null,
)

NUM_CHANNELS = 6


def noise(num_people, num_samples=2000, num_channels=NUM_CHANNELS, seed=0):
    return np.random.default_rng(seed).normal(size=(num_people, num_channels, num_samples))


def watching(num_people, strength=1.0, num_samples=2000, seed=0):
    """White noise of everybody with one shared source; return the signals and its pattern, of length 1."""
    random = np.random.default_rng(seed + 1000)
    pattern = random.normal(size=NUM_CHANNELS)
    pattern /= np.linalg.norm(pattern)
    shared = strength * random.normal(size=num_samples)
    return noise(num_people, num_samples, seed=seed) + pattern[:, None] * shared, pattern


def pairwise_isc(sources):
    """ISC of one component (people, time) from every pair, as it is defined."""
    centred = sources - sources.mean(axis=1, keepdims=True)
    products = centred @ centred.T
    num_people = len(sources)
    return (products.sum() - np.trace(products)) / (num_people - 1) / np.trace(products)


@pytest.mark.parametrize("shrinkage", [0.0, 0.1, 1.0])
def test_identical_people_correlate_perfectly(shrinkage):
    people = np.repeat(noise(1), 4, axis=0)
    components = CorrelatedComponents(shrinkage=shrinkage).fit(people)
    assert components.isc_ == pytest.approx([1, 1, 1])
    assert components.score(people) == pytest.approx([1, 1, 1])
    assert components.subject_isc(people) == pytest.approx(np.ones((4, 3)))


@pytest.mark.parametrize("strength", [0.5, 1.0, 2.0])
def test_known_shared_source_has_the_isc_of_its_variances_and_its_pattern(strength):
    people, pattern = watching(20, strength, num_samples=20000)
    components = CorrelatedComponents(num_components=2, shrinkage=0.0).fit(people[:10])
    expected = strength**2 / (strength**2 + 1)  # the noise has a variance of 1 in every direction
    assert components.score(people[10:])[0] == pytest.approx(expected, abs=0.02)
    assert components.score(people[10:])[1] == pytest.approx(0, abs=0.02)
    found = components.patterns_[:, 0]
    assert np.abs(found).max() == found.max()
    cosine = found @ pattern / np.linalg.norm(found)
    assert abs(cosine) == pytest.approx(1, abs=0.01)


def test_forward_model_and_not_the_weights_is_the_pattern_where_noise_is_correlated():
    """One channel has only noise that another one has too: weights subtract it, the pattern is not there."""
    random = np.random.default_rng(0)
    shared, hum = random.normal(size=20000), random.normal(size=(8, 20000))
    people = np.stack([shared + hum, hum + 0.1 * random.normal(size=hum.shape)], axis=1)
    components = CorrelatedComponents(num_components=1, shrinkage=0.0).fit(people)
    weights, pattern = components.weights_[:, 0], components.patterns_[:, 0]
    assert weights[1] / weights[0] == pytest.approx(-1, abs=0.05)
    assert pattern[1] / pattern[0] == pytest.approx(0, abs=0.05)
    assert pattern[0] == pytest.approx(1, abs=0.05)  # in the unit of the signal: the source's deviation


def test_isc_is_that_of_all_pairs():
    people, _ = watching(5, num_samples=300)
    components = CorrelatedComponents(num_components=2).fit(people)
    sources = components.transform(people + 7)  # an offset does not count
    expected = [pairwise_isc(sources[:, index]) for index in range(2)]
    assert components.isc_ == pytest.approx(expected)
    assert components.score(people + 7) == pytest.approx(expected)
    centred = sources - sources.mean(axis=2, keepdims=True)
    for person in range(5):
        others = [other for other in range(5) if other != person]
        for index in range(2):
            own, rest = centred[person, index], centred[others, index]
            truth = 2 * (rest @ own).sum() / sum(own @ own + other @ other for other in rest)
            assert components.subject_isc(people)[person, index] == pytest.approx(truth)


def test_mixing_the_channels_changes_nothing_without_shrinkage():
    people, _ = watching(6, num_samples=500)
    mixing = np.random.default_rng(1).normal(size=(NUM_CHANNELS, NUM_CHANNELS))
    first = CorrelatedComponents(shrinkage=0.0).fit(people)
    second = CorrelatedComponents(shrinkage=0.0).fit(mixing @ people)
    assert second.isc_ == pytest.approx(first.isc_)
    assert np.abs(second.transform(mixing @ people)) == pytest.approx(np.abs(first.transform(people)))
    patterns, mixed = mixing @ first.patterns_, second.patterns_
    assert np.abs(patterns) == pytest.approx(np.abs(mixed))
    assert first.isc_ == pytest.approx(first.eigenvalues_)


def test_components_have_unit_variance_and_do_not_correlate_without_shrinkage():
    people, _ = watching(6, num_samples=500)
    sources = CorrelatedComponents(shrinkage=0.0).fit(people).transform(people)
    sources -= sources.mean(axis=2, keepdims=True)
    covariance = np.mean(sources @ sources.transpose(0, 2, 1), axis=0) / 500
    assert covariance == pytest.approx(np.eye(3), abs=1e-9)


@pytest.mark.parametrize("shrinkage", [0.0, 0.1])
def test_average_reference_and_flat_channels_are_no_direction(shrinkage):
    people, _ = watching(6)
    referenced = people - people.mean(axis=1, keepdims=True)
    with_flat = np.concatenate([referenced, np.full((6, 1, 2000), 3.0)], axis=1)
    components = CorrelatedComponents(shrinkage=shrinkage).fit(with_flat)
    # any five of six channels span what an average reference leaves of them
    if not shrinkage:
        same = CorrelatedComponents(shrinkage=0.0).fit(referenced[:, :5])
        assert components.isc_ == pytest.approx(same.isc_)
    assert np.all(components.weights_[-1] == 0) and np.isfinite(components.patterns_).all()
    assert CorrelatedComponents(5, shrinkage).fit(with_flat).isc_.shape == (5,)
    with pytest.raises(ValueError, match="expected at most 5.*got 6"):
        CorrelatedComponents(6, shrinkage).fit(with_flat)


def test_fitting_finds_correlation_in_noise_and_other_people_do_not_have_it():
    people = noise(12, num_samples=300, num_channels=16)
    components = CorrelatedComponents().fit(people[:6])
    result = isc_null(components, people[6:])
    assert components.isc_.sum() > 0.15
    assert abs(result.total) < 0.05 and result.p_value > 0.05
    assert abs(result.null_mean) < 0.01 < result.null_95
    biased = isc_null(components, people[:6], num_shifts=100, refit=True)
    assert biased.total == pytest.approx(components.isc_.sum())
    assert biased.null_mean == pytest.approx(biased.total, abs=0.05) and biased.p_value > 0.05
    crossed = cross_validated_isc(people, num_repeats=2, num_shifts=50)
    assert abs(crossed.total) < 0.05 and crossed.p_value > 0.05


def test_p_values_of_noise_are_uniform():
    p_values = []
    for seed in range(60):
        people = noise(8, num_samples=100, num_channels=4, seed=seed)
        components = CorrelatedComponents(2).fit(people[:4])
        p_values.append(isc_null(components, people[4:], num_shifts=99, seed=seed).p_value)
    # the largest distance of 60 uniform values from the diagonal is below 0.21 in 99 of 100 cases
    steps = np.arange(1, 61) / 60
    assert np.abs(np.sort(p_values) - steps).max() < 0.21


def test_shared_response_is_found_on_other_people_and_on_another_time():
    people, _ = watching(8, strength=0.7)
    components = CorrelatedComponents().fit(people[:4])
    result = isc_null(components, people[4:], num_shifts=99)
    assert result.p_value == 0.01  # (1 + 0) / (1 + 99)
    assert result.total > result.null_95
    first = CorrelatedComponents().fit(people[..., :1000])
    assert first.score(people[..., 1000:])[0] == pytest.approx(0.49 / 1.49, abs=0.06)
    crossed = cross_validated_isc(people, num_repeats=3, num_shifts=49)
    assert crossed.p_value == 0.02
    assert crossed.isc[0] == pytest.approx(0.49 / 1.49, abs=0.06)
    assert crossed.subject_isc.shape == (8, 3) and crossed.subject_isc[:, 0].min() > 0.2


def test_person_who_did_not_watch_is_seen():
    people, _ = watching(8)
    people[3] = noise(1, seed=5)[0]
    result = cross_validated_isc(people, num_shifts=1)
    assert result.subject_isc.sum(axis=1).argmin() == 3
    assert abs(result.subject_isc[3].sum()) < 0.1


def test_shifts_come_from_the_seed_and_inputs_are_left_as_they_are():
    people, _ = watching(6, num_samples=200)
    before = people.copy()
    results = [cross_validated_isc(people, num_shifts=5, seed=seed) for seed in (1, 1, 2)]
    assert np.array_equal(results[0].null, results[1].null)
    assert not np.array_equal(results[0].null, results[2].null)
    assert np.array_equal(people, before)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x[:1], r"2 subjects or more, got \(1, 6, 100\)"),
        (lambda x: x[0], r"expected \(subjects, channels, time\)"),
        (lambda x: [x[0], x[1, :, :90]], r"got \[\(6, 90\), \(6, 100\)\]"),
        (lambda x: np.where(np.arange(4)[:, None, None] == 2, np.nan, x), r"infinite in subjects \[2\]"),
        (lambda x: np.where(np.arange(4)[:, None, None] == 1, 5.0, x), r"subjects \[1\] are flat"),
        (lambda x: [], "2 subjects or more"),
    ],
)
def test_signals_that_cannot_be_judged_are_refused(change, message):
    people, _ = watching(4, num_samples=100)
    components = CorrelatedComponents().fit(people)
    for act in (CorrelatedComponents().fit, components.score, components.subject_isc, cross_validated_isc):
        with pytest.raises(ValueError, match=message) as error:
            act(change(people))
        assert "\n" not in str(error.value)


def test_settings_that_cannot_be_are_refused():
    people, _ = watching(4, num_samples=100)
    components = CorrelatedComponents().fit(people)
    for settings in ({"shrinkage": -0.1}, {"shrinkage": math.nan}, {"num_components": 0}):
        with pytest.raises(ValueError, match="num_components of 1 or more and shrinkage from 0 to 1"):
            CorrelatedComponents(**settings).fit(people)
    with pytest.raises(ValueError, match="expected at most 6"):
        CorrelatedComponents(7).fit(people)
    with pytest.raises(ValueError, match="6 channels"):
        components.score(people[:, :5])
    with pytest.raises(ValueError, match="not fitted"):
        CorrelatedComponents().score(people)
    with pytest.raises(ValueError, match="num_shifts: expected 1 or more"):
        isc_null(components, people, num_shifts=0)
    with pytest.raises(ValueError, match="refit: expected the signals"):
        isc_null(components, people[:3], refit=True)
    with pytest.raises(ValueError, match="2 subjects or more in each, got 5, 3 and 4 subjects"):
        cross_validated_isc(people, num_splits=3)


@pytest.fixture(params=["class", "path"])
def metric(request, tmp_path, metric_modules):
    if request.param == "class":
        return EEGInterSubjectCorrelation(cache_dir=str(tmp_path))
    return evaluate.load(evaluate_isc_metric.__file__, cache_dir=str(tmp_path))


def rows(people, num_windows=4):
    """Return what the metric takes of people, window by window in time."""
    windows = np.split(people, num_windows, axis=2)
    names = [f"p{index}" for index in range(len(people))]
    return {
        "predictions": [person for window in windows for person in window],
        "subjects": names * num_windows,
        "stimulus_seconds": np.repeat(np.arange(num_windows) * 2.5, len(people)),
    }


def test_metric_of_evaluate_agrees_with_the_plain_functions(metric):
    people, _ = watching(6, num_samples=400)
    inputs = rows(people)
    shuffled = np.random.default_rng(0).permutation(24)
    mixed = {name: [column[index] for index in shuffled] for name, column in inputs.items()}
    result, expected = metric.compute(**mixed, num_shifts=9), cross_validated_isc(people, num_shifts=9)
    assert result["isc"] == pytest.approx(expected.isc)
    assert (result["null_mean"], result["null_95"]) == pytest.approx((expected.null_mean, expected.null_95))
    assert (result["p_value"], result["num_people"], result["num_left_out"]) == (0.1, 6, 0)

    result = metric.compute(**inputs, fit_subjects=["p0", "p1", "p2"], num_components=1, num_shifts=9)
    components = CorrelatedComponents(1).fit(people[:3])
    truth = isc_null(components, people[3:], num_shifts=9)
    assert result["isc_sum"] == pytest.approx(truth.total)
    assert list(result["subject_isc"]) == ["p3", "p4", "p5"]
    assert list(result["subject_isc"].values()) == pytest.approx(truth.subject_isc[:, 0])


def test_metric_leaves_out_moments_that_somebody_lacks_and_says_how_many(tmp_path):
    people, _ = watching(6, num_samples=400)
    inputs = {name: list(column)[:-1] for name, column in rows(people).items()}  # p5 lacks the last
    inputs["stimulus_seconds"][0] += 0.004  # a sample beside the others is the same moment
    metric = EEGInterSubjectCorrelation(cache_dir=str(tmp_path))
    result = metric.compute(**inputs, num_shifts=1)
    assert result["isc"] == pytest.approx(cross_validated_isc(people[..., :300], num_shifts=1).isc)
    assert result["num_left_out"] == 5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fit_subjects": ["p0", "p9"]}, r"fit_subjects: expected some of .* got \['p9'\]"),
        ({"stimulus_seconds": np.arange(24.0)}, "expected moments common to all subjects"),
        ({"stimulus_seconds": np.zeros(24)}, "expected each once per subject"),
        ({"stimulus_seconds": np.full(24, np.nan)}, "seconds: expected finite numbers"),
        ({"fit_subjects": ["p0"]}, "2 subjects or more"),
        ({"predictions": [np.zeros((2, 3))] * 23 + [np.zeros((2, 4))]}, r"got \[\(2, 3\), \(2, 4\)\]"),
    ],
)
def test_metric_refuses_what_it_cannot_line_up(tmp_path, changes, message):
    inputs = rows(watching(6, num_samples=400)[0]) | changes
    with pytest.raises(ValueError, match=message):
        EEGInterSubjectCorrelation(cache_dir=str(tmp_path)).compute(**inputs)
