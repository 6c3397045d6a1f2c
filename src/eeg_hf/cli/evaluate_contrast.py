# SPDX-License-Identifier: Apache-2.0
r"""Evaluate models that contrast subjects who saw the same film, on held-out subjects.

    eeg-hf evaluate-contrast --data runs/data/films --output_dir runs/contrast
    eeg-hf evaluate-contrast --data runs/data/films --output_dir runs/contrast \
        --models "contrast=runs/contrast-*/film"
    eeg-hf evaluate-contrast --data runs/data/isc_video_film --output_dir runs/contrast \
        --split fold --fold 1 --models "three phases=runs/phases/film" --auxiliary_data runs/data/eegmat

The data are windows of films with the columns `stimulus` and `stimulus_seconds` (docs/data.md). A model is a
folder of a phase of eeg-hf train-phases, or any other with an encoder; `*` in its name stands for one run per
seed. Split the windows as in the training, or the test subjects are training subjects.

Matching accuracy is the share of windows whose most similar window, among all windows of other subjects in
the same film, is of the same moment. Alignment and uniformity are better when lower. Baselines are the same
models with random weights, band power, and the correlated components of the training subjects; for simulated
films (`--corpus_options` as in their preparation) also the optimal filters.

docs/contrast.md shows results.
"""

from ..experiments.contrast.arguments import ContrastArguments
from ..experiments.split_arguments import SplitArguments
from .parsing import Command

COMMAND = main = Command(
    "evaluate-contrast", __doc__, "contrast.evaluation", (ContrastArguments, SplitArguments)
)

if __name__ == "__main__":
    main()
