# SPDX-License-Identifier: Apache-2.0
"""Cards: what they say, that they invent nothing, that the Hub reads them, and that their example runs."""

import ast
import json
import math
import pickle
import re
import shutil
from dataclasses import replace
from importlib import metadata

import numpy as np
import pytest
import torch
from huggingface_hub import ModelCard, eval_result_entries_to_yaml, parse_eval_result_entries
from safetensors.torch import save_file
from tests.conftest import ROOT

from eeg_hf import (
    EEGFeatureExtractor,
    EEGFoundationConfig,
    EEGFoundationForPreTraining,
    EEGFoundationForSequenceClassification,
    EEGFoundationModel,
)
from eeg_hf.evaluation import (
    Predictions,
    ResultRow,
    classification_metrics,
    collect_provenance,
    write_json,
    write_report,
)
from eeg_hf.evaluation.report import REGIMES as REPORT_REGIMES
from eeg_hf.hub import (
    CardFacts,
    ComputeFacts,
    CorpusFacts,
    ResultFacts,
    corpus_facts,
    eval_result_entries,
    facts_from_run,
    model_card,
    save_with_code,
)
from eeg_hf.hub.card_facts import REGIMES
from eeg_hf.hub.card_kinds import TEMPLATES, card_kind
from eeg_hf.hub.run_results import known_regime

TINY = {"d_model": 32, "n_layers": 1, "n_heads": 2, "d_ff": 64, "overlap": 0.0}
EEGMAT = CorpusFacts(
    name="eegmat",
    title="EEGMAT 1.0.0",
    roles=("pretraining", "evaluation"),
    licence="ODC-By-1.0",
    url="https://physionet.org/content/eegmat/1.0.0/",
    citation="Zyma et al. 2019.",
    hub_id="org/eegmat",
    hours=2.41,
    subjects=36,
    num_channels=(19, 19),
    original_rates_hz=(500.0,),
)


def result(method, value, is_own=False, regime="unseen", interval=None):
    metrics = {"balanced_accuracy": {"mean": value, "sd": 0.05, "interval": interval}}
    return ResultFacts(method, is_own, regime, "5 subject folds", metrics, 36, 1707)


FACTS = CardFacts(
    architecture="eeg_foundation",
    model_class="EEGFoundationForSequenceClassification",
    title="Tiny",
    parameters=1_234_567,
    labels=("rest", "task"),
    signal={"sampling_rate": 200.0, "window_seconds": 2.0, "normalization": "robust", "reference": "average"},
    channels=("Fz", "Cz", "Pz"),
    corpora=(EEGMAT,),
    results=(
        result("ours", 0.61, is_own=True, interval=[0.56, 0.66]),
        result("band power", 0.71, interval=[0.65, 0.77]),
        result("ours, aligned", 0.8, is_own=True, regime="aligned"),
        result("tangent space", 0.75, regime="aligned"),
    ),
    chance={"balanced_accuracy": 0.5},
    seeds=(7,),
    saw_test_subjects=False,
    caveats=("The folds were looked at.",),
    compute=ComputeFacts(7200.0, "1 GPU", 300.0),
    commit="abc123",
)


def examples(card):
    return re.findall(r"```python\n(.*?)```", card, re.S)


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    """Return the folder of a tiny classifier, with its code and a training's state and pickle."""
    folder = tmp_path_factory.mktemp("classifier")
    torch.manual_seed(0)
    config = EEGFoundationConfig(
        **TINY, id2label={0: "rest", 1: "task"}, class_weights=[1.0, 2.0], label_smoothing=0.1
    )
    model = EEGFoundationForSequenceClassification(config)
    save_with_code(model, folder, EEGFeatureExtractor(window_seconds=2.0))
    logs = [{"loss": 1.0}, {"train_runtime": 1800.0}]
    (folder / "trainer_state.json").write_text(json.dumps({"log_history": logs}))
    (folder / "training_args.bin").write_bytes(pickle.dumps(_Trap()))
    return folder


