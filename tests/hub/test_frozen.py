# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of older versions load, and answer as they did."""

import json

import pytest
from freeze import FROZEN, KINDS, outputs

FOLDERS = sorted(FROZEN.glob("*-v*"))


def name_of_kind(folder):
    return folder.name.rsplit("-v", 1)[0]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_a_frozen_checkpoint_answers_as_it_did(folder):
    kind = KINDS[name_of_kind(folder)]
    model, loading = kind.auto_class.from_pretrained(folder, output_loading_info=True)
    assert not loading["missing_keys"] and not loading["unexpected_keys"]
    expected = json.loads((folder / "expected.json").read_text())
    found = outputs(kind, model.eval())
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert found[name] == pytest.approx(values, abs=1e-5), name


def test_every_kind_is_frozen():
    assert {name_of_kind(folder) for folder in FOLDERS} == set(KINDS)
