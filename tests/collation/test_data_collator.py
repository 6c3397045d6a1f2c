# SPDX-License-Identifier: Apache-2.0
"""Rows of a prepared corpus become batches: decoded, masked, labelled, and random only by row."""

import numpy as np
import pyarrow as pa
import pytest
import torch
from datasets import Dataset

from eeg_hf import EEGDataCollator, EEGFeatureExtractor, EEGPreTrainingCollator, MixupCollator, WindowDataset
from eeg_hf.collation import decode_windows
from eeg_hf.collation.augmentation import GaussianNoise
from eeg_hf.corpora import load_windows
from eeg_hf.processing.normalization import channel_quartiles, sum_of_spots


def make_rows(shapes, labels=None, seed=0):
    """Return prepared rows of random signals of the given shapes, and the signals in microvolt."""
    random = np.random.default_rng(seed)
    signals = [random.normal(0, 20, shape).astype(np.float32) for shape in shapes]
    rows = []
    for index, values in enumerate(signals):
        scale = (np.abs(values).max(axis=1) / 32767).astype(np.float32)
        rows.append(
            {
                "window_id": f"lab/{index:02d}/{seed}",
                "alignment_group": f"lab/{index % 2}",
                "channel_positions": random.normal(0, 0.1, values.shape[0] * 3).astype(np.float32).tolist(),
                "num_samples": values.shape[1],
                "signal": np.round(values / scale[:, None]).astype("<i2").tobytes(),
                "scale": scale.tolist(),
                "label": labels[index] if labels else None,
            }
        )
    return rows, signals


def to_table(rows):
    return pa.Table.from_pylist(rows)


@pytest.fixture
def extractor():
    return EEGFeatureExtractor(normalization="none", clip=1e6)


@pytest.mark.parametrize("shapes", [[(4, 300)] * 5, [(4, 300), (7, 300), (4, 120)]])
def test_decoding_gives_back_the_signal_within_half_a_step(shapes):
    rows, signals = make_rows(shapes)
    values, channel_mask, attention_mask = decode_windows(to_table(rows))
    for row, signal in enumerate(signals):
        channels, length = signal.shape
        step = np.abs(signal).max(axis=1, keepdims=True) / 32767
        assert (np.abs(values[row, :channels, :length] - signal) <= 0.51 * step).all()
        assert channel_mask[row].sum() == channels and attention_mask[row].sum() == length
        assert not values[row, channels:].any() and not values[row, :, length:].any()


@pytest.mark.parametrize("normalization", ["robust", "zscore", "microvolt", "none"])
@pytest.mark.parametrize("shapes", [[(4, 3000)] * 3, [(4, 300), (7, 3000), (4, 120)]])
def test_the_fast_path_gives_what_normalising_microvolts_gives(normalization, shapes):
    extractor = EEGFeatureExtractor(normalization=normalization)
    rows, _ = make_rows(shapes)
    rows[0]["signal"] = bytes(600) + rows[0]["signal"][600:]  # a part that does not move
    rows[1]["signal"], rows[1]["scale"][0] = bytes(6000) + rows[1]["signal"][6000:], 1.0  # a dead channel
    values, *masks = map(torch.from_numpy, decode_windows(to_table(rows)))
    counts, *same_masks = map(torch.from_numpy, decode_windows(to_table(rows), in_counts=True))
    assert torch.equal(counts, counts.round()) and all(map(torch.equal, masks, same_masks))
    result = EEGDataCollator(extractor)(rows)["input_values"]
    assert result.dtype == torch.float32 and result.std() > 0.1
    torch.testing.assert_close(result, extractor.normalize(values, *masks), rtol=1e-5, atol=1e-5)


def with_quartiles(rows):
    """Return rows with the quartiles that `prepare` stores."""
    for row in rows:
        counts = np.frombuffer(row["signal"], "<i2").reshape(-1, row["num_samples"])
        quartiles = channel_quartiles(torch.from_numpy(counts.copy())).numpy()
        row["quartiles"] = np.column_stack([quartiles, sum_of_spots(counts)]).ravel().tolist()
    return rows