class _Trap:
    def __reduce__(self):
        return (exec, ("raise SystemExit('a pickle was opened')",))


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pretrained")
    EEGFoundationForPreTraining(EEGFoundationConfig(**TINY, mask_ratio=0.3)).save_pretrained(folder)
    (folder / "trainer_state.json").write_text(json.dumps({"log_history": [{"train_runtime": 5400.0}]}))
    return folder


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    """Return what eeg-hf evaluate leaves, written by the same function."""
    folder = tmp_path_factory.mktemp("table")
    rows = [
        ResultRow("pretrained", "unseen", "5 subject folds", {"auroc": summary(0.6)}, 6, 120),
        ResultRow("band power", "unseen", "5 subject folds", {"auroc": summary(math.nan)}, 6, 120),
    ]
    chance = {"balanced_accuracy": 0.5, "auroc": 0.5}
    write_report(folder, rows, collect_provenance("simulated", "CC0-1.0", [0], chance))
    return folder


def summary(value):
    return {"mean": value, "sd": 0.1, "values": [value, value], "interval": (0.4, 0.7)}


def test_facts_survive_a_file_unchanged(tmp_path):
    FACTS.write(tmp_path / "deep" / "facts.json")
    assert CardFacts.read(tmp_path / "deep" / "facts.json") == FACTS


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "expected the facts of a card"),
        ("[]", "expected the facts of a card"),
        ('{"title": "x"}', "architecture"),
        ('{"architecture": "a", "model_class": "M", "title": "x", "acuracy": 1}', "has no acuracy"),
    ],
)
def test_what_is_no_facts_is_refused_in_one_line(tmp_path, content, message):
    (tmp_path / "facts.json").write_text(content)
    with pytest.raises(ValueError, match=message) as raised:
        CardFacts.read(tmp_path / "facts.json")
    assert "\n" not in str(raised.value)


def test_a_result_without_a_baseline_a_wrong_regime_and_a_wrong_role_are_refused():
    with pytest.raises(ValueError, match="expected a baseline"):
        replace(FACTS, results=(FACTS.results[0],))
    with pytest.raises(
        ValueError, match="expected a regime among unseen, first_30s, 20P, 50P, aligned, known"
    ):
        result("x", 0.5, regime="blind")
    with pytest.raises(ValueError, match="expected roles among"):
        replace(EEGMAT, roles=("testing",))


def test_names_are_those_of_the_report():
    assert set(REGIMES) == set(REPORT_REGIMES)


def test_every_template_has_a_kind_and_other_architectures_get_that_of_an_encoder():
    names = {path.stem for path in TEMPLATES.glob("*.md")} - {"base"}
    assert {card_kind(name).template for name in names} == {f"{name}.md" for name in names}
    other = replace(FACTS, architecture="braindecode", model_class="BraindecodeModel", results=(), labels=())
    assert (
        "`BraindecodeModel` (parameters: 1.23 M) turns EEG into embeddings in windows of 2 s"
        in model_card(other)
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"title": "Tiny\n\n## Forged"},
        {"channels": ("Fz", "Cz\u2028")},
        {"labels": ("rest", "```python")},
        {"caveats": ("<script src=x>",)},
        {"packages": {"torch\n": "2"}},
        {"config": {"a": ["b", {"c": "d\r"}]}},
        {"corpora": (replace(EEGMAT, citation="Zyma\n* forged"),)},
        {"results": (*FACTS.results, replace(FACTS.results[1], method="x\n| forged |"))},
    ],
)
def test_text_that_could_break_out_of_its_place_is_refused(changes, tmp_path):
    with pytest.raises(ValueError, match="expected one line of plain text, got") as raised:
        replace(FACTS, **changes)
    assert "\n" not in str(raised.value)
    with pytest.raises(ValueError, match="repo_id: expected one line"):
        model_card(FACTS, 'org/x"\nimport os')


