# SPDX-License-Identifier: Apache-2.0
"""Versions pushed from the shell to a Hub on this machine."""

import json
import pickle
import runpy
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import ModelCard, parse_eval_result_entries
from yaml import safe_load

from eeg_hf import EEGFeatureExtractor, EEGFoundationConfig, EEGFoundationForSequenceClassification
from eeg_hf.hub import CardFacts, CorpusFacts, ResultFacts, facts_from_run
from tests.conftest import ROOT

sys.path.insert(0, str(ROOT / "tests" / "hub"))

from hub_server import HubServer  # noqa: E402

TOKEN = "hf_secretToken987"


@pytest.fixture
def hub(tmp_path):
    with HubServer(tmp_path / "hub", users={TOKEN: "org"}) as server:
        yield server


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    config = EEGFoundationConfig(d_model=32, n_layers=1, n_heads=2, d_ff=64, overlap=0.0, num_labels=2)
    EEGFoundationForSequenceClassification(config).save_pretrained(folder)
    EEGFeatureExtractor(window_seconds=2.0).save_pretrained(folder)
    (folder / "metrics.json").write_text(json.dumps({"balanced_accuracy": 0.5}))
    (folder / "training_args.json").write_text(json.dumps({"learning_rate": 1e-3, "hub_token": TOKEN}))
    (folder / "training_args.bin").write_bytes(pickle.dumps(_Trap()))
    return folder


class _Trap:
    def __reduce__(self):
        return (exec, ("raise SystemExit('a pickle was opened')",))


@pytest.fixture
def push(hub, tmp_path, script_environment):
    """Return a function that runs the script against the Hub; its token must show nowhere."""

    def run(*arguments, code=0):
        environment = {**script_environment, **hub.environment(tmp_path / "home", TOKEN)}
        command = [sys.executable, ROOT / "scripts/push.py", *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
        assert done.returncode == code, done.stderr[-3000:]
        assert TOKEN not in done.stdout + done.stderr
        for path in [path for path in tmp_path.rglob("*") if path.is_file()]:
            assert TOKEN.encode() not in path.read_bytes(), path
        return done.stdout if code == 0 else done.stderr.strip().splitlines()[-1]

    return run


@pytest.fixture
def dry_run(monkeypatch, capfd):
    """Return a function that runs the script here, which goes nowhere."""

    def run(*arguments):
        path = str(ROOT / "scripts/push.py")
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.setattr(sys, "argv", [path, *map(str, arguments), "--dry_run", "true"])
        runpy.run_path(path, run_name="__main__")
        shown = capfd.readouterr()
        assert TOKEN not in shown.out + shown.err
        return shown.out

    return run


def facts_of(model: Path, path: Path) -> Path:
    """Write facts with a result, a baseline and a corpus that is on the Hub."""
    metrics = {"balanced_accuracy": {"mean": 0.6, "sd": 0.05, "values": [0.55, 0.65]}}
    rows = [
        ResultFacts(name, name == "ours", "unseen", "2 folds", metrics, 6, 120) for name in ("ours", "theirs")
    ]
    corpus = CorpusFacts("eegmat", "EEGMAT", ("evaluation",), licence="ODC-By-1.0", hub_id="org/eegmat")
    facts = replace(facts_from_run(model), corpora=(corpus,), results=tuple(rows), saw_test_subjects=False)
    facts.write(path)
    return path


def test_a_version_goes_up_once_and_says_what_it_is(hub, push, dry_run, model, tmp_path):
    facts = facts_of(model, tmp_path / "facts.json")
    command = ("--model", model, "--repo_id", "org/tiny", "--version", "v1.0", "--facts", facts)
    shown = dry_run(*command)
    assert "would be pushed" in shown and "model.safetensors" in shown and ".bin" not in shown
    assert not hub.requests and not hub.repositories

    shown = push(*command, "--private", "true")
    assert f"{hub.url}/org/tiny/tree/v1.0" in shown
    assert hub.repositories["model", "org/tiny"].private
    assert set(hub.files("org/tiny", "v1.0")) - {".gitattributes"} == {
        line.split()[-1] for line in shown.splitlines() if line.startswith("  ")
    }
    card = hub.read("org/tiny", "README.md", "v1.0").decode()
    assert ModelCard(card).data.eval_results[0].metric_value == 0.6
    assert 'model_id = "org/tiny"' in card
    (entry,) = parse_eval_result_entries(safe_load(hub.read("org/tiny", ".eval_results/results.yaml")))
    assert (entry.dataset_id, entry.value) == ("org/eegmat", 0.6)
    assert json.loads(hub.read("org/tiny", "training_args.json")) == {"learning_rate": 1e-3}
    assert json.loads(hub.read("org/tiny", "metrics.json")) == {"balanced_accuracy": 0.5}

    commit = hub.repositories["model", "org/tiny"].tags["v1.0"]
    assert "has a version v1.0 already" in push(*command, code=1)
    assert hub.repositories["model", "org/tiny"].tags["v1.0"] == commit
    push(*command[:-2], "--overwrite", "true")  # and without facts: no result is claimed any more
    assert hub.repositories["model", "org/tiny"].tags["v1.0"] != commit
    assert "No results are recorded with these weights" in hub.read("org/tiny", "README.md", "v1.0").decode()
    assert ".eval_results/results.yaml" not in hub.files("org/tiny", "v1.0")


def test_a_prepared_corpus_goes_up(hub, push, dry_run, prepared):
    command = ("--dataset", prepared, "--repo_id", "org/windows", "--version", "v1.0")
    listed = dry_run(*command)
    assert "would be pushed" in listed and "README.md" in listed
    assert "pushed as commit" in push(*command)
    files = set(hub.files("org/windows", "v1.0", kind="dataset")) - {".gitattributes"}
    assert files == {line.split()[-1] for line in listed.splitlines()[1:]}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "expected either --model or --dataset"),
        (["--model", "{model}", "--dataset", "x"], "expected either --model or --dataset"),
        (["--model", "{tmp}"], "is not the folder of a saved model: it has no config.json"),
        (["--dataset", "{tmp}", "--dry_run", "true"], "has no card (README.md)"),
        (["--dataset", "{tmp}", "--overwrite", "true"], "are for models"),
        (["--model", "{model}", "--facts", "{tmp}/none.json"], "none.json"),
        (["--model", "{model}", "--facts", "{card}"], "is about eeg_foundation with 923860 parameters, but"),
        (["--model", "{foreign}"], "names BertModel, which is no model of eeg_hf"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(arguments, message, model, tmp_path, fail_script):
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "config.json").write_text(json.dumps({"model_type": "bert", "architectures": ["BertModel"]}))
    (foreign / "model.safetensors").write_bytes((model / "model.safetensors").read_bytes())
    card = ROOT / "model_cards/facts/eeg_foundation.json"
    names = {"model": model, "tmp": tmp_path, "foreign": foreign, "card": card}
    if "{card}" in arguments:
        message = message.replace("923860", str(CardFacts.read(card).parameters))
    given = [word.format(**names) for word in arguments]
    line, code = fail_script("push.py", "--repo_id", "org/x", "--version", "v1.0", *given)
    assert code == 2
    assert message in line
