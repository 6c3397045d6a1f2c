# SPDX-License-Identifier: Apache-2.0
"""Preparation beside braindecode's pipeline and plain MNE calls: speed, and the cost of a corpus."""

import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import mne
import numpy as np
from threadpoolctl import threadpool_limits

from benchmark_parts.timing import BenchmarkArguments, Row, race
from eeg_hf import EEGFeatureExtractor, get_corpus
from eeg_hf.corpora import Corpus, Recording, Simulated, prepare
from eeg_hf.processing.channels import parse_channel

LARGE_CORPUS_HOURS = 25_000


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
    """Prepare some subjects beside the peers, in one process and in several."""
    simulated = RememberedCorpus(args.subjects, args.seconds)
    corpus = simulated if args.corpus == simulated.name else get_corpus(args.corpus)
    root = corpus.locate(args.data_dir)
    subjects = sorted({recording.subject for recording in corpus.recordings(root)})[: args.subjects]
    recordings = [recording for recording in corpus.recordings(root) if recording.subject in subjects]
    extractor = EEGFeatureExtractor(window_seconds=5.0)
    reports: list[dict[str, Any]] = []
    sizes: list[int] = []

    def ours(num_proc: int) -> None:
        with tempfile.TemporaryDirectory() as folder:
            reports.append(
                prepare(corpus, folder, extractor, root=root, subjects=subjects, num_proc=num_proc)
            )
            sizes.append(sum(path.stat().st_size for path in Path(folder).glob("data/*.parquet")))

    rows, cost = [], None
    for num_proc in (
        [1] if corpus is simulated else args.processes
    ):  # recordings in memory are in this process
        for peer_name, peer in peers(corpus, recordings, extractor, num_proc).items():
            timing = race(partial(ours, num_proc), peer, args.pairs)
            cores, hours = f"{num_proc} process{'es' * (num_proc > 1)}", reports[0]["hours"]
            rows.append(timing.row(f"prepare {args.corpus}, {cores}", 60 * hours, "h of EEG/min", peer_name))
            if num_proc == 1:
                cost = 3600 * hours / median(timing.ours)
    return rows + ([] if cost is None else cost_model(cost, sizes[0] / reports[0]["hours"]))


def peers(
    corpus: Corpus, recordings: Sequence[Recording], extractor: EEGFeatureExtractor, num_proc: int
) -> dict[str, Callable[[], object] | None]:
    """Return the peers that can prepare in this number of processes."""

    def by_hand() -> None:
        with tempfile.TemporaryDirectory() as folder, threadpool_limits(1):
            for number, recording in enumerate(recordings):
                np.save(Path(folder) / f"{number}.npy", prepare_by_hand(corpus, recording, extractor))

    found: dict[str, Callable[[], object] | None] = {"MNE by hand": by_hand} if num_proc == 1 else {}
    try:
        import braindecode.preprocessing  # noqa: F401

        name = f"braindecode {version('braindecode')} pipeline"
        found[name] = partial(prepare_by_braindecode, corpus, recordings, extractor, num_proc)
    except (ImportError, OSError) as error:  # a torchaudio whose library does not fit this torch
        found[f"absent, no braindecode: {str(error).splitlines()[0]}"] = None
    return found


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
        mne.set_log_level("ERROR")  # MNE logs each file that braindecode saves
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


def cost_model(hours_per_core_hour: float, bytes_per_hour: float) -> list[Row]:
    """Return the cost of a large corpus of such recordings."""
    large = f"{LARGE_CORPUS_HOURS:,} h of EEG"
    return [
        Row("one core prepares", hours_per_core_hour, "h of EEG/h"),
        Row("one hour of EEG takes", bytes_per_hour / 1e6, "MB"),
        Row(f"{large} take", LARGE_CORPUS_HOURS / hours_per_core_hour, "core-hours"),
        Row(f"{large} take", LARGE_CORPUS_HOURS * bytes_per_hour / 1e9, "GB"),
    ]
