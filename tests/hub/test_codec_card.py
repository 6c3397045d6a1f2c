# SPDX-License-Identifier: Apache-2.0
"""Cards of codecs: bits, verdicts rate by rate, what is lost, and programs that run."""

import re
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from huggingface_hub import ModelCard

from eeg_hf import EEGFeatureExtractor, EEGFSQConfig, EEGFSQModel
from eeg_hf.evaluation import CodecRow, collect_provenance, write_codec_report
from eeg_hf.hub import (
    CardFacts,
    CorpusFacts,
    LocalRegistry,
    ResultFacts,
    eval_result_entries,
    facts_from_run,
    model_card,
    push,
    save_with_code,
)

TINY = {"patch_size": 128, "hidden_dims": [8], "levels": [4, 4, 4]}
CORPUS = CorpusFacts("eegmat", "EEGMAT", ("pretraining", "evaluation"))


def result(name, bits, correlation=None, is_own=False, corpus="eegmat, 200 Hz", gamma=0.5, interval=None):
    metrics = {"correlation": {"mean": correlation, "interval": interval}}
    metrics |= {
        "nrmse_std": {"mean": 0.3},
        "gamma_error": {"mean": gamma},
        "codebook_perplexity": {"mean": 41.6},
    }
    return ResultFacts(
        *(name, is_own, "unseen", "official split", metrics if correlation else {}, 4, 188),
        conditions={
            "corpus": corpus,
            "sampling_rate": 200.0,
            "bits_per_second": bits,
            "budget_bits_per_second": bits,
            "total_compression_ratio": 3200 / (bits + 6.25),
            "parameters": 1234,
        },
    )


FACTS = CardFacts(
    architecture="eeg_fsq",
    model_class="EEGFSQModel",
    title="Tiny codec",
    config={**TINY, "codes_per_patch": 4, "sampling_rate": 200.0},
    signal={"sampling_rate": 200.0, "window_seconds": 5.0, "normalization": "robust", "clip": 15.0},
    corpora=(CORPUS,),
    results=(
        result("FLAC", 1950.0),
        result("PCA", 50.0, 0.8),
        result("relu", 50.0, 0.85, is_own=True, gamma=0.4),
        result("PCA", 12.4, 0.6, gamma=1.0, interval=[0.55, 0.65]),
        result("relu", 12.5, 0.62, is_own=True, gamma=0.95, interval=[0.58, 0.66]),
        result("snake", 12.5, 0.59, is_own=True, gamma=0.92),
    ),
    saw_test_subjects=False,
)


def verdicts(facts):
    return [line for line in model_card(facts).splitlines() if line.startswith(("* At ", "* The ceiling"))]


def examples(card):
    return re.findall(r"```python\n(.*?)```", card, re.S)


def save_codec(folder, extractor, **fields):
    torch.manual_seed(0)
    save_with_code(EEGFSQModel(EEGFSQConfig(**{**TINY, **fields})), folder, extractor)
    return folder


def test_a_reader_finds_what_a_patch_becomes_and_costs():
    card = model_card(FACTS)
    assert "128 samples of one channel (0.64 s at 200 Hz) become 4 tokens of a codebook of 64" in card
    assert "which is 37.5 bits/s, 85 times less than 16 bits a sample" in card  # 4 x 6 bits in 0.64 s


def test_rows_are_in_the_order_of_bits_and_own_rows_are_bold():
    card = model_card(FACTS)
    first = "| 12.5 | 256.0 (170.7) | **relu** | 0.300 | 0.620 [0.580, 0.660] | 0.950 | 42 | 1,234 |"
    rows = [first, "| PCA | 0.300 | 0.600", "| **snake** | 0.300 | 0.590", "| **relu** | 0.300 | 0.850"]
    places = [
        card.index(row) for row in [*rows, "| PCA | 0.300 | 0.800", "| 1950.0 | 1.6 (1.6) | FLAC | – |"]
    ]
    assert all(one < two for one, two in pairwise(places))
    assert "**eegmat, 200 Hz** (official split: 4 subjects, 188 windows)" in card


