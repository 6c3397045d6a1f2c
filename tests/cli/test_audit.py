# SPDX-License-Identifier: Apache-2.0
"""The audit as users run it."""

import json

from tests.commands import fail_command, run_command


def test_folders_are_audited_together(prepared, tmp_path):
    printed = run_command("audit", prepared, prepared, "--output", tmp_path / "audit.json")
    assert printed.split()[0] == "corpus" and "simulated" in printed
    assert "240 windows are copies of another of the same subject" in printed
    assert json.loads((tmp_path / "audit.json").read_text())["rows"][0]["windows"] == 240


def test_a_file_is_not_a_folder(tmp_path):
    (tmp_path / "a.edf").write_bytes(b"0")
    line = fail_command("audit", tmp_path / "a.edf")
    assert (
        f"a.edf is a file, expected a folder of recordings or of prepared windows, such as {tmp_path}" in line
    )
