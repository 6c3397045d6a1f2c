# SPDX-License-Identifier: Apache-2.0
"""Measure speed and memory, each figure beside a peer that is timed in the same run.

    python scripts/benchmark.py --quick                        # CPU, a few minutes: does every part work?
    python scripts/benchmark.py --output runs/benchmark.json   # on an idle machine, a quarter of an hour
    python scripts/benchmark.py --parts prepare --corpus eegmat --data_dir data/eegmat

Prints a Markdown table and writes it as JSON. Ours and the peer take turns, and who goes first alternates.
The ratio is the median over such pairs, above 1 where we are faster or need less memory. Machines differ and
are seldom idle: only ratios travel.
"""

import contextlib
import copy
import json
import multiprocessing
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq
import torch
from datasets import disable_progress_bars, load_dataset
from transformers import HfArgumentParser
from transformers.utils import logging

from eeg_hf import (
    EEGDataCollator,
    EEGFeatureExtractor,
    EEGFoundationConfig,
    EEGFoundationForSequenceClassification,
    WindowDataset,
    get_corpus,
)
from eeg_hf.channels import STANDARD_19, electrode_positions, parse_channel
from eeg_hf.corpora import Corpus, Recording, Simulated, prepare
from eeg_hf.corpora.encoding import encode_windows, quantize, window_schema
from eeg_hf.data_collator import decode_windows

if TYPE_CHECKING:
    import mne

NUM_SAMPLES = 2000  # 10 s at 200 Hz
READ_CHANNELS = (*STANDARD_19, "Oz")
READ_BATCH = 32
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
STEPS = 10 if DEVICE == "cuda" else 1  # to one timing; a GPU's step is too short to time by itself

Work = Callable[[], object]


@dataclass
class BenchmarkArguments:
    """What to measure, and how thoroughly."""

    parts: list[str] = field(
        default_factory=lambda: list(PARTS),
        metadata={"help": "Some of import, prepare, read, train, inference, memory and compile."},
    )
    output: str | None = field(default=None, metadata={"help": "JSON file of the rows and the machine."})
    quick: bool = field(default=False, metadata={"help": "See whether it runs; the figures mean nothing."})
    pairs: int = field(default=9, metadata={"help": "How often ours and the peer are timed in turn."})
    threads: int | None = field(default=None, metadata={"help": "Threads of torch; its choice if left out."})
    # Signals
    corpus: str = field(default="simulated", metadata={"help": "What to prepare: simulated, eegmat, ..."})
    data_dir: str | None = field(default=None, metadata={"help": "Folder with the corpus's recordings."})
    subjects: int = field(default=6, metadata={"help": "Prepare so many subjects."})
    seconds: float = field(default=120.0, metadata={"help": "Length of a simulated recording."})
    num_windows: int = field(default=1500, metadata={"help": "Windows to read."})
    # Models
    sizes: list[str] = field(default_factory=lambda: ["tiny", "small"], metadata={"help": "tiny, small."})
    dropouts: list[float] = field(
        default_factory=lambda: [0.0, 0.1], metadata={"help": "Dropout of both models in training."}
    )
    batch_size: int = field(default=8, metadata={"help": "Windows of a training or inference step."})
    compile_backend: str = field(default="inductor", metadata={"help": "Backend of torch.compile."})


@dataclass(frozen=True)
class Row:
    """One line of the table; where a figure could not be had it is None, and `peer_name` says why."""

    name: str
    value: float | None
    unit: str
    peer: float | None = None
    ratio: float | None = None
    peer_name: str = ""

    def to_markdown(self) -> str:
        """Return the line of the table."""
        value, peer, ratio = (_number(figure) for figure in (self.value, self.peer, self.ratio))
        return f"| {self.name} | {value} | {self.unit} | {self.peer_name} | {peer} | {ratio} |"


