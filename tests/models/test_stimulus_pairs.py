# SPDX-License-Identifier: Apache-2.0
"""Which windows belong together, and what a batch says of it."""

import doctest
import math

import pytest
import torch

from eeg_hf.models import stimulus_pairs
from eeg_hf.models.stimulus_pairs import describe_pairs, pair_relations

# Film 7 at seconds 0, 1 and 2.5, film 8 at 0; one window without a film
FILM = torch.tensor([7, 7, 7, 7, 8, -1])
SECOND = torch.tensor([0.0, 0.0, 1.0, 2.5, 0.0, math.nan])
PERSON = torch.tensor([1, 2, 1, 2, 1, 1])


def pairs_of(relation):
    return {(i, j) for i, j in relation.nonzero().tolist() if i < j}


def test_docstrings_say_what_happens():
    assert doctest.testmod(stimulus_pairs).attempted and not doctest.testmod(stimulus_pairs).failed


def test_each_pair_is_what_it_should_be():
    is_positive, is_negative = pair_relations(FILM, SECOND, PERSON, guard_seconds=2.0)
    assert pairs_of(is_positive) == {(0, 1)}
    # 1 s apart: too near. 2.5 s apart or another film: unlike, be it the same person or not
    assert pairs_of(is_negative) == {(0, 3), (1, 3), (0, 4), (1, 4), (2, 4), (3, 4)}
    for relation in (is_positive, is_negative):
        assert torch.equal(relation, relation.T)
        assert not relation.diagonal().any() and not relation[5].any()
    assert not (is_positive & is_negative).any()


def test_the_guard_decides_what_is_near():
    def negatives(guard):
        return pairs_of(pair_relations(FILM, SECOND, PERSON, guard).is_negative)

    assert negatives(1.0) - negatives(2.0) == {(0, 2), (1, 2), (2, 3)}
    assert negatives(0.0) == negatives(1.0)
    assert (0, 3) in negatives(2.5) and (0, 3) not in negatives(2.6)
    assert (0, 4) in negatives(1000.0)  # another film has no clock in common


def test_the_same_second_may_differ_by_a_sample():
    second = torch.tensor([300.0, 300.004, 300.02])
    is_positive, _ = pair_relations(FILM[:3], second, torch.tensor([1, 2, 3]), guard_seconds=2.0)
    assert pairs_of(is_positive) == {(0, 1)}


def test_conditions_are_films_without_a_clock():
    condition, person = torch.tensor([1, 1, 2, 2]), torch.tensor([1, 2, 1, 2])
    is_positive, is_negative = pair_relations(condition, torch.zeros(4), person, guard_seconds=2.0)
    assert pairs_of(is_positive) == {(0, 1), (2, 3)}
    assert pairs_of(is_negative) == {(0, 2), (0, 3), (1, 2), (1, 3)}


def test_some_rows_are_those_of_all():
    every = pair_relations(FILM, SECOND, PERSON, 2.0)
    some = pair_relations(FILM, SECOND, PERSON, 2.0, anchors=slice(2, 4))
    assert all(torch.equal(few, all_rows[2:4]) for few, all_rows in zip(some, every, strict=True))


def test_permuting_the_windows_permutes_the_relations():
    order = torch.tensor([4, 2, 0, 5, 1, 3])
    expected = pair_relations(FILM, SECOND, PERSON, 2.0)
    found = pair_relations(FILM[order], SECOND[order], PERSON[order], 2.0)
    for relation, all_rows in zip(found, expected, strict=True):
        assert torch.equal(relation, all_rows[order][:, order])


def test_a_stimulus_without_its_second_takes_no_part():
    second = SECOND.clone()
    second[0] = math.nan
    is_positive, is_negative = pair_relations(FILM, second, PERSON, 2.0)
    for relation in (is_positive, is_negative):
        assert not relation[0].any() and not relation[:, 0].any()
    assert "5 of" not in describe_pairs(FILM, second, PERSON)
    assert "9 without a stimulus" in describe_pairs(FILM, second, PERSON)


def test_what_is_described_adds_up():
    person = torch.tensor([1, 2, 1, 2, 1, 1])
    film = torch.cat([FILM, FILM[:1]])  # the first person once more at second 0
    second, person = torch.cat([SECOND, SECOND[:1]]), torch.cat([person, person[:1]])
    assert describe_pairs(film, second, person).splitlines() == [
        "7 windows, 2 subjects, 2 stimuli, 4 moments",
        "positive: 2 pairs, of windows of two subjects at one moment",
        "negative: 8 pairs",
        "left out: 11 pairs: 4 closer than 2.0 s, 1 of one subject at one moment, 6 without a stimulus",
        "3 windows have no positive",
    ]


def test_what_cannot_be_related_is_refused():
    with pytest.raises(ValueError, match="guard_seconds: expected 0 or more, got -1"):
        pair_relations(FILM, SECOND, PERSON, -1)
    with pytest.raises(ValueError, match=r"of one length \(batch,\), got \(6,\), \(5,\) and \(6,\)"):
        pair_relations(FILM, SECOND[:5], PERSON, 2.0)
    with pytest.raises(ValueError, match="of one length"):
        describe_pairs(FILM[None], SECOND[None], PERSON[None])
