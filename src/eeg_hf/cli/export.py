# SPDX-License-Identifier: Apache-2.0
"""Export a trained classifier to ONNX or OpenVINO, with the differences from it measured and written down.

    eeg-hf export runs/classifier --output_dir runs/exported
    eeg-hf export runs/classifier --int8 static --data runs/data/eegmat --label_column condition
    eeg-hf export runs/classifier --to openvino --output_dir runs/openvino
    eeg-hf export runs/classifier --input_name eeg_data --output_name predictions

The numbers of windows, channels and samples stay free, but for architectures that are built for fixed ones.
The signal contract travels along: `eeg-hf predict runs/exported recording.edf` runs the file, and so do
eeg-hf stream and `eeg_hf.runtime`, which needs neither torch nor MNE.
`card.json` and `README.md` in the folder hold the largest and mean difference of the outputs, and the share
of windows with the same class, on the windows of --data, or on simulated EEG. Of a prepared corpus, windows
of subjects that the model learnt from calibrate `--int8 static`, and those of the others are compared.
"""

from ..experiments.exporting_arguments import ExportModelArguments, take_model
from .parsing import Command

COMMAND = main = Command(
    "export", __doc__, "exporting", (ExportModelArguments,), positional="words", adapt=take_model
)

if __name__ == "__main__":
    main()
