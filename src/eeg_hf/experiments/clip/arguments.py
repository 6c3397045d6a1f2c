# SPDX-License-Identifier: Apache-2.0
"""The options of `eeg-hf train-clip`, `export-embeddings` and `eval-retrieval`."""

import os
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

if TYPE_CHECKING:  # imported where they are used, so that --help does not import torch
    from ...collation import Transform

MASK_EDGE_SECONDS = 0.05
PARTS = ("train", "validation", "test")

# Options of the published EEG-CLIP scripts -> settings of TrainingArguments
FORMER_NAMES = {
    "epochs": "num_train_epochs",
    "batch_size": "per_device_train_batch_size",
    "lr": "learning_rate",
    "wd": "weight_decay",
    "warmup_ratio": "warmup_steps",  # below 1: a share of all steps
    "num_workers": "dataloader_num_workers",
    "save_dir": "output_dir",
    "resume": "resume_from_checkpoint",
}


@dataclass
class PairArguments:
    """The windows and the images."""

    data: str = field(
        default="data",
        metadata={
            "help": "Prepared corpus, or a folder with THINGS-EEG2 as published in eeg/.",
            "formerly": ["data_root"],
        },
    )
    image_embeddings: str | None = field(
        default=None, metadata={"help": "Folder of eeg-hf embed-images; without it images are decoded."}
    )
    images: str | None = field(default=None, metadata={"help": "Image folder; default: <data>/images."})
    split: str = field(
        default="concept",
        metadata={
            "help": "concept (the official split, if any), subject, leave_out:<subject>; + crosses several, "
            "such as official+leave_out:08."
        },
    )
    split_seed: int = field(default=0, metadata={"help": "Seed of the split."})
    subjects: list[str] | None = field(default=None, metadata={"help": "Only these subjects, such as 01."})
    n_classes: int | None = field(
        default=None, metadata={"help": "Number of concepts to train on; default: all."}
    )
    eeg_len: int = field(default=100, metadata={"help": "Samples of a window; 0 accepts any length."})
    fs: float | None = field(
        default=None, metadata={"help": "Rate in Hz, compared with that of the files, which is used."}
    )
    bandpass: list[float] | None = field(
        default=None,
        metadata={"help": "Pass band in Hz, compared with that of the files: eeg-hf prepare filters."},
    )
    notch: float | None = field(
        default=None, metadata={"help": "Line frequency in Hz, compared as the pass band."}
    )
    alignment: Literal["none", "euclidean"] = field(
        default="none", metadata={"help": "euclidean whitens each subject by unlabelled windows."}
    )
    shuffle_pairs: bool = field(
        default=False, metadata={"help": "Control: replace each image by another one, at random."}
    )

    def expected_filters(self) -> dict[str, float]:
        """Return the filter edges that were given, by the feature extractor's names.

        Raises:
            ValueError: If the pass band is not two increasing edges.
        """
        edges: dict[str, float] = {} if self.notch is None else {"notch_hz": self.notch}
        if self.bandpass is None:
            return edges
        if len(self.bandpass) != 2 or not 0 <= self.bandpass[0] < self.bandpass[1]:
            raise ValueError(f"bandpass: expected two edges in Hz, the lower first, got {self.bandpass}")
        return {"highpass_hz": self.bandpass[0], "lowpass_hz": self.bandpass[1], **edges}


