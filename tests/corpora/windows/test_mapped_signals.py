# SPDX-License-Identifier: Apache-2.0
"""Samples that are mapped where they lie: the rows of load_dataset, without a copy."""

import multiprocessing
import pickle
import shutil

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import concatenate_datasets, load_dataset

from eeg_hf import EEGFeatureExtractor, WindowDataset
from eeg_hf.collation import EEGDataCollator, decode_windows
from eeg_hf.corpora import Simulated, load_windows, prepare
from eeg_hf.corpora.windows import whole_file
from eeg_hf.corpora.windows.mapped_signals import MappedSignals, load_mapped


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    """Give `datasets` an empty cache: it knows folders by their names."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


@pytest.fixture
def folder(prepared, tmp_path):
    """Return a copy of a prepared corpus."""
    return shutil.copytree(prepared, tmp_path / "corpus")


def signal_blocks(rows):
    return [block for line in rows.data.blocks for block in line if isinstance(block, MappedSignals)]


def test_the_rows_are_those_of_load_dataset_and_the_samples_are_not_copied(folder, tmp_path):
    rows = load_windows(folder)
    assert signal_blocks(rows)
    cached = sum(path.stat().st_size for path in (tmp_path / "cache").rglob("*.arrow"))
    assert 0 < cached < 0.5 * sum(path.stat().st_size for path in folder.glob("data/*.parquet"))
    expected = load_dataset(str(folder), split="train")
    assert rows.features == expected.features and rows.column_names == expected.column_names
    assert rows.split == expected.split and rows[:] == expected[:]
    assert rows._fingerprint == load_windows(folder)._fingerprint  # what `map` makes of them is found again


def test_windows_of_other_shapes_in_several_row_groups_are_found(tmp_path, monkeypatch):
    monkeypatch.setattr(whole_file, "_GROUP_BYTES", 2 * 19 * 400 * 5)  # a group for each recording
    for seconds in (2.0, 3.0):
        prepare(
            Simulated(num_subjects=2, seconds=20),
            tmp_path / f"{seconds:g}",
            EEGFeatureExtractor(window_seconds=seconds),
        )
    shard = next((tmp_path / "2").glob("data/*-00.parquet"))
    assert pq.read_metadata(shard).num_row_groups == 2
    for path in (tmp_path / "3").glob("data/*.parquet"):  # one folder with windows of two lengths
        shutil.copy(path, tmp_path / "2/data" / f"longer-{path.name}")
    rows = load_mapped(tmp_path / "2")
    assert rows is not None and rows[:] == load_dataset(str(tmp_path / "2"), split="train")[:]
    assert {len(signal) for signal in rows["signal"]} == {19 * 400 * 2, 19 * 600 * 2}


def test_what_is_done_to_the_rows_leaves_them_mapped(folder):
    rows = load_windows(folder)
    changed = concatenate_datasets([rows, rows]).rename_column("signal", "samples").select([40, 3, 100])
    changed = changed.remove_columns("event").rename_column("samples", "signal").shuffle(seed=0)
    assert signal_blocks(changed) and sorted(changed["signal"]) == sorted(
        rows["signal"][number % len(rows)] for number in (40, 3, 100)
    )
    assert rows.filter(lambda row: row["subject"] == "02")["signal"] == [
        signal for signal, subject in zip(rows["signal"], rows["subject"], strict=True) if subject == "02"
    ]
    assert len(rows.data.slice(3, 4).column("signal")) == 4
    cast = signal_blocks(rows)[0].cast(pa.schema([("signal", pa.large_binary())]))
    assert pickle.loads(pickle.dumps(cast)).column("signal").type == pa.large_binary()


def _decode(windows, connection):
    connection.send(decode_windows(windows.__getitems__([5, 80, 1]))[0])


def test_another_process_maps_the_same_files(folder):
    windows = WindowDataset(load_windows(folder))
    samples = sum(path.stat().st_size for path in folder.glob("data/*.parquet"))
    assert len(pickle.dumps(windows)) < 0.1 * samples
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_decode, args=(windows, theirs))
    process.start()
    theirs.close()  # so that the end of the process ends the wait
    assert ours.poll(120)
    np.testing.assert_array_equal(ours.recv(), decode_windows(windows.__getitems__([5, 80, 1]))[0])
    process.join()


def test_a_shard_that_was_replaced_is_not_read_by_another_process(folder):
    pickled = pickle.dumps(load_windows(folder))
    path = next(folder.glob("data/*.parquet"))
    table = pq.read_table(path)
    path.unlink()
    pq.write_table(table, path)
    with pytest.raises(OSError, match="has changed since it was opened: load the windows again"):
        pickle.loads(pickled)


def test_rows_that_the_cache_holds_of_other_shards_are_read_anew(folder):
    before = load_windows(folder)
    path = sorted(folder.glob("data/*.parquet"))[2]
    table = pq.read_table(path)
    footer = whole_file.read_footer(path)
    with whole_file.WholeFile(path, table.schema.remove_metadata()) as shard:
        shard.write(table[::-1].combine_chunks())
        shard.footer = footer
    after = load_windows(folder)  # with the card, by which the cache knows it
    assert signal_blocks(after) and after["window_id"][:] != before["window_id"][:]
    assert dict(zip(after["window_id"], after["signal"], strict=True)) == dict(
        zip(before["window_id"], before["signal"], strict=True)
    )


@pytest.mark.parametrize("how", ["snappy", "with gaps", "pages", "other samples", "no windows of it"])
def test_shards_in_another_form_are_copied_as_before(folder, how):
    path = sorted(folder.glob("data/*.parquet"))[1]
    table = pq.read_table(path)
    options = {"compression": "none", "use_dictionary": False}
    if how != "with gaps":
        options["column_encoding"] = {"signal": whole_file.CONCATENATED}
    if how == "snappy":
        options["compression"] = "snappy"
    options["data_page_size"] = 1000 if how == "pages" else 2**30
    if how == "pages":
        options["write_batch_size"] = 1
    if how == "other samples":
        table = table.set_column(
            table.column_names.index("signal_hash"), "signal_hash", table.column("signal_hash")[::-1]
        )
    if how == "no windows of it":
        table = table.drop_columns("signal_hash").append_column(
            "signal_hash", pa.nulls(len(table), pa.string())
        )
    pq.write_table(table, path, **options)
    assert load_mapped(folder) is None
    rows = load_windows(folder)
    assert not any(
        isinstance(block, MappedSignals) for line in getattr(rows.data, "blocks", []) for block in line
    )
    assert (
        rows["signal"][len(rows) // 4] == load_dataset(str(folder), split="train")["signal"][len(rows) // 4]
    )


def test_batches_are_the_same_mapped_or_copied(folder):
    mapped, copied = load_windows(folder), load_dataset(str(folder), split="train")
    order = np.random.default_rng(0).permutation(len(mapped))[:32].tolist()
    collate = EEGDataCollator(EEGFeatureExtractor())
    one, other = (collate(WindowDataset(rows).__getitems__(order)) for rows in (mapped, copied))
    assert all(np.array_equal(one[name], other[name]) for name in one)
