# SPDX-License-Identifier: Apache-2.0
"""Cards of EEG-CLIPs: images found beside chance and baselines, both towers, and programs that run."""

import json
import re
from dataclasses import replace

import pytest
import torch
from huggingface_hub import ModelCard
from tests.evaluation.test_embeddings_file import make

from eeg_hf import EEGCLIPConfig, EEGCLIPModel, EEGFeatureExtractor, EEGFoundationConfig
from eeg_hf.evaluation import EEGImageEmbeddings, collect_provenance, judge_retrieval, write_json
from eeg_hf.evaluation.retrieval_report import as_plain
from eeg_hf.hub import (
    CardFacts,
    facts_from_run,
    model_card,
    push,
    save_with_code,
)

ENCODER = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
SIZES = {"vision_dim": 6, "projection_dim": 8, "projection_hidden_size": 16, "vision_tower": "features:tiny"}
EXTRACTOR = EEGFeatureExtractor(100.0, None, None, reference="original", window_seconds=1.0)


def build(**fields):
    """Return a tiny model of 19 electrodes."""
    torch.manual_seed(0)
    tower = {**ENCODER, "num_channels": 19, "conv_size": 8, "sampling_rate": 100.0, "max_seq_length": 150}
    return EEGCLIPModel(EEGCLIPConfig(**{"eeg_config": tower, **SIZES, **fields}))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clip")
    save_with_code(build(), folder, EXTRACTOR)
    (folder / "train_clip.json").write_text(json.dumps({"split": "concept"}))
    (folder / "trainer_state.json").write_text(json.dumps({"log_history": [{"train_runtime": 3600.0}]}))
    return folder


def write_scores(path, noise, is_averaged=False):
    """Write what eeg-hf eval-retrieval does."""
    embeddings = EEGImageEmbeddings(**make(30, noise=noise))
    if is_averaged:
        embeddings = embeddings.average_repetitions()
    found = judge_retrieval(embeddings, (1, 5), num_resamples=50)
    about = collect_provenance(
        *("runs/test.npz", "that of the data", (0,)),
        split="test",
        settings={"match": "image", "resample": "image", "average_repetitions": is_averaged},
        num_trials=len(embeddings.eeg_embeddings),
        num_images=30,
        num_subjects=2,
    )
    write_json(path, {"provenance": about, **as_plain(found)})
    return path


