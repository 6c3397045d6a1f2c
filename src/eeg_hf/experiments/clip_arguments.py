# SPDX-License-Identifier: Apache-2.0
"""The options of eeg-hf train-clip, and Trainer's settings made of them."""

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:  # the methods import what they need, so that --help does not wait for torch
    from transformers import TrainingArguments

    from ..collation import Transform

MASK_EDGE_SECONDS = 0.05

# What nobody said is known by being these very objects: the files say theirs, and no command line is at odds.
RATE_UNSAID = 500.0
BANDPASS_UNSAID = [0.5, 45.0]


@dataclass
class PairArguments:
    """Which windows, and which images."""

    data_root: str = field(
        default="data",
        metadata={"help": "Prepared corpus, or a folder with THINGS-EEG2 as published below eeg/."},
    )
    image_embeddings: str | None = field(
        default=None, metadata={"help": "Folder by eeg-hf embed-images; without it images are decoded."}
    )
    images: str | None = field(default=None, metadata={"help": "Image folder; default: data_root/images."})
    split: str = field(
        default="concept",
        metadata={
            "help": "concept (official where there is one), subject, leave_out:<subject>, or several with + "
            "such as official+leave_out:08: new images on a person left out."
        },
    )
    split_seed: int = field(default=0, metadata={"help": "Seed of the split."})
    subjects: list[str] | None = field(default=None, metadata={"help": "Only these people, such as 01."})
    n_classes: int | None = field(default=None, metadata={"help": "Train on so many concepts; default: all."})
    eeg_len: int = field(default=100, metadata={"help": "Samples of a window; 0: whatever the files have."})
    fs: float = field(
        default=RATE_UNSAID,
        metadata={"help": "Rate in Hz. The files say theirs, which is taken; compared if you say it."},
    )
    bandpass: list[float] = field(
        default_factory=lambda: BANDPASS_UNSAID,
        metadata={
            "help": "Pass band in Hz. Windows are never filtered, only whole recordings by prepare.py; "
            "compared with theirs if you say it."
        },
    )
    alignment: str = field(
        default="none",
        metadata={"help": "euclidean whitens the channels of each person, by unlabelled windows, or none."},
    )
    notch: float | None = field(
        default=None, metadata={"help": "Line frequency in Hz, 50 or 60; compared, as the pass band."}
    )
    shuffle_pairs: bool = field(
        default=False,
        metadata={"help": "Control: train on another image, drawn at random, in the place of each."},
    )

    def asked_filters(self) -> dict[str, float | None]:
        """Return the edges that somebody said, by the feature extractor's names for them.

        Raises:
            ValueError: If the pass band is none.
        """
        asked: dict[str, float | None] = {}
        if self.bandpass is not BANDPASS_UNSAID:
            if len(self.bandpass) != 2 or not 0 <= self.bandpass[0] < self.bandpass[1]:
                raise ValueError(f"bandpass: expected two edges in Hz, the lower first, got {self.bandpass}")
            asked = dict(zip(("highpass_hz", "lowpass_hz"), self.bandpass, strict=True))
        return asked if self.notch is None else {**asked, "notch_hz": self.notch}


@dataclass
class AugmentationArguments:
    """Augmentation of training windows (--augment_eeg)."""

    is_expert: ClassVar[bool] = True

    augment_eeg: bool = field(default=False, metadata={"help": "Augment training windows."})
    noise_std: float = field(default=0.01, metadata={"help": "White noise, in units of normalised EEG."})
    jitter_ms: float = field(default=20.0, metadata={"help": "Shift in time, up to so many ms either way."})
    time_mask_prob: float = field(default=0.2, metadata={"help": "Chance that a stretch fades to zero."})
    channel_drop_prob: float = field(default=0.1, metadata={"help": "Chance of each channel to be zero."})
    amplitude_scale: list[float] | None = field(
        default=None, metadata={"help": "Least and largest factor of a window, such as 0.7 1.4."}
    )

    def transform(self, rate: float) -> "Transform | None":
        """Return the augmentation of windows at a rate in Hz.

        Raises:
            ValueError: If a chance is none, or an amount is negative.
        """
        from ..collation.augmentation import (
            AmplitudeScale,
            ChannelDrop,
            Compose,
            GaussianNoise,
            TimeMask,
            TimeShift,
        )

        for name in ("time_mask_prob", "channel_drop_prob"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}: expected a chance from 0 to 1, got {getattr(self, name)}")
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
    """Which towers."""

    vision_encoder: str = field(
        default="openclip_vit_b32",
        metadata={
            "help": "openclip_vit_b32, torchvision_vit_b32, open_clip:<name>:<weights>, transformers:…"
        },
    )
    freeze_vision: bool = field(default=True, metadata={"help": "Leave the image tower as it is."})
    eeg_d_model: int = field(default=256, metadata={"help": "Width of the EEG tower's tokens."})
    eeg_layers: int = field(default=4, metadata={"help": "Its transformer layers."})
    eeg_hidden: int = field(default=512, metadata={"help": "Its feed-forward width, and what it pools to."})
    proj_dim: int = field(default=512, metadata={"help": "Dimensions of the space that both share."})
    temporal_pool: str = field(default="cls", metadata={"help": "cls, mean or max over time."})
    eeg_model: str | None = field(
        default=None, metadata={"help": "Pretrained encoder of ours as the EEG tower: folder or Hub name."}
    )
    eeg_config: dict[str, Any] = field(
        default_factory=dict,
        metadata={"help": "More fields of the EEG tower's config, or another's (JSON).", "block": True},
    )
    config: dict[str, Any] = field(
        default_factory=dict, metadata={"help": "More fields of EEGCLIPConfig (JSON).", "block": True}
    )


