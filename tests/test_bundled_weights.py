# SPDX-License-Identifier: Apache-2.0
"""The weights that come with the package load offline, know what they have seen, and stay small."""

import importlib

import pandas as pd
import pytest
from datasets import Dataset, DatasetDict
from transformers import AutoFeatureExtractor, AutoModel, pipeline

import eeg_hf
from eeg_hf.bundled_weights import find_weights
from eeg_hf.corpora import ContaminationError, SeenWindows
from eeg_hf.experiments.classifiers.finetuning import judge
from tests.commands import run_command

ENCODER, CLASSIFIER = "eeg-foundation-tiny", "eeg-foundation-tiny-arithmetic"


def test_unknown_names_get_the_nearest():
    assert eeg_hf.bundled_names() == [ENCODER, CLASSIFIER]
    with pytest.raises(
        ValueError, match="no weights 'eeg-fundation-tiny' come with the package, did you mean"
    ):
        eeg_hf.bundled("eeg-fundation-tiny")
    with pytest.raises(ValueError, match="there are eeg-foundation-tiny, eeg-foundation-tiny-arithmetic"):
        eeg_hf.bundled("resnet")


def test_together_they_are_small():
    files = [path for path in eeg_hf.bundled(ENCODER).parent.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 2_000_000
    for name in (ENCODER, CLASSIFIER):
        card = (eeg_hf.bundled(name) / "README.md").read_text(encoding="utf-8")
        assert "ODC-By-1.0" in card and f'eeg_hf.bundled("{name}")' in card


def test_the_encoder_embeds_any_montage():
    model, extractor = (
        auto.from_pretrained(eeg_hf.bundled(ENCODER)) for auto in (AutoModel, AutoFeatureExtractor)
    )
    corpus = eeg_hf.get_corpus("simulated")
    raw = corpus.read(corpus.recordings()[0])
    for names in (raw.ch_names, ["C3", "Cz", "O1", "O2"]):
        inputs = extractor(raw.copy().pick(names).crop(0, 9.99))
        embeddings = model.get_embeddings(**inputs)
        assert embeddings.shape == (2, model.config.hidden_size) and embeddings.isfinite().all()


def test_the_classifier_answers_offline():
    classify = pipeline("eeg-classification", model=str(eeg_hf.bundled(CLASSIFIER)))
    corpus = eeg_hf.get_corpus("simulated")
    said = classify(corpus.read(corpus.recordings()[0]))
    assert set(said["scores"]) == {"rest", "task"} and said["label"] in said["scores"]


def test_the_classifier_is_monitored_at_once(tmp_path):
    corpus = eeg_hf.get_corpus("simulated", num_subjects=1, seconds=20)
    raw = corpus.read(corpus.recordings()[0])
    (tmp_path / "new").mkdir()
    raw.save(tmp_path / "new" / "s01_raw.fif", verbose="ERROR")
    printed = run_command("monitor", CLASSIFIER, tmp_path / "new", "--output_dir", tmp_path / "monitor")
    assert "1 new recordings" in printed
    log = pd.read_parquet(tmp_path / "monitor" / "log.parquet")
    measures = ("spectrum", "amplitude", "quality", "embedding", "scores")
    assert log[[f"p: {name}" for name in measures]].notna().all(axis=None)


def test_a_table_on_subjects_that_they_were_pretrained_on_is_refused():
    def rows(subject):
        return Dataset.from_dict({"corpus": ["eegmat"], "subject": [subject], "signal_hash": ["0"]})

    clean = DatasetDict({"train": rows("00"), "validation": rows("28"), "test": rows("35")})
    assert judge(find_weights(ENCODER), clean, "refuse") is None
    folds = DatasetDict({"train": rows("01"), "validation": rows("02"), "test": rows("00")})
    with pytest.raises(ContaminationError, match=r"was trained on 1 of 1 .* subjects \(eegmat/0"):
        judge(find_weights(ENCODER), folds, "refuse")


def test_fine_tuning_starts_from_them_by_name(prepared, tmp_path):
    words = ("--data", prepared, "--output_dir", tmp_path, "--report_to", "none")
    run_command("finetune", "finetune_eegmat", "--model", ENCODER, *words)
    assert AutoModel.from_pretrained(tmp_path).config.second_order_basis == "harmonics"
    seen = SeenWindows.load(tmp_path).subjects
    assert seen > SeenWindows.load(eeg_hf.bundled(ENCODER)).subjects


def test_they_know_whose_windows_they_have_seen():
    for name in (ENCODER, CLASSIFIER):
        seen = SeenWindows.load(eeg_hf.bundled(name))
        assert {subject.split("/")[0] for subject in seen.subjects} == {"eegmat", "eegmmidb"}
        assert seen.table.column("signal_hash").null_count == 0
        assert not {f"eegmat/{number}" for number in range(32, 36)} & seen.subjects  # the official test


@pytest.mark.parametrize("module", ["prediction.predicting", "streaming.running"])
def test_commands_take_bundled_weights_by_name(module):
    load_pipeline = importlib.import_module(f"eeg_hf.experiments.{module}").load_pipeline
    found = load_pipeline("eeg-foundation-tiny-arithmetic", "cpu")
    assert found.model.config.id2label == {0: "rest", 1: "task"}
