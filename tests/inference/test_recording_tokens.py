# SPDX-License-Identifier: Apache-2.0
import dataclasses

import mne
import numpy as np
import pytest
import torch
from tests.inference.tiny_codec import FIELDS, make_codec

from eeg_hf import EEGFeatureExtractor, EEGFSQConfig, EEGFSQModel, get_corpus
from eeg_hf.inference.recording_tokens import RecordingTokens, decode_recording, encode_recording


@pytest.fixture(scope="module")
def extractor():
    return EEGFeatureExtractor(window_seconds=2.0)


@pytest.fixture(scope="module")
def clean(extractor):
    corpus = get_corpus("simulated", num_subjects=1, seconds=21)
    raw, _ = extractor.preprocess(corpus.read(corpus.recordings()[0]))
    return raw.crop(0, 20.5, include_tmax=False)  # 4,100 samples: neither whole windows nor whole patches


@pytest.fixture(scope="module")
def codec(clean, extractor):
    return make_codec(extractor(clean, is_preprocessed=True)["input_values"][:-1])  # the last one is padded


@pytest.fixture(scope="module")
def tokens(clean, codec, extractor):
    return encode_recording(clean, codec, extractor, is_preprocessed=True)


def test_a_recording_comes_back(clean, tokens, codec):
    restored = decode_recording(tokens, codec)
    assert restored.ch_names == clean.ch_names and restored.info["sfreq"] == 200
    pair = clean.get_data(), restored.get_data()
    assert pair[0].shape == pair[1].shape == (19, 4100)
    correlations = [np.corrcoef(*rows)[0, 1] for rows in zip(*pair, strict=True) if rows[0].any()]
    assert np.median(correlations) > 0.95 and min(correlations) > 0.85  # least where blinks are
    assert pair[1].std() == pytest.approx(pair[0].std(), rel=0.1)
    assert list(restored.annotations.description) == list(clean.annotations.description) != []
    assert restored.annotations.onset == pytest.approx(clean.annotations.onset - clean.first_time)


def test_tokens_are_those_of_the_normalised_windows(clean, tokens, codec):
    assert tokens.indices.shape == (19, 65 * 5) and tokens.indices.dtype == np.uint16
    assert tokens.window_samples == 448  # 400 samples rounded up to patches
    assert tokens.location.shape == tokens.scale.shape == (19, 10)
    part_uv = clean.get_data()[:, 448:896] * 1e6
    low, middle, high = np.quantile(part_uv, [0.25, 0.5, 0.75], axis=1, keepdims=True)
    live = (high > low)[:, 0]
    values = ((part_uv - middle) / (high - low) * 1.349)[live].clip(-15, 15)
    expected = codec.encode(torch.tensor(values, dtype=torch.float32)[None]).indices[0].numpy()
    assert np.mean(expected == tokens.indices[live, 35:70]) > 0.99  # rounding may tip a sample over
    assert tokens.scale[live, 1] == pytest.approx((high - low)[live, 0] / 1.349, rel=1e-3)


def test_files_hold_the_same_and_take_what_is_said(tokens, tmp_path):
    tokens.save(tmp_path / "folder" / "a.safetensors")
    loaded = RecordingTokens.load(tmp_path / "folder" / "a.safetensors")
    for name, value in dataclasses.asdict(tokens).items():
        found = getattr(loaded, name)
        assert np.array_equal(found, value) if isinstance(value, np.ndarray) else found == value
        assert getattr(found, "dtype", None) == getattr(value, "dtype", None)
    size = tokens.num_bytes
    assert size == {
        "tokens": 19 * 325 * 2,
        "side_information": 19 * 10 * 2 * 2,
        "int16": 19 * 4100 * 2,
    }
    header = (tmp_path / "folder" / "a.safetensors").stat().st_size - sum(size.values()) + size["int16"]
    assert 0 < header < 3000
    assert tokens.bits_per_second == pytest.approx((325 * 16 + 10 * 32) / 20.5)