@pytest.fixture(scope="module")
def scores(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scores")
    return [
        ("EEG-CLIP", write_scores(folder / "clip.json", 2.0)),
        ("shuffled pairs", write_scores(folder / "shuffled.json", 1000.0)),
        ("ridge | regression", write_scores(folder / "ridge.json", 5.0)),
        ("EEG-CLIP", write_scores(folder / "averaged.json", 2.0, is_averaged=True)),
    ]


@pytest.fixture(scope="module")
def facts(trained, scores, prepared):
    return facts_from_run(
        trained,
        data={"pretraining": [prepared], "evaluation": [prepared]},
        evaluation=scores,
        own_methods=["EEG-CLIP"],
        saw_test_subjects=True,
    )


def examples(card):
    return re.findall(r"```python\n(.*?)```", card, re.S)


def test_a_run_and_its_files_become_facts(facts, scores, tmp_path):
    methods = [
        (row.method, row.conditions["direction"], row.conditions["is_averaged"]) for row in facts.results
    ]
    assert len(methods) == len(set(methods)) == 8 + 4  # chance once for each of four tests
    report = json.loads(scores[0][1].read_text())
    own, guessed = facts.results[:2]
    assert own.metrics["recall@5"]["mean"] == pytest.approx(
        report["eeg_to_image"]["recall@5"]["value"], rel=1e-5
    )
    assert own.metrics["recall@5"]["interval"] == pytest.approx(
        report["eeg_to_image"]["recall@5"]["interval"], rel=1e-5
    )
    assert (guessed.method, guessed.is_own) == ("chance", False)
    assert guessed.metrics["recall@5"] == {"mean": pytest.approx(5 / 30, rel=1e-5)}
    assert (own.regime, own.split) == ("known", "concept split, part test")
    assert facts.contamination == "test subjects" and facts.compute.seconds == 3600.0
    assert facts.objectives == (
        "symmetric InfoNCE between windows of EEG and embeddings of features:tiny of the images seen, "
        "temperature 0.07 at the start and learned; windows of one image are no negatives of each other",
    )
    assert facts.config["eeg_config.conv_size"] == 8 and facts.sampling_rate == 100.0
    facts.write(tmp_path / "facts.json")
    assert CardFacts.read(tmp_path / "facts.json") == facts


def test_each_test_has_a_table_with_chance_and_a_verdict(facts):
    card = model_card(facts)
    tables = re.findall(r"(?:^\|.*\n)+", card[card.index("## Results") : card.index("## Limits")], re.M)
    rows = [[line.split(" | ")[0][2:] for line in table.splitlines()[2:]] for table in tables]
    assert rows[0][:2] == ["**EEG-CLIP**", r"ridge \| regression"]
    assert set(rows[0][2:]) == {"shuffled pairs", "chance"}  # none is better than the other
    assert rows[2] == ["**EEG-CLIP**", "chance"] and len(rows) == 4
    assert all("| Recall@1 | Recall@5 | MRR | Median rank |" in table for table in tables)
    assert re.search(r"\| chance \| 0\.033 \| 0\.167 \|", tables[0])
    assert "240 windows of 2 subjects; each asks for its image in a gallery of 30 images" in card
    assert "60 averages of repetitions of 2 subjects" in card
    verdicts = [line for line in card.splitlines() if ": this model is better than" in line]
    assert "(ridge | regression)" in verdicts[0] and "(chance)" in verdicts[2]
    assert "**No subject was recorded for it**" in card and "a 95 % interval over images" in card


def test_both_towers_are_described(facts):
    card = model_card(facts)
    assert "`eeg_conv_transformer`, which has neither a head nor a card of its own" in card
    assert "then 1 transformer layer of width 16, pooled over time by `cls`" in card
    assert "frozen and not saved with these weights; two layers follow it. No code for it is known" in card
    assert "* Channels accepted: the 19 of the training, in their order" in card
    assert "among 30 here" in card and "expect less of new subjects." in card
    other = replace(
        facts, config={**facts.config, "vision_tower": "open_clip:ViT-B-32", "freeze_vision": False}
    )
    assert "saved with these weights; two layers follow it. With `pixel_values`" in model_card(other)


def test_the_hub_gets_recalls_and_no_task_that_is_wrong(facts):
    data = ModelCard(model_card(facts)).data
    assert data.pipeline_tag is None and "eeg_clip" in data.tags
    assert [r.metric_type for r in data.eval_results] == ["recall@1", "recall@5"] * 4
    assert {r.task_type for r in data.eval_results} == {"eeg-image-retrieval"}
    name = (
        "Recall@1 (EEG-CLIP; EEG → image, 30 images, single trials; the subject tested was in the training)"
    )
    assert data.eval_results[0].metric_name == name


def test_one_file_is_of_this_model_and_stands_beside_chance(trained, scores):
    facts = facts_from_run(trained, evaluation=scores[0][1], saw_test_subjects=False)
    assert [(row.method, row.is_own) for row in facts.results[:2]] == [("EEGCLIP", True), ("chance", False)]
    assert facts.results[0].regime == "unseen"


def test_a_file_of_several_methods_has_their_seeds(trained, scores, tmp_path):
    single = json.loads(scores[0][1].read_text())
    parts = {way: single[way] for way in ("eeg_to_image", "image_to_eeg")}
    seeds = json.loads(json.dumps(parts))
    for way in seeds.values():
        for score in way.values():
            score |= {"interval": None, "sd": 0.01, "values": [0.5, 0.52]}
    content = {"provenance": single["provenance"], "methods": {"ours": seeds, "ridge": parts}}
    write_json(tmp_path / "comparison.json", content)
    facts = facts_from_run(
        trained, evaluation=tmp_path / "comparison.json", own_methods=["ours"], saw_test_subjects=False
    )
    assert facts.num_seeds == 2 and facts.seeds == ()  # the report holds those of the bootstrap
    rows = [(row.method, row.num_seeds) for row in facts.results[:3]]
    assert rows == [("ours", 2), ("chance", 1), ("ours", 2)]
    assert " ± 0.010 |" in model_card(facts)


def test_what_does_not_go_together_is_refused(trained, scores):
    with pytest.raises(ValueError, match="saw_test_subjects: say whether the tested subjects were in"):
        facts_from_run(trained, evaluation=scores, own_methods=["EEG-CLIP"])
    options = {"saw_test_subjects": True, "own_methods": ["EEG-CLIP"]}
    with pytest.raises(ValueError, match="EEG-CLIP: two rows of the same test, expected a name for each"):
        facts_from_run(trained, evaluation=[scores[0], scores[0]], **options)
    with pytest.raises(ValueError, match="the table has no EEG-CLIP; it has shuffled pairs"):
        facts_from_run(trained, evaluation=scores[1:2], **options)
    with pytest.raises(FileNotFoundError, match="it has no nothing.json"):
        facts_from_run(trained, evaluation=scores[0][1].with_name("nothing.json"), **options)


def test_the_example_runs_with_the_library_and_without(facts, trained, bare, tmp_path, capsys):
    with_library, alone = examples(model_card(facts, str(trained)))
    assert "AutoFeatureExtractor" in alone
    exec(compile(with_library, "README.md", "exec"), {})
    expected = capsys.readouterr().out
    assert expected.startswith("tensor([[")
    assert bare(alone) == expected


FOUNDATION = {"model_type": "eeg_foundation", **ENCODER}


@pytest.mark.parametrize(
    ("extractor", "fields", "said"),
    [
        (None, {}, "No feature extractor was saved"),
        (EXTRACTOR, {}, "The names of the electrodes are not recorded"),
        (EXTRACTOR, {"eeg_config": FOUNDATION, "vision_projection": "linear"}, "one layer follows it"),
        (None, {"eeg_config": EEGFoundationConfig(**ENCODER), "projection_dim": 6}, "is `eeg_foundation`: 1"),
    ],
)
def test_the_example_runs_whatever_was_saved(extractor, fields, said, tmp_path, capsys):
    save_with_code(build(**fields), tmp_path, extractor)
    card = model_card(facts_from_run(tmp_path), str(tmp_path))
    exec(compile(examples(card)[0], "README.md", "exec"), {})
    assert "tensor([[" in capsys.readouterr().out
    assert said in card


def test_it_is_pushed_with_the_code_of_its_towers():
    pushed = push(build(), "org/eeg-clip", "v1.0", feature_extractor=EXTRACTOR, dry_run=True)
    code = {"modeling_eeg_clip.py", "modeling_eeg_conv_transformer.py", "vision_registry.py"}
    assert code | {"README.md", "model.safetensors", "preprocessor_config.json"} <= set(pushed.files)
