# SPDX-License-Identifier: Apache-2.0
"""Architectures of braindecode inside transformers: the same numbers, and all that transformers does."""

import numpy as np
import pytest
import torch
from datasets import Dataset
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForSequenceClassification,
    Trainer,
    TrainingArguments,
    pipeline,
)

from eeg_hf import (
    BraindecodeConfig,
    BraindecodeForSequenceClassification,
    BraindecodeModel,
    EEGFeatureExtractor,
    create_model,
    get_corpus,
)
from eeg_hf.models.modeling_braindecode import find_blocks

models = pytest.importorskip("braindecode.models")

# Filters with constraints, a transformer, buffers that no file holds, electrodes by name
ARCHITECTURES = {
    "EEGNet": {},
    "ShallowFBCSPNet": {},
    "EEGConformer": {"network": {"num_layers": 1}},
    "BIOT": {"network": {"embed_dim": 32, "num_layers": 1, "num_heads": 2}},
    "EEGMiner": {},
    "SincShallowNet": {},
}
NAMES = ["Fp1", "Fp2", "C3", "C4"]


def configure(architecture, **fields):
    fields = {"num_channels": 4, "num_samples": 400, **ARCHITECTURES[architecture], **fields}
    if "id2label" not in fields:
        fields.setdefault("num_labels", 3)
    return BraindecodeConfig(architecture=architecture, **fields)


@pytest.mark.parametrize("place", [{"": "disk"}, {"model.network.final_layer": "disk", "": "cpu"}])
def test_parts_of_a_network_are_not_offloaded(place, tmp_path):
    BraindecodeForSequenceClassification(configure("EEGNet")).save_pretrained(tmp_path)
    given = {"device_map": place, "offload_folder": tmp_path / "off"}
    with pytest.raises(ValueError, match="device_map: EEGNet of braindecode cannot be offloaded in parts"):
        AutoModelForSequenceClassification.from_pretrained(tmp_path, **given)
    AutoModelForSequenceClassification.from_pretrained(tmp_path, device_map="cpu")


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_new_head_shares_all_other_layers(architecture, tmp_path):
    encoder = BraindecodeModel(configure(architecture, class_weights=[1.0, 2.0, 3.0])).eval()
    classifier = encoder.add_classification_head(5, id2label=dict(enumerate("abcde"))).eval()
    windows = torch.randn(2, 4, 400)
    assert classifier(windows, labels=torch.tensor([0, 4])).logits.shape == (2, 5)
    assert encoder.compute_logits(windows).shape == (2, 3)  # keeps its own last layer
    head, own = (set(each.network.final_layer.parameters()) for each in (classifier.model, encoder))
    assert not head & own and set(classifier.parameters()) - head == set(encoder.parameters()) - own
    classifier.save_pretrained(tmp_path)
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert torch.equal(again(windows).logits, classifier(windows).logits)
    assert again.config.class_weights is None and again.config.id2label[4] == "e"


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_hosted_network_is_the_bare_one_also_after_a_file(architecture, tmp_path):
    config, windows = configure(architecture), torch.randn(2, 4, 400)
    torch.manual_seed(0)
    hosted = BraindecodeForSequenceClassification(config).eval()
    torch.manual_seed(0)
    bare = getattr(models, architecture)(
        n_chans=4, n_times=400, n_outputs=3, sfreq=200.0, **(config.network or {})
    ).eval()
    with torch.no_grad():
        expected = bare(windows)
        assert torch.equal(hosted(windows).logits, expected)
        hosted.save_pretrained(tmp_path)
        loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path)
        assert torch.equal(loaded(windows).logits, expected)
        encoder = AutoModel.from_pretrained(tmp_path)
        assert isinstance(encoder, BraindecodeModel) and encoder.get_embeddings(windows).ndim == 2
        last = encoder(windows).last_hidden_state
        assert torch.equal(encoder.network.final_layer(last).flatten(1), expected.flatten(1))


def test_a_hosted_network_learns_with_trainer_and_answers_in_a_pipeline(tmp_path):
    torch.manual_seed(0)
    labels = np.arange(32) % 2
    windows = np.random.default_rng(0).normal(size=(32, 4, 400)).astype(np.float32)
    windows[labels == 1] *= 3
    rows = Dataset.from_dict({"input_values": windows, "labels": labels}).with_format("torch")
    model = BraindecodeForSequenceClassification(
        configure("ShallowFBCSPNet", id2label={0: "calm", 1: "loud"}, channel_names=NAMES)
    )
    arguments = TrainingArguments(
        tmp_path / "run", max_steps=20, learning_rate=3e-3, report_to="none", save_strategy="no"
    )
    trainer = Trainer(model, arguments, train_dataset=rows)
    trainer.train()
    scores = trainer.predict(rows).predictions.argmax(axis=1)
    assert (scores == labels).mean() > 0.9
    model.save_pretrained(tmp_path / "model")
    EEGFeatureExtractor(channels=NAMES, window_seconds=2.0, reference="original").save_pretrained(
        tmp_path / "model"
    )
    corpus = get_corpus("simulated", num_subjects=1, seconds=4)
    answer = pipeline("eeg-classification", model=str(tmp_path / "model"))(
        corpus.read(corpus.recordings()[0])
    )
    assert answer["label"] in ("calm", "loud") and len(answer["windows"]) == 2