@dataclass
class ClipTrainingArguments:
    """How to train."""

    epochs: float = field(default=50, metadata={"help": "Times that every window is seen."})
    batch_size: int = field(default=128, metadata={"help": "Windows of a step on each device."})
    lr: float = field(default=3e-4, metadata={"help": "Learning rate, after the warm-up; then a cosine."})
    wd: float = field(default=0.05, metadata={"help": "Weight decay, not of biases, norms and temperature."})
    warmup_ratio: float = field(default=0.05, metadata={"help": "Share of the steps that warm up."})
    precision: str = field(default="amp", metadata={"help": "amp (16 bit, on a GPU) or fp32."})
    num_workers: int = field(default=4, metadata={"help": "Processes that load windows."})
    devices: str = field(default="1", metadata={"help": "1, cuda:0, mps, cpu; several by accelerate launch."})
    save_dir: str = field(default="./checkpoints", metadata={"help": "Model and checkpoints."})
    log_dir: str = field(default="./logs", metadata={"help": "TensorBoard."})
    seed: int = field(default=42, metadata={"help": "Of weights, order and augmentation."})
    resume: str | None = field(
        default=None, metadata={"help": "Checkpoint to go on from; true: the last one in save_dir."}
    )
    training: dict[str, Any] = field(
        default_factory=dict, metadata={"help": "More fields of TrainingArguments (JSON).", "block": True}
    )

    def to_trainer(self) -> "TrainingArguments":
        """Return Trainer's settings.

        Raises:
            ValueError: On a precision, a device or JSON that there is not.
        """
        import torch
        from transformers import TrainingArguments

        return TrainingArguments(
            **{
                "output_dir": self.save_dir,
                "num_train_epochs": self.epochs,
                "per_device_train_batch_size": self.batch_size,
                "per_device_eval_batch_size": self.batch_size,
                "learning_rate": self.lr,
                "weight_decay": self.wd,
                "warmup_steps": self.warmup_ratio,  # below 1: a share of all steps
                "lr_scheduler_type": "cosine",
                "dataloader_num_workers": self.num_workers,
                "dataloader_pin_memory": torch.cuda.is_available(),
                "seed": self.seed,
                "resume_from_checkpoint": self.resume,
                "eval_strategy": "epoch",
                "save_strategy": "epoch",
                "save_total_limit": 2,
                "load_best_model_at_end": True,
                "metric_for_best_model": "mrr",
                "greater_is_better": True,
                "logging_steps": 10,
                "report_to": "tensorboard",
                "remove_unused_columns": False,
                "label_names": ["image_ids"],
                **self.device_settings(),
                **self.training,
            }
        )

    def device_settings(self) -> dict[str, Any]:
        """Return what `devices` and `precision` mean on this machine."""
        import torch
        from transformers.utils import logging

        logger = logging.get_logger("eeg_hf.train_clip")
        if self.precision not in ("amp", "fp32"):
            raise ValueError(f"precision: expected amp or fp32, got {self.precision!r}")
        kind, _, number = self.devices.partition(":")
        if self.devices.isdigit() and self.devices != "1":
            raise ValueError(
                f"devices: {self.devices} processes are started by accelerate launch --num_processes "
                f"{self.devices} scripts/train_clip.py, with --devices 1"
            )
        if kind not in ("1", "cpu", "cuda", "mps") or not (number == "" or number.isdigit()):
            raise ValueError(f"devices: expected 1, cpu, mps, cuda or cuda:<number>, got {self.devices!r}")
        if kind == "cuda" and not torch.cuda.is_available():
            raise ValueError(f"devices: {self.devices}, but torch sees no GPU: take --devices cpu")
        if kind == "cuda":
            # Trainer takes every GPU that it sees; torch reads this when it first uses one
            os.environ["CUDA_VISIBLE_DEVICES"] = number or "0"
        has_gpu = kind != "cpu" and torch.cuda.is_available()
        if self.precision == "amp" and not has_gpu:
            logger.warning("precision amp: 16 bit are slower than 32 without a GPU, so 32 are taken")
        is_amp = has_gpu and self.precision == "amp"
        has_bf16 = is_amp and torch.cuda.is_bf16_supported()
        return {"use_cpu": kind == "cpu", "bf16": has_bf16, "fp16": is_amp and not has_bf16}


__all__ = ["AugmentationArguments", "ClipTrainingArguments", "ModelArguments", "PairArguments"]
