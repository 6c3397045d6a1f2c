# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import torch
from PIL import Image
from tests.clip_world import image_ids, write_images

from eeg_hf.images.image_folder import ImageFolder, ImageIndex, concept_of, find_images, open_image

NAMES = ["train/00001_cat/a.jpg", "train/00002_eel/a.jpg", "train/00002_eel/b.jpg"]


def test_images_are_named_by_their_paths(tmp_path):
    write_images(tmp_path)
    (tmp_path / "notes.txt").write_text("no image")
    assert find_images(tmp_path) == sorted(image_ids("train") + image_ids("test"))
    assert concept_of(image_ids("train")[0]) == "thing1" and concept_of("alone.png") == ""


@pytest.mark.parametrize(
    ("name", "concept", "place"),
    [
        ("train/00002_eel/a.jpg", None, 1),
        ("train/00002_eel/a.jpg", "cat", 1),  # a whole path needs no help
        ("b.jpg", None, 2),
        ("b.jpg", "whatever", 2),
        ("a.jpg", "eel", 1),
        ("a.jpg", "cat", 0),
    ],
)
def test_an_image_is_found_by_path_or_by_file_and_concept(name, concept, place):
    assert ImageIndex(NAMES).find([name], [concept]) == place


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["b.jpg", "a.jpg"], r"image 'a.jpg' is ambiguous \(1 such\): expected one of 3"),
        (
            ["c.jpg", "d.jpg", "c.jpg"],
            r"image 'c.jpg' is unknown \(2 such\).*ids are paths below the image folder",
        ),
        ([None, "b.jpg", None], "2 of 3 windows do not name their image"),
    ],
)
def test_images_that_are_not_there_are_named(names, message):
    with pytest.raises(ValueError, match=message):
        ImageIndex(NAMES).find(names)


def test_pixels_are_read_in_order(tmp_path):
    write_images(tmp_path)

    def mean_colour(image):
        return torch.from_numpy(np.asarray(image, np.float32).mean(axis=(0, 1)))

    folder = ImageFolder(tmp_path, mean_colour)
    found = folder.read([5, 0])["pixel_values"]
    expected = mean_colour(Image.open(tmp_path / folder.index.image_ids[5]))
    assert found.shape == (2, 3)
    torch.testing.assert_close(found[0], expected)


def test_images_that_cannot_be_read_are_named_in_one_line(tmp_path):
    write_images(tmp_path)
    path = tmp_path / image_ids("test")[0]
    whole = path.read_bytes()
    for content, reason in (
        (b"", "it is empty"),
        (whole[: len(whole) // 2], "truncated"),
        (b"text", "cannot identify"),
    ):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=rf"{path.name} cannot be read: .*{reason}") as caught:
            open_image(path)
        assert "\n" not in str(caught.value)
    with pytest.raises(FileNotFoundError, match="does not exist"):
        open_image(tmp_path / "none.jpg")


def test_grey_and_transparent_images_become_rgb(tmp_path):
    for mode in ("L", "RGBA", "P", "CMYK"):
        path = tmp_path / f"{mode}.{'jpg' if mode == 'CMYK' else 'png'}"
        Image.new(mode, (4, 4)).save(path)
        assert open_image(path).mode == "RGB"


def test_folders_without_images_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="no image below"):
        find_images(tmp_path)
    with pytest.raises(FileNotFoundError, match="no image folder"):
        find_images(tmp_path / "none")
