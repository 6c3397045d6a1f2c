# SPDX-License-Identifier: Apache-2.0
"""The README's tour runs as it stands."""

import re

from tests.conftest import ROOT


def test_the_tour_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    assert len(blocks) >= 5
    names = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)  # one after the other, as a reader would
    assert names["inputs"]["input_values"].shape == (12, 19, 1000)
    assert names["outputs"].last_hidden_state.shape == (12, 19, 5, 128)
    assert names["embeddings"].shape == (12, 128)
    assert len(names["splits"]["train"]) > len(names["splits"]["test"]) > 0
    assert names["classifier"].config.num_labels == 2