def test_regression_shares_of_classes_and_missing_labels():
    windows = torch.randn(3, 4, 400)
    model = BraindecodeForSequenceClassification(configure("EEGNet", num_labels=1)).eval()
    outputs = model(windows, labels=torch.tensor([1.0, float("nan"), 3.0]))
    expected = ((outputs.logits[:, 0] - torch.tensor([1.0, 0.0, 3.0])).square()[[0, 2]]).mean()
    assert outputs.loss.item() == pytest.approx(expected.item())
    model = BraindecodeForSequenceClassification(configure("EEGNet")).eval()
    shares = torch.tensor([[1.0, 0, 0], [0, 1.0, 0], [0, 0.5, 0.5]])
    assert model(windows, labels=shares).loss > 0
    assert model(windows, labels=torch.tensor([-100, -100, -100])).loss == 0


def test_it_is_found_by_name_and_its_config_is_plain_json(tmp_path):
    config = configure("EEGNet", channel_names=NAMES)
    config.save_pretrained(tmp_path)
    again = AutoConfig.from_pretrained(tmp_path)
    assert isinstance(again, BraindecodeConfig) and again.channel_names == NAMES
    assert isinstance(create_model("braindecode", {"num_samples": 400}), BraindecodeModel)


def test_what_does_not_fit_is_one_line():
    with pytest.raises(ValueError, match="has no 'EEGNets', did you mean 'EEGNet'. expected one of ATCNet"):
        BraindecodeModel(BraindecodeConfig(architecture="EEGNets"))
    with pytest.raises(ValueError, match=r"cannot be built for 4 channels, 20 samples and 200 Hz"):
        BraindecodeModel(configure("ShallowFBCSPNet", num_samples=20))
    positions = [[0.0, 0.1, 0.0], [0.0, -0.1, 0.0], [0.1, 0.0, 0.0], [-0.1, 0.0, 0.0]]
    model = BraindecodeForSequenceClassification(
        configure("EEGNet", channel_names=NAMES, channel_positions=positions)
    )
    places = torch.tensor(positions)[None]
    model(torch.randn(1, 4, 400), channel_positions=places)
    with pytest.raises(ValueError, match="expected Fp1, Fp2, C3, C4, in this order"):
        model(torch.randn(1, 4, 400), channel_positions=places.flip(1))
    with pytest.raises(ValueError, match=r"built for \(4 channels, 400 samples\), got \(4, 300\)"):
        model(torch.randn(1, 4, 300))


def test_hidden_states_are_those_of_the_layers_of_one_kind():
    windows = torch.randn(2, 4, 400)
    config = configure("EEGConformer", network={"num_layers": 2})
    model = BraindecodeForSequenceClassification(config).eval()
    with torch.no_grad():
        plain, outputs = model(windows), model(windows, output_hidden_states=True)
        encoded = model.model(windows, output_hidden_states=True)
        # The last state, sent through what follows the layers, is the answer
        again = model.model.network.final_layer(encoded.last_hidden_state)
    assert torch.equal(outputs.logits, plain.logits) and plain.hidden_states is None
    first, last = outputs.hidden_states
    assert first.shape == last.shape and first.ndim == 3 and not torch.equal(first, last)
    assert torch.equal(last, encoded.hidden_states[1]) and torch.equal(again, plain.logits)
    with torch.no_grad():
        assert torch.equal(find_blocks(model.model.network)[1](first), last)
    with pytest.raises(ValueError, match="ShallowFBCSPNet of braindecode has no list of layers of one kind"):
        BraindecodeForSequenceClassification(configure("ShallowFBCSPNet"))(windows, output_hidden_states=True)


@pytest.mark.parametrize("architecture", ["ShallowFBCSPNet", "Deep4Net"])
def test_one_channel_is_what_the_same_network_makes_of_it_beside_a_silent_one(architecture):
    one, two = (
        BraindecodeForSequenceClassification(
            BraindecodeConfig(architecture=architecture, num_channels=count, num_samples=800, num_labels=2)
        ).eval()
        for count in (1, 2)
    )
    weights = two.state_dict()
    for name, weight in one.state_dict().items():
        weights[name] = weight if weight.shape == weights[name].shape else weights[name]
        if name.endswith("conv_spat.weight"):  # (filters, filters, 1, channels)
            weights[name] = torch.cat([weight, torch.ones_like(weight)], dim=-1)
    two.load_state_dict(weights)
    windows = torch.randn(3, 1, 800)
    beside = torch.cat([windows, torch.zeros_like(windows)], dim=1)
    with torch.no_grad():
        torch.testing.assert_close(one(windows).logits, two(beside).logits, atol=1e-4, rtol=1e-4)


def test_labram_takes_a_channel_of_another_name_for_the_electrode_at_its_place():
    def build(name, place):
        torch.manual_seed(0)
        fields = {"num_channels": 1, "num_samples": 400, "num_labels": 2, "network": {"num_layers": 1}}
        config = BraindecodeConfig(
            architecture="Labram", channel_names=[name], channel_positions=[place], **fields
        )
        return BraindecodeForSequenceClassification(config).eval()

    vertex, windows = [-0.0014, 0.0276, 0.1402], torch.randn(2, 1, 400)
    with torch.no_grad():
        expected = build("Cz", vertex)(windows).logits
        assert torch.equal(build("EEG", vertex)(windows).logits, expected)
        with pytest.raises(ValueError, match="not in LABRAM_CHANNEL_ORDER: 'EEG'"):
            build("EEG", [0.0, 0.0, 0.05])(windows)
