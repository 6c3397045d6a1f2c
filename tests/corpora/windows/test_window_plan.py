# SPDX-License-Identifier: Apache-2.0
import numpy as np
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


@pytest.mark.parametrize("key", ["Stimulus/S 1", "S  1", "S1"])
def test_an_event_is_named_without_its_spaces_and_its_kind(key):
    events = [Event(1.0, 0.0, "Stimulus/S  1"), Event(2.0, 0.0, "Stimulus/S 12")]
    plan = WindowPlan("events", 1.0, 1.0, event_labels={key: "face"})
    cuts = plan.cut(1000, 100.0, events)
    assert [e.name for e in cuts.events] == ["face"] and cuts.dropped == {"unnamed": 1}
    assert plan.named(events) == [key]


def test_the_whole_name_of_an_event_goes_before_its_end():
    labels = {"R  1": "any", "Response/R 1": "press"}
    events = [Event(1.0, 0.0, "Response/R  1"), Event(3.0, 0.0, "Other/R  1")]
    cuts = WindowPlan("events", 1.0, 1.0, event_labels=labels).cut(1000, 100.0, events)
    assert [e.name for e in cuts.events] == ["press", "any"]


def test_windows_of_annotations_stay_inside_their_span():
    spans = [Event(0.0, 5.0, "W"), Event(5.0, 1.5, "N1"), Event(6.5, 6.0, "N2")]
    cuts = WindowPlan("annotations", 2.0, 2.0).cut(1000, 100.0, spans)
    assert cuts.starts.tolist() == [0, 200, 650] and [e.name for e in cuts.events] == ["W", "W", "N2"]
    assert cuts.dropped == {"too_short": 1}  # the last span runs past the recording's end and is cut there


@pytest.mark.parametrize("onset", [0.0, 0.8867, 3.1415926, 7.4949, -2.6])
@pytest.mark.parametrize("rate", [100.0, 200.0, 256.0])
def test_windows_inside_a_film_know_their_second_of_it_whatever_the_onset(onset, rate):
    film = Event(onset, 30.0, "film", {"stimulus": "clip", "stimulus_seconds": 10.0})
    cuts = WindowPlan("annotations", 2.0, 0.5).cut(round(60 * rate), rate, [film, Event(50.0, 4.0, "other")])
    films = [event for event in cuts.events if event.name == "film"]
    first = 3.0 if onset < 0 else 0.0  # the recording begins 2.6 s into it: the next half second is 3.0
    assert [e.labels["stimulus_seconds"] for e in films] == np.arange(10 + first, 38.01, 0.5).tolist()
    shown = np.array([e.labels["stimulus_seconds"] for e in films]) - 10 + onset
    assert np.abs(cuts.starts[: len(films)] / rate - shown).max() <= 0.5 / rate + 1e-9
    assert [dict(e.labels) for e in cuts.events[len(films) :]] == [{}] * 5  # no film, no second
    assert {e.labels["stimulus"] for e in films} == {"clip"}


@pytest.mark.parametrize(("known", "expected"), [(10.0, 9.5), (None, None)])
def test_windows_at_events_know_the_second_of_their_start(known, expected):
    mark = Event(3.3337, 5.0, "mark", {"stimulus_seconds": known})
    cuts = WindowPlan("events", 2.0, 2.0, tmin=-0.5).cut(1000, 100.0, [mark])
    assert [e.labels["stimulus_seconds"] for e in cuts.events] == [expected]


def test_windows_touching_a_bad_stretch_or_crossing_an_edge_are_counted():
    spans = [(4.5, 4.6), (8.0, 8.0), (13.0, 13.0)]
    cuts = WindowPlan("fixed", 2.0, 2.0).cut(1600, 100.0, bad_spans=spans)
    assert cuts.starts.tolist() == [0, 200, 600, 800, 1000, 1400]  # the edge at 8 s is between two windows
    assert cuts.dropped == {"annotated": 2}


@pytest.mark.parametrize("plan", [("bogus", 2.0, 2.0), ("fixed", 0.0, 2.0), ("fixed", 2.0, -1.0)])
def test_impossible_plans_are_refused(plan):
    with pytest.raises(ValueError, match="segments must be|must exceed 0 s"):
        WindowPlan(*plan)
