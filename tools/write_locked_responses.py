# SPDX-License-Identifier: Apache-2.0
"""Write recordings with simulated responses in a real background, to measure methods for locked windows.

    python tools/write_locked_responses.py --eegmat data/eegmat --kind evoked --output_dir runs/evoked
    python tools/write_locked_responses.py --eegmat data/eegmat --kind steady --output_dir runs/steady

The background is the rest of subjects of EEGMAT. `evoked`: one event in four is a target, whose response has
a component at 300 ms that others lack; its place, latency and size differ between subjects and trials.
`steady`: the events are four flickers, whose response and its first harmonic have any phase.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import mne
import numpy as np

RATE = 250.0
FLICKERS_HZ = (8.57, 10.0, 12.0, 15.0)
FEW_CHANNELS = {4: "F3 C3 O1 Pz", 8: "Fp1 F3 F7 T3 C3 P3 O1 Cz"}


def main() -> None:
    """Write one FIF file for each subject, with an annotation at each event."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--eegmat", required=True, help="folder with the EDF files of EEGMAT")
    parser.add_argument("--output_dir", required=True)
    parser.add_argument("--kind", choices=("evoked", "steady"), required=True)
    parser.add_argument("--subjects", type=int, default=12)
    parser.add_argument("--channels", type=int, choices=(*FEW_CHANNELS, 19), default=8)
    parser.add_argument("--seconds", type=float, default=0.8, help="length of a response")
    parser.add_argument("--events", type=int, default=150, help="events of a subject")
    parser.add_argument("--microvolts", type=float, default=4.0, help="size of the responses")
    args = parser.parse_args()
    mne.set_log_level("error")
    folder = Path(args.output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    respond = {"evoked": evoked_responses, "steady": steady_responses}[args.kind]
    random = np.random.default_rng(0)
    for number, path in enumerate(sorted(Path(args.eegmat).glob("*_1.edf"))[: args.subjects]):
        raw = read_background(path, args.channels)
        add_responses(raw, respond, args, random)
        raw.save(folder / f"sub-{number:02d}_raw.fif", overwrite=True)


def read_background(path: Path, num_channels: int) -> mne.io.BaseRaw:
    """Return a recording of rest with some of its electrodes, without the constants that fill up its end."""
    raw = mne.io.read_raw_edf(path, preload=True)
    changes = np.diff(raw.get_data()).any(axis=0)
    raw.crop(tmax=raw.times[np.flatnonzero(changes[1:] & changes[:-1])[-1]])
    raw.rename_channels(lambda name: name.removeprefix("EEG "))
    raw.drop_channels([name for name in raw.ch_names if "ECG" in name or "A2" in name])
    return raw.pick(FEW_CHANNELS[num_channels].split()) if num_channels in FEW_CHANNELS else raw


def add_responses(
    raw: mne.io.BaseRaw, respond: Callable, args: argparse.Namespace, random: np.random.Generator
) -> None:
    """Add a response to every event, and the annotations, to a recording."""
    raw.resample(RATE)
    time = np.arange(round(args.seconds * RATE)) / RATE
    trials = respond(time, len(raw.ch_names), random)
    spacing = (raw.n_times - len(time)) // args.events
    starts = spacing * np.arange(args.events) + spacing // 2
    values, names = raw.get_data(), []
    for number, start in enumerate(starts):
        name, response = trials(number)
        values[:, start : start + len(time)] += 1e-6 * args.microvolts * response
        names.append(name)
    raw._data[:] = values
    raw.set_annotations(mne.Annotations(starts / RATE, args.seconds, names))


def evoked_responses(time: np.ndarray, num_channels: int, random: np.random.Generator) -> Callable:
    """Return what gives the name and the response (channels, time) of each event of a subject."""
    patterns = np.random.default_rng(42).normal(size=(2, num_channels, 1))  # of all subjects
    patterns = patterns + 0.4 * random.normal(size=patterns.shape)
    early, late = bump(time, 0.1, 0.03), bump(time, 0.3 + 0.03 * random.normal(), 0.06)

    def respond(number: int) -> tuple[str, np.ndarray]:
        response = patterns[0] * early
        if number % 4:
            return "standard", response
        return "target", response + (1 + 0.3 * random.normal()) * patterns[1] * late

    return respond


def bump(time: np.ndarray, seconds: float, width: float) -> np.ndarray:
    """Return a bell of height 1 at some time."""
    return np.exp(-0.5 * ((time - seconds) / width) ** 2)


def steady_responses(time: np.ndarray, num_channels: int, random: np.random.Generator) -> Callable:
    """Return what gives the name and the response (channels, time) of each event of a subject."""
    pattern = np.random.default_rng(42).normal(size=(num_channels, 1))
    pattern = pattern + 0.4 * random.normal(size=pattern.shape)
    sizes = np.exp(0.4 * random.normal(size=2)) / (1, 2)  # of the flicker and its harmonic

    def respond(number: int) -> tuple[str, np.ndarray]:
        flicker = FLICKERS_HZ[number % len(FLICKERS_HZ)]
        waves = [
            np.sin(2 * np.pi * (k + 1) * flicker * time + random.uniform(0, 2 * np.pi)) for k in range(2)
        ]
        return f"{flicker:g}Hz", pattern * (sizes @ np.stack(waves))

    return respond


if __name__ == "__main__":
    main()
