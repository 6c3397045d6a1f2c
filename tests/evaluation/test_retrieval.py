# SPDX-License-Identifier: Apache-2.0
"""Ranks against every order that ties allow, scikit-learn, and closed forms of chance."""

from itertools import combinations, permutations

import numpy as np
import pytest
from sklearn.metrics import label_ranking_average_precision_score, ndcg_score

from eeg_hf.evaluation import rank_items, score_rankings


def values(rankings, **options):
    found = score_rankings(rankings, num_resamples=0, **options)
    return {name: score.value for name, score in found.items()}


def ranked(similarity, correct, ks):
    """Rank items with given similarities: those of unit vectors are the coordinates of a query."""
    rankings = [
        rank_items([row], np.eye(len(row)), ["yes"], np.where(good, "yes", "no"), ks)
        for row, good in zip(similarity, correct, strict=True)
    ]
    return type(rankings[0]).concatenate(rankings)


def brute_force(row, good, ks):
    """Mean over all orders of the items in which no better one comes later."""
    found = []
    for order in permutations(range(len(row))):
        if any(row[a] < row[b] for a, b in zip(order, order[1:], strict=False)):
            continue
        hits = good[list(order)]
        first = 1 + hits.argmax()
        discounts = 1 / np.log2(np.arange(len(row)) + 2)
        scores = {f"recall@{k}": float(first <= k) for k in ks}
        scores |= {f"ndcg@{k}": hits[:k] @ discounts[:k] / discounts[: min(k, hits.sum())].sum() for k in ks}
        found.append({**scores, "mean_rank": first, "mrr": 1 / first})
    return {name: np.mean([scores[name] for scores in found]) for name in found[0]}


@pytest.mark.parametrize("levels", [2, 3, 100])
def test_ties_and_several_correct_items_are_the_mean_over_all_orders(levels):
    random, ks = np.random.default_rng(levels), (1, 2, 4)
    similarity = random.integers(1, levels + 1, (12, 6)).astype(float)
    correct = random.random((12, 6)) < 0.4
    correct[:, 0] |= ~correct.any(axis=1)
    correct[:, 1] &= ~correct.all(axis=1)
    expected = [brute_force(row, good, ks) for row, good in zip(similarity, correct, strict=True)]
    found = values(ranked(similarity, correct, ks))
    for name in expected[0]:
        assert found[name] == pytest.approx(np.mean([scores[name] for scores in expected])), name


@pytest.mark.parametrize("decimals", [1, 12])
def test_ndcg_and_mrr_are_those_of_scikit_learn(decimals):
    random = np.random.default_rng(0)
    similarity = random.random((40, 30)).round(decimals) + 0.1
    correct = random.random((40, 30)) < 0.2
    correct[:, 7] = True
    found = values(ranked(similarity, correct, (1, 5, 30)))
    for k in (1, 5, 30):
        assert found[f"ndcg@{k}"] == pytest.approx(ndcg_score(correct, similarity, k=k))
    one = np.zeros_like(correct)
    one[np.arange(40), random.integers(30, size=40)] = True
    untied = random.random((40, 30)) + 0.1
    found = values(ranked(untied, one, (1,)))
    assert found["mrr"] == pytest.approx(label_ranking_average_precision_score(one, untied))
    ranks = 1 + (untied > untied[one][:, None]).sum(axis=1)
    assert (found["mean_rank"], found["median_rank"]) == pytest.approx((ranks.mean(), np.median(ranks)))


def test_labels_say_what_is_correct_and_lengths_do_not_matter():
    random = np.random.default_rng(1)
    items, queries = random.normal(size=(20, 8)), random.normal(size=(300, 8))
    labels = random.integers(10, size=20).astype(str)
    labels[:10] = np.arange(10).astype(str)
    asked = random.integers(10, size=300).astype(str)
    cosines = (queries @ items.T) / np.linalg.norm(items, axis=1)
    best = np.where(asked[:, None] == labels, cosines, -np.inf).max(axis=1)
    ranks = 1 + (cosines > best[:, None]).sum(axis=1)
    lengths = random.uniform(0.1, 9, (300, 1))
    found = values(rank_items(queries * lengths, items, asked, labels, ks=[3]))
    assert found["recall@3"] == np.mean(ranks <= 3)
    assert (found["mean_rank"], found["median_rank"]) == pytest.approx((ranks.mean(), np.median(ranks)))


def test_chance_is_what_it_is_known_to_be_and_a_constant_encoder_is_at_it():
    labels = np.arange(200).astype(str)
    found = score_rankings(rank_items(np.ones((200, 3)), np.ones((200, 3)), labels, labels), num_resamples=0)
    known = {"recall@1": 1 / 200, "recall@5": 5 / 200, "recall@10": 10 / 200}
    known |= {"mean_rank": 100.5, "median_rank": 100.5, "mrr": np.mean(1 / np.arange(1, 201))}
    for name, chance in known.items():
        assert found[name].chance == pytest.approx(chance), name
    for name, score in found.items():
        assert score.value == pytest.approx(score.chance), name