@pytest.mark.parametrize("shapes", [[(4, 3000)] * 3, [(4, 300), (7, 3000), (4, 120)]])
def test_stored_quartiles_give_the_same_windows_to_the_bit(shapes):
    collate = EEGDataCollator(EEGFeatureExtractor())
    rows, _ = make_rows(shapes)
    rows[0]["signal"] = bytes(500) + rows[0]["signal"][500:]  # a channel that does not move for most of it
    computed = collate(rows)["input_values"]
    stored = collate(WindowDataset(Dataset.from_list(with_quartiles(rows))).__getitems__([0, 1, 2]))
    assert torch.equal(stored["input_values"], computed)
    quartiles = np.reshape(rows[2]["quartiles"], (-1, 4))
    rows[2]["quartiles"] = (quartiles * [0.5, 1, 0.5, 1]).ravel().tolist()  # they are used
    changed = collate(rows)["input_values"]
    assert torch.equal(changed[:2], computed[:2]) and not torch.equal(changed[2], computed[2])


def test_prepare_stores_the_quartiles_that_reading_would_compute(prepared):
    rows = load_windows(prepared)
    without = rows.remove_columns("quartiles")
    expected, found = (
        EEGDataCollator(EEGFeatureExtractor())(WindowDataset(each).__getitems__(list(range(8))))
        for each in (without, rows)
    )
    assert torch.equal(found["input_values"], expected["input_values"])


def test_rows_without_quartiles_are_read_beside_those_that_have_them():
    collate = EEGDataCollator(EEGFeatureExtractor())
    old, new = make_rows([(4, 300)], seed=1)[0], make_rows([(4, 300)], seed=2)[0]
    expected = collate([*old, *new])["input_values"]
    assert torch.equal(
        collate([{**old[0], "quartiles": None}, *with_quartiles(new)])["input_values"], expected
    )


@pytest.mark.parametrize("change", ["cut", "filtered", "one channel", "damaged"])
def test_quartiles_of_samples_that_were_changed_since_are_not_used(change):
    (row,) = with_quartiles(make_rows([(4, 3000)])[0])
    counts = np.frombuffer(row["signal"], "<i2").reshape(4, -1).copy()
    if change == "cut":
        counts = counts[:, 300:]
    elif change == "filtered":
        counts = counts // 3 + 1000
    elif change == "one channel":
        counts[2] = 0
    else:
        row["quartiles"] = row["quartiles"][:-1] + [float("nan")]
    row |= {"signal": counts.tobytes(), "num_samples": counts.shape[1]}
    collate = EEGDataCollator(EEGFeatureExtractor())
    found = collate([row])["input_values"]
    assert torch.equal(found, collate([{**row, "quartiles": None}])["input_values"])


def test_decoding_survives_selection_and_slices():
    rows, signals = make_rows([(3, 100)] * 6)
    windows = WindowDataset(Dataset.from_list(rows).select([5, 2, 4]))
    assert list(windows.num_channels) == [3, 3, 3]
    values, *_ = decode_windows(windows.__getitems__([1, 2]))
    np.testing.assert_allclose(values[0], signals[2], atol=0.01)
    np.testing.assert_allclose(values[1], signals[4], atol=0.01)
    np.testing.assert_allclose(decode_windows(to_table(rows).slice(3, 2))[0][0], signals[3], atol=0.01)


def test_a_damaged_row_is_named():
    rows, _ = make_rows([(3, 100)] * 3)
    rows[1]["signal"] = rows[1]["signal"][:-8]
    with pytest.raises(ValueError, match="row 1: expected 3 x 100 int16 samples, got 296"):
        decode_windows(to_table(rows))


def test_a_dataset_without_signals_is_refused():
    with pytest.raises(ValueError, match="lacks the columns.*signal"):
        WindowDataset(Dataset.from_dict({"text": ["a"]}))


def test_batches_hold_positions_masks_and_labels(extractor):
    rows, _ = make_rows([(4, 300), (6, 200)], labels=["task", None])
    batch = EEGDataCollator(extractor, "label", {"rest": 0, "task": 1})(to_table(rows))
    assert batch["input_values"].shape == (2, 6, 300)
    assert batch["labels"].tolist() == [1, -100]
    assert batch["channel_mask"].sum(dim=1).tolist() == [4, 6]
    np.testing.assert_allclose(batch["channel_positions"][1].flatten(), rows[1]["channel_positions"])
    from_dicts = EEGDataCollator(extractor, "label", {"rest": 0, "task": 1})(rows)
    assert torch.equal(from_dicts["input_values"], batch["input_values"])


def test_numbers_and_several_tasks_as_labels(extractor):
    rows, _ = make_rows([(4, 300)] * 2, labels=[31.5, None])
    assert EEGDataCollator(extractor, "label")(rows)["labels"][0] == 31.5
    both = EEGDataCollator(extractor, {"age": "label", "again": "label"})(rows)["labels"]
    assert both["age"][1].isnan() and set(both) == {"age", "again"}


