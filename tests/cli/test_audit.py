# SPDX-License-Identifier: Apache-2.0
"""The audit as users run it."""

import json

from tests.commands import run_command


def test_folders_are_audited_together(prepared, tmp_path):
    printed = run_command("audit", prepared, prepared, "--output", tmp_path / "audit.json")
    assert printed.split()[0] == "corpus" and "simulated" in printed
    assert "240 windows are copies of another of the same subject" in printed
    assert json.loads((tmp_path / "audit.json").read_text())["rows"][0]["windows"] == 240
