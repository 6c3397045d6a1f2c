# SPDX-License-Identifier: Apache-2.0
"""The committed cards say what their facts say, and facts are gathered as a user does it."""

import json
import re
import shutil

import pytest
from huggingface_hub import ModelCard
from tests.commands import run_command
from tests.conftest import ROOT
from tests.evaluation.test_embeddings_file import make
from tests.tools.loading import load_tool

from eeg_hf import (
    EEGCLIPConfig,
    EEGCLIPModel,
    EEGFeatureExtractor,
    EEGFoundationConfig,
    EEGFoundationForSequenceClassification,
)
from eeg_hf.evaluation import EEGImageEmbeddings, ResultRow, collect_provenance, write_report
from eeg_hf.hub import CardFacts, model_card

CARDS = ROOT / "model_cards"
NAMES = sorted(path.stem for path in (CARDS / "facts").glob("*.json"))
# EEG-CLIP's own EEG tower: it has no head, is not trained by itself and has no results of its own.
# The card of eeg_clip describes it.
PARTS_OF_OTHERS = {"eeg_conv_transformer": "eeg_clip"}
# braindecode describes its own; HMS, which the ensemble and its member are for, is not free to fetch;
# classical methods are what the tables of the other cards compare with
WITHOUT_RESULTS = {"braindecode", "hms_ensemble", "resnet1d_gru", "eeg_classical"}


def make_cards(*arguments):
    """Run the tool in this process."""
    load_tool("make_cards").main([str(argument) for argument in arguments])


@pytest.fixture
def fail(capfd):
    """Return a function that runs the tool, which must fail, and returns its last line and exit code."""

    def run(*arguments):
        with pytest.raises(SystemExit) as ended:
            make_cards(*arguments)
        return capfd.readouterr().err.strip().splitlines()[-1], ended.value.code

    return run


