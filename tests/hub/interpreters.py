# SPDX-License-Identifier: Apache-2.0
"""Interpreters beside this one, which import the libraries once and are asked many times."""

import json
import os
import subprocess
from pathlib import Path

TOKEN = "hf_goodToken123"

# Each line of the input is one request; what a request defines is gone before the next
LOOP = """
import contextlib, io, json, os, sys, traceback
for line in sys.stdin:
    request, out, err = json.loads(line), io.StringIO(), io.StringIO()
    os.environ.pop("HF_TOKEN", None)
    os.environ.update(request["environment"])
    failed = False
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            exec(compile(request["code"], "request", "exec"), {"__name__": "__main__"})
        except BaseException:
            failed = True
            traceback.print_exc()
    print(json.dumps([out.getvalue(), err.getvalue(), failed]), flush=True)
"""


class Interpreter:
    """A Python process that runs code until it is closed.

    Args:
        python: The interpreter.
        folder: Its working directory.
        environment: Variables besides those of this process, set before anything is imported.
        token: Token of the Hub that requests use, unless they name another.
    """

    def __init__(
        self, python: Path | str, folder: Path, environment: dict[str, str], token: str = TOKEN
    ) -> None:
        self.token = token
        inherited = {name: value for name, value in os.environ.items() if name != "HF_TOKEN"}
        self.process = subprocess.Popen(
            [python, "-c", LOOP],
            env={**inherited, "OMP_NUM_THREADS": "1", **environment},
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __call__(self, code: str, **environment: str | None) -> str:
        """Run code in globals of its own and return what it prints; the token must show nowhere.

        Args:
            code: What to run.
            **environment: Variables for this code and what follows. `HF_TOKEN=None` logs out for this code.
        """
        given = {name: value for name, value in {"HF_TOKEN": self.token, **environment}.items() if value}
        self.process.stdin.write(json.dumps({"code": code, "environment": given}) + "\n")
        self.process.stdin.flush()
        out, err, failed = json.loads(self.process.stdout.readline())
        assert not failed, out[-2000:] + err[-4000:]
        assert self.token not in out + err
        return out

    def __enter__(self) -> "Interpreter":
        return self

    def __exit__(self, *error: object) -> None:
        self.process.communicate(timeout=30)
