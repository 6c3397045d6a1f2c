# SPDX-License-Identifier: Apache-2.0
import copy
import gc
import io
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
import threading
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import datasets
import fsspec
import mne
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pybv
import pytest
import yaml
from datasets import Dataset, Features, Value
from datasets.table import embed_table_storage

from eeg_hf.corpora.recordings.eeg_feature import Eeg
from eeg_hf.corpora.recordings.recording_bundle import fetch, pack, unpack

RATE, HZ = 250.0, 10.0
AMPLITUDES_UV = {"EEG T3-REF": 40.0, "Cz": 60.0, "ECG": 80.0}
FEATURES = Features({"eeg": Eeg()})


def sines(seconds: float = 2.0) -> np.ndarray:
    sine = np.sin(2 * np.pi * HZ * np.arange(round(RATE * seconds)) / RATE)
    return np.stack([amplitude * 1e-6 * sine for amplitude in AMPLITUDES_UV.values()])


def make_raw(seconds: float = 2.0) -> mne.io.RawArray:
    info = mne.create_info(list(AMPLITUDES_UV), RATE, ["eeg", "eeg", "ecg"])
    return mne.io.RawArray(sines(seconds), info, verbose="ERROR")


def write(folder: Path, ending: str, stem: str = "rec") -> Path:
    """Write the sines in the format of an extension, with companion files."""
    path = folder / f"{stem}{ending}"
    folder.mkdir(parents=True, exist_ok=True)
    if ending == ".vhdr":
        pybv.write_brainvision(
            data=sines(),
            sfreq=RATE,
            ch_names=list(AMPLITUDES_UV),
            fname_base=stem,
            folder_out=folder,
            events=[{"onset": 125, "duration": 1, "description": 7, "type": "Stimulus", "channels": "all"}],
        )
    elif ending == ".set":
        make_raw().export(path, fmt="eeglab", verbose="ERROR")
        move_samples_to_fdt(path)
    elif ending == ".edf":
        make_raw().export(path, physical_range=(-500, 500), verbose="ERROR")
    else:
        make_raw().save(path, fmt="double", verbose="ERROR", split_size="2GB")
    return path


def move_samples_to_fdt(path: Path) -> None:
    import scipy.io

    content = {key: value for key, value in scipy.io.loadmat(path).items() if not key.startswith("__")}
    (sines().T * 1e6).astype("<f4").tofile(path.with_suffix(".fdt"))
    scipy.io.savemat(
        path, {**content, "data": f"{path.stem}.fdt", "datfile": f"{path.stem}.fdt"}, appendmat=False
    )


def amplitudes_uv(raw: mne.io.BaseRaw) -> list[float]:
    return [round(float(row.std() * np.sqrt(2) * 1e6), 1) for row in raw.get_data()]


def embedded(dataset: Dataset) -> Dataset:
    return Dataset(embed_table_storage(dataset.data.table), info=dataset.info)


