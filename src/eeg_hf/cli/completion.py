# SPDX-License-Identifier: Apache-2.0
"""Print a script that completes verbs, recipes and options in bash, zsh or fish.

source <(eeg-hf completion bash)
eeg-hf completion zsh > ~/.zfunc/_eeg-hf
eeg-hf completion fish > ~/.config/fish/completions/eeg-hf.fish
"""

import dataclasses
import importlib
import sys
from collections.abc import Sequence

from .main import VERBS
from .parsing import Command
from .parsing.recipe_files import list_recipes, load_yaml

SHELLS = ("bash", "zsh", "fish")

BASH = """_eeg_hf() {{
    local current=${{COMP_WORDS[COMP_CWORD]}}
    if [ "$COMP_CWORD" -eq 1 ]; then
        COMPREPLY=($(compgen -W "{verbs}" -- "$current")); return
    fi
    case ${{COMP_WORDS[1]}} in
{cases}
    esac
    [ ${{#COMPREPLY[@]}} -eq 0 ] && COMPREPLY=($(compgen -f -- "$current"))
}}
complete -o filenames -F _eeg_hf eeg-hf
"""
BASH_CASE = '        {verb}) COMPREPLY=($(compgen -W "{words}" -- "$current")) ;;'


def main(words: Sequence[str] | None = None) -> None:
    """Run `eeg-hf completion`."""
    words = list(sys.argv[1:] if words is None else words)
    command = Command("completion", __doc__ or "", lambda: None)
    if "-h" in words or "--help" in words:
        command(words)
    elif len(words) != 1 or words[0] not in SHELLS:
        command.fail(f"expected one of {', '.join(SHELLS)}, got {' '.join(words) or 'nothing'}")
    else:
        sys.stdout.write(script(words[0]))


def script(shell: str) -> str:
    """Return the completion script of a shell."""
    found = {verb: words_of(verb) for names in VERBS.values() for verb in names}
    if shell == "fish":
        lines = [f"complete -c eeg-hf -n __fish_use_subcommand -f -a '{' '.join(found)}'"]
        for verb, words in found.items():
            lines.append(f"complete -c eeg-hf -n '__fish_seen_subcommand_from {verb}' -a '{' '.join(words)}'")
        return "\n".join(lines) + "\n"
    cases = "\n".join(BASH_CASE.format(verb=verb, words=" ".join(words)) for verb, words in found.items())
    text = BASH.format(verbs=" ".join(found), cases=cases)
    return (
        text if shell == "bash" else f"#compdef eeg-hf\nautoload -U +X bashcompinit && bashcompinit\n{text}"
    )


def words_of(verb: str) -> list[str]:
    """Return the recipes and the options of a verb."""
    if verb == "completion":
        return list(SHELLS)
    recipes = [
        name
        for name, path in list_recipes().items()
        if load_yaml(path.read_text(encoding="utf-8")).get("command") == verb and "/" not in name
    ]
    command = getattr(importlib.import_module(f".{verb.replace('-', '_')}", __package__), "COMMAND", None)
    types = command.arguments if command is not None else ()
    options = [f"--{field.name}" for cls in types for field in dataclasses.fields(cls)]
    return [*recipes, *options, "--help"]


if __name__ == "__main__":
    main()
