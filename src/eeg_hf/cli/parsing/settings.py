# SPDX-License-Identifier: Apache-2.0
"""The settings of a command: its recipe, groups, overrides and options, merged in this order.

    eeg-hf pretrain pretrain_tiny config.mask_ratio=0.5 training.learning_rate=1e-3 --data runs/data/eegmat

Here `pretrain_tiny` is the recipe, `name=value` an override and `--name value` an option. Blocks such as
`config` are merged, never replaced.
"""

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ...suggestions import did_you_mean
from .recipe_files import find_group_member, find_recipe, list_groups, load_yaml, merge, read_recipe

OVERRIDE = re.compile(r"^[A-Za-z_][\w-]*(\.[\w./-]+)*=")

# Sections of Hydra and Lightning configs, which older tokenizer recipes use -> the block here, "" for none.
# Names in them that differ from Trainer's are listed by `<section>.<name>`.
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
PRECISIONS = {"16-mixed": "fp16", "16": "fp16", "bf16-mixed": "bf16", "bf16": "bf16"}

Pair = tuple[str, str]


class Setting(NamedTuple):
    """The kind of a setting.

    Attributes:
        name: Current name; a former name is known under another.
        is_text: Whether its values are text, which is not read as YAML.
        is_list: Whether it holds several values.
        is_mapping: Whether it holds fields and values.
        is_block: Whether fields are added to those that are set already.
    """

    name: str
    is_text: bool = False
    is_list: bool = False
    is_mapping: bool = False
    is_block: bool = False


def current(known: Mapping[str, Setting]) -> list[str]:
    """Return the names of settings without former spellings."""
    return [name for name, setting in known.items() if setting.name == name]


class Words(NamedTuple):
    """The words of a command line that are not options, sorted by kind."""

    names: list[str]
    overrides: list[Pair]


def sort_words(words: Iterable[str]) -> Words:
    """Separate overrides (`name=value`) from plain names."""
    names, overrides = [], []
    for word in words:
        if OVERRIDE.match(word):
            name, _, value = word.partition("=")
            overrides.append((name.replace("-", "_") if "." not in name else name, value))
        else:
            names.append(word)
    return Words(names, overrides)


def is_override(word: str, known: Mapping[str, Setting]) -> bool:
    """Return whether a word sets a setting, a field of a block, or a group."""
    if not OVERRIDE.match(word):
        return False
    name = word.partition("=")[0]
    top, _, field = name.partition(".")
    return top in known or name in SECTION_NAMES or (top in SECTIONS if field else top in list_groups())


def announce(command: str, old: str, new: str) -> None:
    """Write one line about a former spelling."""
    sys.stderr.write(f"eeg-hf {command}: {old} is now {new}\n")


def translate(name: str, value: Any) -> tuple[str, Any] | None:
    """Translate an override of Hydra or Lightning; None if it asks for the default."""
    if name == "trainer.precision":
        return (PRECISIONS[value], "true") if value in PRECISIONS else None  # 32 is the default
    if name == "trainer.accelerator":
        return ("use_cpu", "true") if value == "cpu" else None  # `auto` is what accelerate does
    if name == "logger":
        value = "none" if value == "null" else value
    if name in SECTION_NAMES:
        return SECTION_NAMES[name], value
    section, _, rest = name.partition(".")
    if rest and section in SECTIONS:
        block = SECTIONS[section]
        return (f"{block}.{rest}" if block else rest), value
    return name, value


def announce_sections(overrides: Iterable[Pair], known: Mapping[str, Setting], command: str) -> None:
    """Write one line about each override of Hydra or Lightning that has another name here."""
    for name, value in overrides:
        pair = None if name in known or name.startswith("training.") else translate(name, value)
        if pair is not None and pair[0] != name:
            announce(command, name, pair[0])


def typed_names(overrides: Iterable[Pair], known: Mapping[str, Setting]) -> set[str]:
    """Return the settings that overrides name, those of Hydra's sections by their names here."""
    names = {name for name, _ in overrides if name in known}
    others = (translate(name, value) for name, value in overrides if name not in known)
    return names | {pair[0] for pair in others if pair is not None}


