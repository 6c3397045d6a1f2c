# SPDX-License-Identifier: Apache-2.0
"""The audit as a user runs it."""

import json


def test_folders_are_looked_over_together(prepared, tmp_path, run_script):
    done = run_script("audit.py", prepared, prepared, "--json", tmp_path / "audit.json")
    assert done.stdout.split()[0] == "corpus" and "simulated" in done.stdout
    assert "240 windows are copies of another of the same subject" in done.stdout
    assert json.loads((tmp_path / "audit.json").read_text())["rows"][0]["windows"] == 240
