# SPDX-License-Identifier: Apache-2.0
import sys

import pytest
import torch
from PIL import Image
from tests.clip_world import write_tower
from transformers import (
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    ViTConfig,
    ViTImageProcessorPil,
    ViTModel,
)

from eeg_hf import create_vision_tower
from eeg_hf.images.vision_towers import full_tower_name

PICTURE = Image.new("RGB", (50, 40), (200, 30, 90))


def embed(tower):
    with torch.no_grad():
        return tower(tower.preprocess(PICTURE)[None])


def test_the_real_vit_b32_of_open_clip_makes_512_numbers(caplog):
    tower = create_vision_tower("open_clip:ViT-B-32")
    assert tower.preprocess(PICTURE).shape == (3, 224, 224)
    assert embed(tower).shape == (1, 512) and tower.embedding_dim == 512
    assert sum(parameter.numel() for parameter in tower.parameters()) == 87_849_216
    assert "they are random" in caplog.text


def test_torchvision_towers_return_features_and_not_classes():
    tower = create_vision_tower("torchvision:mobilenet_v3_small")
    assert embed(tower).shape == (1, 576) and tower.embedding_dim == 576
    assert not tower.training


def test_an_open_clip_folder_keeps_its_weights(tmp_path):
    name = write_tower(tmp_path)
    first, again = embed(create_vision_tower(name)), embed(create_vision_tower(name))
    assert first.shape == (1, 16) and torch.equal(first, again)
    assert not torch.equal(first, embed(create_vision_tower(name, is_pretrained=False)))


def test_transformers_towers_of_images_alone_and_of_both(tmp_path):
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24}
    ViTModel(ViTConfig(**sizes, image_size=32, patch_size=8)).save_pretrained(tmp_path / "vit")
    ViTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(tmp_path / "vit")
    both = CLIPModel(
        CLIPConfig(
            text_config={**sizes, "vocab_size": 50},
            vision_config={**sizes, "image_size": 32, "patch_size": 8},
            projection_dim=12,
        )
    )
    both.save_pretrained(tmp_path / "clip")
    crop = {"height": 32, "width": 32}
    CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=crop).save_pretrained(tmp_path / "clip")
    assert embed(create_vision_tower(f"transformers:{tmp_path / 'vit'}")).shape == (1, 16)
    tower = create_vision_tower(f"transformers:{tmp_path / 'clip'}")
    with torch.no_grad():
        expected = both.eval().get_image_features(tower.preprocess(PICTURE)[None])
    assert tower.embedding_dim == 12
    torch.testing.assert_close(embed(tower), getattr(expected, "pooler_output", expected))
    assert not [name for name, _ in tower.named_parameters() if "text" in name or "logit" in name]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("open_clip:ViT-B-32:nonesuch", "vision tower open_clip:ViT-B-32:nonesuch: Pretrained value"),
        ("open_clip:ViT-Z-99", "vision tower open_clip:ViT-Z-99: Model config for 'ViT-Z-99' not found"),
        ("torchvision:vit_z", "vision tower torchvision:vit_z: "),
        ("features:dino", "no tower is known"),
        ("clip", "expected openclip_vit_b32, torchvision_vit_b32, or open_clip:<name>"),
        ("open_clip:", "got 'open_clip:'"),
    ],
)
def test_what_nobody_knows_is_refused_in_one_line(name, message):
    with pytest.raises(ValueError, match=message) as caught:
        create_vision_tower(name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("module", "name"), [("open_clip", "openclip_vit_b32"), ("torchvision", "torchvision:resnet18")]
)
def test_a_library_that_is_missing_is_named_with_its_extra(module, name, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=r'need the extra clip: pip install "eeg-hf\[clip\]"'):
        create_vision_tower(name)


def test_aliases_name_their_weights():
    assert full_tower_name("openclip_vit_b32") == "open_clip:ViT-B-32:laion2b_s34b_b79k"
    assert full_tower_name("torchvision_vit_b32") == "torchvision:vit_b_32:IMAGENET1K_V1"
