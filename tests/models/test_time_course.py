# SPDX-License-Identifier: Apache-2.0
"""The slow time course of windows: what it keeps, what it leaves out, and that a classifier reads it."""

import numpy as np
import pytest
import torch

from eeg_hf import EEGFoundationConfig, EEGFoundationForSequenceClassification
from eeg_hf.models.time_course import slow_cosines
from eeg_hf.training import fit_classifier, fit_population

RATE = 200
FIELDS = {
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "patch_size": 80,
    "second_order": True,
    "second_order_frame_seconds": 0.8,
    "second_order_bands": [[4, 8], [8, 13]],
    "num_channels": 4,
    "channel_names": ["C3", "C4", "O1", "O2"],
    "time_course_seconds": 0.8,
}


def build(**fields):
    torch.manual_seed(0)
    model = EEGFoundationForSequenceClassification(EEGFoundationConfig(**{**FIELDS, **fields})).eval()
    torch.nn.init.normal_(model.course_classifier.weight)
    return model


def test_slow_cosines_are_orthonormal_and_return_what_is_slow():
    cosines = slow_cosines(160, 20)
    torch.testing.assert_close(cosines @ cosines.mT, torch.eye(20), atol=1e-5, rtol=0)
    time = (torch.arange(160) + 0.5) / RATE
    slow, fast = torch.cos(2 * torch.pi * 5 * time), torch.cos(2 * torch.pi * 40 * time)
    torch.testing.assert_close((slow + fast) @ cosines.mT @ cosines, slow, atol=1e-4, rtol=0)


@torch.no_grad()
def test_order_masks_and_padding_change_nothing():
    model, values = build(), torch.randn(2, 4, 160)
    positions = torch.tensor(model.config.channel_positions)
    expected = model(values).logits
    order = torch.tensor([2, 0, 3, 1])
    permuted = model(values[:, order], channel_positions=positions[order])
    torch.testing.assert_close(permuted.logits, expected, atol=1e-5, rtol=1e-5)
    short, mask = values[..., :140], torch.ones(2, 160, dtype=torch.bool)
    mask[:, 140:] = False
    course = model.model.time_course_features
    torch.testing.assert_close(course(short), course(values, attention_mask=mask), atol=1e-5, rtol=1e-5)
    longer = torch.cat([values, torch.randn(2, 4, 40)], dim=-1)
    assert torch.equal(course(longer), course(values))  # what comes later is not read
    silent = values.clone()
    silent[:, 1] = 0
    channel_mask = torch.tensor([[True, False, True, True]]).expand(2, -1)
    torch.testing.assert_close(course(values, channel_mask=channel_mask), course(silent))
    assert (course(values, channel_mask=channel_mask)[:, 1] == 0).all()
    torch.testing.assert_close(
        course(1e-3 * values), course(values), atol=1e-4, rtol=1e-4
    )  # whatever the unit


@torch.no_grad()
def test_a_window_is_whitened_by_its_own_correlations():
    model = build(time_course_hz=100)  # all cosines of a window, which are a rotation of its samples
    mixing = torch.eye(4) + 0.9 * torch.ones(4, 4)
    values = mixing @ torch.randn(3, 4, 160)
    course = model.model.time_course_features(values)
    assert course.shape == (3, 4, 160)
    deviation = values.square().mean(dim=-1).sqrt()
    correlations = values @ values.mT / 160 / deviation[..., None] / deviation[:, None]
    eigenvalues, vectors = torch.linalg.eigh(correlations)
    left = eigenvalues / (0.9 * eigenvalues + 0.1)
    expected = (vectors * left[:, None]) @ vectors.mT
    torch.testing.assert_close(course @ course.mT / 160, expected, atol=1e-4, rtol=1e-4)


def test_a_head_reads_what_a_covariance_forgets(tmp_path):
    random = np.random.default_rng(0)
    labels, groups = np.tile([0, 1], 60), np.repeat(list("abcdef"), 20)
    windows = random.normal(size=(120, 4, 160)).astype(np.float32)
    bump = 1.5 * np.exp(-((np.arange(160) - 80) ** 2) / 200)
    windows[:, 2] += np.where(labels[:, None] == 1, bump, -bump)  # the same power and correlations
    rows = [{"input_values": torch.from_numpy(each)} for each in windows]

    def collate(batch):
        return {"input_values": torch.stack([row["input_values"] for row in batch])}

    model = build()
    fit_population(model, rows, collate)
    head = fit_classifier(model, rows, collate, labels, groups)
    assert "course" in head.parts
    model.save_pretrained(tmp_path)
    again = EEGFoundationForSequenceClassification.from_pretrained(tmp_path)
    with torch.no_grad():
        logits = again(torch.from_numpy(windows)).logits
        torch.testing.assert_close(logits, model(torch.from_numpy(windows)).logits)
    assert (logits.argmax(dim=1).numpy() == labels).mean() > 0.95
    held_out = head.held_out.argmax(axis=1)
    assert (held_out == labels).mean() > 0.9


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"second_order": False}, "expected second_order=True"),
        ({"time_course_seconds": 0.0}, "expected 2 samples or more at 200 Hz, got 0.0 s"),
        ({"time_course_seconds": -1}, "expected 2 samples or more"),
        ({"time_course_hz": 0}, "time_course_hz: expected more than 0 and at most 100 Hz, got 0"),
        ({"time_course_hz": 101}, "at most 100 Hz, got 101"),
        ({"tasks": {"a": 2}}, "expected one head, got several tasks"),
    ],
)
def test_courses_that_cannot_be_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        EEGFoundationConfig(**{**FIELDS, "sampling_rate": 200, **fields})


def test_without_it_nothing_is_new():
    names = EEGFoundationForSequenceClassification(
        EEGFoundationConfig(**{**FIELDS, "time_course_seconds": None})
    ).state_dict()
    assert not [name for name in names if "course" in name]
