# SPDX-License-Identifier: Apache-2.0
import threading
import time
from types import SimpleNamespace

import mne
import numpy as np
import psutil
import pytest

from eeg_hf.corpora.windows.limits import refuse_too_large, time_limit


def test_what_takes_too_long_is_ended_and_what_does_not_is_left_alone():
    with pytest.raises(TimeoutError, match="longer than the 0.05 s"), time_limit(0.05):
        time.sleep(5)
    with time_limit(0.05):
        pass
    time.sleep(0.1)  # the clock does not go on


def test_without_a_limit_or_outside_the_main_thread_nothing_is_ended():
    done = []

    def work():
        with time_limit(0.01):
            time.sleep(0.05)
            done.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    with time_limit(0):
        time.sleep(0.02)
    assert done == [True]


class Huge:
    """A recording that is larger than any memory; nothing of it can be loaded."""

    ch_names = ["Cz"] * 64
    n_times = psutil.virtual_memory().total


def test_a_recording_larger_than_the_memory_is_refused_before_it_is_loaded(monkeypatch):
    refuse_too_large(Huge())  # a gigabyte suffices for blocks of it
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=2**20))
    with pytest.raises(MemoryError, match="64 channels x .* GiB are free"):
        refuse_too_large(Huge())
    refuse_too_large(mne.io.RawArray(np.zeros((2, 100)), mne.create_info(2, 100.0, "eeg"), verbose="ERROR"))
