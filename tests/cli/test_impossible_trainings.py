# SPDX-License-Identifier: Apache-2.0
"""What cannot be trained is refused in one line, by exit code 2, before anything is."""

import json
import sys

import pytest

from eeg_hf import EEGFeatureExtractor, EEGFSQConfig, EEGFSQModel
from eeg_hf.corpora import Simulated, prepare
from tests.commands import fail_command, flags, run_command

ONE_STEP = {
    "max_steps": 1,
    "eval_strategy": "no",
    "load_best_model_at_end": "false",
    "save_strategy": "no",
    "patience": 0,
    "report_to": "none",
}
TINY = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}


@pytest.fixture(scope="module")
def slow_windows(tmp_path_factory):
    """The corpus of `prepared` at half its rate."""
    folder = tmp_path_factory.mktemp("slow")
    extractor = EEGFeatureExtractor(sampling_rate=100.0, lowpass_hz=40.0, window_seconds=2.0)
    prepare(Simulated(num_subjects=6, seconds=20), folder, extractor)
    return folder


@pytest.fixture(scope="module")
def encoder(prepared, tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoder")
    config = json.dumps({**TINY, "overlap": 0.0, "second_order": False, "objectives": None})
    settings = {name: value for name, value in ONE_STEP.items() if name != "patience"}
    run_command(
        "pretrain", "pretrain_tiny", *flags(data=prepared, output_dir=folder, config=config, **settings)
    )
    return folder


@pytest.fixture(scope="module")
def codec(tmp_path_factory):
    folder = tmp_path_factory.mktemp("codec")
    EEGFSQModel(EEGFSQConfig(hidden_dims=[8])).save_pretrained(folder)
    EEGFeatureExtractor(window_seconds=2.0).save_pretrained(folder)
    return folder


def finetuning(data, output_dir, **options):
    settings = {"data": data, "label_column": "condition", "head": "finetune", "output_dir": output_dir}
    return ["finetune_tiny", *flags(**{**settings, **ONE_STEP, **options})]


def refuse(tmp_path, verb, *words):
    """Return the line of a command that must fail without a training."""
    line = fail_command(verb, *words)
    assert not list(tmp_path.rglob("*.safetensors")) and not list(tmp_path.rglob("trainer_state.json"))
    return line


@pytest.mark.parametrize("verb", ["finetune", "evaluate model", "evaluate probe", "pretrain"])
def test_windows_of_another_rate_than_the_weights(verb, slow_windows, encoder, tmp_path):
    if verb == "finetune":
        words = finetuning(slow_windows, tmp_path, model=encoder, contaminated="mark")
    elif verb == "pretrain":
        words = ["pretrain_tiny", *flags(data=slow_windows, output_dir=tmp_path, model=encoder, max_steps=1)]
    else:
        given = {"model": encoder} if verb.endswith("model") else {"strategies": "probe"}
        given |= {} if verb.endswith("model") else {"pretrained_weights": encoder}
        words = flags(
            data=slow_windows, label_column="condition", output_dir=tmp_path, contaminated="mark", **given
        )
    line = refuse(tmp_path, verb.partition(" ")[0], *words)
    assert "200 Hz" in line and "100 Hz" in line and "--sampling_rate 200" in line


def test_weights_of_an_architecture_without_classifier(prepared, codec, tmp_path):
    words = finetuning(prepared, tmp_path, model=codec, contaminated="mark")
    assert "expected weights of eeg_foundation or braindecode, got eeg_fsq" in refuse(
        tmp_path, "finetune", *words
    )


def test_a_file_of_weights(prepared, encoder, tmp_path):
    words = finetuning(prepared, tmp_path, model=encoder / "model.safetensors")
    assert "expected the folder of a model, got a file" in refuse(tmp_path, "finetune", *words)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"folds": 7}, "7 folds need 2 or more, and as many subjects; the dataset has 6"),
        ({"folds": -3}, "--folds -3: expected 2 or more"),
        ({"search": -1}, "--search -1: expected a number of trials"),
        ({"search": 1, "search_folds": 9}, "--search_folds 9: expected as many training subjects, got"),
        ({"class_names": "rest"}, "holds task, which class_names does not list"),
        ({"label_column": "alpha_hz"}, "classes have no window to train on"),
        ({"task": "regression"}, "a regression needs numbers"),
        ({"patience": 3}, "--patience: stops by evaluations"),
    ],
)
def test_folds_labels_and_settings_that_cannot_be(options, message, prepared, tmp_path):
    assert message in refuse(tmp_path, "finetune", *finetuning(prepared, tmp_path, **options))


EXTRAS = {
    "braindecode": ("finetune", {"architecture": "braindecode/EEGNet"}, "baselines"),
    "optuna": ("finetune", {"search": 2}, "sweep"),
    "peft": ("finetune", {"adapter": "lora"}, "peft"),
    "moabb": ("prepare", {"corpus": "moabb"}, "moabb"),
}


@pytest.mark.parametrize("package", EXTRAS)
def test_an_extra_that_is_missing(package, prepared, encoder, tmp_path, monkeypatch):
    verb, options, extra = EXTRAS[package]
    for name in (package, f"{package}.models"):
        monkeypatch.setitem(sys.modules, name, None)  # as if it were not installed
    if verb == "prepare":
        words = flags(output_dir=tmp_path, **options)
    else:
        weights = {"model": encoder, "contaminated": "mark"} if package == "peft" else {}
        words = finetuning(prepared, tmp_path, **options, **weights)
    line = refuse(tmp_path, verb, *words)
    assert f'pip install "eeg-hf[{extra}]"' in line and package in line


def test_a_table_with_adapters_asks_for_peft_before_its_first_row(prepared, encoder, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    words = flags(
        data=prepared,
        label_column="condition",
        output_dir=tmp_path,
        strategies="full,lora",
        pretrained_weights=encoder,
        contaminated="mark",
    )
    assert 'pip install "eeg-hf[peft]"' in refuse(tmp_path, "evaluate", *words)


def test_flower_that_is_missing(monkeypatch):
    from eeg_hf.training.federation import federated_client

    monkeypatch.setitem(sys.modules, "flwr", None)
    with pytest.raises(ImportError, match=r'flwr is not installed: pip install "eeg-hf\[federated\]"'):
        federated_client(lambda number, weights: (None, 0))
