# SPDX-License-Identifier: Apache-2.0
"""A paragraph for the methods section of a paper, with what to cite."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from ..classifiers.choosing import Choice
from .plan import Plan
from .question import Question

_CLASSES = "Scores are balanced accuracy and AUROC, as the mean over folds"
_NUMBERS = "Scores are R², the mean absolute error and NRMSE of all folds together"
_BANDS = "cross-spectra of twelve bands, recentred, in their tangent space"
_AT_EVENTS = (
    "cross-spectra of twelve bands, or of bands of 1 Hz, recentred, in their tangent space, the time course "
    "up to 12 Hz, or both, as inner folds of the training subjects prefer"
)

REFERENCES = (
    "Gramfort et al. 2013, MEG and EEG data analysis with MNE-Python, https://doi.org/10.3389/fnins.2013.00267",
    "Barachant et al. 2012, Multiclass brain-computer interface classification by Riemannian geometry, "
    "https://doi.org/10.1109/TBME.2011.2172210",
    "Zanini et al. 2018, Transfer learning: a Riemannian geometry framework, "
    "https://doi.org/10.1109/TBME.2017.2742541",
    "Kumar et al. 2022, Fine-tuning can distort pretrained features, https://arxiv.org/abs/2202.10054",
)


def methods_paragraph(
    table: pd.DataFrame,
    question: Question,
    plan: Plan,
    windows: str,
    provenance: Mapping[str, Any],
    kept: Choice | None = None,
    are_at_events: bool = False,
) -> str:
    """Return the paragraph.

    Args:
        table: Recordings that were used, as `read_facts` returns them.
        question: What was asked.
        plan: How they were prepared and divided.
        windows: What they were cut into, see `describe_windows`.
        provenance: Of the table of results, see `collect_provenance`.
        kept: How the model that is kept was chosen.
        are_at_events: Whether every window was cut at an event.
    """
    recordings = table.drop_duplicates("file")
    hours = recordings["seconds"].sum() / 3600
    label = question.label
    electrodes = plan.channels or table["channels"].iloc[0]
    count = "one electrode" if len(electrodes) == 1 else f"{len(electrodes)} electrodes"
    reference = "set to the average reference" if plan.reference == "average" else "left in its reference"
    packages = provenance.get("packages", {})
    return (
        f"{len(recordings)} recordings ({hours:.1f} h) of {table['subject'].nunique()} subjects were "
        f"labelled by {label}: {_describe_labels(table, question)}. EEG of {count} was "
        f"filtered from 0.5 to {plan.lowpass_hz:g} Hz, with a notch filter where line noise was found, "
        f"resampled to {plan.sampling_rate:g} Hz, {reference} and cut into "
        f"{windows}. Methods were compared by {plan.folds}-fold cross-validation over "
        "subjects: no subject was in training and test. Penalties were chosen by inner folds of the training "
        f"subjects. {_NUMBERS if question.is_regression else _CLASSES} with a 95 % bootstrap interval over "
        "subjects; methods were compared by the paired difference over subjects. The linear model of eeg_hf "
        f"reads {_AT_EVENTS if are_at_events else _BANDS}. "
        f"{_describe_choice(kept)}eeg_hf {packages.get('eeg-hf', '')}, MNE-Python "
        f"{packages.get('mne', '')}, PyTorch {packages.get('torch', '')}, "
        f"scikit-learn {packages.get('scikit-learn', '')}."
    )


def describe_windows(plan: Plan, number: int, are_at_events: bool) -> str:
    """Return how windows were cut: one after another, or at events."""
    if not are_at_events:
        return f"{number:,} windows of {plan.window_seconds:g} s"
    end = plan.tmin + plan.window_seconds
    words = f"{number:,} windows from {plan.tmin:g} to {end:g} s of an event"
    if plan.baseline:
        words += f", less the mean of each channel from {plan.baseline[0]:g} to {plan.baseline[1]:g} s"
    return words + (f", each the mean of {plan.average} trials of the same event" if plan.average > 1 else "")


def _describe_choice(kept: Choice | None) -> str:
    """Return how the model that is kept was chosen."""
    if kept is None:
        return ""
    names = ", ".join(kept.scores)
    how = f"chosen by inner folds of subjects among {names}"
    return f"The model that is kept ({kept.architecture}) was {how}. "


def _describe_labels(table: pd.DataFrame, question: Question) -> str:
    """Return how many recordings each class has, or the range of the numbers."""
    known = table[question.label]
    if question.is_regression:
        spread = f"standard deviation {known.std():.3g}"
        return f"{known.min():g} to {known.max():g}, mean {known.mean():.4g}, {spread}"
    return ", ".join(f"{name} ({count})" for name, count in known.value_counts().items()) + " recordings"
