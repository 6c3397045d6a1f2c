# SPDX-License-Identifier: Apache-2.0
r"""Train an ensemble that predicts the votes of experts (HMS), and write a submission.

    eeg-hf prepare prepare_hms --data_dir hms --tmin 20 --window_seconds 10 --output_dir runs/data/hms
    eeg-hf prepare prepare_hms --data_dir hms --tmin 20 --window_seconds 10 --output_dir runs/data/hms_test \
        --corpus_options '{"part": "test"}'
    eeg-hf train-ensemble ensemble_hms --data runs/data/hms --recordings hms --test runs/data/hms_test \
        --output_dir runs/ensemble
    # spectrograms made of the windows, one stage
    eeg-hf train-ensemble ensemble_hms --data runs/data/hms --least_votes 1 --folds 3 --output_dir runs/simple

Folds keep patients apart. Every member is trained on the shares of votes, first on all windows, then on those
that ten experts or more judged. Patients that trained no member calibrate each member and weight the vote.

    fold-0/          the ensemble of a fold as one model, for from_pretrained and the Hub
    out_of_fold.csv  the votes predicted for every window, by the fold whose members never saw the patient
    submission.csv   those of --test, the mean over folds: eeg_id and six shares
    report.md        KL divergence of each member, of the ensemble, and of a guess
"""

from ..experiments.votes.arguments import EnsembleArguments
from .parsing import Command

COMMAND = main = Command("train-ensemble", __doc__, "votes.training", (EnsembleArguments,), trains=True)

if __name__ == "__main__":
    main()
