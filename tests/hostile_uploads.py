# SPDX-License-Identifier: Apache-2.0
"""Uploads that nobody well-meaning sends, with the statuses that are right for each."""

import gzip
import io
import json
import os
import pickle
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy.io

from tests.corpora.mutations import WRITERS

REFUSED = (413, 415, 422)


class Upload(NamedTuple):
    """One request: its name in reports, the files of a form or a JSON body, the right statuses."""

    title: str
    files: list[tuple[str, bytes]] | None
    body: bytes | None = None
    statuses: tuple[int, ...] = REFUSED


class Canary:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def edf_header(records: int, signals: int = 2, label: str = "Cz") -> bytes:
    """Return an EDF file whose header promises a number of records, with the samples of one."""

    def field(text, width):
        return str(text).encode("latin-1", "replace").ljust(width)[:width]

    head = field("0", 8) + field("X", 80) + field("X", 80) + b"01.01.2001.00.00"
    head += (
        field(256 * (signals + 1), 8) + field("", 44) + field(records, 8) + field(1, 8) + field(signals, 4)
    )
    columns = [
        (label, 16),
        ("", 80),
        ("uV", 8),
        (-200, 8),
        (200, 8),
        (-2048, 8),
        (2047, 8),
        ("", 80),
        (256, 8),
    ]
    for text, width in [*columns, ("", 32)]:
        head += b"".join(field(f"{text}{n}" if text == label else text, width) for n in range(signals))
    samples = np.random.default_rng(0).integers(-500, 500, 256 * signals * min(max(records, 1), 10))
    return head + samples.astype("<i2").tobytes()


def zipped(num_bytes: int) -> bytes:
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.edf", bytes(num_bytes))
    return memory.getvalue()


def mat_bomb(num_bytes: int) -> bytes:
    memory = io.BytesIO()
    scipy.io.savemat(memory, {"EEG": {"data": np.zeros(num_bytes, np.uint8)}}, do_compression=True)
    return memory.getvalue()


def bombs(num_bytes: int) -> Iterator[Upload]:
    archive, packed = zipped(num_bytes), gzip.compress(bytes(num_bytes), 1)
    for name in (
        "a.edf",
        "a.bdf",
        "a.set",
        "a.csv",
        "a.parquet",
        "a.xdf",
        "a_raw.fif",
        "a.gdf",
        "a.vhdr",
        "a.cnt",
    ):
        yield Upload(f"zip bomb as {name}", [(name, archive)])
    for name in ("a_raw.fif.gz", "a.xdfz", "a.edf", "a.txt"):
        yield Upload(f"gzip bomb as {name}", [(name, packed)])
    yield Upload("MATLAB bomb", [("a.set", mat_bomb(min(num_bytes, 2**30)))])
    yield Upload("zip", [("a.zip", archive)], statuses=(415,))


def headers() -> Iterator[Upload]:
    for records in (10**7, 2**31 - 1, 99999999, -5):
        yield Upload(f"EDF of {records} records", [("a.edf", edf_header(records))])
    for signals in (5000, 9999):
        yield Upload(f"EDF of {signals} signals", [("a.edf", edf_header(1, signals)[:20000])])
    text = (
        "Brain Vision Data Exchange Header File Version 1.0\n[Common Infos]\nDataFile={}\n[Channel Infos]\n"
    )
    for target in ("/etc/passwd", "../../etc/passwd", "a.eeg"):
        yield Upload(f"header names {target}", [("a.vhdr", text.format(target).encode())])


def pickles(folder: Path) -> Iterator[Upload]:
    content = pickle.dumps(Canary(folder / "executed"))
    memory = io.BytesIO()
    np.save(memory, np.array([Canary(folder / "executed")], dtype=object), allow_pickle=True)
    for name in ("a.pkl", "a.npy", "a.pt", "a.joblib", "a.mat"):
        yield Upload(f"pickle {name}", [(name, content)], statuses=(415,))
    for name in ("a.edf", "a.csv", "a.set", "a.parquet", "a_raw.fif", "a.xdf", "a.data"):
        yield Upload(f"pickle as {name}", [(name, content)])
        yield Upload(f"numpy as {name}", [(name, memory.getvalue())])


def names() -> Iterator[Upload]:
    good = edf_header(10)
    for name in (
        *(
            "../a.edf",
            "../../../../tmp/a.edf",
            "/etc/cron.d/a.edf",
            "C:\\a.edf",
            "..\\a.edf",
            ".a.edf",
            "~/a.edf",
        ),
        *("a\x1b[2J.edf", "x" * 300 + ".edf", "con:a.edf", "..", ".", "a/b/c.edf", "\u202eabc.edf"),
    ):
        yield Upload(f"name {name!r}", [(name, good)], statuses=(415, 422))
    for name in ("a", "a.exe", "a.py", "a.html", "a.sh", "a.yaml", "a.h5", "a.tar.gz", "a.7z", "a.svg"):
        yield Upload(f"extension of {name}", [(name, good)], statuses=(415,))
    yield Upload("HTML in a name", [("<img src=x onerror=alert(1)>.edf", good)], statuses=(422,))
    yield Upload("the same name twice", [("a.edf", good), ("a.edf", good)], statuses=(422,))
    yield Upload("many files", [(f"{number}.edf", b"") for number in range(40)], statuses=(400, 413))


