# SPDX-License-Identifier: Apache-2.0
"""Damage small recordings of every format at random, read them, and count what goes wrong.

    python tools/fuzz_readers.py --number 5000 --seed 1 --workers 2
    python tools/fuzz_readers.py --only a.set:17        # one file again, kept in --keep

Each file is read, and cleaned by the feature extractor, in a process with limits. A file may be read, or
refused in one line that names it. Counted as faults: crashes of the process, hangs (30 s of CPU time), more
than 2 GB of memory, exceptions that are no one-line error, and samples that no recording can hold.
Exit code 1 if there is a fault.
"""

import argparse
import json
import os
import resource
import selectors
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # the tests write small files of every format

CPU_SECONDS, WALL_SECONDS, MEMORY_BYTES = 30.0, 180.0, 2 * 2**30
_MAX_MICROVOLTS = 1e6
_INTEGERS = (0, 1, -1, 2**7, 2**15 - 1, 2**15, 2**31 - 1, -(2**31), 2**32 - 1)
_NUMBERS = (
    b"0",
    b"-1",
    b"nan",
    b"inf",
    b"1e308",
    b"1e-308",
    b"99999999999999999999",
    b"",
    b"1.5",
    b"x",
    b"4294967295",
)
TABLE = {"sampling_rate": 128.0, "unit": "uV"}


def write_originals(folder: Path, wanted: Collection[str] | None = None) -> list[str]:
    """Write one whole recording of every format, or of some; return the names of the main files."""
    from tests.corpora import mutations, test_amplifier_formats
    from tests.corpora.recordings import test_gaps, test_lost_samples

    amplifier = test_amplifier_formats
    writers: dict[str, Callable[[Path], object]] = {
        **mutations.WRITERS,
        "x.xdf": amplifier.write_xdf,
        "nc.cnt": lambda path: test_gaps.write_cnt(path, [(128, 7, 0), (256, 0, 0xE0)]),
        "ant.cnt": lambda path: amplifier.write_ant(path, False),
        "rf64.cnt": lambda path: amplifier.write_ant(path, True),
        "p.lay": amplifier.write_persyst,
        "nk.eeg": amplifier.write_nihon_kohden,
        "m.mff": amplifier.write_mff,
        "c.cdt": amplifier.write_curry,
        "d.dap": amplifier.write_curry,
        "n.nedf": amplifier.write_nedf,
        "l.data": amplifier.write_nicolet,
        "o.txt": lambda path: test_lost_samples.write_openbci(path, np.arange(700)),
        "h.set": _write_set_73,
    }
    names = []
    for name, write in writers.items():
        if wanted and name not in wanted:
            continue
        (folder / name).mkdir()
        try:
            write(folder / name / name)
        except (Exception, SystemExit) as error:  # an optional package is missing
            sys.stderr.write(f"{name} is left out: {error}\n")
            continue
        names.append(name)
    return names


def _write_set_73(path: Path) -> None:
    """Write an EEGLAB file of version 7.3."""
    from tests.corpora.mutations import sines
    from tests.corpora.recordings.test_containment import close, write_hdf5

    file = write_hdf5(path)
    file["EEG"]["data"] = (sines() * 1e6).T.astype("<f4")
    file["EEG"]["data"].attrs["MATLAB_class"] = np.bytes_("single")
    close(file)


def damage(content: bytes, generator: np.random.Generator) -> bytes:
    """Return bytes with one to four random kinds of damage, most of them in the header."""
    changed = bytearray(content)
    for _ in range(int(generator.integers(1, 5))):
        if changed:
            _KINDS[int(generator.integers(len(_KINDS)))](changed, generator)
    return bytes(changed)


def _place(data: bytearray, generator: np.random.Generator) -> int:
    limit = len(data) if generator.random() < 0.3 else min(len(data), int(generator.choice([64, 512, 4096])))
    return int(generator.integers(limit))


def _flip(data: bytearray, generator: np.random.Generator) -> None:
    data[_place(data, generator)] ^= 1 << int(generator.integers(8))


def _set_byte(data: bytearray, generator: np.random.Generator) -> None:
    data[_place(data, generator)] = int(
        generator.choice([0, 255, 127, 128, 32, 10, int(generator.integers(256))])
    )


def _set_integer(data: bytearray, generator: np.random.Generator) -> None:
    value = int(generator.choice(_INTEGERS)) & 0xFFFFFFFF
    form = str(generator.choice(["<I", ">I", "<H", ">H"]))
    packed = struct.pack(form, value & (0xFFFF if form[1] == "H" else 0xFFFFFFFF))
    at = _place(data, generator) & ~1
    data[at : at + len(packed)] = packed


