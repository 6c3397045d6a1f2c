# SPDX-License-Identifier: Apache-2.0
"""Preparations with damaged files, odd names, killed processes, a full disk, and endless recordings."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import load_dataset
from transformers.utils import logging

from eeg_hf import EEGFeatureExtractor
from eeg_hf.corpora import Simulated, prepare
from eeg_hf.corpora.folder import FolderCorpus
from eeg_hf.corpora.windows.limits import TimeLimitError, time_limit
from eeg_hf.corpora.windows.whole_file import WholeFile
from tests.conftest import ROOT
from tests.corpora.mutations import RATE, WRITERS, copy, export, hostile

FOLDER_OF = r"(?P<subject>[^/]+)/"


@pytest.fixture(autouse=True)
def quiet(tmp_path, monkeypatch) -> Iterator[None]:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "datasets_cache")
    logging.disable_progress_bar()
    before = logging.get_verbosity()
    logging.set_verbosity_error()
    yield
    logging.set_verbosity(before)


def extractor() -> EEGFeatureExtractor:
    return EEGFeatureExtractor(sampling_rate=100.0, highpass_hz=1.0, lowpass_hz=40.0, window_seconds=2.0)


def lab(**options: object) -> FolderCorpus:
    return FolderCorpus(**{"sampling_rate": RATE, "unit": "uV", **options})


def shards(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.glob("*/*.parquet"))
    }


def hidden(folder: Path) -> list[Path]:
    return list(folder.rglob(".*"))


# -- damaged files -------------------------------------------------------------------------------------------


@contextlib.contextmanager
def peak_of_children() -> Iterator[dict[str, float]]:
    """Return the largest resident size of any child process, in MB."""
    peak, done = {"mb": 0.0}, threading.Event()

    def watch() -> None:
        while not done.wait(0.05):
            for child in psutil.Process().children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    peak["mb"] = max(peak["mb"], child.memory_info().rss / 2**20)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield peak
    finally:
        done.set()
        watcher.join()


@pytest.mark.slow
def test_good_files_among_hundreds_of_damaged_ones_are_prepared_as_without_them(tmp_path):
    whole, good, both = tmp_path / "whole", tmp_path / "good", tmp_path / "both"
    whole.mkdir()
    for name, write in WRITERS.items():
        write(whole / name)
        copy(whole, good / name.replace(".", "_"), name)
    shutil.copytree(good, both)
    damaged = list(put_each_in_a_folder(hostile(whole, tmp_path / "one"), both))[::2]
    assert len(damaged) >= 500
    for folder in sorted(set(both.iterdir()) - {both / name for name in (*damaged, *os.listdir(good))}):
        shutil.rmtree(folder)
    alone = prepare(lab(subject_pattern=FOLDER_OF), tmp_path / "alone", extractor(), root=good)
    with peak_of_children() as idle:
        prepare(Simulated(2, seconds=4.0), tmp_path / "idle", extractor(), num_proc=2)
    with peak_of_children() as busy:
        report = prepare(
            lab(subject_pattern=FOLDER_OF),
            tmp_path / "out",
            extractor(),
            root=both,
            num_proc=2,
            timeout_seconds=30.0,
        )
    expected, found = shards(tmp_path / "alone"), shards(tmp_path / "out")
    assert alone["recordings_ok"] == len(WRITERS) - 1  # the EGI file has electrodes of unknown position
    assert {name: found[name] for name in expected} == expected
    rows = [json.loads(line) for line in (tmp_path / "out" / "report.jsonl").read_text().splitlines()]
    assert report["recordings_ok"] + report["recordings_failed"] == len(rows) >= 500
    for row in rows:
        assert row["status"] == "ok" or (row["reason"] and row["reason"].isprintable()), row
        assert "process" not in (row["reason"] or ""), row
    for path in (tmp_path / "out" / "data").glob("*.parquet"):
        for window in pq.read_table(path, columns=["scale", "num_samples", "sampling_rate"]).to_pylist():
            assert np.isfinite(window["scale"]).all()
            assert (window["num_samples"], window["sampling_rate"]) == (200, 100.0)
    for path in (tmp_path / "out" / "alignment").glob("*.parquet"):
        assert np.isfinite(np.concatenate(pq.read_table(path)["covariance"].to_pylist())).all()
    assert busy["mb"] - idle["mb"] < 600
    assert not hidden(tmp_path / "out")


def put_each_in_a_folder(recordings: Iterator[tuple[str, Path]], root: Path) -> Iterator[str]:
    """Copy the written recordings; a `.eeg` is a recording only of Nihon Kohden."""
    for number, (_, path) in enumerate(recordings):
        if path.suffix == ".eeg":
            continue
        folder = root / f"damaged{number:04d}"
        folder.mkdir()
        for part in path.parent.glob(f"{path.name.split('.')[0]}.*"):
            if part == path or part.suffix in (".eeg", ".vmrk", ".fdt"):
                shutil.copy(part, folder)
        yield folder.name


# -- other than files, and odd names -------------------------------------------------------------------------

ODD_NAMES = (
    *(
        "new\nline",
        "with space",
        "ünï 漢字 🧠",
        "x" * 240,
        "é" * 120,
        "quo'te\"",
        "back\\slash",
        "per%41cent",
    ),
    *("-dash", "tab\tx", "GOOD", "Good", "[a-z]*", "a..b", b"latin\xe9".decode("utf-8", "surrogateescape")),
)


def test_what_is_no_file_is_reported_and_odd_names_are_prepared(tmp_path, caplog):
    root, out = tmp_path / "lab", tmp_path / "out"
    (root / "empty folder").mkdir(parents=True)
    (root / "folder.edf").mkdir()
    export(root / "good.edf", "edf", False)
    for name in ODD_NAMES:
        shutil.copy(root / "good.edf", root / f"{name}.edf")
    refused = {"empty.edf": "it is empty"}
    (root / "empty.edf").touch()
    for name in ("pipe.edf", "pipe2.eeg", "pipe3.fif", "pipe4.csv", "metadata.csv"):
        os.mkfifo(root / name)
        refused[name] = "is a pipe"
    for name in ("zero.edf", "zero2.eeg", "zero3.set"):
        (root / name).symlink_to("/dev/zero")  # leads out of the folder
    for name in ("annex.edf", "annex2.eeg"):
        (root / name).symlink_to(".git/annex/objects/nowhere")
        refused[name] = "datalad get"
    (root / "self.edf").symlink_to("self.edf")
    refused["self.edf"] = "pointer"
    with (root / "giant.csv").open("wb") as giant:
        giant.truncate(psutil.virtual_memory().total)
    refused["giant.csv"] = "too large for"
    (root / "loop").symlink_to(".")
    (root / "again").symlink_to(root)
    with socket.socket(socket.AF_UNIX) as connection:
        os_folder = os.open(root, os.O_RDONLY)  # the path of a socket is at most 107 bytes long
        connection.bind(f"/proc/self/fd/{os_folder}/socket.edf")
        os.close(os_folder)
        refused["socket.edf"] = "socket"
        report = prepare(lab(), out, extractor(), root=root, timeout_seconds=20.0)
    assert {failure["path"]: failure["reason"] for failure in report["failures"]}.keys() == refused.keys()
    assert "3 links lead out of it and are left out" in caplog.text
    for failure in report["failures"]:
        assert refused[failure["path"]] in failure["reason"]
    names = {pq.read_table(path)["subject"][0].as_py() for path in (out / "data").glob("*.parquet")}
    assert len(names) == report["recordings_ok"] == len(ODD_NAMES) + 1
    assert {"new\\nline", "latin\\udce9", "x" * 240, "é" * 120, "Good", "GOOD", "good", "a..b"} <= names
    assert len(load_dataset(str(out), split="train")) == report["windows"] == 3 * len(names)
    again = prepare(lab(), out, extractor(), root=root, timeout_seconds=20.0)
    assert (again["shards_written"], again["shards_reused"]) == (0, len(names))


def test_a_file_and_a_folder_without_permission_are_said(caplog):
    with tempfile.TemporaryDirectory() as place:  # a folder that other users may enter
        root, out = Path(place, "lab"), Path(place, "out")
        no_table = {"sampling_rate": None, "unit": None}
        for name in ("good", "locked", "inside/hidden"):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            export(root / f"{name}.edf", "edf", False)
        assert prepare(lab(**no_table), Path(place, "first"), extractor(), root=root)["recordings_ok"] == 3
        os.chmod(place, 0o777)
        (root / "locked.edf").chmod(0)
        (root / "inside").chmod(0)
        logging.set_verbosity_warning()
        logging.enable_propagation()
        me = os.geteuid()
        try:
            if me == 0:  # root may read everything
                os.seteuid(65534)
            report = prepare(lab(**no_table), out, extractor(), root=root)
        finally:
            os.seteuid(me)
            logging.disable_propagation()
            (root / "inside").chmod(0o755)
    assert [failure["path"] for failure in report["failures"]] == ["locked.edf"]
    assert report["recordings_ok"] == 1 and "Permission denied" in report["failures"][0]["reason"]
    assert "inside is left out: Permission denied" in caplog.text


# -- death ---------------------------------------------------------------------------------------------------

PREPARE = """
import sys
from eeg_hf import EEGFeatureExtractor
from eeg_hf.corpora import Simulated, prepare
cleaning = {"sampling_rate": 100.0, "highpass_hz": 1.0, "lowpass_hz": 40.0, "window_seconds": 2.0}
if __name__ == "__main__":
    prepare(Simulated(60, seconds=4.0), sys.argv[1], EEGFeatureExtractor(**cleaning), num_proc=2)
