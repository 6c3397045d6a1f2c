# SPDX-License-Identifier: Apache-2.0
"""Every batch holds positives and negatives, stays whole on two processes, and follows from the epoch."""

from functools import partial
from itertools import combinations

import numpy as np
import pytest
import torch
from accelerate.data_loader import BatchSamplerShard, DataLoaderShard, skip_first_batches
from datasets import Dataset
from torch.utils.data import BatchSampler
from transformers import TrainerControl, TrainerState, TrainingArguments

from eeg_hf import PairColumns, WindowDataset
from eeg_hf.training import EEGTrainer, PairSampler, SetCollatorEpoch
from eeg_hf.training.pair_sampler import _deal


def film_rows(num_films=2, seconds=40, people=7, step=1.0, missing=0.3, seed=0):
    """Return stimuli, seconds and people of windows on a grid, in random order, some missing, some twice."""
    random = np.random.default_rng(seed)
    rows = [
        (f"film {film}", second * step, f"lab/{person}")
        for film in range(num_films)
        for second in range(seconds)
        for person in range(people)
        if random.random() > missing
    ]
    rows += rows[:20]  # seen twice
    rows += [(None, 3.0, "lab/0"), ("film 0", None, "lab/1"), ("film 0", float("nan"), "lab/2")]
    order = random.permutation(len(rows))
    return tuple(zip(*(rows[index] for index in order), strict=True))


def assert_batches_hold_pairs(sampler, stimuli, seconds, subjects, size, guard):
    order = list(sampler)
    assert len(order) == len(sampler) == len(set(order)) > 0
    assert len(order) % sampler.batch_size == 0
    for start in range(0, len(order), sampler.batch_size):
        moments = {}
        for row in order[start : start + sampler.batch_size]:
            moments.setdefault((stimuli[row], seconds[row]), []).append(subjects[row])
        assert all(len(people) == len(set(people)) == size for people in moments.values())
        for (film, second), (other_film, other_second) in combinations(moments, 2):
            assert film != other_film or abs(second - other_second) >= guard


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize(("step", "guard"), [(1.0, 2.0), (0.5, 2.0), (0.7, 2.0), (4.0, 2.0), (1.0, 0.0)])
def test_every_batch_of_every_epoch_keeps_the_rules(size, step, guard):
    for seed in range(3):
        rows = film_rows(step=step, seed=seed)
        sampler = PairSampler(
            *rows, batch_size=6 * size, subjects_per_time=size, guard_seconds=guard, seed=seed
        )
        for epoch in range(3):
            sampler.set_epoch(epoch)
            assert_batches_hold_pairs(sampler, *rows, size, guard)


def test_dealing_leaves_nothing_that_could_be_dealt():
    # Hands of two owners: 5 + 3 + 1 cards give 4 (the best: 5 cards meet the 4 others); 9 + 1 cards give 1
    places = np.array([0] * 9 + [1] * 10)
    owners = np.array([0] * 5 + [1] * 3 + [2] + [0] * 9 + [1])
    hands = _deal(places, owners, 2, np.random.default_rng(0))
    assert np.bincount(places[hands[:, 0]]).tolist() == [4, 1]
    assert len(set(hands.ravel())) == hands.size
    assert (owners[hands[:, 0]] != owners[hands[:, 1]]).all()
    assert (places[hands[:, 0]] == places[hands[:, 1]]).all()


def test_a_full_grid_is_used_whole():
    rows = film_rows(num_films=1, seconds=16, people=4, step=4.0, missing=0.0)
    sampler = PairSampler(*rows, batch_size=8)
    assert len(sampler) == 16 * 4 + 16  # of the 20 rows seen twice, a moment's pair is whole for four moments


def test_the_order_follows_from_seed_and_epoch():
    rows = film_rows()
    first, again, other = (PairSampler(*rows, batch_size=8, seed=seed) for seed in (3, 3, 4))
    assert list(first) == list(again) != list(other)
    again.set_epoch(1)
    assert list(first) != list(again) and len(first) == len(again)