@dataclass(frozen=True)
class Timing:
    """Seconds of each turn of ours and of the peer."""

    ours: list[float]
    peer: list[float]

    def row(self, name: str, amount: float, unit: str, peer_name: str) -> Row:
        """Return what was done a second, where each turn did `amount`."""
        value = amount / median(self.ours)
        if not self.peer:
            return Row(name, value, unit, peer_name=peer_name)
        ratio = median(peer / ours for ours, peer in zip(self.ours, self.peer, strict=True))
        return Row(name, value, unit, amount / median(self.peer), ratio, peer_name)


def race(ours: Work, peer: Work | None, pairs: int, warm_up: bool = True) -> Timing:
    """Time two pieces of work in turn, first one of each that does not count."""
    works = [ours] if peer is None else [ours, peer]
    seconds: list[list[float]] = [[], []]
    for turn in range(-1 if warm_up else 0, pairs):
        order = range(len(works)) if turn % 2 == 0 else reversed(range(len(works)))
        for index in order:
            started = time.perf_counter()
            works[index]()
            if turn >= 0:
                seconds[index].append(time.perf_counter() - started)
    return Timing(*seconds)


# Importing


def measure_import(args: BenchmarkArguments) -> list[Row]:
    """Start Python with and without `import eeg_hf`."""

    def start_python(code: str) -> None:
        subprocess.run([sys.executable, "-c", code], check=True)

    code = "import torch, transformers"
    ours, peer = partial(start_python, f"{code}, eeg_hf"), partial(start_python, code)
    timing = race(ours, peer, args.pairs, warm_up=False)  # this process has just read all the files
    on_top = float(np.median(np.subtract(timing.ours, timing.peer)))
    return [Row("import eeg_hf, on top of the peer", on_top, "s", median(timing.peer), peer_name=code)]


# Preparing


class RememberedCorpus(Simulated):
    """Simulated recordings kept in memory: neither side is timed making them."""

    def __init__(self, num_subjects: int, seconds: float) -> None:
        super().__init__(num_subjects, seconds)
        self.made: dict[Path, mne.io.BaseRaw] = {}

    def read(self, recording: Recording) -> "mne.io.BaseRaw":
        """Make the recording, or return a copy of the one made before."""
        if recording.path not in self.made:
            self.made[recording.path] = super().read(recording)
        return self.made[recording.path].copy()


def measure_prepare(args: BenchmarkArguments) -> list[Row]:
    """Prepare some subjects, in this process, beside a script of MNE calls that does the same."""
    simulated = RememberedCorpus(args.subjects, args.seconds)
    corpus = simulated if args.corpus == simulated.name else get_corpus(args.corpus)
    root = corpus.locate(args.data_dir)
    subjects = sorted({recording.subject for recording in corpus.recordings(root)})[: args.subjects]
    recordings = [recording for recording in corpus.recordings(root) if recording.subject in subjects]
    extractor = EEGFeatureExtractor()
    reports = []

    def ours() -> None:
        with tempfile.TemporaryDirectory() as folder:
            reports.append(prepare(corpus, root, folder, extractor, subjects=subjects))

    def by_hand() -> None:
        with tempfile.TemporaryDirectory() as folder:
            for number, recording in enumerate(recordings):
                np.save(Path(folder) / f"{number}.npy", prepare_by_hand(corpus, recording, extractor))

    timing = race(ours, by_hand, args.pairs)
    name, hours = f"prepare {args.corpus}", reports[0]["hours"]
    return [timing.row(name, 60 * hours, "h of EEG/min/core", "MNE by hand")]


def prepare_by_hand(corpus: Corpus, recording: Recording, extractor: EEGFeatureExtractor) -> np.ndarray:
    """Clean and cut a recording by MNE's own calls; (windows, channels, time) float32 in microvolt."""
    import mne

    raw = corpus.read(recording).pick("eeg").load_data(verbose="ERROR")
    raw.drop_channels([name for name in raw.ch_names if parse_channel(name).kind != "eeg"])
    raw.set_eeg_reference("average", verbose="ERROR")
    raw.filter(extractor.highpass_hz, extractor.lowpass_hz, verbose="ERROR")
    raw.resample(extractor.sampling_rate, method="polyphase", verbose="ERROR")  # faster than its default
    epochs = mne.make_fixed_length_epochs(raw, extractor.window_seconds, preload=True, verbose="ERROR")
    return (epochs.get_data() * 1e6).astype(np.float32)


