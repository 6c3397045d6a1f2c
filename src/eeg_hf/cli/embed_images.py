# SPDX-License-Identifier: Apache-2.0
r"""Embed images once with a frozen vision tower, so that training does not decode them again.

    # CPU: a tower with random weights, to try the pipeline
    eeg-hf embed-images --images data/images --output_dir runs/images --vision_encoder open_clip:ViT-B-32
    # GPU: ViT-B/32 of open_clip, the default; its weights are downloaded
    eeg-hf embed-images --images data/images --output_dir runs/images --device cuda --num_workers 8
    # existing features: .npy, .npz or .safetensors, and an id for each row (the path of its image)
    eeg-hf embed-images --features features.npy --ids ids.txt --vision_encoder features:dinov2 \
        --output_dir runs/images

Writes one Parquet file with the columns image_id, concept and embedding. An unreadable image ends the run
with its name; with --skip_broken true such images are left out and counted.
"""

from ..experiments.images.arguments import EmbedArguments
from .parsing import Command

COMMAND = main = Command("embed-images", __doc__, "images.embedding", (EmbedArguments,))

if __name__ == "__main__":
    main()
