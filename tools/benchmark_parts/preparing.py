# SPDX-License-Identifier: Apache-2.0
"""Preparation beside braindecode's pipeline and plain MNE calls: speed, and the cost of a corpus."""

import itertools
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import mne
import numpy as np
from threadpoolctl import threadpool_limits

from benchmark_parts.cost import LARGE_CORPUS_HOURS, cost_of_preparing
from benchmark_parts.timing import (
    BenchmarkArguments,
    Row,
    Timing,
    Work,
    in_fresh_process,
    peak_memory,
    race_all,
)
from eeg_hf import EEGFeatureExtractor, get_corpus
from eeg_hf.corpora import Corpus, Recording, Simulated, prepare
from eeg_hf.processing.channels import parse_channel
from eeg_hf.processing.electrode_templates import template_names

LONG_CHANNELS, LONG_RATE = 64, 512
Preparation = tuple[str, int]  # by whom, in how many processes


class RememberedCorpus(Simulated):
    """Simulated recordings kept in memory, so that simulating them is not timed."""

    def __init__(self, num_subjects: int, seconds: float) -> None:
        super().__init__(num_subjects, seconds)
        self.made: dict[Path, mne.io.BaseRaw] = {}

    def read(self, recording: Recording) -> "mne.io.BaseRaw":
        """Return a copy of the recording, simulated on first use."""
        if recording.path not in self.made:
            self.made[recording.path] = super().read(recording)
        return self.made[recording.path].copy()


def measure_prepare(args: BenchmarkArguments) -> list[Row]:
    """Prepare some subjects beside the peers, in one process and in several, all in turns."""
    simulated = RememberedCorpus(args.subjects, args.seconds)
    corpus = simulated if args.corpus == simulated.name else get_corpus(args.corpus)
    root = corpus.locate(args.data_dir)
    if args.copies == 1:
        return race_preparations(args, args.corpus, corpus, root)
    if corpus is simulated:
        raise ValueError(
            "--copies: expected a corpus of files, got simulated: choose more --subjects instead"
        )
    with tempfile.TemporaryDirectory(dir=args.scratch) as folder:
        recordings = choose_subjects(corpus, root, args.subjects)
        link_copies(recordings, args.copies, Path(folder))
        args = replace(args, subjects=args.subjects * args.copies)
        return race_preparations(args, f"{args.corpus} x {args.copies}", get_corpus("folder"), Path(folder))


def choose_subjects(corpus: Corpus, root: Path, number: int) -> list[Recording]:
    """Return the recordings of the first subjects."""
    recordings = corpus.recordings(root)
    subjects = sorted({recording.subject for recording in recordings})[:number]
    return [recording for recording in recordings if recording.subject in subjects]


def link_copies(recordings: Sequence[Recording], copies: int, folder: Path) -> None:
    """Link recordings, of one file each, several times into a folder, each time as another subject's."""
    for recording, copy in itertools.product(recordings, range(copies)):
        target = folder / f"{recording.subject}of{copy}" / recording.path.name
        target.parent.mkdir(exist_ok=True)
        try:
            target.hardlink_to(recording.path)
        except OSError:  # on another file system
            shutil.copyfile(recording.path, target)


def race_preparations(args: BenchmarkArguments, name: str, corpus: Corpus, root: Path) -> list[Row]:
    """Prepare a corpus beside the peers."""
    recordings = choose_subjects(corpus, root, args.subjects)
    subjects = sorted({recording.subject for recording in recordings})
    extractor = EEGFeatureExtractor(window_seconds=5.0)
    reports: list[dict[str, Any]] = []
    sizes: list[int] = []

    def ours(num_proc: int) -> None:
        with tempfile.TemporaryDirectory() as folder:
            reports.append(
                prepare(corpus, folder, extractor, root=root, subjects=subjects, num_proc=num_proc)
            )
            sizes.append(sum(path.stat().st_size for path in Path(folder).glob("data/*.parquet")))

    # Recordings in memory are in this process
    counts = [1] if isinstance(corpus, RememberedCorpus) else args.processes
    works: dict[Preparation, Work] = {("eeg_hf", count): partial(ours, count) for count in counts}
    for count in counts:
        works |= peers(corpus, recordings, extractor, count)
    seconds = race_all(works, args.pairs)
    hours = reports[0]["hours"]
    rows = compare_preparations(name, seconds, hours)
    if missing := why_no_braindecode():
        rows.append(Row("prepare beside braindecode", None, "", peer_name=missing))
    if 1 not in counts:
        return rows
    of_two = [row.ratio for row in rows if row.peer_name == "one process" and "2 processes" in row.name]
    speed, megabytes = 3600 * hours / median(seconds["eeg_hf", 1]), sizes[0] / hours / 1e6
    return [
        *rows,
        Row("one hour of EEG takes", megabytes, "MB"),
        Row(f"{LARGE_CORPUS_HOURS:,} h of EEG take", LARGE_CORPUS_HOURS * megabytes / 1e3, "GB"),
        Row("one core prepares", speed, "h of EEG/h"),
        *cost_of_preparing(speed, of_two[0] if of_two else None),
    ]


