# SPDX-License-Identifier: Apache-2.0
r"""Export embeddings of windows and of the images that were seen, by EEG-CLIP or another encoder.

    eeg-hf export-embeddings --model runs/clip --part test --output runs/test.npz
    eeg-hf export-embeddings --model runs/clip --subjects 10 --output runs/subject_10.npz --device cuda
    # the baseline: ridge regression on the windows and split of that training, or without a training
    eeg-hf export-embeddings --model runs/clip --baseline ridge --output runs/ridge.npz
    eeg-hf export-embeddings --data runs/data/things_eeg2 --image_embeddings runs/images \
        --baseline ridge --output runs/ridge.npz
    # latents of a masked VAE, for eeg-hf reconstruct-images
    eeg-hf export-embeddings --model runs/masked_vae --data runs/data/things_eeg2 \
        --image_embeddings runs/images --part train --output runs/train.npz

Windows are split as eeg-hf train-clip split them: it writes its settings into train_clip.json beside the
model. Options of this command override them. `--subjects` that a training split by concept did not use are
new subjects, who see new images.

The gallery holds the images of the part; `--gallery all` adds all others, which makes retrieval harder.
eeg-hf eval-retrieval scores the file.

`--baseline ridge` maps all samples of a window to the embedding of its image, with one fit per subject, or
one for all if a subject was not trained on. The validation part selects the penalty. Embeddings are
standardised by the training images before the cosine, in predictions and gallery.

An encoder that was not aligned with images exports its latents (of a masked VAE their means, patch by patch;
otherwise the pooled output) beside the embeddings of the images: two spaces, between which
eeg-hf reconstruct-images fits a prior. Retrieval needs one space.
"""

from ..experiments.clip.arguments import ExportArguments, adapt_export
from .parsing import Command

COMMAND = main = Command("export-embeddings", __doc__, "clip.export", (ExportArguments,), adapt=adapt_export)

if __name__ == "__main__":
    main()
