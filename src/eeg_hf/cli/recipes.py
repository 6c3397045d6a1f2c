# SPDX-License-Identifier: Apache-2.0
"""List the recipes, one line each.

    eeg-hf recipes
    eeg-hf recipes pretrain
    eeg-hf recipes --show pretrain_tiny

`eeg-hf pretrain pretrain_tiny` finds a recipe by its name; your own file is named by its path. `--show`
prints a recipe, to be copied and changed.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

from .parsing import Command
from .parsing.recipe_files import describe, find_recipe, list_recipes, load_yaml


@dataclass
class RecipesArguments:
    """What to list."""

    show: str | None = field(default=None, metadata={"help": "Print this recipe."})


COMMAND = Command("recipes", __doc__ or "", lambda: None, (RecipesArguments,))


def main(words: Sequence[str] | None = None) -> None:
    """Run `eeg-hf recipes`, which needs no parser and so no torch."""
    words = list(sys.argv[1:] if words is None else words)
    if "-h" in words or "--help" in words:
        COMMAND(words)
        return
    with COMMAND.errors_in_one_line():
        if words[:1] == ["--show"] and len(words) == 2:
            sys.stdout.write(find_recipe(words[1]).read_text(encoding="utf-8"))
        elif len(words) > 1 or (words and words[0].startswith("-")):
            raise ValueError(f"expected the name of a command, or --show and a recipe, got {' '.join(words)}")
        else:
            sys.stdout.write(list_by_command(words[0] if words else None))


def list_by_command(verb: str | None) -> str:
    """Return the recipes of one command, or of all, sorted by command."""
    by_command: dict[str, list[str]] = {}
    for name, path in list_recipes().items():
        command = load_yaml(path.read_text(encoding="utf-8"))["command"]
        by_command.setdefault(command, []).append(f"  {name:32}{describe(path)}")
    if verb is not None:
        if verb not in by_command:
            raise ValueError(f"{verb} has no recipe; recipes are for {', '.join(sorted(by_command))}")
        by_command = {verb: by_command[verb]}
    return "\n".join(
        line for command, lines in sorted(by_command.items()) for line in (f"eeg-hf {command}", *lines, "")
    )


if __name__ == "__main__":
    main()
