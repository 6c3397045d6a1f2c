# SPDX-License-Identifier: Apache-2.0
"""Commands that run other commands of eeg-hf, one after another, and skip what is finished."""

import importlib
import shlex
import sys
from pathlib import Path

from ..atomic_files import write_text

FINISHED = "finished"
"""File that holds the command which a folder is the result of."""


def run_verb(verb: object, *arguments: object) -> None:
    """Print a command and run it in this process."""
    words = list(map(str, arguments))
    sys.stdout.write(f"\n$ {shlex.join(['eeg-hf', str(verb), *words])}\n")
    sys.stdout.flush()
    importlib.import_module(f".{str(verb).replace('-', '_')}", __package__).main(words)


def run_once(output_dir: Path, verb: object, *arguments: object) -> None:
    """Run a command with an output folder unless the same command finished before."""
    if is_finished(output_dir, verb, *arguments):
        sys.stdout.write(f"\n{output_dir} is finished; delete it to run it again\n")
        return
    run_verb(verb, *arguments, "--output_dir", output_dir)
    write_text(output_dir / FINISHED, _describe(output_dir, verb, *arguments))


def is_finished(output_dir: Path, verb: object, *arguments: object) -> bool:
    """Return whether a command finished before in its output folder."""
    path = output_dir / FINISHED
    return path.exists() and path.read_text(encoding="utf-8") == _describe(output_dir, verb, *arguments)


def _describe(output_dir: Path, *words: object) -> str:
    return shlex.join(map(str, (*words, "--output_dir", output_dir)))