def texts() -> Iterator[Upload]:
    """Names of channels that a browser would run; whatever the status, the answer holds no element."""
    for text in (
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "</pre><b>",
        "'\"><svg onload=x>",
    ):
        rows = np.random.default_rng(0).normal(size=(2000, 2))
        table = f"{text},Cz\n" + "\n".join(f"{a:.3f},{b:.3f}" for a, b in rows)
        yield Upload(f"CSV with {text}", [("a.csv", table.encode())])
        yield Upload(f"EDF with {text}", [("a.edf", edf_header(10, label=text[:14]))])


def bodies() -> Iterator[Upload]:
    good = {
        "samples": np.zeros((2, 500)).tolist(),
        "sampling_rate": 250,
        "channel_names": ["C3", "C4"],
        "unit": "uV",
    }
    changes = (
        *(
            {"samples": "x"},
            {"samples": []},
            {"samples": [[1, 2], [3]]},
            {"samples": [[["a"]]]},
            {"samples": None},
        ),
        *({"sampling_rate": 0}, {"sampling_rate": -1}, {"sampling_rate": "fast"}, {"sampling_rate": 1e300}),
        *(
            {"channel_names": ["C3"]},
            {"channel_names": "C3"},
            {"channel_names": ["C3", "C3"]},
            {"unit": "kg"},
        ),
        *(
            {"channel_names": ["<script>", "C4"]},
            {"extra": 1},
            {"unit": None},
            {"montage": "../../etc/passwd"},
        ),
        *(
            {"samples": value}
            for value in (5, {}, True, [[]], [[], []], [5, 6], [["1", "2"]] * 2, [[{}]] * 2)
        ),
        *({"samples": value} for value in ([[None] * 500] * 2, [[1e308] * 500] * 2, [[True] * 500] * 2)),
        *({"sampling_rate": value} for value in (None, [], {}, True, "", "250; DROP TABLE", -0.0, 1e-300)),
        *({"channel_names": value} for value in (None, {}, [], ["C3", None], ["C3", 5], [["C3"], ["C4"]])),
        *(
            {"channel_names": ["C3", name]}
            for name in ("", "x" * 100000, "../../etc/passwd", "C4\0", "\u202eC4")
        ),
        *({"unit": value} for value in (5, [], {}, "", "uV<script>", "V; rm -rf /", "x" * 100000)),
        *({"montage": value} for value in (5, [], "nothing", "<svg onload=x>", "/dev/zero", "a\0b")),
        *({"__class__": "os.system"}, {"__proto__": {}}, {"samples": None, "path": "/etc/passwd"}),
    )
    for change in changes:
        yield Upload(f"array with {change}", None, json.dumps({**good, **change}).encode())
    yield Upload("NaN", None, json.dumps({**good, "samples": [[float("nan")] * 500] * 2}).encode())
    for title, body in {
        "no JSON": b"{",
        "binary": b"\xff\xfe\x00",
        "nested": b"[" * 100000,
        "empty": b"",
        "null": b"null",
        "text": b'"samples"',
        "nested objects": b'{"a":' * 20000,
        "a long number": b'{"samples": ' + b"9" * 100000 + b"}",
        "a key twice": b'{"unit": "uV", "unit": "V"}',
        "UTF-16": json.dumps(good).encode("utf-16"),
        "XML": b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>',
        "YAML": b"!!python/object/apply:os.system [touch executed]",
    }.items():
        yield Upload(f"body: {title}", None, body)


def truncated(folder: Path) -> Iterator[Upload]:
    for name, write in WRITERS.items():
        write(folder / name)
        content = (folder / name).read_bytes()
        stem = name.split(".")[0]
        parts = [
            (path.name, path.read_bytes())
            for path in folder.glob(f"{stem}.*")
            if path.suffix in (".eeg", ".vmrk", ".fdt") and name.endswith((".vhdr", ".set"))
        ]
        # A table or a FIF file that lost rows at its end is a shorter one
        for share in (0.02, 0.1, 0.4, 0.7):
            allowed = (*REFUSED, 200) if name.endswith((".csv", ".fif", ".vhdr")) else REFUSED
            yield Upload(
                f"{share:.0%} of {name}",
                [(name, content[: int(share * len(content))]), *parts],
                statuses=allowed,
            )


def hostile_uploads(folder: Path, num_bytes: int = 2**31) -> list[Upload]:
    """Return all of them; bombs expand to a number of bytes, and pickles make `folder / "executed"`."""
    return [
        *bombs(num_bytes),
        *headers(),
        *pickles(folder),
        *names(),
        *texts(),
        *bodies(),
        *truncated(folder),
    ]
