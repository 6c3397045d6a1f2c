# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from datasets import Dataset, load_dataset
from tests.inference.tiny_codec import FIELDS, make_codec

from eeg_hf import EEGDataCollator, EEGFeatureExtractor, EEGFSQConfig, EEGFSQModel, WindowDataset
from eeg_hf.collation import decode_windows
from eeg_hf.corpora import load_alignments
from eeg_hf.inference.tokens import codec_fingerprint
from eeg_hf.inference.window_tokens import add_tokens, tokens_to_signal


@pytest.fixture(scope="module")
def extractor():
    return EEGFeatureExtractor(window_seconds=2.0)


@pytest.fixture(scope="module")
def rows(prepared, tmp_path_factory):
    cache = str(tmp_path_factory.mktemp("cache"))
    return load_dataset(str(prepared), split="train", cache_dir=cache).select(range(40))


def normalised(rows, extractor):
    windows = WindowDataset(rows)
    return EEGDataCollator(extractor)(windows.__getitems__(list(range(len(rows)))))["input_values"]


@pytest.fixture(scope="module")
def codec(rows, extractor):
    return make_codec(normalised(rows, extractor))


@pytest.fixture(scope="module")
def coded(rows, codec, extractor):
    return add_tokens(rows, codec, extractor, batch_size=16)


def correlations(first, second, is_real):
    pairs = zip(first[is_real], second[is_real], strict=True)
    return np.array([np.corrcoef(pair)[0, 1] for pair in pairs])


def cut(row, num_channels, num_samples):
    """Return a prepared row with fewer channels and samples."""
    counts = np.frombuffer(row["signal"], "<i2").reshape(-1, row["num_samples"])
    kept = counts[:num_channels, :num_samples].tobytes()
    return {**row, "signal": kept, "scale": row["scale"][:num_channels], "num_samples": num_samples}


def test_columns_are_plain_lists_that_anybody_reads(coded, codec, tmp_path):
    coded.to_parquet(tmp_path / "coded.parquet")
    table = pq.read_table(tmp_path / "coded.parquet")
    assert str(table.schema.field("tokens").type) == "list<element: list<element: uint16>>"
    row = table.slice(3, 1).to_pylist()[0]
    assert np.shape(row["tokens"]) == (19, 7 * 5)  # 400 samples are six patches and a quarter
    assert np.shape(row["tokens_location"]) == np.shape(row["tokens_scale"]) == (19,)
    assert row["tokens_codec"] == codec_fingerprint(codec)
    assert coded[3]["tokens"] == row["tokens"] and coded[3]["signal"] == row["signal"]


def test_tokens_are_those_of_the_codec(coded, rows, codec, extractor):
    values = normalised(rows, extractor)
    expected = codec.encode(torch.nn.functional.pad(values, (0, 48))).indices
    assert np.array_equal(coded.with_format("numpy")[:]["tokens"], expected)


def test_the_signal_comes_back_in_microvolts_with_its_masks(coded, rows, codec):
    light = coded.remove_columns(["signal", "scale"])
    signal_uv, is_channel, is_sample = tokens_to_signal(light[:], codec)
    original_uv, real_channel, real_sample = decode_windows(rows.with_format("arrow")[:])
    assert signal_uv.shape == original_uv.shape == (40, 19, 400)
    assert np.array_equal(is_channel, real_channel) and np.array_equal(is_sample, real_sample)
    assert np.median(correlations(signal_uv, original_uv, is_channel)) > 0.93
    ratio = signal_uv[is_channel].std(axis=-1) / original_uv[is_channel].std(axis=-1)
    assert 0.9 < np.median(ratio) < 1.05


def test_location_and_scale_are_median_and_interquartile_range(coded, rows):
    row = rows[5]
    samples_uv = np.frombuffer(row["signal"], "<i2").reshape(19, 400) * np.array(row["scale"])[:, None]
    low, middle, high = np.quantile(samples_uv, [0.25, 0.5, 0.75], axis=1)
    is_live = samples_uv.any(axis=1)
    assert np.array(coded[5]["tokens_location"])[is_live] == pytest.approx(middle[is_live], rel=1e-4)
    assert np.array(coded[5]["tokens_scale"])[is_live] == pytest.approx(
        (high - low)[is_live] / 1.349, rel=1e-4
    )


