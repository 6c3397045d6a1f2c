# SPDX-License-Identifier: Apache-2.0
"""Reading prepared windows: speed beside a bare memmap, time to the first window, memory and padding."""

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from datasets import load_dataset

from benchmark_parts.noise import encode_noise
from benchmark_parts.timing import BenchmarkArguments, Row, in_fresh_process, peak_memory, race
from eeg_hf import EEGDataCollator, EEGFeatureExtractor, WindowDataset
from eeg_hf.collation import SIGNAL_COLUMNS, decode_windows
from eeg_hf.corpora import Simulated
from eeg_hf.corpora.windows.card import CARD
from eeg_hf.corpora.windows.encoding import quantize, window_schema
from eeg_hf.corpora.windows.prepared import load_windows
from eeg_hf.corpora.windows.whole_file import WholeFile
from eeg_hf.processing.channels import STANDARD_19
from eeg_hf.training import ChannelGroupedSampler

NUM_SAMPLES = 2000  # 10 s at 200 Hz
READ_CHANNELS = (*STANDARD_19, "Oz")
READ_BATCH = 32
SHARD_WINDOWS = 1024
AIM_WINDOWS = 250_000  # 20 GB
CONFIG = {"config_name": "windows", "data_files": "data/*.parquet", "default": True}
MIXED_CHANNELS = {19: 6000, 64: 3000, 128: 1000}
"""Number of channels -> windows of a mixture of corpora."""


def measure_read(args: BenchmarkArguments) -> list[Row]:
    """Read all windows in random batches, decoded only and with the collator, beside a numpy memmap."""
    with tempfile.TemporaryDirectory() as folder:
        counts, scale = write_windows(Path(folder), args.num_windows)
        rows = [time_to_first_window(Path(folder), when) for when in ("mapped", "mapped again")]
        windows = open_windows(Path(folder))
        batches = random_batches(args.num_windows)

        def by_memmap() -> None:
            for batch in batches:
                from_memmap(counts, scale, batch)

        ours, _, _ = decode_windows(windows.__getitems__(batches[0]))
        if not np.array_equal(ours, from_memmap(counts, scale, batches[0])):
            raise RuntimeError("the peer reads other windows than we do: the comparison means nothing")
        readers: dict[str, Callable[[Any], object]] = {"decoded": decode_windows}
        aims = {"collated, none": "≥ 0.9", "collated, robust": "≥ 0.5"}
        for normalization in ("none", "microvolt", "zscore", "robust"):
            extractor = EEGFeatureExtractor(normalization=normalization)
            readers[f"collated, {normalization}"] = EEGDataCollator(extractor)
        for name, reader in readers.items():
            timing = race(partial(read_all, windows, batches, reader), by_memmap, args.pairs)
            what = f"read {len(READ_CHANNELS)} x {NUM_SAMPLES}, {name}"
            rows.append(timing.row(what, args.num_windows, "windows/s", "numpy memmap", aims.get(name, "")))
    return rows


def write_windows(folder: Path, num_windows: int) -> tuple[np.ndarray, np.ndarray]:
    """Write noise as a prepared corpus and as bare int16; return a memmap of the latter and its scales."""
    corpus, random = Simulated(), np.random.default_rng(0)
    recording = corpus.recordings()[0]
    shape, scales = (num_windows, len(READ_CHANNELS), NUM_SAMPLES), []
    (folder / "data").mkdir()
    schema, path = window_schema(corpus.label_names), folder / "data/simulated-00.parquet"
    with WholeFile(path, schema) as shard, (folder / "bare.i2").open("wb") as bare:
        for first in range(0, num_windows, 256):
            windows = random.normal(scale=20.0, size=(min(256, num_windows - first), *shape[1:]))
            counts, scale = quantize(windows)
            counts.tofile(bare)
            scales.append(scale)
            shard.write(encode_noise(windows, corpus, recording, READ_CHANNELS, first))
    (folder / CARD).write_text(f"---\n{yaml.safe_dump({'configs': [CONFIG]})}---\n", encoding="utf-8")
    return np.memmap(folder / "bare.i2", "<i2", "r", shape=shape), np.concatenate(scales)


def open_windows(folder: Path) -> WindowDataset:
    """Open the corpus that `write_windows` wrote, with its cache in the same folder."""
    datasets.config.HF_DATASETS_CACHE = folder / "cache"
    return WindowDataset(load_windows(folder))


def stream_batches(folder: Path) -> Iterator[pa.Table]:
    """Read batches from the shards in order, without conversion to datasets' cache."""
    stream = load_dataset(str(folder / "data"), split="train", streaming=True)
    yield from stream.select_columns(list(SIGNAL_COLUMNS)).with_format("arrow").iter(READ_BATCH)


def time_to_first_window(folder: Path, when: str) -> Row:
    """Time from a folder's name to the samples of the first window."""
    started = time.perf_counter()
    if when == "streamed":
        decode_windows(next(stream_batches(folder)))
    else:
        decode_windows(open_windows(folder)[0])
    return Row(f"first window, {when}", time.perf_counter() - started, "s")


