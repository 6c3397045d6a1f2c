# SPDX-License-Identifier: Apache-2.0
"""Mixtures of corpora: the stated proportions, no row twice, and the same batches after a restart."""

import itertools
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.stats import binom
from torch.utils.data import DataLoader

from eeg_hf.corpora import LeakError, mixture
from eeg_hf.corpora.windows.encoding import window_schema
from eeg_hf.training import ChannelGroupedSampler

WEIGHTS = {"hbn": 0.7, "tuh": 0.3}
WINDOWS = 200  # of a subject
DRAWS = 3000


def write_prepared(
    folder: Path,
    *,
    corpus: str,
    subjects: int = 20,
    windows: int = WINDOWS,
    channels: int = 2,
    rate: float = 200.0,
    label: tuple[str, pa.DataType] = ("age", pa.float64()),
    row_group: int = 50,
) -> Path:
    """Write a folder as `prepare` leaves it, with windows of 4 samples that say which they are."""
    name, kind = label
    schema = window_schema({name: str if kind == pa.string() else float})
    (folder / "data").mkdir(parents=True)
    for subject in range(subjects):
        same = {
            "corpus": corpus,
            "subject": f"{subject:02d}",
            "session": "1",
            "run": "1",
            "task": "rest",
            "recording": f"{subject:02d}.edf",
            name: str(subject) if kind == pa.string() else float(subject),
            "event": None,
            "channels": [f"E{i}" for i in range(channels)],
            "bad_channels": [],
            "channel_positions": [0.0] * 3 * channels,
            "sampling_rate": rate,
            "num_samples": 4,
            "reference": "average",
            "line_freq": None,
            "scale_uv": 1.0,
            "quality": 1.0,
            "licence": "CC0-1.0",
            "alignment_group": corpus,
            "signal": np.full((channels, 4), subject, "<i2").tobytes(),
            "scale": [0.5] * channels,
            "quartiles": [float(subject)] * 3 * channels,
        }
        ids = [f"{corpus}/{subject:02d}/{i}" for i in range(windows)]
        each = {"window_id": ids, "signal_hash": ids, "start_seconds": [i * 4 / rate for i in range(windows)]}
        arrays = [pa.array(each.get(f.name) or [same[f.name]] * windows, f.type) for f in schema]
        table = pa.Table.from_arrays(arrays, schema=schema)
        pq.write_table(table, folder / "data" / f"{corpus}-{subject:02d}.parquet", row_group_size=row_group)
    (folder / "README.md").write_text("windows\n")
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, float]:
    root = tmp_path_factory.mktemp("mixture")
    write_prepared(root / "hbn", corpus="made_hbn", channels=3, subjects=25)
    write_prepared(root / "tuh", corpus="made_tuh", label=("sex", pa.string()))
    return {str(root / name): weight for name, weight in WEIGHTS.items()}


@pytest.fixture(scope="module")
def parts(folders):
    return mixture(folders, split="subject")


@pytest.fixture(scope="module")
def stream(folders):
    return mixture(folders, split="subject", streaming=True, columns=["window_id", "age", "sex"])["train"]


def is_within(count: int, draws: int, share: float) -> bool:
    low, high = binom.interval(0.99, draws, share)
    return low <= count <= high


def ids(rows: list[pa.Table]) -> list[str]:
    return [row["window_id"][0].as_py() for row in rows]


def head(stream, number: int) -> list[str]:
    iterator = iter(stream)
    return [next(iterator)["window_id"][0].as_py() for _ in range(number)]


def read(stream, *, batches: int, start: int = 0, size: int = 10, workers: int = 2) -> list[list[str]]:
    stream.start_at(start, size)
    iterator = iter(DataLoader(stream, batch_size=size, num_workers=workers, collate_fn=ids))
    return [next(iterator) for _ in range(batches)]


