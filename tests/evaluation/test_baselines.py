# SPDX-License-Identifier: Apache-2.0
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from scipy import signal
from sklearn.base import clone
from sklearn.covariance import OAS
from transformers import Trainer, TrainingArguments

from eeg_hf.evaluation.baselines import (
    POWER_BANDS_HZ,
    BandLogarithm,
    BandPower,
    BandTangentSpace,
    NetworkClassifier,
    band_power_classifier,
    braindecode_classifier,
    eegnet,
    fitting_bands,
    recentre_bands,
    spd_classifier,
    tangent_space_classifier,
)
from eeg_hf.evaluation.metrics import classification_metrics
from eeg_hf.models.modeling_eeg_classical import shrunk_covariance

RATE = 100.0
BANDS = {"theta": (4, 8), "alpha": (8, 13)}


def oscillating_windows(num_windows, num_channels=4, seconds=2, seed=0, amplitude_uv=8):
    """Noise of 10 uV; in windows of class 1 a 10-Hz oscillation that all channels share."""
    random = np.random.default_rng(seed)
    labels = random.permutation(np.arange(num_windows) % 2)
    times = np.arange(int(seconds * RATE)) / RATE
    phases = random.uniform(0, 2 * np.pi, (num_windows, 1, 1))
    oscillation = amplitude_uv * np.sin(2 * np.pi * 10 * times + phases)
    noise = random.normal(0, 10, (num_windows, num_channels, len(times)))
    return (noise + labels[:, None, None] * oscillation).astype(np.float32), labels


@pytest.fixture(params=[band_power_classifier, tangent_space_classifier], ids=["band_power", "tangent_space"])
def classifier(request):
    return request.param(RATE, BANDS)


def test_separable_windows_are_classified(classifier):
    windows, labels = oscillating_windows(200)
    scores = classifier.fit(windows[:100], labels[:100]).predict_proba(windows[100:])
    assert scores.sum(axis=1) == pytest.approx(1)
    assert classification_metrics(labels[100:], scores)["auroc"] > 0.9


def test_shuffled_labels_are_at_chance(classifier):
    windows, labels = oscillating_windows(300)
    shuffled = np.random.default_rng(1).permutation(labels)
    scores = classifier.fit(windows[:100], shuffled[:100]).predict_proba(windows[100:])
    assert 0.35 < classification_metrics(shuffled[100:], scores)["auroc"] < 0.65


def test_rare_class_counts_as_much_as_the_frequent_one(classifier):
    windows, labels = oscillating_windows(300)
    train = np.concatenate([np.flatnonzero(labels[:200] == 0), np.flatnonzero(labels[:200] == 1)[:10]])
    scores = classifier.fit(windows[train], labels[train]).predict_proba(windows[200:])
    metrics = classification_metrics(labels[200:], scores, ["rest", "task"])
    assert metrics["recall_task"] > 0.5


def test_flat_channels_and_flat_windows_are_borne(classifier):
    windows, labels = oscillating_windows(40)
    windows[:, 1] = 0
    windows[3] = 0
    scores = classifier.fit(windows, labels).predict_proba(windows)
    assert np.isfinite(scores).all()


def test_a_classifier_can_be_cloned_and_fits_the_same_again(classifier):
    windows, labels = oscillating_windows(30)
    first = classifier.fit(windows, labels).predict_proba(windows)
    assert np.array_equal(clone(classifier).fit(windows, labels).predict_proba(windows), first)


def test_more_windows_than_a_batch_give_the_same_features():
    windows, _ = oscillating_windows(300, num_channels=2, seconds=1)
    power = BandPower(RATE, BANDS)
    assert np.allclose(power.transform(windows)[256:], power.transform(windows[256:]))


