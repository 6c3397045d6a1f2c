# SPDX-License-Identifier: Apache-2.0
r"""Judge what was learned by contrasting people who saw the same film, on people who were held out.

    eeg-hf evaluate-contrast --data runs/data/films --output_dir runs/contrast
    eeg-hf evaluate-contrast --data runs/data/films --output_dir runs/contrast \
        --models "contrast=runs/contrast-*/film"
    eeg-hf evaluate-contrast --data runs/data/isc_video_film --output_dir runs/contrast \
        --split fold --fold 1 --models "three phases=runs/phases/film" --auxiliary_data runs/data/eegmat

The data are windows of films: columns `stimulus` and `stimulus_seconds` (docs/data.md). A model is a folder
that eeg-hf train-phases left for a phase, or any other with an encoder; `*` in its name means one run a
seed. Split as in the training, or the people tested are those trained on.

Matching accuracy asks of each window whether, of all windows of other people in the same film, the most
similar one is of the same moment. Alignment and uniformity are better when lower. Beside the models stand the
same models with random weights, band power, and the correlated components of the training people; for
simulated films (`--corpus_options`, as they were prepared) the best filters there are.

docs/contrast.md shows what comes out.
"""

from ..experiments.contrast_evaluation_arguments import ContrastArguments
from ..experiments.split_arguments import SplitArguments
from .parsing import Command

COMMAND = main = Command(
    "evaluate-contrast",
    __doc__,
    "contrast_evaluation",
    (
        ContrastArguments,
        SplitArguments,
    ),
)

if __name__ == "__main__":
    main()
