# SPDX-License-Identifier: Apache-2.0
"""Pretraining and fine-tuning from Python, on DataLoaders and arrays.

The commands `eeg-hf pretrain` and `eeg-hf finetune` work on prepared corpora, split by subject, and write
reports. These classes serve a notebook: they take plain DataLoaders that yield a model's inputs.
"""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset
from transformers import (
    AutoModel,
    AutoModelForPreTraining,
    EarlyStoppingCallback,
    PreTrainedModel,
    TrainerCallback,
    TrainingArguments,
)

from ..collation import DEFAULT_VIEW, MixupCollator, Transform
from ..evaluation.metrics import classification_metrics, make_compute_metrics
from .callbacks import FreezeEncoder
from .trainer import EEGTrainer


@dataclass
class FineTuningConfig:
    """Settings of a fine-tuning.

    Attributes:
        learning_rate: Peak learning rate of the head.
        weight_decay: Weight decay of AdamW.
        epochs: Maximal number of epochs.
        batch_size: Windows of a step and process.
        freeze_backbone: Train only the head for `freeze_epochs` epochs.
        freeze_epochs: Number of these epochs.
        gradual_unfreezing: Free one layer an epoch, from the top, starting after the frozen epochs, or in
            the first epoch without `freeze_backbone`. Otherwise the whole encoder trains at once.
        dropout_rate: Dropout before the head.
        label_smoothing: Share of every label that is spread over all classes.
        use_mixup: Mix pairs of windows and labels.
        early_stopping: Stop after `patience` epochs without a better validation score.
        patience: See above.
        save_best_model: Load the best epoch at the end.
        output_dir: Folder of the checkpoints.
        layer_decay: Factor of the learning rate from each layer to the one below.
        seed: Seed of everything random.
    """

    learning_rate: float = 1e-4
    weight_decay: float = 0.01
    epochs: int = 50
    batch_size: int = 16
    freeze_backbone: bool = False
    freeze_epochs: int = 10
    gradual_unfreezing: bool = True
    dropout_rate: float = 0.1
    label_smoothing: float = 0.1
    use_mixup: bool = False
    early_stopping: bool = True
    patience: int = 10
    save_best_model: bool = True
    output_dir: str = "checkpoints/foundation_model"
    layer_decay: float = 1.0
    seed: int = 42

    def training_arguments(self, **overrides: Any) -> TrainingArguments:
        """Return the corresponding arguments of transformers' Trainer."""
        settings: dict[str, Any] = {
            "output_dir": self.output_dir,
            "learning_rate": self.learning_rate,
            "weight_decay": self.weight_decay,
            "num_train_epochs": self.epochs,
            "per_device_train_batch_size": self.batch_size,
            "per_device_eval_batch_size": self.batch_size,
            "lr_scheduler_type": "cosine",
            "warmup_steps": 0.1,  # below 1: a share of all steps
            "seed": self.seed,
            "logging_strategy": "epoch",
            "save_total_limit": 2,
            "remove_unused_columns": False,
            "report_to": "none",
        }
        return TrainingArguments(**{**settings, **overrides})


