# SPDX-License-Identifier: Apache-2.0
"""The options of `eeg-hf reconstruct-images`."""

from dataclasses import dataclass, field


@dataclass
class ReconstructionArguments:
    """What to learn from, what to reconstruct, and how."""

    train: str = field(metadata={"help": "Embeddings to learn from: .npz of eeg-hf export-embeddings."})
    test: str = field(metadata={"help": "Embeddings of the images to reconstruct."})
    images: str = field(metadata={"help": "Folder of all images; their ids are paths below it."})
    output_dir: str = field(metadata={"help": "Where everything goes."})
    subject: str | None = field(default=None, metadata={"help": "One person; default: the mean of all."})
    ways: list[str] = field(
        default_factory=lambda: ["decoder", "nearest"], metadata={"help": "Of these: decoder, nearest."}
    )
    image_size: int = field(default=64, metadata={"help": "Pixels a side that the decoder draws."})
    num_steps: int = field(default=1500, metadata={"help": "Batches of the decoder's training."})
    decoder_width: int = field(default=64, metadata={"help": "Numbers of a layer of the decoder."})
    learning_rate: float = field(default=5e-3, metadata={"help": "Highest learning rate of the decoder."})
    num_nearest: int = field(default=1, metadata={"help": "Of how many nearest images to take the mean."})
    pipeline: str | None = field(default=None, metadata={"help": "Folder or Hub name of a diffusion model."})
    pipeline_options: list[str] = field(
        default_factory=list, metadata={"help": "What its call takes, such as num_inference_steps=20, …"}
    )
    dtype: str = field(default="float32", metadata={"help": "Of its weights: float32, float16 or bfloat16."})
    ip_adapter: list[str] | None = field(
        default=None, metadata={"help": "Its IP-Adapter: name, subfolder and file of the weights."}
    )
    image_embeddings: str | None = field(
        default=None, metadata={"help": "Folder by eeg-hf embed-images, instead of those in the .npz."}
    )
    features: list[str] = field(
        default_factory=list,
        metadata={"help": "open_clip:<name>:<weights> or torchvision:<name>:<weights>:<layer>, …"},
    )
    judged_size: int | None = field(
        default=None,
        metadata={"help": "Pixels a side to judge at; default: image_size, 425 with --pipeline."},
    )
    shuffle_pairs: bool = field(default=False, metadata={"help": "Pair EEG and images at random: a control."})
    num_shown: int = field(default=24, metadata={"help": "Images on the contact sheet."})
    num_resamples: int = field(default=1000, metadata={"help": "Draws of the bootstrap."})
    device: str = field(
        default="cpu", metadata={"help": "Where decoder, diffusion model and features compute."}
    )
    seed: int = field(default=0, metadata={"help": "Seed of the decoder, the noise and the draws."})
