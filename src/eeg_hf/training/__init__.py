# SPDX-License-Identifier: Apache-2.0
"""Training on transformers' Trainer, with what it lacks for EEG."""

from .callbacks import FreezeEncoder, PlotReconstruction, SetCollatorEpoch
from .carry_over import CarryReport, carry_over
from .checkpoint import resume_checkpoint
from .classifier_head import fit_classifier
from .codec_trainer import EEGTokenizerTrainer
from .convex_head import ConvexHead
from .label_statistics import balanced_class_weights, fit_auxiliary_tasks
from .pair_sampler import PairSampler
from .phases import (
    FINISHED,
    START,
    Pairs,
    Phase,
    is_finished,
    mark_finished,
    mark_started,
    parse_phases,
    read_finished,
)
from .population import fit_population
from .probe import EncoderProbe, probe_encoder, read_probe_curve
from .sampler import ChannelGroupedSampler, padding_share
from .trainer import EEGTrainer
from .transfer import EEGFoundationTrainer, FineTuningConfig, TransferLearningPipeline

__all__ = [
    "FINISHED",
    "START",
    "CarryReport",
    "Pairs",
    "Phase",
    "carry_over",
    "fit_auxiliary_tasks",
    "is_finished",
    "mark_finished",
    "mark_started",
    "parse_phases",
    "ChannelGroupedSampler",
    "ConvexHead",
    "EEGFoundationTrainer",
    "EEGTokenizerTrainer",
    "EEGTrainer",
    "EncoderProbe",
    "FineTuningConfig",
    "FreezeEncoder",
    "PairSampler",
    "PlotReconstruction",
    "SetCollatorEpoch",
    "TransferLearningPipeline",
    "balanced_class_weights",
    "fit_classifier",
    "fit_population",
    "padding_share",
    "probe_encoder",
    "read_finished",
    "read_probe_curve",
    "resume_checkpoint",
]