def test_a_verdict_counts_every_variant_and_not_the_best_alone():
    assert verdicts(FACTS) == [
        "* At 12.5 bits/s: this model is in 1 of 2 variants better than the best baseline: correlation 0.590 "
        "to 0.620 (relu) against 0.600 (PCA); their intervals overlap.",
        "* At 50.0 bits/s: this model is better than the best baseline: correlation 0.850 (relu) against "
        "0.800 (PCA).",
        "* The ceiling, FLAC, takes 1950.0 bits/s, 1.6 times less than 16 bits a sample.",
    ]


@pytest.mark.parametrize(
    ("own", "word"),
    [
        ((0.5, 0.4), "is worse than the best"),
        ((0.7, 0.65), "is better than the best"),
        ((0.6, 0.5), "is equal to the best"),
    ],
)
def test_a_verdict_says_who_is_better(own, word):
    rows = [result(f"codec {value}", 50.0, value, is_own=True) for value in own]
    (line,) = verdicts(replace(FACTS, results=(*rows, result("PCA", 50.0, 0.6))))
    assert word in line


def test_without_a_baseline_of_the_same_bits_no_verdict_is_made():
    facts = replace(FACTS, results=(FACTS.results[0], FACTS.results[2]))
    assert verdicts(facts)[0] == "* At 50.0 bits/s: this model has no baseline beside it."


def test_several_corpora_have_a_table_each():
    rows = [
        replace(row, conditions={**row.conditions, "corpus": "bonn, 173.61 Hz"}) for row in FACTS.results[:3]
    ]
    card = model_card(replace(FACTS, results=(*FACTS.results, *rows)))
    assert card.count("| Bits/s |") == 2 and "**bonn, 173.61 Hz**" in card


def test_limits_name_the_bands_that_are_lost():
    card = model_card(FACTS)
    assert (
        "* Lost at 12.5 bits/s (eegmat, 200 Hz), with an error of 0.9 or more in every variant: gamma."
        in card
    )
    assert "clips what is beyond ±15" in card and "Not for archives" in card
    assert "identify anybody from tokens" in card and "calibrated" not in card and "Embeddings" not in card
    assert "Lost" not in model_card(replace(FACTS, results=FACTS.results[:3]))


def test_the_hub_gets_own_rows_with_their_bits_and_no_task_that_is_wrong():
    data = ModelCard(model_card(FACTS)).data
    assert data.pipeline_tag is None and "eeg_fsq" in data.tags
    found = [(r.metric_type, r.metric_value) for r in data.eval_results]
    values = (0.85, 0.3, 0.62, 0.3, 0.59, 0.3)
    assert found == list(zip(["correlation", "nrmse_std"] * 3, values, strict=True))
    assert "(relu; at 50.0 bits/s; the subject tested is unseen)" in data.eval_results[0].metric_name
    assert {(r.dataset_type, r.dataset_split) for r in data.eval_results} == {("eegmat", "official split")}
    assert eval_result_entries(FACTS) == []


def test_facts_survive_a_file_and_unknown_fields_are_refused(tmp_path):
    path = tmp_path / "facts.json"
    FACTS.write(path)
    assert model_card(CardFacts.read(path)) == model_card(FACTS)
    assert CardFacts.read(path) == FACTS
    path.write_text(path.read_text().replace('"conditions"', '"rates"'))
    with pytest.raises(ValueError, match="ResultFacts has no rates"):
        CardFacts.read(path)


def test_results_of_classifiers_and_a_codec_do_not_go_together():
    rows = (ResultFacts("a", True, "unseen", "x", {}), ResultFacts("b", False, "unseen", "x", {}))
    with pytest.raises(
        ValueError, match="Tiny codec: expected results with bits_per_second, .* got a with no con"
    ):
        replace(FACTS, results=rows)
    with pytest.raises(ValueError, match="expected results with no conditions for eeg_foundation, got FLAC"):
        replace(FACTS, architecture="eeg_foundation")


