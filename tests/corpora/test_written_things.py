# SPDX-License-Identifier: Apache-2.0
"""The written tree can be read by `ThingsEEG2`, and its labels describe its signal."""

import numpy as np
import pytest
from PIL import Image

from eeg_hf import EEGFeatureExtractor, WindowDataset
from eeg_hf.collation import decode_windows
from eeg_hf.corpora import ThingsEEG2, load_windows, prepare
from eeg_hf.images.image_folder import ImageIndex, find_images
from eeg_hf.processing.channels import STANDARD_19
from tests.corpora.written_things import write_things


def prepared(things, folder, average, keep):
    rate, seconds = things.simulated.sampling_rate, things.simulated.seconds
    extractor = EEGFeatureExtractor(rate, None, None, reference="original", window_seconds=seconds)
    report = prepare(
        ThingsEEG2(average),
        folder,
        extractor,
        root=things.root / "eeg",
        segments="events",
        keep={"part": [keep]},
    )
    assert report["failures"] == []
    rows = load_windows(folder)
    return rows, decode_windows(WindowDataset(rows).__getitems__(range(len(rows))))[0]


@pytest.mark.parametrize("is_pickle", [False, True])
def test_an_ideal_decoder_finds_in_prepared_windows_the_images_they_name(is_pickle, tmp_path):
    things = write_things(
        tmp_path,
        is_pickle=is_pickle,
        image_concepts=2,
        num_times=25,
        parts=["test"],
        snr=0.005,
        variability=0,
    )
    rows, values = prepared(things, tmp_path / "out", True, "test")
    index = ImageIndex(find_images(tmp_path / "images"))
    places = index.find(rows["image"], rows["concept"])
    assert sorted(np.array(index.image_ids)[places]) == sorted(things.image_ids("test"))
    assert {Image.open(tmp_path / "images" / name).format for name in index.image_ids} == {"JPEG"}
    assert len(index.image_ids) == 220 and rows[0]["channels"] == ["Pz", "O1", "O2"]

    images, truth = things.simulated.images("test"), things.truth("01")
    likely = truth.log_likelihoods(values, images.latents, repetitions=80).argmax(axis=1)
    share = np.mean([images.files[row] == name for row, name in zip(likely, rows["image"], strict=True)])
    expected = truth.ceiling(images.latents, repetitions=80)[1]
    assert 0.2 < expected < 0.9 and share == pytest.approx(expected, abs=0.12)


def test_training_has_all_images_and_repetitions(tmp_path):
    things = write_things(tmp_path, subjects=1, channels=["O1"], num_times=4, image_concepts=1)
    corpus = ThingsEEG2()
    found = corpus.recordings(tmp_path)
    assert len(found) == 4 * 17 + 80 and {r.subject for r in found} == {"01"}
    block = next(r for r in found if r.run == "train_03_16384")
    epochs = corpus.read(block)
    last = corpus.events(block, epochs)[-1].labels
    images = things.simulated.images("train")
    assert (last["image"], last["concept"], last["concept_index"]) == (
        images.files[-1],
        images.concepts[-1],
        1654,
    )
    recording = next(r for r in things.simulated.recordings() if r.task == "train_03")
    expected = things.simulated.read(recording).get_data()[-1, STANDARD_19.index("O1")] / 1e-5
    assert epochs.get_data()[-1, 0] * 1e6 == pytest.approx(expected, abs=0.01)