def collect(
    recipes: Sequence[str],
    overrides: Sequence[Pair],
    options: dict[str, Any],
    known: Mapping[str, Setting],
    command: str,
) -> dict[str, Any]:
    """Merge recipes, groups, overrides and options.

    Args:
        recipes: Names or paths; later ones win.
        overrides: Names and values as they were typed.
        options: Values of the options that were given.
        known: The settings of the command by name.
        command: Its name; a recipe of another command is refused.

    Raises:
        ValueError: On a name, a value or a recipe that does not fit.
        FileNotFoundError: If a recipe or a choice of a group does not exist.
    """
    settings: dict[str, Any] = {}
    for recipe in recipes:
        read = read_recipe(find_recipe(recipe))
        settings = merge(settings, check_recipe(recipe, read, known, command))
    for name, value in overrides:
        if name in list_groups() and name not in known:
            member = read_recipe(find_group_member(name, value))
            settings = merge(settings, check_recipe(f"{name}/{value}", member, known, command))
            continue
        pair: tuple[str, str] | None = (name, value) if name in known else translate(name, value)
        if pair is not None:
            override = read_override(*pair, known, command)
            settings = place(settings, override, known, replaces="." not in pair[0])
    return place(settings, options, known, replaces=True)


def place(
    settings: dict[str, Any], more: dict[str, Any], known: Mapping[str, Setting], replaces: bool
) -> dict[str, Any]:
    """Return settings with more of them; a whole mapping replaces the former one unless it is a block."""
    if replaces:
        settings = {
            name: value for name, value in settings.items() if name not in more or known[name].is_block
        }
    return merge(settings, more)


def check_recipe(
    name: str, recipe: dict[str, Any], known: Mapping[str, Setting], command: str
) -> dict[str, Any]:
    """Return the settings of a recipe by their current names.

    Raises:
        ValueError: If a setting is unknown, or the recipe is for another command.
    """
    owner = recipe.pop("command", command)
    if owner != command:
        raise ValueError(f"recipe {name} is for `eeg-hf {owner}`, not for `eeg-hf {command}`")
    checked: dict[str, Any] = {}
    for field, value in recipe.items():
        is_section = field in SECTIONS and not (field in known and known[field].is_mapping)
        if is_section and isinstance(value, dict):
            for inner, content in value.items():  # of Hydra and Lightning, as in overrides
                pair = translate(f"{field}.{inner}", content)
                checked = checked if pair is None else merge(checked, _nested(*pair, known, name))
            continue
        if field not in known:
            raise ValueError(f"recipe {name}: unknown setting {field!r}{did_you_mean(field, current(known))}")
        setting = known[field]
        if setting.name != field:
            announce(command, f"{field} of recipe {name}", setting.name)
        checked[setting.name] = [value] if setting.is_list and isinstance(value, str) else value
    return checked


def _nested(name: str, value: Any, known: Mapping[str, Setting], recipe: str) -> dict[str, Any]:
    """Return a setting, or a field of a block (`config.levels`), of a section of a recipe."""
    top, _, rest = name.partition(".")
    if top not in known:
        raise ValueError(f"recipe {recipe}: unknown setting {top!r}{did_you_mean(top, current(known))}")
    return {known[top].name: {rest: value} if rest else value}


def read_override(name: str, value: str, known: Mapping[str, Setting], command: str) -> dict[str, Any]:
    """Return one override as settings.

    Args:
        name: Name of a setting, or of a field of a block (`config.mask_ratio`).
        value: As it was typed; text stays text, everything else is read as YAML.
        known: The settings of the command by name.
        command: Its name.

    Raises:
        ValueError: If there is no such setting or group; the error names the closest.
    """
    top, *rest = name.split(".")
    setting = known.get(top)
    if setting is None:
        groups = list_groups()
        hint = did_you_mean(top, [*current(known), *groups])
        if rest:
            raise ValueError(f"unknown block {top!r} in {name}={value}{hint}")
        raise ValueError(f"unknown setting or group {top!r}{hint or '; the groups are ' + ', '.join(groups)}")
    if setting.name != top:
        announce(command, top, setting.name)
    if rest and not setting.is_mapping:
        raise ValueError(f"{name}={value}: {top} is one value and has no field {'.'.join(rest)}")
    content: Any = read_value(value, Setting(name) if rest else setting)
    for part in reversed(rest):
        content = {part: content}
    is_path = setting.is_block and isinstance(content, str)  # of a JSON file, for TrainingArguments
    if setting.is_mapping and not isinstance(content, dict) and content is not None and not is_path:
        raise ValueError(f"{top}: expected fields and values, such as {top}.name=value, got {value!r}")
    return {setting.name: content}


def read_value(text: str, setting: Setting) -> Any:
    """Read a value according to the kind of its setting."""
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
        return text  # refused later by its type, with the name of the setting


def expand(overrides: Sequence[Pair]) -> list[list[Pair]]:
    """Return the jobs of a sweep: every combination of the comma-separated values.

    Example:
        >>> len(expand([("learning_rate", "1e-3,1e-4"), ("config.levels", "[8,5]")]))
        2
    """
    jobs: list[list[Pair]] = [[]]
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