def test_a_run_and_its_table_become_facts(prepared, tmp_path):
    save_codec(tmp_path / "codec", EEGFeatureExtractor.from_pretrained(prepared), codes_per_patch=2)
    names = ("mse", "correlation", "theta_error")
    metrics = {name: {"mean": 0.5, "sd": 0.1, "values": [0.4, 0.6]} for name in names}
    shared = ("simulated, 200 Hz", 200.0, 18.75, 18.75, 16.7)
    rows = [
        CodecRow("plain", *shared, metrics, 2, 40, "mlp", "relu", False, seeds=2, parameters=99),
        CodecRow("PCA", *shared, metrics, 2, 40, "PCA"),
    ]
    about = collect_provenance("simulated", "CC0-1.0", [3, 4], split="official split")
    write_codec_report(tmp_path / "table", rows, about)
    facts = facts_from_run(
        tmp_path / "codec",
        data={"pretraining": [prepared], "evaluation": [prepared]},
        evaluation=tmp_path / "table",
        own_methods=["plain"],
        saw_test_subjects=False,
    )
    own = facts.own_results[0]
    assert (own.method, own.split, own.regime, own.num_seeds) == ("plain", "official split", "unseen", 2)
    assert facts.seeds == (3, 4)
    assert set(own.metrics) == {"correlation", "theta_error"}  # what the card shows
    assert facts.objectives == (
        "mean squared error of patches through finite scalar quantization, no codebook loss",
    )
    assert len(facts.channels) == 19 and facts.contamination == "same corpus"
    assert facts.config["levels"] == [4, 4, 4] and "hidden_size" not in facts.config
    assert "| **plain** | 0.500 ± 0.100 | 0.500 ± 0.100 | 99 | 2 |" in model_card(facts)
    assert str(tmp_path) not in model_card(facts)
    with pytest.raises(ValueError, match="the table has no ours; it has PCA, plain"):
        facts_from_run(tmp_path / "codec", evaluation=tmp_path / "table", own_methods=["ours"])


def test_the_example_runs_with_the_library_and_without(bare, tmp_path, capsys):
    folder = save_codec(tmp_path / "codec", EEGFeatureExtractor(window_seconds=5.0))  # 1000 = 7.8 patches
    with_library, alone = examples(model_card(facts_from_run(folder), str(folder)))
    exec(compile(with_library, "README.md", "exec"), {})
    expected = capsys.readouterr().out
    assert expected.startswith("tensor([[[") and expected.endswith("torch.Size([1, 3, 896])\n")
    assert bare(alone) == expected


@pytest.mark.parametrize(
    ("extractor", "fields"),
    [
        (None, {}),
        (EEGFeatureExtractor(window_seconds=None), {"patch_size": 1024}),
        (EEGFeatureExtractor(window_seconds=2.0), {"use_conditioning": True, "sampling_rate": None}),
        (EEGFeatureExtractor(window_seconds=2.0, alignment="euclidean"), {"architecture": "conv"}),
    ],
)
def test_the_example_runs_whatever_was_saved(extractor, fields, tmp_path, capsys):
    folder = save_codec(tmp_path, extractor, **fields)
    card = model_card(facts_from_run(folder), str(folder))
    exec(compile(examples(card)[0], "README.md", "exec"), {})
    assert "torch.Size([1, 3, " in capsys.readouterr().out
    assert ("sampling_rate=200).indices" in card) == bool(fields.get("use_conditioning"))
    assert ("No feature extractor was saved" in card) == (extractor is None)


def test_a_codec_is_pushed_and_registered_with_its_code_and_card(tmp_path):
    codec, extractor = EEGFSQModel(EEGFSQConfig(**TINY)), EEGFeatureExtractor(window_seconds=5.12)
    pushed = push(codec, "org/eeg-fsq", "v1.0", feature_extractor=extractor, dry_run=True)
    code = {"modeling_eeg_fsq.py", "configuration_eeg_fsq.py", "finite_scalar_quantization.py"}
    assert code | {"README.md", "model.safetensors", "preprocessor_config.json"} <= set(pushed.files)
    registry = LocalRegistry(tmp_path)
    for version, metrics in (("v1.0", {"correlation": 0.6}), ("v1.1", {"correlation": 0.7})):
        registry.save(codec, "eeg_fsq", version, feature_extractor=extractor, metrics=metrics)
    patches = torch.randn(3, 128)
    again = registry.from_pretrained("eeg_fsq").encode(patches).indices
    assert torch.equal(again, codec.eval().encode(patches).indices)
    assert registry.compare("eeg_fsq", "v1.0", "v1.1").metrics == {"correlation": (0.6, 0.7)}
