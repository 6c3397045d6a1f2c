# SPDX-License-Identifier: Apache-2.0
r"""Embed images once with a frozen tower, so that training need not decode them again.

    # CPU: a tower with random weights, to see that all is in place
    eeg-hf embed-images --images data/images --output runs/images \
        --vision_encoder open_clip:ViT-B-32
    # GPU: the default, ViT-B/32 of open_clip; its weights are fetched
    eeg-hf embed-images --images data/images --output runs/images --device cuda --num_workers 8
    # what others computed: .npy, .npz or .safetensors, and an id for each row (the path of its image)
    eeg-hf embed-images --features features.npy --ids ids.txt --vision_encoder features:dinov2 \
        --output runs/images

Writes one Parquet file with the columns image_id, concept and embedding. An image that cannot be read ends
the run with its name; with --skip_broken true such images are left out and counted.
"""

from ..experiments.image_embedding_arguments import EmbedArguments
from .parsing import Command

COMMAND = main = Command(
    "embed-images",
    __doc__,
    "image_embedding",
    (EmbedArguments,),
)

if __name__ == "__main__":
    main()
