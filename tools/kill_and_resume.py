# SPDX-License-Identifier: Apache-2.0
"""Kill preparations, trainings, phases and registry saves at random times, resume them, compare the bytes.

    python tools/kill_and_resume.py --number 25 --seed 0 --jobs prepare pretrain phases registry

Each job runs once undisturbed. Then it is killed (SIGKILL) up to three times in a row, each time after a
random share of the undisturbed time, and run to its end: what it leaves must equal what the undisturbed run
left, byte for byte, with no hidden file beside it. Children are forked from this process, which has imported
everything.
Exit code 1 if a result differs.
"""

import argparse
import contextlib
import hashlib
import io
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

TINY = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
TINY |= {"overlap": 0.0, "contrastive_weight": 0.0}


@dataclass(frozen=True)
class Job:
    """Work that can be killed and run again.

    Attributes:
        run: Does the work in a folder; the same call resumes it.
        results: Files that must not differ, as a pattern below the folder.
        before: Makes what the work finds in its folder at first.
    """

    run: Callable[[Path], None]
    results: str
    before: Callable[[Path], None] = lambda folder: None


def command(verb: str, **settings: object) -> None:
    """Run a command of eeg-hf."""
    from eeg_hf.cli.main import main

    main([verb, *(str(word) for name, value in settings.items() for word in (f"--{name}", value))])


def make_jobs(world: Path) -> dict[str, Job]:
    """Return the jobs; what they read is written into a folder."""
    from eeg_hf import EEGFeatureExtractor
    from eeg_hf.corpora import Simulated, prepare

    extractor = EEGFeatureExtractor(sampling_rate=100.0, lowpass_hz=40.0, window_seconds=2.0)

    def prepare_windows(folder: Path) -> None:
        prepare(Simulated(6, seconds=8.0), folder, extractor)

    data = world / "windows"
    prepare(Simulated(6, seconds=16.0), data, extractor)
    training = {"per_device_train_batch_size": 8, "save_steps": 1, "logging_steps": 1, "report_to": "none"}
    training |= {"disable_tqdm": True, "save_total_limit": 2}

    def pretrain(folder: Path) -> None:
        options = {
            "config": json.dumps(TINY),
            "max_steps": 6,
            "save_strategy": "steps",
            "eval_strategy": "no",
        }
        options |= {"resume_from_checkpoint": "true", "learning_rate": 1e-3, "seed": 1, **training}
        command("pretrain", data=data, output_dir=folder, split="subject", **options)

    def phases(folder: Path) -> None:
        listed = [
            {"name": "one", "data": str(data), "training": {"max_steps": 3}},
            {"name": "two", "data": str(data), "training": {"max_steps": 3}},
        ]
        shared = {
            **training,
            "save_strategy": "steps",
            "eval_strategy": "no",
            "resume_from_checkpoint": "true",
        }
        options = {"config": json.dumps(TINY), "training": json.dumps(shared), "phases": json.dumps(listed)}
        command("train-phases", output_dir=folder, split="subject", seed=1, **options)

    return {
        "prepare": Job(prepare_windows, "**/*"),
        "pretrain": Job(pretrain, "model.safetensors"),
        "phases": Job(phases, "*/model.safetensors"),
        "registry": Job(save_version, "registry/m/v1.0/*", lambda folder: save_version(folder, 0.0)),
    }


def save_version(folder: Path, value: float = 1.0) -> None:
    """Replace a version of a model in a registry."""
    import torch

    from eeg_hf import create_model
    from eeg_hf.hub import LocalRegistry

    torch.manual_seed(int(value))
    model = create_model("eeg_foundation", TINY).add_classification_head(2)
    LocalRegistry(folder / "registry").save(model, "m", "v1.0", metrics={"value": value}, overwrite=True)


def spawn(work: Callable[[], None]) -> int:
    """Fork a child that works silently; return its number."""
    child = os.fork()
    if child:
        return child
    status = 1
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        if not os.environ.get("KILLS_SHOW"):
            os.dup2(nowhere.fileno(), 2)
        with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit, Exception):
            work()
            status = 0
    os._exit(status)


def finish(work: Callable[[], None]) -> tuple[bool, float]:
    """Let a child work to its end; return whether it succeeded, and its seconds."""
    started = time.monotonic()
    _, status = os.waitpid(spawn(work), 0)
    return status == 0, time.monotonic() - started


def kill_after(work: Callable[[], None], seconds: float) -> bool:
    """Kill a child after some seconds; return whether it was still working."""
    child = spawn(work)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        ended, _ = os.waitpid(child, os.WNOHANG)
        if ended:
            return False
        time.sleep(0.001)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def digests(folder: Path, pattern: str) -> dict[str, str]:
    """Return the digest of every result."""
    files = [path for path in sorted(folder.glob(pattern)) if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def whole_version(folder: Path, expected: list[dict[str, str]], pattern: str) -> bool:
    """Return whether the registry shows one whole version, the old or the new."""
    from eeg_hf.hub import LocalRegistry

    shown = LocalRegistry(folder / "registry").versions("m")
    return shown == ["v1.0"] and digests(folder, pattern) in expected


def try_job(name: str, job: Job, number: int, rng: np.random.Generator, scratch: Path) -> tuple[int, int]:
    """Kill and resume a job; return the number of kills that hit, and of equal results."""
    reference = scratch / "undisturbed"
    job.before(reference)
    old = digests(reference, job.results)
    is_done, seconds = finish(lambda: job.run(reference))
    new = digests(reference, job.results)
    if not is_done or not new:
        raise RuntimeError(f"{name} fails undisturbed: set KILLS_SHOW=1 to see why")
    hits = equal = 0
    for each in range(number):
        folder = scratch / "killed"
        shutil.rmtree(folder, ignore_errors=True)
        job.before(folder)
        is_whole = True
        for _ in range(int(rng.integers(1, 4))):
            hits += kill_after(lambda: job.run(folder), seconds * float(rng.uniform(0.02, 1.0)))  # noqa: B023
            if name == "registry":
                is_whole = is_whole and whole_version(folder, [old, new], job.results)
        is_done, _ = finish(lambda: job.run(folder))  # noqa: B023
        left = [
            path for path in (*folder.rglob(".*"), *scratch.glob(".killed*")) if path.name != ".gitattributes"
        ]
        if is_done and is_whole and digests(folder, job.results) == new and not left:
            equal += 1
        else:
            kept = Path(tempfile.mkdtemp(prefix=f"{name}-{each}-"))
            shutil.copytree(folder, kept / "killed")
            sys.stdout.write(f"{name} {each}: differs (finished: {is_done}, left: {left}), kept in {kept}\n")
    return hits, equal


def main() -> int:
    """Kill and resume; return 1 if a result differs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--number", type=int, default=25, help="tries of each job")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", nargs="*", default=["prepare", "pretrain", "phases", "registry"])
    args = parser.parse_args()
    differs = False
    with tempfile.TemporaryDirectory(prefix="kills-") as folder:
        jobs = make_jobs(Path(folder))
        for place, name in enumerate(args.jobs):
            scratch = Path(folder) / name
            scratch.mkdir()
            rng = np.random.default_rng([args.seed, place])
            hits, equal = try_job(name, jobs[name], args.number, rng, scratch)
            sys.stdout.write(f"{name}: {equal} of {args.number} equal, {hits} kills hit\n")
            sys.stdout.flush()
            differs |= equal < args.number
    return int(differs)


if __name__ == "__main__":
    sys.exit(main())
