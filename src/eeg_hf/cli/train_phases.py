# SPDX-License-Identifier: Apache-2.0
"""Train in phases, as a recipe says: masked pretraining with auxiliary tasks, contrast, fine-tuning.

    # CPU, a minute
    eeg-hf train-phases phases_eegmat --tiny true --output_dir runs/tiny
    # one GPU, several
    eeg-hf train-phases phases_hbn_tuh
    accelerate launch scripts/train_phases.py phases_hbn_tuh --output_dir runs/hbn-tuh

Each phase begins with the weights of the one before, as far as they fit: what was carried, what is new and
what was dropped is printed, and less than --minimum_carried is refused. Nobody whom a phase was trained on
may be tested in a later one. A linear probe of the frozen encoder is drawn as one curve over all phases.
Start the same command again after a stop: finished phases are skipped, the one that was cut off goes on from
its last checkpoint. `--leave_out <phase>` is an ablation, `--split fold --fold k` leaves out the test
subjects of fold k from every phase, `--tiny true` tries a recipe with a model that any machine can train.
"""

from ..experiments.phase_arguments import PhasesArguments
from ..experiments.split_arguments import SplitArguments
from .parsing import Command

COMMAND = main = Command(
    "train-phases",
    __doc__,
    "phase_training",
    (
        PhasesArguments,
        SplitArguments,
    ),
)

if __name__ == "__main__":
    main()
