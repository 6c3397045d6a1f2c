# SPDX-License-Identifier: Apache-2.0
"""The options of `eeg-hf train-clip`, `export-embeddings` and `eval-retrieval`."""

import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from ..options import Alignment, Contaminated, option

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

    data: str = option(
        "Prepared corpus, or a folder with THINGS-EEG2 as published in eeg/.", "data", formerly=["data_root"]
    )
    image_embeddings: str | None = option(
        "Folder of eeg-hf embed-images; without it images are decoded.", None
    )
    images: str | None = option("Image folder; default: <data>/images.", None)
    split: str | None = option(
        "concept (the official split, if any), subject, leave_out:<subject>; + crosses several, "
        "such as official+leave_out:08; default: subject where there are 3 or more, else concept.",
        None,
    )
    split_seed: int = option("Seed of the split.", 0)
    subjects: list[str] | None = option("Only these subjects, such as 01.", None)
    n_classes: int | None = option("Number of concepts to train on; default: all.", None)
    eeg_len: int = option("Samples of a window; 0 accepts any length.", 100)
    fs: float | None = option("Rate in Hz, compared with that of the files, which is used.", None)
    bandpass: list[float] | None = option("Pass band in Hz, for windows prepared without it.", None)
    notch: float | None = option("Line frequency in Hz to remove, likewise.", None)
    alignment: Alignment = option("euclidean whitens each subject by unlabelled windows.", "none")
    shuffle_pairs: bool = option("Control: replace each image by another one, at random.", False)

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

    augment_eeg: bool = option("Augment training windows.", False)
    noise_std: float = option("White noise, in units of normalised EEG.", 0.01)
    jitter_ms: float = option("Largest shift in time, either way.", 20.0)
    time_mask_prob: float = option("Probability that a stretch fades to zero.", 0.2)
    channel_drop_prob: float = option("Probability of each channel to be zeroed.", 0.1)
    amplitude_scale: list[float] | None = option(
        "Smallest and largest factor of a window, such as 0.7 1.4.", None
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

    vision_encoder: str = option(
        "openclip_vit_b32, torchvision_vit_b32, open_clip:<name>:<weights>, transformers:…",
        "openclip_vit_b32",
    )
    freeze_vision: bool = option("Do not train the image tower.", True)
    eeg_d_model: int = option("Width of the EEG tower's tokens.", 256)
    eeg_layers: int = option("Its transformer layers.", 4)
    eeg_hidden: int = option("Its feed-forward width and output size.", 512)
    proj_dim: int = option("Dimension of the shared space.", 512)
    temporal_pool: str = option("cls, mean or max over time.", "cls")
    eeg_model: str | None = option("Pretrained encoder as the EEG tower: folder or Hub name.", None)
    eeg_config: dict[str, Any] = option(
        "More fields of the EEG tower's config (JSON).", factory=dict, block=True
    )
    config: dict[str, Any] = option("More fields of EEGCLIPConfig (JSON).", factory=dict, block=True)


@dataclass
class DeviceArguments:
    """Where to train and to log."""

    precision: Literal["amp", "fp32"] = option("amp is bfloat16, or float16, on a GPU.", "amp")
    devices: str = option("1, cpu, mps, cuda or cuda:<number>; several by accelerate launch.", "1")
    log_dir: str = option("Folder of TensorBoard.", "./logs")


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

    output: str = option("The .npz file to write.", formerly=["out"])
    model: str | None = option("Folder or Hub name: EEG-CLIP, or another encoder.", None, formerly=["ckpt"])
    baseline: Literal["ridge"] | None = option(
        "A linear fit instead of the model, on the same windows.", None
    )
    part: str = option("Part of the split: train, validation or test.", "test")
    data: str | None = option("Windows; default: those of the training.", None, formerly=["data_root"])
    image_embeddings: str | None = option("Folder of eeg-hf embed-images; default: as in the training.", None)
    images: str | None = option("Image folder; default: as in the training.", None)
    split: str | None = option(
        "How to split, as in eeg-hf train-clip; default: as in the training.", None, formerly=["split_by"]
    )
    subjects: list[str] | None = option("Only these subjects; default: those of the training.", None)
    gallery: Literal["part", "all"] = option("Images seen in the part, or all images.", "part")
    contaminated: Contaminated = option(
        "Refuse or mark a model that has seen what the test part holds.", "refuse", expert=True
    )
    batch_size: int = option("Windows or images per batch.", 256)
    device: str = option("cpu, cuda, cuda:1, mps, …", "cpu")


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

    embeds: list[str] = option(
        "Embeddings, .npz of eeg-hf export-embeddings; name=path for each of several methods, "
        "with * in the path for the seeds of one."
    )
    metric: str = option("recall@K,K,… or ndcg@K,…", "recall@1,5,10")
    also: str = option(
        "More metrics: mrr, mean_rank, median_rank; ndcg at the K of --metric.", "mrr,ndcg,median_rank"
    )
    output: str | None = option("JSON file for all metrics.", None, formerly=["out"])
    average_repetitions: bool = option(
        "Average a subject's embeddings of an image before the similarity.", False
    )
    match: Literal["image", "concept"] = option(
        "A correct item is the same image, or of the same concept.", "image"
    )
    n_way: int | None = option(
        "Also score the correct image among n drawn from the gallery, over all draws.", None
    )
    resample: Literal["image", "concept", "subject"] = option("Unit of the bootstrap.", "image")
    num_resamples: int = option("Draws of the bootstrap.", 1000)
    seed: int = option("Seed of the bootstrap.", 0)
