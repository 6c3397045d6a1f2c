# SPDX-License-Identifier: Apache-2.0
"""Ridge regression: as scikit-learn fits it, and by the command on subjects who see images."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from eeg_hf import ImageEmbeddings
from eeg_hf.evaluation import EEGImageEmbeddings, judge_retrieval
from eeg_hf.experiments.clip import ridge
from tests.clip_world import features, image_ids, prepare_epochs, write_epochs
from tests.commands import fail_command, run_command

IDS = image_ids("train") + image_ids("test")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Return a folder with epochs that are linear in 16 features of their images, of two subjects."""
    root = tmp_path_factory.mktemp("world")
    write_epochs(root / "eeg", noise=1.0)
    with pytest.MonkeyPatch.context() as patch:
        prepare_epochs(root / "eeg", root / "prepared", patch)
    for name, values in (
        ("true", features()),
        ("shuffled", np.random.default_rng(5).permutation(features())),
    ):
        with_constant = np.c_[values, np.full(len(values), 0.1, np.float32)]
        ImageEmbeddings(IDS, with_constant, "features:made").save(root / name)
    return root


def linear_pairs(windows, noise):
    rng = np.random.default_rng(0)
    x = rng.normal(3.0, 1.0, (windows, 12)).astype(np.float32)
    return x, x[:, :4] @ rng.normal(size=(4, 3)) + 5 + noise * rng.normal(size=(windows, 3))


@pytest.mark.parametrize("noise", [0.01, 20.0])
def test_sums_over_blocks_give_what_scikit_learn_fits_and_the_penalty_of_the_least_error(noise):
    x, y = linear_pairs(60, noise)
    parts = [ridge.Moments(np.array_split(x[rows], 4), y[rows]) for rows in (slice(0, 40), slice(40, 60))]
    weights, penalty = ridge.fit_ridge(*parts)
    unit = np.square(x[:40], dtype=np.float64).sum() / 12
    fits = [Ridge(each * unit).fit(x[:40].astype(float), y[:40]) for each in ridge.PENALTIES]
    errors = [np.square(fit.predict(x[40:]) - y[40:]).sum() for fit in fits]
    best = int(np.argmin(errors))
    assert penalty == ridge.PENALTIES[best] and (penalty < 1e-2) == (noise < 1)
    assert weights[:-1] == pytest.approx(fits[best].coef_.T, rel=1e-3, abs=1e-5)
    assert weights[-1] == pytest.approx(fits[best].intercept_, rel=1e-3)


def test_features_are_standardised_by_the_training_images_and_constant_ones_vanish():
    images = np.c_[np.arange(6.0), np.full(6, 0.1), [0, 2, 0, 2, 9, 9]].astype(np.float32)
    found = ridge.standardise(images, np.arange(4))
    assert found[:4].mean(axis=0) == pytest.approx(0) and found[:4].std(axis=0) == pytest.approx([1, 0, 1])
    assert (found[:, 1] == 0).all() and found[5, 2] == pytest.approx(8)


def test_windows_of_other_electrodes_are_refused():
    first = {"input_values": torch.ones(2, 3, 4), "channel_positions": torch.ones(2, 3, 3)}
    for other in ({"channel_positions": torch.zeros(2, 3, 3)}, {"input_values": torch.ones(2, 3, 5)}):
        with pytest.raises(ValueError, match="expected windows of the same electrodes and length"):
            list(ridge.flatten_windows([first, {**first, **other}]))


def export(world, *options, images="true"):
    out = world / "out.npz"
    run_command(
        *("export-embeddings", "--data", world / "prepared", "--image_embeddings", world / images),
        *("--baseline", "ridge", "--output", out, *options),
    )
    return EEGImageEmbeddings.load(out)


def test_linear_epochs_are_found_among_new_images_by_a_fit_a_person_and_not_from_shuffled_pairs(
    world, caplog
):
    found = export(world)
    assert (found.model, found.split) == ("ridge", "test")
    assert len(found.eeg_embeddings) == 2 * 12 and len(found.image_ids) == 12
    assert "ridge for subject 01: 110 windows" in caplog.text and "subject 02" in caplog.text
    scores = judge_retrieval(found, [1], num_resamples=0)
    assert scores["eeg_to_image"]["recall@1"].value > 0.8  # chance 0.08
    wrong = judge_retrieval(export(world, images="shuffled"), [1], num_resamples=0)
    assert wrong["eeg_to_image"]["recall@1"].value < 0.4


def test_people_left_out_have_one_fit_of_the_others(world, caplog):
    write_epochs(world / "three" / "eeg", subjects=["01", "02", "03"])
    with pytest.MonkeyPatch.context() as patch:
        prepare_epochs(world / "three" / "eeg", world / "three" / "prepared", patch)
    found = export(world, "--data", world / "three" / "prepared", "--split", "official+leave_out:03")
    assert set(found.subjects) == {"03"} and "ridge for all subjects" in caplog.text
    assert judge_retrieval(found, [1], num_resamples=0)["eeg_to_image"]["recall@1"].value > 0.8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "expected --model, a model of eeg-hf train-clip, or --baseline ridge"),
        (("--baseline", "lasso"), "baseline: expected one of ridge, got 'lasso'"),
        (("--baseline", "ridge"), "baseline embeds no images: set --image_embeddings"),
    ],
)
def test_what_cannot_be_fitted_ends_with_one_line(world, options, message):
    given = ("--data", world / "prepared", "--output", world / "x.npz")
    line = fail_command("export-embeddings", *given, *options)
    assert message in line
