# SPDX-License-Identifier: Apache-2.0
"""The options of `eeg-hf embed-images` and `reconstruct-images`."""

from dataclasses import dataclass, field
from typing import Literal


@dataclass
class EmbedArguments:
    """What to embed, and with which tower."""

    output_dir: str = field(metadata={"help": "Folder for the embeddings.", "formerly": ["output"]})
    images: str | None = field(default=None, metadata={"help": "Folder of the images, at any depth."})
    vision_encoder: str = field(
        default="openclip_vit_b32",
        metadata={
            "help": "openclip_vit_b32, torchvision_vit_b32, open_clip:<name>[:<weights>], torchvision:<name>"
            "[:<weights>], transformers:<name>; with --features: features:<their name>."
        },
    )
    batch_size: int = field(default=64, metadata={"help": "Images per batch."})
    num_workers: int = field(default=0, metadata={"help": "Processes that decode images."})
    device: str = field(default="cpu", metadata={"help": "cpu, cuda, cuda:1, mps, …"})
    skip_broken: bool = field(default=False, metadata={"help": "Leave out unreadable images."})
    features: str | None = field(
        default=None, metadata={"help": "File of existing embeddings, instead of images."}
    )
    features_key: str | None = field(default=None, metadata={"help": "Name of their array in the file."})
    ids: str | None = field(
        default=None, metadata={"help": "Ids of --features: a text file, one per line, or an array."}
    )
    ids_key: str | None = field(default=None, metadata={"help": "Name of the ids' array in the file."})


@dataclass
class ReconstructionArguments:
    """The embeddings, and the methods of reconstruction."""

    train: str = field(metadata={"help": "Embeddings to train on: .npz of eeg-hf export-embeddings."})
    test: str = field(metadata={"help": "Embeddings of the images to reconstruct."})
    images: str = field(metadata={"help": "Folder of all images; their ids are paths below it."})
    output_dir: str = field(metadata={"help": "Folder for everything."})
    subject: str | None = field(default=None, metadata={"help": "One subject; default: the mean of all."})
    ways: list[str] = field(
        default_factory=lambda: ["decoder", "nearest"],
        metadata={"help": "Methods beside --pipeline: decoder, nearest."},
    )
    image_size: int = field(default=64, metadata={"help": "Width of the decoder's images in pixels."})
    num_steps: int = field(default=1500, metadata={"help": "Training steps of the decoder."})
    decoder_width: int = field(default=64, metadata={"help": "Width of the decoder's layers."})
    learning_rate: float = field(default=5e-3, metadata={"help": "Peak learning rate of the decoder."})
    num_nearest: int = field(default=1, metadata={"help": "Number of nearest images to average."})
    pipeline: str | None = field(default=None, metadata={"help": "Folder or Hub name of a diffusion model."})
    pipeline_options: list[str] = field(
        default_factory=list, metadata={"help": "Options of its call, such as num_inference_steps=20, …"}
    )
    dtype: Literal["float32", "float16", "bfloat16"] = field(
        default="float32", metadata={"help": "Type of its weights."}
    )
    ip_adapter: list[str] | None = field(
        default=None, metadata={"help": "Its IP-Adapter: name, subfolder and file of the weights."}
    )
    image_embeddings: str | None = field(
        default=None, metadata={"help": "Folder of eeg-hf embed-images, instead of those in the .npz."}
    )
    features: list[str] = field(
        default_factory=list,
        metadata={
            "help": "Features of the scores, such as open_clip:<name>:<weights> or "
            "torchvision:<name>:<weights>:<layer>, …"
        },
    )
    judged_size: int | None = field(
        default=None,
        metadata={"help": "Width in pixels to score at; default: image_size, 425 with --pipeline."},
    )
    shuffle_pairs: bool = field(default=False, metadata={"help": "Control: pair EEG and images at random."})
    num_shown: int = field(default=24, metadata={"help": "Images on the contact sheet."})
    num_resamples: int = field(default=1000, metadata={"help": "Draws of the bootstrap."})
    device: str = field(default="cpu", metadata={"help": "Device of decoder, diffusion model and features."})
    seed: int = field(default=0, metadata={"help": "Seed of the decoder, the noise and the draws."})


__all__ = ["EmbedArguments", "ReconstructionArguments"]