# Reading


def measure_read(args: BenchmarkArguments) -> list[Row]:
    """Read all windows in random batches, decoded only and through the collator, beside a numpy memmap."""
    with tempfile.TemporaryDirectory() as folder:
        counts, scale = write_windows(Path(folder), args.num_windows)
        rows = [time_to_first_window(Path(folder), when) for when in ("shards to be converted", "again")]
        windows = open_windows(Path(folder))
        batches = random_batches(args.num_windows)

        def by_memmap() -> None:
            for batch in batches:
                from_memmap(counts, scale, batch)

        ours, _, _ = decode_windows(windows.__getitems__(batches[0]))
        if not np.array_equal(ours, from_memmap(counts, scale, batches[0])):
            raise RuntimeError("the peer reads other windows than we do: the comparison means nothing")
        readers: dict[str, Callable[[Any], object]] = {"decoded": decode_windows}
        for normalization in ("none", "microvolt", "zscore", "robust"):
            extractor = EEGFeatureExtractor(normalization=normalization)
            readers[f"collated, {normalization}"] = EEGDataCollator(extractor)
        for name, reader in readers.items():
            timing = race(partial(read_all, windows, batches, reader), by_memmap, args.pairs)
            rows.append(timing.row(f"read 20 x 2000, {name}", args.num_windows, "windows/s", "numpy memmap"))
    return rows


def write_windows(folder: Path, num_windows: int) -> tuple[np.ndarray, np.ndarray]:
    """Write noise as a prepared corpus and as bare int16; return the latter, mapped, and its scales."""
    corpus, random = Simulated(), np.random.default_rng(0)
    recording = corpus.recordings()[0]
    shape, scales = (num_windows, len(READ_CHANNELS), NUM_SAMPLES), []
    (folder / "data").mkdir()
    schema, path = window_schema(corpus.label_names), folder / "data/simulated-00.parquet"
    with pq.ParquetWriter(path, schema) as shard, (folder / "bare.i2").open("wb") as bare:
        for first in range(0, num_windows, 256):
            starts = np.arange(first, min(first + 256, num_windows)) * 10.0
            windows = random.normal(scale=20.0, size=(len(starts), *shape[1:]))
            counts, scale = quantize(windows)
            counts.tofile(bare)
            scales.append(scale)
            table = encode_windows(
                windows,
                starts.tolist(),
                [None] * len(starts),
                corpus=corpus,
                recording=recording,
                recording_name="noise",
                channels=READ_CHANNELS,
                bad_channels=(),
                channel_positions=electrode_positions(READ_CHANNELS),
                sampling_rate=200.0,
                reference="average",
                alignment_group="simulated/00",
            )
            shard.write_table(table)
    return np.memmap(folder / "bare.i2", "<i2", "r", shape=shape), np.concatenate(scales)


def open_windows(folder: Path) -> WindowDataset:
    """Open what `write_windows` wrote, as any prepared corpus is; its cache is kept inside."""
    return WindowDataset(load_dataset(str(folder / "data"), split="train", cache_dir=str(folder / "cache")))


def time_to_first_window(folder: Path, when: str) -> Row:
    """Time from a folder's name to samples."""
    started = time.perf_counter()
    decode_windows(open_windows(folder)[0])
    return Row(f"time to first window, {when}", time.perf_counter() - started, "s")


def random_batches(num_windows: int) -> list[list[int]]:
    """Return all rows in random order, in batches."""
    order = np.random.default_rng(1).permutation(num_windows).tolist()
    return [order[first : first + READ_BATCH] for first in range(0, num_windows, READ_BATCH)]


def read_all(windows: WindowDataset, batches: Sequence[list[int]], reader: Callable[[Any], object]) -> None:
    """Read every batch."""
    for batch in batches:
        reader(windows.__getitems__(batch))


def from_memmap(counts: np.ndarray, scale: np.ndarray, batch: list[int]) -> np.ndarray:
    """Return windows (batch, channels, time) float32 in microvolt: the least that reading can be."""
    return np.multiply(counts[batch], scale[batch][..., None], dtype=np.float32)


