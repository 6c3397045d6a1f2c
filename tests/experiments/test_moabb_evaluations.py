# SPDX-License-Identifier: Apache-2.0
"""Estimators in MOABB's evaluations, whose figures are those of our folds on the same splits."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from eeg_hf import EEGClassifier, EEGFeatureExtractor, load_windows
from eeg_hf.corpora import prepare
from eeg_hf.corpora.moabb import MOABB
from eeg_hf.corpora.windows.protocols import protocol_folds

pytest.importorskip("moabb")

from moabb.datasets.fake import FakeDataset  # noqa: E402
from moabb.evaluations import (  # noqa: E402
    CrossSessionEvaluation,
    CrossSubjectEvaluation,
    WithinSessionEvaluation,
)
from moabb.paradigms import LeftRightImagery  # noqa: E402

RATE, SAMPLES = 128, 384
NAMES = ["C3", "Cz", "C4"]


@pytest.fixture(scope="module")
def dataset():
    return FakeDataset(
        n_subjects=2,
        n_sessions=2,
        n_runs=1,
        duration=50,
        n_events=10,
        event_list=("left_hand", "right_hand"),
        seed=0,
    )


@pytest.fixture(scope="module")
def windows(dataset, tmp_path_factory):
    """Return the same epochs as a prepared corpus."""
    folder = tmp_path_factory.mktemp("moabb")
    extractor = EEGFeatureExtractor(RATE, None, None, reference="original", window_seconds=3.0)
    corpus = MOABB(dataset, paradigm="LeftRightImagery")
    prepare(corpus, folder / "out", extractor, root=folder, segments="events")
    return load_windows(folder / "out")


def classifier(**described):
    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    return EEGClassifier(normalization="zscore", config=small, **described)


def cut(trials):
    """Return MNE's epochs without their last sample, which windows do not have."""
    return trials[..., :SAMPLES]


def score_of_folds(windows, protocol):
    """Return the AUROC of each fold, by tested subject and session."""
    scores = {}
    for parts in protocol_folds(windows, protocol, label_column="event", num_validation_subjects=0):
        train, test = parts["train"], parts["test"]
        model = classifier().fit(train, train["event"][:])
        said = model.predict_proba(test)[:, 1]
        for session in sorted(set(test["session"])):
            rows = np.array(test["session"][:]) == session
            labels = np.array(test["event"][:])[rows] == "right_hand"
            scores[test["subject"][0], session] = roc_auc_score(labels, said[rows])
    return scores


@pytest.mark.parametrize(
    ("evaluation", "protocol"),
    [
        (CrossSessionEvaluation, "cross-session"),
        (CrossSubjectEvaluation, "cross-subject"),
        pytest.param(WithinSessionEvaluation, None, marks=pytest.mark.slow),
    ],
)
def test_the_figures_of_moabb_are_those_of_our_folds(
    evaluation, protocol, dataset, windows, tmp_path, monkeypatch
):
    monkeypatch.setenv("MNE_DATA", str(tmp_path))
    whole = make_pipeline(FunctionTransformer(cut), classifier(sampling_rate=RATE, channel_names=NAMES))
    found = evaluation(
        paradigm=LeftRightImagery(),
        datasets=[dataset],
        overwrite=True,
        hdf5_path=str(tmp_path),
        random_state=1,
    ).process({"ours": whole})
    if protocol is None:
        assert len(found) == 4 and found["score"].between(0, 1).all()
        return
    expected = score_of_folds(windows, protocol)
    assert len(found) == len(expected) == 4
    for _, row in found.iterrows():
        assert row["score"] == pytest.approx(expected[str(row["subject"]), str(row["session"])], abs=1e-6)
