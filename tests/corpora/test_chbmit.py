# SPDX-License-Identifier: Apache-2.0
import pytest

from eeg_hf import EEGFeatureExtractor
from eeg_hf.corpora import prepare
from eeg_hf.corpora.chbmit import CHBMIT
from eeg_hf.processing.channels import DOUBLE_BANANA

BANANA = [name.upper() for name in DOUBLE_BANANA]
EXTRA = ["P7-T7", "T7-FT9", "FT9-FT10", "FT10-T8", "T8-P8"]
DERIVATIONS = [(name, 40.0) for name in [*BANANA, *EXTRA]]
WITH_DUMMIES = [*DERIVATIONS[:4], ("-", 0.0), *DERIVATIONS[4:8], ("-", 0.0), *DERIVATIONS[8:]]
SINGLE = ["FP1", "F7", "T7", "P7", "O1", "FP2", "F8", "T8", "P8", "O2", "F3", "C3", "P3", "F4", "C4", "P4"]
SINGLE += ["FZ", "CZ", "PZ", "C2", "CP6"]
AGAINST_CS2 = [(f"{name}-CS2", 10.0 + 5 * i) for i, name in enumerate(SINGLE)]

SUMMARY = """Data Sampling Rate: 256 Hz
*************************

Channels in EDF Files:
**********************
Channel 1: FP1-F7
Channel 2: F7-T7

File Name: {case}_01.edf
File Start Time: 11:42:54
File End Time: 12:42:54
Number of Seizures in File: 0

File Name: {case}_03.edf
File Start Time: 13:43:04
File End Time: 14:43:04
Number of Seizures in File: 1
Seizure Start Time: 20 seconds
Seizure End Time: 32 seconds

Channels changed:
*****************
Channel 1: F7-CS2

File Name: {case}_04.edf
File Start Time: 25:43:12
File End Time: 2:43:12
Number of Seizures in File: 2
Seizure 1 Start Time:               8 seconds
Seizure 1 End Time:                16 seconds
Seizure 2 Start Time: 50 seconds
Seizure 2 End Time: 90 seconds
"""
PEOPLE = "Case\tGender\tAge (years)\n\nchb01\tF\t11\n\nchb12\tF\t2\n\nchb21\tF\t13\n"


def make(write_sines, root, case="chb01", runs=("_01", "_03"), channels=DERIVATIONS, summary=SUMMARY):
    for run in runs:
        write_sines(root / case / f"{case}{run}.edf", channels, 256.0, seconds=60.0)
        (root / case / f"{case}{run}.edf.seizures").write_bytes(b"\x00\x01")
    (root / case / f"{case}-summary.txt").write_text(summary.format(case=case))
    (root / "SUBJECT-INFO").write_text(PEOPLE)
    return root


def spans(root, run):
    corpus = CHBMIT()
    (recording,) = [r for r in corpus.recordings(root) if r.run == run]
    return [(e.onset, e.onset + e.duration, e.name) for e in corpus.events(recording, corpus.read(recording))]


def test_chb21_is_chb01_again(write_sines, tmp_path):
    make(write_sines, tmp_path, "chb01", ("_03", "_01"))
    make(write_sines, tmp_path, "chb21", ("_01",))
    make(write_sines, tmp_path, "chb17", ("a_03", "b_57", "c_02"))
    make(write_sines, tmp_path, "chb02", ("_16", "_16+"))
    found = CHBMIT().recordings(tmp_path)
    assert [(r.subject, r.session, r.run, r.labels["age"]) for r in found] == [
        ("chb01", "chb01", "01", 11.0),
        ("chb01", "chb01", "03", 11.0),
        ("chb01", "chb21", "01", 13.0),
        ("chb02", "chb02", "16", None),
        ("chb02", "chb02", "16+", None),
        ("chb17", "chb17", "a_03", None),
        ("chb17", "chb17", "b_57", None),
        ("chb17", "chb17", "c_02", None),
    ]
    assert found[0].labels["sex"] == "F"


