# SPDX-License-Identifier: Apache-2.0
"""`eeg-hf stream`: real sources and sinks, what the source or the consumer does wrong, and clear errors."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import mne
import numpy as np
import pytest
import torch
from tests.commands import fail_command, run_command, start_command
from transformers import AutoModelForSequenceClassification, pipeline

from eeg_hf import EEGFeatureExtractor, EEGFoundationConfig
from eeg_hf.corpora import FolderCorpus, prepare
from eeg_hf.experiments.classifiers.causal import predict_causally
from eeg_hf.experiments.classifiers.target import load_target
from eeg_hf.experiments.streaming.reader import SourceReader
from eeg_hf.experiments.streaming.running import answer_piece
from eeg_hf.experiments.streaming.sinks import open_sink
from eeg_hf.experiments.streaming.sources import Piece, Source, SourceLostError, open_source
from eeg_hf.inference.stream_classifier import StreamClassifier

NAMES = ["Fp1", "Fp2", "C3", "C4", "O1", "O2"]
RATE = 128.0


def draw_eeg(seconds, seed=0):
    rng = np.random.default_rng(seed)
    eeg = rng.normal(scale=5, size=(len(NAMES), round(seconds * RATE))).cumsum(axis=1)
    return eeg - eeg.mean(axis=1, keepdims=True)


def save_recording(path, eeg, **annotation):
    raw = mne.io.RawArray(eeg * 1e-6, mne.create_info(NAMES, RATE, "eeg"), verbose="ERROR")
    if annotation:
        raw.set_annotations(mne.Annotations(**annotation))
    raw.save(path, verbose="ERROR")
    return path


def save_model(folder, **settings):
    torch.manual_seed(0)
    tiny = {"d_model": 16, "n_layers": 1, "n_heads": 2, "d_ff": 32, "overlap": 0.0}
    config = EEGFoundationConfig(**tiny, id2label={0: "rest", 1: "task"})
    AutoModelForSequenceClassification.from_config(config).save_pretrained(folder)
    chosen = {"sampling_rate": 100.0, "lowpass_hz": 40.0, "highpass_hz": 1.0, "window_seconds": 1.0}
    EEGFeatureExtractor(**{**chosen, **settings}).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_model(tmp_path_factory.mktemp("model"))


def test_a_replayed_file_gives_what_the_model_gives_on_the_same_windows(model, tmp_path, capsys):
    eeg = draw_eeg(12)
    path = save_recording(tmp_path / "a_raw.fif", eeg)
    words = ("--source", path, "--speed", "max", "--phase", "linear", "--sinks", "-", tmp_path / "a.csv")
    rows = [json.loads(line) for line in run_command("stream", model, *words).splitlines()]
    assert "0 gaps, 0 samples lost, 0 dropped" in capsys.readouterr().err
    raw = mne.io.read_raw(path, verbose="ERROR")
    expected = pipeline("eeg-classification", model=model)(raw)["windows"]
    settled = [row for row in rows if row["start"] >= 4]
    assert len(settled) >= 5
    for row in settled:
        same = expected[round(row["start"])]
        assert row["label"] == same["label"] and row["end"] == pytest.approx(same["end"])
        assert row["scores"] == pytest.approx(same["scores"], abs=1e-4)
    table = list(csv.DictReader((tmp_path / "a.csv").open()))
    assert [row["label"] for row in table] == [row["label"] for row in rows]
    assert float(table[5]["score: task"]) == pytest.approx(rows[5]["scores"]["task"])


def test_predict_causal_is_the_stream(model, tmp_path):
    eeg = draw_eeg(9)
    eeg[1] = np.nan
    path = save_recording(
        tmp_path / "a_raw.fif", eeg, onset=[4.0], duration=[0.5], description=["BAD_ACQ_SKIP"]
    )
    lines = run_command("stream", model, "--source", path, "--speed", "max").splitlines()
    run_command("predict", model, path, "--causal", "true", "--output", tmp_path / "a.csv")
    rows = list(csv.DictReader((tmp_path / "a.csv").open()))
    assert len(rows) == len(lines) >= 7 and "Fp2" in rows[0]["marks"] and "1 gaps" in rows[0]["marks"]
    for row, line in zip(rows, map(json.loads, lines), strict=True):
        assert float(row["start"]) == line["start"] and row["predicted"] == line["label"]
        assert float(row["score: task"]) == line["scores"]["task"]


def test_evaluate_causal_is_predict_causal(model, tmp_path):
    lab, lines = tmp_path / "lab", ["file,subject,condition"]
    lab.mkdir()
    for number in range(2):
        path = save_recording(lab / f"s{number}_raw.fif", draw_eeg(6, seed=number))
        lines.append(f"{path.name},s{number},{('rest', 'task')[number]}")
    (lab / "metadata.csv").write_text("\n".join(lines))
    prepare(FolderCorpus(root=lab), tmp_path / "data", EEGFeatureExtractor.from_pretrained(model), root=lab)
    windows, target = load_target(str(tmp_path / "data"), "condition", False, None)
    causal = predict_causally(model, windows, str(lab), {}, target)
    run_command("predict", model, lab, "--causal", "true", "--output", tmp_path / "a.csv")
    rows = {
        (row["file"].rpartition("/")[2], round(float(row["start"]))): float(row["score: task"])
        for row in csv.DictReader((tmp_path / "a.csv").open())
    }
    keys = zip(windows["recording"][:], map(round, windows["start_seconds"][:]), strict=True)
    found = dict(zip(keys, causal.predictions.scores[:, 1].tolist(), strict=True))
    assert len(rows) == 10 and {key: found[key] for key in rows} == pytest.approx(rows, abs=0)
    # The last window of each ends before the filters have let it through
    assert causal.unanswered == 2 and found["s0_raw.fif", 5] == found["s1_raw.fif", 5] == 0.5
    words = ("--data", tmp_path / "data", "--label_column", "condition", "--output_dir", tmp_path / "table")
    assert "causal: expected a classifier" in fail_command("evaluate", *words, "--causal", "true")
    (lab / "s1_raw.fif").unlink()
    (lab / "metadata.csv").write_text("\n".join(lines[:2]))
    with pytest.raises(ValueError, match="lacks 1 of the tested recordings, such as s1_raw.fif"):
        predict_causally(model, windows, str(lab), {}, target)


def test_gaps_of_a_recording_are_gaps_of_the_stream(model, tmp_path, capsys):
    eeg = draw_eeg(9)
    path = save_recording(
        tmp_path / "a_raw.fif", eeg, onset=[4.0], duration=[0.5], description=["BAD_ACQ_SKIP"]
    )
    rows = run_command("stream", model, "--source", path, "--speed", "max", "--hop_seconds", 0.5).splitlines()
    rows = [json.loads(line) for line in rows]
    assert {row["restarts"] for row in rows} == {0, 1}
    assert not [row for row in rows if row["start"] < 4.4 and row["end"] > 4.1]
    assert "1 gaps, 64 samples lost" in capsys.readouterr().err


def test_the_first_seconds_decide_what_a_stream_cannot_look_ahead_for(tmp_path, capsys):
    eager = save_model(tmp_path / "model", notch_hz="auto", bad_channels="auto", alignment="euclidean")
    path = save_recording(tmp_path / "a_raw.fif", draw_eeg(15))
    words = ("--source", path, "--speed", "max")
    assert "a stream cannot look ahead" in fail_command("stream", eager, *words)
    rows = run_command("stream", eager, *words, "--calibrate", 8).splitlines()
    assert len(rows) >= 6 and json.loads(rows[0])["start"] == 0.0
    assert "calibrated on 8." in capsys.readouterr().err
    assert "ended before it had brought 20 s" in fail_command("stream", eager, *words, "--calibrate", 20)


class Amplifier(Source):
    """A live source of a few pieces, which may stop in between."""

    sampling_rate, channel_names, unit = RATE, NAMES, "uV"

    def __init__(self, pieces, returns=True):
        self.pieces, self.returns, self.closed = list(pieces), returns, False

    def read(self):
        piece = self.pieces.pop(0) if self.pieces else None
        if isinstance(piece, Exception):
            raise piece
        return piece

    def reopen(self):
        return self.returns

    def close(self):
        self.closed = True


def cut(eeg, size=16):
    return [Piece(eeg[:, start : start + size]) for start in range(0, eeg.shape[1], size)]


def test_a_slow_consumer_loses_samples_that_are_counted_and_no_window_crosses_them(model):
    pieces = cut(draw_eeg(8))
    reader = SourceReader(Amplifier(pieces), queue_seconds=2.0, wait_seconds=1.0)
    reader._thread.join()  # the queue is full before anyone looks
    taken = list(reader)
    assert reader.dropped_samples == (8 - 2) * RATE == 8 * RATE - sum(p.samples.shape[1] for p in taken)
    reader.close()

    classifier = StreamClassifier(pipeline("eeg-classification", model=model), RATE, NAMES, "uV")
    classifier.push(taken[0].samples)
    classifier.extraction.restart(100)
    assert classifier.extraction.counts.gaps == 1 and classifier.extraction.counts.lost_samples == 100


def test_no_window_crosses_a_return_of_the_source_however_short(model):
    """An amplifier that is back within the tolerance of gaps leaves stamps that hardly jump."""
    pieces = cut(draw_eeg(4))
    for number, piece in enumerate(pieces):
        piece.stamps = (16 * number + np.arange(16)) / RATE
    reader = SourceReader(Amplifier([*pieces[:16], SourceLostError("it stopped"), *pieces[16:]]), 60.0, 1.0)
    classifier = StreamClassifier(pipeline("eeg-classification", model=model), RATE, NAMES, "uV")
    rows = []
    sink = SimpleNamespace(write=rows.append)
    for piece in reader:
        answer_piece(classifier, piece, [sink], SimpleNamespace(latencies=[], problems=set()))
    reader.close()
    before, after = ([row for row in rows if row["restarts"] == number] for number in (0, 1))
    assert before and before[-1]["end"] <= 2.0 + 1e-6
    assert after and after[0]["start"] == pytest.approx(2.0, abs=0.02)
    assert classifier.extraction.counts.gaps == 1


def test_a_source_that_stops_is_waited_for():
    eeg = draw_eeg(1)
    reader = SourceReader(Amplifier([*cut(eeg), SourceLostError("it stopped"), *cut(eeg)]), 60.0, 1.0)
    assert sum(piece.samples.shape[1] for piece in reader) == 2 * RATE
    reader.close()
    assert reader.interruptions == 1 and reader.source.closed
    gone = SourceReader(Amplifier([SourceLostError("it stopped")], returns=False), 60.0, 0.01)
    with pytest.raises(ValueError, match=r"it stopped and was not back within 0.01 s"):
        list(gone)
    gone.close()


def test_a_slow_client_of_a_web_socket_misses_answers_and_a_good_one_gets_them():
    connect = pytest.importorskip("websockets.sync.client").connect
    sink = open_sink("ws://127.0.0.1:0x".replace("0x", str(find_port())), ["rest"], 1.0)
    address = f"ws://127.0.0.1:{sink._server.socket.getsockname()[1]}"
    with pytest.raises(ValueError, match=r"cannot listen at .* choose another port"):
        open_sink(address, ["rest"], 1.0)
    with connect(address) as client:
        while not sink._clients:
            time.sleep(0.01)
        sink.write({"index": 0})
        assert json.loads(client.recv(timeout=10)) == {"index": 0}
        for _ in range(20_000):  # it reads no more: its socket and its queue fill up
            sink.write({"index": 1, "text": "x" * 2000})
            if sink.dropped:
                break
        assert sink.dropped
    sink.close()


def find_port():
    import socket

    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


OUTLET = """
import sys, time, numpy, pylsl
name, seed, names, rate = sys.argv[1], int(sys.argv[2]), sys.argv[3].split(","), float(sys.argv[4])
info = pylsl.StreamInfo(name, "EEG", len(names), rate, "float32", "amplifier")
channels = info.desc().append_child("channels")
for label in names:
    channel = channels.append_child("channel")
    channel.append_child_value("label", label)
    channel.append_child_value("unit", "microvolts")
