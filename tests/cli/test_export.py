# SPDX-License-Identifier: Apache-2.0
"""`eeg-hf export`: the file gives what the model gives, and says how exactly."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from transformers import AutoModelForSequenceClassification, pipeline

import eeg_hf
from eeg_hf import EEGFeatureExtractor, EEGFoundationConfig, StreamingExtractor, get_corpus
from eeg_hf.corpora import SeenWindows, load_windows
from eeg_hf.inference.onnx_model import OnnxModel, compare, split_batches, write_exported
from eeg_hf.inference.quantization import quantize
from eeg_hf.models.configuration_braindecode import BraindecodeConfig
from eeg_hf.models.modeling_braindecode import BraindecodeForSequenceClassification
from eeg_hf.processing import long_recordings
from eeg_hf.runtime import load
from eeg_hf.training.quantization_aware import find_layers, round_layers
from tests.commands import fail_command, run_command

pytestmark = pytest.mark.slow  # one export takes 20 s of a core
pytest.importorskip("onnxscript")
onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
NAMES = ["EEG FP1-REF", "EEG T3-REF", "EEG O2-REF", "ECG EKG", "EEG C3-REF"]
HEAVY = ("torch", "transformers", "mne", "datasets", "pandas", "pyarrow", "sklearn", "matplotlib")
TINY = {"d_model": 16, "n_layers": 1, "n_heads": 2, "d_ff": 32, "overlap": 0.0}


def count_int8_layers(path):
    """Return how many matrices and kernels of a file are int8; zeros and biases are not."""
    values = onnx.load(path).graph.initializer
    return sum(each.data_type == onnx.TensorProto.INT8 and len(each.dims) > 1 for each in values)


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


@pytest.mark.parametrize("kind", ["onnx", "openvino", "torch-export"])
def test_no_path_of_the_code_is_in_a_file(model, tmp_path, kind):
    pytest.importorskip("openvino")
    run_command("export", model, "--to", kind, "--output_dir", tmp_path, "--num_windows", 2)
    places = [str(Path(module.__file__).parent).encode() for module in (eeg_hf, torch)]
    for path in filter(Path.is_file, tmp_path.rglob("*")):
        parts = [path.read_bytes()]
        if zipfile.is_zipfile(path):
            archive = zipfile.ZipFile(path)
            parts += [archive.read(name) for name in archive.namelist()]
        assert not any(place in part for place in places for part in parts), path


def test_the_card_states_what_was_measured(model, exported):
    card = json.loads((exported / "card.json").read_text())
    assert card["parity"]["fp32"]["max_difference"] < 1e-4 and card["data"] == "simulated EEG"
    assert card["parity"]["fp32"]["agreement"] == 1
    session = onnxruntime.InferenceSession(exported / "model.onnx")
    assert session.get_inputs()[0].name == "eeg_data" and session.get_outputs()[0].name == "predictions"


@pytest.mark.parametrize("kind", ["openvino", "torch-export"])
def test_other_formats_answer_like_the_model(model, tmp_path, kind):
    pytest.importorskip("openvino")
    (tmp_path / "model.onnx").write_text("of an earlier export")
    printed = run_command("export", model, "--to", kind, "--output_dir", tmp_path, "--num_windows", 6)
    assert "the same class in 100.0% of" in printed
    windows = dict(EEGFeatureExtractor.from_pretrained(model)(get_recording()))
    original = AutoModelForSequenceClassification.from_pretrained(model).eval()
    assert compare(original, OnnxModel.load(tmp_path), windows)["max_difference"] < 1e-4
    assert not (tmp_path / "model.onnx").exists()


@pytest.mark.parametrize("kind", ["dynamic", "static"])
def test_int8_is_close_and_smaller(model, exported, tmp_path, kind):
    original = AutoModelForSequenceClassification.from_pretrained(model).eval()
    windows = dict(EEGFeatureExtractor.from_pretrained(model)(get_recording()))
    batches = map(OnnxModel.load(exported).to_arrays, split_batches(windows, 2))
    quantize(exported / "model.onnx", tmp_path / "model.onnx", batches if kind == "static" else None)
    found = compare(original, OnnxModel(original.config, tmp_path / "model.onnx"), windows)
    assert 0 < found["mean_difference"] <= found["max_difference"] < 0.01
    sizes = [(folder / "model.onnx").stat().st_size for folder in (tmp_path, exported)]
    assert sizes[0] < sizes[1]  # most of so small a model is no weight that int8 can hold
    layers = round_layers(original, windows, kind)
    assert count_int8_layers(tmp_path / "model.onnx") == len(layers)
    rounded = compare(original, OnnxModel(original.config, tmp_path / "model.onnx"), windows)
    if kind == "dynamic":  # whose ranges are those of the batch, as in training
        assert rounded["mean_difference"] < 0.1 * found["mean_difference"]


def test_layers_of_a_network_that_are_trained_for_int8_are_those_that_become_int8(tmp_path):
    pytest.importorskip("braindecode")
    torch.manual_seed(0)
    sizes = {"num_channels": 19, "num_samples": 400, "sampling_rate": 200.0, "num_labels": 2}
    config = BraindecodeConfig(architecture="EEGConformer", network={"num_layers": 1}, **sizes)
    network = BraindecodeForSequenceClassification(config).eval()
    windows = {"input_values": torch.randn(4, 19, 400)}
    path = tmp_path / "model.onnx"
    write_exported(network, windows, path)
    for kind, batches in (("dynamic", None), ("static", [{"input_values": windows["input_values"].numpy()}])):
        quantize(path, tmp_path / f"{kind}.onnx", batches)
        assert count_int8_layers(tmp_path / f"{kind}.onnx") == len(find_layers(network, windows, kind))


def test_static_int8_calibrates_on_subjects_of_the_training_and_says_what_accuracy_is_lost(tmp_path):
    corpus, run = tmp_path / "data", tmp_path / "run"
    simulated = ("--corpus", "simulated", "--corpus_options", '{"num_subjects": 6, "seconds": 12}')
    run_command("prepare", *simulated, "--output_dir", corpus)
    sizes = json.dumps({**TINY, "second_order": True})
    about = ("--data", corpus, "--label_column", "condition")
    run_command(
        "finetune", *about, "--split", "subject", "--head", "convex", "--config", sizes, "--output_dir", run
    )
    words = ("--int8", "static", *about, "--output_dir", tmp_path / "int8")
    printed = run_command("export", run, *words)
    card = json.loads((tmp_path / "int8" / "card.json").read_text())
    learnt = SeenWindows.load(run).subjects
    tested = [row for row in load_windows(corpus) if f"simulated/{row['subject']}" not in learnt]
    found = card["parity"]["int8, static"]
    assert found["windows"] == len(tested) and found["agreement"] > 0.9
    assert found["balanced_accuracy"] == pytest.approx(found["original_accuracy"], abs=0.1)
    assert f"balanced accuracy {found['balanced_accuracy']:.3f}, before" in printed
    table = (
        "evaluate",
        *about,
        "--split",
        "subject",
        "--baselines",
        "false",
        "--output_dir",
        tmp_path / "table",
    )
    assert "int8" in run_command(*table, "--split", "subject", "--model", tmp_path / "int8")
    known = f"leave_out:{min(learnt).partition('/')[2]}"
    refused = fail_command(*table, "--split", known, "--model", tmp_path / "int8")
    assert "was trained on" in refused  # what it has seen travelled along


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
    with pytest.raises(FileNotFoundError, match=r"holds no model.onnx or .*: eeg-hf export"):
        OnnxModel.load(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"holds no config.json: eeg-hf export"):
        load(tmp_path)


def draw_eeg(seconds=7.3, rate=250.0):
    rng = np.random.default_rng(0)
    eeg = rng.normal(scale=4, size=(len(NAMES), round(seconds * rate))).cumsum(axis=1)
    eeg[1] = 3.0  # dead
    return eeg - eeg.mean(axis=1, keepdims=True)


def test_the_runtime_answers_like_the_pipeline_without_its_libraries(model, exported, tmp_path):
    np.save(tmp_path / "eeg.npy", draw_eeg())
    program = (
        "import json, sys, numpy\n"
        "from eeg_hf.runtime import load\n"
        f"samples = numpy.load({str(tmp_path / 'eeg.npy')!r})\n"
        f"answer = load({str(exported)!r}).classify(samples, 250.0, {NAMES}, 'uV')\n"
        "loaded = sorted({name.partition('.')[0] for name in sys.modules})\n"
        "print(json.dumps([answer, loaded]))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    answer, loaded = json.loads(done.stdout)
    assert not set(HEAVY) & set(loaded)
    expected = pipeline("eeg-classification", model=str(model))(
        draw_eeg(), sampling_rate=250.0, channel_names=NAMES, unit="uV"
    )
    assert answer["label"] == expected["label"]
    assert answer["scores"] == pytest.approx(expected["scores"], abs=1e-5)
    assert len(answer["windows"]) == len(expected["windows"]) == 4
    for got, wanted in zip(answer["windows"], expected["windows"], strict=True):
        assert (got["start"], got["end"]) == pytest.approx((wanted["start"], wanted["end"]))
        assert got["scores"] == pytest.approx(wanted["scores"], abs=1e-5)


def test_the_windows_of_the_runtime_are_those_of_the_extractor(model, exported):
    expected = EEGFeatureExtractor.from_pretrained(model)(
        draw_eeg(), sampling_rate=250.0, channel_names=NAMES, unit="uV", return_tensors="np"
    )
    got = load(exported).extract(draw_eeg(), 250.0, NAMES, "uV")
    with pytest.MonkeyPatch.context() as patch:  # as an array of many hours is cleaned
        patch.setattr(long_recordings, "LARGEST_HELD_BYTES", 0)
        long = load(exported).extract(draw_eeg(), 250.0, NAMES, "uV")
    np.testing.assert_allclose(long["input_values"], got["input_values"], atol=1e-4)
    assert set(got) == set(expected)
    for name, value in got.items():
        np.testing.assert_allclose(value, expected[name], atol=1e-5, err_msg=name)
    assert not got["channel_mask"][:, 1].any(), "T7 is dead"
    with pytest.raises(ValueError, match="needs channel_positions, channel_mask, attention_mask: pass what"):
        load(exported).predict({"input_values": got["input_values"]})


def test_a_stream_runs_on_the_contract_of_the_runtime(model, exported):
    runtime = load(exported)
    answers = [
        runtime.predict(window.features)
        for window in StreamingExtractor(
            runtime.contract, 250.0, NAMES, "uV", hop_seconds=0.5, return_tensors="np"
        ).push(draw_eeg())
    ]
    whole = AutoModelForSequenceClassification.from_pretrained(model).eval()
    extractor = EEGFeatureExtractor.from_pretrained(model)
    windows = StreamingExtractor(extractor, 250.0, NAMES, "uV", hop_seconds=0.5).push(draw_eeg())
    assert len(answers) == len(windows) > 8
    with torch.no_grad():
        for answer, window in zip(answers, windows, strict=True):
            expected = whole(**window.features).logits.softmax(dim=-1)
            np.testing.assert_allclose(answer, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"samples": draw_eeg().T}, "transpose"),
        ({"unit": "nV"}, "unit must be one of"),
        ({"sampling_rate": 60.0}, "Nyquist"),
        ({"channel_names": NAMES[:-1]}, r"expected \(4, time\)"),
        ({"channel_names": ["C3", "C3", *NAMES[2:]]}, "more than once"),
        ({"samples": draw_eeg() * np.nan}, "NaN"),
        ({"samples": draw_eeg() * 1e5}, "implausible amplitude"),
        ({"samples": draw_eeg()[:, :0]}, "no samples"),
        ({"channel_names": ["Nowhere", *NAMES[1:]]}, "unknown EEG channel"),
    ],
)
def test_what_does_not_fit_the_runtime_is_refused(exported, change, message):
    given = {"samples": draw_eeg(), "sampling_rate": 250.0, "channel_names": NAMES, "unit": "uV"}
    with pytest.raises(ValueError, match=message):
        load(exported).classify(**{**given, **change})
