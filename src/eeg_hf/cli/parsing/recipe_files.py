# SPDX-License-Identifier: Apache-2.0
"""Recipes: YAML files of settings, found by name.

A recipe lists settings of one command. Two keys are not settings: `command` names that command, and `extends`
names a recipe whose settings it starts from. A folder of recipes is a group: `experiment=snake_activation`
adds `experiment/snake_activation.yaml` to the settings.
"""

import itertools
import re
import textwrap
from pathlib import Path
from typing import Any

import yaml

from ...suggestions import did_you_mean

RECIPES = Path(__file__).parents[2] / "recipes"
NOT_GROUPS = ("accelerate", "slurm")  # files for other programs
MAX_CHARACTERS = 100_000
MAX_DEPTH = 5  # of recipes that extend one another


class RecipeLoader(yaml.SafeLoader):
    """YAML 1.2: `1e-3` is a number; `001` and `no` are text."""


RecipeLoader.yaml_implicit_resolvers = {
    letter: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":int", ":float", ":bool"))]
    for letter, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
RecipeLoader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"(true|True|TRUE|false|False|FALSE)$"), [*"tTfF"]
)
RecipeLoader.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"[-+]?(0|[1-9][0-9_]*)$"), [*"-+0123456789"]
)
FLOAT = r"[-+]?(\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?=[eE]))([eE][-+]?[0-9]+)?$|[-+]?\.(inf|Inf)$|\.(nan|NaN)$"
RecipeLoader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(FLOAT), [*"-+.0123456789"])


def load_yaml(text: str) -> Any:
    """Read YAML that may come from strangers.

    Raises:
        ValueError: If it is not YAML, too long, or uses aliases or `${...}`, with which a few bytes become
            gigabytes, or environment variables settings.
    """
    if "${" in text:
        raise ValueError("expected YAML without ${...}: write the values out")
    if len(text) > MAX_CHARACTERS:
        raise ValueError(f"expected at most {MAX_CHARACTERS:,} characters of YAML, got {len(text):,}")
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=RecipeLoader)):
            raise ValueError("expected YAML without aliases (*name): write the values out")
        return yaml.load(text, Loader=RecipeLoader)  # noqa: S506  (a SafeLoader)
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(f"not YAML: {' '.join(str(error).split())}") from None


def list_recipes() -> dict[str, Path]:
    """Return the recipes of the package by name, those of groups as `group/name`."""
    paths = [path for path in sorted(RECIPES.rglob("*.yaml")) if path.parent.name not in NOT_GROUPS]
    return {path.relative_to(RECIPES).with_suffix("").as_posix(): path for path in paths}


def list_groups() -> list[str]:
    """Return the names of the groups."""
    return sorted({name.partition("/")[0] for name in list_recipes() if "/" in name})


def find_recipe(name: str) -> Path:
    """Return the file of a recipe.

    Args:
        name: Name of a recipe of the package, or path of a YAML file.

    Raises:
        FileNotFoundError: If there is neither; the error names the closest recipe.
    """
    known = list_recipes()
    if name in known:
        return known[name]
    if Path(name).is_file():
        return Path(name)
    kind = "file" if name.endswith((".yaml", ".yml")) else "recipe"
    near = did_you_mean(Path(name).stem, known)
    raise FileNotFoundError(f"{kind} {name} does not exist{near or '; `eeg-hf recipes` lists the recipes'}")


def find_group_member(group: str, member: str) -> Path:
    """Return the file of one choice of a group.

    Raises:
        FileNotFoundError: If the group has no such choice; the error lists its choices.
    """
    path = list_recipes().get(f"{group}/{member}")
    if path is None:
        choices = [name.partition("/")[2] for name in list_recipes() if name.startswith(f"{group}/")]
        raise FileNotFoundError(f"{group}: expected one of {', '.join(choices)}, got {member}")
    return path


def read_recipe(path: Path, depth: int = 0) -> dict[str, Any]:
    """Return the settings of a recipe, on top of those of the recipe it extends.

    Raises:
        ValueError: If the file holds anything but settings, or the chain of `extends` does not end.
        FileNotFoundError: If it extends a recipe that does not exist.
    """
    try:
        recipe = load_yaml(path.read_text(encoding="utf-8"))
    except (ValueError, UnicodeDecodeError) as error:
        raise ValueError(f"recipe {path}: {error}") from None
    if not isinstance(recipe, dict) or not all(isinstance(name, str) for name in recipe):
        raise ValueError(f"recipe {path}: expected settings and values, got {type(recipe).__name__}")
    parent = recipe.pop("extends", None)
    if parent is None:
        return recipe
    if depth > MAX_DEPTH:
        raise ValueError(f"recipe {path}: more than {MAX_DEPTH} recipes extend one another, last {parent}")
    return merge(read_recipe(find_recipe(str(parent)), depth + 1), recipe)


def merge(settings: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Return settings with others on top: blocks are merged, all other values replaced."""
    from omegaconf import OmegaConf

    merged = OmegaConf.merge(OmegaConf.create(settings), OmegaConf.create(other))
    return OmegaConf.to_container(merged, resolve=True)  # type: ignore[return-value]


def describe(path: Path) -> str:
    """Return the first sentence of a recipe's leading comment, shortened to one line."""
    lines = path.read_text(encoding="utf-8").splitlines()
    comment = itertools.takewhile(lambda line: line.startswith("#"), lines)
    text = " ".join(line.lstrip("# ").strip() for line in comment)
    sentence = re.split(r"(?<=[^\d]\.)\s", text, maxsplit=1)[0].rstrip(".:")
    return textwrap.shorten(sentence, 90, placeholder=" …")
