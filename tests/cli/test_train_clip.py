# SPDX-License-Identifier: Apache-2.0
"""EEG-CLIP as a user trains it: on embeddings, with the tower in the loop, resumed, and what is refused."""

import json
import pickle
import shutil

import numpy as np
import pytest
import torch
from datasets import Dataset
from safetensors.torch import load_file
from transformers import AutoFeatureExtractor, AutoModel

from eeg_hf import (
    EEGFeatureExtractor,
    EEGFoundationConfig,
    EEGFoundationModel,
    EEGImageCollator,
    ImageEmbeddings,
    WindowDataset,
)
from eeg_hf.cli.parsing.parser import CommandParser
from eeg_hf.cli.train_clip import COMMAND
from eeg_hf.corpora import SimulatedThings, get_corpus, load_alignments, load_windows, prepare, things_eeg2
from eeg_hf.evaluation import rank_items, score_rankings
from eeg_hf.experiments.clip.arguments import PairArguments
from eeg_hf.experiments.clip.pairs import (
    ShuffledImages,
    check_signals,
    default_split,
    extractor_for,
    filter_for,
    open_windows,
    read_windows,
    split_pairs,
)
from eeg_hf.images.eeg_image_collator import PAIR_COLUMNS
from tests.clip_world import (
    SHAPES,
    features,
    image_ids,
    prepare_epochs,
    write_epochs,
    write_images,
    write_tower,
)
from tests.commands import fail_command, flags, run_command

