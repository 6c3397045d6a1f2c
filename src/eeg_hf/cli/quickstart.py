# SPDX-License-Identifier: Apache-2.0
"""The main job, whole and small: prepare, pretrain, fine-tune, compare, load again.

It takes minutes on a laptop's CPU.


    eeg-hf quickstart                                   # EEGMAT and eegmmidb: found, else
    downloaded eeg-hf quickstart --corpus simulated                # no data, no network
    EEG_HF_DATA=/data eeg-hf quickstart --output_dir runs/mine

Each step is one of the other scripts, run with the command that is printed: copy it and change it. Where
neither the recordings nor a network are there, simulated EEG takes their place, which is said.
"""

from ..experiments.quickstart_arguments import QuickstartArguments
from .parsing import Command

COMMAND = main = Command(
    "quickstart",
    __doc__,
    "quickstart",
    (QuickstartArguments,),
)

if __name__ == "__main__":
    main()
