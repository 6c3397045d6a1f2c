# SPDX-License-Identifier: Apache-2.0
"""The settings of a command: its recipe, groups, overrides and options, merged in this order.

    eeg-hf pretrain pretrain_tiny config.mask_ratio=0.5 training.learning_rate=1e-3 --data runs/data/eegmat

Here `pretrain_tiny` is the recipe, `name=value` an override and `--name value` an option. Blocks such as
`config` are merged, never replaced.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from ...suggestions import did_you_mean
from .recipe_files import find_group_member, find_recipe, list_groups, load_yaml, merge, read_recipe

OVERRIDE = re.compile(r"^[A-Za-z_][\w-]*(\.[\w./-]+)*=")

# How Hydra and Lightning, with which the seeds of the library were written, call what Trainer has.
# `<section>.<name>` on the left; a name that is not listed is looked for in the section's own block.
SECTIONS = {"model": "config", "training": "", "trainer": "", "data": "", "optimizer": "", "scheduler": ""}
SECTION_NAMES = {
    "model.learning_rate": "learning_rate",
    "model.weight_decay": "weight_decay",
    "data.batch_size": "per_device_train_batch_size",
    "data.num_workers": "dataloader_num_workers",
    "trainer.max_epochs": "num_train_epochs",
    "trainer.gradient_clip_val": "max_grad_norm",
    "trainer.resume_from_checkpoint": "resume_from_checkpoint",
    "optimizer.lr": "learning_rate",
    "logger": "report_to",
}


class Setting(NamedTuple):
    """What a command knows of one of its settings: whether it is text, a list of texts, or a block."""

    name: str
    is_text: bool = False
    is_list: bool = False
    is_mapping: bool = False
    is_block: bool = False


class Words(NamedTuple):
    """The words of a command line that are not options, sorted by kind."""

    names: list[str]
    overrides: list[tuple[str, str]]


def sort_words(words: Iterable[str]) -> Words:
    """Tell overrides (`name=value`) from plain names."""
    names, overrides = [], []
    for word in words:
        if OVERRIDE.match(word):
            name, _, value = word.partition("=")
            overrides.append((name.replace("-", "_") if "." not in name else name, value))
        else:
            names.append(word)
    return Words(names, overrides)


def is_override(word: str, known: dict[str, Setting]) -> bool:
    """Tell whether a word sets a setting, a field of a block, or a group."""
    if not OVERRIDE.match(word):
        return False
    name = word.partition("=")[0]
    top, _, field = name.partition(".")
    return top in known or name in SECTION_NAMES or (top in SECTIONS if field else top in list_groups())


def translate(name: str, value: str) -> tuple[str, str] | None:
    """Return an override under the name and value that it has here; None if it asks for nothing."""
    if name == "trainer.precision":
        kinds = {"16-mixed": "fp16", "16": "fp16", "bf16-mixed": "bf16", "bf16": "bf16"}
        return (kinds[value], "true") if value in kinds else None  # 32 is the default
    if name == "trainer.accelerator":
        return ("use_cpu", "true") if value == "cpu" else None  # auto: what accelerate finds
    if name == "logger":
        value = "none" if value == "null" else value
    if name in SECTION_NAMES:
        return SECTION_NAMES[name], value
    section, _, rest = name.partition(".")
    if rest and section in SECTIONS:
        block = SECTIONS[section]
        return (f"{block}.{rest}" if block else rest), value
    return name, value


def read_override(name: str, value: str, known: dict[str, Setting]) -> dict[str, Any]:
    """Return one override as settings.

    Args:
        name: Name of a setting, or of a field of a block (`config.mask_ratio`).
        value: As it was typed; text stays text, everything else is read as YAML.
        known: The settings of the command.

    Raises:
        ValueError: If there is no such setting or group, with the nearest that there is.
    """
    top, *rest = name.split(".")
    setting = known.get(top)
    if setting is None:
        groups = list_groups()
        hint = did_you_mean(top, [*known, *groups])
        if rest:
            raise ValueError(f"unknown block {top!r} in {name}={value}{hint}")
        raise ValueError(f"unknown setting or group {top!r}{hint or '; the groups are ' + ', '.join(groups)}")
    if rest and not setting.is_mapping:
        raise ValueError(f"{name}={value}: {top} is one value and has no field {'.'.join(rest)}")
    content: Any = read_value(value, setting if not rest else Setting(name))
    for part in reversed(rest):
        content = {part: content}
    if setting.is_mapping and not isinstance(content, dict) and content is not None:
        raise ValueError(f"{top}: expected fields and values, such as {top}.name=value, got {value!r}")
    return {top: content}


def read_value(text: str, setting: Setting) -> Any:
    """Read a value as its setting wants it."""
    if text in ("null", "None", "~"):
        return None
    if setting.is_text and not setting.is_list:
        return text
    if setting.is_text:
        inner = text[1:-1] if text.startswith("[") and text.endswith("]") else text
        return [item.strip().strip("'\"") for item in inner.split(",") if item.strip()]
    try:
        return load_yaml(text)
    except ValueError:
        return text  # its type refuses it, naming the setting


def collect(
    recipe: str | None,
    overrides: Sequence[tuple[str, str]],
    options: dict[str, Any],
    known: dict[str, Setting],
    command: str,
) -> dict[str, Any]:
    """Merge recipe, groups, overrides and options.

    Args:
        recipe: Name or path, if there is one.
        overrides: Names and values as they were typed.
        options: Values of the options that were given.
        known: The settings of the command.
        command: Its name; a recipe of another command is refused.

    Raises:
        ValueError: On a name, a value or a recipe that does not fit.
        FileNotFoundError: If a recipe or a choice of a group does not exist.
    """
    settings: dict[str, Any] = {}
    if recipe is not None:
        settings = check_recipe(recipe, read_recipe(find_recipe(recipe)), known, command)
    for name, value in overrides:
        if name in list_groups() and name not in known:
            member = read_recipe(find_group_member(name, value))
            settings = merge(settings, check_recipe(f"{name}/{value}", member, known, command))
        elif (translated := translate(name, value) if name not in known else (name, value)) is not None:
            settings = place(
                settings, read_override(*translated, known), known, replace="." not in translated[0]
            )
    return place(settings, options, known, replace=True)


def place(
    settings: dict[str, Any], more: dict[str, Any], known: dict[str, Setting], replace: bool
) -> dict[str, Any]:
    """Return settings with more of them; a mapping given whole replaces the former unless it is a block."""
    if replace:
        kept = {name: value for name, value in settings.items() if name not in more or known[name].is_block}
    else:
        kept = settings
    return merge(kept, more)


def check_recipe(
    name: str, recipe: dict[str, Any], known: dict[str, Setting], command: str
) -> dict[str, Any]:
    """Return the settings of a recipe; refuse unknown ones and those of another command."""
    owner = recipe.pop("command", command)
    if owner != command:
        raise ValueError(f"recipe {name} is for `eeg-hf {owner}`, not for `eeg-hf {command}`")
    for field in recipe:
        if field not in known:
            raise ValueError(f"recipe {name}: unknown setting {field!r}{did_you_mean(field, known)}")
    return {
        field: [value] if known[field].is_list and isinstance(value, str) else value
        for field, value in recipe.items()
    }


def expand(overrides: Sequence[tuple[str, str]]) -> list[list[tuple[str, str]]]:
    """Return the jobs of a sweep: every combination of the comma-separated values.

    Example:
        >>> len(expand([("learning_rate", "1e-3,1e-4"), ("config.levels", "[8,5]")]))
        2
    """
    jobs: list[list[tuple[str, str]]] = [[]]
    for name, value in overrides:
        jobs = [[*job, (name, choice)] for job in jobs for choice in split_choices(value)]
    return jobs


def split_choices(text: str) -> list[str]:
    """Split at the commas outside of brackets and quotes."""
    choices, depth, quote = [""], 0, ""
    for letter in text:
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        depth += (letter in "[{(") - (letter in "]})")
        if letter == "," and depth == 0 and not quote:
            choices.append("")
        else:
            choices[-1] += letter
    return choices


__all__ = ["Setting", "Words", "collect", "expand", "is_override", "sort_words"]