def test_an_unknown_label_is_named(extractor):
    rows, _ = make_rows([(4, 300)], labels=["sleep"])
    with pytest.raises(ValueError, match="unknown label.*sleep.*rest"):
        EEGDataCollator(extractor, "label", {"rest": 0, "task": 1})(rows)


def test_alignment_uses_the_matrix_of_each_group():
    extractor = EEGFeatureExtractor(normalization="none", clip=1e6, alignment="euclidean")
    rows, signals = make_rows([(4, 300)] * 2)
    matrices = {"lab/0": np.eye(4, dtype=np.float32) * 2, "lab/1": np.eye(4, dtype=np.float32) * 3}
    values = EEGDataCollator(extractor, alignments=matrices)(rows)["input_values"]
    np.testing.assert_allclose(values[0], 2 * signals[0], atol=0.02)
    np.testing.assert_allclose(values[1], 3 * signals[1], atol=0.02)
    with pytest.raises(ValueError, match="needs alignments"):
        EEGDataCollator(extractor)
    with pytest.raises(ValueError, match="no alignment for 'lab/1'"):
        EEGDataCollator(extractor, alignments={"lab/0": matrices["lab/0"]})(rows)


def test_randomness_belongs_to_the_row_and_the_epoch(extractor):
    rows, _ = make_rows([(4, 300)] * 4)
    collator = EEGPreTrainingCollator(extractor, patch_size=100, seed=1)
    whole = collator(rows)
    assert whole["mask_noise"].shape == (4, 4, 3)
    parts = [collator(rows[2:]), collator(rows[:2])]  # other batches, other order
    for name in ("mask_noise", "augmented_values"):
        assert torch.equal(torch.cat([parts[1][name], parts[0][name]]), whole[name])
    collator.set_epoch(1)
    assert not torch.equal(collator(rows)["mask_noise"], whole["mask_noise"])
    other_seed = EEGPreTrainingCollator(extractor, patch_size=100, seed=2)
    assert not torch.equal(other_seed(rows)["mask_noise"], whole["mask_noise"])
    assert len({noise.numpy().tobytes() for noise in whole["mask_noise"]}) == 4


def test_augmentation_changes_the_windows_and_only_them(extractor):
    rows, _ = make_rows([(4, 300)] * 2, labels=["rest", "task"])
    labels = {"rest": 0, "task": 1}
    plain = EEGDataCollator(extractor, "label", labels)(rows)
    noisy = EEGDataCollator(extractor, "label", labels, augmentation=GaussianNoise(1.0))(rows)
    assert (noisy["input_values"] - plain["input_values"]).std().item() == pytest.approx(1.0, rel=0.1)
    assert torch.equal(noisy["labels"], plain["labels"])


def test_mixup_mixes_windows_and_labels_by_one_share(extractor):
    rows, _ = make_rows([(4, 300)] * 8, labels=["rest", "task"] * 4)
    base = EEGDataCollator(extractor, "label", {"rest": 0, "task": 1})
    mixed = MixupCollator(base, num_classes=2, alpha=1.0)(rows)
    plain = base(rows)["input_values"]
    torch.testing.assert_close(mixed["labels"].sum(dim=-1), torch.ones(8))
    flat = plain.flatten(1)
    for row in range(8):  # each mixed window is a blend of itself and one other
        weights = torch.linalg.lstsq(flat.T, mixed["input_values"][row].flatten()).solution
        assert (weights.abs() > 1e-3).sum() <= 2
        assert weights.sum().item() == pytest.approx(1.0, abs=1e-3)
    with pytest.raises(ValueError, match="every row needs a label"):
        rows[0]["label"] = None
        MixupCollator(base, num_classes=2)(rows)


@pytest.mark.parametrize("scale", [float("nan"), float("inf"), 1e301, 1e3])
def test_a_damaged_scale_is_refused_by_the_name_of_its_window(scale):
    rows, _ = make_rows([(4, 300)] * 3)
    rows[1]["scale"][2] = scale
    with pytest.raises(ValueError, match="1 of 3 windows .* lab/01/0; the shard is damaged"):
        decode_windows(to_table(rows))


def test_a_batch_of_nothing_is_refused():
    rows, _ = make_rows([(4, 300)])
    with pytest.raises(ValueError, match="expected windows to decode, got a batch of none"):
        decode_windows(to_table(rows).slice(0, 0))
