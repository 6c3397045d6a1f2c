# SPDX-License-Identifier: Apache-2.0
"""Downloads from a real local server that can break connections."""

import hashlib
import threading
from collections import Counter
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from eeg_hf.corpora import EEGMAT, EEGMMIDB, Corpus
from eeg_hf.corpora.download import CHECKSUMS


class Server(ThreadingHTTPServer):
    """Serve a folder; count requests; break the connection of files in `cut`, as often as stated there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: Counter[str] = Counter()
        self.cut: Counter[str] = Counter()
        super().__init__(("127.0.0.1", 0), partial(Handler, directory=str(folder)))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def publish(self, files: dict[str, bytes]) -> None:
        lines = []
        for name, content in files.items():
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_bytes(content)
            lines.append(f"{hashlib.sha256(content).hexdigest()} {name}\n")
        (self.folder / CHECKSUMS).write_text("".join(lines))


class Handler(SimpleHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        name = self.path.lstrip("/")
        self.server.asked[name] += 1
        if self.server.cut[name] > 0:
            self.server.cut[name] -= 1
            content = (self.server.folder / name).read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2])
            self.wfile.flush()
            self.connection.close()
        else:
            super().do_GET()

    def log_message(self, *args: object) -> None:
        pass


FILES = {
    "Subject00_1.edf": b"rest" * 50_000,
    "Subject00_2.edf": b"task" * 50_000,
    "Subject01_1.edf": b"more" * 50_000,
    "subject-info.csv": b"Subject,Age,Gender,Number of subtractions,Count quality\n",
    "README.txt": b"not asked for",
}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with Server(tmp_path / "served") as running:
        running.folder.mkdir()
        running.publish(FILES)
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        yield running
        running.shutdown()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("EEG_HF_DATA", raising=False)
    monkeypatch.setenv("EEG_HF_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "eegmat"


def eegmat_at(url: str, retries: int = 0) -> Corpus:
    corpus = EEGMAT()
    corpus.base_url, corpus.download_retries = url, retries
    return corpus


def names_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_corpus_is_downloaded_whole_and_then_never_asked_for_again(server, cache):
    corpus = eegmat_at(server.url)
    assert corpus.locate() == cache
    assert names_in(cache) == {CHECKSUMS, *FILES} - {"README.txt"}
    assert (cache / "Subject00_2.edf").read_bytes() == FILES["Subject00_2.edf"]
    server.asked.clear()
    assert corpus.locate() == cache
    assert not server.asked


def test_listing_without_a_folder_downloads_the_corpus(server, cache):
    found = eegmat_at(server.url).recordings()
    assert [each.path for each in found] == [cache / name for name in sorted(FILES) if name.endswith(".edf")]


def test_a_cut_download_leaves_no_file_that_looks_whole_and_goes_on_where_it_stopped(server, cache):
    server.cut["Subject00_2.edf"] = 1
    with pytest.raises(ConnectionError) as caught:
        eegmat_at(server.url).locate()
    message = str(caught.value)
    assert f"{server.url}/Subject00_2.edf" in message and str(cache) in message and "EEG_HF_DATA" in message
    assert "\n" not in message
    assert names_in(cache) == {CHECKSUMS, "Subject00_1.edf"}
    eegmat_at(server.url).locate()
    assert server.asked["Subject00_1.edf"] == 1
    assert (cache / "Subject00_2.edf").read_bytes() == FILES["Subject00_2.edf"]


def test_a_broken_connection_is_tried_again(server, cache):
    server.cut["Subject00_1.edf"] = 1
    eegmat_at(server.url, retries=1).locate()
    assert server.asked["Subject00_1.edf"] == 2


def test_a_file_with_a_wrong_checksum_is_refused_and_not_kept(server, cache):
    (server.folder / "Subject00_1.edf").write_bytes(b"something else")
    with pytest.raises(ValueError, match="Subject00_1.edf arrived damaged and was not kept"):
        eegmat_at(server.url).locate()
    assert names_in(cache) == {CHECKSUMS}


def test_a_cut_list_of_checksums_is_not_taken_for_the_list(server, cache):
    server.cut[CHECKSUMS] = 1
    with pytest.raises(ConnectionError, match=CHECKSUMS):
        eegmat_at(server.url).locate()
    assert names_in(cache) == set()


def test_a_login_page_is_not_taken_for_the_list(server, cache):
    (server.folder / CHECKSUMS).write_text("<html>Please log in to the hotel's network</html>")
    with pytest.raises(ValueError, match="names none of the files expected"):
        eegmat_at(server.url).locate()
    assert names_in(cache) == set()


def test_a_name_that_leads_out_of_the_folder_is_never_fetched(server, cache):
    server.publish({"Subject00_1.edf": b"good", "../Subject01_1.edf": b"evil"})
    eegmat_at(server.url).locate()
    assert names_in(cache) == {CHECKSUMS, "Subject00_1.edf"}


def test_only_the_subjects_asked_for_are_downloaded(server, cache):
    corpus = eegmat_at(server.url)
    corpus.locate(subjects=["01"])
    assert names_in(cache) == {CHECKSUMS, "Subject01_1.edf", "subject-info.csv"}
    corpus.locate()
    assert {"Subject00_1.edf", "Subject00_2.edf"} <= names_in(cache)
    assert server.asked["Subject01_1.edf"] == 1


def test_folders_of_the_server_are_kept(server, cache):
    server.publish({"S001/S001R01.edf": b"run", "S001/S001R01.edf.event": b"cues"})
    corpus = EEGMMIDB()
    corpus.base_url = server.url
    folder = corpus.locate()
    assert names_in(folder) == {CHECKSUMS, "S001/S001R01.edf"}


def test_offline_the_error_is_one_line_with_a_way_out(cache):
    with pytest.raises(ConnectionError) as caught:
        eegmat_at("http://127.0.0.1:9").locate()  # port 9 discards; nothing listens there
    message = str(caught.value)
    assert "http://127.0.0.1:9/SHA256SUMS.txt" in message and str(cache) in message
    assert "EEG_HF_DATA" in message and "\n" not in message
