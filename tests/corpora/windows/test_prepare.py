# SPDX-License-Identifier: Apache-2.0
import json
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import mne
import numpy as np
import pyarrow.parquet as pq
import pytest
from datasets import load_dataset
from tests.holders import Holder
from transformers.utils import logging

from eeg_hf import EEGFeatureExtractor
from eeg_hf.corpora import EEGMAT, EEGMMIDB, Recording, Simulated, load_windows, prepare
from eeg_hf.folder_lock import FolderInUseError
from eeg_hf.processing.covariance import mean_covariance
from eeg_hf.processing.preprocessing import preprocess

FAST = {"highpass_hz": 1.0, "lowpass_hz": 40.0, "sampling_rate": 100.0, "window_seconds": 2.0}


@pytest.fixture(autouse=True)
def quiet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "datasets_cache")
    logging.disable_progress_bar()


def extractor(**settings: object) -> EEGFeatureExtractor:
    return EEGFeatureExtractor(**{**FAST, **settings})


def decode(row: dict) -> np.ndarray:
    counts = np.frombuffer(row["signal"], "<i2").reshape(-1, row["num_samples"])
    return counts * np.array(row["scale"], np.float32)[:, None]


def shards(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.glob("*/*.parquet"))
    }


def rows_of(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "report.jsonl").read_text().splitlines()]


class Edited(Simulated):
    """Simulated recordings to which something happens."""

    def __init__(
        self, edit: Callable[[mne.io.BaseRaw, Recording], mne.io.BaseRaw], **settings: object
    ) -> None:
        super().__init__(**{"num_subjects": 1, "seconds": 20.0, **settings})
        self.edit = edit

    def read(self, recording: Recording) -> mne.io.BaseRaw:
        return self.edit(super().read(recording), recording)


# -- a prepared corpus ---------------------------------------------------------------------------------------


def test_windows_are_those_of_mne_with_their_provenance(make_eegmat, tmp_path):
    root = make_eegmat(tmp_path / "eegmat")
    report = prepare(EEGMAT(), tmp_path / "out", extractor(), root=root)
    assert (report["recordings_ok"], report["recordings_failed"], report["windows"]) == (4, 0, 12)
    dataset = load_dataset(str(tmp_path / "out"), split="train")
    assert len(dataset) == 12 and len(set(dataset["window_id"])) == 12
    row = dataset[4]
    expected = {
        "window_id": "eegmat/00/1/2/2.000",
        "subject": "00",
        "session": "1",
        "run": "2",
        "task": "serial_subtraction",
        "recording": "Subject00_2.edf",
        "start_seconds": 2.0,
        "condition": "task",
        "age": 20.0,
        "event": None,
        "channels": ["Fp1", "Fp2", "T7", "Cz", "O1", "O2"],
        "bad_channels": [],
        "sampling_rate": 100.0,
        "num_samples": 200,
        "reference": "average",
        "licence": "ODC-By-1.0",
        "alignment_group": "eegmat/00",
    }
    assert {name: row[name] for name in expected} == expected
    assert np.array(row["channel_positions"]).reshape(6, 3)[3, 2] > 0.08  # Cz is on top
    raw = mne.io.read_raw_edf(root / "Subject00_2.edf", verbose="ERROR").drop_channels(["EEG A2-A1"])
    clean, _ = preprocess(raw, sampling_rate=100.0, highpass_hz=1.0, lowpass_hz=40.0)
    by_hand = clean.get_data()[:, 200:400] * 1e6
    step = np.array(row["scale"])[:, None]
    assert (np.abs(decode(row) - by_hand) <= 0.5 * step + 1e-5).all()


def test_the_covariance_is_that_of_all_windows_of_a_subject(make_eegmat, tmp_path):
    prepare(EEGMAT(), tmp_path / "out", extractor(), root=make_eegmat(tmp_path / "eegmat"))
    windows = load_dataset(str(tmp_path / "out"), split="train")
    for row in load_dataset(str(tmp_path / "out"), "alignment", split="train"):
        own = windows.filter(lambda w, group=row["alignment_group"]: w["alignment_group"] == group)
        expected = mean_covariance(np.stack([decode(window) for window in own]))
        assert row["num_windows"] == len(own) == 6
        assert np.allclose(np.array(row["covariance"]).reshape(6, 6), expected, rtol=1e-3, atol=1e-2)


