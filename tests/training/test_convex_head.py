# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from eeg_hf import EEGFoundationForSequenceClassification
from eeg_hf.training.classifier_head import fit_classifier, parts_read, write_head
from eeg_hf.training.convex_head import fit_head
from eeg_hf.training.frozen_features import collect_features, resolve_parts
from eeg_hf.training.population import fit_population
from tests.models.test_modeling_eeg_foundation import signal, tiny_config

GROUPS = np.repeat(["a", "b", "c", "d"], 30)


def draw_rows(num_classes=2, num_features=6, seed=0):
    random = np.random.default_rng(seed)
    labels = np.tile(np.arange(num_classes), 120 // num_classes)
    features = random.normal(size=(120, num_features)) * 3 + 5
    features[:, 0] += 4 * labels
    return features, labels


def test_it_is_the_optimum_on_standardised_features():
    features, labels = draw_rows()
    head = fit_head(features, labels, GROUPS, inverse_regularizations=[1e-2])
    scaler = StandardScaler().fit(features)
    expected = LogisticRegression(C=1e-2, class_weight="balanced", tol=1e-6)
    expected.fit(scaler.transform(features), labels)
    logits = features @ head.weight.T + head.bias - head.offsets
    found = torch.from_numpy(logits).softmax(dim=-1).numpy()
    np.testing.assert_allclose(found, expected.predict_proba(scaler.transform(features)), atol=5e-3)


def test_more_features_than_rows_give_the_same_optimum():
    features, labels = draw_rows(num_features=300)
    head = fit_head(features, labels, GROUPS, inverse_regularizations=[1e-3])
    scaler = StandardScaler().fit(features)
    expected = LogisticRegression(C=1e-3, class_weight="balanced", tol=1e-7)
    expected.fit(scaler.transform(features), labels)
    difference = (features @ head.weight.T + head.bias - head.offsets) @ [-1.0, 1.0]
    np.testing.assert_allclose(difference, expected.decision_function(scaler.transform(features)), atol=5e-3)


def test_the_penalty_is_chosen_on_other_subjects():
    features, labels = draw_rows(num_features=2)
    owner = np.repeat(np.eye(4), 30, axis=0)
    # Each subject's own columns give the label away, which helps for no other subject
    own = np.concatenate([owner * (2 * labels[:, None] - 1) * 10, owner], axis=1)
    noise = np.random.default_rng(1).normal(size=(120, 40))
    head = fit_head(np.concatenate([features, own, noise], axis=1), labels, GROUPS)
    assert set(head.scores) == {1e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 1e-1}
    assert head.scores[head.inverse_regularization] == max(head.scores.values())


def test_the_threshold_is_that_of_the_inner_folds():
    features, labels = draw_rows()
    random = np.random.default_rng(2)
    rare = (np.arange(120) % 4 == 3).astype(int)
    features = random.normal(size=(120, 1)) * np.where(rare, 4.0, 1.0)[:, None] + 3 * rare[:, None]
    head = fit_head(features, rare, GROUPS)
    said = (features @ head.weight.T + head.bias).argmax(axis=1)
    plain = (features @ head.weight.T + head.bias - head.offsets).argmax(axis=1)
    recall, before = ([(each == rare)[rare == label].mean() for label in (0, 1)] for each in (said, plain))
    assert head.offsets.sum() == pytest.approx(0) and head.offsets[1] != 0
    assert np.mean(recall) > np.mean(before)


def test_several_classes_and_missing_labels():
    features, labels = draw_rows(num_classes=3)
    labels[:10] = -100
    head = fit_head(features, labels, GROUPS)
    assert head.weight.shape == (3, 6)
    predicted = (features @ head.weight.T + head.bias).argmax(axis=1)[10:]
    assert (predicted == labels[10:]).mean() > 0.6


def test_one_subject_leaves_nothing_to_choose_on():
    features, labels = draw_rows()
    head = fit_head(features, labels, np.repeat("a", 120))
    assert head.scores == {}
    assert head.inverse_regularization == 1e-3


def test_subjects_with_one_class_each_choose_nothing_either():
    features, labels = draw_rows()
    head = fit_head(features, labels, np.where(labels == 1, "a", "b"))
    assert head.scores == {}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f, y: (f[:5], y), r"expected features \(rows, features\) with a label and a group each"),
        (lambda f, y: (np.where(f > 5, np.nan, f), y), "NaN or infinite"),
        (lambda f, y: (f, np.zeros_like(y)), r"expected two classes or more, got \[0\]"),
    ],
)
def test_what_cannot_be_fitted_is_refused(change, message):
    features, labels = change(*draw_rows())
    with pytest.raises(ValueError, match=message):
        fit_head(features, labels, GROUPS)


