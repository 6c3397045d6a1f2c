# SPDX-License-Identifier: Apache-2.0
import mne
import numpy as np
import pytest
import torch
from datasets import Dataset, load_dataset
from transformers import AutoModel, AutoModelForSequenceClassification, pipeline

from eeg_hf import (
    EEGCLIPConfig,
    EEGConvTransformerConfig,
    EEGFeatureExtractor,
    EEGFoundationConfig,
    EEGFSQConfig,
    EEGMaskedVAEConfig,
    get_corpus,
)
from eeg_hf.corpora import prepare
from eeg_hf.processing import long_recordings

TINY = {"d_model": 32, "n_layers": 1, "n_heads": 2, "d_ff": 64, "overlap": 0.0}


ENCODER = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
ENCODERS = [
    EEGFoundationConfig(**TINY),
    EEGMaskedVAEConfig(**ENCODER, latent_dim=4),
    EEGConvTransformerConfig(**ENCODER, num_channels=19, num_samples=400),
    EEGCLIPConfig(eeg_config=EEGFoundationConfig(**TINY), projection_dim=8, vision_dim=16),
]


def save(folder, change=None, **fields):
    """Save a tiny classifier and its feature extractor; `change` edits the model before."""
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_config(EEGFoundationConfig(**TINY, **fields))
    if change is not None:
        with torch.no_grad():
            change(model)
    model.save_pretrained(folder)
    EEGFeatureExtractor(window_seconds=2.0).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save(tmp_path_factory.mktemp("model"), id2label={0: "rest", 1: "task", 2: "other"})


@pytest.fixture(scope="module")
def classify(model):
    return pipeline("eeg-classification", model=model)


@pytest.fixture(scope="module")
def recordings():
    corpus = get_corpus("simulated", num_subjects=2, seconds=7)
    return [corpus.read(recording) for recording in corpus.recordings()]


def test_a_recording_gets_one_answer_and_one_for_each_window(classify, recordings):
    result = classify(recordings[0])
    assert [(w["start"], w["end"]) for w in result["windows"]] == [(0, 2), (2, 4), (4, 6), (6, 7)]
    windows = np.array([list(w["scores"].values()) for w in result["windows"]])
    assert list(result["scores"]) == ["rest", "task", "other"]
    assert np.allclose(list(result["scores"].values()), np.average(windows, axis=0, weights=[2, 2, 2, 1]))
    assert result["label"] == max(result["scores"], key=result["scores"].get)
    assert result["score"] == result["scores"][result["label"]]


def test_windows_in_bad_spans_do_not_count_in_the_answer_for_the_recording(
    model, recordings, classify, monkeypatch
):
    raw = recordings[0].copy()
    raw.set_annotations(mne.Annotations([2.5, 6.5], [1.0, 0.1], ["BAD movement", "bad"]))
    result = classify(raw)
    assert [w.get("is_bad", False) for w in result["windows"]] == [False, True, False, True]
    windows = [list(w["scores"].values()) for w in result["windows"] if "is_bad" not in w]
    assert np.allclose(list(result["scores"].values()), np.mean(windows, axis=0))
    embed = pipeline("eeg-feature-extraction", model=model)
    found = embed(raw)
    assert np.allclose(found["embedding"], found["windows"][[0, 2]].mean(axis=0), atol=1e-6)
    monkeypatch.setattr(long_recordings, "LARGEST_HELD_BYTES", 0)
    assert classify(raw)["scores"] == pytest.approx(result["scores"], abs=1e-5)
    raw.set_annotations(mne.Annotations(0.0, 7.0, "BAD"))
    assert classify(raw)["scores"] == pytest.approx(classify(recordings[0])["scores"], abs=1e-5)


def test_windows_become_one_answer_as_asked_for(classify, recordings):
    windows = classify(recordings[0])["windows"]
    highest = classify(recordings[0], aggregate="max", return_windows=False)
    assert "windows" not in highest
    assert highest["scores"]["task"] == pytest.approx(max(w["scores"]["task"] for w in windows))
    votes = classify(recordings[0], aggregate="vote")["scores"]
    assert votes["task"] == sum(w["label"] == "task" for w in windows) / 4


def test_paths_arrays_lists_and_datasets_give_what_the_recording_gives(classify, recordings, tmp_path):
    raw = recordings[0]
    raw.save(tmp_path / "a_raw.fif", fmt="double", verbose="ERROR")
    expected = classify(raw)["scores"]
    array = {"sampling_rate": 250.0, "channel_names": raw.ch_names, "unit": "V"}
    assert classify(str(tmp_path / "a_raw.fif"))["scores"] == pytest.approx(expected)
    assert classify(tmp_path / "a_raw.fif")["scores"] == pytest.approx(expected)
    assert classify(raw.get_data(), **array)["scores"] == pytest.approx(expected)
    assert [r["scores"] for r in classify([raw, recordings[1]])][0] == pytest.approx(expected)
    from eeg_hf import Eeg

    column = Dataset.from_dict({"eeg": [str(tmp_path / "a_raw.fif")] * 2}).cast_column("eeg", Eeg())
    assert [r["scores"] for r in classify(column)] == [pytest.approx(expected)] * 2


