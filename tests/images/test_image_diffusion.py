# SPDX-License-Identifier: Apache-2.0
"""Real diffusers pipelines with tiny random weights, since tests download nothing."""

import sys

import numpy as np
import pytest
import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DDPMScheduler,
    KandinskyV22Img2ImgPipeline,
    KandinskyV22Pipeline,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionPipeline,
    StableUnCLIPImg2ImgPipeline,
    UNet2DConditionModel,
    VQModel,
)
from diffusers.pipelines.stable_diffusion.stable_unclip_image_normalizer import StableUnCLIPImageNormalizer
from safetensors.torch import save_file
from tests.images.simulated_pairs import simulated_pairs
from tokenizers import Tokenizer, models
from transformers import (
    CLIPImageProcessor,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
    PreTrainedTokenizerFast,
)

from eeg_hf import EEGImageReconstructor, ImageDiffusion

SIZE, WIDTH = 12, 32  # of an image embedding, and of the hidden layers of the pipelines
STEPS = {"num_inference_steps": 2}


def tokenizer():
    words = {"<|startoftext|>": 0, "<|endoftext|>": 1, "a": 2}
    fast = Tokenizer(models.WordLevel(words, unk_token="<|endoftext|>"))
    return PreTrainedTokenizerFast(
        tokenizer_object=fast,
        bos_token="<|startoftext|>",
        eos_token="<|endoftext|>",
        pad_token="<|endoftext|>",
        model_max_length=8,
    )


def text_encoder():
    hidden = {"hidden_size": WIDTH, "intermediate_size": WIDTH, "projection_dim": WIDTH}
    depth = {"num_hidden_layers": 1, "num_attention_heads": 2, "max_position_embeddings": 8, "vocab_size": 3}
    return CLIPTextModel(
        CLIPTextConfig(**hidden, **depth, bos_token_id=0, eos_token_id=1, pad_token_id=1)
    ).eval()