@dataclass
class AugmentationArguments:
    """Augmentation of training windows (--augment_eeg)."""

    is_expert: ClassVar[bool] = True

    augment_eeg: bool = field(default=False, metadata={"help": "Augment training windows."})
    noise_std: float = field(default=0.01, metadata={"help": "White noise, in units of normalised EEG."})
    jitter_ms: float = field(default=20.0, metadata={"help": "Largest shift in time, either way."})
    time_mask_prob: float = field(default=0.2, metadata={"help": "Probability that a stretch fades to zero."})
    channel_drop_prob: float = field(
        default=0.1, metadata={"help": "Probability of each channel to be zeroed."}
    )
    amplitude_scale: list[float] | None = field(
        default=None, metadata={"help": "Smallest and largest factor of a window, such as 0.7 1.4."}
    )

    def build_transform(self, rate: float) -> "Transform | None":
        """Return the augmentation of windows at a rate in Hz, None if it is off.

        Raises:
            ValueError: If a probability is not within [0, 1], or an amount is negative.
        """
        from ...collation.augmentation import (
            AmplitudeScale,
            ChannelDrop,
            Compose,
            GaussianNoise,
            TimeMask,
            TimeShift,
        )

        for name in ("time_mask_prob", "channel_drop_prob"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}: expected a probability from 0 to 1, got {getattr(self, name)}")
        for name in ("noise_std", "jitter_ms"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}: expected 0 or more, got {getattr(self, name)}")
        factors = self.amplitude_scale or [1.0, 1.0]
        if len(factors) != 2 or not 0 < factors[0] <= factors[1]:
            raise ValueError(f"amplitude_scale: expected two factors, the lower first, got {factors}")
        if not self.augment_eeg:
            return None
        edge = max(1, round(MASK_EDGE_SECONDS * rate))
        return Compose(
            (
                *([AmplitudeScale(*factors)] if self.amplitude_scale else []),
                TimeShift(round(self.jitter_ms / 1000 * rate)),
                TimeMask(self.time_mask_prob, edge_samples=edge),
                ChannelDrop(self.channel_drop_prob),
                GaussianNoise(self.noise_std),
            )
        )


@dataclass
class ModelArguments:
    """The towers."""

    vision_encoder: str = field(
        default="openclip_vit_b32",
        metadata={
            "help": "openclip_vit_b32, torchvision_vit_b32, open_clip:<name>:<weights>, transformers:…"
        },
    )
    freeze_vision: bool = field(default=True, metadata={"help": "Do not train the image tower."})
    eeg_d_model: int = field(default=256, metadata={"help": "Width of the EEG tower's tokens."})
    eeg_layers: int = field(default=4, metadata={"help": "Its transformer layers."})
    eeg_hidden: int = field(default=512, metadata={"help": "Its feed-forward width and output size."})
    proj_dim: int = field(default=512, metadata={"help": "Dimension of the shared space."})
    temporal_pool: str = field(default="cls", metadata={"help": "cls, mean or max over time."})
    eeg_model: str | None = field(
        default=None, metadata={"help": "Pretrained encoder as the EEG tower: folder or Hub name."}
    )
    eeg_config: dict[str, Any] = field(
        default_factory=dict,
        metadata={"help": "More fields of the EEG tower's config (JSON).", "block": True},
    )
    config: dict[str, Any] = field(
        default_factory=dict, metadata={"help": "More fields of EEGCLIPConfig (JSON).", "block": True}
    )


@dataclass
class DeviceArguments:
    """Where to train and to log."""

    precision: Literal["amp", "fp32"] = field(
        default="amp", metadata={"help": "amp is bfloat16, or float16, on a GPU."}
    )
    devices: str = field(
        default="1", metadata={"help": "1, cpu, mps, cuda or cuda:<number>; several by accelerate launch."}
    )
    log_dir: str = field(default="./logs", metadata={"help": "Folder of TensorBoard."})


def adapt_training(settings: dict[str, Any]) -> dict[str, Any]:
    """Translate `devices` and `precision` into settings of TrainingArguments on this machine.

    Raises:
        ValueError: On a device that does not exist.
    """
    import torch
    from transformers.utils import logging

    devices = str(settings.get("devices", "1"))
    kind, _, number = devices.partition(":")
    if devices.isdigit() and devices != "1":
        raise ValueError(
            f"devices: accelerate launch --num_processes {devices} -m eeg_hf.cli.train_clip starts {devices} "
            "processes, each with --devices 1"
        )
    if kind not in ("1", "cpu", "cuda", "mps") or not (number == "" or number.isdigit()):
        raise ValueError(f"devices: expected 1, cpu, mps, cuda or cuda:<number>, got {devices!r}")
    if kind == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"devices: {devices}, but torch finds no GPU: use --devices cpu")
    if kind == "cuda":
        # Trainer uses every GPU that is visible; torch reads this before the first use of one
        os.environ["CUDA_VISIBLE_DEVICES"] = number or "0"
    is_amp = settings.get("precision", "amp") == "amp"
    has_gpu = kind != "cpu" and torch.cuda.is_available()
    if is_amp and not has_gpu:
        logger = logging.get_logger(__name__)
        logger.warning("precision amp: without a GPU 16 bits are slower than 32, so 32 are used")
    has_bf16 = is_amp and has_gpu and torch.cuda.is_bf16_supported()
    chosen = {"use_cpu": kind == "cpu", "bf16": has_bf16, "fp16": is_amp and has_gpu and not has_bf16}
    batch_size = {"per_device_eval_batch_size": settings["per_device_train_batch_size"]}
    return {"dataloader_pin_memory": torch.cuda.is_available(), **batch_size, **chosen, **settings}


