# SPDX-License-Identifier: Apache-2.0
import zlib

import numpy as np
import pytest
import torch
from tests.clip_world import features, image_ids, prepare_epochs, write_epochs, write_images

from eeg_hf import EEGFeatureExtractor, EEGImageCollator, ImageEmbeddings, WindowDataset
from eeg_hf.collation.augmentation import GaussianNoise
from eeg_hf.corpora import load_windows
from eeg_hf.images.eeg_image_collator import PAIR_COLUMNS
from eeg_hf.images.image_folder import ImageFolder

IDS = image_ids("train") + image_ids("test")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    root = tmp_path_factory.mktemp("world")
    write_epochs(root / "eeg", subjects=["01"])
    with pytest.MonkeyPatch.context() as patch:
        prepare_epochs(root / "eeg", root / "prepared", patch)
    write_images(root / "images")
    return root


@pytest.fixture(scope="module")
def extractor(world):
    return EEGFeatureExtractor.from_pretrained(world / "prepared")


@pytest.fixture(scope="module")
def rows(world):
    return load_windows(world / "prepared")


def test_each_window_gets_the_embedding_of_its_image(rows, extractor):
    images = ImageEmbeddings(IDS, features(), "features:made")
    windows = WindowDataset(rows, PAIR_COLUMNS)
    chosen = [12, 71, 72, 11]  # 12 of the test, then a repetition after the other: 72 is image 0 again
    batch = EEGImageCollator(extractor, images, num_samples=40)(windows.__getitems__(chosen))
    places = [IDS.index(name) for name in (*np.array(IDS)[[0, 59, 0]], IDS[-1])]
    assert torch.equal(batch["image_embeds"], torch.from_numpy(features()[places]))
    assert batch["image_ids"].tolist() == [zlib.crc32(IDS[place].encode()) for place in places]
    assert batch["input_values"].shape == (4, 6, 40)


def test_or_its_pixels(rows, extractor, world):
    images = ImageFolder(
        world / "images", lambda image: torch.tensor(np.asarray(image)).permute(2, 0, 1).float()
    )
    batch = EEGImageCollator(extractor, images)(WindowDataset(rows, PAIR_COLUMNS).__getitems__([15, 75]))
    assert batch["pixel_values"].shape == (2, 3, 40, 48) and "image_embeds" not in batch
    assert torch.equal(*batch["pixel_values"]) and batch["image_ids"][0] == batch["image_ids"][1]


def test_augmentation_changes_the_eeg_alone(rows, extractor):
    images = ImageEmbeddings(IDS, features(), "features:made")
    windows = WindowDataset(rows, PAIR_COLUMNS).__getitems__([0, 1])
    plain = EEGImageCollator(extractor, images)(windows)
    noisy = EEGImageCollator(extractor, images, augmentation=GaussianNoise(0.5), seed=3)(windows)
    assert (noisy["input_values"] - plain["input_values"]).std().item() == pytest.approx(0.5, rel=0.1)
    assert torch.equal(noisy["image_embeds"], plain["image_embeds"])


def test_rows_that_do_not_fit_are_refused(rows, extractor):
    images = ImageEmbeddings(IDS[:-1], features()[:-1], "features:made")
    collator = EEGImageCollator(extractor, images, num_samples=50)
    with pytest.raises(ValueError, match="they lack image and concept"):
        EEGImageCollator(extractor, images)(WindowDataset(rows)[0])
    with pytest.raises(ValueError, match="expected windows of 50 samples, got 40 to 40"):
        collator(WindowDataset(rows, PAIR_COLUMNS)[0])
    with pytest.raises(ValueError, match="'thing24_00b.jpg' is unknown"):
        EEGImageCollator(extractor, images)(WindowDataset(rows, PAIR_COLUMNS)[11])
