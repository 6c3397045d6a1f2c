# SPDX-License-Identifier: Apache-2.0
"""The Python of the README and of the tour runs as it stands."""

import re

from tests.conftest import ROOT

README, TOUR = ROOT / "README.md", ROOT / "docs" / "tour.md"


def run_blocks(path):
    """Run the blocks of a document one after the other, as a reader would, and return their names."""
    names = {}
    for block in re.findall(r"```python\n(.*?)```", path.read_text(), re.S):
        exec(compile(block, path.name, "exec"), names)
    return names


def test_the_readme_is_short_and_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert len(README.read_text().splitlines()) <= 150
    run_blocks(README)
    assert capsys.readouterr().out == "torch.Size([12, 19, 5, 128])\ntorch.Size([12, 128])\n"


def test_the_tour_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = run_blocks(TOUR)
    assert names["inputs"]["input_values"].shape == (12, 19, 1000)
    assert names["outputs"].last_hidden_state.shape == (12, 19, 5, 128)
    assert names["embeddings"].shape == (12, 128)
    assert len(names["splits"]["train"]) > len(names["splits"]["test"]) > 0
    assert names["classifier"].config.num_labels == 2