# Models


@dataclass(frozen=True)
class Size:
    """Our model, and a Labram of as many layers, heads and parameters."""

    hidden_size: int
    num_layers: int
    num_heads: int
    intermediate_size: int
    labram_filters: int  # a multiple of 4; Labram is 25 times as wide, at a patch of 200 samples


SIZES = {"tiny": Size(128, 3, 4, 512, labram_filters=8), "small": Size(512, 6, 8, 2048, labram_filters=24)}


@dataclass(frozen=True)
class Contestant:
    """A model on the device, and how it maps the batch to logits."""

    model: torch.nn.Module
    forward: Callable[[dict[str, torch.Tensor]], torch.Tensor]

    @property
    def num_parameters(self) -> int:
        """Number of parameters."""
        return sum(parameter.numel() for parameter in self.model.parameters())


def build_ours(size: Size, dropout: float) -> Contestant:
    """Return our classifier."""
    config = EEGFoundationConfig(
        hidden_size=size.hidden_size,
        num_hidden_layers=size.num_layers,
        num_attention_heads=size.num_heads,
        intermediate_size=size.intermediate_size,
        overlap=0.0,
        dropout=dropout,
        classifier_dropout=dropout,
    )
    model: torch.nn.Module = EEGFoundationForSequenceClassification(config)
    model.to(DEVICE)
    return Contestant(model, lambda batch: model(**batch).logits)


def build_labram(size: Size, dropout: float, num_parameters: int) -> Contestant:
    """Return braindecode's Labram with as many parameters, or raise ImportError.

    Its feed-forward layers are as wide as the number of parameters asks for. Its patches are as long as ours,
    so it has as many tokens, and one for the class.
    """
    try:
        from braindecode.models import Labram
    except OSError as error:  # a torchaudio whose library does not fit this torch
        raise ImportError(str(error).splitlines()[0]) from error
    settings = {
        "n_times": NUM_SAMPLES,
        "n_chans": len(STANDARD_19),
        "n_outputs": 2,
        "conv_out_channels": size.labram_filters,
        "num_layers": size.num_layers,
        "num_heads": size.num_heads,
        "drop_prob": dropout,
        "attn_drop_prob": dropout,
    }
    names = [name.upper() for name in STANDARD_19]

    def build(mlp_ratio: float) -> Contestant:
        model = Labram(**settings, mlp_ratio=mlp_ratio).to(DEVICE)
        return Contestant(model, lambda batch: model(batch["input_values"], ch_names=names))

    width = 25 * size.labram_filters
    unit = size.num_layers * (2 * width * width + width)  # two matrices and a bias in each layer
    return build(1 + (num_parameters - build(1).num_parameters) / unit)


def make_batch(batch_size: int) -> dict[str, torch.Tensor]:
    """Return a batch as the collator does, 19 electrodes x 10 s."""
    batch = {
        "input_values": torch.randn(batch_size, len(STANDARD_19), NUM_SAMPLES),
        "channel_positions": torch.from_numpy(electrode_positions(STANDARD_19)).repeat(batch_size, 1, 1),
        "channel_mask": torch.ones(batch_size, len(STANDARD_19), dtype=torch.bool),
        "attention_mask": torch.ones(batch_size, NUM_SAMPLES, dtype=torch.bool),
    }
    return {name: tensor.to(DEVICE) for name, tensor in batch.items()}


def make_step(contestant: Contestant, batch: dict[str, torch.Tensor], is_training: bool) -> Work:
    """Return a function that trains (forward, backward, AdamW) or infers on the batch, `STEPS` times."""
    model = contestant.model.train(is_training)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    labels = torch.arange(len(batch["input_values"]), device=DEVICE) % 2

    def step() -> None:
        with torch.set_grad_enabled(is_training):
            for _ in range(STEPS):
                logits = contestant.forward(batch)
                if is_training:
                    optimizer.zero_grad()
                    torch.nn.functional.cross_entropy(logits, labels).backward()
                    optimizer.step()
        if DEVICE == "cuda":
            torch.cuda.synchronize()

    return step


