# SPDX-License-Identifier: Apache-2.0
"""Kill preparations, trainings, studies, saves and pushes at random times, resume, compare the bytes.

    python tools/kill_and_resume.py --number 25 --seed 0 --jobs prepare pretrain phases study registry push

Each job runs once undisturbed. A try kills it (SIGKILL) up to three times in a row, each time after a random
share of the undisturbed time, and runs it to its end: what it leaves must equal what the undisturbed run
left, byte for byte, with no hidden file beside it. A try of which no kill hits a working process is repeated.
Children are forked from this process, which has imported everything. Pushes go to a Hub on this machine, the
one of the tests; between two kills its tag and its main branch hold one whole version, the old or the new.
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
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from hub_server import HubServer

TINY = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
TINY |= {"overlap": 0.0, "contrastive_weight": 0.0}
JOBS = ["prepare", "pretrain", "phases", "study", "registry", "push"]
VERSION, REPOSITORY = "registry/m/v1.0/*", "org/kills"


@dataclass(frozen=True)
class Job:
    """Work that can be killed and run again.

    Attributes:
        run: Does the work in a folder; the same call resumes it.
        results: Returns what must not differ: the digest of every file, by its name.
        before: Makes what the work finds in its folder at first.
        is_whole: Returns whether what others see between two kills is one of some whole states.
    """

    run: Callable[[Path], None]
    results: Callable[[Path], dict[str, str]]
    before: Callable[[Path], None] = lambda folder: None
    is_whole: Callable[[Path, list[dict[str, str]]], bool] = lambda folder, states: True


@contextlib.contextmanager
def start_hub(folder: Path) -> Iterator["HubServer"]:
    """Start a Hub on this machine, before anything is imported that reads where the Hub is."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "hub"))
    from hub_server import HubServer

    (folder / "hub").mkdir()
    with HubServer(folder / "hub", users={"hf_kills": "org"}) as hub:
        os.environ.update(hub.environment(folder / "home", "hf_kills"))
        yield hub


def command(verb: str, **settings: object) -> None:
    """Run a command of eeg-hf."""
    from eeg_hf.cli.main import main

    main([verb, *(str(word) for name, value in settings.items() for word in (f"--{name}", value))])


def make_jobs(world: Path, hub: "HubServer") -> dict[str, Job]:
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

    lab = world / "lab"
    write_lab(lab, Simulated(4, seconds=16.0))

    def study(folder: Path) -> None:
        options = {"label_column": "condition", "folds": 2, "regimes": "unseen", "window_seconds": 2}
        second_order = json.dumps({"config": {**TINY, "second_order": True}})
        command("study", data_dir=lab, output_dir=folder, num_proc=1, finetune=second_order, **options)

    return {
        "prepare": Job(prepare_windows, digests("**/*")),
        "pretrain": Job(pretrain, digests("model.safetensors")),
        "phases": Job(phases, digests("*/model.safetensors")),
        "study": Job(study, digests("results.*", "**/model.safetensors", "**/predictions.*", "figures/*")),
        "registry": Job(
            save_version, digests(VERSION), lambda folder: save_version(folder, 0.0), whole_version
        ),
        "push": Job(
            push_version, partial(pushed, hub), partial(start_repository, hub), partial(whole_push, hub)
        ),
    }


def write_lab(folder: Path, corpus: Any) -> None:
    """Write recordings with a table of their labels."""
    folder.mkdir()
    rows = ["file_name,subject,condition"]
    for number, recording in enumerate(corpus.recordings()):
        name = f"{number}_raw.fif"
        corpus.read(recording).save(folder / name, verbose="ERROR")
        rows.append(f"{name},{recording.subject},{recording.labels['condition']}")
    (folder / "metadata.csv").write_text("\n".join(rows) + "\n")


def build_model(seed: int) -> Any:
    """Return a tiny classifier."""
    import torch

    from eeg_hf import create_model

    torch.manual_seed(seed)
    return create_model("eeg_foundation", TINY).add_classification_head(2)


def save_version(folder: Path, value: float = 1.0) -> None:
    """Replace a version of a model in a registry."""
    from eeg_hf.hub import LocalRegistry

    registry = LocalRegistry(folder / "registry")
    registry.save(build_model(int(value)), "m", "v1.0", metrics={"value": value}, overwrite=True)