def test_seconds_that_differ_by_rounding_are_one_moment():
    seconds = [0.0, 0.001, 10.0, 10.0 + 1e-6, 10.1, 10.1]
    sampler = PairSampler(["film"] * 6, seconds, [*"ababab"], batch_size=4)
    assert {tuple(sorted(batch)) for batch in sampler.batches()} <= {(0, 1, 2, 3), (0, 1, 4, 5)}
    assert "3 moments of 1 stimuli" in sampler.describe()


def test_moments_nearer_than_the_guard_meet_only_where_no_batch_fills_otherwise():
    rows = film_rows(num_films=1, seconds=6, people=6, step=1.0, missing=0.0)
    sampler = PairSampler(*rows, batch_size=12)  # six moments a batch, of which three are 2 s apart
    assert_batches_hold_pairs(sampler, *rows, 2, 1.0)
    assert "20 excluded" in sampler.describe()  # five neighbours, each 2 x 2 pairs
    assert " 0 excluded" in PairSampler(*rows, batch_size=6).describe()


@pytest.mark.parametrize(("values", "batch_size", "people"), [(2, 8, 4), (3, 8, 4), (3, 12, 4), (5, 8, 2)])
def test_values_without_a_clock_are_balanced(values, batch_size, people):
    random = np.random.default_rng(0)
    states = [None if state < 0 else f"state {state}" for state in random.integers(-1, values, 400)]
    subjects = [f"lab/{person}" for person in random.integers(0, 9, 400)]
    sampler = PairSampler(states, None, subjects, batch_size=batch_size)
    assert_batches_hold_pairs(sampler, states, [0.0] * 400, subjects, people, 0.0)
    assert len(sampler) > 0.85 * (len(states) - states.count(None))
    assert "0 excluded" in sampler.describe()


@pytest.mark.parametrize(
    ("rows", "options", "reason"),
    [
        (([], [], []), {}, "none of 0 rows has a stimulus"),
        (([None] * 4, [0.0] * 4, [*"abab"]), {}, "none of 4 rows has a stimulus"),
        ((["film"] * 4, [None] * 4, [*"abab"]), {}, "none of 4 rows has a stimulus with its second"),
        ((["film"] * 4, [0.0] * 4, [*"abcd"]), {}, "one moment .*no negative"),
        ((["film"] * 4, [0, 4, 8, 12], [*"aaaa"]), {}, "one subject.*no positive"),
        (
            (["film"] * 4, [0, 4, 8, 12], [*"abab"]),
            {},
            "no moment has subjects_per_time=2 subjects.*one grid",
        ),
        ((["film"] * 4, [0, 0, 4, 4], [*"abab"]), {"subjects_per_time": 1}, "subjects_per_time: expected 2"),
        (
            (["film"] * 4, [0, 0, 4, 4], [*"abab"]),
            {"batch_size": 2},
            "batch_size: expected a multiple.*got 2",
        ),
        (
            (["film"] * 4, [0, 0, 4, 4], [*"abab"]),
            {"batch_size": 5},
            "batch_size: expected a multiple.*got 5",
        ),
        (
            (["film"] * 4, [0, 0, 4, 4], [*"abab"]),
            {"batch_size": 6},
            "2 subjects at each of 3 moments: 2 moments",
        ),
        ((["film"] * 4, [0, 0, 4, 8], [*"abab"]), {}, "2 subjects at each of 2 moments: 1 moments"),
        ((["open", "closed"] * 3, None, [*"aabbcc"]), {"batch_size": 8}, "4 subjects at .*best has 3"),
        (
            (["a", "b"] * 3, None, [*"aabbcc"]),
            {"batch_size": 9, "subjects_per_time": 3},
            "no batch of 9 rows",
        ),
        ((["film"] * 4, [0.0], [*"abab"]), {}, "one stimulus, second and subject a row, got 4, 1 and 4"),
    ],
)
def test_rows_that_hold_no_pair_are_refused_with_the_reason(rows, options, reason):
    with pytest.raises(ValueError, match=reason) as error:
        PairSampler(*rows, **{"batch_size": 4, **options})
    assert "\n" not in str(error.value)


