# SPDX-License-Identifier: Apache-2.0
"""A recipe is a YAML file whose fields the command line may override."""

import dataclasses
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub.errors import StrictDataclassError
from transformers import HfArgumentParser, PreTrainedConfig
from transformers.utils import logging

from ..suggestions import did_you_mean


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
                if action.nargs in ("+", "*") and isinstance(recipe[action.dest], str):
                    recipe[action.dest] = [recipe[action.dest]]  # one name, not a list of its letters
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
            parser.error(f"recipe {path}: unknown field {name!r}{did_you_mean(name, known)}")
    # Options of several fields are JSON on the command line; a recipe writes them as a block.
    return {name: json.dumps(value) if _is_block(value) else value for name, value in recipe.items()}


def _is_block(value: Any) -> bool:
    return isinstance(value, dict) or (
        isinstance(value, list) and any(isinstance(item, dict) for item in value)
    )


def parse_fields(name: str, text: str) -> dict[str, Any]:
    """Read fields and values from JSON.

    Args:
        name: The option they are of.
        text: A JSON object.

    Raises:
        ValueError: If it is none.
    """
    try:
        fields = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{name}: expected JSON, got {text!r} ({error})") from None
    if not isinstance(fields, dict):
        raise ValueError(f"{name}: expected fields and values, got {text!r}")
    return fields


def parse_config_fields(text: str, config_class: type[PreTrainedConfig]) -> dict[str, Any]:
    """Read fields of a model's config from JSON, and refuse those it does not have.

    The config itself would keep an unknown field silently, as every config of transformers does.

    Args:
        text: A JSON object.
        config_class: The config they are for.

    Raises:
        ValueError: If it is no JSON object, or has an unknown field, naming the nearest that there is.
    """
    fields = parse_fields("config", text)
    known = [*(item.name for item in dataclasses.fields(config_class)), *config_class.attribute_map]
    for name in fields:
        if name not in known:
            hint = did_you_mean(name, known)
            raise ValueError(f"config: {config_class.__name__} has no field {name!r}{hint}")
    return fields


def run_main(main: Callable[[], None], name: str) -> None:
    """Run a script's main; what the user can mend ends with one line and exit code 1, not with a traceback.

    Args:
        main: Raises ValueError, OSError, the ImportError of a package that is an extra, or the error of a
            mistyped config for such things.
        name: Name of the logger.
    """
    try:
        main()
    except (ValueError, OSError, ImportError, StrictDataclassError) as error:
        text = str(error)
        if "\nOriginal Traceback" in text:  # from a worker of a DataLoader: its last line is the error
            text = text.strip().rpartition("\n")[2].partition(": ")[2]
        logging.get_logger(name).error(" ".join(text.split()))
        sys.exit(1)
