# SPDX-License-Identifier: Apache-2.0
import json
import shutil
from pathlib import Path

import datasets
import fsspec
import mne
import numpy as np
import pandas as pd
import pybv
import pytest
from datasets import ClassLabel, load_dataset
from datasets.data_files import DataFilesList
from PIL import Image

from eeg_hf import auto
from eeg_hf.corpora.recordings.eeg_feature import Eeg
from eeg_hf.corpora.recordings.folder_files import main_files

RATE = 200.0


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", folder)
    monkeypatch.setattr(datasets.config, "DOWNLOADED_DATASETS_PATH", folder / "downloads")


def make_raw(amplitude_uv: float = 50.0) -> mne.io.RawArray:
    sine = amplitude_uv * 1e-6 * np.sin(2 * np.pi * 10 * np.arange(400) / RATE)
    return mne.io.RawArray(
        np.stack([sine, -sine]), mne.create_info(["C3", "VEOG"], RATE, "eeg"), verbose="ERROR"
    )


def write(path: Path, amplitude_uv: float = 50.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    raw = make_raw(amplitude_uv)
    if path.suffix.lower() == ".edf":
        raw.export(path, fmt="edf", physical_range=(-500, 500), verbose="ERROR")
    elif path.suffix == ".vhdr":
        pybv.write_brainvision(
            data=raw.get_data(),
            sfreq=RATE,
            ch_names=raw.ch_names,
            fname_base=path.stem,
            folder_out=path.parent,
        )
    elif path.suffix == ".set":
        raw.export(path, verbose="ERROR")
    else:
        raw.save(path, verbose="ERROR")
    return path


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """Write train and test, left and right, four formats, and other files that occur beside recordings."""
    root = tmp_path_factory.mktemp("labelled")
    for split, label in (("train", "left"), ("train", "right"), ("test", "left"), ("test", "right")):
        amplitude = 40.0 if label == "left" else 80.0
        for name in ("a.edf", "B.EDF", "c.vhdr", "d.set", "e_raw.fif.gz"):
            write(root / split / label / name, amplitude)
        (root / split / label / "a.edf.event").write_bytes(b"PhysioNet's annotations")
        (root / split / label / "notes.txt").write_text("slept badly")
    (root / "README.md").write_text("# Our recordings\n")
    (root / "participants.tsv").write_text("participant_id\tage\nsub-1\t31\n")
    return root


def rows_of(dataset) -> list[tuple[str, str, float]]:
    label = dataset.features["label"]
    return [
        (Path(row["eeg"].filenames[0]).name, label.int2str(row["label"]), amplitude_uv(row["eeg"]))
        for row in dataset
    ]


def amplitude_uv(raw: mne.io.BaseRaw) -> float:
    return round(float(raw.get_data()[0].std() * np.sqrt(2) * 1e6))


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("by_name", [True, False])
def test_splits_and_labels_come_from_folder_names(labelled, by_name, streaming):
    source = {"path": "eegfolder", "data_dir": str(labelled)} if by_name else {"path": str(labelled)}
    dataset = load_dataset(**source, streaming=streaming)
    assert set(dataset) == {"train", "test"}
    features = {"eeg": Eeg(), "label": ClassLabel(names=["left", "right"])}
    for split in dataset.values():
        assert split.features == features
        found = rows_of(split)
        assert sorted({label for _, label, _ in found}) == ["left", "right"]
        assert sorted(name for name, label, _ in found if label == "left") == sorted(
            ["a.edf", "B.EDF", "c.eeg", "d.set", "e_raw.fif.gz"]
        )
        assert {(label, amplitude) for _, label, amplitude in found} == {("left", 40), ("right", 80)}
    if streaming:
        assert dataset["train"].num_shards == 10


def test_two_processes_build_what_one_builds(labelled):
    one, two = (
        load_dataset("eegfolder", data_dir=str(labelled), split="train", num_proc=n) for n in (None, 2)
    )
    assert rows_of(one) == rows_of(two)


def test_labels_can_be_dropped_and_asked_for(labelled, tmp_path):
    dropped = load_dataset(
        "eegfolder", data_dir=str(labelled), drop_labels=True, split="train", streaming=True
    )
    assert list(dropped.features) == ["eeg"]
    write(tmp_path / "rest" / "a.edf")
    assert list(load_dataset("eegfolder", data_dir=str(tmp_path), split="train").features) == ["eeg"]
    labelled_anyway = load_dataset("eegfolder", data_dir=str(tmp_path), split="train", drop_labels=False)
    assert labelled_anyway.features["label"].names == ["rest"]


def write_metadata(folder: Path, ending: str) -> None:
    rows = pd.DataFrame({"file_name": ["x/a.edf", "y/c.vhdr"], "age": [31, 57], "hand": ["left", "right"]})
    if ending == "csv":
        rows.to_csv(folder / "metadata.csv", index=False)
    elif ending == "jsonl":
        rows.to_json(folder / "metadata.jsonl", orient="records", lines=True)
    else:
        rows.to_parquet(folder / "metadata.parquet")


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_metadata_files_give_columns(tmp_path, ending, streaming):
    write(tmp_path / "x" / "a.edf", 40.0)
    write(tmp_path / "y" / "c.vhdr", 80.0)
    write_metadata(tmp_path, ending)
    dataset = load_dataset(str(tmp_path), split="train", streaming=streaming)
    found = [(row["age"], row["hand"], amplitude_uv(row["eeg"])) for row in dataset]
    assert found == [(31, "left", 40), (57, "right", 80)] and isinstance(dataset.features["eeg"], Eeg)
    without = load_dataset(str(tmp_path), split="train", streaming=streaming, drop_metadata=True)
    assert list(without.features) == ["eeg", "label"]


def test_rows_can_be_filtered_while_they_are_made(labelled):
    rows = load_dataset(
        "eegfolder", data_dir=str(labelled), split="train", filters=[("label", "==", "right")]
    )
    assert {label for _, label, _ in rows_of(rows)} == {"right"} and len(rows) == 5


def make_bids(root: Path) -> Path:
    (root / "dataset_description.json").parent.mkdir(parents=True, exist_ok=True)
    (root / "dataset_description.json").write_text(json.dumps({"Name": "x", "BIDSVersion": "1.9.0"}))
    (root / "participants.tsv").write_text(
        "participant_id\tage\tsex\tsession\nsub-01\t31\tF\tmorning\nsub-02\tn/a\tn/a\tn/a\n"
    )
    (root / "task-rest_eeg.json").write_text(json.dumps({"PowerLineFrequency": 50, "EEGReference": "Cz"}))
    for subject, session, ending in (("01", "a", ".vhdr"), ("01", "b", ".vhdr"), ("02", "a", ".edf")):
        folder = root / f"sub-{subject}" / f"ses-{session}" / "eeg"
        stem = f"sub-{subject}_ses-{session}_task-rest_run-1"
        write(folder / f"{stem}_eeg{ending}")
        (folder / f"{stem}_channels.tsv").write_text(
            "name\ttype\tunits\tstatus\nC3\tEEG\tuV\tbad\nVEOG\tVEOG\tuV\tgood\n"
        )
        (folder / f"{stem}_events.tsv").write_text(
            "onset\tduration\ttrial_type\n0.5\t1.0\teyes open\n1.5\tn/a\tn/a\n"
        )
        (root / "sourcedata" / f"sub-{subject}" / "eeg").mkdir(parents=True, exist_ok=True)
    write(root / "sourcedata" / "sub-01" / "eeg" / "sub-01_task-rest_eeg.edf")
    return root


BIDS_COLUMNS = {"subject", "session", "task", "run", "age", "sex", "participant_session", "eeg"}


def check_bids(dataset) -> None:
    assert set(dataset.features) == BIDS_COLUMNS and dataset.features["age"].dtype == "float64"
    rows = list(dataset)
    assert [(row["subject"], row["session"], row["age"], row["sex"]) for row in rows] == [
        ("01", "a", 31.0, "F"),
        ("01", "b", 31.0, "F"),
        ("02", "a", None, None),
    ]
    assert [row["participant_session"] for row in rows] == ["morning", "morning", None]
    for row in rows:
        raw = row["eeg"]
        assert (row["task"], row["run"]) == ("rest", "1")
        assert raw.get_channel_types() == ["eeg", "eog"] and raw.info["bads"] == ["C3"]
        assert raw.info["line_freq"] == 50 and amplitude_uv(raw) == 50
        assert [str(name) for name in raw.annotations.description] == ["eyes open", "n/a"]


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("by_name", [True, False])
def test_a_bids_tree_gives_its_columns_and_decodes_with_its_sidecars(tmp_path, by_name, streaming):
    root = make_bids(tmp_path / "tree")
    source = {"path": "eegfolder", "data_dir": str(root)} if by_name else {"path": str(root)}
    check_bids(load_dataset(**source, split="train", streaming=streaming))


@pytest.mark.parametrize("streaming", [False, True])
def test_a_bids_tree_behind_a_url_comes_with_its_sidecars(tmp_path, monkeypatch, streaming):
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    make_bids(tmp_path / "tree")
    fsspec.filesystem("memory").put(str(tmp_path / "tree"), "/bids/", recursive=True)
    shutil.rmtree(tmp_path / "tree")
    check_bids(load_dataset("eegfolder", data_files="memory://bids/**", split="train", streaming=streaming))


def test_a_bids_recording_keeps_its_sidecars_in_parquet(tmp_path):
    from datasets.table import embed_table_storage

    root = make_bids(tmp_path / "tree")
    dataset = load_dataset("eegfolder", data_dir=str(root), split="train")
    datasets.Dataset(embed_table_storage(dataset.data.table), info=dataset.info).to_parquet(
        tmp_path / "rows.parquet"
    )
    shutil.rmtree(root)
    check_bids(datasets.Dataset.from_parquet(str(tmp_path / "rows.parquet"), cache_dir=tmp_path / "cache"))


def test_bids_columns_can_be_dropped(tmp_path):
    root = make_bids(tmp_path)
    dataset = load_dataset(
        "eegfolder", data_dir=str(root), split="train", drop_metadata=True, drop_labels=True
    )
    assert list(dataset.features) == ["eeg"] and len(dataset) == 4


def test_recordings_taken_for_another_split_are_not_missed_silently(tmp_path, caplog):
    for name in ("a_test.edf", "b_rest.edf", "c_rest.edf"):
        write(tmp_path / name)
    dataset = load_dataset("eegfolder", data_dir=str(tmp_path))
    assert set(dataset) == {"test"} and "2 of 3 recordings" in caplog.text and "b_rest.edf" in caplog.text
    caplog.clear()
    everything = load_dataset("eegfolder", data_dir=str(tmp_path), data_files={"train": "**"})
    assert len(everything["train"]) == 3 and caplog.text == ""


@pytest.mark.parametrize("streaming", [False, True])
def test_recordings_in_a_zip_come_with_their_companions(labelled, tmp_path, streaming):
    shutil.make_archive(str(tmp_path / "data"), "zip", labelled / "train")
    dataset = load_dataset(
        "eegfolder", data_files=str(tmp_path / "data.zip"), split="train", streaming=streaming
    )
    found = rows_of(dataset)
    assert len(found) == 10 and {(label, size) for _, label, size in found} == {("left", 40), ("right", 80)}


def test_files_behind_urls_are_loaded_and_streamed(labelled, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    fsspec.filesystem("memory").put(str(labelled / "train"), "/labelled/", recursive=True)
    for streaming in (False, True):
        dataset = load_dataset(
            "eegfolder", data_files="memory://labelled/**", split="train", streaming=streaming
        )
        assert sorted(rows_of(dataset)) == sorted(rows_of(load_dataset(str(labelled), split="train")))


def test_a_damaged_recording_leaves_the_others_usable(tmp_path):
    write(tmp_path / "good.edf")
    (tmp_path / "bad.edf").write_bytes((tmp_path / "good.edf").read_bytes()[:500])
    dataset = load_dataset(str(tmp_path), split="train")
    assert len(dataset) == 2 and amplitude_uv(dataset[1]["eeg"]) == 50
    with pytest.raises(ValueError, match=r"^bad\.edf"):
        dataset[0]


def test_a_folder_without_recordings_says_what_was_expected(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing here")
    with pytest.raises(ValueError, match=r"no recording among the files of .* expected \.edf"):
        load_dataset("eegfolder", data_dir=str(tmp_path), streaming=True)


@pytest.mark.parametrize(
    ("names", "mains"),
    [
        (["a.vhdr", "a.eeg", "a.vmrk", "b.set", "b.fdt"], ["a.vhdr", "b.set"]),
        (
            ["hf://datasets/x/y@1/a_raw.fif", "hf://datasets/x/y@1/a_raw-1.fif"],
            ["hf://datasets/x/y@1/a_raw.fif"],
        ),
        (["net.mff/info.xml", "net.mff/signal1.bin", "c.BDF"], ["net.mff", "c.BDF"]),
        (
            ["zip://x/s.mff/info.xml::/d/e.zip", "zip://x/a.edf::/d/e.zip"],
            ["zip://x/s.mff::/d/e.zip", "zip://x/a.edf::/d/e.zip"],
        ),
        (["a.edf.event", "chb01_03.edf.seizures", "participants.tsv", "x.csv", "ave-ave.fif"], []),
    ],
)
def test_recordings_are_told_by_their_names(names, mains):
    assert main_files(names) == mains


def test_other_folders_are_inferred_as_before(tmp_path):
    for name in ("x_raw.jpg", "y.set.png", "z.jpg"):
        Image.new("RGB", (2, 2)).save(tmp_path / name)
    assert "image" in load_dataset(str(tmp_path), split="train").features
    infer = datasets.load.infer_module_for_data_files_list
    for names, module in (
        (["a.csv", "b.csv", "c.edf"], "csv"),
        (["user_events.json", "LICENSE.txt"], "json"),
        (["a.edf", "b.edf", "metadata.csv"], "eegfolder"),
        (["a.vhdr", "a.vmrk", "a.eeg"], "eegfolder"),
        (
            [
                "sub-1_task-x_eeg.set",
                "sub-1_task-x_events.tsv",
                "sub-1_task-x_eeg.json",
                "sub-1_task-x_channels.tsv",
            ],
            "eegfolder",
        ),
    ):
        assert infer(DataFilesList(names, [()] * len(names)))[0] == module, names


def test_the_tables_of_datasets_hold_the_builder_once():
    tables = datasets.packaged_modules
    before = [
        len(getattr(tables, name)) for name in dir(tables) if name.startswith(("_ALL", "_MODULE", "_EXT"))
    ]
    auto.register_recordings()
    after = [
        len(getattr(tables, name)) for name in dir(tables) if name.startswith(("_ALL", "_MODULE", "_EXT"))
    ]
    assert before == after and len(before) >= 8
    # datasets.load must look into the objects that were changed
    for name in (
        "_PACKAGED_DATASETS_MODULES",
        "_EXTENSION_TO_MODULE",
        "_MODULE_TO_EXTENSIONS",
        "_ALL_METADATA_FILENAMES",
    ):
        assert getattr(datasets.load, name) is getattr(tables, name), name
    assert (
        datasets.load._EXTENSION_TO_MODULE[".edf"]
        == datasets.load._EXTENSION_TO_MODULE[".EDF"]
        == ("eegfolder", {})
    )
    assert datasets.load._EXTENSION_TO_MODULE[".csv"] == ("csv", {})
    assert datasets.features.features._FEATURE_TYPES["Eeg"] is Eeg


def test_tables_of_samples_are_recordings_where_their_rate_and_unit_are_said(tmp_path):
    time = np.arange(500) / 250
    for name in ("a", "b"):
        path = tmp_path / "tables" / name / f"{name}.csv"
        path.parent.mkdir(parents=True)
        wave = np.c_[20 * np.sin(2 * np.pi * 10 * time), np.cos(time)]
        np.savetxt(path, wave, delimiter=",", header="Fp1,Cz", comments="")
    said = {"data_dir": str(tmp_path / "tables"), "sampling_rate": 250, "unit": "uV", "split": "train"}
    rows = load_dataset("eegfolder", **said)
    raw = rows[1]["eeg"]
    assert raw.ch_names == ["Fp1", "Cz"] and raw.info["sfreq"] == 250
    assert raw.get_data(units="uV").max() == pytest.approx(20, rel=0.01)
    assert rows.features["label"].names == ["a", "b"]
    (tmp_path / "tables" / "metadata.csv").write_text("file_name,group\na/a.csv,x\nb/b.csv,y\n")
    streamed = list(load_dataset("eegfolder", streaming=True, **said))
    assert [row["group"] for row in streamed] == ["x", "y"]
    assert streamed[0]["eeg"].get_data(units="uV").max() == pytest.approx(20, rel=0.01)


def test_a_folder_is_listed_once_and_not_for_each_name_of_a_split(tmp_path, monkeypatch):
    for name in ("train/a.edf", "train/b.edf", "test/c.edf"):
        write(tmp_path / name)
    local = fsspec.filesystem("file")
    walked = []
    walk = type(local).walk
    monkeypatch.setattr(
        type(local), "walk", lambda self, path, *a, **k: walked.append(path) or walk(self, path, *a, **k)
    )
    found = load_dataset("eegfolder", data_dir=str(tmp_path))
    assert {split: len(rows) for split, rows in found.items()} == {"train": 2, "test": 1}
    assert len(walked) < 20  # one listing walks three folders
    assert "find" not in vars(local)
    write(tmp_path / "test" / "d.edf")  # nothing is remembered from one call to the next
    assert len(load_dataset("eegfolder", data_dir=str(tmp_path), split="test")) == 2