def test_every_architecture_has_a_card():
    modules = (ROOT / "src/eeg_hf/models").glob("configuration_*.py")
    architectures = {path.stem.removeprefix("configuration_") for path in modules}
    assert architectures - set(PARTS_OF_OTHERS) - WITHOUT_RESULTS <= set(NAMES)
    assert sorted(path.stem for path in CARDS.glob("*.md")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_committed_card_is_what_its_facts_give(name):
    facts_path = CARDS / "facts" / f"{name}.json"
    facts = CardFacts.read(facts_path)
    text = (CARDS / f"{name}.md").read_text(encoding="utf-8")
    assert not re.search(r"(?<![\w/:.])/\w+/", facts_path.read_text()), "a path of the machine it was made on"
    assert text == model_card(facts)
    assert ModelCard(text).data.to_dict()["library_name"] == "transformers"
    assert facts.own_results and facts.own_results != facts.results
    # A codec or a masked VAE has no chance level; in retrieval chance is a row of the table
    assert facts.architecture != "eeg_foundation" or facts.chance
    assert re.search(r'title: "(.+)"', (ROOT / "CITATION.cff").read_text())[1] in text


@pytest.mark.parametrize(("part", "whole"), PARTS_OF_OTHERS.items())
def test_a_part_is_described_in_the_card_of_the_whole(part, whole):
    assert part not in NAMES
    assert f"`{part}`, which has neither a head nor a card" in (CARDS / f"{whole}.md").read_text()


def test_a_card_that_was_changed_by_hand_is_found(tmp_path, fail):
    shutil.copytree(CARDS, tmp_path / "cards")
    card = tmp_path / "cards" / "eeg_foundation.md"
    lines = card.read_text(encoding="utf-8").splitlines(keepends=True)
    number = next(index for index, line in enumerate(lines) if line.startswith("| **")) + 1
    lines[number - 1] = lines[number - 1].replace(" 0.", " 0.9", 1)
    card.write_text("".join(lines), encoding="utf-8")
    before = card.read_bytes()
    line, code = fail("--folder", tmp_path / "cards", "--check", "true")
    assert code == 2
    assert f"eeg_foundation.md:{number}: expected '| **" in line
    assert card.read_bytes() == before


def test_facts_of_a_run_become_a_card(prepared, tmp_path):
    config = EEGFoundationConfig(d_model=32, n_layers=1, n_heads=2, d_ff=64, overlap=0.0)
    EEGFoundationForSequenceClassification(config).save_pretrained(tmp_path / "model")
    EEGFeatureExtractor(window_seconds=2.0).save_pretrained(tmp_path / "model")
    metrics = {"balanced_accuracy": {"mean": 0.55, "sd": 0.0, "values": [0.55]}}
    rows = [ResultRow(name, "unseen", "official split", metrics, 2, 40) for name in ("ours", "band power")]
    chance = {"balanced_accuracy": 0.5}
    write_report(tmp_path / "table", rows, collect_provenance("simulated", "CC0-1.0", [0], chance))
    make_cards(
        *("--folder", tmp_path / "cards", "--name", "ours", "--title", "Our model"),
        *("--from_run", tmp_path / "model", "--evaluation", tmp_path / "table", "--own", "ours"),
        *("--finetuning_data", prepared, "--evaluation_data", prepared, "--saw_test_subjects", "false"),
        *("--caveats", "One split.", "--hub_ids", "simulated=org/simulated"),
    )
    text = (tmp_path / "cards" / "ours.md").read_text()
    assert "# Our model" in text and "| **ours** | 0.550 | 2 | 40 |" in text and "* One split." in text
    assert "Contamination: **none**" in text
    facts = json.loads((tmp_path / "cards" / "facts" / "ours.json").read_text())
    assert facts["corpora"][0]["roles"] == ["fine-tuning", "evaluation"]
    assert ModelCard(text).data.datasets == ["org/simulated"]


def test_files_of_retrieval_have_names_and_the_card_is_pushed(prepared, tmp_path):
    tower = {"num_channels": 19, "conv_size": 8, "d_model": 16, "n_layers": 1, "n_heads": 2, "d_ff": 32}
    sizes = {"vision_tower": "features:tiny", "vision_dim": 6, "projection_dim": 8}
    EEGCLIPModel(EEGCLIPConfig(eeg_config=tower, **sizes)).save_pretrained(tmp_path / "model")
    embeddings = EEGImageEmbeddings(**make(20)).save(tmp_path / "test.npz")
    options = ("--embeds", embeddings, "--num_resamples", 10, "--output", tmp_path / "a.json")
    run_command("eval-retrieval", *options)
    shutil.copy(tmp_path / "a.json", tmp_path / "b.json")
    run_command(
        *(
            "eval-retrieval",
            "--embeds",
            f"ours={embeddings}",
            f"ridge={embeddings}",
            "--num_resamples",
            10,
        ),
        *("--average_repetitions", "--output", tmp_path / "averaged.json"),
    )
    make_cards(
        *("--folder", tmp_path / "cards", "--from_run", tmp_path / "model"),
        *("--evaluation", f"ours={tmp_path / 'a.json'}", f"ridge={tmp_path / 'b.json'}"),
        *(tmp_path / "averaged.json", "--own", "ours"),
        *("--pretraining_data", prepared, "--evaluation_data", prepared, "--saw_test_subjects", "true"),
    )
    text = (tmp_path / "cards" / "eeg_clip.md").read_text()
    for row in ("| **ours** |", "| ridge |", "| chance |"):
        assert text.count(row) == 4  # both directions, of single trials and of averages
    printed = run_command(
        *("push", "--model", tmp_path / "model", "--repo_id", "org/clip", "--version", "v1.0"),
        *("--facts", tmp_path / "cards" / "facts" / "eeg_clip.json", "--dry_run", "true"),
    )
    assert "README.md" in printed and "would be pushed" in printed


def test_a_folder_without_facts_is_named(tmp_path, fail):
    line, code = fail("--folder", tmp_path)
    assert code == 2 and "holds no facts" in line
