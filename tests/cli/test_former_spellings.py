# SPDX-License-Identifier: Apache-2.0
"""Former spellings of verbs, options, settings and sections work, and say what they are called now."""

import dataclasses
import importlib

import pytest

from eeg_hf.cli import main as dispatcher
from eeg_hf.cli.parsing.parser import CommandParser
from eeg_hf.cli.parsing.settings import SECTION_NAMES
from tests.commands import run_command

VERBS = [verb for verbs in dispatcher.VERBS.values() for verb in verbs]


def former_options():
    """Yield verb, former spelling and current name of every option that has been renamed."""
    for verb in VERBS:
        module = importlib.import_module(f"eeg_hf.cli.{verb.replace('-', '_')}")
        command = getattr(module, "COMMAND", None)
        if command is not None:
            fields = [field for cls in command.arguments for field in dataclasses.fields(cls)]
            for field in fields:
                for old in field.metadata.get("formerly", ()):
                    yield command, old, field.name
            for old, new in command.former.items():
                yield command, old, new


def with_required(command, given):
    """Return the words that set what a command cannot do without, but for one option."""
    fields = [field for cls in command.arguments for field in dataclasses.fields(cls)]
    missing = (dataclasses.MISSING, dataclasses.MISSING)
    names = [field.name for field in fields if (field.default, field.default_factory) == missing]
    return [word for name in names if name != given for word in (f"--{name}", "{}")]  # text or fields


@pytest.mark.parametrize(
    ("command", "old", "new"),
    [pytest.param(*each, id=f"{each[0].name}-{each[1]}") for each in former_options()],
)
def test_a_former_option_sets_what_it_set_and_names_its_successor(command, old, new, capsys):
    value = "3"  # a number, a name and a path
    for words in ([f"--{old}", value], [f"--{old}={value}"]):
        settings = CommandParser(command).read([*words, *with_required(command, new)]).settings
        assert str(settings[new]).strip("[']") in (value, "3.0") and old not in settings
        assert capsys.readouterr().err == f"eeg-hf {command.name}: --{old} is now --{new}\n"
    settings = CommandParser(command).read([f"{old}={value}", *with_required(command, new)]).settings
    assert new in settings and capsys.readouterr().err == f"eeg-hf {command.name}: {old} is now {new}\n"


@pytest.mark.parametrize(("old", "new"), dispatcher.FORMER.items())
def test_a_former_verb_is_run_and_names_its_successor(old, new, capsys):
    assert run_command(old, "--help").startswith(f"usage: eeg-hf {new} ")
    assert capsys.readouterr().err == f"eeg-hf: {old} is now {new}\n"


@pytest.mark.parametrize(
    ("old", "value", "new"),
    [
        *((name, "none" if name == "logger" else "1", new) for name, new in SECTION_NAMES.items()),
        ("model.patch_size", "64", "config.patch_size"),
        ("trainer.precision", "bf16-mixed", "bf16"),
        ("trainer.accelerator", "cpu", "use_cpu"),
    ],
)
def test_a_section_of_hydra_names_its_successor(old, value, new, capsys):
    from eeg_hf.cli.train_tokenizer import COMMAND

    CommandParser(COMMAND).read([f"{old}={value}"])
    assert capsys.readouterr().err == f"eeg-hf train-tokenizer: {old} is now {new}\n"
    CommandParser(COMMAND).read(["training.learning_rate=1e-3", "learning_rate=1e-3"])  # both are current
    assert capsys.readouterr().err == ""
