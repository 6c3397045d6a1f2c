# SPDX-License-Identifier: Apache-2.0
"""Corpora: recordings found and described, cut into windows, split by subject."""

from .alignment import load_alignments
from .corpus import Corpus, Recording
from .eegmat import EEGMAT
from .eegmmidb import EEGMMIDB
from .prepared import drop_unlabelled, load_windows, split_for_pretraining, split_windows
from .simulated import Simulated
from .splits import LeakError, check_disjoint, official_split, split_by_subject, subject_folds
from .windows import prepare

CORPORA: dict[str, Corpus] = {corpus.name: corpus for corpus in (EEGMAT(), EEGMMIDB(), Simulated())}


def get_corpus(name: str) -> Corpus:
    """Return a corpus by its name.

    Args:
        name: One of `CORPORA`.

    Raises:
        ValueError: If there is no such corpus, listing those there are.

    Example:
        >>> get_corpus("eegmat").licence
        'ODC-By-1.0'
    """
    if name not in CORPORA:
        raise ValueError(f"unknown corpus {name!r}: expected one of {', '.join(sorted(CORPORA))}")
    return CORPORA[name]


__all__ = [
    "CORPORA",
    "EEGMAT",
    "EEGMMIDB",
    "Corpus",
    "LeakError",
    "Recording",
    "Simulated",
    "check_disjoint",
    "drop_unlabelled",
    "get_corpus",
    "load_alignments",
    "load_windows",
    "official_split",
    "prepare",
    "split_by_subject",
    "split_for_pretraining",
    "split_windows",
    "subject_folds",
]
