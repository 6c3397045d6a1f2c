# SPDX-License-Identifier: Apache-2.0
r"""Embed a part of the windows, and the images that were seen, with a trained EEG-CLIP or another encoder.

    eeg-hf export-embeddings --ckpt runs/clip --split test --out runs/test.npz
    eeg-hf export-embeddings --data_root data --ckpt checkpoints --split test --out test.npz
    eeg-hf export-embeddings --ckpt runs/clip --subjects 10 --out runs/person_10.npz --device cuda
    # what a model has to beat: ridge regression, on the windows and split of that training, or without one
    eeg-hf export-embeddings --ckpt runs/clip --baseline ridge --out runs/ridge.npz
    eeg-hf export-embeddings --data_root runs/data/things_eeg2 --image_embeddings runs/images \
        --baseline ridge --out runs/ridge.npz
    # latents of a masked VAE, for eeg-hf reconstruct-images
    eeg-hf export-embeddings --ckpt runs/masked_vae --data_root runs/data/things_eeg2 \
        --image_embeddings runs/images --split train --out runs/train.npz

Windows are split as eeg-hf train-clip split them, which it wrote into train_clip.json beside the model;
what is said here goes before it. `--split` is the part. `--subjects` who are not those of a training split by
concept are new people, and see new images.

The gallery are the images of the part; `--gallery all` adds all others, in which the same image is harder to
find. eeg-hf eval-retrieval judges what is written.

`--baseline ridge` maps all samples of a window to the image's embedding, a fit for each person that is asked
for, or one for all where somebody was not trained on. Its penalty is selected on the validation part.
Features of the embeddings are standardised by the training images on both sides before the cosine, and the
gallery is of these, not of the model's.

An encoder that was never aligned with images leaves its latents (of a masked VAE their means, patch by patch;
else the pooled output) beside the images' embeddings as they are: two spaces, between which
reconstruct_images.py fits a prior. There is nothing to retrieve.
"""

from ..experiments.embedding_export_arguments import ExportArguments
from .parsing import Command

COMMAND = main = Command(
    "export-embeddings",
    __doc__,
    "embedding_export",
    (ExportArguments,),
)

if __name__ == "__main__":
    main()