@pytest.mark.parametrize(("levels", "bits"), [([2], 1), ([8, 5, 5, 5], 10), ([8] * 7, 21), ([2] * 62, 62)])
def test_indices_are_packed_to_their_bits(tokens, tmp_path, levels, bits):
    size = int(np.prod(levels, dtype=np.uint64))
    random = np.random.default_rng(0).integers(0, size, (19, 33), dtype=np.uint64)
    random[0, :2] = 0, size - 1
    indices = random.astype(np.min_scalar_type(size - 1))
    other = dataclasses.replace(tokens, indices=indices, codebook_size=size)
    other.save(tmp_path / "a.safetensors")
    loaded = RecordingTokens.load(tmp_path / "a.safetensors")
    assert np.array_equal(loaded.indices, indices) and loaded.indices.dtype == indices.dtype
    assert other.token_bits == bits and other.num_bytes["tokens"] == -(-19 * 33 * bits // 8)


def test_the_number_of_windows_at_a_time_changes_nothing(clean, tokens, codec, extractor):
    other = encode_recording(clean, codec, extractor, is_preprocessed=True, batch_size=3)
    assert np.array_equal(other.indices, tokens.indices)
    whole, parts = (decode_recording(tokens, codec, batch_size=size).get_data() for size in (64, 3))
    assert np.allclose(whole, parts, atol=1e-10)


def test_one_window_where_the_extractor_cuts_none(clean, codec):
    extractor = EEGFeatureExtractor(window_seconds=None)
    tokens = encode_recording(clean, codec, extractor, is_preprocessed=True)
    assert tokens.scale.shape == (19, 1) and tokens.indices.shape == (19, 325)
    assert decode_recording(tokens, codec).n_times == 4100


def test_raw_recordings_are_cleaned_first(codec, extractor):
    corpus = get_corpus("simulated", num_subjects=1, seconds=8)
    raw = corpus.read(corpus.recordings()[0])  # 250 Hz
    tokens = encode_recording(raw, codec, extractor)
    clean, _ = extractor.preprocess(raw)
    assert tokens.sampling_rate == 200 and tokens.num_samples == clean.n_times
    again = encode_recording(clean, codec, extractor, is_preprocessed=True)
    assert np.array_equal(tokens.indices, again.indices)


def test_dead_channels_are_bads_and_zero(clean, codec, extractor):
    raw = clean.copy()
    raw._data[4] = 0.0
    restored = decode_recording(encode_recording(raw, codec, extractor, is_preprocessed=True), codec)
    assert raw.ch_names[4] in restored.info["bads"]
    assert not restored.get_data()[4].any() and restored.get_data()[5].any()


def test_what_cannot_be_meant_is_refused_in_one_line(clean, tokens, codec, extractor, tmp_path):
    aligned = EEGFeatureExtractor(alignment="euclidean")
    fast = EEGFSQModel(EEGFSQConfig(**FIELDS, sampling_rate=256.0))
    other = EEGFSQModel(EEGFSQConfig(**FIELDS))
    loud = mne.io.RawArray(clean.get_data() * 1e6, clean.info, verbose="ERROR")
    (tmp_path / "text").write_text("no tokens")
    torn = tmp_path / "torn"
    tokens.save(torn)
    torn.write_bytes(torn.read_bytes()[:-100])
    slow = clean.copy().resample(100, verbose="ERROR")
    cases = [
        (lambda: encode_recording(clean, codec, aligned), "needs all recordings of a subject"),
        (
            lambda: encode_recording(clean, fast, extractor, True),
            "for 256 Hz, got windows at 200 Hz",
        ),
        (lambda: encode_recording(slow, codec, extractor, True), "the rate is 100 Hz, expected 200 Hz"),
        (lambda: encode_recording(loud, codec, extractor, True), "is the unit right"),
        (lambda: decode_recording(tokens, other), "expected the codec that made the tokens"),
        (lambda: RecordingTokens.load(tmp_path / "none"), "it does not exist"),
        (lambda: RecordingTokens.load(tmp_path / "text"), "expected tokens that RecordingTokens.save wrote"),
        (lambda: RecordingTokens.load(torn), "expected tokens that RecordingTokens.save wrote"),
    ]
    for call, message in cases:
        with pytest.raises((ValueError, FileNotFoundError), match=message) as caught:
            call()
        assert "\n" not in str(caught.value)