def test_names_in_the_example_cannot_become_code():
    channels = ('Fz", __import__("os").system("x"), "', "Cz\\")
    code = examples(model_card(replace(FACTS, channels=channels), 'org/"tiny'))[0]
    assigned = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Assign) and node.targets[0].id in ("channels", "model_id")
    }
    assert assigned == {"channels": list(channels), "model_id": 'org/"tiny'}


def test_the_metadata_are_what_the_hub_reads():
    data = ModelCard(model_card(FACTS, "org/tiny")).data
    expected = {
        "library_name": "transformers",
        "pipeline_tag": "eeg-classification",
        "license": "apache-2.0",
    }
    assert expected.items() <= data.to_dict().items()
    assert data.datasets == ["org/eegmat"]
    assert {"eeg", "eeg_hf", "eeg_foundation"} <= set(data.tags)
    found = [(r.dataset_type, r.metric_type, r.metric_value) for r in data.eval_results]
    assert found == [
        ("org/eegmat", "balanced_accuracy", 0.61),
        ("org/eegmat", "balanced_accuracy", 0.8),
    ]
    assert "unseen" in data.eval_results[0].metric_name and "unlabelled" in data.eval_results[1].metric_name


def test_no_dataset_is_named_that_is_not_on_the_hub():
    data = ModelCard(model_card(replace(FACTS, corpora=(replace(EEGMAT, hub_id=None),)))).data
    assert data.datasets is None
    assert data.eval_results[0].dataset_type == "eegmat"
    encoder = replace(FACTS, model_class="EEGFoundationModel", results=(), labels=())
    data = ModelCard(model_card(encoder)).data
    assert data.pipeline_tag == "eeg-feature-extraction"
    assert data.eval_results is None


def test_a_reader_finds_what_was_measured_and_against_what():
    card = model_card(FACTS)
    assert "| **ours** | 0.610 ± 0.050 [0.560, 0.660] | 36 | 1,707 |" in card
    assert "| band power | 0.710 ± 0.050 [0.650, 0.770] | 36 | 1,707 |" in card
    assert "Chance: balanced accuracy 0.50." in card
    assert "worse than the best baseline: balanced accuracy 0.610 (ours) against 0.710 (band power); " in card
    assert "their intervals overlap" in card and "Seeds: 7." in card
    assert "better than the best baseline: balanced accuracy 0.800 (ours, aligned)" in card
    assert card.index("| band power") < card.index("| **ours**") < card.index("**5 subject folds: unlabelled")
    assert "The folds were looked at." in card
    assert "1.23 M" in card and "Commit: abc123" in card and "Zyma et al. 2019." in card
    assert "about 0.6 kWh, an estimate" in card  # 2 h x 300 W
    assert "not a medical device" in card and "## Limits and misuse" in card


def test_intervals_that_are_apart_do_not_overlap():
    rows = (result("ours", 0.6, True, interval=[0.5, 0.6]), result("theirs", 0.7, interval=[0.65, 0.8]))
    assert "overlap" not in model_card(replace(FACTS, results=rows))


def test_what_nobody_recorded_is_said_and_not_invented():
    card = model_card(CardFacts("eeg_foundation", "EEGFoundationModel", "Bare"))
    assert "parameters: not recorded" in card
    assert "No results are recorded with these weights" in card
    assert "Corpora: not recorded" in card
    assert "Energy: not estimated" in card
    assert "Commit: not recorded" in card
    known = replace(FACTS, corpora=(CorpusFacts("x", "X", ("evaluation",)),), seeds=())
    row = next(line for line in model_card(known).splitlines() if line.startswith("| X |"))
    assert row.count("not recorded") == 7
    assert "licence not recorded" in model_card(known) and "Number of seeds: 1." in model_card(known)


