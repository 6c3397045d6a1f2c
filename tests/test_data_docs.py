# SPDX-License-Identifier: Apache-2.0
"""docs/data.md names every corpus, with a recipe that exists and figures that the code states."""

import re
from pathlib import Path

from eeg_hf.corpora import CORPORA

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
ROWS = {
    cells[1].strip(" `"): cells
    for line in TEXT.splitlines()
    if (cells := line.split("|")) and len(cells) > 8 and re.fullmatch(r" `\w+` ", cells[1])
}


def test_every_corpus_has_a_row():
    assert set(ROWS) == set(CORPORA)


def test_every_corpus_has_a_recipe():
    recipes = {
        path.stem.removeprefix("prepare_") for path in (ROOT / "src/eeg_hf/recipes").glob("prepare_*.yaml")
    }
    for name in (name for name, corpus in CORPORA.items() if corpus.is_of_people):
        assert any(recipe.startswith(name) for recipe in recipes), name


def test_the_figures_are_those_of_the_code():
    for name, corpus in CORPORA.items():
        cells = [cell.strip().replace(",", "") for cell in ROWS[name]]
        if corpus.num_recordings and cells[4] not in ("", "–"):
            assert int(cells[4]) == corpus.num_recordings, name
        if corpus.num_subjects and cells[3].isdigit():
            assert int(cells[3]) == corpus.num_subjects, name


def test_the_readme_leads_there():
    assert "docs/data.md" in (ROOT / "README.md").read_text(encoding="utf-8")
