# SPDX-License-Identifier: Apache-2.0
"""The options of `eeg-hf embed-images` and `reconstruct-images`."""

from dataclasses import dataclass
from typing import Literal

from ..options import option


@dataclass
class EmbedArguments:
    """What to embed, and with which tower."""

    output_dir: str = option("Folder for the embeddings.", formerly=["output"])
    images: str | None = option("Folder of the images, at any depth.", None)
    vision_encoder: str = option(
        "openclip_vit_b32, torchvision_vit_b32, open_clip:<name>[:<weights>], torchvision:<name>"
        "[:<weights>], transformers:<name>; with --features: features:<their name>.",
        "openclip_vit_b32",
    )
    batch_size: int = option("Images per batch.", 64)
    num_workers: int = option("Processes that decode images.", 0)
    device: str = option("cpu, cuda, cuda:1, mps, …", "cpu")
    skip_broken: bool = option("Leave out unreadable images.", False)
    features: str | None = option("File of existing embeddings, instead of images.", None)
    features_key: str | None = option("Name of their array in the file.", None)
    ids: str | None = option("Ids of --features: a text file, one per line, or an array.", None)
    ids_key: str | None = option("Name of the ids' array in the file.", None)


@dataclass
class ReconstructionArguments:
    """The embeddings, and the methods of reconstruction."""

    train: str = option("Embeddings to train on: .npz of eeg-hf export-embeddings.")
    test: str = option("Embeddings of the images to reconstruct.")
    images: str = option("Folder of all images; their ids are paths below it.")
    output_dir: str = option("Folder for everything.")
    subject: str | None = option("One subject; default: the mean of all.", None)
    ways: list[str] = option(
        "Methods beside --pipeline: decoder, nearest.", factory=lambda: ["decoder", "nearest"]
    )
    image_size: int = option("Width of the decoder's images in pixels.", 64)
    num_steps: int = option("Training steps of the decoder.", 1500)
    decoder_width: int = option("Width of the decoder's layers.", 64)
    learning_rate: float = option("Peak learning rate of the decoder.", 5e-3)
    num_nearest: int = option("Number of nearest images to average.", 1)
    pipeline: str | None = option("Folder or Hub name of a diffusion model.", None)
    pipeline_options: list[str] = option(
        "Options of its call, such as num_inference_steps=20, …", factory=list
    )
    dtype: Literal["float32", "float16", "bfloat16"] = option("Type of its weights.", "float32")
    ip_adapter: list[str] | None = option("Its IP-Adapter: name, subfolder and file of the weights.", None)
    image_embeddings: str | None = option(
        "Folder of eeg-hf embed-images, instead of those in the .npz.", None
    )
    features: list[str] = option(
        "Features of the scores, such as open_clip:<name>:<weights> or "
        "torchvision:<name>:<weights>:<layer>, …",
        factory=list,
    )
    judged_size: int | None = option(
        "Width in pixels to score at; default: image_size, 425 with --pipeline.", None
    )
    shuffle_pairs: bool = option("Control: pair EEG and images at random.", False)
    num_shown: int = option("Images on the contact sheet.", 24)
    num_resamples: int = option("Draws of the bootstrap.", 1000)
    device: str = option("Device of decoder, diffusion model and features.", "cpu")
    seed: int = option("Seed of the decoder, the noise and the draws.", 0)
