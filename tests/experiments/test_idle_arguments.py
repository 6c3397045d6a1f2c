# SPDX-License-Identifier: Apache-2.0
"""Options of commands that would change nothing are refused."""

import pytest

from eeg_hf.experiments.classifiers.arguments import EvaluateArguments, FinetuneArguments, find_idle
from eeg_hf.experiments.preparation import build_extractor
from eeg_hf.experiments.preparation_arguments import SignalArguments
from eeg_hf.experiments.split_arguments import SplitArguments


@pytest.mark.parametrize(
    ("given", "how", "message"),
    [
        ({"split": "official", "fold": 2}, {}, "--fold: no effect with --split official"),
        ({"split": "subject", "num_folds": 3}, {}, "--num_folds: no effect with --split subject"),
        (
            {"split": "official", "split_column": "session"},
            {},
            "--split_column: no effect with --split official",
        ),
        ({"num_validation_subjects": 4}, {}, "--num_validation_subjects: no effect with --split official"),
        (
            {"split": "session", "num_validation_subjects": 0},
            {},
            "--num_validation_subjects: no effect with --split session",
        ),
        ({"fold": 1}, {"folds": 5}, "--fold: no effect with --folds 5"),
        (
            {"split_column": "session", "fold": 1},
            {"protocol": "cross-session"},
            "--fold, --split_column: no effect",
        ),
    ],
)
def test_options_of_another_split_are_refused(given, how, message):
    with pytest.raises(ValueError, match=message):
        SplitArguments(**given).refuse_idle(**how)


@pytest.mark.parametrize(
    ("given", "how"),
    [
        ({"split": "fold", "num_folds": 3, "fold": 1, "split_column": "session"}, {}),
        ({"split": "official+leave_out:08", "split_column": "session"}, {}),
        ({"split": "cross-session", "num_folds": 2, "fold": 1}, {}),
        ({"split": "fold", "num_folds": 2, "split_column": "session"}, {"folds": 2}),
        ({"num_validation_subjects": 1}, {"protocol": "cross-subject"}),
        ({"num_validation_subjects": 1}, {"folds": 3}),
        ({"split": "leave_out:08", "num_validation_subjects": 2}, {}),
    ],
)
def test_options_that_count_pass(given, how):
    SplitArguments(**given).refuse_idle(**how)


def test_weights_that_a_baseline_cannot_take_are_refused():
    given = {"data": "d", "label_column": "c"}
    with pytest.raises(ValueError, match="--model w: no effect with --architecture eegnet"):
        FinetuneArguments(**given, model="w", architecture="eegnet").check()
    with pytest.raises(ValueError, match="--contaminated mark: no effect without --model"):
        FinetuneArguments(**given, contaminated="mark").check()
    FinetuneArguments(**given, model="w", contaminated="mark").check()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"missing_channels": "mask"}, "--missing_channels mask: no effect without --channels"),
        (
            {"channels": ["Cz"], "unknown_channels": "drop"},
            "--unknown_channels drop: no effect with --channels",
        ),
    ],
)
def test_settings_of_channels_that_there_are_not_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        build_extractor(SignalArguments(**given), 5.0)


def test_a_line_frequency_that_is_no_number_is_named():
    with pytest.raises(ValueError, match="notch_hz: expected a frequency in Hz or auto, got 'fifty'"):
        build_extractor(SignalArguments(notch_hz="fifty"), 5.0)


def test_settings_of_channels_that_count_pass():
    build_extractor(SignalArguments(missing_channels="interpolate"), 5.0)  # dead channels are filled
    build_extractor(SignalArguments(channels=["Cz"], missing_channels="mask"), 5.0)


def test_a_table_of_nothing_is_refused():
    given = {"data": ["d"], "label_column": "c", "output_dir": "o"}
    with pytest.raises(ValueError, match="nothing to compare: expected --runs, --model, --methods, --strat"):
        EvaluateArguments(**given, baselines=False).check()
    with pytest.raises(
        ValueError, match="--contaminated mark: no effect without --runs, --model or --codecs"
    ):
        EvaluateArguments(**given, contaminated="mark").check()


@pytest.mark.parametrize(
    ("architecture", "head", "is_idle"),
    [
        ("eeg_foundation", "convex", True),
        ("eeg_foundation", "both", False),
        ("tangent_space", "finetune", True),
        ("tangent_space, band_power", "convex", True),
        ("eeg_foundation,tangent_space", "convex", True),
        ("tangent_space,eegnet", "convex", False),
        ("braindecode/EEGConformer", "convex", False),
    ],
)
def test_settings_of_epochs_count_where_something_is_trained(architecture, head, is_idle):
    found = find_idle({"architecture": architecture, "head": head})
    assert ("learning_rate" in found) == is_idle