def test_plain_datasets_reads_the_folder_without_this_library(make_eegmat, tmp_path):
    prepare(EEGMAT(), tmp_path / "out", extractor(), root=make_eegmat(tmp_path / "eegmat"))
    code = f"""
import sys, numpy as np
from datasets import load_dataset
row = load_dataset({str(tmp_path / "out")!r}, split="train")[0]
uv = np.frombuffer(row["signal"], "<i2").reshape(-1, row["num_samples"]) * np.array(row["scale"])[:, None]
align = load_dataset({str(tmp_path / "out")!r}, "alignment")["train"]
assert uv.shape == (6, 200) and 1 < uv.std() < 100, uv.std()
assert align.column_names == ["alignment_group", "channels", "num_windows", "covariance"]
assert not any(name.startswith("eeg_hf") for name in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "HF_HOME": str(tmp_path / "hf"), "HF_DATASETS_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_settings_are_kept_beside_the_windows(make_eegmat, tmp_path):
    prepare(
        EEGMAT(),
        tmp_path / "out",
        extractor(normalization="zscore"),
        root=make_eegmat(tmp_path / "eegmat", 1),
    )
    again = EEGFeatureExtractor.from_pretrained(tmp_path / "out")
    assert again.to_dict() == extractor(normalization="zscore").to_dict()
    card = (tmp_path / "out" / "README.md").read_text()
    assert "license: odc-by" in card and "Zyma" in card and "linked ears" in card
    assert "Subjects: 1." in card and "by subject (28 train, 4 validation, 4 test)" in card
    assert "consented to what the source of the corpus states" in card


def test_event_windows_carry_the_name_of_their_cue(write_edf, tmp_path):
    cues = [(float(i), 1.0, f"T{i % 3}") for i in range(8)]
    labels = ["Fc5.", "C3..", "Cz..", "C4..", "Oz.."]
    write_edf(tmp_path / "in" / "S001R04.edf", labels, 160.0, 9.0, annotations=cues)
    report = prepare(
        EEGMMIDB(),
        tmp_path / "out",
        extractor(window_seconds=1.5),
        root=tmp_path / "in",
        segments="events",
        tmin=0.5,
    )
    dataset = load_dataset(str(tmp_path / "out"), split="train")
    assert dataset["event"][:4] == ["rest", "imagined_left_fist", "imagined_right_fist", "rest"]
    assert dataset["start_seconds"][:3] == [0.5, 1.5, 2.5]
    assert len(dataset) == 8 - report["dropped"].get("outside", 0) == report["windows"]


def test_bad_stretches_and_flat_windows_are_dropped_and_counted(tmp_path):
    def edit(raw: mne.io.BaseRaw, recording: Recording) -> mne.io.BaseRaw:
        raw.load_data()._data[:, round(6 * 250) : round(18 * 250)] = 0.0
        raw.annotations.append(2.5, 0.2, "BAD_jump")
        return raw

    report = prepare(Edited(edit, seconds=40.0), tmp_path / "out", extractor())
    starts = set(load_dataset(str(tmp_path / "out"), split="train")["start_seconds"])
    assert report["dropped"]["annotated"] == 2 and 2.0 not in starts
    assert report["dropped"]["flat"] >= 4 and not {10.0, 12.0} & starts
    assert {0.0, 4.0, 18.0} <= starts


def test_a_dead_channel_is_zero_and_listed(tmp_path):
    def edit(raw: mne.io.BaseRaw, recording: Recording) -> mne.io.BaseRaw:
        raw.load_data()._data[raw.ch_names.index("P3")] = np.nan
        return raw

    prepare(Edited(edit), tmp_path / "out", extractor())
    row = load_dataset(str(tmp_path / "out"), split="train")[0]
    channel = row["channels"].index("P3")
    assert "P3" in row["bad_channels"]
    assert row["scale"][channel] == 1.0 and not decode(row)[channel].any()


def test_another_set_of_channels_gets_a_covariance_of_its_own(tmp_path):
    def edit(raw: mne.io.BaseRaw, recording: Recording) -> mne.io.BaseRaw:
        return raw.pick(["C3", "Cz", "C4", "O1"]) if recording.task == "task" else raw

    report = prepare(Edited(edit), tmp_path / "out", extractor())
    assert report["channel_counts"] == {19: 1, 4: 1}
    groups = {
        row["alignment_group"]: row["channels"]
        for row in load_dataset(str(tmp_path / "out"), "alignment", split="train")
    }
    dataset = load_dataset(str(tmp_path / "out"), split="train")
    assert len(groups) == 2
    assert all(groups[row["alignment_group"]] == row["channels"] for row in dataset)


# -- bad input -----------------------------------------------------------------------------------------------


def test_bad_recordings_are_reported_with_their_reason_and_do_not_stop_the_others(
    make_eegmat, write_edf, tmp_path
):
    root = make_eegmat(tmp_path / "eegmat", 6)
    whole = (root / "Subject00_2.edf").read_bytes()
    (root / "Subject00_2.edf").write_bytes(whole[: len(whole) // 2])
    (root / "Subject01_2.edf").write_text("this is a note, not a recording\n" * 20)
    write_edf(root / "Subject02_2.edf", ["ECG ECG", "EOG left"])
    write_edf(root / "Subject03_2.edf", amplitude_uv=0.0)
    write_edf(root / "Subject04_2.edf", seconds=1.0)
    (root / "Subject05_1.edf").write_bytes(b"")
    (root / "Subject05_2.edf").write_bytes(b"")
    report = prepare(EEGMAT(), tmp_path / "out", extractor(), root=root)
    assert (report["recordings_ok"], report["recordings_failed"]) == (5, 7)
    reasons = {failure["path"]: failure["reason"] for failure in report["failures"]}
    for path, expected in {
        "Subject00_2.edf": "is truncated: its header promises",
        "Subject01_2.edf": "is not an EDF file",
        "Subject02_2.edf": "no EEG channel",
        "Subject03_2.edf": "flat",
        "Subject04_2.edf": "1.0 s are less than one window of 2 s",
        "Subject05_1.edf": "is not an EDF file",
    }.items():
        assert expected in reasons[path] and "\n" not in reasons[path], reasons[path]
    rows = rows_of(tmp_path / "out")
    assert {row["path"]: row["status"] for row in rows}["Subject00_1.edf"] == "ok"
    # Shards prepared earlier hold their reports with these keys in their footers
    assert list(rows[0]) == [
        *("path", "subject", "session", "run", "task", "status", "reason", "seconds", "num_windows"),
        *("dropped", "events_named", "decisions", "warnings"),
    ]
    dataset = load_dataset(str(tmp_path / "out"), split="train")
    assert set(dataset["subject"]) == {"00", "01", "02", "03", "04"}
    assert not list((tmp_path / "out").rglob(".*"))


def test_nothing_usable_at_all_is_an_error_and_leaves_no_card(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "Subject00_1.edf").write_text("note")
    with pytest.raises(
        RuntimeError, match=r"no window .* 1 recordings .*Subject00_1.edf is not an EDF file"
    ) as caught:
        prepare(EEGMAT(), tmp_path / "out", extractor(), root=tmp_path / "in")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out" / "README.md").exists() and not shards(tmp_path / "out")
    assert rows_of(tmp_path / "out")[0]["status"] == "failed"


def test_contradicting_settings_are_refused(make_eegmat, tmp_path):
    root = make_eegmat(tmp_path / "eegmat", 1)
    for settings, message in (
        ({"segments": "events"}, "eegmat has no events"),
        ({"segments": "trials"}, "segments must be one of fixed, events, annotations"),
        ({"num_proc": 0}, "num_proc must be 1 or more"),
        ({"stride_seconds": 0.0}, "window and stride must exceed 0 s"),
        ({"timeout_seconds": -1.0}, "timeout_seconds must be 0 .no limit. or more"),
        ({"subjects": ["07"]}, "eegmat has no subject 07 here; it has 00"),
    ):
        with pytest.raises(ValueError, match=message):
            prepare(EEGMAT(), tmp_path / "out", extractor(), root=root, **settings)
    with pytest.raises(ValueError, match="set window_seconds"):
        prepare(EEGMAT(), tmp_path / "out", extractor(window_seconds=None), root=root)
    assert not (tmp_path / "out").exists()


def test_the_old_order_of_arguments_is_refused_in_one_line(tmp_path):
    corpus, settings = Simulated(1, seconds=5), extractor()
    for arguments in ((corpus, tmp_path, tmp_path / "out", settings), (corpus, tmp_path, tmp_path / "out")):
        with pytest.raises(TypeError, match=r"^expected prepare\(corpus, output_dir, extractor, root=.*\)$"):
            prepare(*arguments)
    with pytest.raises(TypeError, match="expected prepare.*got .Simulated, NoneType, EEGFeatureExtractor"):
        prepare(corpus, None, settings)
    assert not list(tmp_path.iterdir())


def test_shards_of_something_else_are_refused_and_left_alone(make_eegmat, tmp_path):
    prepare(Simulated(1, seconds=5), tmp_path / "out", extractor())
    before = shards(tmp_path / "out")
    with pytest.raises(ValueError, match="already holds 1 shards of something else .simulated-00.parquet"):
        prepare(EEGMAT(), tmp_path / "out", extractor(), root=make_eegmat(tmp_path / "eegmat", 1))
    assert shards(tmp_path / "out") == before


# -- again, interrupted, in parallel -------------------------------------------------------------------------


def test_running_again_keeps_what_is_done_and_rewrites_what_changed(make_eegmat, write_edf, tmp_path):
    root, out = make_eegmat(tmp_path / "eegmat", 3), tmp_path / "out"
    prepare(EEGMAT(), out, extractor(), root=root)
    before = shards(out)
    again = prepare(
        EEGMAT(), out, extractor(normalization="zscore", clip=5.0, alignment="euclidean"), root=root
    )
    assert (again["shards_written"], again["shards_reused"]) == (0, 3)
    assert (again["windows"], again["recordings_ok"]) == (18, 6)
    assert shards(out) == before

    write_edf(root / "Subject01_2.edf", seconds=6.0, seed=99)
    changed = prepare(EEGMAT(), out, extractor(), root=root)
    assert (changed["shards_written"], changed["shards_reused"]) == (1, 2)
    now = shards(out)
    assert {name for name in now if now[name] != before[name]} == {
        "data/eegmat-01.parquet",
        "alignment/eegmat-01.parquet",
    }
    other = prepare(EEGMAT(), out, extractor(lowpass_hz=30.0), root=root)
    assert (other["shards_written"], other["shards_reused"]) == (3, 0)


def test_a_failed_recording_is_tried_again_and_a_spoilt_one_takes_its_shard_along(make_eegmat, tmp_path):
    root, out = make_eegmat(tmp_path / "eegmat", 2), tmp_path / "out"
    whole = {run: (root / f"Subject01_{run}.edf").read_bytes() for run in (1, 2)}
    (root / "Subject01_1.edf").write_bytes(whole[1][:1000])
    assert prepare(EEGMAT(), out, extractor(), root=root)["windows"] == 9
    (root / "Subject01_1.edf").write_bytes(whole[1])
    assert prepare(EEGMAT(), out, extractor(), root=root)["windows"] == 12
    for run in (1, 2):
        (root / f"Subject01_{run}.edf").write_bytes(b"")
    assert prepare(EEGMAT(), out, extractor(), root=root)["windows"] == 6
    assert set(shards(out)) == {"data/eegmat-00.parquet", "alignment/eegmat-00.parquet"}


def test_one_subject_after_another_makes_one_corpus_of_one_kind(make_eegmat, tmp_path):
    root, out = make_eegmat(tmp_path / "eegmat", 3), tmp_path / "out"
    assert prepare(EEGMAT(), out, extractor(), root=root, subjects=["02"])["windows"] == 6
    both = prepare(EEGMAT(), out, extractor(), root=root, subjects=["00"])
    assert (both["windows"], both["shards_written"], both["shards_reused"]) == (12, 1, 1)
    assert [row["subject"] for row in rows_of(out)] == ["00", "00", "02", "02"]
    with pytest.raises(ValueError, match=r"subjects not asked for \(00\) .* other settings"):
        prepare(EEGMAT(), out, extractor(lowpass_hz=30.0), root=root, subjects=["01", "02"])
    assert len(rows_of(out)) == 4


def test_a_damaged_shard_is_written_anew(make_eegmat, tmp_path):
    root, out = make_eegmat(tmp_path / "eegmat", 1), tmp_path / "out"
    prepare(EEGMAT(), out, extractor(), root=root)
    before = shards(out)
    (out / "data" / "eegmat-00.parquet").write_bytes(before["data/eegmat-00.parquet"][:500])
    assert prepare(EEGMAT(), out, extractor(), root=root)["shards_written"] == 1
    assert shards(out) == before


def _prepare_quietly(root: Path, out: Path) -> None:
    prepare(EEGMAT(), out, extractor(), root=root)


def test_killed_at_any_moment_and_started_again_it_writes_the_same_bytes(make_eegmat, tmp_path):
    root = make_eegmat(tmp_path / "eegmat", 8)
    prepare(EEGMAT(), tmp_path / "undisturbed", extractor(), root=root)
    out, context, exits = tmp_path / "killed", multiprocessing.get_context("fork"), []
    for wanted in (0, 1, 3, 6):  # kill once so many shards are there
        process = context.Process(target=_prepare_quietly, args=(root, out))
        process.start()
        deadline = time.monotonic() + 60
        while process.is_alive() and len(list(out.glob("data/*.parquet"))) < wanted:
            assert time.monotonic() < deadline
            time.sleep(0.001)
        time.sleep(0.003 * wanted)
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        exits.append(process.exitcode)
        assert process.exitcode == 0 or not (out / "README.md").exists()
        for path in out.glob("*/*.parquet"):
            assert pq.read_table(path).num_rows > 0
    assert -signal.SIGKILL in exits  # a busy machine may have let one of them finish first
    report = prepare(EEGMAT(), out, extractor(), root=root)
    assert report["shards_written"] + report["shards_reused"] == 8
    assert shards(out) == shards(tmp_path / "undisturbed")
    assert (out / "report.jsonl").read_bytes() == (tmp_path / "undisturbed" / "report.jsonl").read_bytes()
    assert (out / "README.md").read_bytes() == (tmp_path / "undisturbed" / "README.md").read_bytes()
    assert not list(out.rglob(".*"))


def _prepare_on_a_full_disk(root: Path, out: Path, connection: multiprocessing.connection.Connection) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (8_000, 8_000))  # no file may grow beyond that
    try:
        prepare(EEGMAT(), out, extractor(), root=root)
    except OSError as error:
        connection.send(str(error))


def test_a_full_disk_is_said_and_leaves_nothing_half_written(make_eegmat, tmp_path):
    root, out = make_eegmat(tmp_path / "eegmat", 2), tmp_path / "out"
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    process = context.Process(target=_prepare_on_a_full_disk, args=(root, out, theirs))
    process.start()
    assert ours.poll(30)
    message = ours.recv()
    process.join()
    assert "could not write" in message and "eegmat-00.parquet" in message and "run again" in message
    assert not shards(out) and not (out / "README.md").exists()
    assert not [path for path in out.rglob("*") if path.is_file()]


MORTAL = '''
import os
from eeg_hf.corpora import Simulated

class Mortal(Simulated):
    """A corpus with a recording that takes its reader's process along."""

    def read(self, recording):
        if (recording.subject, recording.task) == ("01", "task"):
            os.kill(os.getpid(), 9)
        return super().read(recording)
