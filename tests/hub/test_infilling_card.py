# SPDX-License-Identifier: Apache-2.0
"""Cards of masked VAEs: what fills in better, what comes out wrong, and programs that run."""

import re
from dataclasses import replace

import pytest
import torch
from huggingface_hub import ModelCard

from eeg_hf import EEGFeatureExtractor, EEGMaskedVAEConfig, EEGMaskedVAEForPreTraining, EEGMaskedVAEModel
from eeg_hf.evaluation import collect_provenance, write_json
from eeg_hf.hub import CardFacts, ResultFacts, facts_from_run, model_card, push, save_with_code

TINY = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_decoder_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "latent_size": 4,
    "patch_size": 50,
}


def run(people, nrmse=0.6):
    """Scores of one model as eeg-hf evaluate-infilling writes them; both people have as many windows."""
    by_subject = dict(zip(("04", "05"), people, strict=True))
    mean = None if None in people else sum(people) / len(people)
    scores = {"correlation": mean, "nrmse_std": nrmse, "by_channel": {}}
    return {**scores, "by_subject": by_subject, "nrmse_by_subject": dict.fromkeys(by_subject, nrmse)}


HIDDEN = {
    "straight line": {"25%": [run((0.0, 0.1))], "50%": [run((None, None), None)]},
    "best linear guess": {"25%": [run((0.75, 0.65))], "50%": [run((0.49, 0.51))]},
    "masked VAE": {
        "25%": [run((0.5, 0.7)), run((0.6, 0.8))],
        "50%": [run((0.5, 0.58)), run((0.52, 0.6))],
    },
}
QUIET = {"amplitude": 0.2, "delta": 0.3, "theta": 0.2, "alpha": 0.8, "beta": 0.1}


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Return what eeg-hf evaluate-infilling leaves."""
    folder = tmp_path_factory.mktemp("table")
    facts = {"split": "official split, part test", "people": 2, "windows": 96, "stretch_seconds": 1.0}
    about = collect_provenance("simulated", "CC0-1.0", [0, 1], **facts)
    levels = {"masked VAE": [{**QUIET, "gamma": 8.0}, {**QUIET, "gamma": 9.0}]}
    write_json(folder / "metrics.json", {"hidden": HIDDEN, "levels_db": levels, "provenance": about})
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    torch.manual_seed(0)
    model = EEGMaskedVAEForPreTraining(EEGMaskedVAEConfig(**TINY))
    folder = tmp_path_factory.mktemp("masked_vae")
    save_with_code(model, folder, EEGFeatureExtractor(window_seconds=2.0))
    return folder


@pytest.fixture(scope="module")
def facts(trained, table, prepared):
    return facts_from_run(
        trained,
        data={"pretraining": [prepared], "evaluation": [prepared]},
        evaluation=table,
        own_methods=["masked VAE"],
        saw_test_subjects=False,
    )


def examples(card):
    return re.findall(r"```python\n(.*?)```", card, re.S)


def test_a_run_and_its_table_become_facts(facts, tmp_path):
    own = facts.own_results
    found = [(row.conditions["hidden"], row.num_seeds) for row in own]
    assert found == [(0.25, 2), (0.5, 2), (0.0, 2)] and facts.seeds == (0, 1)
    # Over both seeds one subject has 0.55, the other 0.75: the interval is of the mean over subjects
    assert own[0].metrics["correlation"]["mean"] == 0.65 and own[0].metrics["correlation"]["sd"] == 0.05
    assert own[0].metrics["correlation"]["interval"] == pytest.approx([0.55, 0.75])
    assert own[0].difference["baseline"] == "best linear guess"
    assert own[0].difference["mean"] == pytest.approx(-0.05) and own[0].difference["num_higher"] == 1
    assert facts.objectives == (
        "masked reconstruction of 50% of the signal, in stretches of 0.5 s of one channel (squared error: "
        "weight 1 where hidden, 0.1 where not), plus beta = 0.01 x KL divergence of the latents in nats a "
        "sample, beta growing from 0 over 1,000 batches",
    )
    assert facts.config["latent_size"] == 4 and "overlap" not in facts.config
    assert facts.num_seeds == 2 and facts.contamination == "same corpus" and len(facts.channels) == 19
    facts.write(tmp_path / "facts.json")
    assert CardFacts.read(tmp_path / "facts.json") == facts


def test_a_reader_finds_who_fills_in_better_and_in_how_many_people(facts):
    card = model_card(facts)
    rows = [line for line in card.splitlines() if line.startswith(("| 25%", "| 50%"))]
    assert [row.split(" | ")[1] for row in rows] == [
        *("best linear guess", "**masked VAE**", "straight line"),
        *("**masked VAE**", "best linear guess", "straight line"),
    ]
    assert (
        rows[1]
        == "| 25% | **masked VAE** | 0.650 ± 0.050 [0.550, 0.750] | 0.600 ± 0.000 [0.600, 0.600] | 2 |"
    )
    assert rows[-1] == "| 50% | straight line | – | – | – |"  # undefined is not zero
    verdicts = [line for line in card.splitlines() if "% hidden: this model is" in line]
    assert verdicts == [
        "* 25% hidden: this model is worse than the best baseline: correlation 0.650 (masked VAE) against "
        "0.700 (best linear guess); difference -0.050 [-0.200, +0.100], higher in 1 of 2 subjects: no "
        "evidence that it beats best linear guess.",
        "* 50% hidden: this model is better than the best baseline: correlation 0.550 (masked VAE) against "
        "0.500 (best linear guess); difference +0.050 [+0.020, +0.080], higher in 2 of 2 subjects: it "
        "beats best linear guess.",
    ]
    assert "official split, part test: 2 subjects, 96 windows, stretches of 1 s" in card
    assert "licence CC0-1.0" in card and "**No subject was recorded for it**" in card


def test_limits_name_the_baseline_that_is_better_and_the_bands_that_are_off(facts):
    card = model_card(facts)
    assert "* With 25% hidden, a simpler method fills in better: best linear guess." in card
    assert "* With nothing hidden, gamma is off by 8.5 dB, even in the best run." in card
    assert "| **masked VAE** | 0.20 ± 0.00 | 0.30 ± 0.00 |" in card
    without = model_card(replace(facts, results=()))
    assert "No results are recorded" in without and "is off" not in without and "simpler" not in without


def test_the_hub_gets_own_rows_by_share(facts):
    data = ModelCard(model_card(facts)).data
    assert data.pipeline_tag == "eeg-feature-extraction"
    found = [(r.task_type, r.metric_type, round(r.metric_value, 3)) for r in data.eval_results]
    assert found == [
        ("eeg-infilling", name, value)
        for name, value in [
            ("correlation", 0.65),
            ("nrmse_std", 0.6),
            ("correlation", 0.55),
            ("nrmse_std", 0.6),
        ]
    ]
    assert (
        data.eval_results[0].metric_name
        == "Correlation (masked VAE; 25% hidden; the subject tested is unseen)"
    )


def test_results_of_something_else_and_unknown_reports_are_refused(trained, table, tmp_path):
    with pytest.raises(ValueError, match="the table has no ours; it has best linear guess, masked VAE, str"):
        facts_from_run(trained, evaluation=table, own_methods=["ours"])
    with pytest.raises(
        ValueError, match="evaluation: expected one report, only those of eeg-hf eval-retrieval"
    ):
        facts_from_run(trained, evaluation=[("a", table), ("b", table)], own_methods=["a"])
    write_json(tmp_path / "metrics.json", {"loss": 1.0})
    with pytest.raises(
        ValueError, match=r"expected a report of eeg-hf evaluate-infilling \(hidden\), got loss"
    ):
        facts_from_run(trained, evaluation=tmp_path)
    row = ResultFacts("a", False, "unseen", "x", {}, conditions={"hidden": 0.5, "stretch_seconds": 1.0})
    with pytest.raises(
        ValueError, match="X: expected results with no conditions for eeg_foundation, got a with"
    ):
        CardFacts("eeg_foundation", "EEGFoundationModel", "X", results=(row,))


def test_the_example_runs_with_the_library_and_without(facts, trained, bare, tmp_path, capsys):
    with_library, alone = examples(model_card(facts, str(trained)))
    assert "AutoModelForPreTraining" in alone
    exec(compile(with_library, "README.md", "exec"), {})
    expected = capsys.readouterr().out
    assert expected.startswith("tensor([[[")
    assert bare(alone) == expected


@pytest.mark.parametrize("model_class", [EEGMaskedVAEForPreTraining, EEGMaskedVAEModel])
@pytest.mark.parametrize("extractor", [None, EEGFeatureExtractor(window_seconds=None)])
def test_the_example_runs_whatever_was_saved(model_class, extractor, tmp_path, capsys):
    save_with_code(model_class(EEGMaskedVAEConfig(**TINY)), tmp_path, extractor)
    card = model_card(facts_from_run(tmp_path), str(tmp_path))
    exec(compile(examples(card)[0], "README.md", "exec"), {})
    assert "tensor([[" in capsys.readouterr().out
    assert ("fills in stretches" in card) == (model_class is EEGMaskedVAEForPreTraining)


def test_it_is_pushed_with_its_code_and_card():
    model = EEGMaskedVAEForPreTraining(EEGMaskedVAEConfig(**TINY))
    pushed = push(model, "org/eeg-masked-vae", "v1.0", dry_run=True)
    assert {"README.md", "modeling_eeg_masked_vae.py", "configuration_eeg_masked_vae.py"} <= set(pushed.files)