def push_version(folder: Path, value: float = 1.0) -> None:
    """Replace a version of a model on the Hub."""
    from eeg_hf.hub import push

    push(build_model(int(value)), REPOSITORY, "v1.0", metrics={"value": value}, overwrite=True)


def start_repository(hub: "HubServer", folder: Path) -> None:
    """Put the old version on an empty Hub."""
    folder.mkdir(parents=True, exist_ok=True)
    hub.repositories.clear()
    status, _ = finish(lambda: push_version(folder, 0.0))
    if not status:
        raise RuntimeError("push fails undisturbed: set KILLS_SHOW=1 to see why")


def pushed(hub: "HubServer", folder: Path, revision: str = "v1.0") -> dict[str, str]:
    """Return the digest of every file of a revision on the Hub; none if there is no such revision."""
    commit = hub.repositories["model", REPOSITORY].find(revision)
    return {} if commit is None else {name: blob.oid for name, blob in commit.files.items()}


def whole_push(hub: "HubServer", folder: Path, states: list[dict[str, str]]) -> bool:
    """Return whether the main branch is one whole version; a tag that is being moved may be away."""
    return pushed(hub, folder, "main") in states and pushed(hub, folder) in [*states, {}]


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


def digests(*patterns: str) -> Callable[[Path], dict[str, str]]:
    """Return the function from a folder to the digests of its files that a pattern matches."""

    def read(folder: Path) -> dict[str, str]:
        found = {path for pattern in patterns for path in folder.glob(pattern)}
        files = [path for path in sorted(found) if path.is_file()]
        return {
            str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files
        }

    return read


def whole_version(folder: Path, states: list[dict[str, str]]) -> bool:
    """Return whether the registry shows one whole version, the old or the new."""
    from eeg_hf.hub import LocalRegistry

    shown = LocalRegistry(folder / "registry").versions("m")
    return shown == ["v1.0"] and digests(VERSION)(folder) in states


def kill_some(
    job: Job, folder: Path, seconds: float, rng: np.random.Generator, states: list[dict[str, str]]
) -> tuple[int, bool]:
    """Start a job anew and kill it one to three times in a row; repeat that until a kill hits.

    Returns:
        Kills that hit, and whether what others saw after each was a whole state.
    """
    is_whole = True
    for _ in range(50):
        shutil.rmtree(folder, ignore_errors=True)
        job.before(folder)
        hits = 0
        for _ in range(int(rng.integers(1, 4))):
            hits += kill_after(lambda: job.run(folder), seconds * float(rng.uniform(0.02, 1.0)))
            is_whole = is_whole and job.is_whole(folder, states)
        if hits:
            return hits, is_whole
    raise RuntimeError("no kill hits: the job ends too soon")


def try_job(name: str, job: Job, number: int, rng: np.random.Generator, scratch: Path) -> tuple[int, int]:
    """Kill and resume a job; return the number of kills that hit, and of equal results."""
    reference = scratch / "undisturbed"
    job.before(reference)
    old = job.results(reference)
    is_done, seconds = finish(lambda: job.run(reference))
    new = job.results(reference)
    if not is_done or not new:
        raise RuntimeError(f"{name} fails undisturbed: set KILLS_SHOW=1 to see why")
    hits = equal = 0
    folder = scratch / "killed"
    for each in range(number):
        hit, is_whole = kill_some(job, folder, seconds, rng, [old, new])
        hits += hit
        is_done, _ = finish(lambda: job.run(folder))
        hidden = (*folder.rglob(".*"), *scratch.glob(".killed*"))
        left = [path for path in hidden if path.name != ".gitattributes"]
        if is_done and is_whole and job.results(folder) == new and not left:
            equal += 1
            continue
        kept = Path(tempfile.mkdtemp(prefix=f"{name}-{each}-"))
        shutil.copytree(folder, kept / "killed")
        sys.stdout.write(
            f"{name} {each}: differs (finished: {is_done}, whole between kills: {is_whole}, left: {left}), "
            f"kept in {kept}\n"
        )
    return hits, equal


def main() -> int:
    """Kill and resume; return 1 if a result differs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--number", type=int, default=25, help="tries of each job")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", nargs="*", default=JOBS)
    args = parser.parse_args()
    differs = False
    with tempfile.TemporaryDirectory(prefix="kills-") as folder, start_hub(Path(folder)) as hub:
        jobs = make_jobs(Path(folder), hub)
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
