# SPDX-License-Identifier: Apache-2.0
"""EEG and images: what the loss counts, what is trained, and what is saved."""

import math

import pytest
import torch
from safetensors.torch import load_file
from torch.nn.functional import cross_entropy, normalize, softplus
from transformers import AutoModel, BertConfig, TrainingArguments, Wav2Vec2Config

from eeg_hf import (
    EEGCLIPConfig,
    EEGCLIPModel,
    EEGFoundationConfig,
    EEGFoundationForPreTraining,
    create_vision_tower,
)
from eeg_hf.models import vision_registry
from eeg_hf.models.modeling_eeg_clip import matching_loss
from eeg_hf.training import EEGTrainer, carry_over
from tests.clip_world import write_tower
from tests.conftest import ROOT

EEG = {"num_channels": 5, "conv_size": 16, "n_heads": 2, "dropout": 0.0}
SMALL = {"eeg_d_model": 16, "eeg_layers": 1, "eeg_hidden": 24, "projection_hidden_size": 32, "dropout": 0.0}


def build(**fields):
    torch.manual_seed(0)
    settings = {"eeg_config": EEG, **SMALL, "vision_dim": 16, "proj_dim": 8, **fields}
    return EEGCLIPModel(EEGCLIPConfig(**settings)).eval()


