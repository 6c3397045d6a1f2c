# SPDX-License-Identifier: Apache-2.0
"""Prepare a corpus: turn EEG recordings into windows that `datasets.load_dataset` reads.

    eeg-hf prepare --corpus simulated --output_dir runs/data/simulated
    eeg-hf prepare --corpus eegmat --output_dir runs/data/eegmat --num_proc 2
    eeg-hf prepare --corpus eegmmidb --output_dir runs/cues --segments events --window_seconds 4
    eeg-hf prepare --corpus folder --data_dir our_recordings --output_dir runs/data/ours

docs/data.md lists the corpora. The recordings come from `--data_dir`, else from `$EEG_HF_DATA/<corpus>`, else
they are downloaded. An interrupted command continues when it is run again.

The exit code is 0 if there is any window at the end, even if some recordings failed (report.jsonl gives their
reasons), and 2 otherwise.
"""

from ..experiments.preparation_arguments import PrepareArguments, SignalArguments
from .parsing import Command

COMMAND = main = Command("prepare", __doc__, "preparation", (PrepareArguments, SignalArguments))

if __name__ == "__main__":
    main()
