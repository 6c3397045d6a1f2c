# SPDX-License-Identifier: Apache-2.0
"""Phases as data: what a recipe may say, and what a finished phase leaves behind."""

import json

import pytest

from eeg_hf.training import (
    Pairs,
    Phase,
    is_finished,
    mark_finished,
    mark_started,
    parse_phases,
    read_finished,
)

MASKED = {"name": "masked", "data": {"a": 0.7, "b": 0.3}, "auxiliary": "hbn"}
CONTRAST = {"name": "contrast", "data": "film", "pairs": {"stimulus": "film", "seconds": "second"}}
FINE_TUNE = {"name": "tuned", "data": ["a"], "objective": "classification", "label_column": "task"}
PHASES = [MASKED, CONTRAST, FINE_TUNE]


def parse(*phases, **options):
    return parse_phases(list(phases), **options)


def test_phases_are_read_in_order():
    masked, contrast, tuned = parse(*PHASES)
    assert masked.data == {"a": 0.7, "b": 0.3} and masked.sources == ["a", "b"] and masked.is_pretraining
    assert contrast.data == ["film"] and contrast.pairs == Pairs("film", "second", subjects_per_time=4)
    assert tuned.objective == "classification" and not tuned.is_pretraining
    assert (tuned.carry, tuned.freeze_epochs, tuned.layer_decay) == ("all", 0.0, 1.0)
    assert parse(json.loads(json.dumps(contrast.to_dict()))) == [contrast]


def test_a_phase_can_be_left_out():
    assert [phase.name for phase in parse(*PHASES, leave_out=["contrast"])] == ["masked", "tuned"]
    assert [phase.name for phase in parse(*PHASES, leave_out=["masked", "contrast"])] == ["tuned"]


@pytest.mark.parametrize(
    ("leave_out", "message"),
    [
        (["contrst"], "leave_out: no phase 'contrst', did you mean 'contrast'?"),
        (["contrast", "zzz"], "leave_out: no phase 'zzz', expected one of masked, contrast, tuned"),
        (["masked", "contrast", "tuned"], "leave_out leaves none"),
    ],
)
def test_what_cannot_be_left_out_is_refused(leave_out, message):
    with pytest.raises(ValueError, match=message):
        parse(*PHASES, leave_out=leave_out)


def test_a_phase_may_come_after_any_before_it():
    tuned = {**FINE_TUNE, "after": "masked"}
    assert parse(MASKED, CONTRAST, tuned)[2].after == "masked"
    assert parse({**MASKED, "after": "start"})[0].after == "start"
    with pytest.raises(ValueError, match="'tuned': after must name a phase before it, got 'maskd', did you"):
        parse(MASKED, {**tuned, "after": "maskd"})
    with pytest.raises(ValueError, match="'tuned': after must name a phase before it, got 'masked'"):
        parse(tuned, MASKED)
    with pytest.raises(ValueError, match="phase 'tuned' comes after 'masked', which is left out"):
        parse(MASKED, CONTRAST, tuned, leave_out=["masked"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"freze_epochs": 2}, "phase 'it': unknown field 'freze_epochs', did you mean 'freeze_epochs'?"),
        ({"zzz": 2}, "phase 'it': unknown field 'zzz', expected one of name, data"),
        ({"pairs": {"stimulus": "s", "second": "t"}}, "'it', pairs: .*'second', did you mean 'seconds'?"),
        ({"pairs": {"seconds": "t"}}, "phase 'it', pairs: lacks stimulus"),
        ({"pairs": "film"}, "phase 'it', pairs: expected fields and values, got 'film'"),
        ({"objective": "pretrain"}, "'it': objective must be one of pretraining, .*, got 'pretrain'"),
        ({"carry": "heads"}, "'it': carry must be one of all, encoder, none, got 'heads'"),
        ({"label_column": "task"}, "'it': objective 'pretraining' takes no label_column"),
        ({"objective": "regression"}, "'it': objective 'regression' takes a label_column"),
        (
            {"objective": "regression", "label_column": "age", "auxiliary": "hbn"},
            "'it': pairs and auxiliary are for objective 'pretraining'",
        ),
        ({"data": []}, "'it': data must name prepared corpora"),
        ({"data": 5}, "'it': data must name prepared corpora"),
        ({"data": {"a": 0.5, "b": 0}}, "'it': data must .* a weight above 0, got {'a': 0.5, 'b': 0}"),
        ({"data": {"a": "much"}}, "'it': data must .* a weight above 0"),
        ({"name": ""}, "phase '': expected a name that can be a folder's"),
        ({"name": "a/b"}, "phase 'a/b': expected a name that can be a folder's"),
        ({"name": "../b"}, "expected a name that can be a folder's"),
        ({"name": "start"}, "phase 'start': expected a name that can be a folder's"),
        ({"name": 1}, "phase 1: expected a name that can be a folder's"),
    ],
)
def test_a_phase_that_cannot_be_is_refused_in_one_line(changes, message):
    with pytest.raises(ValueError, match=message) as error:
        parse({"name": "it", "data": ["a"], **changes})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("entries", [[], {}, ["masked"], "masked", 3])
