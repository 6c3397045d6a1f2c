# SPDX-License-Identifier: Apache-2.0
"""The Python of the guides that this library began as, in their order: only imports and sizes are changed."""

import pytest
import torch
from torch.utils.data import DataLoader

# Module of a guide, name -> where it is now
IMPORTS = {
    "from models import EEGFoundationConfig": "from eeg_hf import EEGFoundationConfig",
    # There, one class had the heads of pretraining too
    "from models import EEGFoundationModel, EEGFoundationConfig": "from eeg_hf import EEGFoundationConfig\n"
    "from eeg_hf import EEGFoundationForPreTraining as EEGFoundationModel",
    "from models import EEGFoundationModel": "from eeg_hf import EEGFoundationForPreTraining "
    "as EEGFoundationModel",
    "from models import FineTuningConfig": "from eeg_hf.training import FineTuningConfig",
    "from models import EEGFoundationTrainer, FineTuningConfig": "from eeg_hf.training import "
    "EEGFoundationTrainer, FineTuningConfig",
    "from models import TransferLearningPipeline": "from eeg_hf.training import TransferLearningPipeline",
    "from models import HMSEnsembleModel": "from eeg_hf import HMSEnsembleModel",
    "from models import create_model": "from eeg_hf import create_model",
    "from preprocessing import EEGPreprocessor": "from eeg_hf import EEGPreprocessor",
}
SIZES = {
    "d_model=512": "d_model=32",
    "n_layers=12": "n_layers=1",
    "n_heads=8": "n_heads=4",
    "d_ff=2048": "d_ff=32",
    "epochs=100": "epochs=1",
    "epochs=50": "epochs=1",
    "batch_size=16": "batch_size=8",
}

CONFIGURATION = """
from models import EEGFoundationConfig

config = EEGFoundationConfig(
    d_model=512, n_heads=8, n_layers=12, d_ff=2048, dropout=0.1,
    n_channels=19, max_seq_length=10000, patch_size=200, overlap=0.5,
    mask_ratio=0.15, contrastive_temperature=0.07, reconstruction_weight=1.0, contrastive_weight=0.5,
    use_multi_scale=True, use_channel_attention=True, scale_factors=[1, 2, 4, 8]
)

from models import FineTuningConfig

finetune_config = FineTuningConfig(
    learning_rate=1e-4, weight_decay=0.01, epochs=50, batch_size=16,
    freeze_backbone=False, freeze_epochs=10, gradual_unfreezing=True,
    dropout_rate=0.1, label_smoothing=0.1, use_mixup=False,
    early_stopping=True, patience=10,
    save_best_model=True, output_dir='checkpoints/foundation_model'
)
"""
CREATION = """
from models import EEGFoundationModel, EEGFoundationConfig

model = EEGFoundationModel(config)
total_params = sum(p.numel() for p in model.parameters())
print(f"Foundation model created with {total_params:,} parameters")
"""
PRETRAINING = """
from models import EEGFoundationTrainer, FineTuningConfig

config = FineTuningConfig(learning_rate=1e-3, epochs=100, output_dir="pretraining")
trainer = EEGFoundationTrainer(model, config)
trainer.pretrain(
    train_loader=unlabeled_dataloader,
    val_loader=val_dataloader,
    epochs=100,
    save_steps=1000
)
model.save_pretrained("models/pretrained/eeg_foundation_v1")
"""
FINE_TUNING = """
pretrained_model = EEGFoundationModel.from_pretrained(
    "models/pretrained/eeg_foundation_v1"
)
num_classes = 6  # seizure, lpd, gpd, lrda, grda, other
pretrained_model.add_classification_head(num_classes)
trainer = EEGFoundationTrainer(pretrained_model, finetune_config)
best_accuracy = trainer.finetune(
    train_loader=train_loader,
    val_loader=val_loader,
    num_classes=num_classes
)
print(f"Best validation accuracy: {best_accuracy:.4f}")
"""
TRANSFER = """
from models import TransferLearningPipeline

pipeline = TransferLearningPipeline(
    foundation_model_path="models/pretrained/eeg_foundation_v1",
    config=finetune_config
)
results = pipeline.run_pipeline(
    train_data=train_eeg_data, train_labels=train_labels,
    val_data=val_eeg_data, val_labels=val_labels,
    test_data=test_eeg_data, test_labels=test_labels,
    num_classes=6,
    class_names=['seizure', 'lpd', 'gpd', 'lrda', 'grda', 'other']
)
print(f"Test accuracy: {results['test_results']['metrics']['accuracy']:.4f}")
"""
FEATURES = """
model.eval()
with torch.no_grad():
    embeddings = model.get_embeddings(eeg_data)
"""
MASKED_AND_CONTRASTED = """
mask_ratio = 0.15
outputs = model(eeg_data, mask_ratio=mask_ratio)
reconstruction = outputs['reconstruction']
contrastive_features = model(eeg_data)['contrastive_features']
"""
DEPLOYMENT = """
quantized_model = torch.quantization.quantize_dynamic(
    model, {torch.nn.Linear}, dtype=torch.qint8
)
parallel = torch.nn.DataParallel(model)

model.save_pretrained("models/registry/eeg_foundation_v1.0")
model.save_pretrained("models/registry/eeg_foundation_v1.1")
v1_0 = EEGFoundationModel.from_pretrained("models/registry/eeg_foundation_v1.0")
v1_1 = EEGFoundationModel.from_pretrained("models/registry/eeg_foundation_v1.1")
"""
CHANGES = """
from models import EEGFoundationConfig
config = EEGFoundationConfig()
config.batch_size = 8
config.d_model = 256
finetune_config.learning_rate = 1e-5
"""
FACTORY = """
from models import create_model
small = create_model('eeg_foundation', {'d_model': 128})
"""


