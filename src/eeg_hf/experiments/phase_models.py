# SPDX-License-Identifier: Apache-2.0
"""The model of one phase: its config from what it learns and on what, its weights from the one before."""

from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset
from transformers import AutoModelForPreTraining, AutoModelForSequenceClassification, PreTrainedModel

from ..models.configuration_eeg_foundation import EEGFoundationConfig
from ..models.objective_auxiliary import HBN_AUXILIARY_TASKS
from ..processing.feature_extraction_eeg import EEGFeatureExtractor
from ..training import (
    CarryReport,
    Phase,
    balanced_class_weights,
    carry_over,
    fit_auxiliary_tasks,
)


def auxiliary_tasks(phase: Phase) -> dict[str, dict[str, Any]]:
    """Return the settings of a phase's auxiliary tasks; their names are their columns."""
    if phase.auxiliary == "hbn":
        return dict(HBN_AUXILIARY_TASKS)
    if isinstance(phase.auxiliary, str):
        raise ValueError(
            f"phase {phase.name!r}: auxiliary must be hbn or tasks by name, got {phase.auxiliary!r}"
        )
    return {task: dict(settings) for task, settings in (phase.auxiliary or {}).items()}


def build_config(
    phase: Phase, fields: dict[str, Any], train: Dataset, extractor: EEGFeatureExtractor, classes: list[str]
) -> EEGFoundationConfig:
    """Return the config of a phase's model."""
    fields = {"sampling_rate": extractor.sampling_rate, **fields}
    tasks = auxiliary_tasks(phase)
    if tasks:
        targets = {task: train[task][:] for task in tasks if task in train.column_names}
        return EEGFoundationConfig(**fields, auxiliary_tasks=fit_auxiliary_tasks(tasks, targets))
    if phase.is_pretraining:
        return EEGFoundationConfig(**fields)
    first, labels = train[0], train[phase.label_column][:]
    fields |= {
        "num_channels": len(first["channels"]),
        "channel_names": first["channels"],
        "channel_positions": np.reshape(first["channel_positions"], (-1, 3)).tolist(),
    }
    if phase.objective == "regression":
        fields |= {"num_labels": 1, "id2label": {0: phase.label_column}, "label2id": {phase.label_column: 0}}
        statistics = fit_auxiliary_tasks({str(phase.label_column): {}}, {str(phase.label_column): labels})
        settings = statistics[str(phase.label_column)]
        fields |= {"regression_mean": settings["mean"], "regression_std": settings["std"]}
        return EEGFoundationConfig(**fields)
    label2id = {name: index for index, name in enumerate(classes)}
    weights = balanced_class_weights([label2id[label] for label in labels], len(classes))
    return EEGFoundationConfig(
        **{"class_weights": weights, **fields, "id2label": dict(enumerate(classes)), "label2id": label2id}
    )


def build_model(
    phase: Phase, config: EEGFoundationConfig, earlier: Path | None, minimum_share: float
) -> tuple[PreTrainedModel, CarryReport | None]:
    """Return a new model with the weights that the phase before hands over, and the report of them."""
    auto_class = AutoModelForPreTraining if phase.is_pretraining else AutoModelForSequenceClassification
    model = auto_class.from_config(config)
    if earlier is None:
        return model, None
    return model, carry_over(model, earlier, carry=phase.carry, minimum_share=minimum_share)
