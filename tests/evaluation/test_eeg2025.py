# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from eeg_hf.evaluation import (
    PUBLISHED_SCORES,
    ChallengeResult,
    band_power_regressor,
    challenge_metrics,
    challenge_score,
    challenge_table,
    leak_warning,
    regression_metrics,
)

TARGETS = np.array([0.5, 1.5, 2.5, 4.5])
PEOPLE = np.array(["a", "a", "b", "c"])


def test_predicting_the_mean_gives_exactly_1():
    found = challenge_metrics(TARGETS, np.full(4, TARGETS.mean()), PEOPLE)
    assert found["nrmse_std"] == 1.0
    for seed in range(5):
        targets = np.random.default_rng(seed).gamma(2, 0.7, 997)
        people = np.arange(997) % 7
        assert challenge_metrics(targets, np.full(997, targets.mean()), people)["nrmse_std"] == 1.0
    assert (found["num_samples"], found["num_subjects"], found["num_missing"]) == (4, 3, 0)


def test_the_spread_is_that_of_the_population_over_the_whole_set():
    predicted = TARGETS + [0.3, -0.3, 0.3, 0.3]
    assert challenge_metrics(TARGETS, predicted, PEOPLE)["nrmse_std"] == pytest.approx(0.3 / TARGETS.std())
    assert challenge_metrics(TARGETS[:, None], predicted[:, None], PEOPLE)["nrmse_std"] < 1


def test_the_published_row_is_three_and_seven_tenths():
    first, second, overall = PUBLISHED_SCORES.values()
    assert round(challenge_score(first, second), 5) == overall == 0.98008


def test_the_interval_draws_people_and_not_windows():
    random = np.random.default_rng(0)
    people = np.repeat(np.arange(10), 100)
    trait, guess = random.normal(size=10)[people], random.normal(size=10)[people]
    clustered = challenge_metrics(trait, guess, people)
    scattered = challenge_metrics(trait, guess, np.arange(1000))
    widths = [high - low for low, high in (clustered["interval"], scattered["interval"])]
    assert widths[0] > 4 * widths[1]
    assert clustered["interval"][0] < clustered["nrmse_std"] < clustered["interval"][1]
    assert challenge_metrics(TARGETS, TARGETS, ["a"] * 4)["interval"] is None


def test_averaging_over_a_person_is_another_figure():
    people, trait = ["a", "a", "b"], np.array([0.0, 0.0, 1.0])
    noisy = np.array([0.5, -0.5, 1.0])  # of which the mean is right
    found = challenge_metrics(trait, noisy, people, is_of_person=True)
    assert found["nrmse_std_by_subject"] == 0.0
    assert found["nrmse_std"] == regression_metrics(trait, noisy)["nrmse_std"] > 0.8
    assert "nrmse_std_by_subject" not in challenge_metrics(trait, noisy, people)


def test_missing_targets_are_left_out_and_counted():
    found = challenge_metrics([*TARGETS, np.nan], [*TARGETS, 100.0], [*PEOPLE, "d"], is_of_person=False)
    assert (found["nrmse_std"], found["num_missing"], found["num_subjects"]) == (0.0, 1, 3)


@pytest.mark.parametrize(
    ("targets", "predictions", "subjects", "message"),
    [
        ([1, 2, 3], [1, np.nan, 3], "abc", "expected finite numbers, got NaN"),
        ([1, 2, 3], [1, 2], "abc", "expected a prediction for each of 3 targets, got 2"),
        ([1, 2, 3], [1, 2, 3], "ab", "subjects: expected one for each of 3 windows, got 2"),
        ([2, 2, 2], [1, 2, 3], "abc", "all 3 are 2, expected some that differ"),
        ([np.nan] * 3, [1, 2, 3], "abc", "all are missing"),
        ([1, 2, 3], [1, 2, 3], "aab", "one for all windows of a person, a has several"),
    ],
)
def test_what_cannot_be_judged_is_refused_in_one_line(targets, predictions, subjects, message):
    with pytest.raises(ValueError, match=message) as error:
        challenge_metrics(targets, predictions, list(subjects), is_of_person=True)
    assert "\n" not in str(error.value)


def test_a_trait_predicted_too_well_is_a_leak():
    assert "hardly possible" in leak_warning(0.6) and "look for a leak" in leak_warning(0.6)
    assert leak_warning(0.9) is leak_warning(1.2) is None


def test_the_table_has_the_mean_and_the_published_row():
    first = {"nrmse_std": 0.95, "interval": (0.9, 1.0)}
    second = {"nrmse_std": 1.0, "interval": None, "nrmse_std_by_subject": 0.75}
    lines = challenge_table([ChallengeResult("ours | tiny", first, second)]).splitlines()
    assert lines[2] == "| ours \\| tiny | 0.9500 [0.9000, 1.0000] | 1.0000 | 0.7500 | 0.9850 |"
    assert lines[3].endswith("| 1.0000 | 1.0000 | – | 1.0000 |")
    assert lines[4].endswith("| 0.9402 | 0.9972 | – | 0.9801 |") and "rank 18 of 1,183" in lines[4]


def test_ridge_on_band_power_finds_a_target_that_is_in_the_power():
    random = np.random.default_rng(0)
    people = np.repeat(np.arange(6), 20)
    target = random.normal(size=len(people))
    windows = np.exp(0.5 * target)[:, None, None] * random.normal(0, 10, (len(people), 4, 200))
    fitted = people < 4
    regressor = band_power_regressor(100, people[fitted]).fit(windows[fitted], target[fitted])
    found = challenge_metrics(target[~fitted], regressor.predict(windows[~fitted]), people[~fitted])
    assert found["nrmse_std"] < 0.2
    with pytest.raises(ValueError, match="at least 2 to fit"):
        band_power_regressor(100, ["a", "a"])
