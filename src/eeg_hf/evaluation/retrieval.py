# SPDX-License-Identifier: Apache-2.0
"""Retrieval: how far up the list of most similar items the right ones come.

Similar is a large cosine. A query may have several correct items; then

* `recall@K` is the share of queries with one or more of them among the first K, as image retrieval counts it
  (https://arxiv.org/abs/2103.00020), not the share of correct items found;
* `mean_rank`, `median_rank` and `mrr` (the mean of one over the rank) are of the first of them;
* `ndcg@K` counts all of them, each with gain 1.

Items that are equally similar share their ranks: every value is the mean over all orders they could be in,
so that an encoder that says the same of everything is exactly at chance. Chance is computed the same way,
all items being equally similar; nothing is drawn for it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_array
from scipy.stats import hypergeom

from .embedding_metrics import unit_vectors
from .intervals import percentile_interval

_BLOCK = 256  # queries at once: of 66,160 items 135 MB each for similarity, order and gain
_DECIMALS = 9  # cosines this close are equal: what is left is the rounding of the products
_DRAWS_AT_ONCE = 100


@dataclass(frozen=True)
class RetrievalScore:
    """One metric over all queries.

    Attributes:
        value: The metric.
        chance: What it is for items in random order.
        interval: Ends of a bootstrap interval, None where there is only one group to draw from.
    """

    value: float
    chance: float
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class Rankings:
    """Where each query's first correct item comes, and what all of them gain.

    Attributes:
        ks: At which K to score.
        better: How many items are more similar than the best correct one, (queries,).
        tied: How many are as similar as it, itself among them, (queries,).
        tied_correct: How many of those are correct, (queries,).
        num_correct: How many items are correct, (queries,).
        num_items: How many items there are, (queries,).
        gains: nDCG at each K, (queries, ks).
    """

    ks: tuple[int, ...]
    better: np.ndarray
    tied: np.ndarray
    tied_correct: np.ndarray
    num_correct: np.ndarray
    num_items: np.ndarray
    gains: np.ndarray

    def __len__(self) -> int:
        return len(self.better)

    @classmethod
    def concatenate(cls, parts: "Sequence[Rankings]") -> "Rankings":
        """Put queries of several galleries together; they must have been scored at the same K."""
        names = [field.name for field in fields(cls) if field.name != "ks"]
        joined = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
        return cls(parts[0].ks, **joined)

    def shuffled(self) -> "Rankings":
        """Return what is expected of the same queries where all items are equally similar."""
        share = self.num_correct / self.num_items
        return replace(
            self,
            better=np.zeros_like(self.better),
            tied=self.num_items,
            tied_correct=self.num_correct,
            gains=share[:, None] * _sums_of_discounts(self.ks) / _ideal_gains(self.num_correct, self.ks),
        )


def rank_items(
    queries: ArrayLike,
    items: ArrayLike,
    query_labels: Sequence[str] | np.ndarray,
    item_labels: Sequence[str] | np.ndarray,
    ks: Sequence[int] = (1, 5, 10),
) -> Rankings:
    """Rank all items for each query; those of the query's label are correct.

    Args:
        queries: (queries, size) embeddings, of any length.
        items: (items, size) embeddings.
        query_labels: (queries,) such as the image that was seen.
        item_labels: (items,) such as the image that it is.
        ks: At which K to score.

    Raises:
        ValueError: If shapes and lengths differ, an embedding is zero or not finite, K is larger than the
            gallery, a query has no correct item, or all items are correct.

    Example:
        >>> found = rank_items([[1, 0], [1, 1]], [[1, 0], [0, 1]], ["cat", "dog"], ["cat", "dog"], ks=[1])
        >>> {name: score.value for name, score in score_rankings(found, num_resamples=0).items()}
        {'recall@1': 0.75, 'ndcg@1': 0.75, 'mean_rank': 1.25, 'mrr': 0.875, 'median_rank': 1.0}
    """
    left, right = unit_vectors(queries), unit_vectors(items)
    if left.shape[1] != right.shape[1]:
        raise ValueError(f"expected queries and items of one size, got {left.shape[1]} and {right.shape[1]}")
    if len(left) != len(query_labels) or len(right) != len(item_labels):
        raise ValueError(
            f"expected a label for each of {len(left)} queries and {len(right)} items, got "
            f"{len(query_labels)} and {len(item_labels)}"
        )
    wanted = _checked_ks(ks, len(right))
    labels = np.concatenate([np.asarray(query_labels, str), np.asarray(item_labels, str)])
    names, codes = np.unique(labels, return_inverse=True)
    asked, there = codes[: len(left)], codes[len(left) :]
    _check_labels(names, asked, there)
    blocks = range(0, len(left), _BLOCK)
    return Rankings.concatenate(
        [
            _rank(
                np.round(left[start : start + _BLOCK] @ right.T, _DECIMALS),
                asked[start : start + _BLOCK, None] == there,
                wanted,
            )
            for start in blocks
        ]
    )


def score_rankings(
    rankings: Rankings,
    groups: Sequence[str] | np.ndarray | None = None,
    n_way: int | None = None,
    num_resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, RetrievalScore]:
    """Average over queries, beside chance and a bootstrap interval.

    Args:
        rankings: From [`rank_items`].
        groups: (queries,) what the bootstrap draws, such as the image or the subject of each query; each
            query is its own if left out. The gallery stays as it is.
        n_way: Also score `top@K of n`: the correct item among n - 1 others drawn from the gallery, expected
            over all draws. Each query must have one correct item.
        num_resamples: Draws of the bootstrap; 0 for no interval.
        seed: Seed of the draws.
        level: Share of the draws between the ends of the interval.

    Returns:
        `recall@K` and `ndcg@K` for each K, `mean_rank`, `mrr`, `median_rank`, and with `n_way` `top@K of n`.

    Raises:
        ValueError: If there is not a group for each query, or `n_way` does not fit.
    """
    if groups is not None and len(groups) != len(rankings):
        raise ValueError(f"groups: expected one for each of {len(rankings)} queries, got {len(groups)}")
    if n_way is not None:
        _check_n_way(rankings, n_way)
    values, cases, ranks = _score_queries(rankings, n_way)
    chances, chance_cases, chance_ranks = _score_queries(rankings.shuffled(), n_way)
    owners = np.arange(len(rankings)) if groups is None else np.unique(groups, return_inverse=True)[1]
    table = np.stack([*values.values()], axis=1)  # (queries, metrics)
    draws = _bootstrap(table, cases, ranks, owners, num_resamples, seed)
    found = dict(zip(values, table.mean(axis=0), strict=True))
    found["median_rank"] = _medians(np.bincount(cases)[None] @ ranks)[0]
    expected = {name: of_queries.mean() for name, of_queries in chances.items()}
    expected["median_rank"] = _medians(np.bincount(chance_cases)[None] @ chance_ranks)[0]
    intervals = [percentile_interval(of_metric, [owners.max() + 1], level) for of_metric in draws.T]
    return {
        name: RetrievalScore(float(value), float(expected[name]), interval)
        for (name, value), interval in zip(found.items(), intervals, strict=True)
    }


def _rank(similarity: np.ndarray, is_correct: np.ndarray, ks: tuple[int, ...]) -> Rankings:
    """Rank the items (queries, items) of a block, those equally similar as one group."""
    order = np.argsort(-similarity, axis=1)
    ordered = np.take_along_axis(similarity, order, axis=1)
    correct = np.take_along_axis(is_correct, order, axis=1)
    is_new = np.ones(ordered.shape, bool)
    is_new[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    group = np.cumsum(is_new.ravel()) - 1
    size, hits = np.bincount(group), np.bincount(group, weights=correct.ravel())
    gain = (hits / size)[group].reshape(ordered.shape)  # expected gain at each rank
    better = (gain > 0).argmax(axis=1)
    first = group.reshape(ordered.shape)[np.arange(len(ordered)), better]
    num_correct = is_correct.sum(axis=1)
    most = max(ks)
    gained = np.cumsum(gain[:, :most] * _discounts(most), axis=1)[:, np.array(ks) - 1]
    return Rankings(
        ks=ks,
        better=better,
        tied=size[first],
        tied_correct=hits[first].astype(int),
        num_correct=num_correct,
        num_items=np.full(len(ordered), ordered.shape[1]),
        gains=gained / _ideal_gains(num_correct, ks),
    )


def _score_queries(
    rankings: Rankings, n_way: int | None
) -> tuple[dict[str, np.ndarray], np.ndarray, csr_array]:
    """Return scores and case of each query (queries,), and how likely a case has each rank (cases, ranks)."""
    columns = [rankings.better, rankings.tied, rankings.tied_correct, rankings.num_items]
    cases, of_query = np.unique(np.stack(columns, axis=1), axis=0, return_inverse=True)
    rows = []
    starts, places, chances = [0], [], []
    for better, tied, correct, num_items in cases.tolist():
        chance = _first_correct(tied, correct)
        ranks = better + 1 + np.arange(len(chance))
        row = {f"recall@{k}": chance[ranks <= k].sum() for k in rankings.ks}
        row |= {"mean_rank": chance @ ranks, "mrr": chance @ (1 / ranks)}
        if n_way is not None:  # better items among n - 1 of the others
            for k in (k for k in rankings.ks if k <= n_way):
                hit = hypergeom.cdf(k - 1, num_items - 1, ranks - 1, n_way - 1)
                row[f"top@{k} of {n_way}"] = chance @ hit
        rows.append(row)
        starts.append(starts[-1] + len(chance))
        places.append(ranks - 1)
        chances.append(chance)
    shape = (len(cases), int(rankings.num_items.max()))
    likely = csr_array((np.concatenate(chances), np.concatenate(places), starts), shape=shape)
    scores = {name: np.array([row[name] for row in rows])[of_query] for name in rows[0]}
    gains = {f"ndcg@{k}": rankings.gains[:, column] for column, k in enumerate(rankings.ks)}
    recalls = {f"recall@{k}": scores.pop(f"recall@{k}") for k in rankings.ks}
    return {**recalls, **gains, **scores}, of_query, likely


def _first_correct(tied: int, correct: int) -> np.ndarray:
    """Probability that the first of some correct items is the 1st, 2nd, … of all in random order."""
    wrong = np.arange(tied - correct + 1)
    is_next = correct / (tied - wrong)  # correct, after so many wrong ones
    return is_next * np.cumprod(np.concatenate([[1.0], 1 - is_next[:-1]]))


def _bootstrap(
    values: np.ndarray,
    cases: np.ndarray,
    ranks: csr_array,
    owners: np.ndarray,
    num_resamples: int,
    seed: int,
) -> np.ndarray:
    """Average over groups drawn with replacement, (resamples, metrics and the median rank)."""
    num_groups = int(owners.max()) + 1
    if num_groups < 2 or not num_resamples:
        return np.empty((0, values.shape[1] + 1))
    ones = np.ones(len(owners))
    is_of = csr_array((ones, (owners, np.arange(len(owners)))), shape=(num_groups, len(owners)))
    has_case = csr_array((ones, (owners, cases)), shape=(num_groups, ranks.shape[0]))
    sums, counts, ranks = is_of @ values, is_of @ ones, has_case @ ranks
    random, found = np.random.default_rng(seed), []
    for start in range(0, num_resamples, _DRAWS_AT_ONCE):
        number = min(_DRAWS_AT_ONCE, num_resamples - start)
        weights = random.multinomial(num_groups, np.full(num_groups, 1 / num_groups), number)
        means = (weights @ sums) / (weights @ counts)[:, None]
        found.append(np.column_stack([means, _medians(weights @ ranks)]))
    return np.concatenate(found)


def _medians(counts: np.ndarray) -> np.ndarray:
    """Medians of ranks, given how often each occurs (draws, ranks); between two, their mean."""
    share = np.cumsum(counts, axis=1)
    share = share / share[:, -1:]
    lower, upper = (share >= 0.5 - 1e-9).argmax(axis=1), (share > 0.5 + 1e-9).argmax(axis=1)
    return 1 + (lower + upper) / 2


def _discounts(number: int) -> np.ndarray:
    return 1 / np.log2(np.arange(number) + 2)


def _sums_of_discounts(ks: tuple[int, ...]) -> np.ndarray:
    return np.cumsum(_discounts(max(ks)))[np.array(ks) - 1]


def _ideal_gains(num_correct: np.ndarray, ks: tuple[int, ...]) -> np.ndarray:
    """Gain where all correct items come first, (queries, ks)."""
    filled = np.minimum(num_correct[:, None], ks)
    return np.cumsum(_discounts(max(ks)))[filled - 1]


def _checked_ks(ks: Sequence[int], num_items: int) -> tuple[int, ...]:
    wanted = tuple(dict.fromkeys(ks))
    if not wanted or any(k < 1 or k != int(k) for k in wanted):
        raise ValueError(f"K: expected whole numbers from 1, got {list(ks)}")
    if max(wanted) > num_items:
        raise ValueError(
            f"K: the gallery has {num_items} items, {max(wanted)} is more: take a K of at most that"
        )
    return wanted


def _check_labels(names: np.ndarray, asked: np.ndarray, there: np.ndarray) -> None:
    missing = np.setdiff1d(asked, there)
    if len(missing):
        raise ValueError(
            f"{np.isin(asked, missing).sum()} of {len(asked)} queries have no correct item in the gallery, "
            f"first {str(names[missing[0]])!r}: add it, or leave these queries out"
        )
    if len(np.unique(there)) == 1:
        raise ValueError(
            f"all {len(there)} items are {str(names[there[0]])!r}: expected two or more to choose from"
        )


def _check_n_way(rankings: Rankings, n_way: int) -> None:
    fewest = int(rankings.num_items.min())
    if not 2 <= n_way <= fewest:
        raise ValueError(f"n_way: expected 2 to {fewest}, the size of the gallery, got {n_way}")
    if (rankings.num_correct > 1).any():
        raise ValueError("n_way: expected one correct item for each query, got several: leave it out")