outlet = pylsl.StreamOutlet(info)
rng = numpy.random.default_rng(seed)
number, start = 0, pylsl.local_clock()
print("there", flush=True)
while True:
    eeg = rng.normal(scale=20, size=(16, len(names))).astype(numpy.float32)
    number += 16
    outlet.push_chunk(eeg, start + number / rate)
    time.sleep(max(0.0, start + number / rate - pylsl.local_clock()))
"""


def start_outlet(name, seed=0):
    words = [sys.executable, "-c", OUTLET, name, str(seed), ",".join(NAMES), str(RATE)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "there\n"
    return process


@pytest.mark.slow
def test_lsl_to_lsl_through_three_processes_with_a_source_that_is_killed_and_comes_back(model, tmp_path):
    """An outlet in one process, the command in another, an inlet here; the outlet dies and starts again."""
    lsl = pytest.importorskip("pylsl")
    name, scores = f"amplifier-{os.getpid()}", f"scores-{os.getpid()}"
    outlet = start_outlet(name)
    sinks = ("--sinks", f"lsl:{scores}", tmp_path / "a.csv")
    command = start_command(
        {**os.environ, "OMP_NUM_THREADS": "1"},
        "stream",
        *(model, "--source", f"lsl:{name}", "--hop_seconds", 0.25, "--gap_seconds", 0.5, *sinks),
        *("--wait_seconds", 120),
        stderr=subprocess.PIPE,
        # A shell that starts tests in the background lets them ignore what the end of this one sends
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        found = lsl.resolve_byprop("name", scores, timeout=240)  # a loaded machine imports torch slowly
        assert found, command.poll()
        inlet = lsl.StreamInlet(found[0])
        first = [inlet.pull_sample(timeout=60) for _ in range(3)]
        outlet.kill()
        outlet.wait()
        outlet = start_outlet(name, seed=1)
        later = [inlet.pull_sample(timeout=60)]
        until = time.monotonic() + 120
        while read_rows(tmp_path / "a.csv")[-1]["restarts"] == "0" and time.monotonic() < until:
            later.append(inlet.pull_sample(timeout=60))
            assert later[-1][0] is not None, "the stream did not come back"
        command.send_signal(signal.SIGINT)
        _, summary = command.communicate(timeout=60)
    finally:
        outlet.kill()
        command.kill()
    assert command.returncode == 0, summary
    for values, stamp in (*first, *later):
        assert sum(values[:2]) == pytest.approx(1, abs=1e-5) and 0 < values[2] <= 1
        assert abs(lsl.local_clock() - stamp) < 300
    rows = read_rows(tmp_path / "a.csv")
    assert {row["restarts"] for row in rows} == {"0", "1"}
    stamps = [float(row["end"]) for row in rows]
    assert stamps == sorted(stamps)
    assert "1 gaps" in summary and "1 returns of the source" in summary and "p99" in summary


def read_rows(path):
    return list(csv.DictReader(path.open()))


def test_a_board_of_brainflow_is_a_source(model):
    pytest.importorskip("brainflow")
    printed = run_command("stream", model, "--source", "brainflow:synthetic", "--seconds", 1.3)
    row = json.loads(printed.splitlines()[0])
    assert row["label"] in ("rest", "task") and row["end"] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "expected one model"),
        (("MODEL", "--source", "nowhere.edf"), "nowhere.edf"),
        (("MODEL", "--source", "brainflow:syntetic"), "did you mean 'synthetic'"),
        (("MODEL", "--source", "RAW", "--speed", "fast"), "speed: expected a positive number or max"),
        (("MODEL", "--source", "RAW", "--sinks", "answers.txt"), "sinks: expected -"),
        (("MODEL", "--source", "RAW", "--sinks", "ws://:x"), "Port"),
        (("MODEL", "--source", "RAW", "--hop_seconds", "0.001"), "less than a sample"),
        (("PLAIN", "--source", "RAW"), "has no signal contract"),
        (("OTHER", "--source", "RAW"), "missing EEG channels Cz"),
        (("MODEL", "--source", "SLOW"), "Nyquist"),
    ],
)
def test_what_does_not_fit_is_one_line(model, tmp_path, words, message):
    made = {
        "MODEL": lambda: model,
        "PLAIN": lambda: tmp_path,
        "OTHER": lambda: save_model(tmp_path / "other", channels=["Cz", "C3"]),
        "RAW": lambda: save_recording(tmp_path / "a_raw.fif", draw_eeg(2)),
        "SLOW": lambda: save_slow(tmp_path / "b_raw.fif"),
    }
    assert message in fail_command("stream", *(made[word]() if word in made else word for word in words))


def save_slow(path):
    raw = mne.io.RawArray(draw_eeg(4) * 1e-6, mne.create_info(NAMES, 64.0, "eeg"), verbose="ERROR")
    raw.save(path, verbose="ERROR")
    return path


def test_another_name_lists_the_streams_that_are_there(model):
    lsl = pytest.importorskip("pylsl")
    name = f"amplifier-there-{os.getpid()}"
    outlet = lsl.StreamOutlet(lsl.StreamInfo(name, "EEG", 2, 100, "float32", name))
    words = (model, "--source", f"lsl:{name}x", "--wait_seconds", 0.5)
    assert name in fail_command("stream", *words)
    assert "names 0: set channel_names" in fail_command("stream", model, "--source", f"lsl:{name}")
    given = ("--channel_names", "C3", "C4")
    assert "states no unit" in fail_command("stream", model, "--source", f"lsl:{name}", *given)
    del outlet


def test_a_missing_package_is_named_with_its_extra(model, monkeypatch):
    monkeypatch.setitem(sys.modules, "pylsl", None)
    message = fail_command("stream", model, "--source", "lsl:x")
    assert "pylsl" in message and "eeg-hf[stream]" in message
    with pytest.raises(ImportError, match="stream"):
        open_source(
            type("Arguments", (), {"source": "lsl:x", "unit": None, "channel_names": None, "wait_seconds": 1})
        )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda eeg: eeg[:, :60], "0 windows"),
        (lambda eeg: eeg * np.nan, "s of samples without a gap, which never came"),
        (lambda eeg: eeg * 0, "no channel holds a signal: Fp1 (flat for a second)"),
    ],
)
def test_a_stream_without_an_answer_says_why(model, tmp_path, change, message, capsys, caplog):
    path = save_recording(tmp_path / "a_raw.fif", change(draw_eeg(3)))
    run_command("stream", model, "--source", path, "--speed", "max")
    assert message in capsys.readouterr().err + caplog.text