def test_covariances_of_all_windows_at_once_are_those_of_scikit_learn_one_by_one():
    windows = np.random.default_rng(0).normal(0, 10, (6, 5, 40)).cumsum(axis=-1)
    windows[1, 2] = 0
    windows[2] = 0
    expected = [OAS().fit(window.T).covariance_ for window in windows]
    found = shrunk_covariance(torch.from_numpy(windows))
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_tangent_vectors_are_those_of_pyriemann():
    tangentspace = pytest.importorskip("pyriemann.tangentspace")
    random = np.random.default_rng(0)
    windows = random.normal(0, 10, (30, 5, 200)).cumsum(axis=-1)
    windows[:, 4] = windows[:, 0]  # some eigenvalues of the mean nearly coincide
    covariances = [
        [OAS().fit(signal.sosfiltfilt(sections, window).T).covariance_ for window in windows]
        for sections in (signal.butter(4, band, "bandpass", fs=RATE, output="sos") for band in BANDS.values())
    ]
    expected = [
        tangentspace.TangentSpace("logeuclid").fit(band[:20]).transform(band)
        for band in np.array(covariances)
    ]
    logarithms = BandLogarithm(RATE, BANDS).transform(windows)
    found = BandTangentSpace().fit(logarithms[:20]).transform(logarithms)
    np.testing.assert_allclose(found, np.concatenate(expected, axis=1), atol=1e-8 * np.abs(expected).max())


def test_band_power_of_a_sine_is_its_power():
    # 20 uV at 10 Hz: 200 uV^2, which Welch spreads over the bins of 1 Hz of its band
    sine = 20 * np.sin(2 * np.pi * 10 * np.arange(1000) / RATE)
    theta, alpha = np.exp(BandPower(RATE, BANDS).fit_transform(sine[None, None])[0])
    assert alpha * 5 == pytest.approx(200, rel=0.01)
    assert theta < 1e-3 * alpha


def test_recentring_makes_the_mean_covariance_of_each_subject_and_band_the_identity():
    windows, _ = oscillating_windows(60, seconds=4)
    subjects = np.repeat(["a", "b"], 30)
    mixing = np.random.default_rng(2).normal(size=(4, 4))
    windows[subjects == "b"] = 3 * mixing @ windows[subjects == "b"]
    recentred = recentre_bands(windows, subjects, RATE, {"alpha": (8, 13)})
    for subject in "ab":
        of_subject = recentred[subjects == subject]
        covariance = np.mean(of_subject @ of_subject.swapaxes(1, 2), axis=0) / of_subject.shape[-1]
        assert np.allclose(covariance, np.eye(4), atol=1e-4)


def test_recentring_removes_what_sets_people_apart_but_not_what_they_do():
    random = np.random.default_rng(3)
    windows, labels = oscillating_windows(240, seed=4, amplitude_uv=2)
    subjects = np.arange(240) % 6
    for subject in range(6):
        windows[subjects == subject] *= 10 ** random.uniform(-1, 1, (4, 1))  # another gain a channel
    train, test = subjects < 3, subjects >= 3
    areas = []
    for values in (windows, recentre_bands(windows, subjects, RATE, BANDS)):
        scores = (
            tangent_space_classifier(RATE, BANDS)
            .fit(values[train], labels[train])
            .predict_proba(values[test])
        )
        areas.append(classification_metrics(labels[test], scores)["auroc"])
    assert areas[1] > 0.85
    assert areas[1] > areas[0] + 0.05


def test_recentring_drops_the_direction_that_the_average_reference_empties():
    windows, _ = oscillating_windows(20)
    windows -= windows.mean(axis=1, keepdims=True)
    recentred = recentre_bands(windows, ["a"] * 20, RATE, {"alpha": (8, 13)})
    assert np.abs(recentred.mean(axis=1)).max() < 1e-3
    assert recentred.std() == pytest.approx(np.sqrt(3 / 4), rel=0.01)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda windows: band_power_classifier(RATE).fit(windows[0], [0, 1]), r"got \(4, 200\)"),
        (
            lambda windows: band_power_classifier(80, {"gamma": (30, 45)}).fit(windows, [0, 1]),
            "below half of 80 Hz, got one up to 45",
        ),
        (
            lambda windows: tangent_space_classifier(80, {"gamma": (30, 45)}).fit(windows, [0, 1]),
            "below half of 80 Hz",
        ),
        (lambda windows: recentre_bands(windows, ["a"], RATE), "each of 2 windows, got 1"),
        (lambda windows: braindecode_classifier("EEGNot", 4, 2, 200, RATE), "has no 'EEGNot'"),
        (lambda windows: spd_classifier("SPDNot", 4, 2, 200, RATE), "got 'SPDNot'"),
    ],
)
def test_what_cannot_work_is_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build(oscillating_windows(2)[0])


