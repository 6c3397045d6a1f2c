# SPDX-License-Identifier: Apache-2.0
"""The signal contract: what reaches a model, and what is refused."""

import json

import mne
import numpy as np
import pytest
import torch

from eeg_hf.processing.channels import STANDARD_19
from eeg_hf.processing.covariance import mean_covariance, whitening_matrix
from eeg_hf.processing.electrode_positions import electrode_positions
from eeg_hf.processing.feature_extraction_eeg import NORMALIZATIONS, EEGFeatureExtractor

NAMES = list(STANDARD_19)


def noise_uv(num_channels=19, num_samples=2500, seed=0):
    return np.random.default_rng(seed).normal(scale=20.0, size=(num_channels, num_samples))


def record(data_uv, names=None, rate=250.0):
    info = mne.create_info(list(names or NAMES[: len(data_uv)]), rate, "eeg")
    return mne.io.RawArray(data_uv * 1e-6, info, verbose="ERROR")


def windows(batch=6, channels=5, time=400, seed=0):
    return torch.randn(batch, channels, time, generator=torch.Generator().manual_seed(seed)) * 20


@pytest.fixture(scope="module")
def extractor():
    return EEGFeatureExtractor(window_seconds=2.0)


def test_a_recording_becomes_windows(extractor):
    features = extractor(record(noise_uv(num_samples=2250)), return_report=True)
    report = features.pop("report")
    assert list(features) == extractor.model_input_names
    assert features["input_values"].shape == (5, 19, 400) and features["input_values"].dtype == torch.float32
    assert features["channel_positions"].shape == (5, 19, 3)
    assert features["channel_mask"].all() and features["channel_mask"].dtype == torch.bool
    assert features["attention_mask"].sum(dim=1).tolist() == [400, 400, 400, 400, 200]
    assert not features["input_values"][-1, :, 200:].any()
    np.testing.assert_array_equal(features["channel_positions"][3], electrode_positions(NAMES))
    assert report[0]["reference"] == "average" and report[0]["sampling_rate"] == 200
    json.dumps(report)


def test_array_and_recording_volts_and_microvolts_agree(extractor):
    data = noise_uv()
    truth = extractor(record(data))["input_values"]
    told = {"sampling_rate": 250, "channel_names": NAMES}
    for array, unit in ((data, "uV"), (data * 1e-6, "V"), (torch.from_numpy(data), "uV"), (data[None], "uV")):
        values = extractor(array, unit=unit, **told)["input_values"]
        torch.testing.assert_close(values, truth, atol=1e-4, rtol=0)


def test_a_batch_of_arrays_is_a_batch_of_recordings(extractor):
    data = np.stack([noise_uv(seed=0), noise_uv(seed=1)])
    told = {"sampling_rate": 250, "channel_names": NAMES, "unit": "uV"}
    both = extractor(data, **told)["input_values"]
    alone = [extractor(item, **told)["input_values"] for item in data]
    torch.testing.assert_close(both, torch.cat(alone))


def test_whole_recordings_stay_whole():
    features = EEGFeatureExtractor(window_seconds=None)(record(noise_uv()))
    assert features["input_values"].shape == (1, 19, 2000) and features["attention_mask"].all()


def test_permuted_names_permute_the_output(extractor):
    data, order = noise_uv(), np.random.default_rng(1).permutation(19)
    told = {"sampling_rate": 250, "unit": "uV"}
    straight = extractor(data, channel_names=NAMES, **told)
    permuted = extractor(data[order], channel_names=[NAMES[i] for i in order], **told)
    torch.testing.assert_close(
        permuted["input_values"], straight["input_values"][:, order], atol=1e-4, rtol=0
    )
    assert torch.equal(permuted["channel_positions"], straight["channel_positions"][:, order])


def test_fixed_channels_come_out_whatever_the_order_of_the_file():
    fixed = EEGFeatureExtractor(channels=["O2", "T3", "Cz"], window_seconds=2.0)
    data = noise_uv()
    straight, reverse = fixed(record(data)), fixed(record(data[::-1], NAMES[::-1]))
    torch.testing.assert_close(straight["input_values"], reverse["input_values"], atol=1e-4, rtol=0)
    np.testing.assert_array_equal(straight["channel_positions"][0], electrode_positions(["O2", "T7", "Cz"]))


