# SPDX-License-Identifier: Apache-2.0
"""Train in phases from one recipe: masked pretraining with auxiliary tasks, contrast, fine-tuning.

    # CPU, a minute
    eeg-hf train-phases phases_eegmat --tiny true --output_dir runs/tiny
    # one GPU, several
    eeg-hf train-phases phases_hbn_tuh
    accelerate launch -m eeg_hf.cli.train_phases phases_hbn_tuh --output_dir runs/hbn-tuh

Each phase starts from the weights of the previous one, as far as they fit: carried, new and dropped tensors
are printed, and a share below --minimum_carried is refused. Subjects of the training part of a phase cannot
be tested in a later one. A linear probe of the frozen encoder is plotted over all phases. The same command
continues an interrupted run: finished phases are skipped, and the current one resumes from its last
checkpoint. `--leave_out <phase>` is an ablation, `--split fold --fold k` leaves out the test subjects of fold
k from every phase, and `--tiny true` tries a recipe with a tiny model.
"""

from ..experiments.phases.arguments import PhasesArguments
from ..experiments.split_arguments import SplitArguments
from .parsing import Command

COMMAND = main = Command("train-phases", __doc__, "phases.training", (PhasesArguments, SplitArguments))

if __name__ == "__main__":
    main()
