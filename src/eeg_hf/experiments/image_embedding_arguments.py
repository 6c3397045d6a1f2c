# SPDX-License-Identifier: Apache-2.0
"""The options of `eeg-hf embed-images`."""

from dataclasses import dataclass, field


@dataclass
class EmbedArguments:
    """What to embed, with what."""

    output: str = field(metadata={"help": "Folder of the embeddings."})
    images: str | None = field(default=None, metadata={"help": "Folder of the images, at any depth."})
    vision_encoder: str = field(
        default="openclip_vit_b32",
        metadata={
            "help": "openclip_vit_b32, torchvision_vit_b32, open_clip:<name>[:<weights>], torchvision:<name>"
            "[:<weights>], transformers:<name>; of --features: features:<what made them>."
        },
    )
    batch_size: int = field(default=64, metadata={"help": "Images at once."})
    num_workers: int = field(default=0, metadata={"help": "Processes that decode images."})
    device: str = field(default="cpu", metadata={"help": "cpu, cuda, cuda:1, mps, …"})
    skip_broken: bool = field(default=False, metadata={"help": "Leave out images that cannot be read."})
    features: str | None = field(default=None, metadata={"help": "Embeddings of others instead of images."})
    features_key: str | None = field(default=None, metadata={"help": "Name of their array in the file."})
    ids: str | None = field(default=None, metadata={"help": "Ids of --features: a line each, or an array."})
    ids_key: str | None = field(default=None, metadata={"help": "Name of the ids' array in the file."})
