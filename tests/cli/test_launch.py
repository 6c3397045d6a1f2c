# SPDX-License-Identifier: Apache-2.0
"""Training on several machines: what accelerate makes of the launch files, and two "nodes" on this one."""

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from accelerate.utils.launch import prepare_multi_gpu_env
from transformers import AutoModelForPreTraining, AutoModelForSequenceClassification

from eeg_hf import EEGFeatureExtractor
from eeg_hf.corpora import prepare
from eeg_hf.corpora.simulated_film import SimulatedFilm
from tests.commands import fail_command
from tests.conftest import ROOT

CONFIGS = ROOT / "src/eeg_hf/recipes/accelerate"
BATCH = "src/eeg_hf/recipes/slurm/two_nodes.sbatch"

# What the batch file calls of Slurm: a machine that is all nodes of its job.
SCONTROL = """#!/bin/bash
if [[ $1 == show ]]; then echo 127.0.0.1; else echo "$*" >> "$SLURM_CALLS"; fi
"""
SRUN = """#!/bin/bash
while [[ $1 == --* ]]; do shift; done
for ((node = 0; node < SLURM_NNODES; node++)); do SLURM_NODEID=$node "$@" & steps+=($!); done
trap 'kill "${steps[@]}"' TERM
for step in "${steps[@]}"; do wait "$step" || exit; done
"""


def free_port():
    """A port that the batch file can derive from a job's number."""
    for port in range(10000 + os.getpid() % 10000, 30000):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return port
    raise OSError("no free port")


@pytest.fixture
def slurm(tmp_path, environment):
    """Return the environment of a job of two nodes with one device each."""
    tools = tmp_path / "slurm"
    tools.mkdir()
    for name, text in (("scontrol", SCONTROL), ("srun", SRUN)):
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    return environment | {
        "PATH": f"{tools}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "SLURM_CALLS": str(tmp_path / "calls"),
        "SLURM_JOB_ID": str(free_port() - 10000),
        "SLURM_JOB_NODELIST": "node[0-1]",
        "SLURM_NNODES": "2",
        "SLURM_GPUS_ON_NODE": "1",
        "SLURM_CPUS_PER_TASK": "1",
        "ACCELERATE_USE_CPU": "true",
    }


def run_batch(*arguments, environment=None):
    words = ["bash", BATCH, *map(str, arguments)]
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=300, env=environment)


def understood(command):
    """What accelerate makes of a command, with its config file, and the environment of the processes."""
    program, launch, *words = shlex.split(command)
    assert (program, launch) == ("accelerate", "launch")
    args = _validate_launch_command(launch_command_parser().parse_args(words))[0]
    assert args.multi_gpu and not args.cpu  # else accelerate starts one process, whatever their number
    return args, prepare_multi_gpu_env(args)


@pytest.mark.parametrize(
    ("name", "processes", "precision"), [("one_machine", "4", "bf16"), ("cpu_two_processes", "2", "no")]
)
def test_config_of_one_machine_starts_a_process_a_device(name, processes, precision):
    args, environment = understood(f"accelerate launch --config_file {CONFIGS / name}.yaml script.py --x 1")
    assert (args.nproc_per_node, environment["ACCELERATE_MIXED_PRECISION"]) == (processes, precision)
    assert (args.training_script, args.training_script_args) == ("script.py", ["--x", "1"])


def test_dry_run_gives_each_node_its_rank_and_all_the_same_meeting_place(monkeypatch):
    monkeypatch.chdir(ROOT)
    options = ["-m", "eeg_hf.cli.train_phases", "a recipe.yaml", "--config", '{"hidden_size": 64}']
    environment = {"PATH": os.environ["PATH"], "DRY_RUN": "1", "SLURM_JOB_ID": "4012345"}
    done = run_batch(*options, environment=environment)
    assert (done.returncode, done.stderr) == (0, "")
    nodes = [understood(command) for command in done.stdout.splitlines()]
    assert len(nodes) == 2
    for rank, (args, processes) in enumerate(nodes):
        assert (args.machine_rank, args.node_rank, args.num_machines) == (rank, rank, 2)
        assert (args.num_processes, args.nproc_per_node, args.nnodes) == (8, "4", "2")
        assert (args.rdzv_endpoint, args.rdzv_backend) == ("node0:22345", "static")
        assert processes["ACCELERATE_MIXED_PRECISION"] == "bf16"
        assert args.module and [args.training_script, *args.training_script_args] == options[1:]


def test_dry_run_counts_the_processes_of_other_jobs():
    environment = {"PATH": os.environ["PATH"], "DRY_RUN": "1", "SLURM_NNODES": "3", "SLURM_GPUS_ON_NODE": "8"}
    commands = run_batch("-m", "eeg_hf.cli.pretrain", environment=environment).stdout.splitlines()
    found = [launch_command_parser().parse_args(shlex.split(command)[2:]) for command in commands]
    assert [(args.machine_rank, args.num_processes) for args in found] == [(0, 24), (1, 24), (2, 24)]


