# SPDX-License-Identifier: Apache-2.0
import os
import pickle
import warnings

import mne
import numpy as np
import pyarrow.parquet as pq
import pybv
import pytest

from eeg_hf import EEGFeatureExtractor
from eeg_hf.corpora import prepare
from eeg_hf.corpora.restricted_pickle import load_restricted
from eeg_hf.corpora.things_eeg1 import ThingsEEG1
from eeg_hf.corpora.things_eeg2 import ThingsEEG2

CHANNELS = ["Pz", "P3", "P7", "O1", "Oz", "O2", "P4", "P8"]
TRAIN, TEST = (16540, 4), (200, 80)


def epochs_of(part, num_channels=2, num_times=100, dtype=np.float32):
    """One period of a sine per epoch, whose amplitude counts the images; the repetition is an offset."""
    images, repetitions = part
    sine = np.sin(2 * np.pi * np.arange(num_times) / num_times)
    amplitude = 1 + np.arange(images) / images
    offset = np.arange(repetitions) / repetitions
    values = amplitude[:, None, None, None] * sine + offset[:, None, None]
    return np.broadcast_to(values, (images, repetitions, num_channels, num_times)).astype(dtype)


def published(values, rate=100.0, times=None):
    times = np.arange(values.shape[-1]) / rate - 0.2 if times is None else times
    return {"preprocessed_eeg_data": values, "ch_names": CHANNELS[: values.shape[2]], "times": times}


def write_metadata(path):
    train = [f"{number:05d}_thing{number}" for number in range(1, 1655) for _ in range(10)]
    test = [f"{number:05d}_other{number}" for number in range(1655, 1855)]
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(
        path,
        {
            "train_img_concepts": train,
            "train_img_concepts_THINGS": train,
            "train_img_files": [f"thing_{i:05d}b.jpg" for i in range(16540)],
            "test_img_concepts": [f"{i:05d}_other" for i in range(1, 201)],
            "test_img_concepts_THINGS": test,
            "test_img_files": [f"other_{i:03d}s.jpg" for i in range(200)],
        },
    )


def write_eeg2(root, part="test", subject="sub-01", values=None, **options):
    name = {"test": "preprocessed_eeg_test.npy", "train": "preprocessed_eeg_training.npy"}[part]
    path = root / subject / name
    path.parent.mkdir(parents=True, exist_ok=True)
    values = epochs_of(TEST, num_times=20) if values is None else values
    np.save(path, published(values, **options))
    return path


def test_training_comes_in_blocks_that_know_image_concept_and_repetition(tmp_path):
    write_eeg2(tmp_path, "train", values=epochs_of(TRAIN, 2, 10, np.float16))
    write_metadata(tmp_path / "image_metadata.npy")
    corpus = ThingsEEG2()
    found = corpus.recordings(tmp_path)
    assert len(found) == 4 * 17 and {r.labels["part"] for r in found} == {"train"}
    last = next(r for r in found if r.run == "train_02_16384")
    epochs = corpus.read(last)
    assert (len(epochs), epochs.ch_names, epochs.info["sfreq"], epochs.tmin) == (156, CHANNELS[:2], 100, -0.2)
    events = corpus.events(last, epochs)
    assert events[-1].name == "thing1654" and events[-1].labels == {
        "image": "thing_16539b.jpg",
        "concept": "thing1654",
        "concept_index": 1654.0,
        "image_index": 16539.0,
        "repetition": 2.0,
        "part": "train",
    }
    # whitened: 1 is stored as if it were 1 uV
    assert epochs.get_data()[-1].mean() == pytest.approx(0.5e-6, rel=0.01)
    assert np.ptp(epochs.get_data()[-1]) == pytest.approx(2 * 2e-6 * np.sin(0.4 * np.pi), rel=0.01)


