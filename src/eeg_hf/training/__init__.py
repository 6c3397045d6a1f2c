# SPDX-License-Identifier: Apache-2.0
"""Training on transformers' Trainer: what it lacks for EEG, and nothing it has."""

from .callbacks import FreezeEncoder, PlotReconstruction, SetCollatorEpoch
from .checkpoint import resume_checkpoint
from .class_weights import balanced_class_weights
from .recipe import parse_config_fields, parse_recipe, run_main
from .sampler import ChannelGroupedSampler, padding_share
from .trainer import EEGTrainer
from .transfer import EEGFoundationTrainer, FineTuningConfig, TransferLearningPipeline

__all__ = [
    "ChannelGroupedSampler",
    "EEGFoundationTrainer",
    "EEGTrainer",
    "FineTuningConfig",
    "FreezeEncoder",
    "PlotReconstruction",
    "SetCollatorEpoch",
    "TransferLearningPipeline",
    "balanced_class_weights",
    "padding_share",
    "parse_config_fields",
    "parse_recipe",
    "resume_checkpoint",
    "run_main",
]
