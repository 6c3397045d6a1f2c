# SPDX-License-Identifier: Apache-2.0
r"""Compare second-order models with their rivals, by what of the tested subjects may be used.

    eeg-hf evaluate-second-order second_order_eegmat
    eeg-hf evaluate-second-order --data runs/data/eegmat --label_column condition --rest rest \
        --output_dir runs/second_order --methods second_order tangent_space eegnet --seeds 0 1
    # two to all labelled subjects: pretrained and random tokens, vectors, tangent space
    eeg-hf evaluate-second-order second_order_few_labels
    # within one subject: blocks of trials are kept together
    eeg-hf evaluate-second-order second_order_imagery

A second-order model reads correlations and log power of twelve bands, recentred by each subject's unlabelled
windows where the regime allows it. Every method chooses its penalty and its threshold by grouped folds inside
the training rows. Each fold is written when it is done: a run that was stopped goes on, and methods, regimes
and seeds can be added to a folder later.
"""

from ..experiments.second_order.arguments import SecondOrderArguments
from .parsing import Command

COMMAND = main = Command("evaluate-second-order", __doc__, "second_order.study", (SecondOrderArguments,))

if __name__ == "__main__":
    main()
