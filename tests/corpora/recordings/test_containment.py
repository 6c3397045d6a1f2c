# SPDX-License-Identifier: Apache-2.0
"""No file of a stranger makes a reader open a file outside of the recording's folder."""

import os
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from tests.corpora.mutations import RATE, export, raw_sines, sines, write_csv, write_set

from eeg_hf import EEGFeatureExtractor
from eeg_hf.corpora import FolderCorpus, prepare
from eeg_hf.corpora.recordings.bids_tree import sidecars
from eeg_hf.corpora.recordings.containment import OutsideError, is_inside
from eeg_hf.corpora.recordings.formats import companions, find_recordings, read_recording
from eeg_hf.corpora.recordings.recording_bundle import pack, unpack
from eeg_hf.corpora.recordings.recording_files import state_of

h5py = pytest.importorskip("h5py")


@pytest.fixture
def secret(tmp_path) -> Path:
    """Samples that lie outside of the folder of the recordings."""
    (tmp_path / "home").mkdir()
    path = tmp_path / "home" / "secret.fdt"
    path.write_bytes((np.random.default_rng(7).normal(size=(768, 3)) * 10).astype("<f4").tobytes())
    return path


@pytest.fixture
def lab(tmp_path) -> Path:
    (tmp_path / "lab").mkdir()
    return tmp_path / "lab"


def write_hdf5(path: Path, samples: str | None = None) -> "h5py.File":
    """Write the fields of an EEGLAB file of version 7.3; the caller adds what is missing."""
    file = h5py.File(path, "w", userblock_size=512)
    eeg = file.create_group("EEG")
    for name, value in {"nbchan": 3.0, "trials": 1.0, "pnts": 768.0, "srate": RATE, "xmin": 0.0}.items():
        eeg[name] = np.array([[value]])
        eeg[name].attrs["MATLAB_class"] = np.bytes_("double")
    if samples is not None:
        eeg["data"] = np.array([[ord(letter)] for letter in samples], np.uint16)
        eeg["data"].attrs["MATLAB_class"] = np.bytes_("char")
    return file


def close(file: "h5py.File") -> None:
    path = Path(file.filename)
    file.close()
    content = bytearray(path.read_bytes())
    content[:128] = b"MATLAB 7.3 MAT-file".ljust(124) + b"\0\2IM"
    path.write_bytes(content)


@pytest.mark.parametrize("is_relative", [False, True])
@pytest.mark.parametrize("is_packed", [False, True])
@pytest.mark.parametrize("is_flat", [False, True])
def test_samples_of_a_set_elsewhere_are_refused(lab, secret, is_relative, is_packed, is_flat):
    name = os.path.relpath(secret, lab) if is_relative else str(secret)
    write_set(lab / "a.set", external=True, data=name)
    fields = scipy.io.loadmat(lab / "a.set")["EEG"]
    whole = {field: fields[field][0, 0] for field in fields.dtype.names} if is_flat else {"EEG": fields}
    scipy.io.savemat(lab / "a.set", whole, appendmat=False, do_compression=is_packed)
    (lab / "a.fdt").unlink()
    for read in (read_recording, companions, pack):
        with pytest.raises(OutsideError if read is not read_recording else ValueError) as refusal:
            read(lab / "a.set")
        assert str(secret.name) in str(refusal.value) and "outside of its folder" in str(refusal.value)


@pytest.mark.parametrize("is_relative", [False, True])
def test_samples_of_a_set_of_version_7_3_elsewhere_are_refused(lab, secret, is_relative):
    close(write_hdf5(lab / "a.set", os.path.relpath(secret, lab) if is_relative else str(secret)))
    with pytest.raises(ValueError, match="names a file outside of its folder"):
        read_recording(lab / "a.set")


