# SPDX-License-Identifier: Apache-2.0
r"""Align EEG with the images that people saw: EEG-CLIP.

    # CPU, a minute: prepared THINGS-EEG2, images embedded by eeg-hf embed-images
    eeg-hf train-clip --data_root runs/data/things_eeg2 --image_embeddings runs/images \
        --epochs 1 --eeg_d_model 64 --eeg_layers 1 --devices cpu
    # one GPU, as published: data/eeg/sub-01/*.npy, image_metadata.npy, data/images/training_images/…
    eeg-hf train-clip --data_root data --image_embeddings runs/images --subjects 01 --augment_eeg
    # several GPUs, from a recipe
    accelerate launch scripts/train_clip.py clip_things
    # the image tower in the loop, trained as well
    eeg-hf train-clip --data_root data --freeze_vision false --batch_size 32

The epoch is selected on concepts taken from training; the test part is not touched here, it is for
export_embeddings.py and eval_retrieval.py. Rate, length and filters are those of the files: what you say is
compared with them. A run that was killed goes on with --resume true. --shuffle_pairs true trains the control:
each training and validation image stands for another one, so that of new images nothing can be learnt.
"""

from ..experiments.clip_arguments import (
    AugmentationArguments,
    ClipTrainingArguments,
    ModelArguments,
    PairArguments,
)
from .parsing import Command

COMMAND = main = Command(
    "train-clip",
    __doc__,
    "clip_training",
    (PairArguments, ModelArguments, ClipTrainingArguments, AugmentationArguments),
)

if __name__ == "__main__":
    main()
