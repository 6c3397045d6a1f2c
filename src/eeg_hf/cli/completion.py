# SPDX-License-Identifier: Apache-2.0
"""Print a script that completes verbs, recipes and options in bash, zsh or fish.

    source <(eeg-hf completion bash)
    eeg-hf completion zsh > ~/.zfunc/_eeg-hf
    eeg-hf completion fish > ~/.config/fish/completions/eeg-hf.fish

The first line completes in the current shell; the others install the completion.
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

COMMAND = Command("completion", __doc__ or "", lambda: None)


def main(words: Sequence[str] | None = None) -> None:
    """Run `eeg-hf completion`, which needs no parser and so no torch."""
    words = list(sys.argv[1:] if words is None else words)
    if "-h" in words or "--help" in words:
        COMMAND(words)
    elif len(words) != 1 or words[0] not in SHELLS:
        COMMAND.fail(f"expected one of {', '.join(SHELLS)}, got {' '.join(words) or 'nothing'}")
    else:
        sys.stdout.write(complete(words[0]))


def complete(shell: str) -> str:
    """Return the completion script of a shell."""
    commands = {
        name: load_yaml(path.read_text(encoding="utf-8")).get("command")
        for name, path in list_recipes().items()
        if "/" not in name
    }
    found = {
        verb: [*(name for name, command in commands.items() if command == verb), *list_options(verb)]
        for names in VERBS.values()
        for verb in names
    }
    if shell == "fish":
        lines = [f"complete -c eeg-hf -n __fish_use_subcommand -f -a '{' '.join(found)}'"]
        for verb, words in found.items():
            lines.append(f"complete -c eeg-hf -n '__fish_seen_subcommand_from {verb}' -a '{' '.join(words)}'")
        return "\n".join(lines) + "\n"
    cases = "\n".join(BASH_CASE.format(verb=verb, words=" ".join(words)) for verb, words in found.items())
    text = BASH.format(verbs=" ".join(found), cases=cases)
    if shell == "bash":
        return text
    return f"#compdef eeg-hf\nautoload -U +X bashcompinit && bashcompinit\n{text}"


def list_options(verb: str) -> list[str]:
    """Return the options of a verb."""
    if verb == COMMAND.name:
        return list(SHELLS)
    command = importlib.import_module(f".{verb.replace('-', '_')}", __package__).COMMAND
    options = [f"--{field.name}" for cls in command.arguments for field in dataclasses.fields(cls)]
    return [*options, "--help"]


if __name__ == "__main__":
    main()
