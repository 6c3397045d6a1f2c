# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import yaml

from eeg_hf import EEGFeatureExtractor
from eeg_hf.corpora import prepare
from eeg_hf.corpora.tuh import TUAB, TUEG, TUEV
from eeg_hf.processing.channels import STANDARD_19
from tests.conftest import ROOT
from tests.corpora.written_trees import TUH_ELECTRODES, write_tuh

OTHERS = ["EEG EKG1-{}", "PHOTIC-{}", "IBI", "BURSTS", "SUPPR"]


def channels(suffix="REF", amplitude=30.0):
    """Channels as TUH labels them; sine amplitudes rise by 2 uV from one electrode to the next."""
    eeg = [(f"EEG {name}-{suffix}", amplitude + 2 * i) for i, name in enumerate(TUH_ELECTRODES)]
    ears = [(f"EEG A1-{suffix}", 5.0), (f"EEG A2-{suffix}", 5.0)]
    return [*eeg, *ears, *((label.format(suffix), 100.0) for label in OTHERS)]


@pytest.fixture(scope="module")
def tueg(write_sines, tmp_path_factory):
    root = tmp_path_factory.mktemp("tueg")
    for path, suffix, rate in (
        ("000/aaaaaaaa/s001_2015/01_tcp_ar/aaaaaaaa_s001_t000.edf", "REF", 256.0),
        ("000/aaaaaaaa/s002_2015/02_tcp_le/aaaaaaaa_s002_t001.edf", "LE", 400.0),
        ("001/aaaaabcd/s001_2012/03_tcp_ar_a/aaaaabcd_s001_t000.edf", "REF", 250.0),
    ):
        write_sines(root / "edf" / path, channels(suffix), rate, seconds=12.0)
    return root


def make_tuab(write_sines, root):
    for path in (
        "train/normal/01_tcp_ar/aaaaaaab_s001_t000.edf",
        "train/abnormal/01_tcp_ar/aaaaaaab_s003_t000.edf",
        "train/abnormal/01_tcp_ar/aaaaaaax_s001_t001.edf",
        "eval/abnormal/01_tcp_ar/aaaaamye_s001_t000.edf",
    ):
        write_sines(root / "edf" / path, channels(), seconds=12.0)
    return root


def make_tuev(write_sines, root, rec="0,3.0,4.0,1\n1,3.0,4.0,1\n", seconds=20.0):
    path = write_sines(root / "edf/train/aaaaaaar/aaaaaaar_00000001.edf", channels(), seconds=seconds)
    path.with_suffix(".rec").write_text(rec)
    path = write_sines(root / "edf/eval/032/bckg_032_a_.edf", channels(), seconds=20.0)
    path.with_suffix(".rec").write_text("".join(f"{channel},4.5,5.5,6\n" for channel in range(22)))
    return root


def events(corpus, root, subject):
    (recording,) = [r for r in corpus.recordings(root) if r.subject == subject]
    return [(e.onset, e.duration, e.name) for e in corpus.events(recording, corpus.read(recording))]


def test_tueg_is_listed_by_name_with_its_reference(tueg):
    found = TUEG().recordings(tueg)
    assert [(r.subject, r.session, r.run, r.labels["recorded_reference"]) for r in found] == [
        ("aaaaaaaa", "s001", "t000", "average"),
        ("aaaaaaaa", "s002", "t001", "linked ears"),
        ("aaaaabcd", "s001", "t000", "average"),
    ]


def test_listing_opens_no_file(tmp_path):
    for subject in range(300):
        name = f"aaaa{subject:04d}"
        folder = tmp_path / "edf" / "000" / name / "s001_2015" / "01_tcp_ar"
        folder.mkdir(parents=True)
        (folder / f"{name}_s001_t000.edf").symlink_to(tmp_path / "nowhere.edf")
    assert len(TUEG().recordings(tmp_path)) == 300


def test_tueg_is_prepared_with_each_files_rate_and_reference(tueg, tmp_path, read_windows):
    extractor = EEGFeatureExtractor(sampling_rate=200, channels=list(STANDARD_19), window_seconds=4.0)
    report = prepare(TUEG(), tmp_path, extractor, root=tueg)
    assert report["recordings_ok"] == 3 and report["windows"] == 9
    mean = 30.0 + 18.0  # of the 19 chosen electrodes, without the ears
    for row in read_windows(tmp_path):
        assert row["sampling_rate"] == 200.0 and row["channels"] == list(STANDARD_19)
        expected = {name: abs(30.0 + 2 * i - mean) for i, name in enumerate(STANDARD_19)}
        assert row["amplitude"] == pytest.approx(expected, abs=0.5)
        assert row["recorded_reference"] in ("average", "linked ears") and row["reference"] == "average"


def test_tueg_with_its_ears_comes_out_at_one_rate(tmp_path, read_windows):
    root = write_tuh(tmp_path / "in", subjects=2, seconds=10.0)
    recipe = yaml.safe_load((ROOT / "src/eeg_hf/recipes/prepare_tueg_100hz.yaml").read_text())
    extractor = EEGFeatureExtractor(100.0, 0.5, 45.0, channels=recipe["channels"], window_seconds=5.0)
    assert prepare(TUEG(), tmp_path / "out", extractor, root=root)["failures"] == []
    rows = read_windows(tmp_path / "out")
    assert [row["subject"] for row in rows] == ["aaaaaaaa"] * 2 + ["aaaaaaab"] * 2
    assert {row["num_samples"] for row in rows} == {500} and len(rows[0]["channels"]) == 21
    assert np.isfinite(rows[0]["channel_positions"]).all() and rows[0]["bad_channels"] == []


