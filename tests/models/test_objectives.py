# SPDX-License-Identifier: Apache-2.0
"""Pretraining sums the objectives that its config enables, and a new one needs its file and the registry."""

from functools import partial

import pytest
import torch
from torch import nn

from eeg_hf import EEGFoundationForPreTraining, EEGFoundationModel
from eeg_hf.models import modeling_eeg_foundation, objective_registry
from eeg_hf.models.objective import Objective
from eeg_hf.training import EEGTrainer
from tests.models.test_modeling_eeg_foundation import signal, tiny_config

TASKS = {"age": {"mean": 10.0, "std": 4.0}, "sex": {"num_outputs": 2, "weight": 0.5}}
TARGETS = {"age": torch.tensor([8.0, torch.nan, 9.0, 12.0]), "sex": torch.tensor([0, 1, -100, 1])}
MOMENTS = {
    "stimulus_ids": torch.tensor([1, 1, 1, 1]),
    "stimulus_seconds": torch.tensor([0.0, 0.0, 5.0, 5.0]),
    "subject_ids": torch.tensor([1, 2, 1, 2]),
}
VIEWS = {"augmented_values": signal(batch=4, seed=1)}
MASKS = {
    "channel_mask": torch.arange(19).lt(15).expand(4, -1),
    "attention_mask": torch.arange(1000).lt(800).expand(4, -1),
}
CODES = {
    "overlap": 0.0,
    "target": "both",
    "code_levels": [4, 3, 5],
    "codes_per_patch": 2,
    "scale_factors": [1],
}


class Polarity(Objective):
    """Predict a label of each window from the pooled tokens: an objective for these tests."""

    name = "polarity"
    columns = ("polarities",)
    defaults = {"weight": 1.0, "num_classes": 2}

    def build_heads(self):
        return {"polarity_head": partial(nn.Linear, self.config.hidden_size, self.settings["num_classes"])}

    def compute(self, modules, encoded, batch):
        logits = modules["polarity_head"](encoded.output("pooler_output"))
        if "polarities" not in batch:
            return {"polarity_logits": logits}
        loss = nn.functional.cross_entropy(logits, batch["polarities"])
        return {"polarity_logits": logits, "polarity_loss": loss}


@pytest.fixture
def polarity(monkeypatch):
    """Do what an added line of the registry does."""
    monkeypatch.setitem(objective_registry.OBJECTIVES, "polarity", Polarity)
    columns = (*objective_registry.OBJECTIVE_COLUMNS, *Polarity.columns)
    monkeypatch.setattr(modeling_eeg_foundation, "OBJECTIVE_COLUMNS", columns)
    return {"objectives": {"polarity": {"weight": 0.25}}}


def test_a_new_objective_joins_the_sum_and_travels(polarity, tmp_path):
    torch.manual_seed(0)
    model = EEGFoundationForPreTraining(tiny_config(**polarity)).eval()
    labels = torch.tensor([0, 1])
    outputs = model(signal(), augmented_values=signal(seed=1), polarities=labels)
    parts = (
        outputs.reconstruction_loss,
        0.5 * outputs.contrastive_loss,
        0.25 * outputs.others["polarity_loss"],
    )
    torch.testing.assert_close(outputs.loss, torch.stack(parts).sum())
    expected = nn.functional.cross_entropy(outputs.others["polarity_logits"], labels)
    torch.testing.assert_close(outputs.others["polarity_loss"], expected)
    assert set(model(signal()).others) == {"polarity_logits"}  # without its column
    model.save_pretrained(tmp_path)
    loaded = EEGFoundationForPreTraining.from_pretrained(tmp_path)
    assert torch.equal(loaded.polarity_head.weight, model.polarity_head.weight)
    assert loaded.config.objectives == polarity["objectives"]


def test_trainer_logs_the_losses_of_a_new_objective(polarity, tmp_path):
    from transformers import TrainingArguments

    rows = [{"input_values": eeg, "polarities": torch.tensor(0)} for eeg in signal(batch=4)]
    args = TrainingArguments(
        tmp_path,
        max_steps=1,
        per_device_train_batch_size=2,
        logging_steps=1,
        remove_unused_columns=False,
        report_to="none",
    )
    config = tiny_config(contrastive_weight=0.0, num_hidden_layers=1, **polarity)
    trainer = EEGTrainer(EEGFoundationForPreTraining(config), args, train_dataset=rows)
    trainer.train()
    logged = trainer.state.log_history[0]
    assert {"loss", "reconstruction_loss", "polarity_loss"} <= set(logged)