'''


def test_several_processes_write_the_same_bytes_and_survive_the_death_of_one(tmp_path, monkeypatch):
    (tmp_path / "mortal_corpus.py").write_text(MORTAL)
    monkeypatch.syspath_prepend(tmp_path)  # where the other processes find it too
    from mortal_corpus import Mortal

    report = prepare(Mortal(3, seconds=4.0), tmp_path / "several", extractor(), num_proc=2)
    prepare(Simulated(3, seconds=4.0), tmp_path / "one", extractor())
    assert (report["recordings_ok"], report["recordings_failed"]) == (5, 1)
    (failure,) = report["failures"]
    assert failure["path"].endswith("01_task") and "the process preparing it died" in failure["reason"]
    several, one = shards(tmp_path / "several"), shards(tmp_path / "one")
    assert set(several) == set(one)
    for name in one:
        assert (several[name] == one[name]) == ("-01" not in name)
    assert pq.read_metadata(tmp_path / "several" / "data" / "simulated-01.parquet").num_rows == 2
    assert not list((tmp_path / "several").rglob(".*"))


def test_a_folder_of_the_same_name_or_with_other_windows_is_not_taken_from_the_cache(make_eegmat, tmp_path):
    first, second = tmp_path / "a" / "out", tmp_path / "b" / "out"
    prepare(EEGMAT(), first, extractor(), root=make_eegmat(tmp_path / "two", 2))
    prepare(EEGMAT(), second, extractor(), root=make_eegmat(tmp_path / "three", 3))
    assert set(load_dataset(str(first), split="train")["subject"]) == {"00", "01"}
    assert set(load_dataset(str(second), split="train")["subject"]) == {"00", "01", "02"}
    assert len(load_dataset(str(second), "alignment", split="train")) == 3
    prepare(EEGMAT(), second, extractor(lowpass_hz=20.0), root=tmp_path / "three")
    rows = load_dataset(str(second), split="train")
    assert not np.array_equal(decode(rows[0]), decode(load_dataset(str(first), split="train")[0]))


def test_a_second_preparation_of_a_folder_says_who_has_it(make_eegmat, tmp_path):
    root, out = make_eegmat(tmp_path / "eegmat", 2), tmp_path / "out"
    with Holder(out), pytest.raises(FolderInUseError, match=r"out is in use by process \d+ on .* since"):
        prepare(EEGMAT(), out, extractor(), root=root)
    with Holder(out, shared=True):
        prepare(EEGMAT(), out, extractor(), root=root, part=(0, 2))
        with Holder(tmp_path / "out.1-of-2"), pytest.raises(FolderInUseError):
            prepare(EEGMAT(), out, extractor(), root=root, part=(1, 2))
    assert not list(tmp_path.glob(".*"))


def test_datasets_refuses_a_folder_that_is_being_prepared(make_eegmat, tmp_path, monkeypatch):
    root, out = make_eegmat(tmp_path / "eegmat", 3), tmp_path / "out"
    prepare(EEGMAT(), out, extractor(), root=root)
    seen = []

    def look(self: EEGMAT, recording: Recording) -> mne.io.BaseRaw:
        if seen:
            for load in (load_dataset, load_windows):
                with pytest.raises(
                    (ValueError, FileNotFoundError), match="unfinished|is being prepared by"
                ) as it:
                    load(str(out))
                assert "\n" not in str(it.value)
        seen.append(len(list(out.glob("data/*.parquet"))))
        return read(self, recording)

    read = EEGMAT.read
    monkeypatch.setattr(EEGMAT, "read", look)
    prepare(EEGMAT(), out, extractor(lowpass_hz=20.0), root=root)
    assert set(seen) == {3}  # outdated shards are replaced, not removed, under those who read them
    assert len(load_dataset(str(out), split="train")) == len(load_windows(out)) > 0
    assert not list(out.rglob(".*"))


def test_a_finished_folder_is_found_finished_without_a_write(make_eegmat, tmp_path):
    root, out = make_eegmat(tmp_path / "eegmat", 2), tmp_path / "out"
    first = prepare(EEGMAT(), out, extractor(), root=root)
    before = {path: path.stat().st_ctime_ns for path in (out, *out.rglob("*"))}
    again = prepare(EEGMAT(), out, extractor(), root=root)
    assert (again["shards_written"], again["windows"], again["is_complete"]) == (0, first["windows"], True)
    assert {path: path.stat().st_ctime_ns for path in (out, *out.rglob("*"))} == before