@pytest.mark.parametrize("absent", ["sampling_rate", "channel_names", "unit"])
def test_arrays_must_say_what_they_are(extractor, absent):
    told = {"sampling_rate": 250, "channel_names": NAMES, "unit": "uV"}
    told.pop(absent)
    with pytest.raises(
        ValueError, match=f"an array needs sampling_rate, channel_names and unit; {absent} not given"
    ):
        extractor(noise_uv(), **told)


@pytest.mark.parametrize(
    ("eeg", "told", "error", "message"),
    [
        (np.ones((1000, 3)), {}, ValueError, r"expected \(3, time\).*got \(1000, 3\): transpose\?"),
        (np.ones((4, 100)), {}, ValueError, r"expected \(3, time\).*got \(4, 100\)$"),
        (np.ones((3, 0)), {}, ValueError, "expected"),
        (np.ones((3, 100)), {"unit": "nV"}, ValueError, "unit must be one of 'V', 'mV', 'uV'; got 'nV'"),
        (np.ones((3, 100)), {"sampling_rate": -1}, ValueError, "sampling_rate must be a positive number"),
        (np.ones((3, 100)), {"channel_names": ["Cz", "C3", "Cz"]}, ValueError, "Cz more than once"),
        (
            np.ones((3, 100)),
            {"channel_names": "Fp1"},
            ValueError,
            "must be a list of names, got the text 'Fp1'",
        ),
        (np.ones((3, 100), dtype=complex), {}, TypeError, "array of complex128"),
        ("recording.edf", {}, TypeError, "got str; open files with MNE"),
    ],
)
def test_arrays_that_cannot_be_are_refused(extractor, eeg, told, error, message):
    with pytest.raises(error, match=message):
        extractor(eeg, **{"sampling_rate": 250, "channel_names": ["C3", "Cz", "C4"], "unit": "uV", **told})


def test_a_recording_states_its_own_rate_and_unit(extractor):
    with pytest.raises(ValueError, match="describe arrays"):
        extractor(record(noise_uv()), unit="uV")
    with pytest.raises(ValueError, match="describe arrays"):
        extractor(record(noise_uv()), sampling_rate=100)


def test_wrong_unit_is_noticed(extractor):
    told = {"sampling_rate": 250, "channel_names": NAMES}
    with pytest.raises(ValueError, match="in uV but were read as V"):
        extractor(noise_uv(), unit="V", **told)
    with pytest.raises(ValueError, match="implausible amplitude"):
        extractor(noise_uv() * 1e-6, sampling_rate=200, channel_names=NAMES, unit="uV", is_preprocessed=True)


def test_clean_signals_are_only_checked_and_normalised(extractor):
    source = record(noise_uv())
    clean, _ = extractor.preprocess(source)
    whole = extractor(source)
    again = extractor(clean, is_preprocessed=True)
    told = {"sampling_rate": 200, "channel_names": clean.ch_names, "unit": "V"}
    array = extractor(clean.get_data(), is_preprocessed=True, **told)
    for key in extractor.model_input_names:
        torch.testing.assert_close(again[key], whole[key])
        torch.testing.assert_close(array[key], whole[key], atol=1e-4, rtol=0)
    with pytest.raises(ValueError, match="rate is 250 Hz, expected 200 Hz"):
        extractor(source, is_preprocessed=True)


def test_clean_windows_miss_mask_and_derive_channels():
    fixed = EEGFeatureExtractor(channels=["C3", "O1", "C3-C4"], missing_channels="mask", normalization="none")
    data = noise_uv(2, 1000).astype(np.float32)[None]
    told = {"sampling_rate": 200, "unit": "uV", "is_preprocessed": True}
    features = fixed(data, channel_names=["C3", "C4"], **told)
    assert features["channel_mask"].tolist() == [[True, False, True]]
    np.testing.assert_allclose(features["input_values"][0, 2], data[0, 0] - data[0, 1], atol=1e-4)
    fixed.missing_channels = "error"
    with pytest.raises(ValueError, match="missing EEG channels O1"):
        fixed(data, channel_names=["C3", "C4"], **told)


