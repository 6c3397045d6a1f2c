# SPDX-License-Identifier: Apache-2.0
"""The options of `eeg-hf export-embeddings`."""

from dataclasses import dataclass, field


@dataclass
class ExportArguments:
    """What to embed, with what."""

    out: str = field(metadata={"help": "The .npz to write."})
    ckpt: str | None = field(
        default=None,
        metadata={"help": "Folder or Hub name: EEG-CLIP by train_clip.py, or an encoder."},
    )
    baseline: str | None = field(
        default=None, metadata={"help": "ridge: a linear fit instead of the model, on the same windows."}
    )
    split: str = field(default="test", metadata={"help": "Part of the split: train, validation or test."})
    data_root: str | None = field(default=None, metadata={"help": "Windows; default: those of the training."})
    image_embeddings: str | None = field(
        default=None, metadata={"help": "Folder by eeg-hf embed-images; default: as in the training."}
    )
    images: str | None = field(default=None, metadata={"help": "Image folder; default: as in the training."})
    split_by: str | None = field(
        default=None,
        metadata={"help": "How windows are split, --split of train_clip.py; default: as in the training."},
    )
    subjects: list[str] | None = field(
        default=None, metadata={"help": "Only these people; default: all, or those trained on."}
    )
    gallery: str = field(default="part", metadata={"help": "Images: part (those seen in it), or all."})
    batch_size: int = field(default=256, metadata={"help": "Windows, or images, at once."})
    device: str = field(default="cpu", metadata={"help": "cpu, cuda, cuda:1, mps, …"})
