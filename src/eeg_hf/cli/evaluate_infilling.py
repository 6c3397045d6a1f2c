# SPDX-License-Identifier: Apache-2.0
r"""Evaluate infilling: hide stretches of EEG and compare models with the best linear estimate.

    eeg-hf evaluate-infilling --data runs/data/simulated --output_dir runs/infilling
    eeg-hf evaluate-infilling --data runs/data/eegmat --output_dir runs/infilling \
        --models "masked VAE=runs/masked_vae-*" --mask_ratios 0.25 0.5 0.75
    # before and after a short fine-tuning on another corpus
    eeg-hf evaluate-infilling --data runs/data/isc_video --split subject \
        --output_dir runs/aligned --models "before=runs/masked_vae" "after=runs/masked_vae_aligned"

A model is a folder written by eeg-hf pretrain, a masked VAE or EEGFoundation; `*` in its name stands for one
run per seed. Split the windows as in the training, or the test subjects are training subjects. All methods
get the same windows, normalised before masking, with the same stretches of single channels hidden.

The first table scores the hidden samples of each channel of each window. The second compares models with the
best linear estimate within each subject, which removes the differences between subjects. The third is about
whole windows with nothing hidden: the difference in dB between input and output, of amplitude and band power.
`--samples true` adds a fourth, of signals sampled from a masked VAE.
"""

from ..experiments.infilling.arguments import InfillingArguments
from ..experiments.split_arguments import SplitArguments
from .parsing import Command

COMMAND = main = Command(
    "evaluate-infilling", __doc__, "infilling.evaluation", (InfillingArguments, SplitArguments)
)

if __name__ == "__main__":
    main()
