# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from scipy.signal import welch

from eeg_hf.corpora import Event, Simulated
from eeg_hf.processing.channels import STANDARD_19


def signal(corpus: Simulated, subject: str, condition: str) -> np.ndarray:
    (recording,) = [r for r in corpus.recordings() if (r.subject, r.task) == (subject, condition)]
    return corpus.read(recording).get_data() * 1e6


def spectrum(samples: np.ndarray, rate: float = 250.0) -> tuple[np.ndarray, np.ndarray]:
    return welch(samples, rate, nperseg=2048)


def test_the_same_seed_and_subject_give_the_same_samples_whatever_else_is_made():
    few, many = Simulated(2, seconds=5), Simulated(9, seconds=5)
    assert np.array_equal(signal(few, "01", "task"), signal(many, "01", "task"))
    assert not np.array_equal(signal(few, "00", "task"), signal(few, "01", "task"))
    assert not np.array_equal(signal(few, "01", "rest"), signal(few, "01", "task"))
    assert not np.array_equal(signal(few, "01", "task"), signal(Simulated(2, 5, seed=1), "01", "task"))


def test_alpha_peaks_at_its_true_frequency_over_the_back_of_the_head():
    corpus = Simulated(6)
    strongest = max((f"{i:02d}" for i in range(6)), key=lambda s: corpus.truth(s).alpha_uv["rest"])
    frequencies, power = spectrum(signal(corpus, strongest, "rest"))
    band = (frequencies > 6) & (frequencies < 14)
    back, front = power[STANDARD_19.index("O1")], power[STANDARD_19.index("Fz")]
    centre = (frequencies * back)[band].sum() / back[band].sum()
    assert centre == pytest.approx(corpus.truth(strongest).alpha_hz, abs=0.5)
    assert back[band].sum() > 5 * front[band].sum()


def test_alpha_is_as_much_weaker_in_the_task_as_the_truth_says():
    corpus = Simulated(12)
    ratios = []
    for i in range(12):
        truth = corpus.truth(f"{i:02d}")
        if truth.alpha_uv["task"] < 8 or any(truth.dead_channel.values()):
            continue  # weak alpha is buried in the background
        power = {}
        for condition in ("rest", "task"):
            frequencies, values = spectrum(signal(corpus, f"{i:02d}", condition)[STANDARD_19.index("O2")])
            power[condition] = values[abs(frequencies - truth.alpha_hz) < 2].sum()
        true = (truth.alpha_uv["rest"] / truth.alpha_uv["task"]) ** 2
        ratios.append(power["rest"] / power["task"] / true)
    assert len(ratios) >= 2
    assert np.median(ratios) == pytest.approx(1.0, abs=0.25)


def test_people_differ_more_than_conditions_do():
    truths = [Simulated(12).truth(f"{i:02d}") for i in range(12)]
    rest, task = (np.log([t.alpha_uv[c] for t in truths]) for c in ("rest", "task"))
    assert (rest > task).all()
    assert rest.std() > 0.4 and np.ptp(rest) > 2 * (rest - task).mean()


def test_blinks_are_annotated_and_fall_off_from_the_forehead():
    corpus = Simulated(1, seconds=30)
    raw = corpus.read(corpus.recordings()[0])
    onset = next(a["onset"] for a in raw.annotations if a["description"] == "blink")
    peak = raw.get_data(tmin=onset, tmax=onset + 0.4) * 1e6
    height = dict(zip(raw.ch_names, peak.max(axis=1) - np.median(raw.get_data() * 1e6, axis=1), strict=True))
    assert max(height["Fp1"], height["Fp2"]) > 40  # the dead channel may be one of them
    assert height["O1"] < 40 and height["Pz"] < 40


def test_dead_electrodes_are_zero_and_the_truth_names_them():
    corpus = Simulated(20, seconds=2)
    dead = {
        (f"{i:02d}", c): corpus.truth(f"{i:02d}").dead_channel[c] for i in range(20) for c in ("rest", "task")
    }
    assert 1 <= sum(name is not None for name in dead.values()) <= 15
    for (subject, condition), name in dead.items():
        flat = [STANDARD_19[i] for i in np.flatnonzero(~signal(corpus, subject, condition).any(axis=1))]
        assert flat == ([name] if name else [])


def test_line_noise_is_at_its_frequency():
    frequencies, power = spectrum(signal(Simulated(1, line_hz=60.0), "00", "rest").mean(axis=0))
    power[frequencies < 40] = 0
    assert frequencies[power.argmax()] == pytest.approx(60.0, abs=0.1)
    assert power.max() > 10 * power[abs(frequencies - 65) < 2].mean()


def test_events_are_the_blocks_and_not_the_blinks():
    corpus = Simulated(1, seconds=25)
    rest, task = corpus.recordings()
    assert corpus.events(task, corpus.read(task)) == [Event(0.0, 10.0, "task"), Event(10.0, 10.0, "task")]
    assert {event.name for event in corpus.events(rest, corpus.read(rest))} == {"rest"}


def test_the_official_split_serves_any_number_of_people():
    for number in (6, 12, 40):
        subjects = {r.subject for r in Simulated(number).recordings()}
        assert all(subjects & set(part) for part in Simulated.official_split.values())


@pytest.mark.parametrize("settings", [{"num_subjects": 0}, {"num_subjects": 1001}, {"seconds": 0}])
def test_impossible_settings_are_refused(settings):
    with pytest.raises(ValueError, match="expected 1 to 1000 subjects"):
        Simulated(**settings)