"""


def done_in(out: Path) -> int:
    return len(list(out.glob("data/*.parquet")))


def busy_workers(pid: int) -> list[psutil.Process]:
    """Return the processes below the fork server, without the one that has children."""
    family = psutil.Process(pid).children(recursive=True)
    return [child for child in family if child.ppid() != pid]


@pytest.mark.slow
def test_killed_at_random_moments_it_leaves_no_process_and_writes_the_same_bytes(tmp_path):
    prepare(Simulated(60, seconds=4.0), tmp_path / "undisturbed", extractor())
    out, generator = tmp_path / "killed", np.random.default_rng(0)
    command = [sys.executable, "-c", PREPARE, str(out)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HOME": str(tmp_path / "hf")}
    kills = 0
    for _ in range(2):
        with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
            family = []
            for victim in ("worker", "worker", "worker", "all"):
                wanted = done_in(out) + int(generator.integers(3))
                deadline = time.monotonic() + 90
                while process.poll() is None and (done_in(out) < wanted or not list(out.glob("data/.*"))):
                    assert time.monotonic() < deadline
                    time.sleep(0.001)
                time.sleep(generator.uniform(0, 0.02))
                with contextlib.suppress(psutil.NoSuchProcess, IndexError):
                    family = psutil.Process(process.pid).children(recursive=True)
                    if victim == "worker":  # the preparation continues without it
                        busy_workers(process.pid)[0].kill()
                    else:
                        process.kill()
                    kills += 1
        _, orphans = psutil.wait_procs(family, timeout=20)
        assert not orphans
        assert process.returncode == 0 or not (out / "README.md").exists()
        for path in out.glob("*/*.parquet"):
            assert pq.read_table(path).num_rows > 0
    assert kills >= 4  # a fast machine may have finished before
    report = prepare(Simulated(60, seconds=4.0), out, extractor())
    assert report["recordings_failed"] == 0 and report["shards_reused"] > 5
    assert shards(out) == shards(tmp_path / "undisturbed")
    for name in ("report.jsonl", "README.md"):
        assert (out / name).read_bytes() == (tmp_path / "undisturbed" / name).read_bytes()
    assert not hidden(out)


# -- a full disk ---------------------------------------------------------------------------------------------

ON_A_SMALL_DISK = """
import os, runpy, shutil, subprocess, sys
script, disk, copy, free = *sys.argv[1:4], int(sys.argv[4])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", disk], check=True)
out = os.path.join(disk, "out")
with open(os.path.join(disk, "filler"), "wb") as filler:
    filler.write(bytes(2**20 - free))