def random_batches(num_windows: int) -> list[list[int]]:
    """Return batches of all row indices in random order."""
    order = np.random.default_rng(1).permutation(num_windows).tolist()
    return [order[first : first + READ_BATCH] for first in range(0, num_windows, READ_BATCH)]


def read_all(windows: WindowDataset, batches: Sequence[list[int]], reader: Callable[[Any], object]) -> None:
    """Read every batch."""
    for batch in batches:
        reader(windows.__getitems__(batch))


def from_memmap(counts: np.ndarray, scale: np.ndarray, batch: list[int]) -> np.ndarray:
    """Return windows (batch, channels, time) float32 in uV with the least possible work."""
    windows = counts[batch].astype(np.float32)
    windows *= scale[batch][..., None]  # in two passes, a third faster than np.multiply into float32
    return windows


def read_through_collator(folder: Path, num_windows: int) -> None:
    """Read all windows as in training."""
    read_all(open_windows(folder), random_batches(num_windows), EEGDataCollator(EEGFeatureExtractor()))


def measure_reading_memory(args: BenchmarkArguments) -> list[Row]:
    """Measure the peak memory of reading, in its own process."""
    rows = [Row("peak memory, imports alone", in_fresh_process(peak_memory, None), "MB")]
    with tempfile.TemporaryDirectory() as folder:
        write_windows(Path(folder), args.num_windows)
        open_windows(Path(folder))  # converts the shards, which is not measured
        peak = in_fresh_process(peak_memory, read_through_collator, Path(folder), args.num_windows)
        rows.append(Row(f"peak memory, reading {args.num_windows} windows", peak, "MB"))
    return rows


# Many windows


def measure_scale(args: BenchmarkArguments) -> list[Row]:
    """Open and read a corpus of many windows, made of hard links to one shard."""
    with tempfile.TemporaryDirectory(dir=args.scratch) as name:
        folder = Path(name)
        write_windows(folder, min(SHARD_WINDOWS, args.scale_windows))
        (shard,) = (folder / "data").glob("*.parquet")
        num_shards = -(-args.scale_windows // SHARD_WINDOWS)
        for number in range(1, num_shards):
            os.link(shard, shard.with_name(f"simulated-{number:05d}.parquet"))
        what = f"{num_shards * pq.read_metadata(shard).num_rows:,} windows"
        size = f"{num_shards * shard.stat().st_size / 1e9:.2g} GB"
        times = [time_to_first_window(folder, when) for when in ("streamed", "mapped", "mapped again")]
        aims = ("≤ 2 s", "≤ 2 s", "") if args.scale_windows >= AIM_WINDOWS else ("", "", "")
        rows = [
            Row(f"{row.name}, of {what} ({size})", row.value, row.unit, aim=aim)
            for row, aim in zip(times, aims, strict=True)
        ]
        for how, read in (("streamed", stream_batches), ("mapped", map_batches)):
            speed, *peaks = in_fresh_process(read_and_watch, read, folder)
            rows.append(Row(f"read {size}, {how}, collated, robust", speed, "windows/s"))
            for kind, peak in zip(("resident", "anonymous"), peaks, strict=True):
                rows.append(Row(f"read {size}, {how}, peak {kind} memory", peak, "MB"))
    return rows


def read_and_watch(read: Callable[[Path], Iterator[pa.Table]], folder: Path) -> tuple[float, float, float]:
    """Collate all windows; return windows per second, and peak resident and anonymous memory in MB.

    Pages of a mapped file stay resident until the system needs their memory. It can drop them at any time,
    but not anonymous memory.
    """
    collate, process = EEGDataCollator(EEGFeatureExtractor()), psutil.Process()
    started, num_windows, resident, anonymous = time.perf_counter(), 0, 0, 0
    for table in read(folder):
        num_windows += len(collate(table)["input_values"])
        memory = process.memory_info()
        resident = max(resident, memory.rss)
        anonymous = max(anonymous, memory.rss - getattr(memory, "shared", 0))
    return num_windows / (time.perf_counter() - started), resident / 1e6, anonymous / 1e6


def map_batches(folder: Path) -> Iterator[pa.Table]:
    """Read batches in random order from datasets' cache, which is mapped into memory."""
    windows = open_windows(folder)
    return map(windows.__getitems__, random_batches(len(windows)))


# Padding


def measure_padding(args: BenchmarkArguments) -> list[Row]:
    """Return the share of padding in batches of mixed montages, with and without grouping."""
    num_channels = np.repeat(list(MIXED_CHANNELS), list(MIXED_CHANNELS.values()))
    sampler = ChannelGroupedSampler(num_channels, READ_BATCH)
    mixed = ", ".join(f"{windows} x {channels}" for channels, windows in MIXED_CHANNELS.items())
    return [
        Row(
            f"padding of batches of {READ_BATCH}, {mixed} channels",
            100 * sampler.padding_share(),
            "%",
            100 * sampler.padding_share(grouped=False),
            peer_name="shuffled without groups",
        )
    ]
