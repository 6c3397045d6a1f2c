# SPDX-License-Identifier: Apache-2.0
r"""Pretrain EEGFoundation, or the masked VAE, on prepared corpora, without labels.

    # CPU, a minute
    eeg-hf pretrain pretrain_tiny --data runs/data/simulated --max_steps 20
    # one GPU, several
    eeg-hf pretrain pretrain_small --data runs/data/eegmat --bf16 true
    accelerate launch scripts/pretrain.py pretrain_small --data runs/data/eegmat
    # a masked VAE on two corpora, then quickly aligned with a third
    eeg-hf pretrain masked_vae_tiny --data runs/data/eegmat runs/data/eegmmidb
    eeg-hf pretrain masked_vae_align --data runs/data/isc_video \
        --split subject --model_name_or_path runs/masked_vae

A mixture of corpora stands in the recipe in place of `data`, for example
`mixture: {runs/data/hbn: 0.7, runs/data/tuh: 0.3}`; with `streaming: true` (and `max_steps`) it is read as it
goes. Subjects of the validation and test parts are never trained on. `--split fold --fold k` leaves out the
test subjects of fold k, so that a classifier may be tested on them. With `target: codes` in the config, what
is predicted are the tokens of a codec that eeg-hf train-tokenizer trained (`--codec`). A run that was
killed goes on with --resume_from_checkpoint true.
"""

from ..experiments.pretraining_arguments import PretrainArguments
from ..experiments.split_arguments import SplitArguments
from .parsing import Command

COMMAND = main = Command(
    "pretrain",
    __doc__,
    "pretraining",
    (
        PretrainArguments,
        SplitArguments,
    ),
    trains=True,
)

if __name__ == "__main__":
    main()