def test_a_map_style_mixture_has_the_stated_proportions_and_every_row(parts):
    train = parts["train"]
    corpora = np.array(train["corpus"])
    assert is_within((corpora[:DRAWS] == "made_hbn").sum(), DRAWS, 0.7)
    assert is_within((corpora == "made_hbn").sum(), len(corpora), 0.7)
    assert len(set(train["window_id"])) == (21 + 16) * WINDOWS  # of 25 and 20 people
    seen = Counter(train["window_id"]).values()
    assert min(seen) == 1 and max(seen) == 2  # what is small for its weight comes again
    assert list(parts) == ["train", "validation", "test"]
    assert Counter(parts["test"]["corpus"]) == {
        "made_hbn": 2 * WINDOWS,
        "made_tuh": 2 * WINDOWS,
    }  # never weighted


def test_grouping_by_channel_count_keeps_the_proportions(parts):
    train = parts["train"]
    widths = np.array([len(channels) for channels in train["channels"]])
    sampler = ChannelGroupedSampler(widths, batch_size=20)
    drawn = widths[list(sampler)]
    assert (drawn == 3).sum() == (widths == 3).sum()
    batches = drawn[:DRAWS].reshape(-1, 20)
    assert all(len(set(batch)) == 1 for batch in batches)
    assert is_within((batches[:, 0] == 3).sum(), len(batches), 0.7)  # a batch is one draw now
    assert sampler.padding_share() < 0.001 < 0.09 < sampler.padding_share(grouped=False) < 0.11


def test_missing_columns_become_none_whichever_way_it_is_read(parts, stream):
    for corpus, has, lacks in (("made_hbn", "age", "sex"), ("made_tuh", "sex", "age")):
        row = next(row for row in parts["train"] if row["corpus"] == corpus)
        assert row[has] is not None and row[lacks] is None
        row = next(row for row in stream if row["window_id"][0].as_py().startswith(corpus))
        assert row[has][0].as_py() is not None and row[lacks][0].as_py() is None


def test_a_stream_has_the_same_parts_as_the_loaded_corpora(folders, parts):
    streams = mixture(folders, split="subject", streaming=True, columns=["window_id"])
    for part, rows in parts.items():
        found = set(rows["window_id"])
        assert streams[part].num_rows == len(found)
        assert set(head(streams[part], 500)) <= found
    assert len(set(streams["validation"].take(3000)["window_id"])) > 3 * WINDOWS


