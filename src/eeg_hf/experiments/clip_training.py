# SPDX-License-Identifier: Apache-2.0
"""Align EEG with the images that people saw: EEG-CLIP."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from transformers import EvalPrediction, set_seed
from transformers.integrations import TensorBoardCallback
from transformers.utils import logging

from ..collation import WindowDataset
from ..evaluation import rank_items, score_rankings, write_json
from ..images.eeg_image_collator import PAIR_COLUMNS, EEGImageCollator
from ..images.image_embeddings import ImageEmbeddings
from ..processing.feature_extraction_eeg import EEGFeatureExtractor
from ..training import EEGTrainer, resume_checkpoint
from .clip_arguments import (
    AugmentationArguments,
    ClipTrainingArguments,
    ModelArguments,
    PairArguments,
)
from .clip_models import build_model
from .clip_pairs import ShuffledImages, alignments_for, open_images, open_windows, split_pairs

logger = logging.get_logger("eeg_hf.train_clip")


def run(
    pair_args: PairArguments,
    augmentation_args: AugmentationArguments,
    model_args: ModelArguments,
    args: ClipTrainingArguments,
) -> None:
    """Train, select the epoch by retrieval among validation images, and save."""
    options = (pair_args, augmentation_args, model_args, args)
    training_args = args.to_trainer()
    set_seed(training_args.seed)
    with training_args.main_process_first(desc="windows"):  # one process prepares what is as published
        dataset, folder = open_windows(pair_args)
    splits = split_pairs(pair_args, dataset)
    images, tower = open_images(pair_args, model_args.vision_encoder, model_args.freeze_vision)
    extractor = EEGFeatureExtractor.from_pretrained(
        model_args.eeg_model or folder, alignment=pair_args.alignment
    )
    if isinstance(images, ImageEmbeddings):
        name, size = images.tower, images.dim
    else:
        name, size = tower.name, tower.embedding_dim
    model = build_model(model_args, splits["train"], extractor, name, size, tower)
    windows = {part: WindowDataset(splits[part], PAIR_COLUMNS) for part in ("train", "validation")}
    # Before the first step, not in the middle of an epoch
    places = [images.index.find(*(splits[part][column] for column in PAIR_COLUMNS)) for part in windows]
    shown = ShuffledImages(images, places, training_args.seed) if pair_args.shuffle_pairs else images
    collate = {
        "num_samples": pair_args.eeg_len or None,
        "seed": training_args.seed,
        "alignments": alignments_for(extractor, folder),
    }
    augmentation = augmentation_args.transform(extractor.sampling_rate)
    trainer = EEGTrainer(
        model=model,
        args=training_args,
        train_dataset=windows["train"],
        eval_dataset=windows["validation"],
        data_collator=EEGImageCollator(extractor, shown, augmentation=augmentation, **collate),
        eval_data_collator=EEGImageCollator(extractor, shown, **collate),
        processing_class=extractor,
        compute_metrics=retrieval_metrics,
    )
    logger.warning(
        f"{model.num_parameters(only_trainable=True):,} parameters, {len(windows['train']):,} windows of "
        f"{len(set(splits['train']['concept'])):,} concepts, {len(windows['validation']):,} of "
        f"{len(set(splits['validation']['concept'])):,} others select the epoch"
    )
    if trainer.is_world_process_zero():  # now: export_embeddings.py needs it of a run that was killed, too
        write_json(Path(args.save_dir) / "train_clip.json", merged(options))
    for callback in trainer.callback_handler.callbacks:
        if isinstance(callback, TensorBoardCallback):  # the Trainer has no option for it
            callback.logging_dir = args.log_dir
    trainer.train(resume_from_checkpoint=resume_checkpoint(training_args))
    trainer.save_model()
    trainer.save_state()
    metrics = trainer.evaluate()
    if trainer.is_world_process_zero():
        trainer.save_metrics("eval", metrics)


def retrieval_metrics(predicted: EvalPrediction) -> dict[str, float]:
    """Rank the validation images for each window; only MRR and recall at 1, 5 and 10 are returned."""
    eeg, images = predicted.predictions
    image_ids = np.asarray(predicted.label_ids)
    _, first = np.unique(image_ids, return_index=True)
    ks = [k for k in (1, 5, 10) if k <= len(first)]
    found = score_rankings(rank_items(eeg, images[first], image_ids, image_ids[first], ks), num_resamples=0)
    return {name.replace("@", "_at_"): score.value for name, score in found.items() if "ndcg" not in name}


def merged(options: tuple[Any, ...]) -> dict[str, Any]:
    """Return all options, so that an evaluation can split the same way."""
    return {name: value for each in options for name, value in dataclasses.asdict(each).items()}