def compare_preparations(corpus: str, seconds: dict[Preparation, list[float]], hours: float) -> list[Row]:
    """Return ours beside each peer of as many processes, and several processes beside one."""
    rows = []
    for (kind, count), own in seconds.items():
        title = f"prepare {corpus}, {count} process{'es' * (count > 1)}"
        if kind != "eeg_hf":
            timing, beside = Timing(seconds["eeg_hf", count], own), kind
            aim = "≥ 2.5" if "braindecode" in kind else ""
        elif count > 1 and ("eeg_hf", 1) in seconds:
            timing, beside = Timing(own, seconds["eeg_hf", 1]), "one process"
            aim = "≥ 1.9" if count == 2 else ""
        else:
            continue
        rows.append(timing.row(title, 60 * hours, "h of EEG/min", beside, aim))
    return rows


def peers(
    corpus: Corpus, recordings: Sequence[Recording], extractor: EEGFeatureExtractor, num_proc: int
) -> dict[Preparation, Work]:
    """Return the peers that can prepare in this number of processes."""

    def by_hand() -> None:
        with tempfile.TemporaryDirectory() as folder, threadpool_limits(1):
            for number, recording in enumerate(recordings):
                np.save(Path(folder) / f"{number}.npy", prepare_by_hand(corpus, recording, extractor))

    found: dict[Preparation, Work] = {("MNE by hand", 1): by_hand} if num_proc == 1 else {}
    if not why_no_braindecode():
        name = f"braindecode {version('braindecode')} pipeline"
        found[name, num_proc] = partial(prepare_by_braindecode, corpus, recordings, extractor, num_proc)
    return found


def why_no_braindecode() -> str:
    """Return why its pipeline cannot be imported, or nothing."""
    try:
        import braindecode.preprocessing  # noqa: F401
    except (ImportError, OSError) as error:  # a torchaudio whose library does not fit this torch
        return f"absent, no braindecode: {str(error).splitlines()[0]}"
    return ""


def prepare_by_hand(corpus: Corpus, recording: Recording, extractor: EEGFeatureExtractor) -> np.ndarray:
    """Clean and cut a recording by MNE's own calls; (windows, channels, time) float32 in uV."""
    raw = corpus.read(recording).load_data(verbose="ERROR").pick(eeg_channels(corpus, recording))
    raw.set_eeg_reference("average", verbose="ERROR")
    raw.filter(extractor.highpass_hz, extractor.lowpass_hz, verbose="ERROR")
    raw.resample(extractor.sampling_rate, method="polyphase", verbose="ERROR")  # faster than its default
    epochs = mne.make_fixed_length_epochs(raw, extractor.window_seconds, preload=True, verbose="ERROR")
    return (epochs.get_data() * 1e6).astype(np.float32)


