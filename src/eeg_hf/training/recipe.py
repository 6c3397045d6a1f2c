# SPDX-License-Identifier: Apache-2.0
"""A recipe is a YAML file whose fields the command line may override."""

import difflib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from transformers import HfArgumentParser


def parse_recipe(
    dataclass_types: Sequence[Any], arguments: Sequence[str] | None = None, description: str | None = None
) -> tuple[Any, ...]:
    """Parse `[recipe.yaml] [--field value …]` into dataclasses.

    Args:
        dataclass_types: Dataclasses whose fields are the options, `TrainingArguments` among them.
        arguments: The command line without the program's name; that of this process by default.
        description: Text of `--help`.

    Returns:
        One instance of each dataclass, in order.

    Raises:
        SystemExit: On an option, or a field of the recipe, that does not exist, naming the nearest that does.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    parser = HfArgumentParser(
        list(dataclass_types), description=description, usage="%(prog)s [recipe.yaml] [--field value ...]"
    )
    if arguments and not arguments[0].startswith("-"):
        recipe = read_recipe(Path(arguments.pop(0)), parser)
        for action in parser._actions:
            if action.dest in recipe:
                action.required = False
        parser.set_defaults(**recipe)
    try:
        return parser.parse_args_into_dataclasses(args=arguments)
    except ValueError as error:
        parser.error(str(error))


def read_recipe(path: Path, parser: HfArgumentParser) -> dict[str, Any]:
    """Read a recipe and refuse fields that no option has."""
    if not path.is_file():
        parser.error(f"recipe {path} does not exist; options start with --")
    try:
        recipe = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        parser.error(f"recipe {path} is not YAML: {' '.join(str(error).split())}")
    if not isinstance(recipe, dict):
        parser.error(f"recipe {path}: expected fields and values, got {type(recipe).__name__}")
    known = [action.dest for action in parser._actions]
    for name in recipe:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            parser.error(
                f"recipe {path}: unknown field {name!r}" + (f", did you mean {close[0]!r}?" if close else "")
            )
    # Options of several fields are JSON on the command line; a recipe writes them as a block.
    return {name: json.dumps(value) if isinstance(value, dict) else value for name, value in recipe.items()}