@dataclass
class ExportArguments:
    """What to embed, and with which model."""

    output: str = field(metadata={"help": "The .npz file to write.", "formerly": ["out"]})
    model: str | None = field(
        default=None,
        metadata={"help": "Folder or Hub name: EEG-CLIP, or another encoder.", "formerly": ["ckpt"]},
    )
    baseline: Literal["ridge"] | None = field(
        default=None, metadata={"help": "A linear fit instead of the model, on the same windows."}
    )
    part: str = field(default="test", metadata={"help": "Part of the split: train, validation or test."})
    data: str | None = field(
        default=None, metadata={"help": "Windows; default: those of the training.", "formerly": ["data_root"]}
    )
    image_embeddings: str | None = field(
        default=None, metadata={"help": "Folder of eeg-hf embed-images; default: as in the training."}
    )
    images: str | None = field(default=None, metadata={"help": "Image folder; default: as in the training."})
    split: str | None = field(
        default=None,
        metadata={
            "help": "How to split, as in eeg-hf train-clip; default: as in the training.",
            "formerly": ["split_by"],
        },
    )
    subjects: list[str] | None = field(
        default=None, metadata={"help": "Only these subjects; default: those of the training."}
    )
    gallery: Literal["part", "all"] = field(
        default="part", metadata={"help": "Images seen in the part, or all images."}
    )
    batch_size: int = field(default=256, metadata={"help": "Windows or images per batch."})
    device: str = field(default="cpu", metadata={"help": "cpu, cuda, cuda:1, mps, …"})


def adapt_export(settings: dict[str, Any]) -> dict[str, Any]:
    """Read `split: test` as the part, as the option was called in the published script."""
    if settings.get("split") not in PARTS:
        return settings
    part = settings["split"]
    sys.stderr.write(f"eeg-hf export-embeddings: --split {part} is now --part {part}\n")
    return {**{name: value for name, value in settings.items() if name != "split"}, "part": part}


@dataclass
class RetrievalArguments:
    """What to score, and how."""

    embeds: list[str] = field(
        metadata={
            "help": "Embeddings, .npz of eeg-hf export-embeddings; name=path for each of several methods, "
            "with * in the path for the seeds of one."
        }
    )
    metric: str = field(default="recall@1,5,10", metadata={"help": "recall@K,K,… or ndcg@K,…"})
    also: str = field(
        default="mrr,ndcg,median_rank",
        metadata={"help": "More metrics: mrr, mean_rank, median_rank; ndcg at the K of --metric."},
    )
    output: str | None = field(
        default=None, metadata={"help": "JSON file for all metrics.", "formerly": ["out"]}
    )
    average_repetitions: bool = field(
        default=False, metadata={"help": "Average a subject's embeddings of an image before the similarity."}
    )
    match: Literal["image", "concept"] = field(
        default="image", metadata={"help": "A correct item is the same image, or of the same concept."}
    )
    n_way: int | None = field(
        default=None,
        metadata={"help": "Also score the correct image among n drawn from the gallery, over all draws."},
    )
    resample: Literal["image", "concept", "subject"] = field(
        default="image", metadata={"help": "Unit of the bootstrap."}
    )
    num_resamples: int = field(default=1000, metadata={"help": "Draws of the bootstrap."})
    seed: int = field(default=0, metadata={"help": "Seed of the bootstrap."})


__all__ = [
    "FORMER_NAMES",
    "AugmentationArguments",
    "DeviceArguments",
    "ExportArguments",
    "ModelArguments",
    "PairArguments",
    "RetrievalArguments",
    "adapt_export",
    "adapt_training",
]