def test_batch_file_is_bash_and_refuses_what_it_cannot_start():
    assert subprocess.run(["bash", "-n", ROOT / BATCH], check=False).returncode == 0
    plain = {"PATH": os.environ["PATH"]}
    for arguments, message in (([], "expected a module"), (["a.py"], "expected to run in a job")):
        done = run_batch(*arguments, environment=plain)
        assert done.returncode != 0 and message in done.stderr and len(done.stderr.splitlines()) == 1


def test_job_that_is_warned_goes_back_into_the_queue_and_ends(tmp_path, slurm):
    started = tmp_path / "started"
    (tmp_path / "slurm/accelerate").write_text(f'#!/bin/bash\necho $$ >> "{started}"\nexec sleep 60\n')
    (tmp_path / "slurm/accelerate").chmod(0o755)
    job = subprocess.Popen(["bash", BATCH, "script.py"], cwd=ROOT, env=slurm)
    deadline = time.monotonic() + 30
    while not (started.exists() and started.read_text().count("\n") == 2) and time.monotonic() < deadline:
        time.sleep(0.02)
    job.send_signal(signal.SIGUSR1)
    assert job.wait(timeout=30) != 0
    nodes = [Path("/proc", process) for process in started.read_text().split()]
    while any(node.exists() for node in nodes) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len(nodes) == 2 and not any(node.exists() for node in nodes)
    assert Path(slurm["SLURM_CALLS"]).read_text() == f"requeue {slurm['SLURM_JOB_ID']}\n"


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    folder = tmp_path_factory.mktemp("film")
    corpus, extractor = SimulatedFilm(num_subjects=12, seconds=20), EEGFeatureExtractor(window_seconds=2.0)
    prepare(corpus, folder, extractor, segments="annotations", event_labels={"film": "film"})
    return folder


def three_phases(prepared, film, output_dir):
    """A recipe of all that a phase may do, with a model of 0.06 M parameters."""
    fields = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    rest, film = str(prepared), str(film)
    best = {"load_best_model_at_end": True, "metric_for_best_model": "balanced_accuracy"}
    return {
        "output_dir": str(output_dir),
        "config": {**fields, "overlap": 0.0, "contrastive_weight": 0.0},
        "training": {
            **{"per_device_train_batch_size": 8, "per_device_eval_batch_size": 8, "max_steps": 2},
            **{"eval_strategy": "steps", "eval_steps": 1, "save_strategy": "steps", "save_steps": 1},
            **{"report_to": "none", "disable_tqdm": True, "logging_steps": 1},
        },
        "probe": {"data": rest, "label_column": "condition"},
        "phases": [
            {
                "name": "masked",
                "data": {rest: 0.5, film: 0.5},
                "auxiliary": {"alpha_hz": {"num_outputs": 1, "weight": 0.2}},
            },
            {
                "name": "films",
                "data": film,
                "pairs": {"stimulus": "stimulus", "seconds": "stimulus_seconds", "subjects_per_time": 2},
                "config": {
                    **{"reconstruction_weight": 0.0, "contrastive_weight": 1.0},
                    "projection_batch_norm": True,
                },
            },
            {
                "name": "finetune",
                "objective": "classification",
                "data": rest,
                "label_column": "condition",
                "freeze_epochs": 0.2,  # the first of five steps
                "training": best,
            },
        ],
    }


@pytest.mark.slow
def test_two_nodes_train_all_phases(prepared, film, tmp_path, slurm):
    out, recipe = tmp_path / "out", tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(three_phases(prepared, film, out)))
    done = run_batch("-m", "eeg_hf.cli.train_phases", recipe, environment=slurm)
    assert done.returncode == 0, done.stderr[-4000:]
    for phase in ("masked", "films", "finetune"):
        report = json.loads((out / phase / "phase.json").read_text())
        assert report["steps"] == 2
        processes = sorted(file.name for file in (out / phase / "checkpoint-2").glob("rng_state*"))
        assert processes == ["rng_state_0.pth", "rng_state_1.pth"]
    AutoModelForPreTraining.from_pretrained(out / "films")
    AutoModelForSequenceClassification.from_pretrained(out / "finetune")
    probed = [json.loads(line) for line in (out / "probe.jsonl").read_text().splitlines()]
    steps = [(row["phase"], row["step"]) for row in probed]
    assert steps == [(phase, step) for phase in ("masked", "films", "finetune") for step in (0, 2)]
    assert json.loads((out / "metrics.json").read_text())["num_samples"] > 0


def test_checkpoint_on_a_signal_is_refused(prepared, film, tmp_path):
    settings = three_phases(prepared, film, tmp_path / "out")
    settings["training"]["enable_jit_checkpoint"] = True
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(settings))
    line = fail_command("train-phases", recipe)
    assert "enable_jit_checkpoint" in line and "save_steps" in line


def test_processes_that_do_not_see_each_other_stop(prepared, film, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("ACCELERATE_USE_CPU", raising=False)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(three_phases(prepared, film, tmp_path / "out")))
    line = fail_command("train-phases", recipe)
    assert "launched as one of 2 processes" in line and "ACCELERATE_USE_CPU=true" in line
    assert not list(tmp_path.rglob("*.safetensors"))
