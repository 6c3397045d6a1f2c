# SPDX-License-Identifier: Apache-2.0
"""The check of an installation: one line a check, and an exit code."""

import pytest

from eeg_hf.experiments import selftest
from tests.commands import run_command


def test_an_installation_that_works_passes(monkeypatch):
    monkeypatch.setattr(selftest, "MEASURED_SECONDS", 0.0)
    lines = run_command("selftest").splitlines()
    assert lines[-1] == f"{len(lines) - 1} of {len(lines) - 1} checks passed"
    assert all(line.startswith("ok ") for line in lines[:-1])
    checked = " ".join(lines)
    assert all(name in checked for name in selftest.ARCHITECTURES)
    assert "bad: F4; 10 Hz is" in checked and "loss 0." in checked and "windows a second" in checked


def test_a_check_that_fails_is_named_and_ends_with_1(monkeypatch, capsys):
    monkeypatch.setattr(selftest, "check_training", lambda: 1 / 0)
    monkeypatch.setattr(selftest, "ARCHITECTURES", {})
    monkeypatch.setattr(selftest, "MEASURED_SECONDS", 0.0)
    with pytest.raises(SystemExit) as ended:
        run_command("selftest")
    assert ended.value.code == 1
