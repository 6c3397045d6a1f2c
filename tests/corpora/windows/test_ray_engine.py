# SPDX-License-Identifier: Apache-2.0
import os
import signal
import sys
from pathlib import Path

import mne
import pytest
from transformers.utils import logging

from eeg_hf import EEGFeatureExtractor
from eeg_hf.corpora import Recording, Simulated, prepare
from eeg_hf.corpora.windows.pool import DEATH

EXTRACTOR = EEGFeatureExtractor(highpass_hz=1.0, lowpass_hz=40.0, sampling_rate=100.0, window_seconds=2.0)


class Deadly(Simulated):
    """The second recording of subject 01 kills its process, or says that it would."""

    def __init__(self, kills: bool) -> None:
        super().__init__(num_subjects=3, seconds=20.0)
        self.kills = kills

    def read(self, recording: Recording) -> mne.io.BaseRaw:
        if (recording.subject, recording.run) == ("01", "2"):
            if self.kills:
                os.kill(os.getpid(), signal.SIGKILL)
            raise ValueError(DEATH)
        return super().read(recording)


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.parquet*")}


@pytest.mark.slow
def test_ray_writes_the_bytes_of_one_process_and_survives_what_kills_it(tmp_path):
    ray = pytest.importorskip("ray")
    pytest.importorskip("ray.data")
    logging.disable_progress_bar()
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # Ray's processes cannot import it
    ray.init(address="local", num_cpus=2, include_dashboard=False, object_store_memory=100 * 2**20)
    try:
        report = prepare(Deadly(kills=True), tmp_path / "ray", EXTRACTOR, engine="ray", num_proc=2)
        written = files(tmp_path / "ray")
        assert ray.is_initialized()  # it was here before
        again = prepare(Deadly(kills=False), tmp_path / "ray", EXTRACTOR)
    finally:
        ray.shutdown()
    expected = prepare(Deadly(kills=False), tmp_path / "local", EXTRACTOR)
    assert (report["recordings_ok"], report["recordings_failed"]) == (5, 1)
    assert report["failures"] == expected["failures"] and report["failures"][0]["reason"] == DEATH
    assert written == files(tmp_path / "local") and len(written) == 6
    assert (again["shards_written"], again["shards_reused"]) == (1, 2)  # what failed is tried again


def test_without_ray_the_package_is_named_and_what_is_there_stays(monkeypatch, tmp_path):
    (tmp_path / "README.md").write_text("the card of an older preparation")
    monkeypatch.setitem(sys.modules, "ray.data", None)
    with pytest.raises(ImportError, match=r'pip install "eeg-hf\[ray\]"'):
        prepare(Deadly(kills=False), tmp_path, EXTRACTOR, engine="ray")
    assert files(tmp_path) == {} and (tmp_path / "README.md").exists()