@pytest.mark.parametrize("is_preprocessed", [False, True])
def test_nan_and_dead_channels_are_masked_and_never_reach_the_model(is_preprocessed):
    data = noise_uv(num_samples=2000)
    data[4, 100] = np.nan
    data[7] = 3.0
    features = EEGFeatureExtractor()(
        data, sampling_rate=200, channel_names=NAMES, unit="uV", is_preprocessed=is_preprocessed
    )
    assert (~features["channel_mask"][0]).nonzero().flatten().tolist() == [4, 7]
    assert (
        torch.isfinite(features["input_values"]).all() and torch.isfinite(features["channel_positions"]).all()
    )
    assert not features["input_values"][:, [4, 7]].any()
    with pytest.raises(ValueError, match="bad"):
        EEGFeatureExtractor()(
            np.zeros((19, 2000)),
            sampling_rate=200,
            channel_names=NAMES,
            unit="uV",
            is_preprocessed=is_preprocessed,
        )


def test_numpy_comes_out_on_request(extractor):
    features = extractor(record(noise_uv()), return_tensors="np")
    assert isinstance(features["input_values"], np.ndarray) and features["channel_mask"].dtype == bool


def test_robust_statistics_in_closed_form():
    # 0..400 times 10 uV: median 2000, quartiles 1000 and 3000.
    values = (torch.arange(401.0) * 10)[None, None]
    result = EEGFeatureExtractor(normalization="robust", clip=None).normalize(values)
    torch.testing.assert_close(result, (values - 2000) / (2000 / 1.349))


def test_zscore_microvolt_and_none_in_closed_form():
    values = windows()
    result = EEGFeatureExtractor(normalization="zscore", clip=None).normalize(values)
    torch.testing.assert_close(result.mean(dim=-1), torch.zeros(6, 5), atol=1e-5, rtol=0)
    torch.testing.assert_close(result.std(dim=-1, correction=0), torch.ones(6, 5))
    torch.testing.assert_close(EEGFeatureExtractor(normalization="microvolt").normalize(values), values / 100)
    assert torch.equal(EEGFeatureExtractor(normalization="none").normalize(values), values)


def test_outliers_are_clipped():
    values = windows()
    values[0, 0, 0] = 1e5
    assert EEGFeatureExtractor(clip=4.0).normalize(values).abs().max() == 4.0
    assert EEGFeatureExtractor(clip=None).normalize(values).abs().max() > 1000


@pytest.mark.parametrize("normalization", ["robust", "microvolt"])
@pytest.mark.parametrize("clip", [2.0, 15.0, 400.0])
def test_knowing_the_largest_sample_spares_clipping_but_changes_nothing(normalization, clip):
    extractor = EEGFeatureExtractor(normalization=normalization, clip=clip)
    limit = 100.0 if normalization == "microvolt" else 20.0  # what becomes 1
    largest = 1.2 * clip * limit
    values = windows().clamp(-largest, largest)
    values[2, 1, 7], values[3, 0, 9] = largest, -largest
    expected = extractor.normalize(values.clone())
    assert torch.equal(extractor.normalize(values, out=values, largest=largest), expected)
    assert (expected.abs().amax(dim=(1, 2)) == clip).any()


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_flat_channels_stay_finite(normalization):
    values = windows()
    values[0, 0] = 0.0
    values[1, 1] = 7.0
    values[2, 2, :300] = 0.0  # more than half of it at one value
    result = EEGFeatureExtractor(normalization=normalization).normalize(values)
    assert torch.isfinite(result).all()
    if normalization in ("robust", "zscore"):
        assert not result[0, 0].any() and not result[1, 1].any() and result[2, 2].abs().max() > 0.5


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_padding_changes_nothing_in_the_real_part(normalization):
    extractor = EEGFeatureExtractor(normalization=normalization)
    values = windows(time=300)
    plain = extractor.normalize(values)
    padded = torch.nn.functional.pad(values, (0, 900), value=1e4)
    padded = torch.nn.functional.pad(padded, (0, 0, 0, 2), value=1e4)
    attention_mask = (torch.arange(1200) < 300).repeat(6, 1)
    channel_mask = (torch.arange(7) < 5).repeat(6, 1)
    result = extractor.normalize(padded, channel_mask, attention_mask)
    torch.testing.assert_close(result[:, :5, :300], plain, atol=1e-5, rtol=0)
    assert not result[:, 5:].any() and not result[:, :, 300:].any()


