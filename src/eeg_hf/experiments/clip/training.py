# SPDX-License-Identifier: Apache-2.0
"""Train EEG-CLIP: align EEG with the images that subjects saw."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from transformers import EvalPrediction, TrainingArguments, set_seed
from transformers.integrations import TensorBoardCallback
from transformers.utils import logging

from ...collation import WindowDataset
from ...corpora import SeenWindows
from ...evaluation import rank_items, score_rankings, write_json
from ...images.eeg_image_collator import PAIR_COLUMNS, EEGImageCollator
from ...images.image_embeddings import ImageEmbeddings
from ...processing.feature_extraction_eeg import EEGFeatureExtractor
from ...training import EEGTrainer, resume_checkpoint
from .arguments import AugmentationArguments, DeviceArguments, ModelArguments, PairArguments
from .models import build_model
from .pairs import (
    ShuffledImages,
    alignments_for,
    extractor_for,
    filter_for,
    open_images,
    open_windows,
    split_pairs,
)

logger = logging.get_logger(__name__)

SETTINGS = "train_clip.json"  # beside the model, so that an export splits in the same way


def run(
    pair_args: PairArguments,
    model_args: ModelArguments,
    device_args: DeviceArguments,
    augmentation_args: AugmentationArguments,
    training_args: TrainingArguments,
) -> None:
    """Train, select the epoch by retrieval among validation images, and save."""
    training_args.remove_unused_columns = False
    training_args.label_names = ["image_ids"]
    set_seed(training_args.seed)
    with training_args.main_process_first(desc="windows"):  # one process prepares published epochs
        dataset, folder = open_windows(pair_args)
    splits = split_pairs(pair_args, dataset)
    images, tower = open_images(pair_args, model_args.vision_encoder, model_args.freeze_vision)
    source = model_args.eeg_model or folder
    prepared = EEGFeatureExtractor.from_pretrained(source)
    extractor = extractor_for(pair_args, prepared, alignment=pair_args.alignment)

    if tower is not None:
        name, size = tower.name, tower.embedding_dim
    else:
        assert isinstance(images, ImageEmbeddings)  # which is what comes without a tower
        name, size = images.tower, images.dim
    model = build_model(model_args, splits["train"], extractor, name, size, tower)

    windows = {part: WindowDataset(splits[part], PAIR_COLUMNS) for part in ("train", "validation")}
    # Unknown images are refused here, before the first step
    places = [images.index.find(*(splits[part][column] for column in PAIR_COLUMNS)) for part in windows]
    shown: Any = ShuffledImages(images, places, training_args.seed) if pair_args.shuffle_pairs else images
    collate: dict[str, Any] = {
        "num_samples": pair_args.eeg_len or None,
        "seed": training_args.seed,
        "alignments": alignments_for(extractor, folder),
        "window_filter": filter_for(
            extractor, EEGFeatureExtractor.from_pretrained(folder), splits["train"][0]["num_samples"]
        ),
    }
    augmentation = augmentation_args.build_transform(extractor.sampling_rate)
    trainer = EEGTrainer(
        model=model,
        args=training_args,
        train_dataset=windows["train"],
        eval_dataset=windows["validation"],
        data_collator=EEGImageCollator(extractor, shown, augmentation=augmentation, **collate),
        eval_data_collator=EEGImageCollator(extractor, shown, **collate),
        processing_class=extractor,
        compute_metrics=compute_retrieval,
        seen_windows=SeenWindows.of([splits["train"]], [splits["validation"]]),
    )
    logger.warning(
        f"{model.num_parameters(only_trainable=True):,} parameters, {len(windows['train']):,} windows of "
        f"{len(set(splits['train']['concept'])):,} concepts, {len(windows['validation']):,} of "
        f"{len(set(splits['validation']['concept'])):,} others select the epoch"
    )
    if trainer.is_world_process_zero():  # before training, as the export of an interrupted run needs it too
        parts = (pair_args, augmentation_args, model_args, device_args)
        settings = {name: value for part in parts for name, value in dataclasses.asdict(part).items()}
        write_json(Path(str(training_args.output_dir)) / SETTINGS, settings)
    for callback in trainer.callback_handler.callbacks:
        if isinstance(callback, TensorBoardCallback):  # Trainer has no option for this folder
            callback.logging_dir = device_args.log_dir
    trainer.train(resume_from_checkpoint=resume_checkpoint(training_args))
    trainer.save_model()
    trainer.save_state()
    metrics = trainer.evaluate()
    if trainer.is_world_process_zero():
        trainer.save_metrics("eval", metrics)


def compute_retrieval(prediction: EvalPrediction) -> dict[str, float]:
    """Rank the validation images for each window, and return MRR, ranks and recall at 1, 5 and 10."""
    eeg, images = map(np.asarray, prediction.predictions)
    image_ids = np.asarray(prediction.label_ids)
    _, first = np.unique(image_ids, return_index=True)
    ks = [k for k in (1, 5, 10) if k <= len(first)]
    found = score_rankings(rank_items(eeg, images[first], image_ids, image_ids[first], ks), num_resamples=0)
    return {name.replace("@", "_at_"): score.value for name, score in found.items() if "ndcg" not in name}
