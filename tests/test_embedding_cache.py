# SPDX-License-Identifier: Apache-2.0
"""Embeddings from the disk are those that were computed, whatever happens to the files."""

import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from huggingface_hub import constants
from transformers import AutoModel, pipeline

from eeg_hf import EEGFeatureExtractor, EEGFoundationConfig, embedding_cache, get_corpus
from eeg_hf.collation import EEGDataCollator, WindowDataset
from eeg_hf.corpora import load_windows
from eeg_hf.training.frozen_features import collect_features


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HOME", str(tmp_path))
    monkeypatch.setenv(embedding_cache.SWITCH, "1")
    return tmp_path / "eeg_hf/embeddings"


def make_model(seed=0):
    torch.manual_seed(seed)
    config = EEGFoundationConfig(d_model=16, n_layers=1, n_heads=2, d_ff=32, overlap=0.0)
    return AutoModel.from_config(config).eval()


def test_a_recording_is_embedded_once_for_weights_contract_and_samples(folder, monkeypatch):
    corpus = get_corpus("simulated", num_subjects=1, seconds=8)
    raw = corpus.read(corpus.recordings()[0])
    model, extractor = make_model(), EEGFeatureExtractor(window_seconds=2.0)
    embed = pipeline("eeg-feature-extraction", model=model, feature_extractor=extractor)
    first = embed(raw)
    (path,) = folder.iterdir()
    calls = []
    monkeypatch.setattr(model, "forward", lambda **inputs: calls.append(inputs))  # is not asked again
    again = embed(raw.copy())
    assert not calls and again["spans"] == first["spans"]
    assert all(np.array_equal(again[name], first[name]) for name in ("embedding", "windows"))
    monkeypatch.undo()
    monkeypatch.setattr(constants, "HF_HOME", str(folder.parents[1]))
    monkeypatch.setenv(embedding_cache.SWITCH, "1")
    louder = raw.copy().apply_function(lambda samples: 1.01 * samples, picks=["Cz"])
    other = EEGFeatureExtractor(window_seconds=2.0, highpass_hz=1.0)
    for given, weights, contract in (
        (louder, model, extractor),
        (raw, make_model(1), extractor),
        (raw, model, other),
    ):
        pipeline("eeg-feature-extraction", model=weights, feature_extractor=contract)(given)
    assert len(list(folder.iterdir())) == 4 and path.exists()
    monkeypatch.setenv(embedding_cache.SWITCH, "0")
    assert np.array_equal(embed(raw)["windows"], first["windows"]) and len(list(folder.iterdir())) == 4


def test_features_of_a_corpus_are_kept_and_a_damaged_file_is_computed_again(folder, prepared, caplog):
    rows, model = load_windows(prepared).select(range(100)), make_model()
    collator = EEGDataCollator(EEGFeatureExtractor(window_seconds=2.0))
    first = collect_features(model, WindowDataset(rows), collator)
    files = sorted(folder.iterdir())
    assert len(files) == 2  # batches of 64
    kept = files[0].read_bytes()
    for content in (kept[:-1] + bytes([kept[-1] ^ 1]), kept[:50], b""):
        files[0].write_bytes(content)
        caplog.clear()
        assert np.array_equal(collect_features(model, WindowDataset(rows), collator), first)
        assert "is damaged: its embeddings are computed again" in caplog.text
        assert files[0].read_bytes() == kept


def test_the_size_is_bounded_and_what_was_read_last_stays(folder, monkeypatch):
    monkeypatch.setenv(embedding_cache.SWITCH, "1e-4")  # 100 kB
    values = np.arange(5000, dtype=np.float32)  # 20 kB
    for number in range(8):
        embedding_cache.write(f"{number}", {"values": values + number})
        time.sleep(0.01)
        assert embedding_cache.read("0") is not None
    names = {path.stem for path in folder.iterdir()}
    assert names == {"0", "5", "6", "7"}
    monkeypatch.setenv(embedding_cache.SWITCH, "much")
    with pytest.raises(ValueError, match="expected a size in GB, or 0 for no cache, got 'much'"):
        embedding_cache.read("0")


def test_two_processes_share_it(folder, environment):
    program = (
        "import numpy as np\n"
        "from eeg_hf import embedding_cache\n"
        "for number in range(40):\n"
        "    key = f'{number % 7}'\n"
        "    found = embedding_cache.fetch(key, lambda: {'values': np.full(20000, number % 7, np.float32)})\n"
        "    assert (found['values'] == number % 7).all()\n"
    )
    size = {"HF_HOME": str(folder.parents[1]), embedding_cache.SWITCH: "0.0002"}  # of two files
    both = [subprocess.Popen([sys.executable, "-c", program], env=environment | size) for _ in range(2)]
    assert [process.wait(timeout=120) for process in both] == [0, 0]
    assert 0 < len(list(folder.glob("*.safetensors"))) <= 3 and not list(folder.glob(".*"))