def test_normalisation_leaves_its_input_alone():
    for normalization in NORMALIZATIONS:
        values = windows()
        EEGFeatureExtractor(normalization=normalization, clip=0.01).normalize(
            values, torch.zeros(6, 5, dtype=torch.bool), torch.zeros(6, 400, dtype=torch.bool)
        )
        assert torch.equal(values, windows())


def test_long_windows_are_normalised_by_a_sample_of_their_samples():
    values = windows(batch=1, time=10_000)
    result = EEGFeatureExtractor().normalize(values)
    exact = (values - values.median(dim=-1, keepdim=True).values) / 20
    assert (result - exact).abs().max() < 0.4 and result.std() == pytest.approx(1.0, abs=0.05)


def test_alignment_whitens_by_the_subjects_covariance():
    mixing = torch.randn(5, 5, generator=torch.Generator().manual_seed(3))
    values = torch.matmul(mixing, windows(batch=40))
    covariance = mean_covariance(values.numpy())
    extractor = EEGFeatureExtractor(alignment="euclidean", normalization="none", clip=None)
    aligned = extractor.normalize(values, alignment_matrix=torch.from_numpy(whitening_matrix(covariance)))
    np.testing.assert_allclose(mean_covariance(aligned.numpy()), np.eye(5), atol=1e-4)
    told = {"sampling_rate": 200, "channel_names": NAMES[:5], "unit": "uV", "is_preprocessed": True}
    called = EEGFeatureExtractor(alignment="euclidean", normalization="none", window_seconds=None)(
        values.numpy(), reference_covariance=covariance, **told
    )
    torch.testing.assert_close(called["input_values"], aligned, atol=1e-3, rtol=0)


def test_one_alignment_matrix_a_window():
    values = windows(batch=2)
    matrices = torch.stack([2 * torch.eye(5), 3 * torch.eye(5)])
    extractor = EEGFeatureExtractor(alignment="euclidean", normalization="none", clip=None)
    result = extractor.normalize(values, alignment_matrix=matrices)
    torch.testing.assert_close(result, values * torch.tensor([2.0, 3.0])[:, None, None])


def test_alignment_without_its_covariance_is_refused(extractor):
    aligned = EEGFeatureExtractor(alignment="euclidean")
    with pytest.raises(ValueError, match="reference_covariance.*never of one condition"):
        aligned(record(noise_uv()))
    with pytest.raises(ValueError, match="alignment_matrix"):
        aligned.normalize(windows())
    with pytest.raises(ValueError, match="alignment='none'"):
        extractor(record(noise_uv()), reference_covariance=np.eye(19))
    with pytest.raises(ValueError, match="has 3 channels, expected 19: Fp1"):
        aligned(record(noise_uv()), reference_covariance=np.eye(3))


SETTINGS = {
    "sampling_rate": 128.0,
    "highpass_hz": 1.0,
    "lowpass_hz": None,
    "notch_hz": "auto",
    "reference": ["A1", "A2"],
    "channels": ["C3", "T7"],
    "missing_channels": "mask",
    "unknown_channels": "drop",
    "normalization": "zscore",
    "clip": None,
    "window_seconds": 3.5,
    "alignment": "euclidean",
}


def test_every_setting_survives_saving(tmp_path):
    extractor = EEGFeatureExtractor(**SETTINGS, comment="kept too")
    extractor.save_pretrained(tmp_path)
    loaded = EEGFeatureExtractor.from_pretrained(tmp_path)
    assert loaded.to_dict() == extractor.to_dict()
    assert {name: getattr(loaded, name) for name in SETTINGS} == SETTINGS
    assert loaded.comment == "kept too"
    assert set(SETTINGS) < set(json.loads((tmp_path / "preprocessor_config.json").read_text()))


def test_saved_and_loaded_give_the_same_input(tmp_path, extractor):
    extractor.save_pretrained(tmp_path)
    loaded = EEGFeatureExtractor.from_pretrained(tmp_path)
    source = record(noise_uv())
    assert torch.equal(loaded(source)["input_values"], extractor(source)["input_values"])