def test_two_nodes_with_two_workers_keep_the_proportions_and_read_no_row_twice(folders):
    found = []
    for rank in range(2):
        node = mixture(
            folders,
            split="none",
            streaming=True,
            columns=["window_id"],
            rank=rank,
            world_size=2,
            buffer_rows=500,
        )["train"]
        found += [row for batch in read(node, batches=DRAWS // 20) for row in batch]
    assert len(set(found)) == len(found) == DRAWS
    assert is_within(sum(row.startswith("made_hbn") for row in found), DRAWS, 0.7)


@pytest.mark.parametrize("row_group", [10, 400])  # many row groups to share out, or too few
def test_a_pass_reads_every_row_once_and_the_next_in_another_order(tmp_path, row_group):
    folder = write_prepared(tmp_path / "one", corpus="one", subjects=2, windows=400, row_group=row_group)
    both = []
    for rank in range(2):
        stream = mixture({folder: 1}, split="none", streaming=True, rank=rank, world_size=2, buffer_rows=100)
        rows = head(stream["train"], 800)
        assert set(rows[:400]) != rows[:400] and len(set(rows[:400])) == 400
        assert rows[:400] != rows[400:] and rows[:400] != sorted(rows[:400])
        both += rows[:400]
    assert len(set(both)) == 800


@pytest.mark.parametrize("start", [1, 999, 1000, 1001, 10_000])
def test_a_stream_goes_on_exactly_where_it_was(stream, start):
    stream.start_at(0)
    rows = head(stream, start + 50)
    state = stream.state_dict()
    assert state == {"batches": start + 50, "batch_size": 1}
    stream.load_state_dict({"batches": start, "batch_size": 1})
    assert head(stream, 50) == rows[start:]


@pytest.mark.parametrize("start", [1, 2, 25])
def test_a_loader_with_workers_goes_on_with_the_same_batches(stream, start):
    undisturbed = read(stream, batches=start + 6)
    assert read(stream, batches=6, start=start) == undisturbed[start:]


def test_batches_of_one_corpus_keep_the_proportions_and_start_anywhere(folders):
    options = {"split": "none", "streaming": True, "columns": ["window_id"], "run_length": 10}
    stream = mixture(folders, **options)["train"]
    batches = read(stream, batches=400)
    corpora = [{row[:8] for row in batch} for batch in batches]
    assert all(len(found) == 1 for found in corpora)
    assert is_within(sum(found == {"made_hbn"} for found in corpora), len(corpora), 0.7)
    assert read(stream, batches=3, start=397) == batches[397:]


def test_another_seed_is_another_order(folders, stream):
    stream.start_at(0)
    other = mixture(folders, split="subject", streaming=True, columns=["window_id"], seed=1)["train"]
    assert head(other, 100) != head(stream, 100)


def test_rates_that_differ_are_refused_unless_asked_for(tmp_path, folders):
    fast = write_prepared(tmp_path / "fast", corpus="fast", subjects=3, windows=8, rate=250.0)
    sources = {**folders, str(fast): 1.0}
    for streaming in (False, True):
        with pytest.raises(ValueError, match="differ in sampling_rate: .*fast has 250 Hz; .*eeg-hf prepare"):
            mixture(sources, split="none", streaming=streaming)
    assert "train" in mixture(sources, split="none", streaming=True, rates="keep")
    with pytest.raises(ValueError, match="differ in channels: .*E0 E1 E2"):
        mixture(folders, split="none", channels="same")


@pytest.mark.parametrize("streaming", [False, True])
def test_what_cannot_be_mixed_is_refused(tmp_path, folders, streaming):
    other = write_prepared(
        tmp_path / "o", corpus="other", subjects=3, windows=8, label=("age", pa.string()), channels=3
    )
    with pytest.raises(ValueError, match="mixture: .*age"):
        mixture({**folders, str(other): 1.0}, split="none", streaming=streaming)
    with pytest.raises(ValueError, match="positive weights"):
        mixture({str(other): 0.0}, streaming=streaming)
    with pytest.raises(FileNotFoundError, match="no prepared windows"):
        mixture({str(tmp_path): 1.0}, streaming=streaming)


def test_one_corpus_may_not_train_on_what_the_other_tests_on(tmp_path):
    whole = write_prepared(tmp_path / "whole", corpus="one", subjects=12, windows=4)
    subset = write_prepared(tmp_path / "subset", corpus="one", subjects=6, windows=4)
    with pytest.raises(LeakError, match="share .* windows"):
        mixture({whole: 1, subset: 1}, split="subject")


def test_fewer_windows_than_readers_are_refused(tmp_path):
    folder = write_prepared(tmp_path / "one", corpus="one", subjects=1, windows=3)
    stream = mixture({folder: 1}, split="none", streaming=True, world_size=4)["train"]
    with pytest.raises(ValueError, match="3 windows are too few for 4 readers"):
        next(iter(stream))
    with pytest.raises(ValueError, match="expected a rank below 2"):
        mixture({folder: 1}, split="none", streaming=True, rank=2, world_size=2)


def test_rows_of_a_later_pass_have_ids_of_their_own(folders):
    folder = next(iter(folders))
    stream = mixture({folder: 1}, split="none", streaming=True, columns=["window_id"])["train"]
    rows = [row["window_id"][0].as_py() for row in itertools.islice(stream, 2 * stream.num_rows)]
    first, second = rows[: stream.num_rows], rows[stream.num_rows :]
    assert not any("#" in name for name in first)
    assert sorted(second) == sorted(f"{name}#1" for name in first) and len(set(first)) == len(first)