def draw(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def tower(tmp_path_factory):
    return write_tower(tmp_path_factory.mktemp("tower"))


def test_without_repeats_the_loss_is_that_of_clip():
    eeg, images = normalize(draw(6, 4), dim=-1), normalize(draw(6, 4, seed=1), dim=-1)
    logits, targets = 10 * eeg @ images.T, torch.arange(6)
    expected = (cross_entropy(logits, targets) + cross_entropy(logits.T, targets)) / 2
    torch.testing.assert_close(matching_loss(eeg, images, targets, torch.tensor(10.0)), expected)


def test_trials_of_one_image_do_not_push_each_other_away():
    # rows 0 and 1 saw one image: of the three rows each has but the third as a negative
    eeg, image = normalize(draw(3, 4), dim=-1), normalize(draw(2, 4, seed=1), dim=-1)
    images = image[[0, 0, 1]]
    ids = torch.tensor([4, 4, 9])
    logits = 5 * eeg @ images.T
    pairs = [
        softplus(logits[0, 2] - logits[0, 0]),
        softplus(logits[1, 2] - logits[1, 0]),
        softplus(torch.logsumexp(logits[2, :2], 0) - logits[2, 2]),
    ]
    to_images = torch.stack(pairs).mean()
    of_first = torch.stack([softplus(logits[2, 0] - logits[row, 0]) for row in (0, 1)]).mean()
    of_last = softplus(torch.logsumexp(logits[:2, 2], 0) - logits[2, 2])
    expected = (to_images + (2 * of_first + of_last) / 3) / 2
    found = matching_loss(eeg, images, ids, torch.tensor(5.0))
    torch.testing.assert_close(found, expected)
    assert found < matching_loss(eeg, images, torch.arange(3), torch.tensor(5.0))


def test_one_image_only_teaches_nothing_and_breaks_nothing():
    eeg = normalize(draw(3, 4), dim=-1).requires_grad_()
    loss = matching_loss(eeg, eeg.detach(), torch.zeros(3), torch.tensor(5.0))
    loss.backward()
    assert loss == 0 and not eeg.grad.any()


def test_outputs_are_unit_vectors_and_their_scaled_cosines():
    model, eeg, embeds = build(), draw(4, 5, 100), draw(4, 16)
    outputs = model(eeg, image_embeds=embeds)
    torch.testing.assert_close(outputs.eeg_embeds.norm(dim=-1), torch.ones(4))
    torch.testing.assert_close(outputs.image_embeds, model.get_image_features(image_embeds=embeds))
    torch.testing.assert_close(outputs.image_embeds, model.get_image_features(image_embeds=30 * embeds))
    torch.testing.assert_close(outputs.eeg_embeds, model.get_eeg_features(eeg))
    expected = outputs.eeg_embeds @ outputs.image_embeds.T / 0.07
    torch.testing.assert_close(outputs.logits_per_eeg, expected, atol=1e-4, rtol=1e-5)
    alone = model(eeg)
    assert alone.loss is None and alone.image_embeds is None


def test_the_config_speaks_the_names_of_the_script_and_survives_its_json():
    model = build(temporal_pool="mean", vision_encoder="torchvision_vit_b32")
    config = EEGCLIPConfig.from_dict(model.config.to_dict())
    assert config.vision_tower == "torchvision:vit_b_32:IMAGENET1K_V1"
    assert (config.projection_dim, config.pooler_size, config.eeg_config.temporal_pool) == (8, 24, "mean")
    assert config.to_dict() == model.config.to_dict()


class Pairs(torch.utils.data.Dataset):
    """Epochs that are a fixed mixture of their image's embedding."""

    def __init__(self, size=64):
        self.embeds = draw(size, 16)
        mixing = draw(16, 5 * 24, seed=3) / 4
        self.eeg = (self.embeds @ mixing).view(size, 5, 24) + 0.1 * draw(size, 5, 24, seed=4)

    def __len__(self):
        return len(self.eeg)

    def __getitem__(self, row):
        return {"input_values": self.eeg[row], "image_embeds": self.embeds[row]}


def train(model, folder, dataset, **settings):
    options = {
        "per_device_train_batch_size": 32,
        "max_steps": 200,
        "learning_rate": 5e-3,
        "weight_decay": 0.05,
        "remove_unused_columns": False,
        "use_cpu": True,
        "save_strategy": "no",
        "disable_tqdm": True,
    }
    arguments = TrainingArguments(output_dir=str(folder), **{**options, **settings})
    trainer = EEGTrainer(model=model, args=arguments, train_dataset=dataset)
    trainer.train()
    return trainer


def test_training_finds_the_pairs_and_moves_the_temperature(tmp_path):
    model, pairs = build(vision_projection="linear"), Pairs()
    scale = model.logit_scale.item()
    assert scale == pytest.approx(-math.log(0.07))
    trainer = train(model, tmp_path, pairs)
    groups = trainer.optimizer.param_groups
    (own,) = [group for group in groups if any(each is model.logit_scale for each in group["params"])]
    assert own["weight_decay"] == 0.0 and {group["weight_decay"] for group in groups} == {0.0, 0.05}
    assert abs(model.logit_scale.item() - scale) > 0.02
    model.eval()
    outputs = model(pairs.eeg, image_embeds=pairs.embeds)
    assert (outputs.logits_per_eeg.argmax(dim=-1) == torch.arange(64)).float().mean() > 0.9


def test_the_temperature_is_clamped_and_comes_back():
    model = build().train()
    with torch.no_grad():
        model.logit_scale.fill_(9.0)
    # Row i's image is that of row i + 1: all the surer, all the worse
    images = model.get_eeg_features(draw(4, 5, 40)).detach().roll(1, 0)
    loss = matching_loss(
        model.get_eeg_features(draw(4, 5, 40)), images, torch.arange(4), model.clamped_logit_scale()
    )
    loss.backward()
    assert model.logit_scale.item() == pytest.approx(math.log(100))
    assert model.logit_scale.grad > 0  # so that a step makes it smaller


def test_a_frozen_tower_is_loaded_by_its_name_when_pixels_come_and_is_not_saved(tower, tmp_path):
    model = build(vision_tower=tower)
    pixels = draw(3, 3, 32, 32)
    outputs = model(draw(3, 5, 40), pixel_values=pixels)
    expected = create_vision_tower(tower)(pixels)
    torch.testing.assert_close(outputs.image_embeds, model.get_image_features(image_embeds=expected))
    model.train()(draw(3, 5, 40), pixel_values=pixels).loss.backward()
    assert all(parameter.grad is None for parameter in model._frozen_tower[0].parameters())
    model.save_pretrained(tmp_path)
    assert not [
        name for name in load_file(tmp_path / "model.safetensors") if "vision" in name or "tower" in name
    ]
    loaded = AutoModel.from_pretrained(tmp_path).eval()
    assert loaded.config.vision_tower == tower
    torch.testing.assert_close(loaded(draw(3, 5, 40), pixel_values=pixels).image_embeds, outputs.image_embeds)


def test_a_trained_tower_starts_from_its_weights_and_is_saved_with_the_model(tower, tmp_path):
    model = build(vision_tower=tower, freeze_vision=False)
    kept, theirs = model.vision_model.state_dict(), create_vision_tower(tower).state_dict()
    assert kept.keys() == theirs.keys() and all(torch.equal(kept[name], theirs[name]) for name in theirs)
    model.train()(draw(4, 5, 40), pixel_values=draw(4, 3, 32, 32)).loss.backward()
    assert all(parameter.grad is not None for parameter in model.vision_model.parameters())
    with torch.no_grad():
        for parameter in model.vision_model.parameters():
            parameter.add_(0.1)
    model.save_pretrained(tmp_path)
    loaded = AutoModel.from_pretrained(tmp_path)
    expected, found = model.state_dict(), loaded.state_dict()
    assert expected.keys() == found.keys() and all(torch.equal(found[name], expected[name]) for name in found)
    with pytest.raises(ValueError, match="embeddings do not train the tower"):
        model(draw(4, 5, 40), image_embeds=draw(4, 16))


def test_any_encoder_of_ours_is_a_tower_and_pretrained_weights_find_their_place(tmp_path):
    encoder = EEGFoundationConfig(
        d_model=16, n_layers=1, n_heads=2, d_ff=24, patch_size=40, scale_factors=[1, 2]
    )
    torch.manual_seed(1)
    pretrained = EEGFoundationForPreTraining(encoder)
    pretrained.save_pretrained(tmp_path / "encoder")
    bare = AutoModel.from_pretrained(tmp_path / "encoder")
    model = EEGCLIPModel(
        EEGCLIPConfig(eeg_config=bare.config, vision_dim=16, projection_dim=8, projection_hidden_size=32)
    )
    report = carry_over(model, bare.state_dict(), minimum_share=0.1)
    assert len(report.carried) == len(bare.state_dict()) and not report.dropped
    eeg = draw(2, 19, 80)
    torch.testing.assert_close(model.eeg_model.eval()(eeg).pooler_output, bare.eval()(eeg).pooler_output)
    model.save_pretrained(tmp_path / "clip")
    loaded = AutoModel.from_pretrained(tmp_path / "clip")
    torch.testing.assert_close(loaded.get_eeg_features(eeg), model.eval().get_eeg_features(eeg))


def test_embeddings_may_stay_as_the_tower_made_them():
    model, embeds = build(vision_projection="none", proj_dim=16), draw(4, 16)
    torch.testing.assert_close(model.get_image_features(image_embeds=embeds), normalize(embeds, dim=-1))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"vision_tower": "vit"},
            "vision tower: expected openclip_vit_b32, torchvision_vit_b32, or open_clip:",
        ),
        ({"vision_projection": "none"}, "needs projection_dim = vision_dim"),
        ({"vision_projection": "deep"}, "vision_projection: expected one of mlp, linear, none"),
        ({"temperature": 0.0}, "temperature: expected 0.01 to 1"),
        ({"vision_tower": "features:dino", "freeze_vision": False}, "names no tower to train"),
        ({"eeg_config": EEGFoundationConfig()}, "set them in eeg_config, which is a config object"),
    ],
)
def test_what_cannot_work_is_refused_by_name(fields, message):
    with pytest.raises(ValueError, match=message):
        build(**fields)