def test_tuab_labels_come_from_the_folders(write_sines, tmp_path):
    found = TUAB().recordings(make_tuab(write_sines, tmp_path))
    assert [(r.subject, r.session, r.labels["pathology"]) for r in found] == [
        ("aaaaaaab", "s001", "normal"),
        ("aaaaaaab", "s003", "abnormal"),
        ("aaaaaaax", "s001", "abnormal"),
        ("aaaaamye", "s001", "abnormal"),
    ]
    assert found[3].labels["part"] == "test" and "test" not in {r.labels["part"] for r in found[:3]}
    assert found[0].labels["part"] == found[1].labels["part"]  # one subject, one part


def test_tuab_of_older_releases_has_more_folders(write_sines, tmp_path):
    old = "v2.0.0/edf/eval/normal/01_tcp_ar/000/00000021/s004_2013_08_15/00000021_s004_t000.edf"
    write_sines(tmp_path / "train" / old, channels(), seconds=3.0)
    (recording,) = TUAB().recordings(tmp_path)
    assert recording.subject == "00000021" and recording.labels == {"pathology": "normal", "part": "test"}


def test_tuab_validation_is_a_tenth_of_the_subjects_and_always_the_same(tmp_path):
    folder = tmp_path / "edf" / "train" / "normal" / "01_tcp_ar"
    folder.mkdir(parents=True)
    for subject in range(2000):
        (folder / f"aaaa{subject:04d}_s001_t000.edf").touch()
    chosen = {r.subject for r in TUAB().recordings(tmp_path) if r.labels["part"] == "validation"}
    assert 160 < len(chosen) < 240
    assert set(sorted(chosen)[:3]) == {"aaaa0010", "aaaa0025", "aaaa0039"}


def test_tuab_in_the_wrong_folder_is_refused_with_its_layout(tueg):
    with pytest.raises(FileNotFoundError, match="expected edf/train/normal/01_tcp_ar/aaaaaaaa_s001_t000.edf"):
        TUAB().recordings(tueg)


def test_tuev_rows_of_many_channels_are_one_event(write_sines, tmp_path):
    rec = "3,3.0,4.0,1\n4,3.0,4.0,1\n5,3.2,4.2,1\n6,3.0,4.0,6\n3,4.0,5.0,1\n4,4.0,5.0,1\n7,9.5,10.5,5\n"
    root = make_tuev(write_sines, tmp_path, rec)
    assert events(TUEV(), root, "aaaaaaar") == [
        (3.0, 1.0, "bckg"),
        (3.0, pytest.approx(1.2), "spsw"),
        (4.0, 1.0, "spsw"),
        (9.5, 1.0, "artf"),
    ]
    assert events(TUEV(), root, "eval_032") == [(4.5, 1.0, "bckg")]


@pytest.mark.parametrize("row", ["0,3.0,4.0,7", "0,3.0,4.0", "0,four,5.0,1", "0,4.0,3.0,1", "0,nan,4.0,1"])
def test_tuev_rows_that_are_none_are_named(row, write_sines, tmp_path):
    root = make_tuev(write_sines, tmp_path, f"0,1.0,2.0,1\n{row}\n")
    with pytest.raises(ValueError, match=rf"aaaaaaar_00000001.rec line 2: .* got '{row}'"):
        events(TUEV(), root, "aaaaaaar")


def test_tuev_windows_have_the_event_after_two_seconds(write_sines, tmp_path, read_windows):
    rec = "0,0.5,1.5,2\n0,3.0,4.0,1\n9,3.0,4.0,1\n0,18.0,19.0,4\n0,25.0,26.0,3\n"
    root = make_tuev(write_sines, tmp_path / "in", rec)
    extractor = EEGFeatureExtractor(window_seconds=5.0, reference="original", channels=["Fp1", "T7-P7"])
    report = prepare(TUEV(), tmp_path / "out", extractor, root=root, segments="events", tmin=-2.0)
    assert report["dropped"] == {"outside": 3}
    rows = read_windows(tmp_path / "out")
    assert [(row["part"], row["start_seconds"], row["event"]) for row in rows] == [
        ("train", 1.0, "spsw"),
        ("test", 2.5, "bckg"),
    ]
    assert rows[0]["amplitude"] == pytest.approx({"Fp1": 30.0, "T7-P7": 10.0}, abs=0.5)


def test_tuev_without_its_labels_is_reported_and_the_others_are_prepared(write_sines, tmp_path):
    root = make_tuev(write_sines, tmp_path / "in")
    next(root.rglob("aaaaaaar*.rec")).unlink()
    extractor = EEGFeatureExtractor(window_seconds=5.0)
    report = prepare(TUEV(), tmp_path / "out", extractor, root=root, segments="events", tmin=-2.0)
    assert report["windows"] == 1
    assert "aaaaaaar_00000001.rec is missing" in report["failures"][0]["reason"]


def test_changed_tuev_labels_make_the_shard_stale(write_sines, tmp_path):
    corpus, root = TUEV(), make_tuev(write_sines, tmp_path)
    recording = corpus.recordings(root)[0]
    before = corpus.provenance(recording)
    recording.path.with_suffix(".rec").write_text("0,5.0,6.0,2\n")
    assert corpus.provenance(recording) != before