def race_labram(args: BenchmarkArguments, size: str, dropout: float, is_training: bool) -> Row:
    """Time our model beside Labram, or alone where braindecode is missing."""
    batch = make_batch(args.batch_size)
    ours = build_ours(SIZES[size], dropout)
    peer_step = None
    try:
        peer = build_labram(SIZES[size], dropout, ours.num_parameters)
        peer_step = make_step(peer, batch, is_training)
        peer_name = f"braindecode {version('braindecode')} Labram, {peer.num_parameters:,} parameters"
    except ImportError as error:
        peer_name = f"absent, no braindecode: {error}"
    timing = race(make_step(ours, batch, is_training), peer_step, args.pairs)
    what = f"train {size}, dropout {dropout:g}" if is_training else f"infer {size}"
    name = f"{what}, {ours.num_parameters:,} parameters"
    return timing.row(name, STEPS * args.batch_size, "windows/s", peer_name)


def measure_training(args: BenchmarkArguments) -> list[Row]:
    """Train beside Labram."""
    return [race_labram(args, size, dropout, True) for size in args.sizes for dropout in args.dropouts]


def measure_inference(args: BenchmarkArguments) -> list[Row]:
    """Infer beside Labram."""
    return [race_labram(args, size, 0.0, False) for size in args.sizes]


# Memory


def measure_memory(args: BenchmarkArguments) -> list[Row]:
    """Read and train in processes of their own, and ask how much memory each of them took at most."""
    rows = [Row("peak memory, imports alone", in_fresh_process(None), "MB")]
    with tempfile.TemporaryDirectory() as folder:
        write_windows(Path(folder), args.num_windows)
        open_windows(Path(folder))  # converts the shards, which is not reading
        peak = in_fresh_process(read_through_collator, Path(folder), args.num_windows)
        rows.append(Row(f"peak memory, reading {args.num_windows} windows", peak, "MB"))
    for size in args.sizes:
        name = f"peak memory{' of the GPU' if DEVICE == 'cuda' else ''}, training {size}"
        ours = in_fresh_process(train_two_steps, size, args, False)
        try:
            peer = in_fresh_process(train_two_steps, size, args, True)
            rows.append(Row(name, ours, "MB", peer, peer / ours, "braindecode Labram"))
        except ImportError as error:
            rows.append(Row(name, ours, "MB", peer_name=f"absent, no braindecode: {error}"))
    return rows


def in_fresh_process(work: Callable[..., None] | None, *arguments: object) -> float:
    """Return the peak memory of a process that does nothing but this work, in MB."""
    # On Linux a spawned process reports its parent's peak where that is higher. A forked one does not, and
    # the server that forks it is small.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([])  # a fork of what has looked for a GPU cannot use it
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(peak_memory, work, *arguments).result()


def peak_memory(work: Callable[..., None] | None, *arguments: object) -> float:
    """Work, then return the largest memory that this process had, in MB; of the GPU if that was used."""
    import resource

    if work is not None:
        work(*arguments)
    if torch.cuda.is_initialized():
        return torch.cuda.max_memory_allocated() / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def read_through_collator(folder: Path, num_windows: int) -> None:
    """Read all windows as training does."""
    read_all(open_windows(folder), random_batches(num_windows), EEGDataCollator(EEGFeatureExtractor()))


def train_two_steps(size: str, args: BenchmarkArguments, is_labram: bool) -> None:
    """Train twice: the second step has AdamW's moments in memory from its start."""
    torch.set_num_threads(args.threads or torch.get_num_threads())
    with contextlib.suppress(ImportError, OSError):  # into our process as well: it is not what is measured
        import braindecode.models  # noqa: F401
    contestant = build_ours(SIZES[size], 0.0)
    if is_labram:
        contestant = build_labram(SIZES[size], 0.0, contestant.num_parameters)
    step = make_step(contestant, make_batch(args.batch_size), is_training=True)
    step()
    step()


# Compiling