@pytest.fixture(autouse=True)
def temporary_place(tmp_path_factory, monkeypatch):
    """Give each test its own place for temporary folders, because parallel tests create some too."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path_factory.mktemp("temporary")))


def temporary_folders() -> set[str]:
    return {name for name in os.listdir(tempfile.gettempdir()) if name.startswith("eeg_hf-")}


@pytest.mark.parametrize("ending", [".edf", ".vhdr", ".set", "_raw.fif", "_raw.fif.gz"])
def test_a_path_and_its_embedded_bytes_decode_to_the_same_recording(tmp_path, ending):
    path = write(tmp_path / "recordings", ending)
    dataset = Dataset.from_dict({"eeg": [str(path), None]}).cast_column("eeg", Eeg())
    raw = dataset[0]["eeg"]
    assert isinstance(raw, mne.io.BaseRaw) and not raw.preload
    assert amplitudes_uv(raw) == list(AMPLITUDES_UV.values())
    assert dataset[1]["eeg"] is None

    embedded(dataset).to_parquet(tmp_path / "rows.parquet")
    shutil.rmtree(path.parent)
    stored = pq.read_table(tmp_path / "rows.parquet").to_pylist()
    assert stored[0]["eeg"]["path"] == path.name and stored[1]["eeg"] is None
    before = temporary_folders()
    restored = Dataset.from_parquet(str(tmp_path / "rows.parquet"), cache_dir=tmp_path / "cache")
    assert restored.features == FEATURES and restored[1]["eeg"] is None
    raw = restored[0]["eeg"]
    assert not raw.preload and amplitudes_uv(raw) == list(AMPLITUDES_UV.values())
    assert [str(name) for name in raw.annotations.description] == ["Stimulus/S  7"] * (ending == ".vhdr")
    del raw
    gc.collect()
    assert temporary_folders() <= before


def test_several_files_are_embedded_as_a_plain_zip_with_the_main_file_first(tmp_path):
    path = write(tmp_path, ".vhdr")
    value = embedded(Dataset.from_dict({"eeg": [path]}, features=FEATURES)).cast_column(
        "eeg", Eeg(decode=False)
    )
    content = value[0]["eeg"]["bytes"]
    archive = zipfile.ZipFile(io.BytesIO(content))
    assert archive.namelist() == ["rec.vhdr", "rec.eeg", "rec.vmrk"]
    assert (
        archive.read("rec.eeg") == path.with_suffix(".eeg").read_bytes()
        and archive.read("rec.eeg") in content
    )


def test_a_split_fif_file_survives_embedding(tmp_path):
    path = tmp_path / "long_raw.fif"
    make_raw(seconds=2000).save(path, fmt="single", split_size="2MB", verbose="ERROR")
    assert (tmp_path / "long_raw-2.fif").is_file()
    dataset = embedded(Dataset.from_dict({"eeg": [path]}, features=FEATURES))
    for part in tmp_path.glob("*.fif"):
        part.unlink()
    assert dataset[0]["eeg"].n_times == 2000 * RATE


@pytest.mark.parametrize("ending", [".edf", ".set", "_raw.fif", "_raw.fif.gz"])
def test_bytes_without_a_name_tell_their_format(tmp_path, ending):
    path = write(tmp_path, ending)
    if ending == ".set":
        path = tmp_path / "whole.set"
        make_raw().export(path, fmt="eeglab", verbose="ERROR")
    raw = Dataset.from_dict({"eeg": [path.read_bytes()]}, features=FEATURES)[0]["eeg"]
    assert amplitudes_uv(raw) == list(AMPLITUDES_UV.values())


def test_a_raw_is_stored_without_loss():
    raw = make_raw()
    raw.set_annotations(mne.Annotations([0.5], [1.0], ["blink"]))
    dataset = Dataset.from_dict({"eeg": [raw, None]}, features=FEATURES)
    back = dataset[0]["eeg"]
    assert np.array_equal(back.get_data(), raw.get_data())
    assert (back.ch_names, back.get_channel_types()) == (raw.ch_names, raw.get_channel_types())
    assert back.annotations.description.tolist() == ["blink"] and dataset[1]["eeg"] is None


@pytest.mark.parametrize("feature", [Eeg(), Eeg(sampling_rate=100.0), Eeg(channels=["Cz"])])
@pytest.mark.parametrize("is_embedded", [False, True])
def test_map_keeps_what_the_column_stores_of_recordings_that_were_only_looked_at(
    tmp_path, feature, is_embedded
):
    dataset = Dataset.from_dict({"eeg": [str(write(tmp_path, ".vhdr")), None]}).cast_column("eeg", Eeg())
    dataset = (embedded(dataset) if is_embedded else dataset).cast_column("eeg", feature)
    before = temporary_folders()
    mapped = dataset.map(
        lambda row: {"loaded": row["eeg"] is not None and float(row["eeg"].get_data().max())}
    )
    assert mapped.features["eeg"] == feature and mapped[0]["loaded"] > 0
    plain = Features({"eeg": Eeg(decode=False)})["eeg"]
    assert mapped.cast_column("eeg", plain)["eeg"][:] == dataset.cast_column("eeg", plain)["eeg"][:]
    gc.collect()
    assert temporary_folders() <= before


CHANGES = {
    "crop": lambda raw: raw.crop(0, 0.5),
    "filter": lambda raw: raw.load_data().apply_function(lambda x: 2 * x),
    "bads": lambda raw: raw.info.update(bads=["Cz"]),
    "pick": lambda raw: raw.pick(["Cz"]),
    "annotate": lambda raw: raw.set_annotations(mne.Annotations([0.1], [0.2], ["blink"])),
}


@pytest.mark.parametrize("change", CHANGES)
def test_map_keeps_what_was_changed_in_a_recording(tmp_path, change):
    dataset = Dataset.from_dict({"eeg": [str(write(tmp_path, ".edf"))]}).cast_column("eeg", Eeg())

    def alter(row: dict) -> dict:
        CHANGES[change](row["eeg"])
        return row

    wanted = dataset[0]["eeg"]
    CHANGES[change](wanted)
    altered = dataset.map(alter)[0]["eeg"]
    assert np.array_equal(altered.get_data(), wanted.get_data()) and altered.ch_names == wanted.ch_names
    assert altered.info["bads"] == wanted.info["bads"]
    assert altered.annotations.description.tolist() == wanted.annotations.description.tolist()
    assert altered.annotations.onset == pytest.approx(wanted.annotations.onset)  # FIF keeps them as float32


def test_recordings_of_a_column_can_be_pickled_copied_and_concatenated(tmp_path):
    dataset = Dataset.from_dict({"eeg": [str(write(tmp_path, ".edf"))] * 2}).cast_column("eeg", Eeg())
    first, second = dataset["eeg"][:]
    for raw in (pickle.loads(pickle.dumps(first)), first.copy()):
        assert type(raw) is type(first) and amplitudes_uv(raw) == list(AMPLITUDES_UV.values())
    assert mne.concatenate_raws([first, second]).n_times == 1000
    assert isinstance(first, mne.io.BaseRaw) and type(first).__name__ == "RawEDF"


def test_a_new_raw_can_be_returned_from_map_where_it_is_encoded(tmp_path):
    dataset = Dataset.from_dict({"eeg": [write(tmp_path, ".edf")]}, features=FEATURES)
    new = dataset.map(lambda row: {"eeg": Eeg().encode_example(make_raw(seconds=0.5))}, features=FEATURES)
    assert new[0]["eeg"].n_times == 125


def test_copies_read_on_after_the_recording_they_were_made_of_is_gone(tmp_path):
    dataset = embedded(Dataset.from_dict({"eeg": [write(tmp_path, ".edf")]}, features=FEATURES))
    before = temporary_folders()
    copies = [dataset[0]["eeg"].copy(), copy.deepcopy(dataset[0]["eeg"])]
    gc.collect()
    assert all(amplitudes_uv(raw) == list(AMPLITUDES_UV.values()) for raw in copies)
    assert len(temporary_folders() - before) == 2
    del copies
    gc.collect()
    assert temporary_folders() <= before


@pytest.mark.parametrize("rate", [100, 500.0])
def test_resampling_keeps_what_lies_below_nyquist_and_nothing_else(rate):
    raw = make_raw(seconds=4)
    raw._data += 50e-6 * np.sin(2 * np.pi * 80 * raw.times)  # would alias to 20 Hz
    dataset = Dataset.from_dict({"eeg": [raw]}, features=FEATURES).cast_column("eeg", Eeg(sampling_rate=rate))
    result = dataset[0]["eeg"]
    assert result.info["sfreq"] == rate and result.n_times == 4 * rate
    middle = result.get_data()[1, int(rate) : int(3 * rate)]
    spectrum = np.abs(np.fft.rfft(middle)) / rate * 1e6  # steps of 0.5 Hz
    assert spectrum[[20, 40]] == pytest.approx([AMPLITUDES_UV["Cz"], 0.0], abs=0.5)


def test_channels_are_picked_by_canonical_name_in_the_order_asked_for(tmp_path):
    dataset = Dataset.from_dict({"eeg": [write(tmp_path, ".edf")]}, features=FEATURES)
    raw = dataset.cast_column("eeg", Eeg(channels=("CZ", "T7")))[0]["eeg"]
    assert raw.ch_names == ["Cz", "T7"] and amplitudes_uv(raw) == [60.0, 40.0] and not raw.preload
    with pytest.raises(ValueError, match=r"rec\.edf lacks the channels O2: it has EEG T3-REF, Cz, ECG"):
        dataset.cast_column("eeg", Eeg(channels=["Cz", "O2"]))[0]


@pytest.mark.parametrize("options", [{"sampling_rate": 0}, {"channels": []}, {"channels": ["T3", "T7"]}])
def test_impossible_options_are_refused(options):
    with pytest.raises(ValueError, match="must be"):
        Eeg(**options)


def test_a_recording_that_cannot_be_read_says_so_and_can_be_filtered_out(tmp_path):
    good, bad = write(tmp_path, ".edf"), tmp_path / "bad.edf"
    bad.write_bytes(good.read_bytes()[:-900])
    dataset = Dataset.from_dict({"eeg": [str(good), str(bad)]}).cast_column("eeg", Eeg())
    with pytest.raises(ValueError, match=r"^bad\.edf.*truncated") as caught:
        dataset[1]
    assert "\n" not in str(caught.value)
    raw_rows = dataset.cast_column("eeg", Eeg(decode=False))
    assert raw_rows[1]["eeg"] == {"path": str(bad), "bytes": None}

    def is_readable(row: dict) -> bool:
        try:
            return Eeg().decode_example(row["eeg"]) is not None
        except ValueError:
            return False

    kept = raw_rows.filter(is_readable).cast_column("eeg", Eeg())
    assert [raw["eeg"].filenames[0].name for raw in kept] == ["rec.edf"]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (3, "expected a path, bytes, .* got int"),
        ({"path": None, "bytes": None}, "expected a path, bytes"),
    ],
)
def test_values_that_are_no_recordings_are_refused(value, message):
    with pytest.raises(ValueError, match=message):
        Eeg().encode_example(value)


@pytest.mark.parametrize("content", [b"PK\x03\x04 broken", b"some text that is no recording"])
def test_bytes_that_are_no_recording_are_refused(content):
    before = temporary_folders()
    with pytest.raises(ValueError, match="damaged|expected a path with the extension"):
        Eeg().decode_example({"path": None, "bytes": content})
    gc.collect()
    assert temporary_folders() <= before


def test_a_compressed_zip_is_refused():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.edf", b"0" * 10**6)
    with pytest.raises(ValueError, match="expected an uncompressed zip"):
        Eeg().decode_example({"path": "a.edf", "bytes": buffer.getvalue()})


def test_a_zip_cannot_lead_out_of_its_folder(tmp_path):
    path = write(tmp_path, ".edf")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(f"../..{path}", path.read_bytes())
    raw = Eeg().decode_example({"path": "rec.edf", "bytes": buffer.getvalue()})
    assert (
        not Path(raw.filenames[0]).is_relative_to(tmp_path)
        and raw._eeg_hf_origin.folder.path in raw.filenames[0].parents
    )


def test_a_recording_that_is_a_folder_travels_whole(tmp_path):
    net = tmp_path / "net.mff"
    (net / "sub").mkdir(parents=True)
    (net / "info.xml").write_text("<info/>")
    (net / "sub" / "signal1.bin").write_bytes(b"\0" * 64)
    there = unpack(pack(net), "net.mff", tmp_path / "there")
    fsspec.filesystem("memory").put(f"{net}/", "/nets/net.mff/", recursive=True)
    fetched = fetch("memory://nets/net.mff", tmp_path / "fetched")
    for copied in (there, fetched):
        assert copied.name == "net.mff"
        assert sorted(p.relative_to(copied).as_posix() for p in copied.rglob("*.*")) == [
            "info.xml",
            "sub/signal1.bin",
        ]


def test_a_missing_companion_is_named(tmp_path):
    path = write(tmp_path, ".vhdr")
    path.with_suffix(".eeg").unlink()
    with pytest.raises(FileNotFoundError, match=r"rec\.vhdr names the data file rec\.eeg"):
        Dataset.from_dict({"eeg": [path]}, features=FEATURES)[0]


def test_save_to_disk_and_two_processes(tmp_path):
    paths = [str(write(tmp_path / "recordings", ".edf", stem=f"r{index}")) for index in range(4)]
    dataset = Dataset.from_dict({"eeg": paths}).cast_column("eeg", Eeg(channels=["Cz"]))
    dataset.save_to_disk(tmp_path / "saved")
    dataset = datasets.load_from_disk(str(tmp_path / "saved"))
    assert dataset.features["eeg"] == Eeg(channels=["Cz"])
    sizes = dataset.map(largest, num_proc=2, remove_columns="eeg")
    assert sizes["largest"] == pytest.approx([60.0] * 4, abs=0.5)


def largest(row: dict) -> dict[str, float]:
    return {"largest": float(np.abs(row["eeg"].get_data()).max() * 1e6)}


@pytest.mark.parametrize(
    "feature", [Eeg(), Eeg(sampling_rate=100.0, channels=["Cz", "C3"]), Eeg(decode=False)]
)
def test_the_feature_survives_readme_json_and_pickle(feature):
    features = Features({"eeg": feature, "label": Value("string")})
    text = yaml.safe_dump(features._to_yaml_list())
    assert Features._from_yaml_list(yaml.safe_load(text)) == features
    assert Features.from_dict(features.to_dict()) == features
    assert Features.from_arrow_schema(features.arrow_schema) == features
    assert pickle.loads(pickle.dumps(feature)) == feature
    if feature == Eeg():
        assert "dtype: eeg" in text


def test_nested_columns_and_casts_of_strings_bytes_and_dicts(tmp_path):
    path = write(tmp_path, ".edf")
    rows = Dataset.from_dict({"visits": [[str(path)] * 2, []]})
    rows = rows.cast(Features({"visits": datasets.List(Eeg())}))
    assert [amplitudes_uv(raw)[1] for raw in rows[0]["visits"]] == [60.0, 60.0] and rows[1]["visits"] == []
    data = Dataset.from_dict({"eeg": [path.read_bytes()]}).cast_column("eeg", Eeg())
    named = Dataset.from_dict({"eeg": [{"path": "a.edf", "bytes": path.read_bytes()}]}).cast_column(
        "eeg", Eeg()
    )
    table = pa.table({"eeg": pa.array([str(path), None], pa.large_string())})  # as pandas writes it
    large = Dataset(table).cast_column("eeg", Eeg())
    assert amplitudes_uv(large[0]["eeg"])[1] == 60.0 and large[1]["eeg"] is None
    assert amplitudes_uv(data[0]["eeg"])[1] == amplitudes_uv(named[0]["eeg"])[1] == 60.0


@pytest.mark.parametrize("ending", [".vhdr", ".set", "_raw.fif"])
def test_a_recording_behind_a_url_comes_with_its_companions(tmp_path, ending):
    path = write(tmp_path, ending)
    (tmp_path / "rec.mp4").write_bytes(b"a film that nobody asked for")
    memory = fsspec.filesystem("memory")
    memory.put(str(tmp_path), f"/url{ending}", recursive=True)
    url = f"memory://url{ending}/{tmp_path.name}/{path.name}"
    url = url if memory.exists(url) else f"memory://url{ending}/{path.name}"
    dataset = Dataset.from_dict({"eeg": [url]}, features=FEATURES)
    for rows in (dataset, dataset.to_iterable_dataset(), embedded(dataset)):
        raw = next(iter(rows))["eeg"]
        assert amplitudes_uv(raw) == list(AMPLITUDES_UV.values())
        assert not (Path(raw.filenames[0]).parent / "rec.mp4").exists()


class Unlisted(SimpleHTTPRequestHandler):
    def list_directory(self, path):
        self.send_error(404)

    def log_message(self, *arguments):
        pass


@pytest.mark.parametrize("ending", [".edf", ".vhdr", ".set"])
def test_a_web_server_that_lists_no_folder_gives_the_files_that_headers_name(tmp_path, ending):
    path = write(tmp_path, ending)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Unlisted, directory=str(tmp_path)))
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}/{path.name}"
    raw = Dataset.from_dict({"eeg": [url]}, features=FEATURES)[0]["eeg"]
    server.shutdown()
    server.server_close()
    assert amplitudes_uv(raw) == list(AMPLITUDES_UV.values())


def test_other_columns_can_be_formatted_for_torch(tmp_path):
    dataset = Dataset.from_dict({"eeg": [str(write(tmp_path, ".edf"))], "age": [31]}).cast_column(
        "eeg", Eeg()
    )
    row = dataset.with_format("numpy", columns=["age"], output_all_columns=True)[0]
    assert row["age"] == 31 and isinstance(row["eeg"], mne.io.BaseRaw)


def test_a_dataset_with_recordings_needs_the_package_to_be_opened(tmp_path):
    Dataset.from_dict({"eeg": ["a.edf"]}, features=FEATURES).to_parquet(tmp_path / "rows.parquet")
    code = "import datasets, sys; datasets.Dataset.from_parquet(sys.argv[1], cache_dir=sys.argv[2])"
    arguments = [sys.executable, "-c", code, str(tmp_path / "rows.parquet"), str(tmp_path / "cache")]
    result = subprocess.run(arguments, capture_output=True, text=True)
    assert "Feature type 'Eeg' not found" in result.stderr
