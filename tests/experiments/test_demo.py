# SPDX-License-Identifier: Apache-2.0
"""`eeg-hf demo` as a Space."""

import pytest
import yaml
from tests.commands import fail_command, run_command

pytest.importorskip("gradio", reason="gradio is not installed")


def test_a_space_holds_what_the_hub_needs(tmp_path):
    printed = run_command("demo", "--space", tmp_path / "space")
    front = yaml.safe_load((tmp_path / "space" / "README.md").read_text().split("---")[1])
    assert front["sdk"] == "gradio" and front["app_file"] == "app.py" and "hf upload" in printed
    compile((tmp_path / "space" / "app.py").read_text(), "app.py", "exec")
    assert (tmp_path / "space" / "requirements.txt").read_text().startswith("eeg-hf[demo,formats]==")
    assert "expected a new or empty folder" in fail_command("demo", "--space", tmp_path / "space")
    assert "expected one model" in fail_command("demo", "a", "b")