def test_inputs_that_do_not_fit_are_refused(tower):
    model = build()
    with pytest.raises(ValueError, match=r"expected \(batch, 16\), got \(4, 12\)"):
        model(draw(4, 5, 40), image_embeds=draw(4, 12))
    with pytest.raises(ValueError, match="expected one image for each of 4 windows, got 3"):
        model(draw(4, 5, 40), image_embeds=draw(3, 16))
    with pytest.raises(ValueError, match="either pixel_values, image_embeds or second_inputs"):
        model.get_image_features()
    with pytest.raises(ValueError, match=r"vision_dim: expected 16, the size of embeddings of .*, got 12"):
        build(vision_dim=12).set_vision_tower(create_vision_tower(tower))
    with pytest.raises(ValueError, match="these features were made elsewhere"):
        build(vision_tower="features:dino").get_image_features(pixel_values=draw(1, 3, 32, 32))


def test_where_nothing_builds_towers_the_error_names_the_extra(monkeypatch):
    monkeypatch.setattr(vision_registry, "_builders", [])
    with pytest.raises(ImportError, match=r'pip install "eeg-hf\[clip\]" and import eeg_hf, or pass a tower'):
        build().get_image_features(pixel_values=draw(1, 3, 32, 32))


TINY = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
SECOND = {
    "text": (BertConfig(vocab_size=20, **TINY), {"input_ids": torch.arange(12).reshape(4, 3)}),
    "sound": (
        Wav2Vec2Config(
            **TINY,
            conv_dim=[8, 8],
            conv_stride=[5, 4],
            conv_kernel=[10, 8],
            num_feat_extract_layers=2,
            num_conv_pos_embeddings=4,
            num_conv_pos_embedding_groups=2,
        ),
        {"input_values": draw(4, 400)},
    ),
    "another EEG": (EEGFoundationConfig(**TINY, overlap=0.0), {"input_values": draw(4, 19, 400)}),
}