def loader_of(sampler, process, num_processes=2):
    """Return the loader that accelerate makes of a plain one for one of the processes."""
    batches = BatchSampler(sampler, sampler.batch_size // num_processes, drop_last=False)
    shard = BatchSamplerShard(batches, num_processes, process)
    return DataLoaderShard(list(range(sampler.num_rows)), batch_sampler=shard, collate_fn=list)


def test_the_batches_of_two_processes_together_are_a_block():
    sampler = PairSampler(*film_rows(), batch_size=12)
    loaders = [loader_of(sampler, process) for process in range(2)]
    for epoch in range(2):
        sampler.set_epoch(epoch)
        blocks = sampler.batches().tolist()
        both = [[*first, *second] for first, second in zip(*loaders, strict=True)]
        assert both == blocks


def test_two_processes_that_resume_within_an_epoch_go_on_with_its_batches():
    sampler = PairSampler(*film_rows(), batch_size=12)
    sampler.set_epoch(2)
    expected = sampler.batches()[3:, :6].tolist()
    sampler.set_epoch(0)  # a new process
    loader = loader_of(sampler, 0)
    state = TrainerState(epoch=2.3)
    SetCollatorEpoch().on_epoch_begin(None, state, TrainerControl(), train_dataloader=loader)
    resumed = skip_first_batches(loader, 3)
    resumed.set_epoch(2)
    assert list(resumed) == expected


class Seen(torch.nn.Module):
    """Remember which rows came."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.batches = []

    def forward(self, rows):
        self.batches.append(rows.tolist())
        return {"loss": self.weight.sum()}


def train(folder, rows, save_steps, resume=None):
    trainer = EEGTrainer(
        model=Seen(),
        args=TrainingArguments(
            str(folder),
            per_device_train_batch_size=8,
            num_train_epochs=2,
            save_strategy="steps",
            save_steps=save_steps,
            save_only_model=False,
            use_cpu=True,
            report_to="none",
            disable_tqdm=True,
        ),
        train_dataset=list(range(len(rows[0]))),
        data_collator=lambda batch: {"rows": torch.tensor(batch)},
        train_sampler=partial(PairSampler, *rows),
    )
    trainer.train(resume_from_checkpoint=resume)
    return trainer.model.batches


def test_the_trainer_takes_the_batches_and_a_resumed_one_the_rest_of_them(tmp_path):
    rows = film_rows(num_films=1, seconds=20, people=4, step=4.0, missing=0.0)
    sampler = PairSampler(*rows, batch_size=8)
    expected = []
    for epoch in range(2):
        sampler.set_epoch(epoch)
        expected += sampler.batches().tolist()
    done = len(expected) // 2 + 2  # within the second epoch
    assert train(tmp_path, rows, done) == expected
    assert train(tmp_path, rows, done, str(tmp_path / f"checkpoint-{done}")) == expected[done:]


def test_windows_give_their_stimuli(tmp_path):
    stimuli, seconds, subjects = film_rows(seconds=10)
    signal = {"alignment_group": "", "channel_positions": [0.0] * 3, "num_samples": 1, "signal": b"\0\0"}
    rows = [
        {**signal, "window_id": str(row), "scale": [1.0], "corpus": "lab", "subject": subject[4:]}
        | {"stimulus": stimulus, "stimulus_seconds": second}
        for row, (stimulus, second, subject) in enumerate(zip(stimuli, seconds, subjects, strict=True))
    ]
    pairs = PairColumns("stimulus", "stimulus_seconds")
    windows = WindowDataset(Dataset.from_list(rows), pairs.columns)
    sampler = PairSampler.from_windows(windows, pairs, 8, seed=1)
    assert list(sampler) == list(PairSampler(stimuli, seconds, subjects, batch_size=8, seed=1))
    with pytest.raises(ValueError, match=r"windows lack the columns \['corpus', 'stimulus'"):
        PairSampler.from_windows(WindowDataset(Dataset.from_list(rows)), pairs, 8)