IDS = image_ids("train") + image_ids("test")
OPTIONS = {
    "eeg_len": 40,
    "fs": 100,
    "num_train_epochs": 2,
    "per_device_train_batch_size": 32,
    "learning_rate": 2e-3,
    "eeg_d_model": 32,
    "eeg_layers": 1,
    "eeg_hidden": 64,
    "proj_dim": 16,
    "config": '{"vision_projection": "none"}',
    "devices": "cpu",
    "dataloader_num_workers": 0,
    "disable_tqdm": True,
    "report_to": "none",
}
# Among five validation images MRR soon is 1, so the loss selects the epoch
LONGER = {"num_train_epochs": 12, "temporal_pool": "mean"}
LONGER |= {"metric_for_best_model": "loss", "greater_is_better": False}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A prepared corpus of two subjects, photographs, features that the EEG is made of, and a tiny tower."""
    root = tmp_path_factory.mktemp("world")
    write_epochs(root / "eeg")
    with pytest.MonkeyPatch.context() as patch:
        prepare_epochs(root / "eeg", root / "prepared", patch)
    write_images(root / "images")
    ImageEmbeddings(IDS, features(), "features:made").save(root / "features")
    write_tower(root / "tower")
    return root


def words(world, output, **options):
    settings = {
        "data": world / "prepared",
        "image_embeddings": world / "features",
        "output_dir": output,
        "log_dir": output / "logs",
        **OPTIONS,
        **options,
    }
    return flags(**settings)


def train(*arguments):
    run_command("train-clip", *arguments)


def top_of_test(folder, world, alignments=None):
    """Return the recall at 1 among the images of the test concepts, which training did not see."""
    model = AutoModel.from_pretrained(folder).eval()
    embeddings = ImageEmbeddings.load(world / "features")
    rows = load_windows(world / "prepared").filter(lambda row: row["part"] == "test")
    extractor = AutoFeatureExtractor.from_pretrained(folder)
    collator = EEGImageCollator(extractor, embeddings, alignments=alignments)
    with torch.no_grad():
        batch = collator(WindowDataset(rows, PAIR_COLUMNS).__getitems__(list(range(len(rows)))))
        outputs = model(**batch)
    ids = batch["image_ids"].numpy()
    _, first = np.unique(ids, return_index=True)
    found = rank_items(outputs.eeg_embeds, outputs.image_embeds[first], ids, ids[first], [1])
    return score_rankings(found, num_resamples=0)["recall@1"].value


def history(folder):
    return json.loads((folder / "trainer_state.json").read_text())["log_history"]


@pytest.mark.slow
def test_images_of_unseen_concepts_are_told_from_eeg_and_not_from_shuffled_pairs(world, tmp_path):
    train(*words(world, tmp_path / "right", **{**LONGER, "augment_eeg": "true"}))
    assert top_of_test(tmp_path / "right", world) > 0.7  # of 12, chance 0.08
    train(*words(world, tmp_path / "wrong", **LONGER, shuffle_pairs="true"))
    assert top_of_test(tmp_path / "wrong", world) < 0.4
    assert json.loads((tmp_path / "wrong" / "train_clip.json").read_text())["shuffle_pairs"] is True
    judged = [row for row in history(tmp_path / "right") if "eval_loss" in row]
    saved = json.loads((tmp_path / "right" / "eval_results.json").read_text())
    assert len(judged) == 12 and saved["eval_loss"] == min(row["eval_loss"] for row in judged)
    assert {"eval_mrr", "eval_recall_at_1", "eval_recall_at_5", "eval_median_rank"} <= set(judged[0])
    saved = json.loads((tmp_path / "right" / "train_clip.json").read_text())
    assert saved["split"] == "concept" and saved["augment_eeg"] is True


def test_a_model_of_whitened_channels_is_trained_and_says_so(world, tmp_path):
    train(*words(world, tmp_path, **LONGER, alignment="euclidean"))
    assert AutoFeatureExtractor.from_pretrained(tmp_path).alignment == "euclidean"
    whitened = load_alignments(world / "prepared")
    assert top_of_test(tmp_path, world, whitened) > 0.7  # of 12, chance 0.08
    unlike = {subject: np.roll(matrix, 1, axis=0) for subject, matrix in whitened.items()}
    assert top_of_test(tmp_path, world, unlike) < 0.4  # other channels in the place of each


def test_the_model_is_saved_without_the_tower_and_knows_the_montage(world, tmp_path):
    train(*words(world, tmp_path, temporal_pool="mean", report_to="tensorboard"))
    assert list((tmp_path / "logs").glob("events.out.tfevents*"))
    config = AutoModel.from_pretrained(tmp_path).config
    assert (config.vision_tower, config.vision_dim, config.freeze_vision) == ("features:made", 16, True)
    encoder = config.eeg_config
    assert (encoder.num_channels, encoder.sampling_rate, encoder.temporal_pool) == (6, 100.0, "mean")
    assert len(encoder.channel_positions) == 6
    assert not [name for name in load_file(tmp_path / "model.safetensors") if "vision" in name]


def test_resumed_ends_with_the_same_weights(world, tmp_path):
    scaled = ("--amplitude_scale", 0.8, 1.25)
    train(*words(world, tmp_path / "whole", augment_eeg="true", log_dir=tmp_path / "logs"), *scaled)
    assert json.loads((tmp_path / "whole/train_clip.json").read_text())["amplitude_scale"] == [0.8, 1.25]
    shutil.copytree(
        tmp_path / "whole", tmp_path / "cut", ignore=shutil.ignore_patterns("model.*", "*-8", "*.json")
    )
    (checkpoint,) = (tmp_path / "whole").glob("checkpoint-[0-9]")
    shutil.copytree(checkpoint, tmp_path / "cut" / checkpoint.name, dirs_exist_ok=True)
    train(*words(world, tmp_path / "cut", augment_eeg="true", resume_from_checkpoint="true"), *scaled)
    first, second = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "cut"))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_the_tower_in_the_loop_frozen_and_trained(world, tmp_path, caplog):
    tower = f"open_clip:local-dir:{world / 'tower'}"
    loop = {
        "image_embeddings": None,
        "images": world / "images",
        "vision_encoder": tower,
        "num_train_epochs": 1,
    }
    train(*words(world, tmp_path / "frozen", **loop))
    assert "embeds each image on every access" in caplog.text
    assert not [name for name in load_file(tmp_path / "frozen" / "model.safetensors") if "vision" in name]
    train(*words(world, tmp_path / "trained", **loop, freeze_vision="false"))
    trained = AutoModel.from_pretrained(tmp_path / "trained")
    start = load_file(world / "tower" / "open_clip_model.safetensors")
    moved = trained.vision_model.encoder.conv1.weight - start["visual.conv1.weight"]
    assert 1e-5 < moved.abs().mean() < 0.1


def test_a_tree_as_published_is_prepared_first_and_once(world, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(things_eeg2, "_SHAPES", SHAPES)
    write_epochs(tmp_path / "data" / "eeg", subjects=["01"])
    for name in ("first", "second"):
        train(*words(world, tmp_path / name, data=tmp_path / "data", num_train_epochs=1))
    assert caplog.text.count("holds published epochs") == 1
    prepared = AutoFeatureExtractor.from_pretrained(tmp_path / "first")
    assert (prepared.sampling_rate, prepared.highpass_hz, prepared.reference) == (100.0, None, "original")
    assert len(load_windows(tmp_path / "data" / "prepared")) == 2 * 60 + 12


def test_a_pretrained_encoder_of_ours_is_the_eeg_tower(world, tmp_path, caplog):
    fields = {"d_model": 16, "n_layers": 1, "n_heads": 2, "d_ff": 24, "patch_size": 20, "scale_factors": [1]}
    encoder = EEGFoundationModel(EEGFoundationConfig(**fields, sampling_rate=100))
    encoder.save_pretrained(tmp_path / "encoder")
    AutoFeatureExtractor.from_pretrained(world / "prepared").save_pretrained(tmp_path / "encoder")
    train(
        *words(
            world, tmp_path / "out", eeg_model=tmp_path / "encoder", learning_rate=1e-6, num_train_epochs=1
        )
    )
    assert "100.0% of the model" in caplog.text
    found = AutoModel.from_pretrained(tmp_path / "out").eeg_model
    torch.testing.assert_close(found.state_dict(), encoder.state_dict(), atol=1e-4, rtol=1e-2)


def test_training_validation_and_test_share_no_concept(world):
    args = PairArguments(data=str(world / "prepared"), eeg_len=0, n_classes=6, subjects=["02"])
    parts = split_pairs(args, open_windows(args)[0])
    concepts = {part: set(rows["concept"]) for part, rows in parts.items()}
    assert {part: len(found) for part, found in concepts.items()} == {"train": 5, "validation": 1, "test": 12}
    assert not concepts["train"] & concepts["validation"] and not concepts["train"] & concepts["test"]
    assert set(parts["train"]["part"]) == {"train"} and set(parts["test"]["part"]) == {"test"}
    assert {subject for rows in parts.values() for subject in rows["subject"]} == {"02"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"eeg_len": 100}, "eeg_len: windows have 40 samples, got 100: use --eeg_len 40"),
        ({"fs": 250}, "fs: the files have 100 Hz, got 250: leave --fs out"),
        ({"bandpass": 45}, "bandpass: expected two edges in Hz"),
        ({"split": "none"}, "split 'none' has no ['test', 'validation'] part"),
        ({"n_classes": 1}, "n_classes: expected 2 to 12 concepts, got 1"),
        ({"subjects": "09"}, "subjects: no window of 09"),
        ({"split": "random"}, "split: expected one of official, subject"),
        ({"split": "subject"}, "3 parts need as many subjects or more, the dataset has 2"),
        ({"freeze_vision": "false"}, "a tower is trained on images"),
        ({"image_embeddings": "none"}, "run eeg-hf embed-images first"),
        ({"data": "none"}, "none is neither a folder nor a Hub name"),
        ({"precision": "int8"}, "precision: expected one of amp, fp32"),
        ({"devices": "2"}, "accelerate launch --num_processes 2 -m eeg_hf.cli.train_clip"),
        ({"devices": "tpu"}, "devices: expected 1, cpu, mps, cuda"),
        ({"temporal_pool": "last"}, "temporal_pool: expected one of cls, mean, max"),
        ({"channel_drop_prob": 2}, "channel_drop_prob: expected a probability"),
        ({"amplitude_scale": 2}, "amplitude_scale: expected two factors, the lower first, got [2.0]"),
        ({"eeg_config": '{"kernels": 3}'}, "EEGConvTransformerConfig has no field 'kernels'"),
        ({"config": '{"vison_dim": 3}'}, "did you mean 'vision_dim'"),
    ],
)
def test_what_cannot_work_ends_in_one_line(options, message, world, tmp_path):
    line = fail_command("train-clip", *words(world, tmp_path, **options))
    assert message in line


def test_embeddings_of_another_tower_and_missing_images_are_refused(world, tmp_path):
    ImageEmbeddings(IDS, features(), "open_clip:ViT-L-14:openai").save(tmp_path / "other")
    line = fail_command("train-clip", *words(world, tmp_path, image_embeddings=tmp_path / "other"))
    assert "made by open_clip:ViT-L-14:openai, expected open_clip:ViT-B-32:laion2b_s34b_b79k" in line
    ImageEmbeddings(IDS[4:], features()[4:], "features:made").save(tmp_path / "few")
    line = fail_command("train-clip", *words(world, tmp_path, image_embeddings=tmp_path / "few"))
    assert f"image '{IDS[0].split('/')[-1]}' is unknown (4 such): expected one of 68, as" in line


class Trap:
    """Unpickling an instance writes a file."""

    def __reduce__(self):
        return open, ("sprung", "w")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (pickle.dumps(Trap()), "it names io.open, which is not an array and could run code"),
        (b"PK cut", "is refused"),
    ],
    ids=["harmful", "cut"],
)
def test_a_published_tree_of_which_a_file_cannot_be_read_is_refused_until_it_is_mended(
    content, reason, world, tmp_path, monkeypatch
):
    monkeypatch.setattr(things_eeg2, "_SHAPES", SHAPES)
    monkeypatch.chdir(tmp_path)
    write_epochs(tmp_path / "data" / "eeg")
    (tmp_path / "data" / "eeg" / "sub-02" / "preprocessed_eeg_training.npy").write_bytes(content)
    for _ in range(2):  # what could be prepared is not taken for all there is
        line = fail_command("train-clip", *words(world, tmp_path / "out", data="data"))
        assert "2 recordings cannot be read, the first eeg/sub-02" in line and reason in line
    assert not (tmp_path / "sprung").exists()
    shutil.copy("data/eeg/sub-01/preprocessed_eeg_training.npy", "data/eeg/sub-02")
    train(*words(world, tmp_path / "out", data="data", num_train_epochs=1))
    assert set(load_windows("data/prepared")["subject"]) == {"01", "02"}


def test_windows_that_do_not_say_their_image_are_refused(world, tmp_path, monkeypatch):
    monkeypatch.setattr(things_eeg2, "_SHAPES", SHAPES)
    write_epochs(tmp_path / "data" / "eeg", subjects=["01"])
    (tmp_path / "data" / "eeg" / "image_metadata.npy").unlink()
    line = fail_command("train-clip", *words(world, tmp_path, data=tmp_path / "data"))
    assert "no image_metadata.npy below" in line and not (tmp_path / "data" / "prepared").exists()
    extractor = EEGFeatureExtractor(100.0, 0.5, 45.0, window_seconds=4.0)
    prepare(get_corpus("simulated"), tmp_path / "rest", extractor, subjects=["00"])
    line = fail_command("train-clip", *words(world, tmp_path, data=tmp_path / "rest"))
    assert "have no column 'image' that names the image seen: prepare a corpus of subjects who look" in line


def test_one_concept_is_too_few(world, tmp_path):
    corpus = SimulatedThings(1, 1, 4, 2, num_test_concepts=1, test_repetitions=2, seconds=0.4)
    extractor = EEGFeatureExtractor(100.0, None, None, reference="original", window_seconds=0.4)
    prepare(corpus, tmp_path / "one", extractor, segments="events")
    line = fail_command("train-clip", *words(world, tmp_path, data=tmp_path / "one"))
    assert "expected two or more concepts to train on, got 1: " in line


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_broken_image_in_the_loop_ends_in_one_line_from_workers_too(num_workers, world, tmp_path):
    write_images(tmp_path / "images")
    (tmp_path / "images" / IDS[3]).write_text("no image")
    tower = f"open_clip:local-dir:{world / 'tower'}"
    loop = {"image_embeddings": None, "images": tmp_path / "images", "vision_encoder": tower}
    given = words(world, tmp_path, **{**OPTIONS, **loop, "dataloader_num_workers": num_workers})
    line = fail_command("train-clip", *given)
    assert line.startswith(f"image {tmp_path}/images/{IDS[3]} cannot be read: cannot identify")


@pytest.mark.parametrize(
    ("given", "warning"),
    [
        ([], None),
        (["--fs", "500"], "fs: expected 500 Hz, the files have 100 Hz, which is used"),
        (["--fs", "100"], None),
        (["--notch", "50"], "notch: nothing to filter, files of 100 Hz hold nothing at 50 Hz"),
        (["recipe.yaml"], "fs: expected 500 Hz"),
    ],
)
def test_only_what_is_given_is_compared_with_the_files(given, warning, world, tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recipe.yaml").write_text("fs: 500")
    parser = CommandParser(COMMAND)
    request = parser.read([*given, "--data", str(world / "prepared"), "--eeg_len", "40"])
    open_windows(parser.build(request.settings)[0])
    assert warning in caplog.text if warning else caplog.text == ""


def test_a_pass_band_that_the_files_cannot_have_is_refused(world):
    args = PairArguments(data=str(world / "prepared"), eeg_len=40, bandpass=[1.0, 50.0])
    with pytest.raises(ValueError, match="bandpass: 50 Hz is not below 50 Hz, half the rate of the files"):
        open_windows(args)


def test_a_narrower_band_than_asked_for_cannot_be_widened(world):
    args = PairArguments(data=str(world / "prepared"), bandpass=[0.5, 45.0])
    rows = Dataset.from_dict({"num_samples": [100]})
    with pytest.raises(
        ValueError, match="prepared with highpass_hz 1, lowpass_hz 40 Hz and hold no more: leave"
    ):
        check_signals(args, rows, EEGFeatureExtractor(100.0, 1.0, 40.0))
    check_signals(args, rows, EEGFeatureExtractor(100.0, 0.5, 45.0))


def test_a_pass_band_filters_windows_that_were_prepared_without_one():
    args = PairArguments(bandpass=[8.0, 30.0], notch=20.0)
    prepared = EEGFeatureExtractor(100.0, None, None, normalization="none", reference="original")
    wanted = extractor_for(args, prepared)
    assert (wanted.highpass_hz, wanted.lowpass_hz, wanted.notch_hz) == (8.0, 30.0, 20.0)
    matrix = filter_for(wanted, prepared, 200)
    t = np.arange(200) / 100
    kept, removed = (np.abs(np.cos(2 * np.pi * hz * t + 1) @ matrix)[50:150].max() for hz in (12.0, 3.0))
    assert kept > 0.9 and removed < 0.1
    assert np.abs(np.cos(2 * np.pi * 20.0 * t + 1) @ matrix)[50:150].max() < 0.3
    assert np.abs(np.ones(200) @ matrix).max() < 1e-3
    assert filter_for(wanted, wanted, 200) is None and filter_for(prepared, prepared, 200) is None


def test_a_pass_band_becomes_the_contract_of_the_model_and_its_export_filters_too(world, tmp_path, caplog):
    train(*words(world, tmp_path, max_steps=1), "--bandpass", "8", "30")
    extractor = EEGFeatureExtractor.from_pretrained(tmp_path)
    assert (extractor.highpass_hz, extractor.lowpass_hz) == (8.0, 30.0)
    assert "are filtered as if they went on mirrored" in caplog.text
    rows, folder = open_windows(PairArguments(data=str(world / "prepared"), eeg_len=0))
    batch = next(iter(read_windows(rows, extractor, folder, 4)))["input_values"].numpy()
    power = np.abs(np.fft.rfft(batch, axis=-1)).mean(axis=(0, 1))
    assert power[np.fft.rfftfreq(40, 0.01) > 40].max() < 0.1 * power.max()


def test_three_subjects_are_split_by_subject_and_fewer_by_concept(world):
    rows = {"subject": ["01", "02", "03"], "concept": ["a", "b", "b"]}
    assert default_split(Dataset.from_dict(rows)) == "subject"
    assert default_split(Dataset.from_dict(rows).select([0, 1])) == "concept"
    args = PairArguments(data=str(world / "prepared"), eeg_len=0)
    split_pairs(args, open_windows(args)[0])
    assert args.split == "concept"  # which an export reads


def test_each_image_stands_for_another_of_its_part():
    images = ImageEmbeddings(IDS, features(), "features:made")
    parts = [np.repeat(np.arange(50), 4), np.arange(50, 60)]
    shown = ShuffledImages(images, parts, seed=1)
    for first, last in ((0, 50), (50, 60)):
        found = shown.replacements[first:last]
        assert sorted(found) == [*range(first, last)] and (found != np.arange(first, last)).all()
    assert (shown.replacements[60:] == np.arange(60, 72)).all()  # the test part
    assert torch.equal(shown.read([7, 7])["image_embeds"][1], torch.tensor(features()[shown.replacements[7]]))
    assert (ShuffledImages(images, parts, seed=1).replacements == shown.replacements).all()
    assert (ShuffledImages(images, parts, seed=2).replacements != shown.replacements).any()


def test_the_defaults_are_those_of_the_published_script(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    parser = CommandParser(COMMAND)
    settings = COMMAND.adapt(parser.read(["--devices", "cpu"]).settings)
    found = {name: value for part in parser.build(settings) for name, value in vars(part).items()}
    expected = {
        **{"data": "data", "n_classes": None, "eeg_len": 100, "notch": None, "freeze_vision": True},
        **{"augment_eeg": False, "noise_std": 0.01, "jitter_ms": 20.0, "time_mask_prob": 0.2},
        **{"channel_drop_prob": 0.1, "vision_encoder": "openclip_vit_b32", "precision": "amp"},
        **{"eeg_d_model": 256, "eeg_layers": 4, "eeg_hidden": 512, "proj_dim": 512, "temporal_pool": "cls"},
        **{"num_train_epochs": 50, "per_device_train_batch_size": 128, "per_device_eval_batch_size": 128},
        **{"learning_rate": 3e-4, "weight_decay": 0.05, "warmup_steps": 0.05, "lr_scheduler_type": "cosine"},
        **{"dataloader_num_workers": 4, "output_dir": "./checkpoints", "log_dir": "./logs", "seed": 42},
        **{"resume_from_checkpoint": None, "use_cpu": True, "metric_for_best_model": "mrr"},
    }
    assert {name: found[name] for name in expected} == expected
