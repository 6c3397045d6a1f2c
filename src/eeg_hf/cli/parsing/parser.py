# SPDX-License-Identifier: Apache-2.0
"""The parser of a command: HfArgumentParser on its dataclasses, with recipes and overrides beside options."""

import argparse
import dataclasses
import math
import typing
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple, NoReturn

from transformers import HfArgumentParser, TrainingArguments

from ...suggestions import did_you_mean
from .recipe_files import load_yaml
from .settings import (
    Setting,
    announce,
    announce_sections,
    collect,
    expand,
    is_override,
    sort_words,
    typed_names,
)

if typing.TYPE_CHECKING:
    from .command import Command

# Metadata of a field that argparse does not know
OWN_METADATA = ("formerly", "block", "expert")
# Settings of a training -> their smallest value
_LEAST = {
    "per_device_train_batch_size": 1,
    "per_device_eval_batch_size": 1,
    "gradient_accumulation_steps": 1,
    **dict.fromkeys(
        ("learning_rate", "weight_decay", "warmup_steps", "max_grad_norm", "num_train_epochs"), 0
    ),
}
TRAINING_FIELDS = {field.name for field in dataclasses.fields(TrainingArguments)}


# Options of scripts from before this library that are none here, and what does their work
ELSEWHERE = {
    "drop_bad_windows": "spans annotated as bad are left out by eeg-hf prepare itself; --reject_uv sets the "
    "amplitude above which it leaves out a window, and the column quality stands beside each that is kept"
}


class Job(NamedTuple):
    """One run of a command: the overrides that single it out, and all its settings."""

    overrides: dict[str, str]
    settings: dict[str, Any]


