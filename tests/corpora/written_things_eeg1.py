# SPDX-License-Identifier: Apache-2.0
"""THINGS-EEG1 as on OpenNeuro, with few subjects and seconds: BrainVision files and tables of images."""

from pathlib import Path

import numpy as np
import pybv

# 63 places of the 10-10 system, as in the published files; Cz, the reference, is in no file
CHANNELS = (
    *("Fp1", "Fz", "F3", "F7", "FT9", "FC5", "FC1", "C3", "T7", "TP9", "CP5", "CP1", "Pz", "P3", "P7", "O1"),
    *("Oz", "O2", "P4", "P8", "TP10", "CP6", "CP2", "C4", "T8", "FT10", "FC6", "FC2", "F4", "F8", "Fp2"),
    *("AF7", "AF3", "AFz", "F1", "F5", "FT7", "FC3", "C1", "C5", "TP7", "CP3", "P1", "P5", "PO7", "PO3"),
    *("POz", "PO4", "PO8", "P6", "P2", "CPz", "CP4", "TP8", "C6", "C2", "FC4", "FT8", "F6", "AF8", "AF4"),
    *("F2", "Iz"),
)
COLUMNS = ("onset", "duration", "eventnumber", "object", "sequencenumber", "stim", "isteststim", "istarget")


def write_things_eeg1(root: Path, subjects: int = 5, seconds: float = 4.0) -> Path:
    """Write subjects who see an image every 100 ms; times are in samples, as published."""
    random = np.random.default_rng(0)
    for subject in range(1, subjects + 1):
        folder, name = root / f"sub-{subject:02d}" / "eeg", f"sub-{subject:02d}_task-rsvp"
        data = 2e-5 * random.normal(size=(len(CHANNELS), round(seconds * 1000)))
        pybv.write_brainvision(
            data=data, sfreq=1000, ch_names=list(CHANNELS), fname_base=f"{name}_eeg", folder_out=folder
        )
        lines = ["\t".join(COLUMNS)]
        for number, onset in enumerate(range(500, round(seconds * 1000) - 1000, 100)):
            image = f"stimuli\\thing{number}\\thing{number}_01b.jpg"
            lines.append(f"{onset}\t50\t{number}\t{number}\t0\t{image}\t0\t0")
        (folder / f"{name}_events.tsv").write_text("\n".join(lines) + "\n")
    (root / "dataset_description.json").write_text('{"Name": "THINGS-EEG", "BIDSVersion": "1.0.2"}')
    (root / "task-rsvp_eeg.json").write_text(
        '{"TaskName": "rsvp", "SamplingFrequency": 1000, "PowerLineFrequency": 50, "EEGReference": "Cz",'
        ' "SoftwareFilters": "n/a"}'
    )
    return root
