# SPDX-License-Identifier: Apache-2.0
"""Dialects of electrode names, kinds of signals."""

import numpy as np
import pytest

from eeg_hf.processing.channels import (
    DOUBLE_BANANA,
    STANDARD_19,
    Channel,
    canonical_names,
    parse_channel,
    parse_channels,
)
from eeg_hf.processing.electrode_positions import electrode_positions


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("Fp1", "Fp1"),
        ("FPZ", "Fpz"),
        ("cz", "Cz"),
        ("AFP5H", "AFp5h"),
        ("EEG Fp1", "Fp1"),
        ("EEG FP1-REF", "Fp1"),
        ("EEG FP1-LE", "Fp1"),
        ("EEG O1-AVG", "O1"),
        ("EEG C3-A1A2", "C3"),
        ("EEG T3-REF", "T7"),
        ("T4", "T8"),
        ("EEG T5", "P7"),
        ("T6", "P8"),
        ("Fc5.", "FC5"),
        ("C3..", "C3"),
        ("EEG C3P-REF", "CP3"),
        ("EEG.AF3", "AF3"),
        ("RAW_TP9", "TP9"),
        ("O2", "O2"),
        ("A1", "A1"),
        ("EEG C3-Linked Ears", "C3"),
        ("C3-((A1+A2)/2)", "C3"),
        ("Fp1-Average", "Fp1"),
        ("CB1", "CB1"),
    ],
)
def test_unipolar_labels_of_every_dialect(label, name):
    assert parse_channel(label) == Channel(name, "eeg")


@pytest.mark.parametrize(
    ("label", "anode", "cathode"),
    [
        ("EEG Fpz-Cz", "Fpz", "Cz"),
        ("EEG A2-A1", "A2", "A1"),
        ("FP1-F7", "Fp1", "F7"),
        ("T8-P8-0", "T8", "P8"),
        ("T8-P8-1", "T8", "P8"),
        ("T3-T5", "T7", "P7"),
        ("FCz - CPz", "FCz", "CPz"),
        ("C4:M1", "C4", "M1"),
        ("FP1F7", "Fp1", "F7"),
        ("T3 T5", "T7", "P7"),
        ("Fz_Cz", "Fz", "Cz"),
    ],
)
def test_derivations_keep_both_electrodes(label, anode, cathode):
    channel = parse_channel(label)
    assert channel == Channel(f"{anode}-{cathode}", "eeg", anode, cathode)
    assert channel.is_bipolar


@pytest.mark.parametrize(
    ("label", "kind"),
    [
        ("ECG ECG", "ecg"),
        ("EEG EKG1-REF", "ecg"),
        ("EKG", "ecg"),
        ("EOG horizontal", "eog"),
        ("VEOG", "eog"),
        ("EEG LOC-REF", "eog"),
        ("ROC-A1", "eog"),
        ("E1-M2", "eog"),
        ("EMG submental", "emg"),
        ("Chin 1", "emg"),
        ("Status", "stim"),
        ("STI 014", "stim"),
        ("EDF Annotations", "stim"),
        ("Event marker", "stim"),
        ("Resp oro-nasal", "misc"),
        ("SaO2", "misc"),
        ("EXG1", "misc"),
        ("EXG Channel 0", "eeg"),
        ("Accel Channel 0", "misc"),
        ("Analog Channel 2", "misc"),
        ("Atmung Nase", "misc"),
        ("S\u00e4ttigung", "misc"),
        ("EMG Kinn", "emg"),
        ("Kinn", "emg"),
        ("GND", "misc"),
        ("nd", "misc"),
        ("-", "misc"),
        ("--0", "misc"),
        ("POL E", "misc"),
        ("POL $A1", "misc"),
        ("HEO", "eog"),
        ("VEOU", "eog"),
        ("Left eye", "eog"),
        ("VNS", "misc"),
        ("Plet", "misc"),
        ("Erg1", "misc"),
    ],
)
def test_other_signals_are_told_apart(label, kind):
    assert parse_channel(label).kind == kind


