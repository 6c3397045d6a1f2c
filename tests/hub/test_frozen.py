# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of older versions load, and answer as they did."""

import json

import pytest
from freeze import FROZEN, HEADS, outputs


@pytest.mark.parametrize("folder", sorted(FROZEN.glob("*-v*")), ids=lambda path: path.name)
def test_a_frozen_checkpoint_answers_as_it_did(folder):
    head = folder.name.split("-")[1]
    model, loading = HEADS[head].from_pretrained(folder, output_loading_info=True)
    assert not loading["missing_keys"] and not loading["unexpected_keys"]
    expected = json.loads((folder / "expected.json").read_text())
    found = outputs(model.eval())
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert found[name] == pytest.approx(values, abs=1e-5), name


def test_every_head_is_frozen():
    frozen = {folder.name.split("-")[1] for folder in FROZEN.glob("*-v*")}
    assert frozen == set(HEADS)
