# SPDX-License-Identifier: Apache-2.0
import copy
import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, pipeline

import eeg_hf
from eeg_hf import get_corpus
from eeg_hf.inference.explanation import (
    compare_with_random_weights,
    explain,
    explain_pairs,
    measure_faithfulness,
)
from eeg_hf.inference.explanation.band_parts import complete_bands, featureless_noise, split_bands

RATE = 100.0
CHANNELS = ("C3", "Cz", "C4", "Oz")
POSITIONS = torch.tensor([[-0.06, 0.0, 0.1], [0.0, 0.0, 0.14], [0.06, 0.0, 0.1], [0.0, -0.1, 0.05]])


class AlphaAtC4(torch.nn.Module):
    """Its logit is the log power of one channel between 8 and 13 Hz: the truth of an explanation is known."""

    dtype = torch.float32

    def __init__(self):
        super().__init__()
        self.config = SimpleNamespace(tasks=None, id2label={0: "rest", 1: "task"}, num_labels=2)
        self.channels = torch.nn.Parameter(torch.tensor([0.0, 0.0, 1.0, 0.0]))
        taps = torch.zeros(101)
        taps[16:27] = 1.0  # 8 to 13 Hz of 2 s
        self.band = torch.nn.Parameter(taps)

    def forward(self, input_values, **inputs):
        spectrum = torch.fft.rfft(input_values, dim=-1).abs() ** 2 @ self.band  # (batch, channels)
        logit = (spectrum @ self.channels).abs().clamp(min=1e-9).log() - 9.3  # between noise and rhythm
        return SimpleNamespace(logits=torch.stack([torch.zeros_like(logit), logit], dim=-1))


def windows(count=3, seed=0):
    """Noise, with a rhythm of 10 Hz at C4 in its first half."""
    noise = torch.randn(count, 4, 200, generator=torch.Generator().manual_seed(seed))
    time = torch.arange(200) / RATE
    noise[:, 2] += 5 * torch.sin(2 * torch.pi * 10 * time) * (time < 1)
    return {"input_values": noise, "channel_positions": POSITIONS.expand(count, -1, -1)}


@pytest.fixture(scope="module")
def bundled_model():
    return AutoModelForSequenceClassification.from_pretrained(
        eeg_hf.bundled("eeg-foundation-tiny-arithmetic")
    ).eval()


@pytest.fixture(scope="module")
def eeg(bundled_model):
    extractor = eeg_hf.EEGFeatureExtractor.from_pretrained(eeg_hf.bundled("eeg-foundation-tiny-arithmetic"))
    corpus = get_corpus("simulated", num_subjects=1, seconds=10)
    return dict(extractor(corpus.read(corpus.recordings()[0])))


@pytest.mark.parametrize("method", ["integrated_gradients", "occlusion"])
def test_the_channel_the_band_and_the_time_that_decide_are_found(method):
    found = explain(AlphaAtC4(), windows(), CHANNELS, RATE, method=method, target="task", step_seconds=0.5)
    assert found.values.shape == (3, 4, 4, 5) and found.target == "task"
    assert found.most_important(1)[0]["channel"] == "C4" and found.most_important(1)[0]["band"] == "alpha"
    share = np.abs(found.by_channel_and_band[2, 2]) / np.abs(found.by_channel_and_band).sum()
    assert share > 0.9
    early, late = np.split(found.values[:, 2, :, 2].mean(axis=0), 2)
    assert early.sum() > 2 * abs(late.sum())
    assert found.times.tolist() == [0.25, 0.75, 1.25, 1.75]


def test_integrated_gradients_sum_to_the_difference_of_the_outputs(bundled_model, eeg):
    names = eeg_hf.processing.channels.STANDARD_19
    few = {"num_baselines": 1, "num_steps": 16}
    found = explain(bundled_model, eeg, names, 200.0, **few)
    assert np.allclose(found.values.sum(axis=(1, 2, 3)), found.outputs - found.baseline_outputs, atol=5e-3)
    logits = bundled_model(**eeg).logits.detach().numpy()
    difference = logits[:, 1] - logits[:, 0]
    assert np.allclose(found.outputs, difference if found.target == "task" else -difference, atol=1e-5)


