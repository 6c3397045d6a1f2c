# SPDX-License-Identifier: Apache-2.0
"""The responses that the tool adds are where its annotations say."""

import importlib
import sys
from argparse import Namespace

import mne
import numpy as np
import pytest
from tests.conftest import ROOT


@pytest.fixture
def tool(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(ROOT / "tools"), *sys.path])
    return importlib.import_module("write_locked_responses")


@pytest.mark.parametrize(("kind", "names"), [("evoked", {"standard", "target"}), ("steady", 4)])
def test_responses_are_at_their_annotations(tool, kind, names):
    info = mne.create_info(["C3", "C4", "O1", "O2"], tool.RATE, "eeg")
    raw = mne.io.RawArray(np.zeros((4, int(30 * tool.RATE))), info, verbose="ERROR")
    args = Namespace(seconds=0.8, events=12, microvolts=4.0)
    tool.add_responses(raw, getattr(tool, f"{kind}_responses"), args, np.random.default_rng(0))
    found = raw.annotations
    said = set(found.description)
    assert len(found) == 12 and (said == names if isinstance(names, set) else len(said) == names)
    is_inside = np.zeros(raw.n_times, bool)
    for onset in found.onset:
        start = round(onset * tool.RATE)
        is_inside[start : start + round(0.8 * tool.RATE)] = True
    signal = raw.get_data()
    assert np.abs(signal[:, is_inside]).max() > 1e-6 and not signal[:, ~is_inside].any()
