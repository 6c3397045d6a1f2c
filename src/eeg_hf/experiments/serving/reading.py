# SPDX-License-Identifier: Apache-2.0
"""Read what strangers send, in processes with limits of memory and time.

A reader may crash, never return, or want all memory. Each recording is therefore read and cleaned in a
process that may be ended. What comes back is JSON and safetensors, nothing that is executed when opened.
"""

import contextlib
import json
import multiprocessing
import os
import threading
import warnings
from collections.abc import Mapping
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch

from ...corpora.recordings.formats import find_recordings, read_recording
from ...corpora.windows.limits import refuse_too_large, time_limit
from ...legible_text import legible
from ...processing.feature_extraction_eeg import EEGFeatureExtractor
from ...processing.microvolts import to_microvolts

ARRAY_FIELDS = ("samples", "sampling_rate", "channel_names", "unit", "montage")
_READS_PER_PROCESS = 200  # after which a fresh one takes over: readers of compiled code may leak
_GRACE_SECONDS = 2.0

Job = Mapping[str, Any]


class RefusedError(ValueError):
    """A recording that gets no answer.

    Args:
        status: HTTP status: 413 too large, 415 another format, 422 damaged or unfit, 504 too slow.
        message: What was expected, what came, what to do.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Reader:
    """One process that reads recordings, started again whenever it ended.

    Args:
        megabytes: Memory that a recording may take, beside that of the process.
    """

    def __init__(self, megabytes: float) -> None:
        self.megabytes = megabytes
        self.restarts = -1
        self.process: Any = None
        self.connection: Connection | None = None
        self.num_read = 0

    def ask(self, job: Job, seconds: float) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
        """Send a job and return what came of it.

        Args:
            job: As of `answer`.
            seconds: Time limit.

        Raises:
            RefusedError: If the recording is refused, the time is over, or the process died.
        """
        connection = self._connect()
        self.num_read += 1
        try:
            connection.send_bytes(json.dumps({**job, "seconds": seconds}).encode())
            if not connection.poll(seconds + _GRACE_SECONDS):
                raise RefusedError(
                    504, f"reading the recording took longer than {seconds:g} s: send a shorter one"
                )
            about = json.loads(connection.recv_bytes())
            tensors = safetensors.torch.load(connection.recv_bytes()) if about.get("has_tensors") else {}
        except (EOFError, ConnectionError, OSError) as error:
            self.close()
            raise RefusedError(
                422, "the recording ended the process that read it: it is damaged, or wants too much memory"
            ) from error
        except RefusedError:
            self.close()
            raise
        if "problem" in about:
            raise RefusedError(about["status"], about["problem"])
        return about, tensors

    def close(self) -> None:
        """End the process."""
        if self.process is not None:
            self.process.kill()
            self.process.join()
            self.process.close()
        if self.connection is not None:
            self.connection.close()
        self.process = self.connection = None

    def _connect(self) -> Connection:
        if self.process is not None and (not self.process.is_alive() or self.num_read >= _READS_PER_PROCESS):
            self.close()
        if self.process is None or self.connection is None:
            methods = multiprocessing.get_all_start_methods()
            context: Any = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
            if "forkserver" in methods:  # imports once instead of once for each process
                context.set_forkserver_preload([__name__, "mne", "scipy.signal"])
            self.connection, end = context.Pipe()
            self.process = context.Process(target=serve_jobs, args=(end, self.megabytes), daemon=True)
            self.process.start()
            end.close()
            self.num_read, self.restarts = 0, self.restarts + 1
        return self.connection


def serve_jobs(connection: Connection, megabytes: float) -> None:
    """Answer jobs until the other end closes."""
    parent = multiprocessing.parent_process()
    if parent is not None:  # a killed server leaves no readers behind
        threading.Thread(target=lambda: (wait([parent.sentinel]), os._exit(1)), daemon=True).start()
    limit_process(megabytes)
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    while True:
        try:
            job = json.loads(connection.recv_bytes())
        except EOFError:
            return
        about, tensors = attempt(job)
        connection.send_bytes(json.dumps(about).encode())
        if about.get("has_tensors"):
            connection.send_bytes(safetensors.torch.save(tensors))


def limit_process(megabytes: float) -> None:
    """Bound the memory and the files that this process may make, on systems that can."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[0])  # what the libraries have mapped
        most = pages * os.sysconf("SC_PAGE_SIZE") + int(megabytes * 2**20)
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def attempt(job: Job) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Do a job, and turn whatever goes wrong into a status and one line."""
    try:
        with time_limit(float(job["seconds"])):
            return answer(job)
    except RefusedError as error:
        status, message = error.status, str(error)
    except TimeoutError as error:
        status, message = 504, str(error)
    except ImportError as error:
        status, message = 415, str(error)
    except MemoryError:
        status, message = (
            413,
            "the recording wants more memory than one recording may take: send a shorter one",
        )
    except RecursionError:
        status, message = 422, "the recording is nested too deeply: expected plain lists of numbers"
    except Exception as error:  # a reader of a damaged file may raise anything
        status, message = 422, str(error) or type(error).__name__
    return {"status": status, "problem": legible(" ".join(message.split()))[:500]}, {}


def answer(job: Job) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Do a job.

    Args:
        job: `list` (a folder): lists the main files in it. `file` or `array` (a path), with `extractor`,
            `options` and the limits `max_seconds` and `max_channels`: makes features. With
            `preview_seconds` there is also `preview`, the clean signal of the beginning in uV.

    Returns:
        What to know, as JSON, and tensors.
    """
    if "list" in job:
        return {"names": [path.name for path in find_recordings(job["list"], tables=True)]}, {}
    extractor: Any = EEGFeatureExtractor.from_dict(job["extractor"])
    if "array" in job:
        given = read_arrays(Path(job["array"]))
        check_size(given["samples"].shape[-2], given["samples"].shape[-1], given["sampling_rate"], job)
        features = extractor(given.pop("samples"), return_report=True, **given)
    else:
        options = dict(job["options"])
        montage = options.pop("montage", None)
        raw = read_recording(job["file"], **options)
        check_size(len(raw.ch_names), raw.n_times, raw.info["sfreq"], job)
        refuse_too_large(raw)
        features = extractor(raw, return_report=True, montage=montage)
    reports = features.pop("report")
    tensors = {name: value.contiguous() for name, value in features.items()}
    if "preview_seconds" in job:
        first = raw.copy().crop(tmax=min(raw.times[-1], job["preview_seconds"]))
        clean = to_microvolts(extractor.preprocess(first, montage)[0]).astype(np.float32)
        tensors["preview"] = torch.from_numpy(np.ascontiguousarray(clean))
    return {"has_tensors": True, "reports": reports}, tensors


