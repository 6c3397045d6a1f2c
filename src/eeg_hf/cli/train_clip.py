# SPDX-License-Identifier: Apache-2.0
r"""Train EEG-CLIP: align EEG with the images that subjects saw.

    # CPU, a minute: prepared THINGS-EEG2, images embedded by eeg-hf embed-images
    eeg-hf train-clip --data runs/data/things_eeg2 --image_embeddings runs/images \
        --num_train_epochs 1 --eeg_d_model 64 --eeg_layers 1 --devices cpu
    # one GPU, as published: data/eeg/sub-01/*.npy, image_metadata.npy, data/images/training_images/…
    eeg-hf train-clip --data data --image_embeddings runs/images --subjects 01 --augment_eeg
    # several GPUs, from a recipe
    accelerate launch -m eeg_hf.cli.train_clip clip_things
    # the image tower in the loop, trained as well
    eeg-hf train-clip --data data --freeze_vision false --per_device_train_batch_size 32

Concepts held out from training select the epoch; the test part is left to eeg-hf export-embeddings and eeg-hf
eval-retrieval. Rate and length are those of the files; filters are applied to windows that lack them.
`--resume_from_checkpoint true` continues an interrupted run. `--shuffle_pairs true` trains the control: each
image is replaced by another one, so that nothing can be learned about new images.
"""

from ..experiments.clip.arguments import (
    FORMER_NAMES,
    AugmentationArguments,
    DeviceArguments,
    ModelArguments,
    PairArguments,
    adapt_training,
)
from .parsing import Command

COMMAND = main = Command(
    "train-clip",
    __doc__,
    "clip.training",
    (PairArguments, ModelArguments, DeviceArguments, AugmentationArguments),
    trains=True,
    default_recipe="clip_default",
    former=FORMER_NAMES,
    adapt=adapt_training,
)

if __name__ == "__main__":
    main()