@pytest.mark.parametrize(
    "trick", ["external storage", "external link", "soft link", "virtual dataset", "deep"]
)
def test_links_of_hdf5_are_refused(lab, secret, trick):
    with h5py.File(secret.with_suffix(".h5"), "w") as other:
        other["x"] = np.ones((768, 3), np.float32)
    file = write_hdf5(lab / "a.set")
    if trick in ("external storage", "deep"):
        place = file["EEG"] if trick == "external storage" else file.create_group("#refs#/a/b")
        place.create_dataset("data", (768, 3), "<f4", external=[(str(secret), 0, 768 * 12)])
    elif trick == "external link":
        file["EEG"]["data"] = h5py.ExternalLink(str(secret.with_suffix(".h5")), "/x")
    elif trick == "soft link":
        file["EEG"]["data"] = h5py.SoftLink("/EEG")
    else:
        layout = h5py.VirtualLayout((768, 3), "<f4")
        layout[:] = h5py.VirtualSource(str(secret.with_suffix(".h5")), "x", shape=(768, 3))
        file["EEG"].create_virtual_dataset("data", layout)
    close(file)
    with pytest.raises(ValueError, match="a.set (takes samples from another file|has the link)"):
        read_recording(lab / "a.set")


def test_samples_under_another_name_belong_to_the_recording(lab, tmp_path):
    write_set(lab / "a.set", external=True, data="other.fdt")
    (lab / "a.fdt").rename(lab / "other.fdt")
    close(write_hdf5(lab / "h.set", "other.fdt"))
    assert companions(lab / "a.set") == companions(lab / "h.set") == [lab / "other.fdt"]
    before = state_of(lab / "a.set")
    (tmp_path / "copy").mkdir()
    copy = unpack(pack(lab / "a.set"), None, tmp_path / "copy")
    assert np.abs(read_recording(copy).get_data() - sines()).max() < 1e-9
    status = (lab / "other.fdt").stat()
    changed = bytearray((lab / "other.fdt").read_bytes())
    changed[3000:3400] = bytes(400)
    (lab / "other.fdt").write_bytes(changed)
    os.utime(lab / "other.fdt", ns=(status.st_atime_ns, status.st_mtime_ns))
    assert state_of(lab / "a.set") != before  # although size and time are the same


def name_the_next_part(path: Path, name: str) -> None:
    """Write the block that names the next file into a FIF file without a directory."""

    def tag(kind: int, type_: int, data: bytes) -> bytes:
        return np.array([kind, type_, len(data), 0], ">i4").tobytes() + data

    def number(value: int) -> bytes:
        return np.array([value], ">i4").tobytes()

    block = tag(104, 3, number(118)) + tag(115, 3, number(2)) + tag(118, 10, name.encode())
    block += tag(105, 3, number(118))
    content = path.read_bytes()
    end = content.rindex(np.array([105, 3, 4, 0, 100], ">i4").tobytes())  # of the block of the measurement
    content = content[:end] + block + content[end:]
    at = content.index(np.array([101, 3, 4], ">i4").tobytes())
    path.write_bytes(content[: at + 16] + number(-1) + content[at + 20 :])


@pytest.mark.parametrize("name", ["../home/next_raw.fif", "{secret}/next_raw.fif"])
def test_the_next_part_of_a_fif_file_elsewhere_is_refused(lab, secret, name):
    for path in (lab / "a_raw.fif", lab / "part_raw.fif", secret.parent / "next_raw.fif"):
        raw_sines().save(path, verbose="ERROR")
    name_the_next_part(lab / "a_raw.fif", "part_raw.fif")
    assert companions(lab / "a_raw.fif") == [lab / "part_raw.fif"]
    assert read_recording(lab / "a_raw.fif").n_times == 2 * sines().shape[1]
    raw_sines().save(lab / "a_raw.fif", verbose="ERROR", overwrite=True)
    name_the_next_part(lab / "a_raw.fif", name.format(secret=secret.parent))
    with pytest.raises(ValueError, match="a_raw.fif names a file outside of its folder"):
        read_recording(lab / "a_raw.fif")
    name_the_next_part(lab / "part_raw.fif", "part_raw.fif")
    with pytest.raises(ValueError, match="its parts name each other in a circle"):
        read_recording(lab / "part_raw.fif")


