# SPDX-License-Identifier: Apache-2.0
import pytest

from eeg_hf.corpora import Event
from eeg_hf.corpora.windows.window_plan import WindowPlan


@pytest.mark.parametrize(
    ("num_samples", "stride", "expected"),
    [
        (1000, 2.0, [0, 200, 400, 600, 800]),
        (999, 2.0, [0, 200, 400, 600]),
        (450, 1.0, [0, 100, 200]),
        (199, 2.0, []),
    ],
)
def test_fixed_windows_fill_the_recording_and_never_pass_its_end(num_samples, stride, expected):
    cuts = WindowPlan("fixed", 2.0, stride).cut(num_samples, 100.0)
    assert cuts.starts.tolist() == expected and cuts.events == [None] * len(expected)
    assert cuts.dropped == {}


def test_event_windows_start_at_the_event_and_those_that_do_not_fit_are_counted():
    events = [
        Event(0.2, 1.0, "early"),
        Event(3.0, 1.0, "fits"),
        Event(9.0, 1.0, "late"),
        Event(5.001, 0.0, "rounded"),
        Event(3.0, 1.0, "fits"),
    ]
    cuts = WindowPlan("events", 2.0, 2.0, tmin=-0.5).cut(1000, 100.0, events)
    assert cuts.starts.tolist() == [250, 450] and [e.name for e in cuts.events] == ["fits", "rounded"]
    assert cuts.dropped == {"outside": 2, "repeated": 1}


def test_events_are_chosen_and_named_by_a_fixed_map():
    events = [Event(1.0, 1.0, "T1", {"side": "left"}), Event(3.0, 1.0, "T0"), Event(5.0, 1.0, "T2")]
    cuts = WindowPlan("events", 2.0, 2.0, event_labels={"T1": "left", "T2": "right"}).cut(1000, 100.0, events)
    assert [(e.name, dict(e.labels)) for e in cuts.events] == [("left", {"side": "left"}), ("right", {})]
    assert cuts.dropped == {"unnamed": 1}


def test_spaces_in_the_name_of_an_event_do_not_matter():
    events = [Event(1.0, 0.0, "Stimulus/S  1"), Event(2.0, 0.0, "Stimulus/S 12")]
    cuts = WindowPlan("events", 1.0, 1.0, event_labels={"Stimulus/S 1": "face"}).cut(1000, 100.0, events)
    assert [e.name for e in cuts.events] == ["face"] and cuts.dropped == {"unnamed": 1}


def test_windows_of_annotations_stay_inside_their_span():
    spans = [Event(0.0, 5.0, "W"), Event(5.0, 1.5, "N1"), Event(6.5, 6.0, "N2")]
    cuts = WindowPlan("annotations", 2.0, 2.0).cut(1000, 100.0, spans)
    assert cuts.starts.tolist() == [0, 200, 650] and [e.name for e in cuts.events] == ["W", "W", "N2"]
    assert cuts.dropped == {"too_short": 1}  # the last span runs past the recording's end and is cut there


def test_windows_touching_a_bad_stretch_or_crossing_an_edge_are_counted():
    spans = [(4.5, 4.6), (8.0, 8.0), (13.0, 13.0)]
    cuts = WindowPlan("fixed", 2.0, 2.0).cut(1600, 100.0, bad_spans=spans)
    assert cuts.starts.tolist() == [0, 200, 600, 800, 1000, 1400]  # the edge at 8 s is between two windows
    assert cuts.dropped == {"annotated": 2}


@pytest.mark.parametrize("plan", [("bogus", 2.0, 2.0), ("fixed", 0.0, 2.0), ("fixed", 2.0, -1.0)])
def test_impossible_plans_are_refused(plan):
    with pytest.raises(ValueError, match="segments must be|must exceed 0 s"):
        WindowPlan(*plan)
