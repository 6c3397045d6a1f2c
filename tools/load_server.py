# SPDX-License-Identifier: Apache-2.0
"""Load a real server: 1,000 requests at 16 at a time, then hostile uploads; count what goes wrong.

    python tools/load_server.py --requests 1000 --at_a_time 16

Starts `eeg-hf serve` in a process of its own. Good requests must get 200, and its memory must not grow over
the last three quarters by more than 10 %. Hostile uploads must get a right status, no answer may hold a path,
nothing may be executed or left on the disk. Exit code 1 if there is a fault.
"""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import psutil

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # the tests know hostile uploads

MODEL = "eeg-foundation-tiny-arithmetic"
_LEAK = re.compile(r"<[a-z/!]|/tmp|/home|/root|/usr|site-packages|Traceback|hf_[A-Za-z0-9]{8}")


def start(folder: Path, concurrency: int) -> tuple[subprocess.Popen, str]:
    """Start a server whose temporary files lie in a folder; return it and its address."""
    environment = {**os.environ, "TMPDIR": str(folder), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    command = [
        sys.executable,
        "-m",
        "eeg_hf.cli.serve",
        MODEL,
        "--port",
        "0",
        "--concurrency",
        str(concurrency),
    ]
    process = subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE)
    address = re.search(r"http://\S+", process.stdout.readline())[0]
    return process, address


def memory_of(process: subprocess.Popen) -> float:
    """Return the resident memory of the server in MB, without its readers, which are replaced in time."""
    return psutil.Process(process.pid).memory_info().rss / 2**20


def send_good(client: httpx.Client, address: str, content: bytes, number: int) -> tuple[int, float]:
    """Send a recording, or every other time an array; return status and seconds."""
    start_time = time.monotonic()
    if number % 2:
        answer = client.post(f"{address}/predict", files={"file": ("s01.edf", content)})
    else:
        samples = np.random.default_rng(number).normal(0, 20, (4, 1500)).round(2).tolist()
        body = {
            "samples": samples,
            "sampling_rate": 250,
            "channel_names": ["C3", "C4", "O1", "O2"],
            "unit": "uV",
        }
        answer = client.post(f"{address}/predict", json=body)
    return answer.status_code, time.monotonic() - start_time


def load(process: subprocess.Popen, address: str, number: int, at_a_time: int) -> dict:
    """Send good requests; return statuses, times and memory."""
    from eeg_hf.experiments.demo.example import write_example

    with tempfile.TemporaryDirectory() as folder:
        content = write_example(Path(folder), seconds=10.0).read_bytes()
    memory, results = [], []
    started = time.monotonic()
    with httpx.Client(timeout=120) as client, ThreadPoolExecutor(at_a_time) as pool:
        for first in range(0, number, 50):
            numbers = range(first, min(first + 50, number))
            results += pool.map(lambda each: send_good(client, address, content, each), numbers)
            memory.append(memory_of(process))
    seconds = np.array([each for _, each in results])
    return {
        "statuses": dict(Counter(status for status, _ in results)),
        "requests_per_second": round(number / (time.monotonic() - started), 1),
        "seconds_median": round(float(np.median(seconds)), 3),
        "seconds_p99": round(float(np.quantile(seconds, 0.99)), 3),
        "memory_mb": [round(value) for value in memory],
        "growth": round(memory[-1] / memory[len(memory) // 4] - 1, 3),
    }


def attack(address: str, folder: Path, uploads_folder: Path) -> dict:
    """Send hostile uploads; return how many, their statuses and what went wrong."""
    from tests.hostile_uploads import hostile_uploads

    wrong, statuses = [], Counter()
    for upload in hostile_uploads(uploads_folder):
        with httpx.Client(timeout=120) as client:
            if upload.files is None:
                kind = {"content-type": "application/json"}
                answer = client.post(f"{address}/predict", content=upload.body, headers=kind)
            else:
                answer = client.post(f"{address}/predict", files=[("file", each) for each in upload.files])
        statuses[answer.status_code] += 1
        if answer.status_code not in upload.statuses or _LEAK.search(answer.text):
            wrong.append([upload.title, answer.status_code, answer.text[:200]])
        left = [str(path) for path in folder.glob("eeg-hf-serve-*/*")]
        if left:
            wrong.append([upload.title, "left on the disk", left])
    if (uploads_folder / "executed").exists():
        wrong.append(["a pickle", "was executed"])
    return {"uploads": sum(statuses.values()), "statuses": dict(statuses), "wrong": wrong}


def main() -> None:
    """Run both, print JSON, and end with 1 if there is a fault."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--at_a_time", type=int, default=16)
    parser.add_argument("--concurrency", type=int, default=2, help="readers of the server")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "server"
        folder.mkdir()
        process, address = start(folder, options.concurrency)
        try:
            found = {"load": load(process, address, options.requests, options.at_a_time)}
            found["hostile"] = attack(address, folder, Path(name))
            found["health_afterwards"] = httpx.get(f"{address}/health").json()["status"]
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)
        found["left_afterwards"] = [
            path.name for path in folder.iterdir() if not path.name.startswith("torchinductor")
        ]
    print(json.dumps(found, indent=1))
    is_good = set(found["load"]["statuses"]) == {200} and found["load"]["growth"] < 0.1
    sys.exit(0 if is_good and not found["hostile"]["wrong"] and not found["left_afterwards"] else 1)


if __name__ == "__main__":
    main()
