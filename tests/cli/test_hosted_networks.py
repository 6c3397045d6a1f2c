# SPDX-License-Identifier: Apache-2.0
"""Networks of braindecode through the commands: trained, saved, loaded, compared, refused."""

import json

import numpy as np
import pytest
from datasets import concatenate_datasets
from transformers import AutoModelForSequenceClassification, pipeline

from eeg_hf import BraindecodeForSequenceClassification, EEGFeatureExtractor, load_windows
from eeg_hf.corpora import Simulated, prepare
from eeg_hf.corpora.bonn import NUM_SAMPLES, Bonn
from eeg_hf.experiments.classifiers.arguments import FinetuneArguments
from eeg_hf.experiments.classifiers.hosted import check_hosted
from eeg_hf.experiments.classifiers.target import Target
from eeg_hf.hub import facts_from_run, model_card
from tests.commands import fail_command, flags, run_command

pytest.importorskip("braindecode")
CHANNELS = ["Fp1", "C3", "Cz", "C4", "O1", "O2"]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("few_channels")
    extractor = EEGFeatureExtractor(window_seconds=2.0, channels=CHANNELS)
    prepare(Simulated(num_subjects=6, seconds=10), folder, extractor)
    return folder


def words(corpus, output_dir, architecture, **options):
    settings = {
        "data": corpus,
        "output_dir": output_dir,
        "architecture": f"braindecode/{architecture}",
        "head": "finetune",
        "num_train_epochs": 1,
        "report_to": "none",
        **options,
    }
    return ["finetune_eegmat", *flags(**settings)]


def test_any_network_is_trained_by_name_and_is_then_an_ordinary_model(corpus, tmp_path):
    network = json.dumps({"num_layers": 1})
    run_command("finetune", *words(corpus, tmp_path, "EEGConformer", network=network))
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert isinstance(model, BraindecodeForSequenceClassification)
    assert (model.config.architecture, model.config.network) == ("EEGConformer", {"num_layers": 1})
    assert model.config.channel_names == CHANNELS and model.config.id2label == {0: "rest", 1: "task"}
    raw = Simulated(num_subjects=1, seconds=10)
    answer = pipeline("eeg-classification", model=str(tmp_path))(raw.read(raw.recordings()[0]))
    assert answer["label"] in ("rest", "task") and len(answer["windows"]) == 5
    again = tmp_path / "again"
    recipe, *rest = words(corpus, again, "EEGConformer", model=tmp_path)
    place = rest.index("--architecture")
    run_command("finetune", recipe, *rest[:place], *rest[place + 2 :])
    assert AutoModelForSequenceClassification.from_pretrained(again).config.network == {"num_layers": 1}
    card = model_card(facts_from_run(tmp_path))
    assert "EEGConformer" in card and "braindecode" in card


def test_a_network_predicts_numbers_in_the_unit_of_their_labels(corpus, tmp_path):
    options = {"task": "regression", "label_column": "alpha_hz", "num_train_epochs": 3, "learning_rate": 3e-3}
    recipe, *rest = words(corpus, tmp_path, "ShallowFBCSPNet", **options)
    run_command("finetune", "finetune_tiny", *rest)
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert model.config.num_labels == 1 and 6 < model.config.regression_mean < 14
    assert json.loads((tmp_path / "metrics.json").read_text())["mae"] < 4


@pytest.mark.parametrize(
    ("architecture", "options", "message"),
    [
        ("EEGConfromer", {}, "braindecode has no 'EEGConfromer', did you mean 'EEGConformer'?"),
        ("labram", {}, "did you mean 'Labram'?"),
        ("EEGNet", {"network": '{"kernel_lenght": 3}'}, "no 'kernel_lenght', did you mean 'kernel_length'?"),
        ("SleepStagerChambon2018", {}, "cannot compute windows of 6 channels and 400 samples at 200 Hz"),
        ("BENDR", {}, "BENDR requires chs_info to match"),
        ("TCN", {}, "and no class scores (batch, 2) for a window"),
        ("EEGNet", {"head": "convex"}, "it takes --head finetune and --regime unseen"),
        ("EEGNet", {"gradual_unfreezing": "true"}, "--gradual_unfreezing: no effect with"),
        ("EEGNet", {"model": "runs/x"}, "--model runs/x: no effect with --architecture braindecode/EEGNet"),
    ],
)
def test_what_does_not_fit_is_refused_before_training(corpus, tmp_path, architecture, options, message):
    assert message in fail_command("finetune", *words(corpus, tmp_path, architecture, **options))
    assert not list(tmp_path.rglob("*.safetensors"))


def test_a_corpus_of_two_montages_is_refused(prepared, corpus):
    both = concatenate_datasets([load_windows(prepared), load_windows(corpus)])
    args = FinetuneArguments(str(corpus), "condition", architecture="braindecode/EEGNet")
    with pytest.raises(ValueError, match="the corpus has 2 sets of channels and 1 lengths"):
        check_hosted(args, both, Target("condition", ["rest", "task"]))


def test_a_name_without_its_family_is_refused(corpus, tmp_path):
    line = fail_command("finetune", *words(corpus, tmp_path, "EEGNet"), "--architecture", "eegnets")
    assert "eegnet, or braindecode/ and the name of a network" in line


def test_pretraining_takes_no_network_of_braindecode(corpus, tmp_path):
    options = flags(data=corpus, output_dir=tmp_path, architecture="braindecode/EEGNet")
    assert "braindecode/EEGNet" in fail_command("pretrain", "pretrain_tiny", *options)


def test_a_table_tries_all_its_networks_before_it_trains_the_first(corpus, tmp_path):
    words = flags(
        data=corpus,
        label_column="condition",
        output_dir=tmp_path,
        folds=2,
    )
    methods = ["--methods", "braindecode/EEGNet", "braindecode/SleepStagerChambon2018"]
    assert "SleepStagerChambon2018 of braindecode cannot" in fail_command("evaluate", *words, *methods)
    assert not list(tmp_path.rglob("*.safetensors"))


def test_networks_are_compared_by_recordings_where_no_file_names_its_subject(tmp_path):
    random = np.random.default_rng(0)
    for letter, microvolts in (("Z", 40), ("S", 400)):
        for number in range(1, 7):
            samples = random.normal(0, microvolts, NUM_SAMPLES).round().astype(int)
            np.savetxt(tmp_path / f"{letter}{number:03d}.txt", samples, fmt="%d")
    windows = EEGFeatureExtractor(reference="original", window_seconds=4.0)
    prepare(Bonn(), tmp_path / "windows", windows, root=tmp_path)
    words = flags(
        data=tmp_path / "windows",
        label_column="seizure",
        output_dir=tmp_path / "table",
        folds=2,
        split_column="recording",
        num_validation_subjects=2,
        networks='{"Labram": {"num_layers": 1}}',
        finetune_settings='{"max_steps": 1}',
        baselines="false",
    )
    table = run_command("evaluate", *words, "--methods", "braindecode/Labram", "braindecode/ShallowFBCSPNet")
    assert "2 recording folds" in table and "| Labram | subject trained on |" in table
    assert "| ShallowFBCSPNet | subject trained on |" in table
