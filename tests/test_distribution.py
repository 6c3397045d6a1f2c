# SPDX-License-Identifier: Apache-2.0
"""The wheel, the source distribution and their metadata hold what they must, without building them."""

import configparser
import importlib.util
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "eeg_hf"
URL = "https://example.org/eeg-hf"
NOT_SHIPPED = {".ci", ".gitignore"}


@pytest.fixture(scope="module")
def setup_cfg():
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


@pytest.fixture(scope="module")
def setup_py():
    spec = importlib.util.spec_from_file_location("setup_of_eeg_hf", ROOT / "setup.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_package_data_names_every_file_that_is_no_module(setup_cfg):
    globs = setup_cfg["options.package_data"]["eeg_hf"].split()
    named = {path for glob in globs for path in PACKAGE.glob(glob)}
    assert all(any(PACKAGE.glob(glob)) for glob in globs)  # none is left over
    modules = {path for folder in PACKAGE.rglob("__init__.py") for path in folder.parent.glob("*.py")}
    files = {path for path in PACKAGE.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    assert sorted(files - modules - named) == []


def test_the_source_distribution_has_all_that_is_tracked():
    if not (ROOT / ".git").exists():
        pytest.skip("what git tracks is known in a clone only; this is an unpacked source distribution")
    listed = subprocess.run(["git", "-C", ROOT, "ls-files"], capture_output=True, text=True, check=True)
    tracked = {name.partition("/")[0] for name in listed.stdout.splitlines()}
    lines = [line.split() for line in (ROOT / "MANIFEST.in").read_text().splitlines()]
    shipped = {name for words in lines for name in words[1:] if words[0] in ("include", "graft")}
    # setuptools adds these by itself
    shipped |= {"LICENSE", "README.md", "pyproject.toml", "setup.cfg", "setup.py", "src", "MANIFEST.in"}
    assert tracked - shipped == NOT_SHIPPED


def test_the_licence_is_an_spdx_expression(setup_cfg):
    assert setup_cfg["metadata"]["license_expression"] == "Apache-2.0"
    assert not any("License ::" in line for line in setup_cfg["metadata"]["classifiers"].splitlines())


def test_links_of_the_description_work_without_the_repository(setup_py):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    links = setup_py.LINK.findall(readme)
    assert len(links) >= 5
    assert all((ROOT / target.partition("#")[0]).exists() for _, _, target in links)
    described = setup_py.describe(readme, URL)
    assert not setup_py.LINK.search(described)
    assert f"({URL}/raw/HEAD/docs/results.png)" in described
    without = setup_py.describe(readme, None)
    assert not setup_py.LINK.search(without) and "](docs" not in without


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("https://example.org/eeg-hf.git", URL),
        ("git@example.org:eeg-hf.git", URL),
        ("ssh://git@example.org/eeg-hf", URL),
        ("/home/somebody/eeg-hf", None),
    ],
)
def test_the_address_of_the_repository_is_a_web_address(setup_py, monkeypatch, given, expected):
    monkeypatch.setenv("EEG_HF_REPOSITORY_URL", given)
    assert setup_py.repository_url() == expected


def test_url_fields_survive_in_the_source_distribution(setup_py, monkeypatch, tmp_path):
    assert set(setup_py.project_urls(URL)) == {"Repository", "Documentation", "Changelog"}
    assert setup_py.project_urls(None) == {}
    monkeypatch.delenv("EEG_HF_REPOSITORY_URL", raising=False)
    monkeypatch.setattr(setup_py, "ROOT", tmp_path)
    assert setup_py.repository_url() is None
    (tmp_path / "PKG-INFO").write_text(f"Name: eeg-hf\nProject-URL: Repository, {URL}\n")
    assert setup_py.repository_url() == URL
