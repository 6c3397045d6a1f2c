# SPDX-License-Identifier: Apache-2.0
import configparser
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import eeg_hf

REPOSITORY = Path(__file__).parents[1]


def read(name):
    return (REPOSITORY / name).read_text()


@pytest.fixture(scope="module")
def setup():
    parser = configparser.ConfigParser()
    parser.read_string(read("setup.cfg"))
    return parser


@pytest.fixture(scope="module")
def requirements(setup):
    """Requirements by extra, those of the package itself under the empty name."""
    groups = {"": setup["options"]["install_requires"], **setup["options.extras_require"]}
    return {extra: [*map(Requirement, lines.split("\n")[1:])] for extra, lines in groups.items()}


@pytest.fixture(scope="module")
def pins():
    lines = [line.partition("#")[0].strip() for line in read("constraints.txt").splitlines()]
    return [Requirement(line) for line in lines if line]


def test_extras_name_extras_that_exist(requirements):
    assert {"test", "dev", "clip", "baselines"} <= set(requirements)
    for group in requirements.values():
        for requirement in group:
            if requirement.name == "eeg-hf":
                assert requirement.extras <= set(requirements)


def test_test_extra_brings_what_the_tests_import(requirements):
    test = next(requirement for requirement in requirements["test"] if requirement.name == "eeg-hf")
    # Flower takes older versions of what the others need; UMAP brings a compiler for one figure
    alone = {"federated", "umap"}
    assert test.extras == set(requirements) - {"", "test", "dev", "docs"} - alone


def test_every_requirement_has_one_tested_version_that_satisfies_it(requirements, pins):
    versions = {}
    for pin in pins:
        (specifier,) = pin.specifier
        assert specifier.operator == "=="
        assert canonicalize_name(pin.name) not in versions, f"{pin.name} is pinned twice"
        versions[canonicalize_name(pin.name)] = specifier.version
    for group in requirements.values():
        for requirement in group:
            if requirement.name != "eeg-hf":
                version = versions[canonicalize_name(requirement.name)]
                assert requirement.specifier.contains(version), f"{requirement} is tested with {version}"


def test_version_stands_in_one_place(setup):
    assert setup["metadata"]["version"] == "attr: eeg_hf.__version__"
    assert yaml.safe_load(read("CITATION.cff"))["version"] == eeg_hf.__version__
    assert f"## [{eeg_hf.__version__}]" in read("CHANGELOG.md")


def test_python_versions_agree(setup):
    tools = tomllib.loads(read("pyproject.toml"))["tool"]
    oldest = setup["options"]["python_requires"].removeprefix(">=")
    assert tools["mypy"]["python_version"] == oldest
    assert tools["ruff"]["target-version"] == f"py{oldest.replace('.', '')}"
    assert f"sys.version_info < ({oldest.replace('.', ', ')})" in read("Makefile")


def test_pre_commit_runs_the_tools_of_the_dev_extra(requirements):
    repositories = yaml.safe_load(read(".pre-commit-config.yaml"))["repos"]
    hooks = {hook["id"] for repository in repositories for hook in repository["hooks"]}
    assert hooks <= {requirement.name for requirement in requirements["dev"]}


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md"])
def test_make_commands_of_the_documents_exist(document):
    targets = set(re.findall(r"^([a-z][\w-]*):", read("Makefile"), re.MULTILINE))
    named = set(re.findall(r"(?:^|`)(?:\w+=\S+ )*make ([a-z][\w-]*)", read(document), re.MULTILINE))
    assert {"test"} <= named <= targets


def test_slow_tests_stay_few_and_continuous_integration_runs_them():
    files = (REPOSITORY / "tests").rglob("test_*.py")
    marked = sum(path.read_text().count("pytest.mark." + "slow") for path in files)
    assert 0 < marked < 40
    rules = dict(re.findall(r"^(test(?:-all)?):.*\n\t(.*)$", read("Makefile"), re.MULTILINE))
    assert rules["test"] == f'{rules["test-all"]} -m "not slow"'
    if (REPOSITORY / ".ci").exists():  # it is not in the source distribution
        assert "make test-all\n" in read(".ci/run")


def test_makefile_refuses_an_old_python_in_one_line(tmp_path):
    old = tmp_path / "python3"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.9.2"\n[ "$1" = --version ]\n')
    old.chmod(0o755)
    result = subprocess.run(
        ["make", "-C", REPOSITORY, "install", f"PYTHON={old}", f"VENV={tmp_path / 'venv'}"],
        capture_output=True,
        text=True,
    )
    assert result.returncode != 0
    assert result.stderr.startswith("expected Python 3.11 or newer, got Python 3.9.2")
    assert not (tmp_path / "venv").exists()