class Request(NamedTuple):
    """A command line that was read: one job, or those of a sweep."""

    jobs: list[Job]
    multirun: bool
    shows_settings: bool

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of the only job."""
        return self.jobs[0].settings


class CommandParser(HfArgumentParser):
    """Read the command line of a command and build its dataclasses.

    Args:
        command: The command.

    Attributes:
        settings: All settings by name, former spellings included.
    """

    def __init__(self, command: "Command") -> None:
        self.command = command
        types: list[Any] = [*command.arguments, *([TrainingArguments] if command.trains else [])]
        super().__init__(
            types,
            prog=f"eeg-hf {command.name}",
            description=command.description,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
            usage="%(prog)s [recipe] [setting=value ...] [--option value ...]",
        )
        self._required = [action.dest for action in self._actions if action.required]
        for action in self._actions:
            # Only options that are given are read: defaults are those of the dataclasses
            action.required, action.default = False, argparse.SUPPRESS
            if is_block_of_training(action.dest):
                action.type = read_block_or_path
        # `--no_flag` has the same destination as `--flag`, which is first and has the type
        self._by_name = {action.dest: action for action in reversed(self._actions) if action.dest != "help"}
        fields = [field for cls in types for field in dataclasses.fields(cls)]
        blocks = {field.name for field in fields if field.metadata.get("block")}
        self.settings = {name: describe(action, blocks) for name, action in self._by_name.items()}
        former = {old: field.name for field in fields for old in field.metadata.get("formerly", ())}
        self.settings |= {old: self.settings[new] for old, new in {**former, **command.former}.items()}

    def add_argument(self, *names: Any, **options: Any) -> argparse.Action:
        """Add an option, without the metadata that argparse does not know."""
        for name in OWN_METADATA:
            options.pop(name, None)
        if (typing.get_origin(options.get("type")) or options.get("type")) is dict:
            options["type"] = read_blocks if options.get("nargs") == "+" else read_mapping
        return super().add_argument(*names, **options)

    def error(self, message: str) -> NoReturn:
        """End with one line."""
        self.command.fail(message)

    def read(self, words: list[str]) -> Request:
        """Read a command line up to the settings of its jobs, whose values have their types.

        Raises:
            ValueError: If a name or value is wrong, or a required setting is missing.
            FileNotFoundError: If a recipe does not exist.
        """
        switches, words = self._read_switches(words)
        overrides, words = self._take_overrides(self._complete(words))
        given, rest = self.parse_known_args(words)
        for word in rest:
            if word.startswith("-") and len(word) > 1:
                self._refuse(word)
        options = vars(given)
        names, pairs = sort_words([*rest, *overrides])
        if switches.config_name not in (None, "config"):  # Hydra's name of the default recipe
            names.append(switches.config_name)
        if self.command.positional is not None and names:
            options[self.command.positional] = [*options.get(self.command.positional, []), *names]
            names = []
        if len(names) > 1:
            raise ValueError(
                f"expected one recipe, got {len(names)}: {', '.join(names)}; options start with --"
            )
        default = self.command.default_recipe
        recipes = [*([default] if default else []), *(name for name in names if name != default)]
        folder = options.get("output_dir", f"runs/multirun-{self.command.name}")
        announce_sections(pairs, self.settings, self.command.name)
        typed = {*options, *typed_names(pairs, self.settings)}
        jobs = []
        for number, job in enumerate(expand(pairs) if switches.multirun else [pairs]):
            if switches.multirun:
                options["output_dir"] = f"{folder}/{number}"
            settings = collect(recipes, job, options, self.settings, self.command.name)
            self._refuse_idle(typed, settings)
            jobs.append(Job(dict(job), self.fit(settings)))
        return Request(jobs, switches.multirun, bool(switches.cfg))

    def _read_switches(self, words: list[str]) -> tuple[argparse.Namespace, list[str]]:
        """Read the options that every command has, and return the other words."""
        switches = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
        switches.add_argument("--config-name", "--config_name")
        switches.add_argument("--multirun", "-m", action="store_true")
        switches.add_argument("--cfg", choices=["job"])
        switches.error = self.error  # type: ignore[method-assign]
        return switches.parse_known_args(words)

    def _complete(self, words: list[str]) -> list[str]:
        """Replace former spellings of options, and write out the value of a `--flag` before an override."""
        completed = []
        for index, word in enumerate(words):
            name, equals, value = word.partition("=")
            key = name.removeprefix("--").replace("-", "_")
            if name.startswith("--") and key in self.settings and self.settings[key].name != key:
                new = self.settings[key].name
                announce(self.command.name, name, f"--{new}")
                word = f"--{new}{equals}{value}"
            completed.append(word)
            action = self._option_string_actions.get(word)
            following = words[index + 1] if index + 1 < len(words) else "--"
            if action is not None and action.nargs == "?" and "=" in following:
                completed.append("true")
        return completed

    def _take_overrides(self, words: list[str]) -> tuple[list[str], list[str]]:
        """Separate the overrides, which an option of several values before them would swallow.

        `--data runs/data/eegmat config.mask_ratio=0.5` is one corpus and one override, but
        `--runs "pretrained=runs/classifier"` is a value: there is no setting `pretrained`.
        """
        overrides: list[str] = []
        rest: list[str] = []
        for index, word in enumerate(words):
            before = self._option_string_actions.get(words[index - 1]) if index else None
            is_value = before is not None and before.nargs is None  # of an option with a single value
            (rest if is_value or not is_override(word, self.settings) else overrides).append(word)
        return overrides, rest

    def _refuse_idle(self, typed: Collection[str], settings: Mapping[str, Any]) -> None:
        """Refuse what was typed and would change nothing: its user expects something else."""
        idle = self.command.find_idle(settings) if self.command.find_idle is not None else {}
        for name, reason in idle.items():
            if name in typed:
                raise ValueError(f"{name}: no effect, {reason}")

    def _refuse(self, word: str) -> NoReturn:
        name = word.partition("=")[0]
        plain = name.lstrip("-").replace("-", "_")
        if plain in ELSEWHERE:
            self.error(f"{name}: {ELSEWHERE[plain]}")
        near = did_you_mean(plain, self._by_name)
        hint = near.replace("'", "'--", 1) or f"; `eeg-hf {self.command.name} --help` lists the options"
        self.error(f"unknown option {name}{hint}")

    def fit(self, settings: dict[str, Any]) -> dict[str, Any]:
        """Return settings with the types of their options.

        Raises:
            ValueError: If a value does not fit its setting, or a required setting is missing.
        """
        missing = [f"--{name}" for name in self._required if name not in settings]
        if missing:
            raise ValueError(f"expected {', '.join(missing)}, which is required")
        return {name: self._fit(self._by_name[name], value) for name, value in settings.items()}

    def _fit(self, action: argparse.Action, value: Any) -> Any:
        """Convert a value to the type of its option, as argparse does with text."""
        if value is None:
            return None
        if action.nargs not in ("+", "*"):
            return self._fit_one(action, value)
        fitted = [self._fit_one(action, item) for item in (value if isinstance(value, list) else [value])]
        if action.type is read_blocks:  # a word may hold several blocks
            return [block for item in fitted for block in (item if isinstance(item, list) else [item])]
        return fitted

    def _fit_one(self, action: argparse.Action, value: Any) -> Any:
        if isinstance(value, (dict, list)):
            if action.type not in (read_mapping, read_blocks) and action.dest not in TRAINING_FIELDS:
                raise ValueError(f"{action.dest}: expected one value, got {value!r}")
            return value
        text = str(value).lower() if isinstance(value, bool) else str(value)
        try:
            fitted = self._get_value(action, text)
            self._check_value(action, fitted)
        except argparse.ArgumentError as error:
            raise ValueError(str(error)) from None
        return fitted

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Refuse a value that is not among the choices of an option."""
        if action.choices is not None and value not in action.choices:
            choices = ", ".join(map(str, action.choices))
            raise argparse.ArgumentError(None, f"{action.dest}: expected one of {choices}, got {value!r}")

    def build(self, settings: dict[str, Any]) -> tuple[Any, ...]:
        """Return the dataclasses of the command, in their order.

        Raises:
            ValueError: If a value does not fit its setting, or no training can have it.
        """
        fitted = self.fit(settings)
        if self.command.trains:
            refuse_impossible(fitted)
        return self.parse_dict(fitted)

    def show(self, settings: dict[str, Any]) -> str:
        """Return the merged settings as YAML; of TrainingArguments only those that were set."""
        from omegaconf import OmegaConf

        defaults: dict[str, Any] = {}
        for field in [field for cls in self.command.arguments for field in dataclasses.fields(cls)]:
            if field.default_factory is not dataclasses.MISSING:
                defaults[field.name] = field.default_factory()
            elif field.default is not dataclasses.MISSING:
                defaults[field.name] = field.default
        return OmegaConf.to_yaml(OmegaConf.create({**defaults, **settings}))