def test_rows_are_taken_in_every_form(coded, codec):
    few = coded.select(range(3))
    expected = tokens_to_signal(few, codec)[0]
    for form in (few[:], few.to_list(), few.with_format("arrow")[:]):
        assert np.array_equal(tokens_to_signal(form, codec)[0], expected)


def test_windows_of_several_shapes_are_coded_as_if_alone(rows, codec, extractor):
    shapes = [(19, 400), (3, 130), (7, 64)]
    mixed = [cut(rows[number], *shape) for number, shape in enumerate(shapes)]
    coded = add_tokens(Dataset.from_list(mixed, features=rows.features), codec, extractor)
    assert [np.shape(row["tokens"]) for row in coded] == [(19, 35), (3, 15), (7, 5)]
    signal_uv, is_channel, is_sample = tokens_to_signal(coded, codec)
    assert is_sample.sum(axis=1).tolist() == [400, 130, 64] and not is_channel[1, 3:].any()
    for number, row in enumerate(mixed):
        alone = add_tokens(Dataset.from_list([row], features=rows.features), codec, extractor)
        assert alone[0]["tokens"] == coded[number]["tokens"]
        channels, samples = shapes[number]
        found = signal_uv[number, :channels, :samples]
        assert np.allclose(found, tokens_to_signal(alone, codec)[0][0], atol=1e-4)
        assert np.abs(signal_uv[number]).sum() == pytest.approx(np.abs(found).sum())


def test_a_dead_channel_stays_dead(rows, codec, extractor):
    row = cut(rows[0], 4, 128)
    counts = np.frombuffer(row["signal"], "<i2").reshape(4, 128).copy()
    counts[2] = 0
    row |= {"signal": counts.tobytes(), "scale": [*row["scale"][:2], 1.0, row["scale"][3]]}
    coded = add_tokens(Dataset.from_list([row], features=rows.features), codec, extractor)
    signal_uv, is_channel, _ = tokens_to_signal(coded, codec)
    assert is_channel.tolist() == [[True, True, False, True]]
    assert not signal_uv[0, 2].any() and signal_uv[0, 1].any()


def test_the_cache_knows_codecs_and_extractors_apart(rows, coded, codec, extractor, tmp_path):
    codec.save_pretrained(tmp_path)
    loaded = EEGFSQModel.from_pretrained(tmp_path)
    again = add_tokens(rows, loaded, extractor)
    assert again._fingerprint == coded._fingerprint and again.cache_files == coded.cache_files
    with torch.no_grad():
        loaded.encoder.linear_path.bias[0] += 1.0
    others = [
        add_tokens(rows, loaded, extractor),
        add_tokens(rows, codec, EEGFeatureExtractor(window_seconds=2.0, clip=0.5)),
        add_tokens(rows, codec, EEGFeatureExtractor(window_seconds=2.0, normalization="zscore")),
    ]
    assert len({coded._fingerprint, *(other._fingerprint for other in others)}) == 4
    assert all(other[0]["tokens"] != coded[0]["tokens"] for other in others)


def test_settings_that_change_no_weight_make_another_codec(codec):
    settings = codec.config.to_dict()
    twin = EEGFSQModel(EEGFSQConfig.from_dict({**settings, "levels": FIELDS["levels"][::-1]}))
    twin.load_state_dict(codec.state_dict())
    assert codec_fingerprint(twin) != codec_fingerprint(codec)
    same = EEGFSQModel(EEGFSQConfig.from_dict({**settings, "dropout": 0.3}))
    same.load_state_dict(codec.state_dict())
    assert codec_fingerprint(same) == codec_fingerprint(codec)


