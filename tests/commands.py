# SPDX-License-Identifier: Apache-2.0
"""Run commands of `eeg-hf` as users do: in this process, where torch is imported already, or in another."""

import contextlib
import io
import subprocess
import sys

import pytest

from eeg_hf.cli.main import main


def flags(**options):
    """Return options as they are typed; those that are None are left out."""
    given = {name: value for name, value in options.items() if value is not None}
    return [str(word) for name, value in given.items() for word in (f"--{name}", value)]


def run_command(verb, *words):
    """Run a command here and return what it prints."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        main([verb, *map(str, words)])
    return printed.getvalue()


def fail_command(verb, *words):
    """Run a command here that must end with exit code 2, and return its last line without the prefix."""
    shown = io.StringIO()
    with contextlib.redirect_stderr(shown), pytest.raises(SystemExit) as ended:
        main([verb, *map(str, words)])
    line = shown.getvalue().strip().splitlines()[-1]
    assert ended.value.code == 2 and line.startswith(f"eeg-hf {verb}: "), shown.getvalue()[-2000:]
    assert "Traceback" not in shown.getvalue()
    return line.removeprefix(f"eeg-hf {verb}: ")


def start_command(environment, verb, *words, **options):
    """Start a command in another process."""
    command = [sys.executable, "-m", f"eeg_hf.cli.{verb.replace('-', '_')}", *map(str, words)]
    return subprocess.Popen(command, env=environment, text=True, **options)
