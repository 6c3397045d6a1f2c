# SPDX-License-Identifier: Apache-2.0
"""Commands that run other commands of eeg-hf, one after another, and skip what is finished."""

import importlib
import shlex
import sys
from pathlib import Path

from ..atomic_files import write_text


def run_verb(verb: object, *arguments: object) -> None:
    """Print a command and run it in this process."""
    words = list(map(str, arguments))
    sys.stdout.write(f"\n$ {shlex.join(['eeg-hf', str(verb), *words])}\n")
    sys.stdout.flush()
    importlib.import_module(f".{str(verb).replace('-', '_')}", __package__).main(words)


def run_once(output_dir: Path, verb: object, *arguments: object) -> None:
    """Run a command with an output folder unless the same command finished before."""
    words = [verb, *arguments, "--output_dir", output_dir]
    finished, text = output_dir / "finished", shlex.join(map(str, words))
    if finished.exists() and finished.read_text(encoding="utf-8") == text:
        sys.stdout.write(f"\n{output_dir} is finished; delete it to run it again\n")
        return
    run_verb(*words)
    write_text(finished, text)
