# SPDX-License-Identifier: Apache-2.0
"""The parser of a command: HfArgumentParser on its dataclasses, told which options were really given."""

import argparse
import json
import sys
import typing
from dataclasses import fields
from typing import Any, NamedTuple, NoReturn

from transformers import HfArgumentParser, TrainingArguments

from ...suggestions import did_you_mean
from .recipe_files import load_yaml
from .settings import Setting, is_override

if typing.TYPE_CHECKING:
    from .command import Command

OWN_METADATA = ("formerly", "block")


class Given(NamedTuple):
    """What stands on a command line."""

    words: list[str]
    options: dict[str, Any]
    config_name: str | None
    multirun: bool
    shows_settings: bool


class CommandParser(HfArgumentParser):
    """Reads the options of a command and makes its dataclasses."""

    def __init__(self, command: "Command") -> None:
        self.command = command
        types = [*command.arguments, *([TrainingArguments] if command.trains else [])]
        self.former: dict[str, str] = {
            **{
                old: field.name
                for cls in types
                for field in fields(cls)
                for old in field.metadata.get("formerly", ())
            },
            **command.former,
        }
        blocks = {field.name for cls in types for field in fields(cls) if field.metadata.get("block")}
        super().__init__(
            types,
            prog=f"eeg-hf {command.name}",
            description=command.description,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
            usage="%(prog)s [recipe] [setting=value ...] [--option value ...]",
        )
        self.settings = {
            action.dest: Setting(
                action.dest,
                is_text=action.type is str,
                is_list=action.nargs in ("+", "*"),
                is_mapping=action.type is read_mapping or is_training_block(action),
                is_block=action.dest in blocks or is_training_block(action),
            )
            for action in self._actions
            if action.dest != "help"
        }

    def add_argument(self, *names: Any, **options: Any) -> argparse.Action:
        """Add an option; what only the other parts of this package read does not concern argparse."""
        for name in OWN_METADATA:
            options.pop(name, None)
        if (typing.get_origin(options.get("type")) or options.get("type")) is dict:
            options["type"] = read_mapping
        return super().add_argument(*names, **options)

    def error(self, message: str) -> NoReturn:
        """End with one line."""
        self.command.fail(message)

    def read_options(self, words: list[str]) -> Given:
        """Read the options that are given, and nothing but those."""
        own = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
        own.add_argument("--config-name", "--config_name")
        own.add_argument("--multirun", "-m", action="store_true")
        own.add_argument("--cfg", choices=["job"])
        own.error = self.error  # type: ignore[method-assign]
        switches, words = own.parse_known_args(words)
        overrides, words = self._take_overrides(self._rename(words))
        required = [action for action in self._actions if action.required]
        defaults = [action.default for action in self._actions]  # `--no_flag` shares its name with `--flag`
        for action in self._actions:
            action.required, action.default = False, argparse.SUPPRESS
        given, rest = self.parse_known_args(words)
        for action, default in zip(self._actions, defaults, strict=True):
            action.default = default
        for action in required:
            action.required = True
        for word in rest:
            if word.startswith("-") and len(word) > 1:
                self._refuse(word)
        flags = switches.config_name, switches.multirun, bool(switches.cfg)
        return Given([*rest, *overrides], vars(given), *flags)

    def _take_overrides(self, words: list[str]) -> tuple[list[str], list[str]]:
        """Take the overrides out, which an option of several values before them would swallow.

        `--data runs/data/eegmat config.mask_ratio=0.5` is one corpus and one override, but
        `--runs "pretrained=runs/classifier"` is a value: there is no setting `pretrained`.
        """
        overrides, rest = [], []
        for index, word in enumerate(words):
            before = self._option_string_actions.get(words[index - 1]) if index else None
            is_value = before is not None and before.nargs is None  # of an option that takes just one
            (rest if is_value or not is_override(word, self.settings) else overrides).append(word)
        return overrides, rest

    def _rename(self, words: list[str]) -> list[str]:
        """Replace former names of options, and complete `--flag` where an override follows it."""
        renamed = []
        for index, word in enumerate(words):
            name, equals, value = word.partition("=")
            key = name.removeprefix("--").replace("-", "_")
            if name.startswith("--") and key in self.former and key not in self.settings:
                new = self.former[key]
                sys.stderr.write(f"eeg-hf {self.command.name}: {name} is now --{new}\n")
                word = f"--{new}{equals}{value}"
                key = new
            renamed.append(word)
            action = self._option_string_actions.get(word)
            following = words[index + 1] if index + 1 < len(words) else "--"
            if action is not None and action.nargs == "?" and "=" in following:
                renamed.append("true")
        return renamed

    def _refuse(self, word: str) -> NoReturn:
        name = word.partition("=")[0]
        near = did_you_mean(name.lstrip("-").replace("-", "_"), self.settings)
        hint = near.replace("'", "'--", 1) or f"; `eeg-hf {self.command.name} --help` lists the options"
        self.error(f"unknown option {name}{hint}")

    def build(self, settings: dict[str, Any]) -> tuple[Any, ...]:
        """Return the dataclasses of the command.

        Args:
            settings: Names and values, of a recipe, overrides and options.

        Raises:
            ValueError: If a value does not fit its setting.
        """
        for action in self._actions:
            if action.dest in settings:
                action.required = False
                settings[action.dest] = self._fit(action, settings[action.dest])
        self.set_defaults(**settings)
        return self.parse_args_into_dataclasses(args=[], look_for_args_file=False)

    def _fit(self, action: argparse.Action, value: Any) -> Any:
        """Convert a value of a recipe to the type of its option, as argparse does with text."""
        if action.nargs in ("+", "*") and value is not None:
            return [self._fit_one(action, item) for item in (value if isinstance(value, list) else [value])]
        if isinstance(value, dict) and is_training_block(action):
            return json.dumps(value)  # TrainingArguments reads its mappings from JSON
        return self._fit_one(action, value)

    def _fit_one(self, action: argparse.Action, value: Any) -> Any:
        if value is None or isinstance(value, (dict, list)):
            return value
        if action.type is str or is_training_block(action):
            return str(value).lower() if isinstance(value, bool) else str(value)
        if action.choices is not None and value in action.choices:
            return value
        try:
            return self._get_value(action, str(value))
        except argparse.ArgumentError as error:
            raise ValueError(str(error)) from None

    def show(self, settings: dict[str, Any]) -> str:
        """Return the merged settings as YAML; of TrainingArguments only what was set."""
        from omegaconf import OmegaConf

        own = {field.name for cls in self.command.arguments for field in fields(cls)}
        defaults = {
            action.dest: None if action.default is argparse.SUPPRESS else action.default
            for action in reversed(self._actions)  # `--flag` comes before `--no_flag`
            if action.dest in own
        }
        return OmegaConf.to_yaml(OmegaConf.create({**defaults, **settings}))


def read_mapping(text: str) -> dict[str, Any]:
    """Read fields and values, JSON or YAML."""
    try:
        value = load_yaml(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"expected fields and values (JSON), got {text!r}: {error}"
        ) from None
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(f"expected fields and values (JSON), got {text!r}")
    return value


def is_training_block(action: argparse.Action) -> bool:
    """Tell whether an option of TrainingArguments holds a mapping, such as lr_scheduler_kwargs."""
    return action.dest.endswith(("_kwargs", "_config")) or action.dest in ("optim_args", "fsdp", "deepspeed")


__all__ = ["CommandParser"]
