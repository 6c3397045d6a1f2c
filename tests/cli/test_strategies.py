# SPDX-License-Identifier: Apache-2.0
"""Strategies in one table, adapters and few-shot, as a user runs them."""

import json

import numpy as np
import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModel, AutoModelForSequenceClassification

from eeg_hf import EEGFeatureExtractor, EEGFoundationConfig, load_windows
from eeg_hf.experiments.classifiers.shots import draw_shots
from eeg_hf.hub import facts_from_run, model_card
from tests.commands import fail_command, flags, run_command

TINY = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    AutoModel.from_config(EEGFoundationConfig(**TINY, overlap=0.0, second_order=True)).save_pretrained(folder)
    EEGFeatureExtractor(window_seconds=2.0).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def table(prepared, pretrained, tmp_path_factory):
    folder = tmp_path_factory.mktemp("table")
    run_command(
        *("evaluate", "--data", prepared, "--label_column", "condition", "--split", "subject"),
        *("--output_dir", folder, "--baselines", "false", "--strategies", "probe,ridge,knn,convex,lora"),
        *(
            "--pretrained_weights",
            pretrained,
            "--finetune_settings",
            json.dumps({"num_train_epochs": 1, "patience": 0}),
        ),
        *("--methods", "braindecode/ShallowFBCSPNet"),
    )
    return folder


def test_strategies_and_methods_stand_in_one_table_with_what_they_trained(table):
    rows = {row["method"]: row for row in json.loads((table / "metrics.json").read_text())["results"]}
    names = {name.partition(" (")[0] for name in rows}  # these weights do not say what they have seen
    assert names == {"probe", "ridge", "knn", "convex", "lora", "ShallowFBCSPNet"}
    trained = {name.partition(" (")[0]: row["trained"] for name, row in rows.items()}
    assert trained["probe"] == trained["ridge"] == TINY["hidden_size"] + 1 and trained["knn"] == 0
    network = load_file(table / "trainings/ShallowFBCSPNet-0/model.safetensors")
    statistics = ("running_mean", "running_var", "num_batches_tracked")
    size = sum(value.numel() for name, value in network.items() if not name.endswith(statistics))
    assert trained["ShallowFBCSPNet"] <= size and trained["ShallowFBCSPNet"] > 0.9 * size
    assert trained["convex"] < trained["lora"] < trained["ShallowFBCSPNet"]
    assert "| Trained |" in (table / "report.md").read_text()


def test_an_adapter_moves_no_other_weight_and_merges_into_the_same_model(table, pretrained):
    run = table / "trainings/lora-0"
    counts = json.loads((run / "trained_parameters.json").read_text())
    adapter = load_file(run / "adapter/adapter_model.safetensors")
    statistics = [name for name in adapter if "second_order.features" in name]
    assert statistics
    assert counts["trained"] == sum(adapter[name].numel() for name in set(adapter) - set(statistics))
    before = load_file(pretrained / "model.safetensors")
    merged = AutoModelForSequenceClassification.from_pretrained(run).eval()
    after = merged.model.state_dict()
    targets = ("q_proj", "k_proj", "v_proj", "o_proj", "up_proj", "down_proj")
    for name, value in before.items():
        if not any(target in name for target in targets) and "second_order.features" not in name:
            assert torch.equal(after[name], value), name
    base = AutoModel.from_pretrained(pretrained).add_classification_head(2)
    again = PeftModel.from_pretrained(base, str(run / "adapter")).eval()
    windows = torch.randn(2, 19, 400, generator=torch.Generator().manual_seed(0))
    from eeg_hf.processing.electrode_positions import electrode_positions

    places = torch.from_numpy(electrode_positions(merged.config.channel_names))[None].expand(2, -1, -1)
    with torch.no_grad():
        expected = again(input_values=windows, channel_positions=places).logits
        assert torch.allclose(merged(windows, channel_positions=places).logits, expected, atol=1e-5)
        bare = AutoModel.from_pretrained(pretrained)
        assert not torch.allclose(
            bare(windows, channel_positions=places).pooler_output,
            merged.model(windows, channel_positions=places).pooler_output,
        )
    card = model_card(facts_from_run(run))
    assert f"{counts['trained']:,} (lora) beside {counts['total']:,} parameters trained" in card


@pytest.fixture(scope="module")
def trained(prepared, tmp_path_factory):
    """Return weights of two layers, and the run of every strategy that trains them."""
    folder = tmp_path_factory.mktemp("trained")
    torch.manual_seed(0)
    config = EEGFoundationConfig(**{**TINY, "num_hidden_layers": 2}, overlap=0.0, dropout=0.0)
    AutoModel.from_config(config).save_pretrained(folder / "weights")
    EEGFeatureExtractor(window_seconds=2.0).save_pretrained(folder / "weights")
    settings = {"num_train_epochs": 2, "patience": 0, "load_best_model_at_end": False, "weight_decay": 0}
    run_command(
        *("evaluate", "--data", prepared, "--label_column", "condition", "--split", "subject"),
        *("--output_dir", folder, "--baselines", "false"),
        *("--strategies", "dora,ia3,gradual,layer_decay,full,attentive"),
        *("--pretrained_weights", folder / "weights", "--finetune_settings", json.dumps(settings)),
    )
    return folder


def moved_by(trained, strategy):
    """Return how far each tensor of the encoder moved, by name."""
    before = load_file(trained / "weights/model.safetensors")
    model = AutoModelForSequenceClassification.from_pretrained(trained / f"trainings/{strategy}-0")
    after = model.model.state_dict()
    return {name: (after[name] - value).abs().max().item() for name, value in before.items()}


