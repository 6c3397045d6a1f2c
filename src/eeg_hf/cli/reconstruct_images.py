# SPDX-License-Identifier: Apache-2.0
r"""Reconstruct the images that people saw from embeddings of their EEG, and say how much of it is there.

    eeg-hf reconstruct-images --train runs/train.npz --test runs/test.npz --images data/images \
        --output_dir runs/images
    eeg-hf reconstruct-images --train runs/train.npz --test runs/test.npz --images data/images \
        --output_dir runs/images_shuffled --shuffle_pairs
    eeg-hf reconstruct-images --train runs/train.npz --test runs/test.npz --images data/images \
        --image_embeddings runs/images_vit_h --pipeline models/stable-unclip --dtype float16 --device cuda \
        --pipeline_options num_inference_steps=20 guidance_scale=5 --output_dir runs/unclip \
        --features open_clip:ViT-L-14:openai torchvision:alexnet:IMAGENET1K_V1:features.4

eeg-hf export-embeddings writes the embeddings: of images to learn from, and of others to reconstruct.
Trials of an image are averaged, over repetitions and people, or of one person (`--subject`).

Three ways lead from an embedding to an image: a small decoder trained here (`decoder`), the nearest image of
those learnt from (`nearest`), and a diffusion model whose weights are yours (`--pipeline`). For the last,
`--image_embeddings` must be those of its own image encoder, by eeg-hf embed-images: ViT-H-14 of LAION for
Stable unCLIP and most IP-Adapters.

All are judged at `--judged_size`: the size of the decoder's images, or with a diffusion model 425 pixels, as
papers do it. Images are written at the size they were drawn in.

Writes contact_sheet.png, metrics.json, table.md, the images, and the reconstructor. With `--shuffle_pairs`
EEG and images are paired at random before anything is learnt: what is still found then is not of the EEG. One
pairing may be a little above or below chance by luck, which an interval over images does not hold: look at
several (`--seed`).
"""

from ..experiments.image_reconstruction_arguments import ReconstructionArguments
from .parsing import Command

COMMAND = main = Command(
    "reconstruct-images",
    __doc__,
    "image_reconstruction",
    (ReconstructionArguments,),
)

if __name__ == "__main__":
    main()