@pytest.mark.parametrize(
    ("changes", "expected", "words"),
    [
        ({}, "unlabelled windows", "unlabelled windows of the tested subjects were used"),
        ({"results": FACTS.results[:2]}, "same corpus", "the tested subjects were not"),
        ({"saw_test_subjects": True}, "test subjects", "WERE IN THE TRAINING"),
        ({"saw_test_subjects": None}, "unknown", "upper bound"),
        ({"saw_test_subjects": None, "corpora": ()}, "unknown", "upper bound"),
        (
            {"results": FACTS.results[:2], "corpora": (replace(EEGMAT, roles=("evaluation",)),)},
            "none",
            "The model saw nothing of the tested subjects",
        ),
    ],
)
def test_contamination_follows_from_regime_and_split(changes, expected, words):
    facts = replace(FACTS, **changes)
    assert facts.contamination == expected
    assert words in model_card(facts)


def test_leaderboards_get_only_what_may_stand_there():
    entries = eval_result_entries(FACTS)
    assert parse_eval_result_entries(eval_result_entries_to_yaml(entries)) == entries
    assert [(entry.dataset_id, entry.value) for entry in entries] == [("org/eegmat", 0.61)]
    assert "chance 0.50" in entries[0].notes and "5 subject folds" in entries[0].notes
    assert eval_result_entries(replace(FACTS, saw_test_subjects=True)) == []
    assert eval_result_entries(replace(FACTS, saw_test_subjects=None)) == []
    assert eval_result_entries(replace(FACTS, corpora=(replace(EEGMAT, hub_id=None),))) == []


def test_a_prepared_folder_says_what_it_holds(prepared):
    facts = corpus_facts(prepared, ["evaluation", "pretraining"])
    assert facts.name == "simulated" and facts.roles == ("pretraining", "evaluation")
    assert facts.hours == round(6 * 2 * 20 / 3600, 3)
    assert (facts.subjects, facts.windows, facts.window_seconds) == (6, 120, 2.0)
    assert facts.num_channels == (19, 19)
    assert (facts.original_rates_hz, facts.sampling_rate_hz) == ((250.0,), 200.0)
    assert (facts.unit, facts.reference, facts.licence) == ("microvolt", "average", "CC0-1.0")
    assert facts.recorded_against and facts.citation
    assert facts.is_simulated and facts.url is None  # CC0, and nobody to have consented


def test_a_folder_of_an_earlier_version_keeps_what_its_rows_hold(prepared, tmp_path):
    old = shutil.copytree(prepared, tmp_path / "old")
    record = old / "corpus.json"
    record.unlink()
    facts, today = corpus_facts(old, ["evaluation"]), corpus_facts(prepared, ["evaluation"])
    assert facts == replace(
        today, title="simulated", citation=None, recorded_against=None, unit=None
    )  # and the licence is in every row
    record.write_text("{")
    with pytest.raises(ValueError, match="corpus.json: expected the record of a corpus as JSON"):
        corpus_facts(old, ["evaluation"])


def test_a_run_says_what_it_was(classifier, pretrained, evaluated, prepared):
    facts = facts_from_run(
        classifier,
        data={"pretraining": [prepared], "evaluation": [prepared]},
        evaluation=evaluated,
        own_methods=["pretrained"],
        pretrained=[pretrained],
        saw_test_subjects=False,
        hub_ids={"simulated": "org/simulated"},
        watts=100,
    )
    model = EEGFoundationForSequenceClassification.from_pretrained(classifier)
    assert facts.parameters == sum(value.numel() for value in model.state_dict().values())
    assert (facts.architecture, facts.labels) == ("eeg_foundation", ("rest", "task"))
    assert facts.objectives == (
        "masked reconstruction (weight 1) of 30% of the signal and contrast of two views (weight 0.5)",
        "cross-entropy over rest, task, each class counting alike, label smoothing 0.1",
    )
    assert [corpus.roles for corpus in facts.corpora] == [("pretraining", "evaluation")]
    assert facts.corpora[0].hub_id == "org/simulated"
    assert facts.contamination == "same corpus"
    assert facts.compute.energy_kwh == pytest.approx(0.2)  # half an hour and one and a half, 100 W
    assert facts.packages["torch"] == metadata.version("torch")
    card = model_card(facts)
    assert "| **pretrained** | 0.600 ± 0.100 [0.400, 0.700] | 6 | 120 |" in card
    assert "| band power | – | 6 | 120 |" in card  # undefined is not zero
    assert "[CC0-1.0]" not in card and "CC0-1.0" in card


