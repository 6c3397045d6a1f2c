# SPDX-License-Identifier: Apache-2.0
"""The text of `--help`, from the docstring and the argument dataclasses of a command, without torch."""

import dataclasses
import shutil
import textwrap
import types
import typing
from collections.abc import Sequence
from typing import Any

COLUMN = 30
TRAINING = (
    "Every field of transformers.TrainingArguments is an option too (--learning_rate, --num_train_epochs, "
    "--bf16, …); --help-all lists them. --cfg job prints the merged settings; --multirun a=1,2 runs every "
    "combination."
)


def format_help(name: str, description: str, arguments: Sequence[type], trains: bool) -> str:
    """Return the help of a command, with its examples as they are typed.

    Args:
        name: Name of the command.
        description: Docstring of its module.
        arguments: Dataclasses whose fields are its options.
        trains: Whether it takes TrainingArguments.
    """
    width = min(max(shutil.get_terminal_size((110, 50)).columns, 80), 120)  # 110 where it goes to a file
    lines = [
        f"usage: eeg-hf {name} [recipe] [setting=value ...] [--option value ...]",
        "",
        *description.strip().splitlines(),
    ]
    for cls in arguments:
        if getattr(cls, "is_expert", False):
            lines += ["", f"{summarize(cls)} --help-all lists the options."]
            continue
        lines += ["", summarize(cls)]
        shown = [field for field in dataclasses.fields(cls) if not field.metadata.get("expert")]
        lines += [line for field in shown for line in option_lines(cls, field, width)]
        if others := [f"--{field.name}" for field in dataclasses.fields(cls) if field not in shown]:
            text = f"Also {', '.join(others)}: see --help-all."
            lines += textwrap.wrap(text, width, initial_indent="  ", subsequent_indent="  ")
    if trains:
        lines += ["", *textwrap.wrap(TRAINING, width)]
    return "\n".join(lines) + "\n"


def summarize(cls: type) -> str:
    """Return the first line of a dataclass's docstring, as a heading."""
    return (cls.__doc__ or cls.__name__).strip().splitlines()[0]


def option_lines(cls: type, field: dataclasses.Field, width: int) -> list[str]:
    """Return one option with its kind, help and default, in two columns."""
    kind = kind_of(typing.get_type_hints(cls)[field.name])
    label = f"  --{field.name} {kind}"
    default = default_of(field)
    text = field.metadata.get("help", "").rstrip(".") + (f" [{default}]" if default else "")
    wrapped = textwrap.wrap(text, width - COLUMN) or [""]
    first = [] if len(label) < COLUMN else [label]
    label = "" if first else label
    return [*first, label.ljust(COLUMN) + wrapped[0], *(" " * COLUMN + line for line in wrapped[1:])]


def default_of(field: dataclasses.Field) -> str:
    """Return the default as it is typed, or nothing where the help says what happens without the option."""
    if field.default_factory is not dataclasses.MISSING:
        value: Any = field.default_factory()
        return " ".join(map(str, value)) if isinstance(value, list) else ""
    if field.default is dataclasses.MISSING:
        return "required"
    if field.default in (None, ""):
        return ""
    return str(field.default).lower() if isinstance(field.default, bool) else str(field.default)


def kind_of(annotation: Any) -> str:
    """Return the name of a kind of value."""
    if isinstance(annotation, types.UnionType):
        annotation = next(kind for kind in typing.get_args(annotation) if kind is not type(None))
    origin = typing.get_origin(annotation) or annotation
    if origin is list:
        return f"{kind_of(typing.get_args(annotation)[0])} ..."
    if origin is typing.Literal:
        return "|".join(map(str, typing.get_args(annotation)))
    return {str: "TEXT", int: "N", float: "X", bool: "BOOL", dict: "JSON"}.get(origin, "VALUE")
