# SPDX-License-Identifier: Apache-2.0
"""Measure `eeg-hf monitor`: how often it raises alarms while nothing changed, and which changes it finds.

    EEG_HF_DATA=/data python tools/measure_monitoring.py --draws 100
    python tools/measure_monitoring.py --draws 100 --simulated   # measures with heavy tails, without EEG

Recordings of EEGMAT are measured once, those of the first twelve subjects changed too. Each draw takes two
thirds of the subjects (of the others) as a training, and a call of recordings of the rest. Scores are left
out: the bundled classifier was fitted on most of these subjects. Prints a table in Markdown.
"""

import argparse
from collections.abc import Callable

import mne
import numpy as np
from transformers import pipeline

import eeg_hf
from eeg_hf import get_corpus
from eeg_hf.experiments.monitoring.drift_tests import join, raise_alarms, recording_p_values, shift_p_values
from eeg_hf.experiments.training_statistics import Facts, TrainingStatistics, measure_recording

Change = Callable[[mne.io.BaseRaw], mne.io.BaseRaw]


def amplify(raw: mne.io.BaseRaw) -> mne.io.BaseRaw:
    """Return a recording at 1.5 times its amplitude."""
    return raw.apply_function(lambda samples: 1.5 * samples, picks="eeg")


def tense(raw: mne.io.BaseRaw) -> mne.io.BaseRaw:
    """Return a recording with muscle: 3 uV of noise above 20 Hz at each electrode."""
    random = np.random.default_rng(0)
    rate = raw.info["sfreq"]

    def add(samples: np.ndarray) -> np.ndarray:
        noise = mne.filter.filter_data(random.normal(size=len(samples)), rate, 20, None, verbose="ERROR")
        return samples + 3e-6 * noise / noise.std()

    return raw.apply_function(add, picks="eeg")


def lose(raw: mne.io.BaseRaw) -> mne.io.BaseRaw:
    """Return a recording in which four electrodes are dead."""
    dead = [name for name in raw.ch_names if name.split()[-1] in ("F3", "C4", "P3", "O2")]
    return raw.apply_function(lambda samples: 0 * samples, picks=dead)


_NUM_CHANGED = 12
CHANGES: dict[str, Change] = {
    "nothing": lambda raw: raw,
    "amplitude x 1.5": amplify,
    "3 uV of muscle": tense,
    "4 of 19 electrodes dead": lose,
}


def measure_all() -> tuple[dict[str, list[Facts]], np.ndarray]:
    """Return what is measured of each recording by change, and the subjects."""
    classify = pipeline("eeg-classification", model=str(eeg_hf.bundled("eeg-foundation-tiny-arithmetic")))
    corpus = get_corpus("eegmat")
    found: dict[str, list[Facts]] = {name: [] for name in CHANGES}
    subjects = []
    for recording in corpus.recordings():
        raw = corpus.read(recording).load_data()
        subjects.append(recording.subject)
        is_changed = len(set(subjects)) <= _NUM_CHANGED
        for name, change in CHANGES.items():
            if name != "nothing" and not is_changed:
                continue
            facts = measure_recording(change(raw.copy()), classify.model, classify.feature_extractor)
            found[name].append({kind: value for kind, value in facts.items() if kind != "scores"})
    return found, np.array(subjects)


def simulate(seed: int) -> tuple[dict[str, list[Facts]], np.ndarray]:
    """Return made-up measures of two recordings of 36 subjects, Student's t of four degrees of freedom."""
    random = np.random.default_rng(seed)
    found: dict[str, list[Facts]] = {"nothing": [], "amplitude + 1.75 sd": []}
    subjects = np.repeat([f"{number:02d}" for number in range(36)], 2)
    sizes = {"spectrum": 5, "amplitude": 1, "quality": 1, "embedding": 16}
    for _ in np.unique(subjects):
        own = {name: random.standard_t(4, size) for name, size in sizes.items()}
        for _ in range(2):
            facts = {name: values + 0.5 * random.standard_t(4, len(values)) for name, values in own.items()}
            spread = np.sqrt(1.25 * 2)  # of t with four degrees, whose variance is 2
            found["nothing"].append(facts)
            louder = {**facts, "amplitude": facts["amplitude"] + 1.75 * spread}
            found["amplitude + 1.75 sd"].append(louder)
    return found, subjects


def raise_in_call(
    statistics: TrainingStatistics, recordings: list[Facts], subjects: list[str], rate: float
) -> tuple[bool, bool]:
    """Return whether single recordings, and all together, raise an alarm."""
    joined = [join(recording_p_values(statistics, facts)) for facts in recordings]
    rows = [
        {**facts, "embedding": np.array([statistics.deviations(facts)["embedding"]])} for facts in recordings
    ]
    shifts = shift_p_values(statistics, rows, subjects)
    return bool(raise_alarms(joined, rate / 2).any()), bool(shifts) and join(shifts) <= rate / 2


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--draws", type=int, default=100)
    parser.add_argument("--rates", type=float, nargs="+", default=[0.05])
    parser.add_argument("--simulated", action="store_true")
    args = parser.parse_args()
    found, subjects = simulate(0) if args.simulated else measure_all()
    print("| what changed | recordings of a call | rate set | single recordings | all together | any |")
    print("|:--|--:|--:|--:|--:|--:|")
    for name, size, rate in [(n, s, r) for n in found for s in (2, 16) for r in args.rates]:
        random, raised = np.random.default_rng(0), []
        for draw in range(args.draws if name == "nothing" else args.draws // 5):
            if args.simulated:  # one set of heavy tails would decide all draws
                found, subjects = simulate(draw)
            everybody = np.unique(subjects)
            people = random.permutation(everybody if name == "nothing" else everybody[_NUM_CHANGED:])
            known = np.flatnonzero(np.isin(subjects, people[: 2 * len(everybody) // 3]))
            others = people[2 * len(people) // 3 :]
            if name != "nothing":
                others = random.permutation(everybody[:_NUM_CHANGED])
            new = np.flatnonzero(np.isin(subjects, others[: (size + 1) // 2]))[:size]
            statistics = TrainingStatistics.of(
                [found["nothing"][row] for row in known], list(subjects[known])
            )
            rows = [found[name][row] for row in new]
            raised.append(raise_in_call(statistics, rows, list(subjects[new]), rate))
        single, together = np.mean(raised, axis=0)
        cells = (f"{single:.3f}", f"{together:.3f}", f"{np.any(raised, axis=1).mean():.3f}")
        print(f"| {name} | {size} | {rate:g} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