@pytest.fixture
def finished(classifier, tmp_path):
    """Return the folder of a classifier with the test that eeg-hf finetune leaves in it."""
    shutil.copytree(classifier, tmp_path / "run")
    labels = np.tile([0, 1, 1, 0], 6)
    scores = np.where(np.arange(24)[:, None] % 6 == 5, 1 - np.eye(2)[labels], np.eye(2)[labels])
    subjects = np.repeat(["04", "05", "06"], 8)
    predictions = Predictions(np.arange(24).astype(str), subjects, labels, scores)
    predictions.save(tmp_path / "run/predictions.parquet")
    write_json(tmp_path / "run/metrics.json", classification_metrics(labels, scores, ["rest", "task"]))
    (tmp_path / "run/training_args.json").write_text('{"seed": 11}')
    return tmp_path / "run"


def test_a_finished_run_shows_its_own_test_its_seed_and_chance(finished):
    facts = facts_from_run(finished, title="Ours", saw_test_subjects=False)
    assert facts.seeds == (11,)
    own, guess = facts.results
    assert own.metrics["balanced_accuracy"]["mean"] == pytest.approx(20 / 24)
    low, high = own.metrics["balanced_accuracy"]["interval"]
    assert low <= 20 / 24 <= high
    assert (own.num_subjects, own.num_windows) == (3, 24)
    assert (guess.method, guess.metrics["auroc"]) == ("most frequent class", {"mean": 0.5})
    card = model_card(facts)
    assert "Seeds: 11." in card and "No results are recorded" not in card
    assert "This model is better than the best baseline: balanced accuracy 0.833 (Ours) against 0.500" in card
    assert "split not recorded" in card and "Corpus: not recorded" in card


def test_a_version_without_predictions_shows_what_its_metrics_hold(finished):
    (finished / "predictions.parquet").unlink()
    facts = facts_from_run(finished)
    own = facts.own_results[0]
    assert own.metrics["balanced_accuracy"] == {"mean": pytest.approx(20 / 24)}
    assert (own.num_subjects, own.num_windows) == (None, 24)
    assert facts.chance["balanced_accuracy"] == 0.5 and facts.contamination == "unknown"
    (finished / "metrics.json").write_text('{"loss": 1.0}')
    assert facts_from_run(finished).results == ()


def test_a_time_that_one_stage_lacks_is_no_time(classifier, tmp_path):
    EEGFoundationModel(EEGFoundationConfig(**TINY)).save_pretrained(tmp_path)
    facts = facts_from_run(classifier, pretrained=[tmp_path], watts=100)
    assert facts.compute.seconds is None
    assert "not recorded" in facts.objectives[0]


def test_folders_and_names_that_are_wrong_are_named(classifier, evaluated, prepared, tmp_path):
    with pytest.raises(FileNotFoundError, match="is not the folder of a saved model: it has no config.json"):
        facts_from_run(tmp_path)
    (tmp_path / "config.json").write_text((classifier / "config.json").read_text())
    with pytest.raises(FileNotFoundError, match="expected weights as safetensors"):
        facts_from_run(tmp_path)
    with pytest.raises(ValueError, match="the table has no ours; it has band power, pretrained"):
        facts_from_run(classifier, evaluation=evaluated, own_methods=["ours"])
    with pytest.raises(ValueError, match="say which of band power, pretrained is this model"):
        facts_from_run(classifier, evaluation=evaluated)
    with pytest.raises(ValueError, match="no corpus is called eegmat; there is simulated"):
        facts_from_run(classifier, data={"evaluation": [prepared]}, hub_ids={"eegmat": "org/eegmat"})
    with pytest.raises(FileNotFoundError, match="not a prepared corpus: it lacks README.md, report.jsonl"):
        corpus_facts(tmp_path, [])


