# SPDX-License-Identifier: Apache-2.0
import pickle
import sys

import mne
import numpy as np
import pyarrow.parquet as pq
import pytest

from eeg_hf import EEGFeatureExtractor
from eeg_hf.corpora import prepare
from eeg_hf.corpora.moabb import MOABB

pytest.importorskip("moabb")

from moabb.datasets.fake import FakeDataset  # noqa: E402

RATE, UV = 128, 30.0


class Sines(FakeDataset):
    """MOABB's own fake dataset, but with a sine of known amplitude in every electrode."""

    def _generate_raw(self, n_events, duration):
        raw = super()._generate_raw(n_events, duration)
        sine = UV * 1e-6 * np.sin(2 * np.pi * 10 * raw.times)
        picks = mne.pick_types(raw.info, eeg=True)
        raw._data[picks] = sine * np.array([[1.0], [-1.0], [0.5]])
        return raw


@pytest.fixture(autouse=True)
def folder_of_moabb(tmp_path, monkeypatch):
    monkeypatch.setenv("MNE_DATA", str(tmp_path))  # corpora change it; restored after the test


def make(subjects=2, **options):
    dataset = Sines(
        n_subjects=subjects,
        n_sessions=2,
        n_runs=1,
        duration=20,
        n_events=4,
        event_list=("left_hand", "right_hand"),
        seed=0,
    )
    return MOABB(dataset, **options)


def test_whole_recordings_come_with_the_events_of_the_data_set(tmp_path):
    corpus = make()
    found = corpus.recordings(tmp_path)
    assert [(r.subject, r.session, r.run) for r in found] == [
        (subject, session, "0") for subject in "12" for session in "01"
    ]
    raw = corpus.read(found[0])
    assert raw.get_channel_types() == ["eeg", "eeg", "eeg", "stim"]
    events = corpus.events(found[0], raw)
    assert [event.name for event in events] == ["left_hand", "right_hand"] * 2
    assert {event.duration for event in events} == {3.0}


def test_the_epochs_of_a_paradigm_end_before_their_last_sample(tmp_path):
    corpus = make(paradigm="LeftRightImagery")
    found = corpus.recordings(tmp_path)
    epochs = corpus.read(found[1])
    assert isinstance(epochs, mne.BaseEpochs) and epochs.get_data().shape == (4, 3, 3 * RATE)
    assert [event.name for event in corpus.events(found[1], epochs)] == ["left_hand", "right_hand"] * 2
    assert np.abs(epochs.get_data()).max() == pytest.approx(UV * 1e-6, rel=0.05)  # 8-32 Hz leaves 10 Hz


@pytest.mark.parametrize("paradigm", [None, "LeftRightImagery"])
def test_prepared_windows_have_the_amplitude_and_the_label_of_their_trial(paradigm, tmp_path):
    extractor = EEGFeatureExtractor(RATE, None, None, reference="original", window_seconds=3.0)
    report = prepare(
        make(1, paradigm=paradigm), tmp_path / "out", extractor, root=tmp_path, segments="events"
    )
    assert report["failures"] == [] and report["windows"] == 8
    rows = pq.read_table(tmp_path / "out" / "data").to_pydict()
    assert rows["event"][:4] == ["left_hand", "right_hand"] * 2
    assert rows["channels"][0] == ["C3", "Cz", "C4"] and rows["sampling_rate"][0] == RATE
    assert set(rows["subject"]) == {"1"} and sorted(set(rows["session"])) == ["0", "1"]
    signal = np.frombuffer(rows["signal"][0], "<i2").reshape(3, -1) * np.array(rows["scale"][0])[:, None]
    spectrum = 2 * np.abs(np.fft.rfft(signal)) / signal.shape[1]
    assert spectrum[:, 30] == pytest.approx([UV, UV, UV / 2], rel=0.05)  # 10 Hz in 3 s


def test_only_the_subjects_asked_for_are_loaded(tmp_path):
    loaded = []

    class Counting(Sines):
        def _get_single_subject_data(self, subject):
            loaded.append(subject)
            return super()._get_single_subject_data(subject)

    corpus = MOABB(Counting(n_subjects=5, duration=10, n_events=2))
    corpus.recordings(corpus.locate(tmp_path, subjects=["4"]))
    assert loaded == [4]
    with pytest.raises(ValueError, match="has no subject 9: it has 1, 2, 3, 4, 5"):
        MOABB(Counting(n_subjects=5), subjects=[9])


def test_a_subject_that_cannot_be_loaded_leaves_the_others(tmp_path, caplog):
    class Broken(Sines):
        def _get_single_subject_data(self, subject):
            if subject == 1:
                raise OSError("server\nsaid no")
            return super()._get_single_subject_data(subject)

    corpus = MOABB(Broken(n_subjects=2, n_sessions=1, n_runs=1, duration=10, n_events=2))
    assert [r.subject for r in corpus.recordings(tmp_path)] == ["2"]
    assert "1 subjects could not be loaded, subject 1: server said no" in caplog.text
    loaded = []

    class Unreachable(Sines):
        def _get_single_subject_data(self, subject):
            loaded.append(subject)
            raise OSError("server\nsaid no")

    with pytest.raises(ConnectionError, match="could load no subject .*server said no; it needs a network"):
        MOABB(Unreachable(n_subjects=9)).recordings(tmp_path)
    assert loaded == [1, 2]  # each takes half a minute without a network


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dataset": "BNCI2014001"}, "no dataset 'BNCI2014001', did you mean 'BNCI2014_00"),
        ({"paradigm": "LeftRigthImagery"}, "no paradigm 'LeftRigthImagery', did you mean 'LeftRightImagery'"),
        ({"paradigm": "P300"}, "P300 does not fit BNCI2014_001, whose paradigm is imagery"),
        ({"paradigm": "FilterBankLeftRightImagery"}, "gives several bands of each epoch"),
        ({"dataset_options": {"sensors": 3}}, "dataset BNCI2014_001 rejects .*sensors"),
    ],
)
def test_what_moabb_does_not_have_is_refused_with_what_it_has(options, message):
    with pytest.raises(ValueError, match=message):
        MOABB(**options)


def test_licence_and_reference_are_those_that_moabb_states():
    corpus = MOABB("BNCI2014_001")
    assert (corpus.name, corpus.licence, corpus.reference) == (
        "moabb_bnci2014_001",
        "CC-BY-ND-4.0",
        "left mastoid",
    )
    assert corpus.num_subjects == 9 and "10.3389/fnins.2012.00055" in corpus.citation


def test_a_corpus_travels_to_another_process():
    corpus = pickle.loads(pickle.dumps(MOABB("BNCI2014_001", "LeftRightImagery", subjects=[3])))
    assert corpus.name == "moabb_bnci2014_001" and corpus._subjects == ["3"]


def test_without_moabb_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "moabb", None)
    with pytest.raises(ImportError, match=r'pip install "eeg-hf\[moabb\]"'):
        MOABB()
