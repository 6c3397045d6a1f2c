# SPDX-License-Identifier: Apache-2.0
"""The reference documents every public name, and the pages name what exists."""

import ast
import importlib
import re

import pytest
import yaml

import eeg_hf
from tests.conftest import ROOT

DOCS = ROOT / "docs"
PACKAGES = ("corpora", "collation", "training", "evaluation", "hub", "inference.explanation", "runtime")
DOCUMENTED = re.compile(r"^::: (eeg_hf\.[\w.]+)$", re.MULTILINE)
LINK = re.compile(r"\]\((?!https?:|#)([^)\s]+)\)")
CODE = re.compile(r"^```.*?^```|`[^`\n]+`", re.MULTILINE | re.DOTALL)


def paths_of_the_reference():
    return [path for page in DOCS.glob("reference/*.md") for path in DOCUMENTED.findall(page.read_text())]


def test_every_public_name_is_documented_once():
    at_the_top = set(eeg_hf.__all__) - {"__version__"}
    expected = {f"eeg_hf.{name}" for name in at_the_top}
    for package in PACKAGES:
        names = set(importlib.import_module(f"eeg_hf.{package}").__all__) - at_the_top
        expected |= {f"eeg_hf.{package}.{name}" for name in names}
    paths = paths_of_the_reference()
    assert len(paths) == len(set(paths))
    documented = {path for path in paths if not path.startswith("eeg_hf.inference.pipelines.")}
    assert sorted(expected - documented) == [], "add these to a page of docs/reference"
    assert sorted(documented - expected) == [], "these are no longer public: remove them from docs/reference"


def test_what_is_documented_can_be_imported():
    for path in paths_of_the_reference():
        module, _, name = path.rpartition(".")
        assert hasattr(importlib.import_module(module), name), path


def test_every_page_is_in_the_navigation_and_every_link_leads_somewhere():
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    listed = set(re.findall(r": (\S+\.md)$", text, re.MULTILINE))
    pages = {page.relative_to(DOCS).as_posix(): page for page in DOCS.rglob("*.md")}
    assert listed == set(pages)
    for name, page in pages.items():
        for target in LINK.findall(CODE.sub("", page.read_text(encoding="utf-8"))):
            assert (page.parent / target.partition("#")[0]).exists(), f"{name} links {target}"


def test_the_site_loads_nothing_from_the_network():
    settings = yaml.load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"), yaml.BaseLoader)
    assert settings["strict"] == "true" and settings["theme"]["font"] == "false"
    assert not any("//" in str(place) for place in settings.get("extra_javascript", []))


def templates(path):
    """Yield the texts of a source file, each value that is filled in as one character."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.JoinedStr):
            parts = (part.value if isinstance(part, ast.Constant) else "\0" for part in node.values)
            yield "".join(parts)


@pytest.fixture(scope="module")
def messages():
    files = (ROOT / "src" / "eeg_hf").rglob("*.py")
    return [text for path in files for text in templates(path)]


def test_the_errors_explained_are_those_of_the_code(messages):
    headings = re.findall(r"^### (.*`.*)$", (DOCS / "errors.md").read_text(encoding="utf-8"), re.MULTILINE)
    quoted = [text for heading in headings for text in re.findall(r"`([^`]+)`", heading)]
    assert len(quoted) > 30
    for text in quoted:
        pattern = re.compile(".*".join(map(re.escape, text.split("…"))).strip())
        assert any(pattern.search(message) for message in messages), f"no error says: {text}"
