# SPDX-License-Identifier: Apache-2.0
"""The model of one phase: its config from objective and data, its weights from the previous phase."""

from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset
from transformers import AutoModelForPreTraining, AutoModelForSequenceClassification, PreTrainedModel

from ...models.configuration_eeg_foundation import EEGFoundationConfig
from ...models.objective_auxiliary import HBN_AUXILIARY_TASKS
from ...processing.feature_extraction_eeg import EEGFeatureExtractor
from ...training import CarryReport, Phase, balanced_class_weights, carry_over, fit_auxiliary_tasks


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
    """Return the config of a phase's model.

    Args:
        phase: The phase.
        fields: Fields that do not depend on the data.
        train: Training windows: their labels set means, deviations and class weights.
        extractor: Feature extractor of the windows.
        classes: Classes in order, of a classification.
    """
    fields = {"sampling_rate": extractor.sampling_rate, **fields}
    if phase.is_pretraining:
        tasks = auxiliary_tasks(phase)
        targets = {task: train[task][:] for task in tasks if task in train.column_names}
        if tasks:
            fields["auxiliary_tasks"] = fit_auxiliary_tasks(tasks, targets)
        return EEGFoundationConfig(**fields)
    first, column = train[0], str(phase.label_column)
    labels = train[column][:]
    fields |= {
        "num_channels": len(first["channels"]),
        "channel_names": first["channels"],
        "channel_positions": np.reshape(first["channel_positions"], (-1, 3)).tolist(),
    }
    if phase.objective == "regression":
        statistics = fit_auxiliary_tasks({column: {}}, {column: labels})[column]
        fields |= {"num_labels": 1, "id2label": {0: column}, "label2id": {column: 0}}
        fields |= {"regression_mean": statistics["mean"], "regression_std": statistics["std"]}
        return EEGFoundationConfig(**fields)
    label2id = {name: index for index, name in enumerate(classes)}
    weights = balanced_class_weights([label2id[label] for label in labels], len(classes))
    return EEGFoundationConfig(
        **{"class_weights": weights, **fields, "id2label": dict(enumerate(classes)), "label2id": label2id}
    )


def build_model(
    phase: Phase, config: EEGFoundationConfig, earlier: Path | None, minimum_share: float
) -> tuple[PreTrainedModel, CarryReport | None]:
    """Return a new model with the weights carried over from an earlier phase, and the report of them."""
    auto_class = AutoModelForPreTraining if phase.is_pretraining else AutoModelForSequenceClassification
    model = auto_class.from_config(config)
    if earlier is None:
        return model, None
    return model, carry_over(model, earlier, carry=phase.carry, minimum_share=minimum_share)
