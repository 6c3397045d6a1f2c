# SPDX-License-Identifier: Apache-2.0
"""`eeg-hf view`: the page and its data, and the page in a real browser."""

import json
import subprocess
import threading
import urllib.error
import urllib.request

import numpy as np
import pytest

from eeg_hf.collation import decode_windows
from eeg_hf.corpora import load_windows
from eeg_hf.evaluation import Predictions, write_json
from eeg_hf.experiments.viewing.serving import make_server
from eeg_hf.experiments.viewing.viewed_run import ViewedRun
from tests.browser import find_chromium
from tests.commands import fail_command


@pytest.fixture(scope="module")
def run(prepared, tmp_path_factory):
    """A run of two folds with known predictions: wrong in every third window."""
    folder = tmp_path_factory.mktemp("run")
    rows = load_windows(prepared)
    labels = np.array([("rest", "task").index(name) for name in rows["condition"]])
    said = np.where(np.arange(len(rows)) % 3 == 0, 1 - labels, labels)
    scores = np.where(said[:, None] == np.arange(2), 0.8, 0.2)
    for fold, part in enumerate(np.array_split(np.arange(len(rows)), 2)):
        ids, subjects = (np.array(rows[name])[part] for name in ("window_id", "subject"))
        (folder / f"fold-{fold}").mkdir()
        Predictions(ids, subjects, labels[part], scores[part]).save(
            folder / f"fold-{fold}/predictions.parquet"
        )
        write_json(folder / f"fold-{fold}/config.json", {"id2label": {"0": "rest", "1": "<b>task"}})
    return folder


@pytest.fixture(scope="module")
def address(run, prepared):
    """The address of a server of that run."""
    server = make_server(ViewedRun(run, str(prepared)), 0)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def get(address, path, **headers):
    with urllib.request.urlopen(urllib.request.Request(address + path, headers=headers)) as answer:
        return json.load(answer)


def test_the_data_are_the_windows_and_their_predictions(address, prepared):
    rows, found = load_windows(prepared), get(address, "/recordings")
    assert sum(each["windows"] for each in found["recordings"]) == len(rows)
    assert sum(each["right"] for each in found["recordings"]) == len(rows) - len(range(0, len(rows), 3))
    name = found["recordings"][1]["name"]
    windows = get(address, f"/windows?recording={name}")
    assert [window["start"] for window in windows] == sorted(window["start"] for window in windows)
    wrong = next(place for place, window in enumerate(windows) if not window["is_right"])
    assert windows[wrong]["label"] != windows[wrong]["predicted"] and windows[wrong]["score"] == 0.8
    signal = get(address, f"/signal?recording={name}&first={wrong}&number=2")
    row = windows[wrong]["row"]
    expected = decode_windows(rows.with_format("arrow")[row : row + 1])[0][0]
    assert np.allclose(signal["parts"][0]["samples"], expected, atol=0.06)
    assert len(signal["parts"]) == 2 and signal["channels"] == rows[row]["channels"]


@pytest.mark.parametrize("path", ["/nothing", "/signal?recording=none", "/../setup.cfg", "/signal"])
def test_unknown_addresses_are_not_found(address, path):
    with pytest.raises(urllib.error.HTTPError, match="404"):
        get(address, path)


def test_other_sites_cannot_read_it(address):
    with pytest.raises(urllib.error.HTTPError, match="403"):
        get(address, "/recordings", Host="evil.example:80")


def test_bad_input_is_one_line(run, tmp_path):
    assert "is no folder" in fail_command("view", tmp_path / "nothing")
    assert "no predictions.parquet" in fail_command("view", tmp_path)
    assert "name the prepared corpus" in fail_command("view", run)


def test_a_real_browser_draws_it_and_shows_names_as_text(address, tmp_path):
    words = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking")
    words += ("--disable-component-update", "--disable-sync", f"--user-data-dir={tmp_path}")
    words += ("--virtual-time-budget=6000", "--dump-dom")
    page = subprocess.run(
        [find_chromium(), *words, address], capture_output=True, text=True, timeout=120, check=True
    )
    assert 'data-ready="true"' in page.stdout, page.stderr[-2000:]
    assert "Window 1 of" in page.stdout and "&lt;b&gt;task" in page.stdout and "<b>task" not in page.stdout