def test_what_is_no_list_of_phases_is_refused(entries):
    with pytest.raises(ValueError, match="phases: expected a list of phases, each with name and data"):
        parse_phases(entries)


def test_two_phases_of_one_name_and_a_phase_without_are_refused():
    with pytest.raises(ValueError, match="expected different names, got masked, masked"):
        parse(MASKED, MASKED)
    with pytest.raises(ValueError, match="phase 2: lacks name"):
        parse(MASKED, {"data": ["a"]})
    with pytest.raises(ValueError, match="phase 'it': lacks data"):
        parse({"name": "it"})


DESCRIPTION = {"phase": Phase("masked", ("a", "b")).to_dict(), "seed": 0, "earlier": None}


def test_a_finished_phase_is_known_by_its_description(tmp_path):
    assert not is_finished(tmp_path, DESCRIPTION)
    mark_finished(tmp_path, DESCRIPTION, {"steps": 7})
    assert is_finished(tmp_path, DESCRIPTION)
    assert is_finished(tmp_path, {**DESCRIPTION, "phase": {**DESCRIPTION["phase"], "data": ("a", "b")}})
    assert read_finished(tmp_path) == {"description": DESCRIPTION, "steps": 7}
    assert [path.name for path in tmp_path.iterdir()] == ["phase.json"]  # no half of it is left


@pytest.mark.parametrize(
    ("changes", "named"),
    [({"seed": 1}, "seed"), ({"earlier": "x", "seed": 1}, "earlier, seed"), ({"split": {}}, "split")],
)
def test_a_phase_that_was_trained_as_something_else_is_refused(tmp_path, changes, named):
    mark_finished(tmp_path, DESCRIPTION, {})
    with pytest.raises(ValueError, match=f"trained with another {named}: choose another output_dir"):
        is_finished(tmp_path, {**DESCRIPTION, **changes})


def test_a_phase_that_was_begun_as_something_else_is_refused(tmp_path):
    mark_started(tmp_path / "masked", DESCRIPTION)
    assert not is_finished(tmp_path / "masked", DESCRIPTION)
    with pytest.raises(ValueError, match="trained with another seed"):
        is_finished(tmp_path / "masked", {**DESCRIPTION, "seed": 1})


def test_half_of_a_report_does_not_finish_a_phase(tmp_path):
    with pytest.raises(TypeError, match="not JSON serializable"):
        mark_finished(tmp_path, DESCRIPTION, {"model": object()})
    assert not is_finished(tmp_path, DESCRIPTION)
    (tmp_path / "phase.partial").write_text('{"description"')  # as a power cut leaves it
    assert not is_finished(tmp_path, DESCRIPTION)
    mark_finished(tmp_path, DESCRIPTION, {})
    mark_finished(tmp_path, DESCRIPTION, {"steps": 8})
    assert read_finished(tmp_path)["steps"] == 8
