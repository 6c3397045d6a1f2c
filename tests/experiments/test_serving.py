# SPDX-License-Identifier: Apache-2.0
"""`eeg-hf serve`: answers, limits, and uploads that nobody well-meaning sends."""

import json
import re
import signal
import subprocess
import sys
import time
import urllib.request

import numpy as np
import pytest
from tests.commands import fail_command
from tests.hostile_uploads import bodies, edf_header, headers, names, pickles, texts, truncated
from transformers import pipeline

import eeg_hf
from eeg_hf import get_corpus
from eeg_hf.experiments.serving.arguments import ServeArguments
from eeg_hf.experiments.serving.uploads import harmless

fastapi_testing = pytest.importorskip("fastapi.testclient", reason="fastapi or httpx is not installed")
pytest.importorskip("prometheus_client", reason="prometheus-client is not installed")

MODEL = "eeg-foundation-tiny-arithmetic"


@pytest.fixture(scope="module")
def client():
    from eeg_hf.experiments.serving.application import create_app

    args = ServeArguments(
        models=[f"arithmetic={MODEL}"], max_megabytes=2, max_seconds=100, concurrency=1, max_waiting=2
    )
    with fastapi_testing.TestClient(create_app(args), raise_server_exceptions=False) as started:
        early = started.get("/health")
        assert early.status_code == 503 and "is starting: its models have not" in early.json()["error"]
        while started.get("/health").status_code == 503:
            time.sleep(0.05)
        assert "eeg_hf_recordings_total{" not in started.get("/metrics").text
        yield started
        assert not [*started.app.state.server.folder.iterdir()]


@pytest.fixture(scope="module")
def raw():
    corpus = get_corpus("simulated", num_subjects=1, seconds=11)
    return corpus.read(corpus.recordings()[0])