@pytest.mark.parametrize("modality", SECOND)
def test_a_second_tower_of_any_modality_is_trained_and_saved_with_the_first(modality, tmp_path):
    config, inputs = SECOND[modality]
    model = build(second_config=config, proj_dim=8)
    eeg = draw(4, 5, 100)
    model.train()(eeg, second_inputs=inputs).loss.backward()
    untrained = {name for name, weight in model.named_parameters() if weight.grad is None}
    assert not [name for name in untrained if "mask" not in name]
    assert model.config.vision_dim == 16
    model.eval().save_pretrained(tmp_path)
    again = AutoModel.from_pretrained(tmp_path)
    with torch.no_grad():
        expected = model(eeg, second_inputs=inputs)
        assert expected.image_embeds.shape == (4, 8)
        torch.testing.assert_close(expected.image_embeds.norm(dim=-1), torch.ones(4))
        assert torch.equal(again(eeg, second_inputs=inputs).logits_per_eeg, expected.logits_per_eeg)
        embeds = model.embed_second(inputs)  # computed once, as those of a frozen tower are
        assert torch.equal(model(eeg, image_embeds=embeds).image_embeds, expected.image_embeds)
    with pytest.raises(ValueError, match="expected second_inputs; embeddings do not train the tower"):
        model.train()(eeg, image_embeds=embeds)


def test_a_second_input_needs_a_second_tower():
    with pytest.raises(ValueError, match="this model has no second tower: set second_config"):
        build()(draw(4, 5, 100), second_inputs={"input_ids": torch.zeros(4, 3, dtype=torch.long)})


def test_the_example_of_the_documents_finds_new_sentences(tmp_path, monkeypatch):
    page = (ROOT / "docs/images.md").read_text(encoding="utf-8").partition("## EEG and any other modality")[2]
    code = page.partition("```python\n")[2].partition("```")[0]
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(compile(code, "images.md", "exec"), names)
    assert names["accuracy"] > 0.1  # by chance 0.01