def run(block: str, names: dict) -> None:
    """Execute a block of a guide among names that it takes as given."""
    for before, now in sorted(IMPORTS.items(), key=lambda item: -len(item[0])):
        block = block.replace(before + "\n", now + "\n")
    for before, now in SIZES.items():
        block = block.replace(before, now)
    exec(compile(block, "guide", "exec"), names)


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def loader(with_labels: bool) -> DataLoader:
    labels = torch.arange(12) % 6
    rows = [
        {"input_values": each, **({"labels": label} if with_labels else {})}
        for each, label in zip(draw(12, 19, 400), labels, strict=True)
    ]
    return DataLoader(rows, batch_size=6)


@pytest.fixture(scope="module")
def guide(tmp_path_factory):
    """Return the names that the first guide has after its pretraining."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("guide"))
        names = {"torch": torch, "unlabeled_dataloader": loader(False), "val_dataloader": loader(False)}
        names |= {"train_loader": loader(True), "val_loader": loader(True), "eeg_data": draw(3, 19, 400)}
        for part in ("train", "val", "test"):
            names |= {f"{part}_eeg_data": draw(12, 19, 400).numpy(), f"{part}_labels": [*range(6)] * 2}
        for block in (CONFIGURATION, CREATION, PRETRAINING):
            run(block, names)
        yield names


def test_pretraining_moves_encoder_and_heads(guide):
    loaded = type(guide["model"]).from_pretrained("models/pretrained/eeg_foundation_v1")
    torch.manual_seed(0)
    fresh = type(guide["model"])(loaded.config)
    for name in ("model.embeddings.mask_token", "decoder.weight", "projection_head.out.weight"):
        found, expected = loaded.get_parameter(name), guide["model"].get_parameter(name)
        assert torch.equal(found, expected) and not torch.equal(found, fresh.get_parameter(name))


def test_fine_tuning_and_transfer_return_accuracies(guide):
    run(FINE_TUNING, guide)
    assert 0 <= guide["best_accuracy"] <= 1
    run(TRANSFER, guide)
    assert 0 <= guide["results"]["test_results"]["metrics"]["accuracy"] <= 1


def test_features_reconstructions_and_contrasts_have_their_shapes(guide):
    run(FEATURES, guide)
    run(MASKED_AND_CONTRASTED, guide)
    assert guide["embeddings"].shape == (3, 32) and guide["reconstruction"].shape == (3, 19, 400)
    torch.testing.assert_close(guide["contrastive_features"].norm(dim=-1), torch.ones(3))


@pytest.mark.filterwarnings("ignore:torch.ao.quantization is deprecated")
def test_a_model_is_quantized_copied_to_devices_and_versioned(guide):
    run(DEPLOYMENT, guide)
    expected = guide["model"].get_embeddings(guide["eeg_data"])
    for name in ("v1_0", "v1_1"):
        assert torch.equal(guide[name].eval().get_embeddings(guide["eeg_data"]), expected)
    quantized = guide["quantized_model"].get_embeddings(guide["eeg_data"])
    assert (quantized - expected).norm() < 0.1 * expected.norm()
    assert guide["parallel"](guide["eeg_data"])["reconstruction"].shape == (3, 19, 400)


def test_settings_may_be_changed_later_and_models_built_by_name(guide):
    run(CHANGES, guide)
    run(FACTORY, guide)
    assert guide["config"].hidden_size == 256 and guide["small"].config.hidden_size == 128


def test_an_encoder_says_which_model_has_what_it_lacks(guide):
    encoder = guide["model"].base_model
    with pytest.raises(KeyError, match="call EEGFoundationForPreTraining"):
        encoder(guide["eeg_data"])["contrastive_features"]
    with pytest.raises(TypeError, match="call the pretraining model"):
        encoder(guide["eeg_data"], mask_ratio=0.15)


def test_channel_attention_is_built_from_its_sizes():
    from eeg_hf.models.factorized_attention import ChannelAttention

    channel_attention = ChannelAttention(d_model=512, n_channels=19, attention_heads=8)
    assert channel_attention(draw(2, 19, 3, 512))[0].shape == (2, 19, 3, 512)
    with pytest.raises(ValueError, match="19 channels"):
        channel_attention(draw(2, 21, 3, 512))
    with pytest.raises(ValueError, match="a multiple of attention_heads"):
        ChannelAttention(d_model=50, attention_heads=8)


def test_an_ensemble_names_the_member_that_cannot_read_its_input(guide):
    from eeg_hf import HMSEnsembleConfig, HMSEnsembleModel

    image_network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(4, 6)
    )
    members = {"foundation": guide["model"].add_classification_head(6), "efficientnet": image_network}
    eeg, spectrogram = guide["eeg_data"], draw(3, 3, 16, 16)
    with pytest.raises(ValueError, match=r"member 'efficientnet' does not take the eeg .*HMSEnsembleConfig"):
        HMSEnsembleModel(members)(eeg, spectrogram)
    ensemble = HMSEnsembleModel(members, HMSEnsembleConfig(inputs={"efficientnet": "spectrogram"}))
    torch.testing.assert_close(ensemble(eeg, spectrogram).logits.exp().sum(dim=-1), torch.ones(3))
    with pytest.raises(TypeError, match="expected HMSEnsembleConfig"):
        HMSEnsembleModel(members, guide["finetune_config"])
    with pytest.raises(ValueError, match="'foundation' returns no logits"):
        HMSEnsembleModel({"foundation": guide["model"].base_model})(eeg)


def test_cleaned_recordings_reach_a_model_in_any_unit_and_order_of_channels(guide):
    from eeg_hf import EEGFeatureExtractor, EEGPreprocessor

    names, volts = ["C3", "C4", "O1", "O2"], 2e-5 * draw(4, 1200).numpy()
    encoder, answers = guide["model"].base_model.eval(), []
    for samples, channels, unit in ((volts, names, "V"), (1e6 * volts[::-1], names[::-1], "uV")):
        preprocessor = EEGPreprocessor(use_adaptive=True, input_sampling_rate=200, unit=unit)
        clean, info = preprocessor.preprocess_eeg(samples.copy(), channels)
        with pytest.raises((TypeError, ValueError), match="input_values"):
            encoder(clean)  # microvolts, not normalised: the feature extractor makes inputs
        extractor = EEGFeatureExtractor(window_seconds=2.0)
        given = {"sampling_rate": info["sampling_rate"], "channel_names": info["channel_names"]}
        inputs = extractor(clean, **given, unit=info["unit"], return_tensors="pt")
        with torch.no_grad():
            answers.append(encoder(**inputs).pooler_output)
    torch.testing.assert_close(*answers, atol=1e-4, rtol=0)
    with pytest.raises(ValueError, match="sampling_rate, unit not given"):
        EEGPreprocessor(use_adaptive=True).preprocess_eeg(volts, names)


def test_the_parts_of_several_phases_are_built_as_they_were():
    from eeg_hf.models.channel_adapters import PerceiverChannelAdapter, ZeroPadChannelAdapter
    from eeg_hf.models.contrast import ContrastiveProjectionHead
    from eeg_hf.models.objective_auxiliary import AuxiliaryTaskLoss, DemographicHead, MultiAuxiliaryHead

    places = 0.1 * torch.nn.functional.normalize(draw(2, 21, 3), dim=-1)
    for adapter in (PerceiverChannelAdapter(target_channels=128, d_model=16), ZeroPadChannelAdapter(128)):
        assert adapter(draw(2, 21, 50), places).values.shape == (2, 128, 50)
    with pytest.raises(ValueError, match="target_channels: got 64, but 21"):
        PerceiverChannelAdapter(places[0], target_channels=64)
    head = DemographicHead(input_dim=8, hidden_dim=5, num_outputs=2)
    assert [head.dense.out_features, head.out.in_features, head.out.out_features] == [5, 5, 2]
    predictions = MultiAuxiliaryHead(8)(draw(4, 8))
    targets = {"age": torch.tensor([9.0, torch.nan, 12.0, 7.0]), "sex": torch.tensor([0, 1, -100, 1])}
    loss = AuxiliaryTaskLoss()(predictions, targets)
    age = (predictions["age"][[0, 2, 3], 0] - targets["age"][[0, 2, 3]]).square().mean()
    sex = torch.nn.functional.cross_entropy(predictions["sex"][[0, 1, 3]], targets["sex"][[0, 1, 3]])
    torch.testing.assert_close(loss, age + 0.5 * sex)
    projected = ContrastiveProjectionHead(encoder_dim=8, projection_dim=4)(draw(3, 8))
    torch.testing.assert_close(projected.norm(dim=-1), torch.ones(3))


@pytest.mark.parametrize("name", ["MixedDataset", "ContrastiveDataModule"])
def test_classes_that_became_something_else_say_what(name):
    with pytest.raises(ImportError, match=f"eeg_hf has no {name}: .*eeg_hf\\.(corpora|training)"):
        exec(f"from eeg_hf import {name}")


def test_a_reporter_that_is_not_installed_is_one_line():
    from eeg_hf.cli.parsing.command import explain

    error = RuntimeError("WandbCallback requires wandb to be installed. Run `pip install wandb`.")
    assert explain(error) == f"report_to: {error} Or use --report_to none"
    assert explain(RuntimeError("anything else")) is None