def refuse_impossible(settings: Mapping[str, Any]) -> None:
    """Refuse settings of a training that Trainer would take and do something else, or nothing, with."""
    for name, least in _LEAST.items():
        value = settings.get(name)
        if isinstance(value, (int, float)) and not (math.isfinite(value) and value >= least):
            raise ValueError(f"{name}: expected {least:g} or more, got {value:g}")
    if settings.get("max_steps") == 0:
        raise ValueError("max_steps: expected 1 or more, or -1 to train for num_train_epochs, got 0")


def describe(action: argparse.Action, blocks: set[str]) -> Setting:
    """Return what the merging of settings needs to know of an option."""
    return Setting(
        action.dest,
        is_text=action.type is str,
        is_list=action.nargs in ("+", "*"),
        is_mapping=action.type in (read_mapping, read_block_or_path),
        is_block=action.dest in blocks or action.type is read_block_or_path,
    )


def is_block_of_training(name: str) -> bool:
    """Return whether a setting of TrainingArguments is a mapping, such as lr_scheduler_kwargs."""
    is_block = name.endswith(("_kwargs", "_config")) or name in ("optim_args", "fsdp", "deepspeed")
    return is_block and name in TRAINING_FIELDS


def read_mapping(text: str) -> dict[str, Any]:
    """Read fields and values from JSON or YAML."""
    value = read_yaml(text)
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(f"expected fields and values (JSON), got {text!r}")
    return value


def read_block_or_path(text: str) -> dict[str, Any] | str:
    """Read a block of TrainingArguments, which may also be the path of a JSON file."""
    return read_mapping(text) if text.lstrip().startswith("{") else text


def read_blocks(text: str) -> list[dict[str, Any]]:
    """Read one block of fields and values, or a list of them, from JSON or YAML."""
    value = read_yaml(text)
    blocks = value if isinstance(value, list) else [value]
    if not blocks or not all(isinstance(block, dict) for block in blocks):
        raise argparse.ArgumentTypeError(f"expected a list of fields and values (JSON), got {text!r}")
    return blocks


def read_yaml(text: str) -> Any:
    """Read YAML, or its subset JSON."""
    try:
        return load_yaml(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"expected fields and values (JSON), got {text!r}: {error}"
        ) from None


__all__ = ["CommandParser", "Job", "Request"]