class EEGFoundationTrainer:
    """Pretrain and fine-tune one encoder, on transformers' Trainer.

    Args:
        model: An encoder (`AutoModel`), or a model with one; its weights are trained in place. The heads of a
            pretraining model are trained further.
        config: Settings of both trainings.

    Attributes:
        model: The encoder.
        pretraining_model: The encoder with its pretraining heads, after `pretrain`.
        classifier: The encoder with its classification head, after `finetune`.

    Example:
        >>> trainer = EEGFoundationTrainer(model, FineTuningConfig(learning_rate=1e-3))  # doctest: +SKIP
        >>> trainer.pretrain(train_loader, val_loader, epochs=100, save_steps=1000)  # doctest: +SKIP
        >>> trainer.finetune(train_loader, val_loader, num_classes=6)  # doctest: +SKIP
    """

    def __init__(self, model: PreTrainedModel, config: FineTuningConfig | None = None) -> None:
        self.model: Any = model.base_model
        self.config = config or FineTuningConfig()
        has_objectives = getattr(model, "objectives", None) is not None
        self.pretraining_model: Any = model if has_objectives else None
        self.classifier: PreTrainedModel | None = None
        self.trainer: EEGTrainer | None = None

    def pretrain(
        self,
        train_loader: DataLoader,
        val_loader: DataLoader | None = None,
        epochs: int | None = None,
        save_steps: int = 1000,
        view: Callable[[torch.Tensor, torch.Generator], torch.Tensor] | None = DEFAULT_VIEW,
    ) -> float:
        """Pretrain on unlabelled windows and return the last loss, on the validation windows if given.

        The model with its heads is saved to `config.output_dir` and kept as `pretraining_model`.

        Args:
            train_loader: Yields the inputs of the pretraining model, or plain tensors (batch, channels,
                time). Labels are left out.
            val_loader: Likewise.
            epochs: Overrides the config's.
            save_steps: Steps from one checkpoint to the next.
            view: Transform that makes the second view of each window, if the model's `contrastive_weight` is
                above 0 and batches have neither `augmented_values` nor `stimulus_ids`.

        Raises:
            ValueError: If the model contrasts windows, batches bring none to contrast, and `view` is None.
        """
        # New heads on this very encoder, unless the model came with heads
        if self.pretraining_model is None:
            self.pretraining_model = AutoModelForPreTraining.from_config(self.model.config)
            self.pretraining_model.model = self.model
        arguments = self.config.training_arguments(
            num_train_epochs=epochs or self.config.epochs,
            save_strategy="steps",
            save_steps=save_steps,
            eval_strategy="no" if val_loader is None else "epoch",
            label_names=[],
            prediction_loss_only=True,
            **loader_sizes(train_loader),
        )
        contrasts = getattr(self.model.config, "contrastive_weight", 0) > 0
        collators = [
            PretrainingInputs(train_loader.collate_fn, contrasts=contrasts, view=view, seed=self.config.seed)
            for _ in range(2)
        ]  # the second one stays in epoch 0, so that all evaluations see the same views
        self.trainer = build_trainer(self.pretraining_model, arguments, train_loader, val_loader)
        self.trainer.data_collator, self.trainer.eval_data_collator = collators
        result = self.trainer.train()
        self.trainer.save_model()
        return result.training_loss if val_loader is None else self.trainer.evaluate()["eval_loss"]

    def finetune(self, train_loader: DataLoader, val_loader: DataLoader, num_classes: int) -> float:
        """Fine-tune a classifier on the encoder and return its best validation accuracy.

        Checkpoints are selected by balanced accuracy. The classifier is kept as `classifier`.

        Args:
            train_loader: Yields `input_values` and `labels` (or pairs of tensors).
            val_loader: Likewise.
            num_classes: Number of classes.
        """
        # A new head on this very encoder
        config = self.config
        self.classifier = self.model.add_classification_head(
            num_classes, classifier_dropout=config.dropout_rate, label_smoothing=config.label_smoothing
        )
        # Without freeze_backbone, gradual unfreezing starts in the first epoch
        callbacks: list[TrainerCallback] = []
        if config.freeze_backbone or config.gradual_unfreezing:
            freeze_epochs = config.freeze_epochs if config.freeze_backbone else 0
            callbacks.append(FreezeEncoder(freeze_epochs, gradual_unfreezing=config.gradual_unfreezing))
        if config.early_stopping:
            callbacks.append(EarlyStoppingCallback(config.patience))
        arguments = config.training_arguments(
            eval_strategy="epoch",
            save_strategy="epoch",
            load_best_model_at_end=config.save_best_model or config.early_stopping,
            metric_for_best_model="balanced_accuracy",
            greater_is_better=True,
            **loader_sizes(train_loader),
        )
        self.trainer = build_trainer(
            self.classifier, arguments, train_loader, val_loader, callbacks, config.layer_decay
        )
        self.trainer.compute_metrics = make_compute_metrics()
        # Only training windows are mixed
        if config.use_mixup:
            self.trainer.eval_data_collator = self.trainer.data_collator
            self.trainer.data_collator = MixupCollator(
                self.trainer.data_collator, num_classes, seed=config.seed
            )
        self.trainer.train()
        return max(row["eval_accuracy"] for row in self.trainer.state.log_history if "eval_accuracy" in row)

    def predict(self, dataset: Dataset) -> np.ndarray:
        """Return the logits (windows, classes) of the fine-tuned classifier.

        Raises:
            RuntimeError: If `finetune` was not called before.
        """
        if self.trainer is None or self.classifier is None:
            raise RuntimeError("predict: no classifier yet, call finetune first")
        return np.asarray(self.trainer.predict(dataset).predictions)


