# SPDX-License-Identifier: Apache-2.0
import multiprocessing
import os
import signal
from pathlib import Path

import pytest

from eeg_hf.folder_lock import FolderInUseError, is_locked_elsewhere, locked_folder
from tests.holders import Holder


def test_the_second_process_says_who_has_the_folder(tmp_path):
    with Holder(tmp_path / "out") as holder:
        with pytest.raises(FolderInUseError) as refusal, locked_folder(tmp_path / "out", "second"):
            pass
        message = str(refusal.value)
        assert f"process {holder.pid} on " in message and "since 20" in message and "(first)" in message
        assert str(holder.pid) in str(is_locked_elsewhere(tmp_path / "out"))
        with locked_folder(tmp_path / "other", "second"):
            assert is_locked_elsewhere(tmp_path / "other") is None
    with locked_folder(tmp_path / "out", "second"), locked_folder(tmp_path / "out", "again"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_killed_process_leaves_no_lock(tmp_path):
    with Holder(tmp_path / "out") as holder:
        os.kill(holder.pid, signal.SIGKILL)
        holder.process.join()
        assert (tmp_path / ".out.lock").exists()
        with locked_folder(tmp_path / "out", "second"):
            pass
    assert list(tmp_path.iterdir()) == []


def test_parts_share_a_folder_that_nothing_else_gets(tmp_path):
    with Holder(tmp_path / "out", shared=True):
        with locked_folder(tmp_path / "out", "another part", shared=True):
            pass
        with pytest.raises(FolderInUseError), locked_folder(tmp_path / "out", "whole"):
            pass
    with locked_folder(tmp_path / "out", "whole"):
        pass


def _race(folder: Path, start: float, results: "multiprocessing.SimpleQueue") -> None:
    for _ in range(200):
        try:
            with locked_folder(folder, "racer"):
                (folder / "alone").mkdir(parents=True)  # fails if two are here
                (folder / "alone").rmdir()
        except FolderInUseError:
            pass
    results.put(None)


def test_no_two_processes_are_ever_inside(tmp_path):
    context = multiprocessing.get_context("fork")
    results = context.SimpleQueue()
    racers = [context.Process(target=_race, args=(tmp_path / "out", 0.0, results)) for _ in range(3)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    assert [racer.exitcode for racer in racers] == [0, 0, 0]
