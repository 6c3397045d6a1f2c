# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import torch
from datasets import Dataset, load_dataset
from transformers import AutoModelForSequenceClassification, pipeline

from eeg_hf import EEGFeatureExtractor, EEGFoundationConfig, get_corpus
from eeg_hf.corpora import prepare

TINY = {"d_model": 32, "n_layers": 1, "n_heads": 2, "d_ff": 64, "overlap": 0.0}


def save(folder, **fields):
    torch.manual_seed(0)
    config = EEGFoundationConfig(**TINY, **fields)
    AutoModelForSequenceClassification.from_config(config).save_pretrained(folder)
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
    prepare(corpus, None, tmp_path / "windows", EEGFeatureExtractor(window_seconds=2.0))
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
