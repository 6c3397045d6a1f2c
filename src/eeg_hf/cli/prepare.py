# SPDX-License-Identifier: Apache-2.0
"""Turn a corpus of EEG recordings into windows that `datasets.load_dataset` reads.

    eeg-hf prepare --corpus simulated --output_dir runs/data/simulated
    eeg-hf prepare --corpus eegmat --output_dir runs/data/eegmat --num_proc 2
    eeg-hf prepare --corpus eegmmidb --output_dir runs/cues --segments events --window_seconds 4
    eeg-hf prepare --corpus folder --data_dir ~/our_recordings --output_dir runs/data/ours

docs/data.md lists the corpora with one line for each.

The recordings are looked for in `--data_dir`, else in `$EEG_HF_DATA/<corpus>`, else downloaded. Options can
also stand in a YAML file, named first (prepare_eegmat). Run it again to go on after an
interruption; what is done is kept.

The exit code is 0 if any window is there at the end, even where some recordings failed (they are in
report.jsonl with their reasons), and 2 if nothing could be done.
"""

from ..experiments.preparation_arguments import PrepareArguments, SignalArguments
from .parsing import Command

COMMAND = main = Command("prepare", __doc__, "preparation", (PrepareArguments, SignalArguments))

if __name__ == "__main__":
    main()