def test_egi_labels_need_their_net():
    assert canonical_names(["E7", "E129", "VREF"], montage="GSN-HydroCel-129") == [
        "GSN-HydroCel-129/E7",
        "Cz",
        "Cz",
    ]
    with pytest.raises(ValueError, match=r"'E7'.*montage="):
        electrode_positions(["E7", "Cz"])
    with pytest.raises(ValueError, match="unknown montage 'GSN129'"):
        parse_channel("E7", montage="GSN129")


def test_a_shared_cathode_is_a_reference():
    labels = ["Fp1-Pz", "F3-Pz", "F4-Pz", "O1-Pz", "ECG"]
    assert canonical_names(labels) == ["Fp1", "F3", "F4", "O1", "ECG"]
    assert all(channel.is_bipolar for channel in parse_channels(["Fpz-Cz", "Pz-Oz"]))


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (["EEG C3-M2", "C4-M1", "O1:M2", "ROC-A1"], ["C3", "C4", "O1", "ROC-A1"]),
        (["Fp1-A1", "Fp2-A2", "EEG A2-A1"], ["Fp1", "Fp2", "A2-A1"]),
        (["C3", "C4", "C3-A2"], ["C3", "C4", "C3-A2"]),  # computed beside its electrodes
        (["C3-A2", "C4-A1", "Fz-Cz"], ["C3-A2", "C4-A1", "Fz-Cz"]),  # the last one is bipolar
        (["EEG Fp1-LE", "EEG A2-A1"], ["Fp1", "A2-A1"]),
        (["EEG Fpz-Cz", "EEG Pz-Oz"], ["Fpz-Cz", "Pz-Oz"]),
        (["FP1-F7", "F7-T7", "T8-P8-0", "T8-P8-1"], ["Fp1-F7", "F7-T7", "T8-P8", "T8-P8"]),
    ],
)
def test_ears_and_mastoids_are_a_reference_where_all_derivations_end_there(labels, names):
    assert canonical_names(labels) == names


def test_a_shared_cathode_that_nobody_knows_is_a_reference():
    assert canonical_names(["F7-CS2", "T7-CS2", "FP1-CS2", "CZ-CS2"]) == ["F7", "T7", "Fp1", "Cz"]
    assert canonical_names(["F7-CS2", "T7-CS2", "Cz"]) == ["F7-CS2", "T7-CS2", "Cz"]


def bank(letters):
    return [f"{letter}{number}" for letter in letters for number in range(1, 33)]


def test_caps_are_recognised_where_all_their_labels_are_there():
    assert canonical_names(bank("ABCD"))[::64] == ["biosemi128/A1", "biosemi128/C1"]
    assert canonical_names(bank("ABCDEFGH"))[-1] == "biosemi256/H32"
    small = canonical_names([*bank("AB"), "EXG1", "Status"])
    assert small[0] == "Fp1" and small[47] == "Cz" and small[28] == "Oz" and small[63] == "O2"
    net = canonical_names([*(f"E{number}" for number in range(1, 129)), "Cz"])
    assert net[0] == "GSN-HydroCel-129/E1" and net[-1] == "Cz"
    assert canonical_names(["A1"], montage="biosemi32") == ["Fp1"]


def test_half_a_cap_is_no_10_20_system():
    # A BioSemi cap of which labels are missing: its A1 is no ear, its C3 not the C3 of the 10-20 system
    channels = parse_channels(["A1", "A2", "A3", "C3", "C4"])
    assert np.isnan(electrode_positions([channel.name for channel in channels], on_missing="nan")).all()
    assert canonical_names(["A1", "A2", "C3", "C4"]) == ["A1", "A2", "C3", "C4"]


def test_eye_channels_of_a_polysomnography_are_not_an_egi_net():
    assert [c.kind for c in parse_channels(["E1", "E2", "C3"])] == ["eog", "eog", "eeg"]
    assert [c.kind for c in parse_channels(["E1", "E2", "E3"])] == ["eeg", "eeg", "eeg"]


def test_chains_are_canonical():
    assert len(STANDARD_19) == 19 and len(DOUBLE_BANANA) == 18
    assert canonical_names(STANDARD_19) == list(STANDARD_19)
    assert canonical_names(DOUBLE_BANANA) == list(DOUBLE_BANANA)
    assert np.isfinite(electrode_positions(DOUBLE_BANANA)).all()
