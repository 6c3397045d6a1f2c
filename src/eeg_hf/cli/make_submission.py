# SPDX-License-Identifier: Apache-2.0
r"""Pack two fine-tuned regressors for the EEG2025 challenge: one zip that does not need eeg_hf.

    eeg-hf make-submission --challenge1 runs/c1 --challenge2 runs/c2 --output_dir runs/submission
    eeg-hf make-submission --challenge1 runs/c1 --challenge2 runs/c2 --output_dir runs/submission \
        --unit uV

    submission.py                       class Submission(SFREQ, DEVICE): get_model_challenge_1() and _2()
    challenge_1.json, .safetensors      config, preprocessing of the input, and weights
    challenge_2.json, .safetensors
    modeling_eeg_foundation.py, ...     the code of the models
    submission.zip                      all of these, without a folder

The zip is then run on random windows in a process without eeg_hf, one window at a time as the organisers do;
time, size and memory are printed.

Checked against public copies of https://github.com/eeg2025/startkit: the flat zip; the class and its methods;
`model.forward(X)` on float32 (batch, 129, 200) at 100 Hz, of which `[0][0]` is used; the folders
/app/input/res and /app/input. Not verified: that the organisers' machine (sylvchev/codalab-eeg2025) has
transformers 5, and that windows come in volts, as MNE reads them. The unit matters only to models with
normalization "microvolt" or "none".
"""

from ..experiments.challenge.arguments import SubmissionArguments
from .parsing import Command

COMMAND = main = Command("make-submission", __doc__, "challenge.submission", (SubmissionArguments,))

if __name__ == "__main__":
    main()
