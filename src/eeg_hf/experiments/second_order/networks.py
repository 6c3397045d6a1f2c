# SPDX-License-Identifier: Apache-2.0
"""Networks of other libraries as rivals: the same windows, the epoch chosen on validation subjects."""

from collections.abc import Callable
from functools import partial
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from scipy.special import softmax
from sklearn.model_selection import GroupKFold
from transformers import Trainer, TrainingArguments, set_seed

from ...collation import EEGDataCollator, WindowDataset
from ...evaluation import make_compute_metrics
from ...evaluation.baselines import braindecode_classifier, eegnet, spd_classifier
from .corpus import Fold, StudyCorpus
from .methods import Method

_VALIDATION_FOLDS = 5
BUILDERS: dict[str, Callable[..., torch.nn.Module]] = {
    "EEGNet": eegnet,
    "ShallowFBCSPNet": partial(braindecode_classifier, "ShallowFBCSPNet"),
    "EEGConformer": partial(braindecode_classifier, "EEGConformer"),
    "Green": partial(spd_classifier, "Green"),
    "TSMNet": partial(spd_classifier, "TSMNet"),
}


class Network(Method):
    """A network of braindecode or spd_learn; windows of a subject are not recentred.

    Args:
        corpus: The corpus.
        name: One of `BUILDERS`.
    """

    regimes = ("unseen",)

    def __init__(self, corpus: StudyCorpus, name: str) -> None:
        super().__init__(corpus)
        self.name = self.title = name

    def score(self, fold: Fold) -> np.ndarray:
        """Train on four fifths of the training groups, keep the best epoch of the others, and score."""
        groups = self.corpus.groups[fold.train]
        num_folds = min(_VALIDATION_FOLDS, len(np.unique(groups)))
        inner, validation = next(GroupKFold(num_folds).split(groups, groups=groups))
        set_seed(fold.seed)
        with TemporaryDirectory() as folder:
            trainer = Trainer(
                model=self.build(fold.train[inner]),
                args=self.settings(folder, fold.seed),
                train_dataset=self.windows(fold.train[inner]),
                eval_dataset=self.windows(fold.train[validation]),
                data_collator=self.collator(),
                compute_metrics=make_compute_metrics(self.corpus.class_names),
            )
            trainer.train()
            logits = trainer.predict(self.windows(fold.test)).predictions
        return softmax(np.asarray(logits, np.float64), axis=1)

    def build(self, train: np.ndarray) -> torch.nn.Module:
        """Return the network with random weights; classes count alike in its loss."""
        first, names = self.corpus.rows[0], self.corpus.class_names
        counts = np.bincount(self.corpus.labels[train], minlength=len(names))
        shape: dict[str, Any] = {
            "num_channels": len(first["channels"]),
            "num_classes": len(names),
            "num_samples": first["num_samples"],
            "sampling_rate": self.corpus.sampling_rate,
            "class_weights": (len(train) / np.maximum(counts, 1) / len(names)).tolist(),
        }
        return BUILDERS[self.name](**shape)

    def settings(self, folder: str, seed: int) -> TrainingArguments:
        """Return the settings of Trainer, the same for all networks."""
        return TrainingArguments(
            folder,
            num_train_epochs=self.corpus.args.num_epochs,
            per_device_train_batch_size=32,
            learning_rate=1e-3,
            weight_decay=0.01,
            eval_strategy="epoch",
            save_strategy="epoch",
            save_total_limit=1,
            load_best_model_at_end=True,
            metric_for_best_model="balanced_accuracy",
            logging_strategy="no",
            report_to="none",
            remove_unused_columns=False,
            disable_tqdm=True,
            seed=seed,
        )

    def windows(self, rows: np.ndarray) -> WindowDataset:
        """Return some windows with their labels."""
        return WindowDataset(self.corpus.rows.select(rows), [self.corpus.args.label_column])

    def collator(self) -> EEGDataCollator:
        """Return the collator that normalises them."""
        label2id = {name: index for index, name in enumerate(self.corpus.class_names)}
        return EEGDataCollator(self.corpus.extractor, self.corpus.args.label_column, label2id)
