# SPDX-License-Identifier: Apache-2.0
"""Recipes, and the command line that overrides them."""

from dataclasses import dataclass, field

import pytest
import yaml
from transformers import TrainingArguments

from eeg_hf.training import parse_recipe
from tests.conftest import ROOT


@dataclass
class Options:
    """Options of an imaginary script."""

    data: str = field(metadata={"help": "Required."})
    config: str = "{}"
    rate: float = 1.0


def write(tmp_path, text):
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    return str(path)


def test_the_command_line_overrides_the_recipe(tmp_path):
    recipe = write(tmp_path, "data: here\nrate: 1e-3\nconfig: {a: 1}\noutput_dir: out\nlearning_rate: 3e-4\n")
    options, training = parse_recipe((Options, TrainingArguments), [recipe, "--rate", "2"])
    assert (options.data, options.rate, options.config) == ("here", 2.0, '{"a": 1}')
    assert (training.output_dir, training.learning_rate) == ("out", 3e-4)


def test_one_name_where_several_may_stand_is_one_name(tmp_path):
    @dataclass
    class Several:
        data: list[str]

    assert parse_recipe((Several,), [write(tmp_path, "data: runs/here")])[0].data == ["runs/here"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("data: here\nlerning_rate: 1", "unknown field 'lerning_rate', did you mean 'learning_rate'"),
        ("- data", "expected fields and values, got list"),
        ("data: [", "is not YAML"),
    ],
)
def test_a_typo_is_named(tmp_path, capsys, text, message):
    with pytest.raises(SystemExit) as ended:
        parse_recipe((Options, TrainingArguments), [write(tmp_path, text), "--output_dir", "out"])
    assert ended.value.code == 2
    assert message in capsys.readouterr().err.splitlines()[-1]


def test_a_recipe_that_is_not_there_is_named(capsys):
    with pytest.raises(SystemExit):
        parse_recipe((Options,), ["nowhere.yaml"])
    assert "nowhere.yaml does not exist" in capsys.readouterr().err


@pytest.mark.parametrize(
    "recipe", sorted((ROOT / "src/eeg_hf/recipes").glob("pretrain_*.yaml")), ids=lambda path: path.stem
)
def test_recipes_of_all_sizes_build_what_they_say(recipe):
    import json
    import re

    import torch

    from eeg_hf import HBN_AUXILIARY_TASKS, EEGFoundationConfig, EEGFoundationForPreTraining

    @dataclass
    class Config:
        config: str = "{}"
        split: str = ""

    settings = yaml.safe_load(recipe.read_text())
    if "phases" in settings:  # of train_phases.py, which tests/scripts reads
        fields = {**settings["config"], "auxiliary_tasks": HBN_AUXILIARY_TASKS}
    else:
        config, _ = parse_recipe((Config, TrainingArguments), [str(recipe), "--bf16", "false"])
        fields = json.loads(config.config)
    with torch.device("meta"):
        model = EEGFoundationForPreTraining(EEGFoundationConfig(**fields))
    stated = float(re.search(r"^# ([\d.]+) M parameters", recipe.read_text())[1])
    assert model.num_parameters() / 1e6 == pytest.approx(stated, rel=0.02)
