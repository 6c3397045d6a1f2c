# SPDX-License-Identifier: Apache-2.0
"""`eeg-hf export`: the file gives what the model gives, and says how exactly."""

import json

import pandas as pd
import pytest
import torch
from transformers import AutoModelForSequenceClassification, pipeline

from eeg_hf import EEGFeatureExtractor, EEGFoundationConfig, get_corpus
from eeg_hf.inference.onnx_model import OnnxModel, compare, quantize
from tests.commands import fail_command, run_command

pytest.importorskip("onnxscript")
onnxruntime = pytest.importorskip("onnxruntime")
TINY = {"d_model": 16, "n_layers": 1, "n_heads": 2, "d_ff": 32, "overlap": 0.0}


def get_recording():
    corpus = get_corpus("simulated", num_subjects=1, seconds=7)
    return corpus.read(corpus.recordings()[0])


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    torch.manual_seed(0)
    config = EEGFoundationConfig(**TINY, id2label={0: "rest", 1: "task"})
    AutoModelForSequenceClassification.from_config(config).save_pretrained(folder)
    EEGFeatureExtractor(window_seconds=2.0).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported")
    names = ("--input_name", "eeg_data", "--output_name", "predictions")
    printed = run_command("export", model, *names, "--output_dir", folder)
    assert "the same class in 100.0% of" in printed
    return folder


@pytest.mark.slow
def test_the_file_takes_any_number_of_windows_channels_and_samples(model, exported):
    original = AutoModelForSequenceClassification.from_pretrained(model).eval()
    onnx = OnnxModel.load(exported)
    for batch, channels, samples in ((1, 19, 400), (5, 19, 400), (2, 8, 600)):
        torch.manual_seed(batch)
        inputs = {
            "input_values": torch.randn(batch, channels, samples),
            "channel_positions": 0.09
            * torch.nn.functional.normalize(torch.randn(batch, channels, 3), dim=-1),
            "channel_mask": torch.ones(batch, channels, dtype=torch.bool),
            "attention_mask": torch.arange(samples).expand(batch, -1) < samples - 30,
        }
        with torch.no_grad():
            assert torch.allclose(onnx(**inputs).logits, original(**inputs).logits, atol=1e-5)


@pytest.mark.slow
def test_the_card_states_what_was_measured(model, exported):
    card = json.loads((exported / "card.json").read_text())
    assert card["parity"]["fp32"]["max_difference"] < 1e-4 and card["data"] == "simulated EEG"
    assert card["parity"]["fp32"]["agreement"] == 1
    session = onnxruntime.InferenceSession(exported / "model.onnx")
    assert session.get_inputs()[0].name == "eeg_data" and session.get_outputs()[0].name == "predictions"


@pytest.mark.slow
def test_int8_is_close_and_smaller_weights(model, exported, tmp_path):
    quantize(exported / "model.onnx", tmp_path / "model.onnx")
    original = AutoModelForSequenceClassification.from_pretrained(model).eval()
    windows = dict(EEGFeatureExtractor.from_pretrained(model)(get_recording()))
    found = compare(original, OnnxModel(original.config, tmp_path / "model.onnx"), windows)
    assert 0 < found["mean_difference"] <= found["max_difference"] < 0.1


@pytest.mark.slow
def test_an_exported_model_answers_in_a_pipeline_and_for_predict(model, exported, tmp_path):
    raw = get_recording()
    classify = pipeline(
        "eeg-classification",
        model=OnnxModel.load(exported),
        feature_extractor=EEGFeatureExtractor.from_pretrained(exported),
    )
    expected = pipeline("eeg-classification", model=model)(raw)["scores"]["task"]
    assert classify(raw)["scores"]["task"] == pytest.approx(expected, abs=1e-5)
    raw.save(tmp_path / "new_raw.fif", verbose="ERROR")
    run_command(
        *("predict", exported, tmp_path / "new_raw.fif", "--per", "recording"),
        *("--output", tmp_path / "a.csv"),
    )
    assert pd.read_csv(tmp_path / "a.csv")["score: task"][0] == pytest.approx(expected, abs=1e-5)


def test_bad_input_is_one_line(tmp_path):
    assert "expected one model to export" in fail_command("export")
    with pytest.raises(FileNotFoundError, match=r"holds no model.onnx: eeg-hf export"):
        OnnxModel.load(tmp_path)
