# SPDX-License-Identifier: Apache-2.0
"""Features of reconstructed images, from files of weights that are drawn here: none can be fetched."""

import json
import pickle
import sys
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
import torchvision
from PIL import Image
from safetensors.torch import save_file

from eeg_hf.evaluation import open_clip_features, torchvision_features

IMAGES = np.random.default_rng(0).integers(256, size=(3, 40, 40, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def squeezenet(tmp_path_factory):
    """Return the smallest network of torchvision and a file of its weights."""
    torch.manual_seed(0)
    network = torchvision.models.squeezenet1_1(weights=None).eval()
    path = tmp_path_factory.mktemp("weights") / "squeezenet.pth"
    torch.save(network.state_dict(), path)
    save_file(network.state_dict(), path.with_suffix(".safetensors"))
    return network, path


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_features_of_torchvision_are_those_of_the_layer(squeezenet, suffix):
    network, path = squeezenet
    found = torchvision_features("squeezenet1_1", str(path.with_suffix(suffix)), "features.2", batch_size=2)
    transform = torchvision.models.SqueezeNet1_1_Weights.DEFAULT.transforms()
    batch = torch.stack([transform(Image.fromarray(image)) for image in IMAGES])
    with torch.no_grad():
        expected = network.features[:3](batch).flatten(1)
    np.testing.assert_allclose(found(IMAGES), expected, atol=1e-5)


def test_a_file_may_hold_other_heads_and_the_prefix_of_several_gpus(squeezenet, tmp_path):
    network, path = squeezenet
    state = {
        f"module.{name}": value for name, value in network.state_dict().items() if "classifier" not in name
    }
    state["module.prototypes.weight"] = torch.ones(3, 2)  # as SwAV's file has them
    torch.save({"state_dict": state}, tmp_path / "swav.pth.tar")
    found = torchvision_features("squeezenet1_1", str(tmp_path / "swav.pth.tar"), "features.2")
    np.testing.assert_array_equal(
        found(IMAGES), torchvision_features("squeezenet1_1", str(path), "features.2")(IMAGES)
    )


def test_the_literatures_layers_are_there(tmp_path):
    for name, layer, size in (("alexnet", "features.4", 192), ("alexnet", "features.11", 256)):
        network = torchvision.models.get_model(name, weights=None, num_classes=2)
        shallow = {key: value for key, value in network.state_dict().items() if key.startswith("features")}
        save_file(shallow, tmp_path / "network.safetensors")
        found = torchvision_features(name, str(tmp_path / "network.safetensors"), layer)(IMAGES)
        assert found.shape[1] % size == 0 and found.min() == 0  # behind its rectifier


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("squeezenet1_1", "{other}", "features.2"),
            "expected weights of squeezenet1_1, 2 of 2 are not there",
        ),
        (("squeezenet1_1", "{pickle}", "features.2"), "expected a state dict"),
        (("squeezenet1_1", "{text}", "features.2"), "expected a state dict"),
        (("squeezenet9", "IMAGENET1K_V1", "avgpool"), "a network of torchvision such as alexnet"),
        (("squeezenet1_1", "", "avgpool"), "got none: it would be random"),
        (
            ("squeezenet1_1", "nowhere.pth", "avgpool"),
            "IMAGENET1K_V1, DEFAULT, got 'nowhere.pth'",
        ),
        (("squeezenet1_1", "{path}", "features.99"), "no layer 'features.99'"),
    ],
)
def test_networks_that_are_not_there_are_refused(squeezenet, arguments, message):
    _, path = squeezenet
    other, pickled, text = (path.with_name(name) for name in ("other.pth", "pickle.pth", "text.safetensors"))
    torch.save({"fc.weight": torch.ones(2)}, other)
    pickled.write_bytes(pickle.dumps(Path(), protocol=2))
    text.write_text("no weights")
    paths = {"path": path, "other": other, "pickle": pickled, "text": text}
    with pytest.raises(ValueError, match=message) as raised:
        torchvision_features(*(argument.format(**paths) for argument in arguments))
    assert "\n" not in str(raised.value)


def test_features_of_open_clip_are_those_of_the_tower(tmp_path):
    vision = {"image_size": 32, "layers": 1, "width": 64, "patch_size": 16}
    text = {"context_length": 8, "vocab_size": 64, "width": 64, "heads": 1, "layers": 1}
    config = {"embed_dim": 24, "vision_cfg": vision, "text_cfg": text}
    (tmp_path / "tiny-tower.json").write_text(json.dumps(config))
    open_clip.add_model_config(tmp_path / "tiny-tower.json")
    torch.manual_seed(0)
    model, _, transform = open_clip.create_model_and_transforms("tiny-tower")
    torch.save(model.state_dict(), tmp_path / "tower.pt")
    found = open_clip_features("tiny-tower", str(tmp_path / "tower.pt"), batch_size=2)(IMAGES)
    batch = torch.stack([transform(Image.fromarray(image)) for image in IMAGES])
    with torch.no_grad():
        expected = model.eval().encode_image(batch)
    assert found.shape == (3, 24)
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(("tag", "message"), [("", "would be random"), ("nobody", "got 'nobody'")])
def test_a_tower_without_weights_is_refused(tag, message):
    with pytest.raises(ValueError, match=message):
        open_clip_features("ViT-B-32", tag)


def test_without_the_packages_the_extra_is_named(monkeypatch):
    for name, call in (
        ("open_clip", lambda: open_clip_features("ViT-B-32", "openai")),
        ("torchvision", lambda: torchvision_features("alexnet", "DEFAULT", "features.4")),
    ):
        monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(ImportError, match=r"eeg-hf\[clip\]"):
            call()