def test_the_usual_bands_are_those_that_the_rate_holds():
    assert fitting_bands(POWER_BANDS_HZ, 200) == dict(POWER_BANDS_HZ)
    assert list(fitting_bands(POWER_BANDS_HZ, 64).values())[-1] == (13, 28.8)  # beta, cut; no gamma
    windows = np.random.default_rng(0).normal(0, 10, (6, 4, 128))
    assert BandPower(64).fit(windows).transform(windows).shape == (6, 4 * 4)


@pytest.mark.parametrize("name", ["Green", "TSMNet"])
def test_networks_on_covariances_learn_and_are_saved(name, tmp_path):
    pytest.importorskip("spd_learn")
    model = spd_classifier(name, 4, 2, 200, RATE, class_weights=[1.0, 1.0])
    windows = torch.from_numpy(oscillating_windows(8)[0]).float()
    outputs = model(windows, labels=torch.tensor([0, 1] * 4))
    outputs.loss.backward()
    assert outputs.logits.shape == (8, 2)
    assert all(weight.grad is None or weight.grad.isfinite().all() for weight in model.parameters())
    torch.optim.AdamW(model.parameters()).step()
    save_file(model.state_dict(), tmp_path / "model.safetensors")


def test_missing_extra_is_named(monkeypatch):
    for module in ("braindecode", "braindecode.models"):
        monkeypatch.setitem(sys.modules, module, None)  # how Python notes that there is no such module
    with pytest.raises(ImportError, match=r'braindecode is not installed: pip install "eeg-hf\[baselines\]"'):
        braindecode_classifier("EEGNet", 4, 2, 200, RATE)


class Windows(torch.utils.data.Dataset):
    """Windows as a Trainer gets them, with a mask that the network does not know."""

    def __init__(self, windows, labels):
        self.windows, self.labels = torch.from_numpy(windows) / 10, labels

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        mask = torch.ones(len(self.windows[index]), dtype=torch.bool)
        return {"input_values": self.windows[index], "channel_mask": mask, "labels": int(self.labels[index])}


def test_eegnet_is_trained_by_trainer(tmp_path):
    windows, labels = oscillating_windows(160, seed=5)
    arguments = TrainingArguments(
        *(str(tmp_path),),
        num_train_epochs=12,
        per_device_train_batch_size=16,
        learning_rate=1e-2,
        remove_unused_columns=False,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        use_cpu=True,
        seed=0,
    )
    torch.manual_seed(0)
    model = eegnet(
        num_channels=4, num_classes=2, num_samples=200, sampling_rate=RATE, class_weights=[1.0, 1.0]
    )
    trainer = Trainer(model=model, args=arguments, train_dataset=Windows(windows[:120], labels[:120]))
    trainer.train()
    assert not trainer.model_accepts_loss_kwargs
    scores = trainer.predict(Windows(windows[120:], labels[120:])).predictions
    assert classification_metrics(labels[120:], scores)["auroc"] > 0.9


def linear_classifier(**options):
    """A network so small that its loss can be written down."""
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(6, 3))
    return NetworkClassifier(network, **options)


def test_loss_is_the_weighted_cross_entropy_of_the_labels_that_are_there():
    model = linear_classifier(class_weights=[1.0, 2.0, 4.0])
    values, labels = torch.randn(4, 2, 3), torch.tensor([0, 2, -100, 1])
    output = model(values, labels=labels, attention_mask=torch.ones(4, 3))
    log_probabilities = output.logits.log_softmax(dim=-1)
    expected = -(log_probabilities[0, 0] + 4 * log_probabilities[1, 2] + 2 * log_probabilities[3, 1]) / 7
    assert output.loss.item() == pytest.approx(expected.item())
    assert model(values).loss is None


def test_batch_without_labels_has_no_loss_but_a_gradient():
    model = linear_classifier()
    loss = model(torch.randn(2, 2, 3), labels=torch.tensor([-100, -100])).loss
    loss.backward()
    assert loss.item() == 0.0
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_labels_are_smoothed_in_training_only():
    model = linear_classifier(label_smoothing=0.3)
    values, labels = torch.randn(2, 2, 3), torch.tensor([0, 1])
    smoothed = model.train()(values, labels=labels).loss
    plain = model.eval()(values, labels=labels).loss
    assert plain.item() == pytest.approx(
        torch.nn.functional.cross_entropy(model(values).logits, labels).item()
    )
    assert smoothed.item() != pytest.approx(plain.item())
