# SPDX-License-Identifier: Apache-2.0
r"""Reconstruct the images that subjects saw from embeddings of their EEG, and score the reconstructions.

    eeg-hf reconstruct-images --train runs/train.npz --test runs/test.npz --images data/images \
        --output_dir runs/reconstructed
    eeg-hf reconstruct-images --train runs/train.npz --test runs/test.npz --images data/images \
        --output_dir runs/reconstructed_shuffled --shuffle_pairs
    eeg-hf reconstruct-images --train runs/train.npz --test runs/test.npz --images data/images \
        --image_embeddings runs/images_vit_h --pipeline models/stable-unclip --dtype float16 --device cuda \
        --pipeline_options num_inference_steps=20 guidance_scale=5 --output_dir runs/unclip \
        --features open_clip:ViT-L-14:openai torchvision:alexnet:IMAGENET1K_V1:features.4

eeg-hf export-embeddings writes the embeddings of the training and of the test images. Trials of an image are
averaged over repetitions and subjects, or over the repetitions of one `--subject`.

Three methods turn an embedding into an image: a small decoder trained here (`decoder`), the nearest training
image (`nearest`), and a diffusion model (`--pipeline`) with your weights. The last needs the embeddings of
its own image encoder in `--image_embeddings`: ViT-H-14 of LAION for Stable unCLIP and most IP-Adapters.

Images are scored at `--judged_size`: the size of the decoder's images, or with a diffusion model 425 pixels,
as in the literature.

Writes contact_sheet.png, metrics.json, table.md, the images and the reconstructor. `--shuffle_pairs` is the
control: EEG and images are paired at random before training. The score of one random pairing may differ from
chance by more than its interval over images, so run several (`--seed`).
"""

from ..experiments.images.arguments import ReconstructionArguments
from .parsing import Command

COMMAND = main = Command("reconstruct-images", __doc__, "images.reconstruction", (ReconstructionArguments,))

if __name__ == "__main__":
    main()