def test_prepared_windows_are_taken_as_they_are(classify, recordings, tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    corpus = get_corpus("simulated", num_subjects=1, seconds=7)
    prepare(corpus, tmp_path / "windows", EEGFeatureExtractor(window_seconds=2.0))
    rows = load_dataset(str(tmp_path / "windows"), split="train").select(range(3))
    found = [result["scores"] for result in classify(rows)]
    whole = classify(recordings[0])["windows"]
    for window, scores in zip(whole, found, strict=False):
        assert scores == pytest.approx(window["scores"], abs=1e-3)


def test_the_number_of_windows_at_a_time_changes_nothing(model, classify, recordings):
    expected = classify(recordings[0])["scores"]
    assert classify(recordings[0], batch_size=1)["scores"] == pytest.approx(expected, abs=1e-6)
    assert pipeline("eeg-classification", model=model, batch_size=3)(recordings[0])[
        "scores"
    ] == pytest.approx(expected, abs=1e-6)


def test_embeddings_are_those_of_the_model(model, recordings):
    embed = pipeline("eeg-feature-extraction", model=model)
    result = embed(recordings[0])
    with torch.no_grad():
        expected = embed.model(**EEGFeatureExtractor(window_seconds=2.0)(recordings[0])).pooler_output.numpy()
    assert np.allclose(result["windows"], expected, atol=1e-6)
    assert np.allclose(result["embedding"], np.average(expected, axis=0, weights=[2, 2, 2, 1]), atol=1e-6)
    assert result["spans"][-1] == (6.0, 7.0)


def test_regression_gives_values(tmp_path, recordings):
    predict = pipeline("eeg-classification", model=save(tmp_path, num_labels=1, problem_type="regression"))
    result = predict(recordings[0])
    values = [window["value"] for window in result["windows"]]
    assert result["value"] == pytest.approx(np.average(values, weights=[2, 2, 2, 1]))


def test_a_regression_of_several_outputs_gives_each_by_name(tmp_path, recordings):
    names = {0: "age", 1: "attention"}
    predict = pipeline("eeg-classification", model=save(tmp_path, id2label=names, problem_type="regression"))
    result = predict(recordings[0])
    for name in names.values():
        values = [window["values"][name] for window in result["windows"]]
        assert result["values"][name] == pytest.approx(np.average(values, weights=[2, 2, 2, 1]), abs=1e-6)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_answers_as_float32_does(model, classify, recordings, dtype):
    half = pipeline("eeg-classification", model=model, dtype=dtype)
    assert half.model.dtype == dtype
    assert half(recordings[0])["scores"] == pytest.approx(classify(recordings[0])["scores"], abs=0.01)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("config", ENCODERS, ids=lambda config: config.model_type)
def test_half_precision_embeds_as_float32_does(config, dtype, recordings):
    torch.manual_seed(0)
    encoder, extractor = AutoModel.from_config(config).eval(), EEGFeatureExtractor(window_seconds=2.0)
    raw = recordings[0].copy().crop(0, 6, include_tmax=False)  # whole windows: a convolution takes no other
    full, half = (
        pipeline("eeg-feature-extraction", model=each, feature_extractor=extractor)(raw)["windows"]
        for each in (encoder, encoder.to(dtype))
    )
    assert half.dtype == full.dtype == np.float32 and half.shape == full.shape == (3, full.shape[1])
    assert np.abs(half - full).max() < 0.05 * np.abs(full).max()


def test_a_model_saved_in_half_precision_answers(tmp_path, classify, recordings):
    folder = save(tmp_path, lambda model: model.bfloat16(), id2label={0: "rest", 1: "task", 2: "other"})
    half = pipeline("eeg-classification", model=folder)
    assert half.model.dtype == torch.bfloat16
    expected = classify(recordings[0])["scores"]
    assert half(recordings[0])["scores"] == pytest.approx(expected, abs=0.01)
    counts = np.random.default_rng(0).integers(-300, 300, (19, 400)).astype("<i2")
    row = {"signal": counts.tobytes(), "scale": [0.1] * 19, "num_samples": 400, "sampling_rate": 200.0}
    row["channels"] = recordings[0].ch_names
    assert half(row)["scores"] == pytest.approx(classify(row)["scores"], abs=0.01)


@pytest.mark.parametrize("aggregate", ["mean", "max", "vote"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_classifier_of_nan_or_infinite_weights_gives_no_label(tmp_path, recordings, value, aggregate):
    broken = pipeline(
        "eeg-classification", model=save(tmp_path, lambda model: model.classifier.out.weight[0].fill_(value))
    )
    expected = r"weights in 1 of \d+ tensors, such as classifier.out.weight, .* load another checkpoint"
    with pytest.raises(ValueError, match=expected) as caught:
        broken(recordings[0], aggregate=aggregate)
    assert "\n" not in str(caught.value)


def test_an_encoder_of_nan_weights_gives_no_embedding(recordings):
    encoder = AutoModel.from_config(ENCODERS[0])
    torch.nn.init.constant_(encoder.embeddings.norm.weight, np.nan)
    embed = pipeline("eeg-feature-extraction", model=encoder, feature_extractor=EEGFeatureExtractor())
    with pytest.raises(ValueError, match="NaN or infinite weights in 1 of .* embeddings.norm.weight"):
        embed(recordings[0])


def test_logits_beyond_float16_give_no_label(tmp_path, recordings):
    def enlarge(model):  # no weight is beyond 65,504, one of both logits is
        model.classifier.out.weight.copy_(torch.linspace(-6e4, 6e4, 32))
        model.classifier.out.bias.copy_(torch.tensor([6.5e4, -6.5e4]))

    folder = save(tmp_path, enlarge)
    assert np.isfinite(pipeline("eeg-classification", model=folder)(recordings[0])["score"])
    with pytest.raises(ValueError, match="infinity in torch.float16: load it with dtype=torch.float32"):
        pipeline("eeg-classification", model=folder, dtype=torch.float16)(recordings[0])


def test_a_model_of_several_tasks_answers_each(tmp_path, recordings):
    tasks, labels = {"rest": 2, "age": 1}, {"rest": ["eyes open", "eyes closed"], "age": []}
    several = pipeline("eeg-classification", model=save(tmp_path, tasks=tasks, task_labels=labels))
    answer = several(recordings[0])
    assert set(answer["tasks"]["rest"]["scores"]) == set(labels["rest"])
    values = [window["tasks"]["age"]["value"] for window in answer["windows"]]
    seconds = [window["end"] - window["start"] for window in answer["windows"]]
    assert answer["tasks"]["age"]["value"] == pytest.approx(np.average(values, weights=seconds), rel=1e-5)


def test_a_codec_is_refused_by_name(recordings):
    codec = AutoModel.from_config(EEGFSQConfig(patch_size=40, hidden_dims=[24]))
    embed = pipeline("eeg-feature-extraction", model=codec, feature_extractor=EEGFeatureExtractor())
    with pytest.raises(ValueError, match="EEGFSQModel returns no embedding of a window"):
        embed(recordings[0])


@pytest.mark.parametrize("is_preprocessed", [False, True])
def test_nothing_gives_no_window_and_says_so(classify, recordings, is_preprocessed):
    names = recordings[0].ch_names
    empty = mne.io.RawArray(np.zeros((19, 0)), mne.create_info(names, 200.0, "eeg"), verbose="ERROR")
    row = {"signal": b"", "scale": [1.0] * 19, "num_samples": 0, "channels": names, "sampling_rate": 200.0}
    for nothing in (empty, row):
        with pytest.raises(
            ValueError, match="^the recording holds no samples: expected at least one window$"
        ):
            classify(nothing, is_preprocessed=is_preprocessed)
    assert classify([]) == []


@pytest.mark.parametrize(
    ("inputs", "options", "message"),
    [
        (np.zeros((19, 500)), {}, "an array needs sampling_rate, channel_names and unit"),
        ("there/is/none.edf", {}, "none.edf"),
        ({"subject": "01"}, {}, "expected a row of a prepared corpus, it lacks channels"),
        (None, {"aggregate": "median"}, "aggregate must be one of mean, max, vote"),
        (None, {"batch_size": 0}, "batch_size must be 1 or more"),
        (None, {"top": 3}, "unknown option top: expected one of batch_size, sampling_rate"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_line(classify, recordings, inputs, options, message):
    with pytest.raises((ValueError, OSError), match=message) as caught:
        classify(recordings[0] if inputs is None else inputs, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("task", ["eeg-classification", "eeg-feature-extraction"])
def test_a_recording_too_long_for_memory_gives_the_same(tmp_path, monkeypatch, task):
    save(tmp_path)
    rng = np.random.default_rng(0)
    info = mne.create_info(["C3", "C4", "O1", "O2"], 256.0, "eeg")
    raw = mne.io.RawArray(20e-6 * rng.normal(size=(4, 256 * 151)), info, verbose="ERROR")
    run = pipeline(task, model=str(tmp_path))
    expected, several = run(raw), run([raw, raw])
    monkeypatch.setattr(long_recordings, "LARGEST_HELD_BYTES", 0)
    monkeypatch.setattr(long_recordings, "_BLOCK_SAMPLES", 20_000)
    found = run(raw, batch_size=7)
    assert len(found["windows"]) == 76
    key = "scores" if task == "eeg-classification" else "embedding"
    results = (found, expected, run([raw, raw])[1])
    values = [list(r[key].values()) if key == "scores" else r[key] for r in results]
    assert values[0] == pytest.approx(values[1], abs=1e-5) and values[2] == pytest.approx(values[1], abs=1e-5)
    assert len(several) == 2