class TransferLearningPipeline:
    """Load a pretrained encoder, fine-tune it on arrays, and test it on other arrays.

    Args:
        foundation_model_path: Folder or Hub name of the pretrained model.
        config: Settings of the fine-tuning.
    """

    def __init__(self, foundation_model_path: str | Path, config: FineTuningConfig | None = None) -> None:
        self.foundation_model_path = foundation_model_path
        self.config = config or FineTuningConfig()

    def run_pipeline(
        self,
        train_data: np.ndarray,
        train_labels: Sequence[int],
        val_data: np.ndarray,
        val_labels: Sequence[int],
        test_data: np.ndarray,
        test_labels: Sequence[int],
        num_classes: int,
        class_names: Sequence[str] | None = None,
        channel_positions: np.ndarray | None = None,
    ) -> dict[str, Any]:
        """Fine-tune and test.

        Args:
            train_data: (windows, channels, time), normalised as by the extractor saved with the model.
            train_labels: (windows,) class indices.
            val_data: As `train_data`, of other subjects; selects the epoch.
            val_labels: As `train_labels`.
            test_data: As `train_data`, of further subjects; used once.
            test_labels: As `train_labels`.
            num_classes: Number of classes.
            class_names: Their names, in order.
            channel_positions: (channels, 3) in metres; those of the model's config by default.

        Returns:
            `{"best_validation_accuracy", "test_results": {"metrics", "predictions", "class_names"}}`.
        """
        names = list(class_names) if class_names is not None else [str(index) for index in range(num_classes)]
        if len(names) != num_classes:
            raise ValueError(f"class_names: expected {num_classes} names, got {names}")
        # Validation selects the epoch, the test set is used once
        train, validation, test = (
            ArrayWindows(data, labels, num_classes, channel_positions)
            for data, labels in ((train_data, train_labels), (val_data, val_labels), (test_data, test_labels))
        )
        trainer = EEGFoundationTrainer(AutoModel.from_pretrained(self.foundation_model_path), self.config)
        size = self.config.batch_size
        best = trainer.finetune(
            DataLoader(train, size, shuffle=True), DataLoader(validation, size), num_classes=num_classes
        )
        scores = torch.from_numpy(trainer.predict(test)).softmax(dim=-1).numpy()
        metrics = classification_metrics(np.asarray(test_labels), scores, names)
        return {
            "best_validation_accuracy": best,
            "test_results": {"metrics": metrics, "predictions": scores, "class_names": names},
        }