def test_the_bare_pickle_of_63_channels_starts_at_its_image(tmp_path):
    path = tmp_path / "Preprocessed_data_250Hz" / "sub-08" / "preprocessed_eeg_test.npy"
    path.parent.mkdir(parents=True)
    times = np.arange(300) / 250 - 0.2
    with path.open("wb") as file:
        pickle.dump(published(epochs_of(TEST, 2, 250, np.float16), times=times), file, protocol=4)
    write_metadata(tmp_path / "images_set" / "image_metadata.npy")
    corpus = ThingsEEG2(average_repetitions=True)
    (recording,) = corpus.recordings(tmp_path)
    epochs = corpus.read(recording)
    assert (recording.subject, recording.run) == ("08", "test_mean_00000")
    assert (len(epochs), len(epochs.times), epochs.info["sfreq"]) == (200, 250, 250.0)
    assert epochs.tmin == pytest.approx(0.0, abs=1e-9)
    labels = corpus.events(recording, epochs)[199].labels
    assert (labels["concept"], labels["repetition"], labels["image"]) == ("other1854", None, "other_199s.jpg")
    assert epochs.get_data().mean() == pytest.approx(np.arange(80).mean() / 80 * 1e-6, rel=0.01)


def test_prepared_epochs_are_windows_with_their_concept_and_part(tmp_path):
    write_eeg2(tmp_path)
    write_metadata(tmp_path / "image_metadata.npy")
    extractor = EEGFeatureExtractor(100.0, None, None, reference="original", window_seconds=0.2)
    corpus = ThingsEEG2(average_repetitions=True)
    report = prepare(corpus, tmp_path / "out", extractor, root=tmp_path, segments="events")
    assert report["failures"] == [] and report["windows"] == 200
    rows = pq.read_table(tmp_path / "out" / "data").to_pydict()
    assert rows["concept"][:2] == ["other1655", "other1656"] and set(rows["part"]) == {"test"}
    assert rows["channels"][0] == ["Pz", "P3"] and rows["sampling_rate"][0] == 100.0
    assert set(rows["recording"]) == {"sub-01/preprocessed_eeg_test.npy/test_mean_00000"}
    signal = np.frombuffer(rows["signal"][0], "<i2").reshape(2, -1) * np.array(rows["scale"][0])[:, None]
    assert np.ptp(signal[0]) == pytest.approx(2.0, rel=0.01)


def test_without_metadata_images_are_numbered_and_not_named(tmp_path):
    write_eeg2(tmp_path)
    corpus = ThingsEEG2()
    recording = corpus.recordings(tmp_path)[3]
    event = corpus.events(recording, corpus.read(recording))[7]
    assert event.name == "image_7" and event.labels["concept"] is None
    assert (event.labels["image_index"], event.labels["repetition"]) == (7.0, 3.0)


def test_labels_that_change_are_prepared_anew(tmp_path):
    write_eeg2(tmp_path)
    recording = ThingsEEG2().recordings(tmp_path)[0]
    without = ThingsEEG2().provenance(recording)
    write_metadata(tmp_path / "image_metadata.npy")
    assert ThingsEEG2().provenance(recording) != without


def test_metadata_of_another_set_of_images_is_refused(tmp_path):
    write_eeg2(tmp_path)
    np.save(tmp_path / "image_metadata.npy", {"test_img_files": ["a.jpg"], "test_img_concepts_THINGS": []})
    corpus = ThingsEEG2()
    recording = corpus.recordings(tmp_path)[0]
    with pytest.raises(ValueError, match="lists 1 test images and 0 concepts, expected 200"):
        corpus.events(recording, corpus.read(recording))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"preprocessed_eeg_data": epochs_of((200, 79), 2, 10)}, r"shape \(200, 79, 2, 10\), expected"),
        (
            {"preprocessed_eeg_data": epochs_of(TEST, 2, 10) * 1e-5},
            "expected 0.01 to 100 for unit='whitened'",
        ),
        ({"ch_names": ["Oz"]}, "and 1 channel names"),
        ({"times": np.arange(5) / 100}, "has 5 times for 10 samples"),
    ],
)
def test_other_shapes_and_units_are_refused(change, message, tmp_path):
    path = write_eeg2(tmp_path, values=epochs_of(TEST, 2, 10))
    np.save(path, {**published(epochs_of(TEST, 2, 10)), **change})
    corpus = ThingsEEG2()
    with pytest.raises(ValueError, match=message):
        corpus.read(corpus.recordings(tmp_path)[0])


