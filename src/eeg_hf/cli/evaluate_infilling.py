# SPDX-License-Identifier: Apache-2.0
r"""Hide stretches of EEG and compare what fills them in: models, the best linear guess, a straight line.

    eeg-hf evaluate-infilling --data runs/data/simulated --output_dir runs/infilling
    eeg-hf evaluate-infilling --data runs/data/eegmat --output_dir runs/infilling \
        --models "masked VAE=runs/masked_vae-*" --mask_ratios 0.25 0.5 0.75
    # a quick fine-tune, before and after: amplitude and spectrum of the corpus it was aligned with
    eeg-hf evaluate-infilling --data runs/data/isc_video --split subject \
        --output_dir runs/aligned --models "before=runs/masked_vae" "after=runs/masked_vae_aligned"

A model is a folder that eeg-hf pretrain left, a masked VAE or EEGFoundation; `*` in its name means one
run a seed. Split as in the training, or the people tested are those trained on. All methods get the same
windows, normalised before anything is hidden, with the same stretches of single channels hidden.

The first table is over the hidden samples of each channel of each window; the second compares models with the
best linear guess person by person, so that what differs between people does not count. The third is over
whole windows with nothing hidden: by how many dB amplitude and band power of what comes out differ from what
went in. `--samples true` adds a fourth, of signals that a masked VAE draws.
"""

from ..experiments.infilling_evaluation_arguments import InfillingArguments
from ..experiments.split_arguments import SplitArguments
from .parsing import Command

COMMAND = main = Command(
    "evaluate-infilling",
    __doc__,
    "infilling_evaluation",
    (
        InfillingArguments,
        SplitArguments,
    ),
)

if __name__ == "__main__":
    main()