def _set_float(data: bytearray, generator: np.random.Generator) -> None:
    value = float(generator.choice([np.nan, np.inf, -np.inf, 0.0, 1e300, 1e-300, -1.0]))
    at = _place(data, generator) & ~3
    data[at : at + 8] = struct.pack(str(generator.choice(["<d", ">d"])), value)


def _cut(data: bytearray, generator: np.random.Generator) -> None:
    del data[_place(data, generator) if generator.random() < 0.2 else int(generator.integers(len(data))) :]


def _remove(data: bytearray, generator: np.random.Generator) -> None:
    at = _place(data, generator)
    del data[at : at + int(generator.integers(1, 64))]


def _insert(data: bytearray, generator: np.random.Generator) -> None:
    at = _place(data, generator)
    data[at:at] = generator.bytes(int(generator.integers(1, 64)))


def _repeat(data: bytearray, generator: np.random.Generator) -> None:
    at = _place(data, generator)
    block = bytes(data[at : at + int(generator.integers(1, 256))])
    data[at:at] = block * int(generator.integers(1, 30))


def _zero(data: bytearray, generator: np.random.Generator) -> None:
    at = _place(data, generator)
    end = min(len(data), at + int(generator.integers(1, 512)))
    data[at:end] = bytes(end - at)


def _change_number(data: bytearray, generator: np.random.Generator) -> None:
    """Replace a number written in digits."""
    at = _place(data, generator)
    while at < len(data) and not 48 <= data[at] <= 57:
        at += 1
    end = at
    while end < len(data) and (48 <= data[end] <= 57 or data[end] == 46):
        end += 1
    new = _NUMBERS[int(generator.integers(len(_NUMBERS)))]
    data[at:end] = new if generator.random() < 0.5 else new[: end - at].ljust(end - at)


