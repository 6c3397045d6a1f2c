# SPDX-License-Identifier: Apache-2.0
"""Contrast between subjects, from simulated films whose shared response is known to the table of results."""

import json
import math

import numpy as np
import pytest
import torch
import yaml

from eeg_hf import EEGFeatureExtractor, EEGFoundationConfig, EEGFoundationForPreTraining, PairColumns
from eeg_hf.corpora import SimulatedFilm, load_windows, prepare
from eeg_hf.experiments.contrast.features import line_up, read_film_windows
from tests.commands import fail_command, flags, run_command
from tests.conftest import ROOT

FILMS = {"num_subjects": 12, "num_films": 2, "seconds": 60.0, "component_uv": 20.0}
SIZE = {"hidden_size": 32, "intermediate_size": 32, "patch_size": 100, "scale_factors": [1, 2, 4]}
PROJECTED = "contrast: projection head"


def split(num_folds):
    return flags(split="fold", num_folds=num_folds, num_validation_subjects=0)


def prepare_films(folder, reference="original", **options):
    extractor = EEGFeatureExtractor(50.0, None, 20.0, reference=reference, window_seconds=2.0)
    prepare(SimulatedFilm(**options), folder, extractor, segments="annotations")
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Return the data, the model and the results on four held-out subjects by share of the response."""
    found = {}
    for share in (0.8, 0.0):
        folder = tmp_path_factory.mktemp("films")
        options = {**FILMS, "shared_share": share}
        data = prepare_films(folder / "data", **options)
        recipe = yaml.safe_load((ROOT / "src/eeg_hf/recipes/contrast_simulated.yaml").read_text())
        recipe["config"] |= SIZE
        recipe["training"] |= {"max_steps": 80, "per_device_train_batch_size": 64}
        recipe["phases"][0]["data"] = str(data)
        recipe["phases"][0]["pairs"]["subjects_per_time"] = 8
        (folder / "recipe.yaml").write_text(yaml.safe_dump({**recipe, "output_dir": str(folder / "run")}))
        run_command("train-phases", folder / "recipe.yaml", *split(3))
        arguments = ("--data", data, "--models", f"contrast={folder / 'run' / 'film'}", "--num_components", 1)
        arguments += ("--corpus_options", json.dumps(options), "--output_dir", folder / "out", *split(3))
        printed = run_command("evaluate-contrast", *arguments)
        assert printed == (folder / "out" / "table.md").read_text()
        found[share] = json.loads((folder / "out" / "metrics.json").read_text())
    return found


@pytest.mark.slow
def test_the_isc_of_people_held_out_is_the_closed_form_one(trained):
    shared, nothing = (trained[share]["signals"] for share in (0.8, 0.0))
    (closed_form,) = shared["isc_of_the_truth"]
    assert closed_form == pytest.approx(0.749, abs=0.01)
    assert shared["isc"][0] == pytest.approx(closed_form, abs=0.06) and shared["p_value"] < 0.01
    assert nothing["isc_of_the_truth"] == [pytest.approx(0, abs=1e-9)]
    assert abs(nothing["isc"][0]) < 0.05 and nothing["p_value"] > 0.05


@pytest.mark.slow
def test_contrast_rises_from_chance_towards_the_truth_on_people_held_out(trained):
    features = trained[0.8]["features"]
    found = {name: row["matching_accuracy"]["mean"] for name, row in features.items()}
    chance = features[PROJECTED]["matching_chance"]["mean"]
    assert chance == pytest.approx(1 / 30)
    assert found["constant features"] == chance and found["band power"] < 3 * chance
    assert found["the true component"] > 0.8
    assert found[PROJECTED] > 8 * chance and found[PROJECTED] > 3 * found["contrast, random weights: encoder"]
    losses = {name: row["contrastive_loss"]["mean"] for name, row in features.items()}
    assert losses[PROJECTED] < losses["constant features"] - 1
    # The squared distance of unit vectors is 2 - 2 cos, and the cosine of a component's windows its ISC
    aligned = features["the true component"]["alignment"]["mean"]
    assert aligned == pytest.approx(2 - 2 * trained[0.8]["signals"]["isc"][0], abs=0.1)
    assert features[PROJECTED]["alignment_share"]["mean"] < 0.7


@pytest.mark.slow
def test_nothing_is_found_where_nothing_is_shared(trained):
    features, constant = trained[0.0]["features"], "constant features"
    chance = features[PROJECTED]["matching_chance"]["mean"]
    for name, row in features.items():
        assert row["matching_accuracy"]["mean"] < 2.5 * chance, name  # of 240 windows 8; 20 are 4 deviations
        assert row["contrastive_loss"]["mean"] > math.log(61) - 0.1, name
        assert name == constant or row["alignment_share"]["mean"] == pytest.approx(1, abs=0.05), name


@pytest.fixture(scope="module")
def untrained(tmp_path_factory):
    """Return the folder of a model that predicts the mean of its task, and the folder of its films."""
    folder = tmp_path_factory.mktemp("untrained")
    data = prepare_films(folder / "data", "average", num_subjects=6, num_films=2, seconds=9)
    tasks = {"alpha_hz": {"num_outputs": 1, "mean": 9.0, "std": 1.0}}
    tasks |= {"stimulus": {"num_outputs": 2, "classes": ["film_1", "film_2"]}, "age": {"num_outputs": 1}}
    config = EEGFoundationConfig(
        **SIZE, num_hidden_layers=1, num_attention_heads=2, sampling_rate=50.0, auxiliary_tasks=tasks
    )
    torch.manual_seed(0)
    model = EEGFoundationForPreTraining(config)
    for head in model.auxiliary_head.heads.values():
        head.out.weight.data.zero_()
        head.out.bias.data.zero_()
    model.save_pretrained(folder / "model")
    EEGFeatureExtractor.from_pretrained(data).save_pretrained(folder / "model")
    return folder / "model", data


def test_auxiliary_tasks_stand_beside_who_always_says_the_same(untrained, tmp_path):
    model, data = untrained
    options = ("--batch_size", 4, "--subjects_per_time", 2, "--num_shifts", 9, *split(2))
    arguments = ("--data", data, "--models", f"constant={model}", "--output_dir", tmp_path)
    printed = run_command("evaluate-contrast", *arguments, *options)
    found = json.loads((tmp_path / "metrics.json").read_text())["auxiliary"]
    windows = load_windows(data).to_pandas()
    numbers, classes = found[f"{model}: alpha_hz"], found[f"{model}: stimulus"]
    assert len(found) == 2  # no age is known
    assert numbers["mae"] == pytest.approx(numbers["mae_of_mean"], abs=1e-5)
    expected = {abs(hz - 9.0) for hz in windows["alpha_hz"]}
    assert min(expected) <= numbers["mae"] <= max(expected) and numbers["num_subjects"] == 3
    assert classes["balanced_accuracy"] == classes["balanced_accuracy_of_majority"] == 0.5
    assert classes["num_windows"] == 3 * 2 * 4 and f"| {model}: stimulus | – | 0.500 | 0.500 |" in printed


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--part", "train"), "part: expected one to test beside 'train', got 'train'"),
        (("--stimulus", "film"), "dataset lacks the columns ['film']"),
        (("--seconds", "alpha_hz"), "no moment has subjects_per_time=2 subjects, the best has 1"),
        (("--models", "a=nowhere"), "models: nothing matches 'nowhere', expected name=path"),
        (("--models", "a={data}"), "expected a trained model, it has no config.json"),
        (("--corpus_options", "{{}}"), "corpus_options: the truth is of signals prepared with --reference"),
        (("--batch_size", "3"), "batch_size: expected a multiple of subjects_per_time=2"),
    ],
)
def test_what_cannot_be_judged_ends_with_one_line(untrained, tmp_path, options, message):
    common = ("--batch_size", "4", "--subjects_per_time", "2", "--num_shifts", "9", *split(2))
    words = [word.format(data=untrained[1]) for word in options]
    arguments = ("--data", untrained[1], "--output_dir", tmp_path, *common, *words)
    line = fail_command("evaluate-contrast", *arguments)
    assert message in line


def test_windows_that_overlap_are_lined_up_once(tmp_path):
    extractor = EEGFeatureExtractor(50.0, None, None, reference="original", window_seconds=2.0)
    corpus = SimulatedFilm(3, 2, seconds=7.0, sampling_rate=50.0)
    prepare(corpus, tmp_path, extractor, segments="annotations", stride_seconds=1.0)
    rows = load_windows(tmp_path)  # seconds 0 to 5 of both films
    marks = zip(rows["stimulus_seconds"][:], rows["subject"][:], strict=True)
    kept = [index for index, mark in enumerate(marks) if mark != (4.0, "01")]
    windows = read_film_windows(rows.select(kept), PairColumns("stimulus", "stimulus_seconds"), "test")
    subjects = line_up(windows)
    assert subjects.shape == (3, 19, 2 * 3 * 100)  # seconds 0, 2 and 5
    recording = corpus.recordings()[1]
    raw = corpus.read(recording)
    start = round(corpus.events(recording, raw)[0].onset * 50)
    expected = 1e6 * raw.get_data()[:, start : start + 350]
    expected = np.delete(expected, slice(200, 250), axis=1)
    assert subjects[0, :, 300:] == pytest.approx(expected, abs=0.05)
    assert np.abs(expected).max() > 5
