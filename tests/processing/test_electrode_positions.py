# SPDX-License-Identifier: Apache-2.0
"""Positions on the head, of names, recordings and montages."""

import warnings

import mne
import numpy as np
import pytest

from eeg_hf.processing.channels import STANDARD_19, canonical_names, parse_channel
from eeg_hf.processing.electrode_positions import electrode_positions, montage_positions, positions_from_raw


def test_ear_lobe_and_vertex_share_a_label_until_the_montage_is_named():
    assert parse_channel("A1").name == "A1"
    assert parse_channel("A1", montage="biosemi128").name == "biosemi128/A1"
    ear, vertex = electrode_positions(["A1", "biosemi128/A1"])
    assert ear[2] < 0 < vertex[2]
    np.testing.assert_array_equal(electrode_positions(["A1"], montage="biosemi128")[0], vertex)


def test_cerebellar_electrodes_lie_between_the_two_places_that_sources_give_them():
    left, right, lowest, low = electrode_positions(["CB1", "CB2", "I1", "PO9"])
    np.testing.assert_allclose(left, (lowest + low) / 2, atol=1e-7)
    assert left[0] < 0 < right[0] and left[1] < -0.07


def test_positions_are_in_the_head_frame_in_metres():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        left, right, front, back, top = electrode_positions(["T7", "T8", "Fpz", "Oz", "Cz"])
    assert left[0] < -0.06 and right[0] > 0.06
    assert front[1] > 0.08 and back[1] < -0.04
    assert 0.1 < top[2] < 0.16
    np.testing.assert_allclose(left * [-1, 1, 1], right, atol=0.01)


def test_positions_agree_with_mne_for_all_names():
    montage = mne.channels.make_standard_montage("colin27_1005")
    info = mne.create_info(montage.ch_names, 100.0, "eeg")
    info.set_montage(montage)
    truth = np.array([channel["loc"][:3] for channel in info["chs"]])
    np.testing.assert_allclose(electrode_positions(montage.ch_names), truth, atol=1e-6)
    np.testing.assert_array_equal(electrode_positions(["T5"]), electrode_positions(["P7"]))


def test_names_that_only_smaller_templates_hold():
    assert np.isfinite(electrode_positions(["O9", "O10", "T1", "T2"])).all()


def test_a_derivation_lies_half_way():
    both = electrode_positions(["Fpz", "Cz"])
    np.testing.assert_allclose(electrode_positions(["Fpz-Cz"])[0], both.mean(axis=0), atol=1e-7)


def test_unknown_names_raise_with_close_matches_or_become_nan():
    with pytest.raises(ValueError, match=r"'Fpp1' \(did you mean Fp1.*'Q7'"):
        electrode_positions(["Fpp1", "Cz", "Q7"])
    positions = electrode_positions(["Fpp1", "Cz"], on_missing="nan")
    assert np.isnan(positions[0]).all() and np.isfinite(positions[1]).all()
    with pytest.raises(ValueError, match="on_missing"):
        electrode_positions(["Cz"], on_missing="zero")


def test_positions_of_a_file_serve_names_that_the_template_lacks():
    raw = mne.io.RawArray(
        np.zeros((3, 10)), mne.create_info(["EEG 001", "Cz", "EEG 002"], 100.0, "eeg"), verbose=False
    )
    places = {"EEG 001": [0.01, 0.02, 0.1], "Cz": [0.0, 0.0, 0.12]}
    raw.set_montage(mne.channels.make_dig_montage(places, coord_frame="head"), on_missing="ignore")
    positions = positions_from_raw(raw)
    np.testing.assert_allclose(positions[0], [0.01, 0.02, 0.1], atol=1e-7)
    np.testing.assert_array_equal(positions[1], electrode_positions(["Cz"])[0])
    assert np.isnan(positions[2]).all()
    np.testing.assert_allclose(positions_from_raw(raw, prefer="file")[1], [0.0, 0.0, 0.12], atol=1e-7)


def test_a_montage_is_its_electrodes_where_recordings_have_them():
    net = montage_positions("GSN-HydroCel-129")
    assert len(net) == 129
    labels = ["E1", "E17", "E128", "Cz"]
    for name, place in zip(
        canonical_names(labels, "GSN-HydroCel-129"),
        electrode_positions(labels, montage="GSN-HydroCel-129"),
        strict=True,
    ):
        np.testing.assert_allclose(net[name], place, atol=1e-6)
    assert "GSN-HydroCel-129/E17" in net and "Cz" in net
    assert all(0.05 < np.linalg.norm(place) < 0.16 for place in net.values())
    np.testing.assert_allclose(
        list(montage_positions("biosemi64").values()),
        electrode_positions(list(montage_positions("biosemi64"))),
        atol=1e-6,
    )


def test_both_names_of_the_10_20_template_are_known():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        places = montage_positions("standard_1020")
        assert places == montage_positions("colin27_1020")
    assert set(STANDARD_19) < set(places) and "T3" not in places


def test_a_montage_can_be_a_list_of_names():
    places = montage_positions(["EEG T3-REF", "Cz", "GSN-HydroCel-129/E17"])
    assert list(places) == ["T7", "Cz", "GSN-HydroCel-129/E17"]
    assert all(type(number) is float for place in places.values() for number in place)


@pytest.mark.parametrize(
    ("montage", "message"),
    [
        ("GSN-HydroCel-182", "unknown montage 'GSN-HydroCel-182'.*GSN-HydroCel-128"),
        (["Fpp1", "Cz"], "'Fpp1' .did you mean Fp1"),
        (["E17", "Cz"], "need montage="),
        (["T3", "Cz", "T7"], "each electrode once, got T7 twice"),
        ([], "empty list"),
    ],
)
def test_what_is_no_montage_is_refused_in_one_line(montage, message):
    with pytest.raises(ValueError, match=message) as refused:
        montage_positions(montage)
    assert "\n" not in str(refused.value)