def test_channel_names_of_settings_are_canonical():
    assert EEGFeatureExtractor(channels=("EEG T3-REF", "Fc5.")).channels == ["T7", "FC5"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"normalization": "minmax"},
            "normalization must be one of 'robust', 'zscore', 'microvolt', 'none'; got 'minmax'",
        ),
        ({"alignment": "riemannian"}, "alignment must be one of"),
        ({"missing_channels": "drop"}, "missing_channels must be one of"),
        ({"reference": "mastoids"}, "reference must be 'average', 'original' or a list"),
        ({"clip": 0}, "clip must be a positive number, got 0"),
        ({"clip": "15"}, "clip must be a positive number, got '15'"),
        ({"sampling_rate": float("nan")}, "sampling_rate must be a positive number"),
        ({"highpass_hz": 45.0}, "highpass_hz must be below lowpass_hz"),
        ({"highpass_hz": -1}, "highpass_hz must be a positive number"),
        ({"lowpass_hz": 100}, "lowpass_hz=100 Hz is at or above the Nyquist frequency of the result"),
        ({"notch_hz": "50"}, "notch_hz must be"),
        ({"channels": "Cz"}, "channels must be a list of channel names, got 'Cz'"),
        ({"channels": ["T3", "T7"]}, "channels must be different names"),
        ({"channels": []}, "channels must be different names"),
        ({"window_seconds": 0.001}, "less than two samples"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings, message):
    with pytest.raises(ValueError, match=message) as caught:
        EEGFeatureExtractor(**settings)
    assert "\n" not in str(caught.value)


def test_alignment_takes_the_place_of_normalization():
    """Scaling each window and channel after whitening would undo what whitening did."""
    values = torch.randn(2, 3, 400) * torch.tensor([1.0, 5.0, 20.0])[:, None]
    matrix = torch.diag(1 / torch.tensor([1.0, 5.0, 20.0]))
    for normalization in ("robust", "zscore", "microvolt", "none"):
        extractor = EEGFeatureExtractor(alignment="euclidean", normalization=normalization, clip=2.0)
        expected = (matrix @ values).clamp(-2, 2)
        torch.testing.assert_close(extractor.normalize(values, alignment_matrix=matrix), expected)


def test_new_settings_are_saved_and_reach_the_recordings(tmp_path):
    places = {"probe": [0.0, 0.05, 0.08]}
    EEGFeatureExtractor(
        bad_channels="auto", positions=places, adaptive=True, unknown_channels="mask", window_seconds=2.0
    ).save_pretrained(tmp_path)
    loaded = EEGFeatureExtractor.from_pretrained(tmp_path)
    assert loaded.bad_channels == "auto" and loaded.adaptive is True and loaded.unknown_channels == "mask"
    np.testing.assert_allclose(loaded.positions["probe"], places["probe"], atol=1e-7)
    slipped = record(noise_uv(4) * 1e6, ["C3", "C4", "probe", "what"])
    features = loaded(slipped, return_report=True)
    assert features["channel_mask"][0].tolist() == [True, True, True, False]
    np.testing.assert_allclose(features["channel_positions"][0, 2], places["probe"], atol=1e-7)
    assert torch.isfinite(features["channel_positions"]).all() and not features["input_values"][:, 3].any()
    assert features["report"][0]["scale_uv"] == pytest.approx(1e-6)


def test_clean_windows_take_stated_positions_and_masks_too():
    extractor = EEGFeatureExtractor(
        positions={"probe": [0, 0.05, 0.08]}, unknown_channels="mask", window_seconds=None
    )
    features = extractor(
        noise_uv(3), sampling_rate=200, channel_names=["C3", "probe", "what"], unit="uV", is_preprocessed=True
    )
    assert features["channel_mask"].tolist() == [[True, True, False]]
    np.testing.assert_allclose(features["channel_positions"][0, 1], [0, 0.05, 0.08], atol=1e-7)
    assert torch.isfinite(features["channel_positions"]).all()


@pytest.mark.parametrize("settings", [{"bad_channels": "noisy"}, {"positions": {"X1": [0, 80, 40]}}])
def test_new_settings_are_checked(settings):
    with pytest.raises(ValueError, match="bad_channels must be one of|are these mm"):
        EEGFeatureExtractor(**settings)


def test_half_precision_in_volts_is_what_it_says():
    eeg = 20e-6 * np.random.default_rng(0).normal(size=(2, 1000))
    given = {"sampling_rate": 250, "channel_names": ["C3", "C4"], "unit": "V"}
    extractor = EEGFeatureExtractor(window_seconds=2.0)
    halved, whole = (extractor(each, **given)["input_values"] for each in (eeg.astype(np.float16), eeg))
    assert (halved - whole).abs().max() < 0.05