def test_chance_with_several_correct_items_is_that_of_a_random_encoder():
    random = np.random.default_rng(0)
    labels = np.repeat(["a", "b", "c", "d"], [3, 5, 2, 10])
    asked = random.choice(["a", "b", "c", "d"], 20000)
    found = score_rankings(
        rank_items(random.normal(size=(20000, 40)), np.eye(40)[:20], asked, labels, (1, 5)), num_resamples=0
    )
    for name, score in found.items():
        assert score.value == pytest.approx(score.chance, rel=0.03), name
    assert found["recall@1"].chance == pytest.approx(np.mean([np.mean(labels == one) for one in asked]))


def test_n_way_is_the_mean_over_all_draws_of_the_others():
    random = np.random.default_rng(2)
    items, queries, labels = random.normal(size=(9, 4)), random.normal(size=(9, 4)), [*"abcdefghi"]
    items[1] = items[0]  # a tie
    found = score_rankings(rank_items(queries, items, labels, labels, (1, 2, 5)), n_way=4, num_resamples=0)
    hits = {1: [], 2: []}
    for own in range(9):
        for others in combinations(sorted(set(range(9)) - {own}), 3):
            chosen = [own, *others]
            rankings = rank_items(
                queries[[own]], items[chosen], [labels[own]], [labels[i] for i in chosen], (1, 2)
            )
            for k in hits:
                hits[k].append(values(rankings)[f"recall@{k}"])
    for k, each in hits.items():
        assert found[f"top@{k} of 4"].value == pytest.approx(np.mean(each))
        assert found[f"top@{k} of 4"].chance == pytest.approx(k / 4)
    assert "top@5 of 4" not in found
    whole = score_rankings(rank_items(queries, items, labels, labels, (1, 2)), n_way=9, num_resamples=0)
    assert whole["top@2 of 9"].value == pytest.approx(whole["recall@2"].value)


def test_the_interval_draws_groups_and_not_queries():
    random = np.random.default_rng(3)
    labels = np.arange(50).astype(str)
    asked = np.repeat(labels, 40)
    is_easy = np.repeat(random.random(50) < 0.5, 40)  # of an image all trials succeed, or fail
    queries = np.where(is_easy[:, None], np.eye(50)[asked.astype(int)], np.eye(50)[asked.astype(int) - 1])
    rankings = rank_items(queries, np.eye(50), asked, labels, (1,))
    by_image = score_rankings(rankings, asked)["recall@1"]
    by_trial = score_rankings(rankings)["recall@1"]
    share = is_easy.mean()
    for score, number in ((by_image, 50), (by_trial, 2000)):
        assert score.value == share
        half = 1.96 * np.sqrt(share * (1 - share) / number)
        assert np.diff(score.interval)[0] / 2 == pytest.approx(half, rel=0.15)
        assert score.interval[0] < share < score.interval[1]
    assert score_rankings(rankings, ["all"] * 2000)["recall@1"].interval is None
    assert score_rankings(rankings, asked) == score_rankings(rankings, asked)


def test_the_interval_of_the_median_rank_covers_it_as_often_as_it_says():
    random, covered = np.random.default_rng(4), []
    for seed in range(40):
        ranks = np.minimum(random.geometric(0.08, 100), 60)  # median 9
        queries = np.where(np.arange(60) < ranks[:, None] - 1, 2.0, 1.0)
        queries[np.arange(100), ranks - 1] = 1.5
        rankings = ranked(queries, np.arange(60) == ranks[:, None] - 1, (1,))
        low, high = score_rankings(rankings, num_resamples=100, seed=seed)["median_rank"].interval
        covered.append(low <= 9 <= high)
    assert np.mean(covered) >= 0.85


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ks": [1, 4]}, "K: the gallery has 3 items, 4 is more"),
        ({"ks": [0]}, r"K: expected whole numbers from 1, got \[0\]"),
        ({"queries": [[1.0, np.nan], [0, 1]]}, "got zero, NaN or infinite"),
        ({"items": np.ones((3, 5))}, "of one size, got 2 and 5"),
        (
            {"query_labels": ["a", "zebra"]},
            "1 of 2 queries have no correct item in the gallery, first 'zebra'",
        ),
        ({"query_labels": ["a", "a"], "item_labels": ["a"] * 3}, "all 3 items are 'a': expected two or more"),
        ({"item_labels": ["a", "b"]}, "a label for each of 2 queries and 3 items, got 2 and 2"),
    ],
)
def test_what_cannot_be_ranked_is_refused_in_one_line(change, message):
    given = {"queries": np.eye(2), "items": [[1, 0], [0, 1], [1, 1]], "query_labels": ["a", "b"]}
    given |= {"item_labels": ["a", "b", "b"], "ks": [1, 3]}
    rank_items(**given)
    with pytest.raises(ValueError, match=message) as caught:
        rank_items(**{**given, **change})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"groups": ["a"]}, "groups: expected one for each of 2 queries, got 1"),
        ({"n_way": 4}, "n_way: expected 2 to 3, the size of the gallery, got 4"),
        ({"n_way": 2}, "n_way: expected one correct item for each query, got several"),
    ],
)
def test_what_cannot_be_scored_is_refused(options, message):
    rankings = rank_items(np.eye(2), [[1, 0], [0, 1], [1, 1]], ["a", "b"], ["a", "b", "b"], [1])
    with pytest.raises(ValueError, match=message):
        score_rankings(rankings, **options)