def test_spans_cover_the_file_without_overlap(write_sines, tmp_path):
    make(write_sines, tmp_path, runs=("_01", "_03", "_04"))
    assert spans(tmp_path, "01") == [(0.0, 60.0, "background")]
    assert spans(tmp_path, "03") == [
        (0.0, 20.0, "background"),
        (20.0, 32.0, "seizure"),
        (32.0, 60.0, "background"),
    ]
    assert spans(tmp_path, "04") == [  # the stated end of the second seizure is after that of the file
        (0.0, 8.0, "background"),
        (8.0, 16.0, "seizure"),
        (16.0, 50.0, "background"),
        (50.0, 60.0, "seizure"),
    ]


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("File Name: {case}_03.edf", "File Name: {case}_30.edf", "chb01_03.edf is not in chb01-summary.txt"),
        ("in File: 1", "in File: 2", r"each of the 2 seizures in chb01_03.edf, got starts \[20.0\]"),
        ("Seizure End Time: 32 seconds\n", "", r"got starts \[20.0\] and ends \[\]"),
        ("End Time: 32", "End Time: 12", r"a later end .* ends \[12.0\]"),
    ],
)
def test_a_file_that_the_summary_does_not_explain_is_not_called_background(
    before, after, message, write_sines, tmp_path
):
    make(write_sines, tmp_path, summary=SUMMARY.replace(before, after))
    with pytest.raises(ValueError, match=message):
        spans(tmp_path, "03")
    assert spans(tmp_path, "01") == [(0.0, 60.0, "background")]  # the other files are not affected


def test_a_case_without_summary_says_so(write_sines, tmp_path):
    make(write_sines, tmp_path)
    (tmp_path / "chb01" / "chb01-summary.txt").unlink()
    with pytest.raises(FileNotFoundError, match="chb01-summary.txt is missing"):
        spans(tmp_path, "01")


def test_other_signals_are_no_eeg(write_sines, tmp_path):
    others = [("-", 0.0), ("-", 0.0), ("ECG", 90.0), ("VNS", 90.0), ("LOC-ROC", 90.0), ("EKG1-CHIN", 90.0)]
    make(write_sines, tmp_path, runs=("_01",), channels=[*DERIVATIONS, *others])
    corpus = CHBMIT()
    raw = corpus.read(corpus.recordings(tmp_path)[0])
    assert raw.get_channel_types().count("eeg") == len(DERIVATIONS)
    assert raw.get_channel_types(["ECG", "VNS", "LOC-ROC", "EKG1-CHIN"]) == ["misc"] * 4


def test_every_montage_gives_the_double_banana_and_no_window_holds_both(write_sines, tmp_path, read_windows):
    root = tmp_path / "in"
    make(write_sines, root, "chb01", ("_03",), WITH_DUMMIES)
    make(write_sines, root, "chb12", ("_01",), AGAINST_CS2)
    extractor = EEGFeatureExtractor(window_seconds=4.0, reference="original", channels=list(DOUBLE_BANANA))
    report = prepare(CHBMIT(), tmp_path / "out", extractor, root=root, segments="annotations")
    assert report["failures"] == [] and report["channel_counts"] == {18: 2}
    rows = read_windows(tmp_path / "out")
    seizures = [row["start_seconds"] for row in rows if row["event"] == "seizure"]
    assert seizures == [20.0, 24.0, 28.0] and len(rows) == 5 + 3 + 7 + 15
    assert {row["sampling_rate"] for row in rows} == {200.0} and {row["reference"] for row in rows} == {
        "bipolar"
    }
    assert rows[2]["amplitude"] == pytest.approx(dict.fromkeys(DOUBLE_BANANA, 40.0), abs=0.5)
    sizes = {name.removesuffix("-CS2"): size for name, size in AGAINST_CS2}
    differences = {
        name: abs(sizes[a] - sizes[b]) for name in DOUBLE_BANANA for a, b in [name.upper().split("-")]
    }
    assert rows[-3]["subject"] == "chb12"
    assert rows[-3]["amplitude"] == pytest.approx(differences, abs=0.5)


def test_whoever_asks_for_chb01_gets_both_cases():
    wanted = CHBMIT()._wanted(["chb01"])
    assert wanted.fullmatch("chb21/chb21_01.edf") and wanted.fullmatch("chb01/chb01-summary.txt")
    assert wanted.fullmatch("SUBJECT-INFO") and not wanted.fullmatch("chb02/chb02_01.edf")
    assert not wanted.fullmatch("chb01/chb01_03.edf.seizures")
    assert CHBMIT.file_pattern.fullmatch("chb02/chb02_16+.edf")
    assert CHBMIT.file_pattern.fullmatch("chb17/chb17a_03.edf")
