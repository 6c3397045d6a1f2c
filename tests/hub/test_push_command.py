# SPDX-License-Identifier: Apache-2.0
"""Versions pushed from the shell to a Hub on this machine."""

import json
import pickle
from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import ModelCard, parse_eval_result_entries
from interpreters import TOKEN
from tests.commands import fail_command
from tests.conftest import ROOT
from yaml import safe_load

from eeg_hf import EEGFeatureExtractor, EEGFoundationConfig, EEGFoundationForSequenceClassification
from eeg_hf.hub import CardFacts, CorpusFacts, ResultFacts, facts_from_run

SHELL = """
import contextlib, io, json
from eeg_hf.cli.main import main
out, err, code = io.StringIO(), io.StringIO(), 0
with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
    try:
        main({words})
    except SystemExit as ended:
        code = ended.code
print(json.dumps([out.getvalue(), err.getvalue(), code]))
"""


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
def push(client, workplace):
    """Return a function that runs `eeg-hf push` against the Hub; its token must show nowhere."""

    def run(*arguments, fails=False):
        out, err, code = json.loads(client(SHELL.format(words=["push", *map(str, arguments)])))
        assert code == (2 if fails else 0), err
        for path in [path for path in workplace.rglob("*") if path.is_file()]:
            assert TOKEN.encode() not in path.read_bytes(), path
        return err.strip().splitlines()[-1] if fails else out

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


def test_a_version_goes_up_once_and_says_what_it_is(hub, push, model, tmp_path):
    facts = facts_of(model, tmp_path / "facts.json")
    command = ("--model", model, "--repo_id", "org/pushed", "--version", "v1.0", "--facts", facts)
    before = len(hub.requests)
    shown = push(*command, "--dry_run", "true")
    assert "would be pushed" in shown and "model.safetensors" in shown and ".bin" not in shown
    assert len(hub.requests) == before and ("model", "org/pushed") not in hub.repositories

    shown = push(*command, "--private", "true")
    assert f"{hub.url}/org/pushed/tree/v1.0" in shown
    assert hub.repositories["model", "org/pushed"].private
    assert set(hub.files("org/pushed", "v1.0")) - {".gitattributes"} == {
        line.split()[-1] for line in shown.splitlines() if line.startswith("  ")
    }
    card = hub.read("org/pushed", "README.md", "v1.0").decode()
    assert ModelCard(card).data.eval_results[0].metric_value == 0.6
    assert 'model_id = "org/pushed"' in card
    (entry,) = parse_eval_result_entries(safe_load(hub.read("org/pushed", ".eval_results/results.yaml")))
    assert (entry.dataset_id, entry.value) == ("org/eegmat", 0.6)
    assert json.loads(hub.read("org/pushed", "training_args.json")) == {"learning_rate": 1e-3}
    assert json.loads(hub.read("org/pushed", "metrics.json")) == {"balanced_accuracy": 0.5}

    commit = hub.repositories["model", "org/pushed"].tags["v1.0"]
    assert "has a version v1.0 already" in push(*command, fails=True)
    assert hub.repositories["model", "org/pushed"].tags["v1.0"] == commit
    push(*command[:-2], "--overwrite", "true")  # and without facts: no result is claimed any more
    assert hub.repositories["model", "org/pushed"].tags["v1.0"] != commit
    assert (
        "No results are recorded with these weights" in hub.read("org/pushed", "README.md", "v1.0").decode()
    )
    assert ".eval_results/results.yaml" not in hub.files("org/pushed", "v1.0")


def test_a_prepared_corpus_goes_up(hub, push, prepared):
    command = ("--data", prepared, "--repo_id", "org/pushed-windows", "--version", "v1.0")
    listed = push(*command, "--dry_run", "true")
    assert "would be pushed" in listed and "README.md" in listed
    assert "pushed as commit" in push(*command)
    files = set(hub.files("org/pushed-windows", "v1.0", kind="dataset")) - {".gitattributes"}
    assert files == {line.split()[-1] for line in listed.splitlines()[1:]}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "expected either --model or --data"),
        (["--model", "{model}", "--data", "x"], "expected either --model or --data"),
        (["--model", "{tmp}"], "is not the folder of a saved model: it has no config.json"),
        (["--data", "{tmp}", "--dry_run", "true"], "has no card (README.md)"),
        (["--data", "{tmp}", "--overwrite", "true"], "are for models"),
        (["--model", "{model}", "--facts", "{tmp}/none.json"], "none.json"),
        (["--model", "{model}", "--facts", "{card}"], "is about eeg_foundation with 923860 parameters, but"),
        (["--model", "{foreign}"], "names BertModel, which is no model of eeg_hf"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(arguments, message, model, tmp_path):
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "config.json").write_text(json.dumps({"model_type": "bert", "architectures": ["BertModel"]}))
    (foreign / "model.safetensors").write_bytes((model / "model.safetensors").read_bytes())
    card = ROOT / "model_cards/facts/eeg_foundation.json"
    names = {"model": model, "tmp": tmp_path, "foreign": foreign, "card": card}
    if "{card}" in arguments:
        message = message.replace("923860", str(CardFacts.read(card).parameters))
    given = [word.format(**names) for word in arguments]
    line = fail_command("push", "--repo_id", "org/x", "--version", "v1.0", *given)
    assert message in line
