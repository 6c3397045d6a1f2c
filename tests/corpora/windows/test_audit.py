# SPDX-License-Identifier: Apache-2.0
"""Faults put into prepared windows on purpose, each of which must be named."""

import json

import numpy as np
import pytest
from datasets import Dataset, DatasetDict

from eeg_hf.corpora import audit, load_windows


def change(windows: Dataset, **columns: list) -> Dataset:
    for name, values in columns.items():
        feature = windows.features[name]
        windows = windows.remove_columns(name).add_column(name, values, feature=feature)
    return windows


def scaled(windows: Dataset, rows: list[int], factor: float) -> Dataset:
    scales = [[s * factor for s in scale] if i in rows else scale for i, scale in enumerate(windows["scale"])]
    return change(windows, scale=scales)


@pytest.fixture(scope="module")
def windows(prepared) -> Dataset:
    return load_windows(prepared)


def test_what_is_there_is_counted(windows):
    (row,) = audit(windows).rows
    assert (row.corpus, row.windows, row.subjects, row.recordings) == ("simulated", 120, 6, 12)
    assert row.hours == pytest.approx(6 * 2 * 20 / 3600)
    assert row.window_seconds == {"2": 120} and row.sampling_rates == {"200": 120}
    assert row.channel_counts == {"19": 120} and row.licences == {"CC0-1.0": 120}
    assert row.labels["condition"] == {"rest": 60, "task": 60}
    assert row.labels["alpha_hz"]["mean"] == pytest.approx(np.mean(windows["alpha_hz"]))
    assert row.overlapping == row.constant == 0 and set(row.copies.values()) == {0}


def test_amplitudes_are_those_of_the_samples(windows):
    row = audit(windows).rows[0]
    values = [
        np.frombuffer(w["signal"], "<i2").reshape(19, -1) * np.array(w["scale"])[:, None] for w in windows
    ]
    peaks = [np.abs(x).max() for x in values]
    assert row.peak_uv == pytest.approx((min(peaks), np.median(peaks), max(peaks)), rel=1e-5)
    real = np.concatenate([np.abs(x[x.any(axis=1)]).ravel() for x in values])
    assert row.median_uv == pytest.approx(np.median(real), rel=0.05)


def test_the_table_reads_and_the_figures_are_json(windows):
    found = audit(windows)
    assert "simulated" in str(found) and "condition: rest 60, task 60" in str(found)
    assert json.loads(json.dumps(found.to_dict()))["rows"][0]["windows"] == 120


def test_a_wrong_unit_is_suspected(windows):
    assert "median |x| is" in audit(scaled(windows, list(range(120)), 1e-6)).warnings[0]
    rows = [i for i, subject in enumerate(windows["subject"]) if subject == "03"]
    assert any("the amplitude of 1 subjects differs from the median subject's (times: 03 " in w
               for w in audit(scaled(windows, rows, 1000.0)).warnings)  # fmt: skip


def test_copies_are_told_apart_by_whose_they_are(windows):
    hashes = list(windows["signal_hash"])
    subjects = np.array(windows["subject"])
    own, other = np.flatnonzero(subjects == "00"), np.flatnonzero(subjects == "01")
    hashes[own[1]] = hashes[own[0]]
    hashes[other[0]] = hashes[own[2]]
    changed = change(windows, signal_hash=hashes)
    assert audit(changed).rows[0].copies == {"within_subject": 2, "across_subjects": 2, "across_corpora": 0}
    elsewhere = change(windows.select(range(5)), corpus=["other"] * 5)
    rows = audit(windows, elsewhere).rows
    assert [row.corpus for row in rows] == ["other", "simulated"]
    assert [row.copies["across_corpora"] for row in rows] == [5, 5]
    names = [windows["recording"][int(own[2])], windows["recording"][int(other[0])]]
    assert any(f"would leak ({', '.join(sorted(names))})" in text for text in audit(changed).warnings)


def test_flat_windows_overlaps_gaps_in_labels_and_lopsided_labels_are_named(windows):
    flat = [[1.0] * 19 if i < 3 else scale for i, scale in enumerate(windows["scale"])]
    starts = [start / 2 for start in windows["start_seconds"]]
    labels = [None] * 4 + ["task"] + ["rest"] * 115
    bad = [["Cz"]] * 60 + [[]] * 60
    found = audit(change(windows, scale=flat, start_seconds=starts, condition=labels, bad_channels=bad))
    row = found.rows[0]
    assert (row.constant, row.overlapping, row.labels["condition"]["missing"]) == (3, 12 * 9, 4)
    text = "\n".join(found.warnings)
    for expected in (
        "all channels of 3 windows are flat",
        "108 windows overlap",
        "missing in 4 of 120",
        "'rest' in 99% of the windows",
        "channel Cz is bad in 50% of the windows",
    ):
        assert expected in text
    assert sum(row.copies.values()) == 0


def test_events_are_counted_like_labels_where_windows_have_some(windows):
    assert "event" not in audit(windows).rows[0].labels
    found = audit(change(windows, event=["N2"] * 30 + ["W"] * 90))
    assert found.rows[0].labels["event"] == {"W": 90, "N2": 30} and "event: W 90, N2 30" in str(found)


def test_the_average_of_a_few_channels_is_named(windows):
    few = change(windows, channels=[names[:3] for names in windows["channels"]])
    expected = "the average of 3 channels is no neutral reference"
    assert any(expected in text for text in audit(few).warnings)
    assert not any(expected in text for text in audit(change(few, reference=["A2"] * 120)).warnings)


def test_rates_and_references_that_differ_are_named(windows):
    mixed = change(
        windows, sampling_rate=[200.0] * 60 + [250.0] * 60, reference=["Cz"] * 60 + ["average"] * 60
    )
    text = "\n".join(audit(mixed).warnings)
    assert "2 sampling rates (200, 250 Hz)" in text and "2 references (Cz, average)" in text


def test_nothing_is_said_of_sound_windows(windows):
    assert [w for w in audit(windows).warnings if "the amplitude of" not in w] == []


def test_what_is_no_prepared_corpus_is_refused(windows):
    with pytest.raises(ValueError, match="lacks the columns .*'signal_hash'"):
        audit(windows.remove_columns("signal_hash"))
    assert audit(DatasetDict(train=windows.select(range(60)), test=windows.select(range(60, 120)))) == audit(
        windows
    )
    with pytest.raises(ValueError, match="there are no windows"):
        audit(windows.select([]))