def test_links_out_of_the_folder_are_followed_only_on_request(lab, secret, tmp_path, caplog):
    export(lab / "own.edf", "edf", False)
    export(tmp_path / "home" / "other.edf", "edf", False)
    (lab / "link.edf").symlink_to(tmp_path / "home" / "other.edf")
    (lab / "folder").symlink_to(tmp_path / "home")
    (lab / "metadata.csv").symlink_to(tmp_path / "home" / "metadata.csv")
    (tmp_path / "home" / "metadata.csv").write_text("file_name,secret\nown.edf,yes\n")
    assert find_recordings(lab) == [lab / "own.edf"]
    assert "2 links lead out of it" not in caplog.text  # metadata.csv is a link too
    assert "3 links lead out of it and are left out" in caplog.text and "follow_links=True" in caplog.text
    assert len(find_recordings(lab, follow_links=True)) == 2  # once, although two paths lead to it
    corpus = FolderCorpus("lab")
    (only,) = corpus.recordings(lab)
    assert only.path == lab / "own.edf" and not only.labels
    corpus.follow_links = True
    assert {each.labels["secret"] for each in corpus.recordings(lab)} == {"yes", None}


def test_a_companion_that_links_elsewhere_is_refused(lab, secret):
    write_set(lab / "a.set", external=True)
    (lab / "a.fdt").unlink()
    (lab / "a.fdt").symlink_to(secret)
    with pytest.raises(ValueError, match="a.set links to a file outside of its folder"):
        read_recording(lab / "a.set")
    assert read_recording(lab / "a.set", follow_links=True).get_data().std() > 1e-6


def test_a_sidecar_that_links_elsewhere_is_left_out(tmp_path):
    folder = tmp_path / "tree" / "sub-01" / "eeg"
    folder.mkdir(parents=True)
    recording = folder / "sub-01_task-rest_eeg.edf"
    (tmp_path / "secret.tsv").write_text("name\ttype\n")
    (folder / "sub-01_task-rest_channels.tsv").symlink_to(tmp_path / "secret.tsv")
    assert sidecars(recording, "channels.tsv") == []
    assert len(sidecars(recording, "channels.tsv", follow_links=True)) == 1


def test_the_hub_and_git_annex_keep_files_behind_links(tmp_path):
    hub = tmp_path / "datasets--a--b"
    annex = tmp_path / "super"
    for target, link in (
        (hub / "blobs" / "0f", hub / "snapshots" / "1a" / "sub" / "a.edf"),
        (annex / ".git" / "annex" / "objects" / "Xx" / "k" / "k", annex / "ds" / "sub-01" / "a.edf"),
        (annex / ".git" / "modules" / "ds" / "annex" / "objects" / "k", annex / "ds" / "sub-02" / "a.edf"),
    ):
        target.parent.mkdir(parents=True, exist_ok=True)
        link.parent.mkdir(parents=True)
        target.write_bytes(b"0")
        link.symlink_to(target)
        assert is_inside(link, link.parent)
    elsewhere = tmp_path / "mine" / ".git" / "annex" / "objects" / "k"
    elsewhere.parent.mkdir(parents=True)
    elsewhere.touch()
    assert not is_inside(elsewhere, annex / "ds")


def test_folders_linked_to_each_other_give_each_recording_once(lab):
    for name in ("a", "b", "c"):
        (lab / name).mkdir()
        (lab / name / f"{name}.edf").touch()
    for here in ("a", "b", "c"):
        for there in {"a", "b", "c"} - {here}:
            (lab / here / there).symlink_to(lab / there)
    (lab / "again.edf").symlink_to("a/a.edf")
    assert find_recordings(lab) == [lab / "a" / "a.edf", lab / "b" / "b.edf", lab / "c" / "c.edf"]


def test_windows_prepared_within_the_folder_are_no_recordings(lab):
    write_csv(lab / "s01.csv")
    corpus = FolderCorpus("lab", sampling_rate=RATE, unit="uV")
    options = {"sampling_rate": 100.0, "lowpass_hz": 40.0, "highpass_hz": None, "window_seconds": 1.0}
    for _ in range(2):
        prepare(corpus, lab / "windows", EEGFeatureExtractor(**options), root=lab)
    assert find_recordings(lab, tables=True) == [lab / "s01.csv"]
    assert (lab / "windows" / "data" / "lab-s01.parquet").is_file()
