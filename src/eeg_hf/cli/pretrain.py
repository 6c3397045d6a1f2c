# SPDX-License-Identifier: Apache-2.0
r"""Pretrain EEGFoundation or the masked VAE on prepared corpora, without labels.

    # CPU, a minute
    eeg-hf pretrain pretrain_tiny --data runs/data/simulated --max_steps 20
    # one GPU, several
    eeg-hf pretrain pretrain_small --data runs/data/eegmat --bf16 true
    accelerate launch -m eeg_hf.cli.pretrain pretrain_small --data runs/data/eegmat
    # a masked VAE on two corpora, then a short alignment with a third
    eeg-hf pretrain masked_vae_tiny --data runs/data/eegmat runs/data/eegmmidb
    eeg-hf pretrain masked_vae_align --data runs/data/isc_video --split subject --model runs/masked_vae

A recipe may name a mixture of corpora instead of `data`, such as
`mixture: {runs/data/hbn: 0.7, runs/data/tuh: 0.3}`; with `streaming: true` (and `max_steps`) windows are read
while training. Subjects of the validation and test parts are never trained on. `--split fold --fold k` leaves
out the test subjects of fold k, so that a classifier can be tested on them. With `config.target=codes` the
model predicts the codes of a tokenizer that eeg-hf train-tokenizer trained (`--codec`).
`--search 20` first chooses settings on inner folds of the training subjects.
`--resume_from_checkpoint true` continues an interrupted run.
"""

from ..experiments.pretraining_arguments import PretrainArguments
from ..experiments.split_arguments import SplitArguments
from .parsing import Command

COMMAND = main = Command("pretrain", __doc__, "pretraining", (PretrainArguments, SplitArguments), trains=True)

if __name__ == "__main__":
    main()
