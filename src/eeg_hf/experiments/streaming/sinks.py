# SPDX-License-Identifier: Apache-2.0
"""Where answers go: lines of JSON, a CSV file, a stream of LSL, clients of a WebSocket."""

import csv
import json
import math
import queue
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .sources import import_extra

_WAITING_ANSWERS = 100  # held for a client that is slow to read


class Sink(ABC):
    """A place for answers; `dropped` counts those that a slow consumer did not get."""

    dropped = 0

    @abstractmethod
    def write(self, answer: dict[str, Any]) -> None:
        """Pass on one answer."""

    def close(self) -> None:
        """Finish."""
        return


class LinesSink(Sink):
    """One JSON object a line on the standard output."""

    def write(self, answer: dict[str, Any]) -> None:
        """Write a line and flush it."""
        sys.stdout.write(f"{json.dumps(answer)}\n")
        sys.stdout.flush()


class CsvSink(Sink):
    """One row an answer; the columns are those of the first answer with a label."""

    def __init__(self, path: str, labels: Sequence[str]) -> None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        self._file = Path(path).open("w", newline="", encoding="utf-8")  # noqa: SIM115  until close()
        self._columns = [
            *("index", "start", "end", "label", "score", "value"),
            *(f"score: {name}" for name in labels),
            *("quality", "is_settled", "restarts", "bad_channels", "problem", "latency_ms"),
        ]
        self._writer = csv.DictWriter(self._file, self._columns, extrasaction="ignore")
        self._writer.writeheader()

    def write(self, answer: dict[str, Any]) -> None:
        """Write a row and flush it."""
        scores = {f"score: {name}": value for name, value in answer["scores"].items()}
        bad = "; ".join(f"{name} ({why})" for name, why in answer["bad_channels"].items())
        self._writer.writerow({**answer, **scores, "bad_channels": bad})
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class LslSink(Sink):
    """A stream of LSL with one channel for each score, and the quality; NaN where there is no answer."""

    def __init__(self, name: str, labels: Sequence[str], rate: float) -> None:
        lsl = import_extra("pylsl")
        self._labels = list(labels)
        info = lsl.StreamInfo(name, "Scores", len(labels) + 1, rate, "float32", f"eeg-hf-{name}")
        channels = info.desc().append_child("channels")
        for label in (*labels, "quality"):
            channels.append_child("channel").append_child_value("label", label)
        self._outlet, self._clock = lsl.StreamOutlet(info), lsl.local_clock

    def write(self, answer: dict[str, Any]) -> None:
        """Push a sample, stamped with the end of its window if the source has stamps."""
        values = [answer["scores"].get(name, math.nan) for name in self._labels]
        stamp = answer["end"] if answer["has_stamps"] else self._clock()
        self._outlet.push_sample([*values, answer["quality"]], stamp)


class WebSocketSink(Sink):
    """A server that sends each answer as JSON to all clients."""

    def __init__(self, address: str) -> None:
        import_extra("websockets")
        from websockets.sync.server import serve

        parts = urlsplit(address)
        if not parts.port:
            raise ValueError(f"expected ws://:PORT or ws://HOST:PORT, got {address!r}")
        host = parts.hostname or "127.0.0.1"
        self._clients: set[queue.Queue[str | None]] = set()
        try:
            self._server = serve(self._send, host, parts.port)
        except OSError as error:
            raise ValueError(
                f"{address}: cannot listen at {host}:{parts.port} ({error.strerror or error}): choose another"
                " port"
            ) from error
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def _send(self, connection: Any) -> None:
        """Send answers to one client until it goes."""
        from websockets.exceptions import ConnectionClosed

        answers: queue.Queue[str | None] = queue.Queue(_WAITING_ANSWERS)
        self._clients.add(answers)
        try:
            while (text := answers.get()) is not None:
                connection.send(text)
        except ConnectionClosed:
            return
        finally:
            self._clients.discard(answers)

    def write(self, answer: dict[str, Any]) -> None:
        """Hand the answer to all clients; one whose queue is full misses it."""
        for client in list(self._clients):
            try:
                client.put_nowait(json.dumps(answer))
            except queue.Full:
                self.dropped += 1

    def close(self) -> None:
        """Send the end to all clients."""
        for client in list(self._clients):
            if client.full():
                client.get_nowait()
            client.put_nowait(None)
        self._server.shutdown()


def open_sink(word: str, labels: Sequence[str], rate: float) -> Sink:
    """Open the sink that a word names.

    Args:
        word: `-`, a path that ends in .csv, `lsl:NAME` or `ws://HOST:PORT`.
        labels: Names of the scores.
        rate: Answers per second.
    """
    if word == "-":
        return LinesSink()
    if word.startswith("ws://"):
        return WebSocketSink(word)
    if word.startswith("lsl:") and len(word) > 4:
        return LslSink(word[4:], labels, rate)
    if word.endswith(".csv"):
        return CsvSink(word, labels)
    raise ValueError(f"sinks: expected -, a name that ends in .csv, lsl:NAME or ws://:PORT, got {word!r}")


__all__ = ["Sink", "open_sink"]