def test_an_objective_may_be_the_only_one_and_masks_nothing(polarity):
    config = tiny_config(reconstruction_weight=0.0, contrastive_weight=0.0, **polarity)
    model = EEGFoundationForPreTraining(config)
    outputs = model(signal(), polarities=torch.tensor([0, 1]))
    assert not outputs.mask.any()
    outputs.loss.backward()
    without = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    assert without == []  # DistributedDataParallel would refuse one


@pytest.mark.parametrize(
    ("objectives", "message"),
    [
        ({"polarty": {}}, r"objectives: unknown \['polarty'\], expected some of .*'masked_signal'"),
        ({"two_views": {"weight": 1.0}}, r"'two_views' has no setting \['weight'\]"),
    ],
)
def test_objectives_that_do_not_exist_are_refused(objectives, message):
    with pytest.raises(ValueError, match=message):
        EEGFoundationForPreTraining(tiny_config(objectives=objectives))


@pytest.mark.parametrize(
    ("fields", "inputs", "expected"),
    [
        (
            {"visible_weight": 0.1, "reconstruction_weight": 2.0},
            {},
            {"loss": 2.231777, "reconstruction_loss": 1.015092, "visible_loss": 1.007963},
        ),
        (
            {
                **{"auxiliary_tasks": TASKS, "auxiliary_weight": 0.3, "visible_weight": 0.1},
                **{"projection_batch_norm": True, "learnable_temperature": True},
            },
            {"auxiliary_targets": TARGETS, **VIEWS, **MASKS},
            {
                **{"loss": 2.819759, "reconstruction_loss": 0.986269, "visible_loss": 1.006984},
                **{"contrastive_loss": 3.144606, "auxiliary_loss": 0.534963},
            },
        ),
        (
            {**CODES, "auxiliary_tasks": TASKS, "visible_weight": 0.2},
            {
                **MOMENTS,
                "auxiliary_targets": TARGETS,
                "code_indices": torch.arange(4 * 19 * 10).view(4, 19, 10) % 60,
            },
            {
                **{"reconstruction_loss": 1.018011, "visible_loss": 1.013784},
                **{"contrastive_loss": 1.297338, "auxiliary_loss": 0.534571},
            },
        ),
    ],
    ids=["signal", "views", "moments"],
)
def test_losses_are_those_of_the_first_version(fields, inputs, expected, monkeypatch):
    """Order of the heads, of random numbers and of sums: each is part of what a seed stands for.

    The first version's dropout was that of torch.
    """
    monkeypatch.setattr("eeg_hf.models.dropout.dropout", torch.nn.functional.dropout)
    monkeypatch.setattr("eeg_hf.models.attention.Attention._drops_by_products", lambda *_: False)
    torch.manual_seed(0)
    model = EEGFoundationForPreTraining(tiny_config(**fields)).train()
    torch.manual_seed(3)
    outputs = model(signal(batch=4), **inputs)
    found = {name: outputs[name].item() for name in expected}
    assert found == pytest.approx(expected, abs=2e-5)


def test_heads_keep_their_names_in_checkpoints():
    config = tiny_config(**CODES, auxiliary_tasks=TASKS, learnable_temperature=True)
    names = [name for name in EEGFoundationForPreTraining(config).state_dict() if name[:6] != "model."]
    assert names == [
        *("decoder.weight", "decoder.bias", "code_head.out.weight", "code_head.out.bias"),
        *("projection_head.dense.weight", "projection_head.dense.bias"),
        *("projection_head.out.weight", "projection_head.out.bias", "temperature.log_temperature"),
        *(
            f"auxiliary_head.heads.{task}.{layer}.{kind}"
            for task in TASKS
            for layer in ("dense", "out")
            for kind in ("weight", "bias")
        ),
    ]


@pytest.mark.parametrize("name", ["mask_ratio", "augmented_values", "attention_maks"])
def test_an_encoder_refuses_arguments_that_it_would_ignore(name):
    hint = "call the pretraining model" if name == "mask_ratio" else "expected inputs of forward"
    with pytest.raises(TypeError, match=f"EEGFoundationModel: unexpected {name}.*{hint}"):
        EEGFoundationModel(tiny_config())(signal(), **{name: 0.5})


def test_an_encoder_passes_over_inputs_of_text_models_that_are_none():
    assert (
        EEGFoundationModel(tiny_config())(signal(), input_ids=None, inputs_embeds=None).pooler_output.ndim
        == 2
    )