@pytest.fixture(scope="module")
def files(raw, tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    raw.export(folder / "s01.edf", physical_range=(-500, 500), verbose="ERROR")
    raw.export(folder / "s02.vhdr", verbose="ERROR")
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def post(client, files, path="/predict"):
    return client.post(path, files=[("file", (name, content)) for name, content in files])


def test_a_file_and_an_array_get_what_the_pipeline_answers(client, raw, files, tmp_path):
    (tmp_path / "s01.edf").write_bytes(files["s01.edf"])
    expected = pipeline("eeg-classification", model=str(eeg_hf.bundled(MODEL)))(str(tmp_path / "s01.edf"))
    answer = post(client, [("s01.edf", files["s01.edf"])], "/models/arithmetic/predict")
    (found,) = answer.json()["recordings"]
    assert answer.status_code == 200 and found["file"] == "s01.edf" and answer.json()["model"] == "arithmetic"
    assert found["scores"]["task"] == pytest.approx(expected["scores"]["task"], abs=1e-5)
    assert [each["end"] for each in found["windows"]] == [5, 10, 11]
    body = {"sampling_rate": 250, "channel_names": raw.ch_names, "unit": "uV"}
    samples = np.round(raw.get_data() * 1e6, 3)
    answer = client.post("/predict?windows=false", json={**body, "samples": [samples.tolist()] * 2})
    both = answer.json()["recordings"]
    assert len(both) == 2 and "windows" not in both[0]
    assert both[0]["scores"]["task"] == pytest.approx(expected["scores"]["task"], abs=0.02)


def test_a_batch_keeps_the_good_recordings_beside_a_bad_one(client, files):
    batch = [*files.items(), ("bad.edf", b"0       nothing")]
    answer = post(client, batch)
    rows = {row["file"]: row for row in answer.json()["recordings"]}
    assert answer.status_code == 200 and set(rows) == {"s01.edf", "s02.vhdr", "bad.edf"}
    assert rows["bad.edf"]["status"] == 422 and "label" in rows["s01.edf"] and "label" in rows["s02.vhdr"]
    alone = post(client, [("s02.eeg", files["s02.eeg"]), ("s02.vmrk", files["s02.vmrk"])])
    assert alone.status_code == 422 and "send all its files" in alone.json()["error"]


def test_limits_have_their_statuses(client, files, raw, monkeypatch):
    server = client.app.state.server
    assert post(client, [("a.csv", b"x" * 3_000_000)]).status_code == 413
    chunks = (b"x" * 100_000 for _ in range(30))  # a body without a length
    answer = client.post("/predict", content=chunks, headers={"content-type": "application/json"})
    assert answer.status_code == 413 and answer.json() == {
        "error": "the body is larger than 2 MB: send a part"
    }
    long = post(client, [("a.edf", edf_header(2, label="C") + bytes(1024 * 200))])
    assert long.status_code in (413, 422)
    monkeypatch.setattr(server.args, "max_seconds", 5)
    too_long = post(client, [("s01.edf", files["s01.edf"])])
    assert too_long.status_code == 413 and "lasts 11 s" in too_long.json()["error"]
    monkeypatch.setattr(server, "num_running", 3)
    busy = post(client, [("s01.edf", files["s01.edf"])])
    assert busy.status_code == 503 and busy.headers["retry-after"] == "1"
    monkeypatch.setattr(server, "num_running", 0)
    monkeypatch.setattr(server.args, "timeout_seconds", 1e-4)
    assert post(client, [("s01.edf", files["s01.edf"])]).status_code == 504
    assert client.post("/predict", content=b"x", headers={"content-type": "text/plain"}).status_code == 415
    assert post(client, [("s01.edf", b"")], "/models/other/predict").status_code == 404
    assert client.post("/predict?aggregate=best", json={}).status_code == 422


def test_a_reader_that_dies_or_hangs_is_replaced(client, files):
    reader = client.app.state.server.readers.all[0]
    if reader.process is not None:
        reader.process.kill()
        reader.process.join()
    assert post(client, [("s01.edf", files["s01.edf"])]).status_code == 200
    assert client.get("/health").json()["status"] == "ok"


def some_hostile_uploads(folder):
    """Every sixth of them, but for the bombs: `tools/load_server.py` sends all."""
    kinds = (headers(), pickles(folder), names(), texts(), truncated(folder))
    return [*[upload for kind in kinds for upload in kind][::6], *[*bodies()][::4]]


def test_hostile_uploads_get_the_right_status_and_leave_nothing(client, tmp_path):
    wrong = []
    for upload in some_hostile_uploads(tmp_path):
        if upload.files is None:
            kind = {"content-type": "application/json"}
            answer = client.post("/predict", content=upload.body, headers=kind)
        else:
            answer = post(client, upload.files)
        is_safe = not re.search(r"<[a-z/]|/tmp|/home|/usr|Traceback", answer.text)
        if answer.status_code not in upload.statuses or not is_safe:
            wrong.append((upload.title, answer.status_code, answer.text[:200]))
        assert not [*client.app.state.server.folder.iterdir()], upload.title
    assert not wrong and not (tmp_path / "executed").exists()


def test_the_page_needs_no_network_and_the_description_is_whole(client):
    page = client.get("/docs")
    assert "arithmetic" in page.text and not re.search(r"<script|https?://(?!localhost)", page.text)
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    schema = client.get("/openapi.json").json()
    body = schema["paths"]["/predict"]["post"]["requestBody"]["content"]
    assert set(body) == {"multipart/form-data", "application/json"}
    (model,) = client.get("/models").json()
    assert model["labels"] == ["rest", "task"] and model["signal_contract"]["sampling_rate"] == 200
    assert 'eeg_hf_requests_total{model="arithmetic",status="200"}' in client.get("/metrics").text


def test_texts_of_answers_hold_no_path_token_or_element():
    message = "/tmp/x/y/s01.edf and C:\\Users\\me\\a.edf: <img onerror=x> hf_abcdefghij and 1/2, uV/Hz"
    assert harmless([message]) == ["s01.edf and a.edf: &lt;img onerror=x> hf_… and 1/2, uV/Hz"]


def test_a_server_process_answers_and_leaves_nothing_when_it_ends(environment, files, tmp_path):
    places = {**environment, "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-m", "eeg_hf.cli.serve", MODEL, "--port", "0", "--concurrency", "1"]
    with subprocess.Popen(command, env=places, text=True, stdout=subprocess.PIPE) as process:
        try:
            address = re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline())[0]
            assert (
                urllib.request.urlopen(f"{address}/health", timeout=5).status == 200
            )  # as soon as it says so
            border = b"xyz"
            head = b'Content-Disposition: form-data; name="file"; filename="s01.edf"\r\n\r\n'
            body = b"--%b\r\n%b%b\r\n--%b--\r\n" % (border, head, files["s01.edf"], border)
            kind = {"content-type": "multipart/form-data; boundary=xyz"}
            request = urllib.request.Request(f"{address}/predict", body, kind)
            with urllib.request.urlopen(request, timeout=120) as answer:
                assert json.load(answer)["recordings"][0]["label"] in ("rest", "task")
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)
    assert not [*tmp_path.glob("eeg-hf-serve-*")]


def test_command_lines_that_cannot_serve_are_refused(tmp_path):
    import socket

    assert fail_command("serve").startswith("expected a model: eeg-hf serve")
    assert "port: expected 0 to 65535" in fail_command("serve", MODEL, "--port", "70000")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        line = fail_command("serve", MODEL, "--port", taken.getsockname()[1])
    assert line.endswith("choose another --port or --host")
    assert "has no signal contract" in fail_command("serve", tmp_path, "--port", "0")
    assert "is there twice" in fail_command("serve", "--port", "0", "--models", f"a={MODEL}", f"a={MODEL}")
    assert "expected a name of letters" in fail_command("serve", "--port", "0", "--models", f"a/b c={MODEL}")