class ArrayWindows(Dataset):
    """Windows and labels in memory, as inputs of a model."""

    def __init__(
        self,
        data: np.ndarray,
        labels: Sequence[int],
        num_classes: int,
        channel_positions: np.ndarray | None = None,
    ) -> None:
        # Checked here, because a GPU would fail on wrong labels with an error that names none
        values = np.asarray(data, np.float32)  # (windows, channels, time)
        classes = np.asarray(labels)  # (windows,)
        if values.ndim != 3 or len(values) != len(classes):
            raise ValueError(
                f"expected data (windows, channels, time) and one label a window, got {values.shape} and "
                f"{classes.shape}"
            )
        if not np.isfinite(values).all():
            raise ValueError("data has NaN or infinite samples: clean it, or mark the channels as not real")
        if classes.min() < 0 or classes.max() >= num_classes:
            raise ValueError(
                f"labels: expected 0 to {num_classes - 1}, got {classes.min()} to {classes.max()}"
            )
        self.values = torch.from_numpy(values)
        self.labels = torch.from_numpy(classes.astype(np.int64))
        self.positions = (
            None if channel_positions is None else torch.tensor(channel_positions, dtype=torch.float32)
        )

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        row = {"input_values": self.values[index], "labels": self.labels[index]}
        return row if self.positions is None else {**row, "channel_positions": self.positions}


def loader_sizes(loader: DataLoader) -> dict[str, Any]:
    """Return the Trainer arguments that correspond to a DataLoader's settings."""
    return {
        "per_device_train_batch_size": loader.batch_size,
        "per_device_eval_batch_size": loader.batch_size,
        "dataloader_num_workers": loader.num_workers,
        "dataloader_drop_last": loader.drop_last,
    }


def build_trainer(
    model: PreTrainedModel,
    arguments: TrainingArguments,
    train_loader: DataLoader,
    val_loader: DataLoader | None,
    callbacks: Sequence[TrainerCallback] = (),
    layer_decay: float = 1.0,
) -> EEGTrainer:
    """Return a Trainer with the datasets and the collation of DataLoaders."""
    return EEGTrainer(
        model=model,
        args=arguments,
        train_dataset=train_loader.dataset,
        eval_dataset=None if val_loader is None else val_loader.dataset,
        data_collator=NamedInputs(train_loader.collate_fn),
        callbacks=list(callbacks),
        layer_decay=layer_decay,
    )


class NamedInputs:
    """Collate as a DataLoader does, and name the inputs of batches that are a tensor or a pair of tensors."""

    def __init__(self, collate: Callable[[Any], Any]) -> None:
        self.collate = collate

    def __call__(self, rows: Any) -> dict[str, Any]:
        """Return {"input_values"} and, where there are labels, {"labels"}."""
        batch = self.collate(rows)
        if isinstance(batch, dict):
            return batch
        return dict(
            zip(("input_values", "labels"), [batch] if torch.is_tensor(batch) else batch, strict=False)
        )


class PretrainingInputs(NamedInputs):
    """Leave labels out, and add an augmented view of each window if the model contrasts windows.

    Args:
        collate: As in [`NamedInputs`].
        contrasts: Whether the model contrasts windows.
        view: Transform that makes the view; None: batches must bring what is contrasted.
        seed: With the epoch and the content of a batch it decides the view, also after a resume.
    """

    def __init__(
        self, collate: Callable[[Any], Any], *, contrasts: bool, view: Transform | None, seed: int = 0
    ) -> None:
        super().__init__(collate)
        self.contrasts = contrasts
        self.view = view
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Draw other views from now on."""
        self.epoch = epoch

    def __call__(self, rows: Any) -> dict[str, Any]:
        """Return the inputs of a pretraining model."""
        batch = super().__call__(rows)
        batch.pop("labels", None)
        if not self.contrasts or {"augmented_values", "stimulus_ids"} & set(batch):
            return batch
        if self.view is None:
            raise ValueError(
                "pretrain: contrastive_weight is above 0, but batches have neither augmented_values nor "
                "stimulus_ids: pass view=, or set contrastive_weight=0"
            )
        # By what is in the batch, so that a resumed run draws the same views
        values = batch["input_values"]
        content = zlib.crc32(values.numpy().tobytes())
        seed = np.random.SeedSequence([self.seed, self.epoch, content]).generate_state(1).item()
        generator = torch.Generator().manual_seed(seed)
        return {**batch, "augmented_values": self.view(values, generator)}