def measure_compile(args: BenchmarkArguments) -> list[Row]:
    """Compile the first of the sizes whole, for inference and for training."""
    size = args.sizes[0]
    rows = []
    for is_training in (False, True):
        what = f"torch.compile, {'train' if is_training else 'infer'} {size}"
        try:
            rows += race_compiled(args, what, SIZES[size], is_training)
        except RuntimeError as error:  # a break of the graph, or a machine without a C++ compiler
            why = f"failed: {type(error).__name__}: {str(error).splitlines()[0]}"
            rows.append(Row(what, None, "", peer_name=why))
    return rows


def race_compiled(args: BenchmarkArguments, what: str, size: Size, is_training: bool) -> list[Row]:
    """Compile, compare the logits, and time it beside the same model run eagerly."""
    batch = make_batch(args.batch_size)
    eager = build_ours(size, dropout=0.0)
    model = copy.deepcopy(eager.model)
    compiled_model = torch.compile(model, fullgraph=True, backend=args.compile_backend)
    compiled = Contestant(model, lambda batch: compiled_model(**batch).logits)
    ours, peer = (make_step(contestant, batch, is_training) for contestant in (compiled, eager))
    started = time.perf_counter()
    with torch.set_grad_enabled(is_training):
        logits = compiled.forward(batch).detach()
    ours()  # in training the way back is compiled here
    compiling = time.perf_counter() - started
    expected = eager.forward(batch).detach()
    difference = float((logits - expected).abs().max() / expected.abs().max())
    timing = race(ours, peer, args.pairs)
    return [
        timing.row(what, STEPS * args.batch_size, "windows/s", "eager"),
        Row(f"{what}, compiling", compiling, "s"),
        Row(f"{what}, largest difference", difference, "of the largest logit"),
    ]


PARTS: dict[str, Callable[[BenchmarkArguments], list[Row]]] = {
    "import": measure_import,
    "prepare": measure_prepare,
    "read": measure_read,
    "train": measure_training,
    "inference": measure_inference,
    "memory": measure_memory,
    "compile": measure_compile,
}


def main() -> None:
    """Measure the parts asked for, in their order."""
    (args,) = HfArgumentParser(BenchmarkArguments).parse_args_into_dataclasses()  # type: ignore[arg-type]
    if args.quick:
        args.pairs, args.subjects, args.seconds, args.num_windows, args.sizes = 1, 1, 20.0, 64, ["tiny"]
    for names, known in ((args.parts, PARTS), (args.sizes, SIZES)):
        if unknown := sorted(set(names) - set(known)):
            raise ValueError(f"expected some of {', '.join(known)}; got {', '.join(unknown)}")
    torch.set_num_threads(args.threads or torch.get_num_threads())
    torch.manual_seed(0)
    disable_progress_bars()
    logging.disable_progress_bar()
    machine = describe_machine()
    sys.stdout.write(", ".join(f"{name} {value}" for name, value in machine.items()) + "\n\n")
    sys.stdout.write("| what | eeg_hf | unit | beside | its value | ratio |\n|---|---|---|---|---|---|\n")
    rows: list[Row] = []
    for part in args.parts:
        measured = PARTS[part](args)
        rows += measured
        sys.stdout.write("".join(row.to_markdown() + "\n" for row in measured))
        sys.stdout.flush()
    if args.output:
        result = {"machine": machine, "arguments": asdict(args), "rows": [asdict(row) for row in rows]}
        Path(args.output).parent.mkdir(parents=True, exist_ok=True)
        Path(args.output).write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def describe_machine() -> dict[str, str | int | float | None]:
    """Return what the figures depend on."""
    return {
        "device": torch.cuda.get_device_name() if DEVICE == "cuda" else _cpu_name(),
        "threads": torch.get_num_threads(),
        "load": round(os.getloadavg()[0], 1),
        **{name: version(name) for name in ("eeg-hf", "torch", "transformers", "datasets", "mne")},
    }


def _cpu_name() -> str:
    """Return the processor's name where Linux tells it, else its architecture."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _number(value: float | None) -> str:
    """Write three significant digits, and thousands in full."""
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError) as error:
        sys.exit(f"benchmark: {error}")
