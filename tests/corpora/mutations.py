# SPDX-License-Identifier: Apache-2.0
"""Small recordings of many formats, and more than 500 ways to damage them."""

import gzip
import shutil
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import mne
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import scipy.io

RATE, SECONDS, NAMES = 128.0, 6, ["Fp1", "Cz", "O2"]
TABLE = {".csv": {"sampling_rate": RATE, "unit": "uV"}, ".parquet": {"sampling_rate": RATE, "unit": "uV"}}


def sines() -> np.ndarray:
    """50, 100 and 150 uV at 5, 10 and 15 Hz, in volts."""
    t = np.arange(round(RATE * SECONDS)) / RATE
    return np.stack([50e-6 * (k + 1) * np.sin(2 * np.pi * 5 * (k + 1) * t) for k in range(3)])


def raw_sines(annotated: bool = False) -> mne.io.RawArray:
    raw = mne.io.RawArray(sines(), mne.create_info(NAMES, RATE, "eeg"), verbose="ERROR")
    if annotated:
        raw.set_annotations(mne.Annotations([1.0, 5.96], [0.0, 0.0], ["cue", "end"]))
    return raw


def export(path: Path, fmt: str, annotated: bool) -> None:
    limits = {"physical_range": (-200.0, 200.0)} if fmt in ("edf", "bdf") else {}
    raw_sines(annotated).export(path, fmt=fmt, verbose="ERROR", overwrite=True, **limits)


def write_set(path: Path, external: bool = False, **changes: float | str) -> None:
    data = (sines() * 1e6).astype("<f4")
    fields = {
        **{"setname": "s", "nbchan": 3.0, "trials": 1.0, "pnts": float(data.shape[1]), "srate": RATE},
        **{"xmin": 0.0, "xmax": SECONDS - 1 / RATE, "icawinv": [], "icasphere": [], "icaweights": []},
        "chanlocs": np.array([(n,) for n in NAMES], dtype=[("labels", object)]),
        "event": np.array([("cue", 129.0)], dtype=[("type", object), ("latency", object)]),
        "data": f"{path.stem}.fdt" if external else data,
        **changes,
    }
    scipy.io.savemat(path, {"EEG": fields}, appendmat=False, do_compression=not external)
    if external:
        path.with_suffix(".fdt").write_bytes(data.T.tobytes())


def write_gdf(path: Path, version: int = 2) -> None:
    data = (sines() * 1e6).astype("<f8")
    head = bytearray(256)
    head[:8] = b"GDF 1.25" if version == 1 else b"GDF 2.20"
    head[8:168] = b" " * 160
    if version == 1:
        head[168:184] = b"2020010112000000"
    head[184:192] = struct.pack("<q", 256 * 4) if version == 1 else struct.pack("<HHI", 4, 0, 0)
    head[236:252] = struct.pack("<qII", SECONDS, 1, 1)
    head[252:256] = struct.pack("<I", 3)
    units = b"uV      " * 3 if version == 1 else b"\0" * 18 + struct.pack("<3H", *(4275,) * 3)
    wide = "q" if version == 1 else "d"
    block = b"".join(name.encode().ljust(16, b"\0") for name in NAMES)
    block += b"\0" * 240 + units
    block += struct.pack("<3d3d", *(-200.0,) * 3, *(200.0,) * 3)
    block += struct.pack(f"<3{wide}3{wide}", *(-200,) * 3, *(200,) * 3)
    block += b"\0" * (3 * 80)
    block += struct.pack("<3i3i", *(int(RATE),) * 3, *(17,) * 3)
    block += b"\0" * (3 * 32)
    assert len(block) == 768
    records = data.reshape(3, SECONDS, -1).transpose(1, 0, 2).tobytes()
    events = struct.pack("<BBBBIIIHH", 1, 128, 0, 0, 2, 129, 257, 769, 770)
    if version == 2:
        events = struct.pack("<BBBBfIIHH", 1, 2, 0, 0, RATE, 129, 257, 769, 770)
    path.write_bytes(bytes(head) + block + records + events)


def write_egi(path: Path) -> None:
    data = (sines() * 1e6).astype(">f4")
    head = struct.pack(">i6hi5h", 4, 2020, 1, 1, 12, 0, 0, 0, int(RATE), 3, 1, 0, 0)
    head += struct.pack(">ih", data.shape[1], 0)
    path.write_bytes(head + data.T.tobytes())


def write_csv(path: Path) -> None:
    np.savetxt(path, sines().T * 1e6, "%.4f", ",", header=",".join(NAMES), comments="")


WRITERS: dict[str, Callable[[Path], None]] = {
    "a.edf": lambda p: export(p, "edf", False),
    "plus.edf": lambda p: export(p, "edf", True),
    "a.bdf": lambda p: export(p, "bdf", True),
    "a_raw.fif": lambda p: raw_sines(True).save(p, verbose="ERROR", buffer_size_sec=1.0),
    "a_raw.fif.gz": lambda p: raw_sines(True).save(p, verbose="ERROR"),
    "a.vhdr": lambda p: export(p, "brainvision", True),
    "a.set": write_set,
    "b.set": lambda p: write_set(p, external=True),
    "one.gdf": lambda p: write_gdf(p, 1),
    "two.gdf": write_gdf,
    "a.raw": write_egi,
    "a.csv": write_csv,
    "a.parquet": lambda p: pq.write_table(pa.table(dict(zip(NAMES, sines() * 1e6, strict=True))), p),
}


