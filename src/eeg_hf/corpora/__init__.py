# SPDX-License-Identifier: Apache-2.0
"""Corpora: their recordings are found and described, cut into windows, and split by subject."""

import inspect
from typing import Any

from ..suggestions import did_you_mean
from .bids_corpus import BIDSCorpus
from .bonn import Bonn
from .chbmit import CHBMIT
from .corpus import Corpus, Event, Recording
from .eegmat import EEGMAT
from .eegmmidb import EEGMMIDB
from .folder import FolderCorpus
from .hbn import HBN
from .hms import HMS, read_spectrogram
from .isc_video import ISCVideo
from .moabb import MOABB
from .recordings.formats import read_recording
from .recordings.recording_audit import audit_recordings
from .simulated import Simulated
from .simulated_film import SimulatedFilm
from .simulated_things import SimulatedThings
from .sleep_edf import SleepEDF
from .things_eeg1 import ThingsEEG1
from .things_eeg2 import ThingsEEG2
from .tuh import TUAB, TUEG, TUEV
from .windows.alignment import load_alignments
from .windows.audit import audit
from .windows.label_table import LabelTable
from .windows.leaks import LeakError, check_disjoint
from .windows.mixture import mixture
from .windows.prepare import prepare
from .windows.prepared import drop_unlabelled, load_windows, with_classes
from .windows.protocols import protocol_folds
from .windows.seen_windows import ContaminationError, SeenWindows
from .windows.split_contents import SplitContents
from .windows.split_methods import split_for_pretraining, split_windows
from .windows.splits import (
    cross_splits,
    folds,
    leave_out,
    official_split,
    split_by,
    take_validation,
)

_ALL: tuple[type[Corpus], ...] = (
    *(EEGMAT, EEGMMIDB, TUEG, TUAB, TUEV, HBN, MOABB, ThingsEEG1, ThingsEEG2, HMS),
    *(SleepEDF, CHBMIT, Bonn, ISCVideo, BIDSCorpus, FolderCorpus, Simulated, SimulatedFilm, SimulatedThings),
)
CORPORA: dict[str, type[Corpus]] = {corpus.name: corpus for corpus in _ALL}


def get_corpus(name: str, /, **options: Any) -> Corpus:
    """Return a corpus by its name.

    Args:
        name: One of `CORPORA`.
        **options: Arguments of its class, such as `num_subjects` of the simulated corpus; and `follow_links`,
            whether links out of its folder are followed.

    Raises:
        ValueError: If there is no such corpus or option.

    Example:
        >>> get_corpus("eegmat").licence
        'ODC-By-1.0'
        >>> len(get_corpus("simulated", num_subjects=3).recordings())
        6
    """
    if name not in CORPORA:
        hint = did_you_mean(name, CORPORA) or f": expected one of {', '.join(sorted(CORPORA))}"
        raise ValueError(f"unknown corpus {name!r}{hint}")
    follow_links = bool(options.pop("follow_links", False))
    known = list(inspect.signature(CORPORA[name]).parameters)
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise ValueError(
            f"corpus {name} has no option {', '.join(unknown)}: expected one of {', '.join(known) or 'none'}"
        )
    corpus = CORPORA[name](**options)
    corpus.follow_links = follow_links
    return corpus


__all__ = [
    "BIDSCorpus",
    "Bonn",
    "CHBMIT",
    "CORPORA",
    "Corpus",
    "EEGMAT",
    "EEGMMIDB",
    "Event",
    "FolderCorpus",
    "HBN",
    "HMS",
    "ISCVideo",
    "LabelTable",
    "ContaminationError",
    "LeakError",
    "SeenWindows",
    "SplitContents",
    "MOABB",
    "Recording",
    "Simulated",
    "SimulatedFilm",
    "SimulatedThings",
    "SleepEDF",
    "TUAB",
    "TUEG",
    "TUEV",
    "ThingsEEG1",
    "ThingsEEG2",
    "audit",
    "audit_recordings",
    "check_disjoint",
    "cross_splits",
    "drop_unlabelled",
    "folds",
    "get_corpus",
    "leave_out",
    "load_alignments",
    "load_windows",
    "mixture",
    "official_split",
    "prepare",
    "protocol_folds",
    "read_recording",
    "read_spectrogram",
    "split_by",
    "split_for_pretraining",
    "split_windows",
    "with_classes",
    "take_validation",
]