def test_contributions_of_pairs_and_what_is_beside_them_are_the_logit(bundled_model, eeg):
    names = eeg_hf.processing.channels.STANDARD_19
    found = explain_pairs(bundled_model, eeg, names, "task")
    encoded = bundled_model.model(**eeg).pooler_output
    # 19 electrodes tell all 15 components apart, so that nothing but embedding and biases is left
    beside = bundled_model.classifier(encoded)[:, 1] + bundled_model.band_classifier.bias[1]
    assert np.allclose(found.other, beside.detach().numpy(), atol=1e-4)
    assert np.abs(found.values).max() > 1e-3 and np.allclose(found.values, found.values.swapaxes(2, 3))
    assert len(found.plot_topomap().axes) == 13
    json.dumps(found.to_dict(), allow_nan=False)


def test_a_head_that_reads_no_vectors_has_no_pairs(bundled_model, eeg):
    model = copy.deepcopy(bundled_model)
    torch.nn.init.zeros_(model.band_classifier.weight)
    with pytest.raises(ValueError, match="the head of this model reads nothing of the second-order"):
        explain_pairs(model, eeg, eeg_hf.processing.channels.STANDARD_19, "task")


def test_rollout_shares_one_among_the_real_channels(bundled_model, eeg):
    names = eeg_hf.processing.channels.STANDARD_19
    mask = eeg["channel_mask"].clone()
    mask[:, 3] = False
    found = explain(bundled_model, {**eeg, "channel_mask": mask}, names, 200.0, method="rollout")
    assert np.allclose(found.values.sum(axis=(1, 2, 3)), 1, atol=1e-5)
    assert np.allclose(found.values[:, 3], 0) and (found.values >= 0).all() and list(found.bands) == ["all"]
    assert bundled_model.config._attn_implementation == "sdpa"
    with pytest.raises(ValueError, match="no attention weights"):
        explain(AlphaAtC4(), windows(), CHANNELS, RATE, method="rollout")


def test_faithful_explanations_beat_random_orders_and_depend_on_the_weights():
    model, batch = AlphaAtC4(), windows()
    found = explain(model, batch, CHANNELS, RATE, target="task")
    summary = measure_faithfulness(model, batch, found, RATE, num_orders=4).summary
    assert summary["deletion"] < summary["random_deletion"] - 0.01
    assert summary["insertion"] > summary["random_insertion"] + 0.01
    assert compare_with_random_weights(model, batch, CHANNELS, RATE, num_draws=4, target="task") < 0.8


def test_bands_of_a_window_sum_to_it():
    values = torch.randn(2, 3, 201)
    parts = split_bands(values, RATE, complete_bands({"alpha": (8, 13), "beta": (13, 30)}))
    assert list(parts) == ["alpha", "beta", "rest"]
    assert torch.allclose(sum(parts.values()), values, atol=1e-5)
    values[1, :, 150:] = 0.0  # padded
    noise = featureless_noise(values, None, torch.Generator().manual_seed(0))
    assert (noise[1, :, 150:] == 0).all() and 0.8 < float(noise[0].std() / values[0].std()) < 1.2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "saliency"}, "method: expected one of integrated_gradients"),
        ({"target": "sleep"}, "target: expected one of rest, task, got 'sleep'"),
        ({"bands": {"low": (8, 4)}}, "expected 0 <= low < high"),
        ({"bands": {"a": (4, 9), "b": (8, 13)}}, "a and b overlap between 8 and 9 Hz"),
        ({"step_seconds": 0}, "step_seconds: expected more than 0"),
    ],
)
def test_options_that_cannot_be_met_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        explain(AlphaAtC4(), windows(1), CHANNELS, RATE, **options)


def test_the_pipeline_explains_a_recording_whole_or_in_blocks(monkeypatch):
    classify = pipeline("eeg-classification", model=str(eeg_hf.bundled("eeg-foundation-tiny-arithmetic")))
    corpus = get_corpus("simulated", num_subjects=1, seconds=12)
    raw = corpus.read(corpus.recordings()[0])
    whole = classify(raw, explain="rollout")["explanation"]
    assert [*whole.spans] == [(0, 5), (5, 10), (10, 12)] and whole.channels == tuple(raw.ch_names)
    figure = whole.plot()
    assert figure.subfigs and json.dumps(whole.to_dict(), allow_nan=False)
    monkeypatch.setattr("eeg_hf.inference.pipelines.is_long", lambda *size: True)
    blocks = classify(raw, explain="pairs")["explanation"]
    assert blocks.values.shape == (1, 12, 19, 19)
    with pytest.raises(ValueError, match="explain: expected True, False, pairs"):
        classify(raw, explain="saliency")