def _change_line(data: bytearray, generator: np.random.Generator) -> None:
    lines = bytes(data).split(b"\n")
    at = int(generator.integers(len(lines)))
    lines[at : at + 1] = [[], [lines[at]] * 3, [lines[at][: len(lines[at]) // 2]]][int(generator.integers(3))]
    data[:] = b"\n".join(lines)


_KINDS = (
    *(_flip, _flip, _set_byte, _set_byte, _set_integer, _set_integer, _set_float, _cut, _remove, _insert),
    *(_repeat, _zero, _change_number, _change_number, _change_line),
)


def make(originals: Path, name: str, seed: int, folder: Path) -> Path:
    """Copy a recording into a folder with one of its files damaged; return the main file."""
    generator = np.random.default_rng([seed, *name.encode()])
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(originals / name, folder)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    chosen = files[int(generator.integers(len(files)))]
    main = folder / name
    if main.is_file() and generator.random() < 0.6:
        chosen = main
    chosen.write_bytes(damage(chosen.read_bytes(), generator))
    return next((path for path in sorted(folder.iterdir()) if path.name.lower() == name.lower()), main)


def judge(path: Path) -> tuple[str, str]:
    """Read a recording and clean it; return what came of it, and what is wrong."""
    from eeg_hf import EEGFeatureExtractor
    from eeg_hf.corpora.recordings.formats import TABLE_EXTENSIONS, read_recording

    is_table = path.suffix.lower() in TABLE_EXTENSIONS
    options = {"sampling_rate": 100.0, "lowpass_hz": 40.0, "unknown_channels": "drop"}
    extractor = EEGFeatureExtractor(**options, normalization="none", clip=None)
    try:
        raw = read_recording(path, **(TABLE if is_table else {}))
        raw.get_data(verbose="ERROR")
    except Exception as error:
        return _judge_error(error, path)
    try:
        made = extractor(raw, return_tensors="np")
    except Exception as error:
        return _judge_error(error, None)
    values = np.asarray(made["input_values"])
    if not np.isfinite(values).all() or not np.isfinite(np.asarray(made["channel_positions"])).all():
        return "insane", "the model input is not finite"
    if np.abs(values).max() > _MAX_MICROVOLTS:
        return "insane", f"the model input has samples of {np.abs(values).max():g} uV"
    return "read", ""


def _judge_error(error: Exception, path: Path | None) -> tuple[str, str]:
    text = f"{type(error).__name__}: {error}"
    if not isinstance(error, (ValueError, OSError, ImportError, MemoryError)):
        return "traceback", text
    if "\n" in str(error) or not str(error):
        return "traceback", f"not one line: {text}"
    if path is not None and path.stem not in str(error):
        return "traceback", f"without the file's name: {text}"
    return "refused", text


def _work() -> None:
    """Judge files named on standard input, one answer a line."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # libraries print
    warnings.simplefilter("ignore")
    import mne

    import eeg_hf.corpora.recordings.formats  # noqa: F401

    mne.set_log_level("ERROR")
    judge(Path("nowhere.edf"))  # imports what is imported late
    base = _status("VmSize")
    limit = base + MEMORY_BYTES + 2**31
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    answers.write("ready\n")
    for line in sys.stdin:
        Path("/proc/self/clear_refs").write_text("5")  # restarts the count of the largest memory
        before = _status("VmRSS")
        category, detail = judge(Path(line.rstrip("\n")))
        used = _status("VmHWM") - before
        if used > MEMORY_BYTES:
            category, detail = "memory", f"{used / 2**30:.1f} GiB; {category} {detail}"
        answers.write(json.dumps([category, detail[:300], used]) + "\n")


def _status(field: str) -> int:
    line = next(each for each in Path("/proc/self/status").read_text().splitlines() if each.startswith(field))
    return int(line.split()[1]) * 1024


@dataclass
class _Worker:
    """A process that judges one file at a time."""

    folder: Path
    process: subprocess.Popen | None = None
    task: tuple[str, int] | None = None
    since: float = 0.0
    cpu: float = 0.0

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--work"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            bufsize=1,
        )
        assert self.process.stdout is not None
        self.process.stdout.readline()

    def give(self, originals: Path, name: str, seed: int) -> None:
        if self.process is None or self.process.poll() is not None:
            self.start()
        path = make(originals, name, seed, self.folder)
        self.task, self.since, self.cpu = (name, seed), time.monotonic(), self.cpu_seconds()
        assert self.process is not None and self.process.stdin is not None
        self.process.stdin.write(f"{path}\n")

    def cpu_seconds(self) -> float:
        assert self.process is not None
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def hangs(self) -> bool:
        if time.monotonic() - self.since > WALL_SECONDS:
            return True
        try:
            return self.cpu_seconds() - self.cpu > CPU_SECONDS
        except OSError:
            return False


def run(
    tasks: list[tuple[str, int]], originals: Path, num_workers: int
) -> Iterator[tuple[str, int, str, str]]:
    """Judge files in several processes; yield name, seed, what came of it, and what is wrong."""
    waiting = deque(tasks)
    with tempfile.TemporaryDirectory(prefix="fuzz-") as scratch:
        workers = [_Worker(Path(scratch) / str(each)) for each in range(num_workers)]
        try:
            while waiting or any(worker.task for worker in workers):
                for worker in workers:
                    if worker.task is None and waiting:
                        worker.give(originals, *waiting.popleft())
                yield from _collect([worker for worker in workers if worker.task])
        finally:
            for worker in workers:
                if worker.process is not None:
                    worker.process.kill()
                    worker.process.wait()


def _collect(workers: list[_Worker]) -> Iterator[tuple[str, int, str, str]]:
    with selectors.DefaultSelector() as selector:
        for worker in workers:
            assert worker.process is not None and worker.process.stdout is not None
            selector.register(worker.process.stdout, selectors.EVENT_READ, worker)
        ready = {key.data.folder for key, _ in selector.select(timeout=1.0)}
    for worker in workers:
        assert worker.process is not None and worker.process.stdout is not None and worker.task is not None
        if worker.folder in ready:
            line = worker.process.stdout.readline()
            if line:
                category, detail, _ = json.loads(line)
            else:
                category, detail = "crash", f"exit code {worker.process.wait()}"
        elif worker.hangs():
            worker.process.kill()
            worker.process.wait()
            category, detail = "hang", f"{time.monotonic() - worker.since:.0f} s"
        else:
            continue
        yield *worker.task, category, detail
        worker.task = None


def main() -> int:
    """Run the fuzzer; return 1 if there is a fault."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--number", type=int, default=1000, help="files to judge")
    parser.add_argument(
        "--seed", type=int, default=0, help="of the first file; file i of a format has seed + i"
    )
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--formats", nargs="*", help="main files, such as a.set; default: all")
    parser.add_argument("--only", help="name:seed, to judge one file again")
    parser.add_argument("--keep", type=Path, help="folder in which the file of --only stays")
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.work:
        _work()
        return 0
    with tempfile.TemporaryDirectory(prefix="originals-") as folder:
        originals = Path(folder)
        names = write_originals(originals, args.formats)
        if args.only:
            name, _, seed = args.only.rpartition(":")
            path = make(originals, name, int(seed), args.keep or originals / "kept")
            sys.stdout.write(f"{path}: {': '.join(judge(path))}\n")
            return 0
        tasks = [(names[i % len(names)], args.seed + i // len(names)) for i in range(args.number)]
        counts: Counter[str] = Counter()
        for name, seed, category, detail in run(tasks, originals, args.workers):
            counts[category] += 1
            if category not in ("read", "refused"):
                sys.stdout.write(f"{category} {name}:{seed} {detail}\n")
                sys.stdout.flush()
    sys.stdout.write(f"{sum(counts.values())} files of {len(names)} formats: {dict(counts)}\n")
    return int(any(counts[each] for each in counts if each not in ("read", "refused")))


if __name__ == "__main__":
    sys.exit(main())
