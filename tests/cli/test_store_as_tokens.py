# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import torch

from eeg_hf import EEGFeatureExtractor, EEGFoundationConfig, EEGFSQConfig, EEGFSQModel, get_corpus
from eeg_hf.inference.recording_tokens import RecordingTokens, decode_recording
from tests.commands import fail_command, run_command


@pytest.fixture(scope="module")
def codec(tmp_path_factory):
    folder = tmp_path_factory.mktemp("codec")
    extractor = EEGFeatureExtractor(window_seconds=5.12)
    corpus = get_corpus("simulated", num_subjects=1, seconds=30)
    values = extractor(corpus.read(corpus.recordings()[0]))["input_values"][:-1]
    torch.manual_seed(0)
    codec = EEGFSQModel(EEGFSQConfig(patch_size=64, hidden_dims=[32], levels=[8, 5, 5, 5], codes_per_patch=6))
    codec.initialize_linear_path(values.reshape(-1, 64))
    codec.save_pretrained(folder)
    extractor.save_pretrained(folder)
    return folder


def test_it_stores_reads_back_and_draws(codec, tmp_path):
    output = run_command("store-as-tokens", "--codec", codec, "--output_dir", tmp_path)
    tokens = RecordingTokens.load(tmp_path / "simulated-00-rest.tokens.safetensors")
    restored = decode_recording(tokens, EEGFSQModel.from_pretrained(codec))
    assert restored.get_data().shape == (19, 12000)
    found = dict(line.split()[:2] for line in output.split("recording:\n")[1].splitlines()[:20])
    assert set(restored.ch_names) < set(found)
    values = [float(value) for name, value in found.items() if value != "dead" and name != "mean"]
    assert np.mean(values) == pytest.approx(float(found["mean"]), abs=2e-3)
    assert min(values) > 0.8  # least where blinks are
    assert "of 10 bits" in output
    assert f"together: {sum(tokens.num_bytes.values()) - tokens.num_bytes['int16']:,} bytes" in output
    assert (tmp_path / "simulated-00-rest.png").stat().st_size > 10_000


def test_a_recording_of_a_file_is_taken(codec, tmp_path):
    corpus = get_corpus("simulated", num_subjects=1, seconds=6)
    corpus.read(corpus.recordings()[0]).save(tmp_path / "mine_raw.fif", verbose="ERROR")
    arguments = ("--recording", tmp_path / "mine_raw.fif", "--start", 4, "--output_dir", tmp_path)
    run_command("store-as-tokens", "--codec", codec, *arguments)
    assert RecordingTokens.load(tmp_path / "mine_raw.tokens.safetensors").num_samples == 1200
    assert (tmp_path / "mine_raw.png").exists()


def test_what_is_missing_is_said_in_one_line(codec, tmp_path):
    message = fail_command("store-as-tokens", "--output_dir", tmp_path)
    assert "eeg-hf train-tokenizer" in message
    EEGFoundationConfig().save_pretrained(tmp_path / "other")
    message = fail_command("store-as-tokens", "--codec", tmp_path / "other", "--output_dir", tmp_path)
    assert "expected a codec (eeg_fsq), got eeg_foundation" in message
    arguments = ("--codec", codec, "--output_dir", tmp_path)
    message = fail_command("store-as-tokens", *arguments, "--recording", tmp_path / "none.edf")
    assert "none.edf" in message
    message = fail_command("store-as-tokens", *arguments, "--start", "1000")
    assert "expected within the recording" in message
