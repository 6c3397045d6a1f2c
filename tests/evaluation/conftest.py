# SPDX-License-Identifier: Apache-2.0
import sys

import pytest


@pytest.fixture
def metric_modules(tmp_path, monkeypatch):
    """Give evaluate a folder of its own for the metrics it loads from a path; it would look in the first."""
    monkeypatch.setattr("evaluate.config.HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.setattr(sys, "path", sys.path.copy())
    for name in [name for name in sys.modules if name.split(".")[0] == "evaluate_modules"]:
        monkeypatch.delitem(sys.modules, name)