sys.argv[1:] = sys.argv[5:] + ["--output_dir", out]
for attempt in range(2):
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as end:
        print("code", end.code)
    print(sorted(name for _, _, names in os.walk(out) for name in names))
    filler = os.path.join(disk, "filler")
    if os.path.exists(filler):
        os.unlink(filler)
shutil.copytree(out, copy)
"""


@pytest.mark.slow
def test_a_full_disk_is_said_and_when_there_is_room_the_rest_is_written(tmp_path):
    (tmp_path / "disk").mkdir()
    try:
        subprocess.run(["unshare", "-rm", "mount", "-t", "tmpfs", "none", tmp_path / "disk"], check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("a full disk needs a file system of its own, and none can be mounted here")
    corpus = Simulated(6, seconds=4.0)
    prepare(corpus, tmp_path / "roomy", EEGFeatureExtractor(window_seconds=2.0))
    expected = shards(tmp_path / "roomy")
    sizes = [-(-len(content) // 4096) * 4096 for content in expected.values()]
    free = int(2.5 * sum(sizes) / 6)  # two subjects and a half
    options = ["--corpus", "simulated", "--window_seconds", "2"]
    options += ["--corpus_options", json.dumps({"num_subjects": 6, "seconds": 4.0})]
    arguments = [ROOT / "scripts" / "prepare.py", tmp_path / "disk", tmp_path / "copy", free, *options]
    done = subprocess.run(
        ["unshare", "-rm", sys.executable, "-c", ON_A_SMALL_DISK, *map(str, arguments)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HOME": str(tmp_path / "hf")},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    first, kept, second, there = done.stdout.splitlines()[:4]
    print(done.stdout, done.stderr)
    (message,) = [line for line in done.stderr.splitlines() if line.startswith("eeg-hf prepare: ")]
    assert "could not write" in message and "No space left on device" in message and "run again" in message
    assert "Traceback" not in done.stderr
    assert first == "code 2" and kept.count("simulated-0") == 2 * 2 and "README.md" not in kept
    assert shards(tmp_path / "copy") == expected


# -- no end --------------------------------------------------------------------------------------------------

ENDLESS = '''
import itertools
import os
from eeg_hf.corpora import Simulated

class Endless(Simulated):
    """A corpus whose recordings never end, each for another reason."""

    def read(self, recording):
        if recording.task == "task":
            if recording.subject == "00":
                while True:
                    pass
            elif recording.subject == "01":
                os.read(os.pipe()[0], 1)
            elif recording.subject == "02":
                sum(itertools.repeat(0))  # compiled code that checks no signals and releases no lock
        return super().read(recording)
'''


def test_time_that_ends_while_windows_are_written_is_no_fault_of_the_disk(tmp_path):
    rows = pa.table({"signal": [bytes(1000)] * 1000})
    with WholeFile(tmp_path / "shard.parquet", rows.schema) as shard:
        with pytest.raises(TimeLimitError), time_limit(0.2):
            while True:
                shard.write(rows)
        assert shard.num_rows > 0
        shard.discard()
    assert not list(tmp_path.glob("*shard*"))


@pytest.mark.slow
def test_a_recording_without_end_is_ended_whatever_it_does(tmp_path, monkeypatch):
    (tmp_path / "endless_corpus.py").write_text(ENDLESS)
    monkeypatch.syspath_prepend(tmp_path)
    from endless_corpus import Endless

    report = prepare(Endless(4, seconds=4.0), tmp_path / "out", extractor(), num_proc=2, timeout_seconds=3.0)
    reasons = {failure["path"][:2]: failure["reason"] for failure in report["failures"]}
    assert report["recordings_ok"] == 5 and set(reasons) == {"00", "01", "02"}
    assert "longer than the 3 s" in reasons["00"] and "longer than the 3 s" in reasons["01"]
    assert "out of time" in reasons["02"]
    assert not hidden(tmp_path / "out")
