# SPDX-License-Identifier: Apache-2.0
"""The pages that teach run as they stand: their Python and their commands, in the order of a reader.

Blocks marked `python` and `bash` are executed; those marked `console` need a network, a GPU or real corpora.
"""

import re
import shlex
import sys
import types

import pytest

from eeg_hf.cli.main import main
from eeg_hf.cli.parsing.command import EXTRAS
from eeg_hf.models.objective_registry import OBJECTIVES
from tests.conftest import ROOT

DOCS = ROOT / "docs"
BLOCK = re.compile(r"^```(python|bash)\n(.*?)^```", re.DOTALL | re.MULTILINE)
MODULE = re.compile(r"# src/(eeg_hf/\w+/\w+)\.py\n")
# What a page says that it needs beside the library; no page needs an extra
NEEDS = {
    "lora": ["peft"],
    "own_recordings": ["edfio"],
    "train_federated": ["flwr", "ray", "fastapi", "uvicorn"],
}
# Whole ways from recordings to a table: ten seconds and more each
SLOW = ("getting_started", "commands", "own_recordings", "train_the_tokenizer", "train_federated")
PATTERNS = ("getting_started", "tutorials/*", "how_to/*")
PAGES = [
    pytest.param(page, id=page.stem, marks=[pytest.mark.slow] if page.stem in SLOW else [])
    for pattern in PATTERNS
    for page in sorted(DOCS.glob(f"{pattern}.md"))
]


def run_python(code, page, names):
    """Execute a block; one that begins with a path of the package becomes that module."""
    found = MODULE.match(code)
    if found is None:
        exec(compile(code, page.name, "exec"), names)
        return
    module = types.ModuleType(found[1].replace("/", "."))
    module.__package__ = module.__name__.rpartition(".")[0]
    exec(compile(code, page.name, "exec"), module.__dict__)
    sys.modules[module.__name__] = module
    for name in module.__all__:
        names[name] = getattr(module, name)
        if found[1].startswith("eeg_hf/models/objective_"):  # what the page's diff does
            OBJECTIVES[names[name].name] = names[name]


def run_commands(text, page):
    """Run the commands of a block, each of which must be one of `eeg-hf` and succeed."""
    for words in (shlex.split(line, comments=True) for line in text.replace("\\\n", " ").splitlines()):
        if words:
            assert words[0] == "eeg-hf", f"{page.name} runs {words[0]}"
            try:
                main(words[1:])
            except SystemExit as ended:
                assert not ended.code, f"{page.name}: {shlex.join(words)} ended with {ended.code}"


@pytest.mark.parametrize("page", PAGES)
def test_a_page_runs_as_it_stands(page, tmp_path, monkeypatch):
    needed = NEEDS.get(page.stem, [])
    for package in needed:
        pytest.importorskip(package)
    # transformers imports torchvision where it is installed
    for package in set(EXTRAS) - {"torchvision", *needed}:
        monkeypatch.setitem(sys.modules, package, None)  # as if it were not installed
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("eeg_hf.models.objective_registry.OBJECTIVES", OBJECTIVES)
    blocks = BLOCK.findall(page.read_text(encoding="utf-8"))
    assert blocks, f"{page.name} shows nothing that runs"
    modules, objectives = set(sys.modules), dict(OBJECTIVES)
    names = {"__name__": "__main__"}
    try:
        for language, text in blocks:
            run_python(text, page, names) if language == "python" else run_commands(text, page)
    finally:
        OBJECTIVES.clear()
        OBJECTIVES.update(objectives)
        for name in set(sys.modules) - modules:
            if name.startswith("eeg_hf.models.objective_"):
                del sys.modules[name]