def test_processes_and_streams_give_the_same(rows, codec, coded, extractor):
    split = add_tokens(rows, codec, extractor, num_proc=2, column="codes").with_format(None)
    assert split[:]["codes"] == coded[:]["tokens"]
    stream = add_tokens(rows.to_iterable_dataset(), codec, extractor, batch_size=7)
    assert [row["tokens"] for row in stream] == coded[:]["tokens"]
    assert stream.features == coded.features


def test_dropout_is_off_and_the_mode_stays(rows, coded, codec, extractor):
    config = EEGFSQConfig.from_dict({**codec.config.to_dict(), "dropout": 0.5})
    noisy = EEGFSQModel(config)
    noisy.load_state_dict(codec.state_dict())
    noisy.train()
    found = add_tokens(rows.select(range(4)), noisy, extractor)
    assert found[:]["tokens"] == coded[:4]["tokens"] and noisy.training


def test_a_conditioned_codec_hears_of_the_rate_of_each_row(rows, extractor):
    codec = make_codec(normalised(rows, extractor), use_conditioning=True, sampling_rate=None)
    torch.nn.init.normal_(codec.encoder.film.dense.weight, std=0.3)
    both = [cut(rows[0], 19, 128), {**cut(rows[0], 19, 128), "sampling_rate": 100.0}]
    coded = add_tokens(Dataset.from_list(both, features=rows.features), codec, extractor)
    values = EEGDataCollator(extractor)(both[:1])["input_values"]
    for row, rate in zip(coded, (200.0, 100.0), strict=True):
        assert row["tokens"] == codec.encode(values, rate).indices[0].tolist()
    assert coded[0]["tokens"] != coded[1]["tokens"]


def test_a_small_codebook_takes_a_byte(rows, extractor):
    codec = make_codec(normalised(rows, extractor), levels=[5, 5, 5])
    coded = add_tokens(rows.select(range(2)), codec, extractor)
    assert coded.features["tokens"].feature.feature.dtype == "uint8"


def test_aligned_windows_come_back_with_their_alignments(rows, prepared):
    extractor = EEGFeatureExtractor(window_seconds=2.0, alignment="euclidean")
    alignments = load_alignments(prepared)
    codec = make_codec(normalised(rows, EEGFeatureExtractor(window_seconds=2.0)))
    coded = add_tokens(rows, codec, extractor, alignments=alignments)
    signal_uv, is_channel, _ = tokens_to_signal(coded, codec, alignments=alignments)
    original_uv = decode_windows(rows.with_format("arrow")[:])[0]
    assert np.median(correlations(signal_uv, original_uv, is_channel)) > 0.9
    with pytest.raises(ValueError, match="coded with alignment='euclidean'"):
        tokens_to_signal(coded, codec)
    with pytest.raises(ValueError, match=r"they lack simulated/\d\d"):
        tokens_to_signal(coded, codec, alignments={"someone": np.eye(19)})
    with pytest.raises(ValueError, match="needs alignments"):
        add_tokens(rows, codec, extractor)


def test_what_cannot_be_meant_is_refused_in_one_line(rows, coded, codec, extractor):
    other = make_codec(normalised(rows, extractor), seed=1)
    fast = EEGFSQModel(EEGFSQConfig(**FIELDS, sampling_rate=256.0))
    cases = [
        (lambda: add_tokens(rows.remove_columns("scale"), codec, extractor), "they lack scale"),
        (lambda: add_tokens(coded, codec, extractor), "'tokens' exists already"),
        (lambda: add_tokens(rows, fast, extractor), "the codec is for 256 Hz, got windows at 200 Hz"),
        (lambda: tokens_to_signal(rows[:2], codec), "lack tokens, tokens_codec"),
        (lambda: tokens_to_signal(coded[:0], codec), "they lack any row"),
        (lambda: tokens_to_signal(coded[:2], other), "expected the codec that made the tokens"),
        (lambda: tokens_to_signal(coded[:2], codec, alignments={}), "coded with alignment='none'"),
    ]
    for call, message in cases:
        with pytest.raises(ValueError, match=message) as caught:
            call()
        assert "\n" not in str(caught.value)