def copy(whole: Path, folder: Path, name: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    stem = name.split(".")[0]
    for source in whole.glob(f"{stem}.*"):
        if source.name == name or source.suffix in (".eeg", ".vmrk", ".fdt"):
            shutil.copy(source, folder)
    return folder / name


def truncations(content: bytes) -> Iterator[tuple[str, bytes]]:
    for cut in (0, 1, 8, 16, 100, 255, 256, 257, 700):
        if cut < len(content):
            yield f"first{cut}", content[:cut]
    for share in (0.3, 0.5, 0.75, 0.9, 0.99):
        yield f"share{share}", content[: int(share * len(content))]
    yield "last", content[:-1]


def flips(content: bytes, seed: int) -> Iterator[tuple[str, bytes]]:
    generator = np.random.default_rng(seed)
    for kind, limit, count in (("head", 1024, 22), ("body", len(content), 8)):
        for i in range(count):
            changed = bytearray(content)
            for _ in range(1 + i % 3):
                at = int(generator.integers(min(limit, len(content))))
                changed[at] ^= 1 << int(generator.integers(8))
            yield f"{kind}{i}", bytes(changed)


def line_endings(content: bytes) -> Iterator[tuple[str, bytes]]:
    yield "crlf", content.replace(b"\n", b"\r\n")
    yield "lf", content.replace(b"\r\n", b"\n")


def edf_fields(content: bytes) -> Iterator[tuple[str, bytes]]:
    signals = int(content[252:256])
    per_signal = {"low": 104, "high": 112, "digital_low": 120, "digital_high": 128, "samples": 216}
    at = {"header": (184, 8), "records": (236, 8), "seconds": (244, 8), "signals": (252, 4)}
    at |= {field: (256 + offset * signals, 8) for field, offset in per_signal.items()}
    for field, (start, width) in at.items():
        for value in ("0", "-1", "-5", "NaN", "inf", "1e-30", "1e30", "9" * width, "x", "", "1,5", "200"):
            yield f"{field}={value}", content[:start] + value.encode().ljust(width) + content[start + width :]


def vhdr_fields(content: bytes) -> Iterator[tuple[str, bytes]]:
    text = content.decode()
    for key in ("NumberOfChannels", "SamplingInterval", "DataFile", "MarkerFile", "BinaryFormat"):
        old = next(line for line in text.splitlines() if line.startswith(key))
        for value in ("0", "-1", "nan", "inf", "1000000000", "1e-300", "", "x", "7812.5000001"):
            yield f"{key}={value}", text.replace(old, f"{key}={value}").encode()
        yield f"no {key}", text.replace(old, "").encode()


def csv_rows(content: bytes) -> Iterator[tuple[str, bytes]]:
    lines = content.split(b"\n")
    cells = (
        b"1,2",
        b"1,2,3,4",
        b"x,1,2",
        b"NaN,inf,-inf",
        b"1e400,0,0",
        b",,",
        b"\xff\xfe,1,2",
        b'"1,2,3',
        b"\0",
    )
    for number in (0, 1, 400):
        for cell in cells:
            yield f"{number}:{cell!r}", b"\n".join((*lines[:number], cell, *lines[number + 1 :]))
    yield "transposed", b"\n".join(b",".join([b"1.5"] * 768) for _ in range(3))


def hostile(whole: Path, folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield (kind of damage, path) of one damaged recording after another."""
    kinds = {"a.edf": edf_fields, "a.bdf": edf_fields, "a.vhdr": vhdr_fields, "a.csv": csv_rows}
    for seed, name in enumerate(WRITERS):
        content = (whole / name).read_bytes()
        copy(whole, folder, name)
        changed = [*truncations(content), *flips(content, seed), *line_endings(content)]
        changed += kinds.get(name, lambda _: [])(content)
        for how, damaged in changed:
            if damaged == content:
                continue
            path = folder / name
            path.write_bytes(damaged)
            yield f"{name} {how}", path
        for other in (".edf", ".bdf", ".gdf", ".vhdr", ".set", ".cnt", ".raw", ".eeg", ".xdf", ".lay"):
            if not name.endswith(other):
                path = folder / f"renamed{other}"
                path.write_bytes(content)
                yield f"{name} as {other}", path
    for name, part in (("a.vhdr", ".eeg"), ("a.vhdr", ".vmrk"), ("b.set", ".fdt")):
        content = (whole / name).with_suffix(part).read_bytes()
        for how, damaged in [*truncations(content), *line_endings(content), ("missing", None)]:
            path = copy(whole, folder, name)
            path.with_suffix(part).unlink() if damaged is None else path.with_suffix(part).write_bytes(
                damaged
            )
            yield f"{name} {part} {how}", path
    changes = [{"nbchan": n} for n in (0.0, 1e9, np.nan, -1.0, 2.0)] + [{"trials": 4.0}, {"trials": 0.0}]
    changes += [{"srate": r} for r in (0.0, np.nan, np.inf, -1.0, 1e-12, 1e15, "x")]
    changes += [{"pnts": n} for n in (0.0, 1e15, np.nan, 767.0, 769.0)]
    for change in changes:
        for external in (False, True):
            write_set(folder / "c.set", external, **change)
            yield f"set {change} {external}", folder / "c.set"
    (folder / "bomb.fif.gz").write_bytes(gzip.compress(bytes(50_000_000), 9))
    yield "bomb.fif.gz", folder / "bomb.fif.gz"