def test_volts_of_ones_own_are_read_where_they_are_said_to_be(tmp_path):
    write_eeg2(tmp_path, values=epochs_of(TEST, 2, 10) * 1e-5)
    corpus = ThingsEEG2(unit="V")
    epochs = corpus.read(corpus.recordings(tmp_path)[0])
    assert not corpus.is_whitened and ThingsEEG2().is_whitened
    assert np.abs(epochs.get_data()).max() == pytest.approx(1.9e-5, rel=0.1)
    with pytest.raises(ValueError, match="unit must be one of whitened, uV, V"):
        ThingsEEG2(unit="mV")


class Trap:
    """Unpickling an instance runs a command."""

    def __reduce__(self):
        return os.mkdir, (os.environ["TRAP"],)


@pytest.mark.parametrize("write", [np.save, lambda path, value: path.write_bytes(pickle.dumps(value))])
def test_a_pickle_that_would_run_code_is_refused_by_name_and_does_not_run(write, tmp_path, monkeypatch):
    monkeypatch.setenv("TRAP", str(tmp_path / "sprung"))
    path = tmp_path / "trap.npy"
    write(path, {"preprocessed_eeg_data": Trap()})
    with pytest.raises(ValueError, match=r"trap.npy is refused: it names (posix|nt).mkdir"):
        load_restricted(path)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_arrays_of_the_pickle_protocols_in_use_are_admitted(protocol, tmp_path):
    values = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": [np.float64(1.5), "Oz", True, None]}
    (tmp_path / "values.npy").write_bytes(pickle.dumps(values, protocol=protocol))
    read = load_restricted(tmp_path / "values.npy")
    assert np.array_equal(read["a"], values["a"]) and read["b"] == values["b"]


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY\x07", b"\x80\x04\x95 cut", b"text"])
def test_damaged_files_end_in_one_line(content, tmp_path):
    path = tmp_path / "damaged.npy"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="damaged.npy") as caught:
        load_restricted(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("protocol", [None, 4, 5])
def test_altered_bytes_neither_crash_nor_raise_more_than_one_line(protocol, tmp_path):
    path, rng = tmp_path / "altered.npy", np.random.default_rng(0)
    content = published(epochs_of((2, 2), 2, 5))
    if protocol is None:
        np.save(path, content)
    else:
        path.write_bytes(pickle.dumps(content, protocol=protocol))
    whole, refused = path.read_bytes(), 0
    for number in range(200):
        altered = bytearray(whole if number % 4 else whole[: rng.integers(len(whole))])
        for place in rng.integers(max(1, len(altered)), size=2 if altered else 0):
            altered[place] = rng.integers(256)
        path.write_bytes(altered)
        try:
            load_restricted(path)
        except ValueError as error:
            assert "\n" not in str(error)
            refused += 1
    assert refused > 100


STIMULI = [
    ("stimuli\\aardvark\\aardvark_01b.jpg", 0, 0, 0),
    ("stimuli\\carousel\\carousel_11s.jpg", 0, 1, 0),
    ("stimuli/zebra/zebra_03s.jpg", 1, 0, 72),
]


def write_eeg1(root, unit="samples", channels=("O1", "O2", "Pz"), seconds=4.0):
    """Write one subject of ds003825: BrainVision, and events.tsv in samples, as published."""
    folder = root / "sub-01" / "eeg"
    time = np.arange(round(seconds * 1000)) / 1000
    data = np.outer([20e-6, -20e-6, 10e-6], np.sin(2 * np.pi * 5 * time))[: len(channels)]
    pybv.write_brainvision(
        data=data, sfreq=1000, ch_names=list(channels), fname_base="sub-01_task-rsvp_eeg", folder_out=folder
    )
    scale = {"samples": 1, "seconds": 0.001}[unit]
    lines = ["onset\tduration\teventnumber\tobject\tsequencenumber\tstim\tisteststim\tistarget"]
    for number, (stim, is_test, is_target, sequence) in enumerate(STIMULI):
        concept = -1 if is_test else stim.split("\\")[1]
        onset, duration = (1000 + 600 * number) * scale, 50 * scale
        lines.append(
            f"{onset:g}\t{duration:g}\t{number}\t{concept}\t{sequence}\t{stim}\t{is_test}\t{is_target}"
        )
    (folder / "sub-01_task-rsvp_events.tsv").write_text("\n".join(lines) + "\n")
    (root / "dataset_description.json").write_text('{"Name": "THINGS-EEG", "BIDSVersion": "1.0.2"}')
    (root / "participants.tsv").write_text("participant_id\tgender\tage\nsub-01\tf\t20\n")
    (root / "task-rsvp_eeg.json").write_text(
        '{"TaskName": "rsvp", "SamplingFrequency": 1000, "PowerLineFrequency": 50, "EEGReference": "Cz",'
        ' "SoftwareFilters": "n/a"}'
    )
    return root


@pytest.mark.parametrize("unit", ["samples", "seconds"])
def test_images_are_where_they_were_shown_whatever_the_unit_of_their_times(unit, tmp_path):
    corpus = ThingsEEG1()
    (recording,) = corpus.recordings(write_eeg1(tmp_path, unit))
    raw = corpus.read(recording)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        events = corpus.events(recording, raw)
    assert (recording.subject, raw.info["sfreq"]) == ("01", 1000.0)
    assert [event.onset for event in events] == pytest.approx([1.0, 1.6, 2.2])
    assert {event.duration for event in events} == {0.05}
    assert [(e.name, e.labels["image"], e.labels["part"], e.labels["is_target"]) for e in events] == [
        ("aardvark", "aardvark_01b.jpg", "train", 0.0),
        ("carousel", "carousel_11s.jpg", "train", 1.0),
        ("zebra", "zebra_03s.jpg", "test", 0.0),
    ]


def test_prepared_windows_have_concept_part_and_amplitude(tmp_path):
    root = write_eeg1(tmp_path / "things")
    extractor = EEGFeatureExtractor(250.0, None, None, reference="original", window_seconds=1.0)
    report = prepare(ThingsEEG1(), tmp_path / "out", extractor, root=root, segments="events", tmin=-0.2)
    assert report["failures"] == [] and report["windows"] == 3
    rows = pq.read_table(tmp_path / "out" / "data").to_pydict()
    assert rows["concept"] == ["aardvark", "carousel", "zebra"] and rows["part"] == ["train", "train", "test"]
    signal = np.frombuffer(rows["signal"][0], "<i2").reshape(3, -1) * np.array(rows["scale"][0])[:, None]
    assert np.abs(signal).max(axis=1) == pytest.approx([20, 20, 10], rel=0.03)
    assert rows["start_seconds"] == pytest.approx([0.8, 1.4, 2.0])


def test_events_without_the_columns_that_name_images_are_refused(tmp_path):
    root = write_eeg1(tmp_path)
    table = root / "sub-01" / "eeg" / "sub-01_task-rsvp_events.tsv"
    table.write_text("onset\tduration\ttrial_type\n1\t1\tface\n")
    corpus = ThingsEEG1()
    (recording,) = corpus.recordings(root)
    raw = mne.io.RawArray(np.zeros((1, 10)), mne.create_info(["O1"], 1000, "eeg"), verbose="ERROR")
    with pytest.raises(ValueError, match="has no column stim: it has onset, duration, trial_type"):
        corpus.events(recording, raw)
    table.unlink()
    with pytest.raises(FileNotFoundError, match="sub-01_task-rsvp_eeg.vhdr has no events.tsv"):
        corpus.events(recording, raw)