def test_each_strategy_moves_what_it_says(trained):
    depths = [*("embeddings.", "layers.0.", "layers.1."), "norm."]
    read = {name: moved_by(trained, name) for name in ("gradual", "layer_decay", "full", "attentive")}
    moved = {
        strategy: {
            depth: max(far for name, far in found.items() if name.startswith(depth)) for depth in depths
        }
        for strategy, found in read.items()
    }
    assert all(moved["full"].values()) and all(moved["layer_decay"].values())
    assert not any(moved["attentive"].values())
    # One layer an epoch, from the top: of two epochs the first frees what is above the layers
    frozen = [depth for depth in depths if not moved["gradual"][depth]]
    assert frozen == ["embeddings.", "layers.0."] and moved["gradual"]["layers.1."]
    # 0.75 times the rate of the layer above, from which Adam's steps follow
    decayed, full = moved["layer_decay"], moved["full"]
    assert decayed["embeddings."] < 0.75 * full["embeddings."]
    assert decayed["layers.1."] > decayed["embeddings."]
    probe = AutoModelForSequenceClassification.from_pretrained(trained / "trainings/attentive-0")
    assert probe.config.classifier_pooling == "attention"
    fresh = AutoModel.from_pretrained(trained / "weights").add_classification_head(2)
    rows = {row["method"].partition(" (")[0]: row["trained"] for row in read_rows(trained)}
    heads = sum(value.numel() for name, value in probe.named_parameters() if not name.startswith("model."))
    assert rows["attentive"] == heads
    total = fresh.num_parameters()
    assert 0.95 * total < rows["full"] <= total  # the mask token has no part in a classification
    assert rows["ia3"] < rows["dora"] < rows["gradual"] < rows["full"]


def read_rows(folder):
    return json.loads((folder / "metrics.json").read_text())["results"]


@pytest.mark.parametrize("kind", ["dora", "ia3"])
def test_other_adapters_leave_the_weights_and_merge(trained, kind):
    run = trained / f"trainings/{kind}-0"
    targets = ("q_proj", "k_proj", "v_proj", "o_proj", "up_proj", "down_proj")
    for name, far in moved_by(trained, kind).items():
        is_target = any(target in name for target in targets) and name.endswith("weight")
        assert bool(far) == is_target or (kind == "ia3" and is_target), name
    base = AutoModel.from_pretrained(trained / "weights").add_classification_head(2)
    adapted = PeftModel.from_pretrained(base, str(run / "adapter")).eval()
    merged = AutoModelForSequenceClassification.from_pretrained(run).eval()
    windows = torch.randn(2, 19, 400, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = adapted(input_values=windows).logits
        torch.testing.assert_close(merged(windows).logits, expected, atol=1e-4, rtol=1e-3)


def test_few_shots_are_drawn_anew_and_keep_to_their_number(prepared, pretrained, tmp_path):
    rows = load_windows(prepared)
    drawn = draw_shots(rows, "condition", 3, seed=0)
    assert np.unique(drawn["condition"], return_counts=True)[1].tolist() == [3, 3]
    assert drawn["window_id"] == draw_shots(rows, "condition", 3, seed=0)["window_id"]
    assert drawn["window_id"] != draw_shots(rows, "condition", 3, seed=1)["window_id"]
    with pytest.raises(ValueError, match="shots: expected 999 windows of rest or more, got"):
        draw_shots(rows, "condition", 999, seed=0)
    run_command(
        *("evaluate", "--data", prepared, "--label_column", "condition", "--split", "subject"),
        *("--output_dir", tmp_path, "--baselines", "false", "--strategies", "ridge,convex"),
        *("--pretrained_weights", pretrained, "--shots", "2", "--draws", "2"),
    )
    rows = json.loads((tmp_path / "metrics.json").read_text())["results"]
    assert {row["method"].partition(" (")[0] for row in rows} == {"ridge, 2 shots", "convex, 2 shots"}
    assert all(row["seeds"] == [0, 1] for row in rows)
    head = json.loads((tmp_path / "trainings/convex-0/head.json").read_text())
    assert head["num_windows"] == 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strategies": "prob,lora"}, "got 'prob', did you mean 'probe'?"),
        ({"strategies": "lora,lora"}, "one comes twice"),
        ({"methods": "braindecode/EEGNets"}, "did you mean 'EEGNet'?"),
        ({"methods": "braindecode/EEGNet", "regimes": "aligend"}, "expected unseen, aligned or both"),
        ({"regimes": "aligned"}, "--regimes, --networks: no effect without --methods"),
        (
            {"methods": "braindecode/EEGNet", "networks": '{"EEGNets": {}}'},
            "EEGNets is not among --methods, did you mean 'EEGNet'?",
        ),
        ({"shots": 3}, "no effect without --methods or --strategies"),
    ],
)
def test_a_table_that_cannot_be_is_one_line(prepared, tmp_path, options, message):
    settings = {"data": prepared, "label_column": "condition", "output_dir": tmp_path, "baselines": "false"}
    assert message in fail_command("evaluate", *flags(**settings, **options))
    assert not list(tmp_path.rglob("*.safetensors"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"adapter": "lora"}, "--adapter lora: expected --model, the weights that it adapts"),
        ({"adapter": "ia3", "model": "x", "head": "convex"}, "it takes --head finetune"),
        ({"adapter_options": '{"r": 4}', "model": "x"}, "--adapter_options: no effect without --adapter"),
    ],
)
def test_an_adapter_without_something_to_adapt_is_refused(prepared, tmp_path, options, message):
    settings = {"data": prepared, "label_column": "condition", "output_dir": tmp_path, "head": "finetune"}
    assert message in fail_command("finetune", "finetune_tiny", *flags(**{**settings, **options}))