def build(**fields):
    torch.manual_seed(0)
    config = tiny_config(num_labels=2, dropout=0.0, **fields)
    return EEGFoundationForSequenceClassification(config).eval()


BANDS = {"second_order": True, "second_order_bands": [[4, 8], [8, 13]]}
WINDOWS = [{"input_values": values} for values in signal(batch=40)]


def collate(rows):
    return {"input_values": torch.stack([row["input_values"] for row in rows])}


@pytest.mark.parametrize(
    ("fields", "parts", "size"),
    [
        ({}, None, 32),
        (BANDS, None, 2 * 209),
        (BANDS, ["pooled"], 32),
        (BANDS, ["bands", "pooled"], 32 + 2 * 209),
    ],
)
@torch.no_grad()
def test_the_classifier_says_what_the_head_says(fields, parts, size):
    model = build(**fields)
    features = collect_features(model, WINDOWS, collate, parts, batch_size=16)
    assert features.shape == (40, size)
    head = fit_head(features, np.tile([0, 1], 20), np.repeat(["a", "b"], 20))
    write_head(model, head, parts)
    assert parts_read(model) == resolve_parts(model, parts)
    expected = features @ head.weight.T + head.bias
    logits = model(collate(WINDOWS)["input_values"]).logits
    torch.testing.assert_close(logits, torch.from_numpy(expected).float(), atol=1e-4, rtol=1e-4)


def test_a_head_of_other_features_is_refused():
    features, labels = draw_rows()
    head = fit_head(features, labels, GROUPS)
    with pytest.raises(ValueError, match=r"expected weights \(classes, features\) \(2, 32\), got \(2, 6\)"):
        write_head(build(), head)
    with pytest.raises(ValueError, match="'bands' need second_order=True"):
        write_head(build(), head, ["bands"])


def test_a_fitted_classifier_survives_saving(tmp_path):
    model = build(**BANDS)
    fit_population(model, WINDOWS, collate)
    labels = np.tile([0, 1], 20)
    head = fit_classifier(model, WINDOWS, collate, labels, np.repeat(["a", "b"], 20))
    assert head.weight.shape == (2, 418)
    model.save_pretrained(tmp_path)
    loaded = EEGFoundationForSequenceClassification.from_pretrained(tmp_path).eval()
    values = collate(WINDOWS)["input_values"]
    with torch.no_grad():
        assert torch.equal(loaded(values).logits, model(values).logits)


def test_the_population_recentres_and_standardises_its_own_windows():
    model = build(**BANDS)
    fit_population(model, WINDOWS, collate, batch_size=16)
    values = collate(WINDOWS)["input_values"]
    vectors, _ = model.model.second_order_features(values)
    torch.testing.assert_close(vectors.mean(dim=0), torch.zeros(1, 2, 209), atol=1e-3, rtol=0)
    torch.testing.assert_close(vectors.std(dim=0, correction=0), torch.ones(1, 2, 209), atol=1e-3, rtol=0)
    matrices, _ = model.model.second_order_statistics(values)
    whitening = model.model.second_order.features.whitening
    identity = torch.eye(19).expand(2, 19, 19)
    torch.testing.assert_close(whitening @ matrices.mean(dim=0) @ whitening, identity, atol=1e-3, rtol=0)
    with pytest.raises(ValueError, match="expected a model with second_order=True"):
        fit_population(build(), WINDOWS, collate)
