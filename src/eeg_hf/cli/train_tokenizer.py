# SPDX-License-Identifier: Apache-2.0
r"""Train a tokenizer, a codec of EEG, on prepared corpora, without labels.

    # CPU, a minute: the recipe tokenizer_default on simulated EEG
    eeg-hf train-tokenizer --max_steps 200
    # one GPU, several
    eeg-hf train-tokenizer tokenizer_snake --data runs/data/eegmat --bf16 true
    accelerate launch -m eeg_hf.cli.train_tokenizer tokenizer_snake --data runs/data/eegmat
    # corpora prepared at different rates
    eeg-hf train-tokenizer tokenizer_conditioning --data runs/data/eegmat runs/data/eegmmidb
    # three learning rates x two activations, compared in multirun.md
    eeg-hf train-tokenizer --multirun learning_rate=1e-3,3e-4,1e-4 config.activation=relu,snake \
        --data runs/data/eegmat --output_dir runs/sweep

Subjects of the validation and test parts are never trained on; `--split fold --fold k` leaves out the test
subjects of fold k. Windows are cut to whole patches. `--resume_from_checkpoint true` continues an interrupted
run. The names of Hydra and Lightning configs (model.learning_rate, trainer.max_epochs, …) are understood.
"""

from ..experiments.codecs.arguments import TokenizerArguments
from ..experiments.split_arguments import SplitArguments
from .parsing import Command

COMMAND = main = Command(
    "train-tokenizer",
    __doc__,
    "codecs.training",
    (TokenizerArguments, SplitArguments),
    trains=True,
    default_recipe="tokenizer_default",
)

if __name__ == "__main__":
    main()