def image_encoder():
    hidden = {"hidden_size": WIDTH, "intermediate_size": WIDTH, "projection_dim": SIZE}
    depth = {"num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 16, "patch_size": 8}
    return CLIPVisionModelWithProjection(CLIPVisionConfig(**hidden, **depth)).eval()


def unet(**options):
    sizes = {"sample_size": 8, "block_out_channels": (WIDTH, WIDTH), "layers_per_block": 1}
    blocks = {
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
    }
    attention = {"cross_attention_dim": WIDTH, "attention_head_dim": 2, "norm_num_groups": 8}
    return UNet2DConditionModel(**sizes | blocks | attention | options).eval()


def vae(cls=AutoencoderKL, **options):
    blocks = {"down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2}
    return cls(block_out_channels=(16, 16), norm_num_groups=4, **blocks, **options).eval()


def stable_unclip():
    torch.manual_seed(0)
    return StableUnCLIPImg2ImgPipeline(
        feature_extractor=CLIPImageProcessor(),
        image_encoder=image_encoder(),
        image_normalizer=StableUnCLIPImageNormalizer(embedding_dim=SIZE),
        image_noising_scheduler=DDPMScheduler(),
        tokenizer=tokenizer(),
        text_encoder=text_encoder(),
        unet=unet(class_embed_type="projection", projection_class_embeddings_input_dim=2 * SIZE),
        scheduler=DDIMScheduler(steps_offset=1, clip_sample=False),
        vae=vae(),
    )


def stable_diffusion(cls=StableDiffusionPipeline):
    torch.manual_seed(0)
    return cls(
        vae=vae(),
        text_encoder=text_encoder(),
        tokenizer=tokenizer(),
        unet=unet(),
        scheduler=DDIMScheduler(steps_offset=1, clip_sample=False),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def ip_adapter_weights(pipeline):
    """Return IP-Adapter weights under the published names: projection, keys and values by number."""
    torch.manual_seed(1)
    projection = {
        "proj.weight": torch.randn(4 * WIDTH, SIZE),
        "proj.bias": torch.randn(4 * WIDTH),
        "norm.weight": torch.ones(WIDTH),
        "norm.bias": torch.zeros(WIDTH),
    }
    cross = [name for name in pipeline.unet.attn_processors if "attn2" in name]
    adapter = {
        f"{2 * place + 1}.to_{part}_ip.weight": torch.randn(WIDTH, WIDTH)
        for place in range(len(cross))
        for part in "kv"
    }
    return {"image_proj": projection, "ip_adapter": adapter}


def ip_adapter():
    pipeline = stable_diffusion()
    pipeline.load_ip_adapter(
        ip_adapter_weights(pipeline), subfolder="", weight_name="", image_encoder_folder=None
    )
    return pipeline


def kandinsky(cls=KandinskyV22Pipeline):
    torch.manual_seed(0)
    network = unet(
        in_channels=4,
        out_channels=8,
        down_block_types=("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"),
        up_block_types=("SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"),
        mid_block_type="UNetMidBlock2DSimpleCrossAttn",
        addition_embed_type="image",
        encoder_hid_dim_type="image_proj",
        encoder_hid_dim=SIZE,
        attention_head_dim=4,
        resnet_time_scale_shift="scale_shift",
    )
    movq = vae(VQModel, latent_channels=4, vq_embed_dim=4)
    return cls(unet=network, scheduler=DDIMScheduler(steps_offset=1, clip_sample=False), movq=movq)


@pytest.fixture(scope="module", params=[stable_unclip, ip_adapter])
def pipeline(request):
    pipeline = request.param()
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def test_an_image_depends_on_its_embedding_and_the_seed_alone(pipeline):
    diffusion = ImageDiffusion(pipeline, **STEPS)
    assert diffusion.embedding_size == SIZE
    embeddings = np.random.default_rng(0).normal(size=(3, SIZE)).astype(np.float32)
    images = diffusion.draw(embeddings)
    assert images.shape == (3, 16, 16, 3) and images.dtype == np.uint8
    np.testing.assert_array_equal(diffusion.draw(embeddings[::-1].copy()), images[::-1])
    assert not np.array_equal(images[0], images[1])  # the noise is the same, so it is the embedding
    assert not np.array_equal(ImageDiffusion(pipeline, seed=1, **STEPS).draw(embeddings), images)


@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_guidance_may_be_off(pipeline, scale):
    diffusion = ImageDiffusion(pipeline, guidance_scale=scale, prompt="a", **STEPS)
    assert diffusion.draw(np.ones((1, SIZE), np.float32)).shape == (1, 16, 16, 3)


@pytest.mark.parametrize("noise_level", [0, 500])
def test_an_embedding_is_drawn_as_the_pipeline_draws_the_image_that_has_it(noise_level):
    pipeline = stable_unclip()
    image = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        embedding = pipeline.image_encoder(image).image_embeds
        pipeline.image_normalizer.mean.copy_(embedding)
        pipeline.image_normalizer.std.fill_(0.1)
    options = {"noise_level": noise_level, **STEPS}
    theirs = pipeline(
        image, "", output_type="np", generator=torch.Generator().manual_seed(0), **options
    ).images[0]
    ours = ImageDiffusion(pipeline, **options).draw(embedding.numpy())[0]
    np.testing.assert_allclose(ours, theirs * 255, atol=1)


def test_an_ip_adapter_draws_an_embedding_as_the_image_that_has_it():
    pipeline = ip_adapter()
    pipeline.register_modules(image_encoder=image_encoder(), feature_extractor=CLIPImageProcessor())
    image = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        embedding = pipeline.image_encoder(image).image_embeds.numpy()
    for scale in (1.0, 7.5):
        options = {"guidance_scale": scale, **STEPS}
        generator = torch.Generator().manual_seed(0)
        theirs = pipeline(
            "", ip_adapter_image=image, output_type="np", generator=generator, **options
        ).images[0]
        ours = ImageDiffusion(pipeline, **options).draw(embedding)[0]
        np.testing.assert_allclose(ours, theirs * 255, atol=1)


@pytest.mark.parametrize("scale", [1.0, 4.0])
def test_kandinsky_is_guided_away_from_what_it_is_told(scale):
    pipeline, random = kandinsky(), np.random.default_rng(0)
    pipeline.set_progress_bar_config(disable=True)
    embeddings = random.normal(size=(2, SIZE)).astype(np.float32)
    negative = torch.randn(1, SIZE, generator=torch.Generator().manual_seed(1))
    options = {"guidance_scale": scale, "height": 32, "width": 32, **STEPS}
    diffusion = ImageDiffusion(pipeline, negative_image_embeds=negative, **options)
    assert diffusion.embedding_size == SIZE
    theirs = pipeline(
        torch.from_numpy(embeddings[1:]),
        negative,
        output_type="np",
        generator=torch.Generator().manual_seed(0),
        **options,
    ).images[0]
    np.testing.assert_allclose(diffusion.draw(embeddings)[1], theirs * 255, atol=1)
    other = ImageDiffusion(pipeline, negative_image_embeds=-negative, **options)
    assert np.array_equal(other.draw(embeddings), diffusion.draw(embeddings)) == (scale == 1.0)


def test_embeddings_that_are_not_of_the_encoder_are_refused():
    pipeline = stable_unclip()
    pipeline.image_normalizer.std.data.fill_(10)  # as long as those of a real tower
    diffusion = ImageDiffusion(pipeline, **STEPS)
    unit = np.eye(SIZE, dtype=np.float32)
    with pytest.raises(
        ValueError, match=r"length 34\.6 or so, .* got 1\.0: they are of another tower, or normalised"
    ):
        diffusion.draw(unit)
    assert diffusion.draw(30 * unit[:1]).shape == (1, 16, 16, 3)
    with pytest.raises(ValueError, match="finite numbers, got NaN"):
        ImageDiffusion(ip_adapter(), **STEPS).draw(np.nan * unit)


def test_half_precision_is_drawn_in(pipeline):
    embeddings = np.random.default_rng(0).normal(size=(1, SIZE)).astype(np.float32)
    full = ImageDiffusion(pipeline, **STEPS).draw(embeddings).astype(int)
    try:
        half = ImageDiffusion(pipeline.to(torch.bfloat16), **STEPS).draw(embeddings)
    finally:
        pipeline.to(torch.float32)
    assert 0 < np.abs(half - full).mean() < 10


def test_pipelines_are_loaded_by_name_and_draw_what_the_prior_says(tmp_path):
    pipeline = stable_unclip()
    pipeline.save_pretrained(tmp_path / "unclip")
    images, embeddings, eeg = simulated_pairs(20, 1, dim=SIZE)["train"]
    reconstructor = EEGImageReconstructor.fit(eeg, embeddings, images, has_decoder=False)
    diffusion = ImageDiffusion.from_pretrained(str(tmp_path / "unclip"), **STEPS)
    drawn = reconstructor.diffuse(eeg[:2], diffusion)
    stretched = reconstructor.prior.predict(eeg[:2], is_stretched=True)
    np.testing.assert_array_equal(drawn, ImageDiffusion(pipeline, **STEPS).draw(stretched))
    other = EEGImageReconstructor.fit(eeg, embeddings[:, :5], images, has_decoder=False)
    with pytest.raises(ValueError, match=r"image embeddings \(n, 12\) of its own encoder, got \(2, 5\)"):
        other.diffuse(eeg[:2], diffusion)
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    other = EEGImageReconstructor.fit(eeg, unit, images, has_decoder=False)
    with pytest.raises(
        ValueError, match="all are of unit length, expected the unnormalised ones of the pipeline"
    ):
        other.diffuse(eeg[:2], diffusion)


def test_an_ip_adapter_is_loaded_by_name(tmp_path):
    pipeline = stable_diffusion()
    pipeline.save_pretrained(tmp_path / "diffusion")
    weights = ip_adapter_weights(pipeline)
    flat = {f"{part}.{name}": value for part, values in weights.items() for name, value in values.items()}
    save_file(flat, tmp_path / "adapter.safetensors")
    names = ("pretrained_model_name_or_path_or_dict", "subfolder", "weight_name")
    adapter = dict(zip(names, (str(tmp_path), "", "adapter.safetensors"), strict=True))
    loaded = ImageDiffusion.from_pretrained(str(tmp_path / "diffusion"), adapter, **STEPS)
    embedding = np.ones((1, SIZE), np.float32)
    np.testing.assert_array_equal(
        loaded.draw(embedding), ImageDiffusion(ip_adapter(), **STEPS).draw(embedding)
    )


@pytest.mark.parametrize(
    ("build", "options", "message"),
    [
        (stable_diffusion, {}, r"expected one IP-Adapter that takes an embedding, .* got \[\]"),
        (lambda: stable_diffusion(StableDiffusionImg2ImgPipeline), {}, "that draws from embeddings"),
        (kandinsky, {}, r"the option negative_image_embeds \(1, 12\) .* got none"),
        (lambda: kandinsky(KandinskyV22Img2ImgPipeline), {}, "that draws from embeddings"),
        (stable_unclip, {"num_steps": 3}, "StableUnCLIPImg2ImgPipeline has no option num_steps"),
    ],
)
def test_pipelines_that_cannot_draw_an_embedding_are_refused(build, options, message):
    with pytest.raises(ValueError, match=message) as raised:
        ImageDiffusion(build(), **options)
    assert "\n" not in str(raised.value)


def test_without_diffusers_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(ImportError, match=r"eeg-hf\[diffusion\]"):
        ImageDiffusion.from_pretrained("anything")


@pytest.mark.parametrize("name", ["/gone/nowhere", "nobody/nowhere"])
def test_a_pipeline_that_is_not_there_is_named(name):
    with pytest.raises((OSError, ValueError), match="nowhere"):
        ImageDiffusion.from_pretrained(name)
