# SPDX-License-Identifier: Apache-2.0
"""Predict new recordings with a trained model: one table for files, folders, BIDS trees or prepared windows.

    eeg-hf predict runs/classifier recording.edf
    eeg-hf predict runs/classifier lab_folder --per recording --output predictions.parquet
    eeg-hf predict runs/classifier lab_folder --label_column condition
    eeg-hf predict runs/classifier "lab_folder/*.vhdr" --calibration_seconds 30
    eeg-hf predict runs/classifier runs/data/eegmat --label_column condition
    eeg-hf predict runs/classifier recording.edf --explain integrated_gradients
    eeg-hf predict runs/classifier lab_folder --label_column condition --causal true

Recordings are cleaned as the model's signal contract says. A recording that does not fit it (missing
channels, a rate that is too low, no unit) gets a row with the reason, and the others go on. `marks` holds
what to know of a row: bad or interpolated channels, low quality, a rescaled unit.

Labels come from the folder's metadata.csv, the BIDS tables or the column of a prepared corpus. With
--label_column, metrics and a confusion matrix are printed and written beside the table (`.metrics.json`).
"""

from ..experiments.prediction.arguments import PredictArguments, take_model
from .parsing import Command

COMMAND = main = Command(
    "predict", __doc__, "prediction.predicting", (PredictArguments,), positional="inputs", adapt=take_model
)

if __name__ == "__main__":
    main()
