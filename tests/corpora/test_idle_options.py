# SPDX-License-Identifier: Apache-2.0
"""Options that change nothing for the given recordings are errors, not silence."""

import mne
import numpy as np
import pytest

from eeg_hf import EEGFeatureExtractor
from eeg_hf.corpora import BIDSCorpus, FolderCorpus, LabelTable, Simulated, prepare
from tests.commands import fail_command


@pytest.fixture(scope="module")
def fif(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fif")
    info = mne.create_info(["Fz", "Cz", "Pz"], 100, "eeg")
    raw = mne.io.RawArray(np.random.default_rng(0).normal(scale=2e-5, size=(3, 1000)), info, verbose="error")
    raw.save(folder / "sub-a_raw.fif", verbose="error")
    return folder


@pytest.fixture(scope="module")
def csv(tmp_path_factory):
    folder = tmp_path_factory.mktemp("csv")
    values = np.random.default_rng(0).normal(scale=20, size=(1000, 3))
    np.savetxt(folder / "sub-a.csv", values, delimiter=",", header="Fz,in 2,Pz", comments="")
    return folder


def prepare_folder(root, output_dir, segments="fixed", **options):
    extractor = EEGFeatureExtractor(window_seconds=2.0, sampling_rate=100, reference="original")
    return prepare(FolderCorpus(root=root, **options), output_dir, extractor, segments=segments)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"unit": "uV"}, "unit='uV' has no effect, because every file states its own unit; or leave it out"),
        ({"sampling_rate": 100.0}, "sampling_rate=100.0 has no effect, because no recording is a table"),
        ({"channel_names": {"EXG 0": "Fz"}}, "has no effect, because no file has a channel of these names"),
        ({"event_id": {"go": 1}}, "has no effect, because windows are not cut by events: set segments"),
        (
            {"subject_pattern": r"sub-(?P<subject>\w)_", "label_from": "folder"},
            "label_from='folder' has no effect",
        ),
    ],
)
def test_options_that_no_file_takes_are_refused(fif, tmp_path, options, message):
    with pytest.raises(ValueError) as raised:
        prepare_folder(fif, tmp_path, **options)
    assert message in str(raised.value)
    assert not list(tmp_path.glob("data/*"))


def test_the_same_options_count_where_a_file_takes_them(csv, tmp_path):
    options = {"unit": "uV", "sampling_rate": 100.0, "channel_names": {"in 2": "Cz"}}
    assert prepare_folder(csv, tmp_path, **options)["windows"] == 5


def test_the_command_says_so_in_one_line(fif, tmp_path):
    words = (
        "--corpus",
        "folder",
        "--data_dir",
        fif,
        "--output_dir",
        tmp_path,
        "--corpus_options",
        '{"unit": "uV"}',
    )
    assert fail_command("prepare", *words).startswith(
        "folder: unit='uV' has no effect, because every file states"
    )


@pytest.mark.parametrize(
    ("settings", "name", "remedy"),
    [
        ({"tmin": 0.5}, "tmin", "set segments to events"),
        ({"segments": "annotations", "tmin": 0.5}, "tmin", "set segments to events"),
        (
            {"segments": "events", "stride_seconds": 1.0},
            "stride_seconds",
            "set segments to fixed or annotations",
        ),
        ({"event_labels": {"rest": "quiet"}}, "event_labels", "set segments to events"),
    ],
)
def test_settings_of_windows_that_are_not_cut_so_are_refused(tmp_path, settings, name, remedy):
    with pytest.raises(ValueError, match=f"^{name}: no effect with segments=.*{remedy}"):
        prepare(Simulated(num_subjects=1), tmp_path, EEGFeatureExtractor(window_seconds=2.0), **settings)


def test_a_table_of_events_needs_windows_cut_by_events(tmp_path):
    (tmp_path / "events.csv").write_text("recording,onset,label\n00_rest,1,go\n")
    table = LabelTable.read(tmp_path / "events.csv")
    with pytest.raises(ValueError, match="^label_table: no effect with segments='fixed'"):
        prepare(
            Simulated(num_subjects=1), tmp_path, EEGFeatureExtractor(window_seconds=2.0), label_table=table
        )


def test_columns_of_events_need_windows_cut_by_events():
    with pytest.raises(
        ValueError, match=r"event_columns=\['rt'\] has no effect, because windows are not cut"
    ):
        BIDSCorpus(event_columns=["rt"]).refuse_idle_options([], by_event=False)
    BIDSCorpus(event_columns=["rt"]).refuse_idle_options([], by_event=True)