def prepare_by_braindecode(
    corpus: Corpus, recordings: Sequence[Recording], extractor: EEGFeatureExtractor, num_proc: int
) -> None:
    """Clean, cut and save recordings as braindecode's tutorials do."""
    from braindecode.datasets import BaseConcatDataset, RawDataset
    from braindecode.preprocessing import Preprocessor, create_fixed_length_windows, preprocess

    steps = [
        Preprocessor("pick", picks=eeg_channels(corpus, recordings[0])),
        Preprocessor("set_eeg_reference", ref_channels="average", verbose="ERROR"),
        Preprocessor("filter", l_freq=extractor.highpass_hz, h_freq=extractor.lowpass_hz, verbose="ERROR"),
        Preprocessor("resample", sfreq=extractor.sampling_rate, verbose="ERROR"),
    ]
    length = round((extractor.window_seconds or 0) * extractor.sampling_rate)
    about = [{"subject": recording.subject, "run": recording.run} for recording in recordings]
    with tempfile.TemporaryDirectory() as folder, threadpool_limits(1):
        mne.set_log_level("ERROR")  # MNE logs each file that braindecode saves, if it was imported before
        raws = [corpus.read(recording) for recording in recordings]
        dataset = BaseConcatDataset([RawDataset(raw, each) for raw, each in zip(raws, about, strict=True)])
        dataset = preprocess(dataset, steps, n_jobs=num_proc)
        windows = create_fixed_length_windows(
            dataset, window_size_samples=length, window_stride_samples=length, drop_last_window=True
        )
        windows.save(folder, overwrite=True)


def eeg_channels(corpus: Corpus, recording: Recording) -> list[str]:
    """Return the names of the scalp channels as the file spells them."""
    raw = corpus.read(recording)
    kinds = zip(raw.ch_names, raw.get_channel_types(), strict=True)
    return [name for name, kind in kinds if kind == "eeg" and parse_channel(name).kind == "eeg"]


# Memory of long recordings


def measure_long(args: BenchmarkArguments) -> list[Row]:
    """Measure the peak memory of preparing one long recording, in its own process."""
    rows: list[Row] = []
    for hours in sorted(args.long_hours):
        with tempfile.TemporaryDirectory(dir=args.scratch) as folder:
            write_recording(Path(folder) / "recordings/subject/long.eeg", hours)
            started = time.perf_counter()
            peak = in_fresh_process(peak_memory, prepare_folder, Path(folder))
            minutes = (time.perf_counter() - started) / 60
        what = f"peak memory, prepare {hours:g} h of {LONG_CHANNELS} channels at {LONG_RATE} Hz"
        row = Row(f"{what}, in {minutes:.2g} min", peak, "MB", aim="≤ 1000 MB")
        if rows and (shortest := rows[0].value):
            beside = f"{min(args.long_hours):g} h"
            row = replace(row, peer=shortest, ratio=peak / shortest, peer_name=beside)
        rows.append(row)
    return rows


def write_recording(path: Path, hours: float) -> None:
    """Write noise in BrainVision's form: a header, no markers, and int16 samples minute by minute."""
    path.parent.mkdir(parents=True)
    names = list(template_names().values())[:LONG_CHANNELS]
    header = [
        "Brain Vision Data Exchange Header File Version 1.0",
        "[Common Infos]",
        f"DataFile={path.name}",
        f"MarkerFile={path.stem}.vmrk",
        "DataFormat=BINARY",
        "DataOrientation=MULTIPLEXED",
        f"NumberOfChannels={LONG_CHANNELS}",
        f"SamplingInterval={1e6 / LONG_RATE}",
        "[Binary Infos]",
        "BinaryFormat=INT_16",
        "[Channel Infos]",
        *(f"Ch{number}={name},,0.1,µV" for number, name in enumerate(names, start=1)),
    ]
    path.with_suffix(".vhdr").write_text("\n".join(header) + "\n", encoding="utf-8")
    markers = f"Brain Vision Data Exchange Marker File, Version 1.0\n[Common Infos]\nDataFile={path.name}\n"
    path.with_suffix(".vmrk").write_text(f"{markers}[Marker Infos]\n", encoding="utf-8")
    generator = np.random.default_rng(0)
    minute = generator.normal(0, 200, (60 * LONG_RATE, LONG_CHANNELS)).astype("<i2")
    with path.open("wb") as file:
        for _ in range(round(60 * hours)):
            file.write(np.roll(minute, int(generator.integers(len(minute))), axis=0).tobytes())


def prepare_folder(folder: Path) -> None:
    """Prepare the recordings of a folder."""
    extractor = EEGFeatureExtractor(window_seconds=5.0)
    prepare(get_corpus("folder"), folder / "prepared", extractor, root=folder / "recordings")