def check_size(channels: int, samples: int, rate: float, job: Job) -> None:
    """Refuse recordings that are longer or wider than the server takes."""
    if channels > job["max_channels"]:
        raise RefusedError(
            413, f"the recording has {channels} channels, expected {job['max_channels']} at most"
        )
    if samples / rate > job["max_seconds"]:
        raise RefusedError(
            413,
            f"it lasts {samples / rate:.0f} s, expected at most {job['max_seconds']:g}: send a part",
        )


def read_arrays(path: Path) -> dict[str, Any]:
    """Read samples with their description from a JSON file, and check them."""
    try:
        given = json.loads(path.read_bytes(), parse_constant=_refuse_constant)
    except ValueError as error:
        raise RefusedError(422, f"the body is no JSON: {error}") from error
    if not isinstance(given, dict) or (unknown := sorted(set(given) - set(ARRAY_FIELDS))):
        what = f"unknown {', '.join(map(str, unknown))}" if isinstance(given, dict) else type(given).__name__
        raise RefusedError(422, f"expected an object of {', '.join(ARRAY_FIELDS)}; got {what}")
    if missing := [name for name in ARRAY_FIELDS[:4] if name not in given]:
        raise RefusedError(
            422, f"expected an object of {', '.join(ARRAY_FIELDS)}; it lacks {', '.join(missing)}"
        )
    try:
        samples, rate = np.array(given["samples"]), given["sampling_rate"]
        if samples.dtype.kind not in "iuf" or type(rate) not in (int, float):  # numpy reads "1", and True
            raise TypeError("no numbers")
        samples, rate = samples.astype(np.float64), float(rate)
    except (TypeError, ValueError) as error:
        raise RefusedError(
            422,
            "samples: expected rows of numbers, as many in each: (channels, time) or (batch, channels, time);"
            " sampling_rate: a number",
        ) from error
    if samples.ndim not in (2, 3) or not samples.size or not rate > 0:
        raise RefusedError(
            422,
            "expected samples (channels, time) or (batch, channels, time) and a rate above 0, got "
            f"{samples.shape} and {rate:g}",
        )
    return {**given, "samples": samples, "sampling_rate": rate}


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is no number of JSON; leave such channels out")
