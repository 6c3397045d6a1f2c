# SPDX-License-Identifier: Apache-2.0
"""The study of second-order models: cached statistics are the model's, and runs go on where they stopped."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from tests.commands import fail_command, run_command

from eeg_hf import EEGFeatureExtractor
from eeg_hf.collation import EEGDataCollator, EEGPreTrainingCollator, WindowDataset
from eeg_hf.collation.group_calibrations import balanced_weights, calibrate_groups
from eeg_hf.corpora import prepare
from eeg_hf.corpora.simulated import Simulated
from eeg_hf.experiments.second_order.arguments import SecondOrderArguments
from eeg_hf.experiments.second_order.corpus import StudyCorpus
from eeg_hf.experiments.second_order.label_shift import DRAWS, KEPT, shifted_folds
from eeg_hf.experiments.second_order.methods import METHODS, build_method
from eeg_hf.experiments.second_order.statistics import WindowStatistics, make_encoder
from eeg_hf.experiments.second_order.vector_training import (
    BandPretraining,
    embed_bands,
    make_pretraining,
    pretrain_bands,
    standardize,
)
from eeg_hf.training.frozen_features import collect_features
from eeg_hf.training.population import fit_population


@pytest.fixture(scope="module")
def corpus(prepared):
    return StudyCorpus.load(SecondOrderArguments(str(prepared), "condition", "unused", folds=3))


@pytest.fixture(scope="module")
def statistics(corpus):
    return WindowStatistics.read(corpus.rows, corpus.extractor, make_encoder(corpus))


def test_vectors_of_an_unseen_subject_are_those_of_the_model(corpus, statistics):
    fold = next(corpus.folds("unseen", seed=0))
    model = make_encoder(corpus)
    collate = EEGDataCollator(corpus.extractor)
    fit_population(model, WindowDataset(corpus.rows.select(fold.train)), collate)
    expected = collect_features(model, WindowDataset(corpus.rows), collate)
    found = standardize(statistics.vectors(fold, corpus.subjects), fold.train).flatten(1)
    np.testing.assert_allclose(found, expected, atol=2e-3)


@pytest.mark.parametrize("regime", ["50P", "all"])
def test_vectors_of_a_regime_are_those_of_its_calibrations(corpus, statistics, regime):
    fold = next(corpus.folds(regime, seed=1))
    model = make_encoder(corpus)
    calibrations = calibrate_groups(corpus.rows, corpus.extractor, model, fold.is_reference)
    collate = EEGDataCollator(corpus.extractor, calibrations=calibrations)
    expected = collect_features(model, WindowDataset(corpus.rows), collate)
    found = statistics.vectors(fold, corpus.subjects).flatten(1)
    np.testing.assert_allclose(found, expected, atol=2e-3)


def test_no_window_that_calibrates_is_trained_on_or_scored_but_in_the_regime_all(corpus):
    for regime in ("20P", "50P", "all"):
        for fold in corpus.folds(regime, seed=2):
            used = np.concatenate([fold.train, fold.test])
            assert fold.is_reference[used].all() if regime == "all" else not fold.is_reference[used].any()
            assert not set(corpus.groups[fold.train]) & set(corpus.groups[fold.test])
    assert not any(fold.is_reference.any() for fold in corpus.folds("unseen", seed=0))


def test_amplitude_is_kept_in_microvolt_alone(prepared):
    power = {}
    for name in (None, "microvolt"):
        args = SecondOrderArguments(str(prepared), "condition", "unused", folds=2, normalization=name)
        found = StudyCorpus.load(args)
        power[name] = WindowStatistics.read(found.rows, found.extractor, make_encoder(found)).log_power.mean(
            dim=(1, 2)
        )
    amplitude = np.log(np.square(found.microvolts).mean(axis=(1, 2)))
    assert np.corrcoef(power["microvolt"], amplitude)[0, 1] > np.corrcoef(power[None], amplitude)[0, 1] + 0.2


def test_blocks_keep_consecutive_windows_together(prepared):
    args = SecondOrderArguments(str(prepared), "condition", "unused", folds=2, block_windows=4)
    blocks = StudyCorpus.load(args)
    frame = blocks.rows.select_columns(["recording", "start_seconds"]).to_pandas().assign(block=blocks.groups)
    for _, rows in frame.groupby("block"):
        assert rows.recording.nunique() == 1 and len(rows) <= 4
        assert np.ptp(rows.start_seconds) == pytest.approx(2.0 * (len(rows) - 1))


def test_the_loss_of_vectors_is_that_of_the_pretraining_model(corpus, statistics):
    fold = next(corpus.folds("unseen", seed=0))
    model = make_pretraining(statistics.model.config, seed=3).eval()
    windows = WindowDataset(corpus.rows.select(fold.train[:16]))
    fit_population(model, windows, EEGDataCollator(corpus.extractor))
    bands = len(model.config.second_order_bands)
    patch = model.config.patch_size
    collate = EEGPreTrainingCollator(corpus.extractor, patch, view=None, num_bands=bands, seed=0)
    batch = collate(windows.__getitems__(list(range(16))))
    with torch.no_grad():
        expected = model(**batch).loss
        features, _ = model.model.second_order_features(
            **{
                name: batch[name]
                for name in ("input_values", "channel_positions", "channel_mask", "attention_mask")
            }
        )
        found = BandPretraining(model)(features[:, 0], batch["band_noise"])["loss"]
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)


def test_pretraining_predicts_masked_bands_better_than_nothing(corpus, statistics, tmp_path):
    fold = next(corpus.folds("all", seed=0))
    tokens = standardize(statistics.vectors(fold, corpus.subjects), fold.train)
    noise = torch.rand(len(fold.test), tokens.shape[1], generator=torch.Generator().manual_seed(0))
    losses = []
    for epochs in (0, 12):
        model = pretrain_bands(statistics, tokens[fold.train], epochs, 0, str(tmp_path))
        with torch.no_grad():
            losses.append(BandPretraining(model)(tokens[fold.test], noise)["loss"].item())
        assert embed_bands(model, tokens).shape == (len(tokens), 12 * 32)
    assert losses[1] < losses[0]


@pytest.mark.parametrize(
    "name", ["second_order", "tangent_space", "band_power", "log_power", "gradient_head", "balanced"]
)
@pytest.mark.parametrize("regime", ["unseen", "all"])
def test_methods_score_above_chance(corpus, name, regime):
    fold = next(corpus.folds(regime, seed=0))
    scores = build_method(name, corpus).score(fold)
    assert scores.shape == (len(fold.test), 2) and np.allclose(scores.sum(axis=1), 1, atol=1e-5)
    if regime == "all":  # two of six unseen subjects tell nothing
        assert (scores.argmax(axis=1) == corpus.labels[fold.test]).mean() > 0.6


def test_a_shift_of_shares_moves_the_tested_subjects_alone(corpus):
    fold = next(corpus.folds("all", seed=0))
    whole, *shifted = shifted_folds(corpus, fold, 0)
    assert whole[2] is fold and len(shifted) == 2 * len(KEPT) * DRAWS
    for shift, _, thinned in shifted:
        gone = np.setdiff1d(fold.test, thinned.test)
        assert len(gone) and np.array_equal(np.flatnonzero(~thinned.is_reference), gone)
        label = corpus.class_names.index(shift["left_out"])
        assert set(corpus.labels[gone]) == {label}
        for name in np.unique(corpus.groups[fold.test]):
            own = corpus.groups == name
            before, after = (
                np.sum(own[rows] & (corpus.labels[rows] == label)) for rows in (fold.test, thinned.test)
            )
            assert after == max(round(shift["kept"] * before), 1)


def test_classes_count_alike_where_training_subjects_are_recentred(corpus, statistics):
    """As if every class of a subject had as many windows: the mean of the means of its classes."""
    fold = next(corpus.folds("all", seed=0))
    subject = corpus.subjects[fold.train[0]]
    own = np.flatnonzero(corpus.subjects == subject)
    classes = [own[corpus.labels[own] == label] for label in (0, 1)]
    unequal = np.concatenate([classes[0], classes[1][: len(classes[1]) // 2]])
    is_reference = np.isin(np.arange(len(corpus.subjects)), unequal) | (corpus.subjects != subject)
    weights = np.ones(len(corpus.subjects))
    weights[unequal] = balanced_weights(corpus.labels[unequal], corpus.subjects[unequal])
    found = statistics.recentring([unequal], weights)
    parts = [
        statistics.log_power[rows].double().mean(dim=0)
        for rows in (classes[0], np.intersect1d(unequal, classes[1]))
    ]
    np.testing.assert_allclose(found.log_power[0], (parts[0] + parts[1]) / 2, atol=1e-5)
    tokens = build_method("balanced", corpus).tokens(replace(fold, is_reference=is_reference))
    expected = statistics.vectorize(found, np.zeros(len(corpus.subjects), int))
    np.testing.assert_allclose(tokens[own], expected[own], atol=1e-4)


@pytest.mark.slow
def test_a_study_from_the_command_line_goes_on_where_it_stopped(prepared, tmp_path):
    words = ["--data", prepared, "--label_column", "condition", "--output_dir", tmp_path, "--folds", "2"]
    words += ["--methods", "second_order", "band_power", "--regimes", "all"]
    words += ["--num_labelled", "2", "--draws", "1", "--pretrain_epochs", "1"]
    parts = ["methods", "label_efficiency", "label_shift"]
    printed = run_command("evaluate-second-order", *words, "--parts", *parts)
    assert "| all | second-order vectors, convex head |" in printed and "| 33% of " in printed
    assert (
        "| second-order vectors, convex head | `all` |" in printed
        and "vectors and pretrained tokens" in printed
    )
    results = json.loads((tmp_path / "results.json").read_text())
    ours, theirs = results["methods"]
    low, high = theirs["ours_minus_this"]["balanced_accuracy"]["interval"]
    assert low <= ours["balanced_accuracy"]["mean"] - theirs["balanced_accuracy"]["mean"] <= high
    assert {row["labelled"] for row in results["label_efficiency"]} == {2}
    assert (tmp_path / "few_labels.png").stat().st_size > 1000
    # What is there is read, and a fold that is missing is computed again
    folder = tmp_path / "predictions/band_power/all/seed-0"
    kept = (folder / "fold-0.parquet").stat().st_mtime_ns
    (folder / "fold-1.parquet").unlink()
    assert run_command("evaluate-second-order", *words, "--seeds", "0", "1") != printed
    assert (folder / "fold-0.parquet").stat().st_mtime_ns == kept and (folder / "fold-1.parquet").exists()
    assert "other settings of folds" in fail_command("evaluate-second-order", *words, "--folds", "3")


@pytest.mark.parametrize(("asked", "expected"), [(0, 4), (1, 1), (3, 3), (99, 4)])
def test_fewer_subjects_are_pretrained_on(corpus, tmp_path, asked, expected):
    from eeg_hf.experiments.second_order.label_efficiency import FeatureSource

    fold = next(corpus.folds("all", seed=1))
    fewer = replace(corpus, args=replace(corpus.args, pretrain_subjects=asked))
    rows = FeatureSource(fewer, tmp_path).pretraining_rows(fold)
    assert len(np.unique(corpus.groups[rows])) == expected and set(rows) <= set(fold.train)
    assert set(rows) == set(fold.train[np.isin(corpus.groups[fold.train], corpus.groups[rows])])


def test_other_corpora_are_pretrained_on(corpus, prepared, tmp_path):
    from eeg_hf.experiments.second_order.label_efficiency import FeatureSource

    twice = replace(corpus, args=replace(corpus.args, pretrain_data=[str(prepared)]))
    source = FeatureSource(twice, tmp_path)
    fold = next(corpus.folds("all", seed=0))
    torch.testing.assert_close(source.other_vectors, source.ours.tokens(fold))
    alone, both = (
        FeatureSource(each, tmp_path).tokens(source.ours.tokens(fold), fold, 1.0) for each in (corpus, twice)
    )
    assert alone.shape == both.shape and np.abs(alone - both).max() > 1e-3


def test_another_corpus_of_another_rate_is_refused(corpus, tmp_path):
    extractor = EEGFeatureExtractor(sampling_rate=100, lowpass_hz=40)
    prepare(Simulated(num_subjects=1, seconds=10), tmp_path, extractor)
    with pytest.raises(ValueError, match="expected .* Hz as in .* has 100 Hz: prepare it again with"):
        build_method("second_order", corpus).tokens_of(str(tmp_path))


def test_the_scores_of_few_labels_are_of_the_same_draws(tmp_path, corpus):
    from eeg_hf.experiments.second_order.label_efficiency import TITLES, summarize_labels

    random, names = np.random.default_rng(0), [*TITLES]
    scores = pd.DataFrame(
        [
            {
                "method": name,
                "labelled": count,
                "seed": 0,
                "fold": fold,
                "draw": draw,
                "subject": f"s{fold}{who}",
            }
            | {"balanced_accuracy": 0.5 + 0.1 * (name == names[0]) + 0.03 * random.normal(), "auroc": 0.6}
            for count in (2, 0)
            for fold in range(2)
            for draw in range(3)
            for who in range(4)
            for name in names
        ]
    )
    rows = summarize_labels(scores)
    assert [row["labelled"] for row in rows] == [2] * 5 + [0] * 5
    for row in rows:
        assert row["num_draws"] == 6
        if row["method"] != TITLES[names[0]]:
            difference = row["first_minus_this"]
            assert difference["mean"] == pytest.approx(0.1, abs=0.03) and difference["num_subjects"] == 8
            assert 0.03 < difference["interval"][0] < difference["mean"] < difference["interval"][1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--methods", "magic"], f"methods: expected some of {', '.join(METHODS)}, got 'magic'"),
        (
            ["--features", "magic", "--parts", "label_efficiency"],
            "features: expected some of beside, pretrained",
        ),
        (["--parts", "magic"], "parts: expected some of methods, label_efficiency, label_shift, got magic"),
        (
            ["--regimes", "aligned"],
            "regimes: expected some of unseen, first_30s, 20P, 50P, all, got aligned",
        ),
        (["--normalization", "loud"], "normalization must be one of"),
        (["--folds", "7"], "folds: 7 of 6 groups"),
        (["--regimes", "first_30s"], "first_30s: 5 folds of 0 groups, as nothing else is left to score"),
        (["--config", '{"second_order_stretch_seconds": 1}'], "second_order_stretch_seconds is not for this"),
    ],
)
def test_bad_settings_end_with_a_line(prepared, tmp_path, words, message):
    given = ["--data", prepared, "--label_column", "condition", "--output_dir", tmp_path]
    assert message in fail_command("evaluate-second-order", *given, *words)