def test_the_example_runs_with_the_library_and_without(classifier, bare, tmp_path, capsys):
    with_library, alone = examples(model_card(facts_from_run(classifier), str(classifier)))
    exec(compile(with_library, "README.md", "exec"), {})
    expected = capsys.readouterr().out
    assert expected.startswith("tensor([[")
    assert bare(alone) == expected  # the same weights, the same bits


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "masked reconstruction (weight 1) of 50% of the signal"),
        ({"target": "codes"}, "masked prediction of a codec's tokens (weight 1) of 50% of the signal"),
        (
            {"target": "both", "code_weight": 0.5, "contrastive_weight": 0},
            "masked reconstruction (weight 1) of 50% of the signal and masked prediction of a codec's tokens "
            "(weight 0.5)",
        ),
        ({"reconstruction_weight": 0}, "contrast of two views (weight 0.5)"),
    ],
)
def test_an_objective_is_what_the_target_uses(fields, said, tmp_path):
    config = EEGFoundationConfig(**TINY, mask_ratio=0.5, **fields)
    config.architectures = ["EEGFoundationForPreTraining"]
    config.save_pretrained(tmp_path)
    save_file({"weight": torch.zeros(1)}, tmp_path / "model.safetensors")
    assert (
        facts_from_run(tmp_path).objectives[0].removesuffix(" and contrast of two views (weight 0.5)") == said
    )


@pytest.mark.parametrize("extractor", [None, EEGFeatureExtractor(window_seconds=2.0, alignment="euclidean")])
def test_the_example_runs_whatever_was_saved(extractor, tmp_path, capsys):
    save_with_code(EEGFoundationModel(EEGFoundationConfig(**TINY)), tmp_path, extractor)
    card = model_card(facts_from_run(tmp_path), str(tmp_path))
    exec(compile(examples(card)[0], "README.md", "exec"), {})
    assert capsys.readouterr().out.startswith("tensor([[")
    assert ("No feature extractor was saved" in card) == (extractor is None)
    assert ("whitened by the mean covariance" in card) == (extractor is not None)


VALIDATE = """
from huggingface_hub import ModelCard
from eeg_hf import EEGFoundationConfig, EEGFoundationModel
from eeg_hf.hub import push
for card in CARDS:
    ModelCard(card).validate()
push(EEGFoundationModel(EEGFoundationConfig(d_model=16, n_layers=1, n_heads=2, d_ff=32)), "org/bare", "v1.0")
try:
    ModelCard("---\\nlicense: 3\\n---\\n").validate()
except ValueError:
    print("refused")
"""


def test_the_hub_accepts_the_card_and_no_repository_is_without_one(hub, client):
    cards = [model_card(FACTS), *(path.read_text() for path in (ROOT / "model_cards").glob("*.md"))]
    assert client(f"CARDS = {cards!r}\n{VALIDATE}").strip().endswith("refused")
    card = hub.read("org/bare", "README.md", "v1.0").decode()
    assert ModelCard(card).data.pipeline_tag == "eeg-feature-extraction"
    assert "No results are recorded with these weights" in card and 'model_id = "org/bare"' in card


@pytest.mark.parametrize(
    ("saved", "regime", "expected"),
    [
        ({}, "unseen", "unseen"),  # a report of before
        ({"protocol": "cross-subject"}, "aligned", "aligned"),
        ({"protocol": "cross-session"}, "unseen", "known"),
        ({"protocol": "within-session"}, "aligned", "known_aligned"),
        ({"contamination": "the pretrained weights have seen 2 of 6 test subjects (a/1)"}, "unseen", "known"),
        ({"contamination": "unknown what the pretrained weights have seen"}, "unseen", "unseen"),
    ],
)
def test_the_regime_of_a_card_is_what_the_split_holds(saved, regime, expected):
    assert known_regime(regime, saved) == expected
