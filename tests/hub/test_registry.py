# SPDX-License-Identifier: Apache-2.0
import json
import os

import pytest
import torch
from tests.holders import Holder
from transformers import AutoModelForPreTraining, AutoModelForSequenceClassification

from eeg_hf import EEGFeatureExtractor, EEGFoundationConfig
from eeg_hf.folder_lock import FolderInUseError
from eeg_hf.hub import LocalRegistry


def tiny(**fields):
    config = EEGFoundationConfig(
        **{"d_model": 16, "n_layers": 1, "n_heads": 2, "d_ff": 32, "overlap": 0.0, **fields}
    )
    return AutoModelForSequenceClassification.from_config(config)


@pytest.fixture
def registry(tmp_path):
    registry = LocalRegistry(tmp_path / "registry")
    registry.save(tiny(), "eeg_foundation", "v1.9", metrics={"auroc": 0.7})
    registry.save(
        tiny(n_layers=2),
        "eeg_foundation",
        "v1.10",
        feature_extractor=EEGFeatureExtractor(),
        metrics={"auroc": 0.75, "kappa": 0.3},
        card="# card",
    )
    return registry


def test_versions_are_in_order_and_the_newest_is_the_default(registry):
    assert registry.names() == ["eeg_foundation"]
    assert registry.versions("eeg_foundation") == ["v1.9", "v1.10"]
    assert registry.latest("eeg_foundation") == "v1.10"
    folder = registry.path("eeg_foundation")
    assert folder.name == "v1.10" and (folder / "README.md").read_text() == "# card"
    assert (folder / "preprocessor_config.json").is_file()


def test_a_version_comes_back_as_it_was_saved(tmp_path):
    registry, model = LocalRegistry(tmp_path), tiny()
    registry.save(model, "m", "v1.0")
    again = registry.from_pretrained("m", "v1.0", AutoModelForSequenceClassification)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))
    assert registry.from_pretrained("m").config == registry.from_pretrained("m", "v1.0").config
    assert registry.from_pretrained("m", auto_class=AutoModelForPreTraining).decoder is not None


def test_two_versions_are_compared(registry):
    compared = registry.compare("eeg_foundation", "v1.9", "v1.10")
    assert compared.config["num_hidden_layers"] == (1, 2)
    assert "hidden_size" not in compared.config
    assert compared.metrics == {"auroc": (0.7, 0.75), "kappa": (None, 0.3)}
    sizes = [sum(p.numel() for p in tiny(n_layers=n).state_dict().values()) for n in (1, 2)]
    assert list(compared.parameters) == sizes
    assert "v1.10" in str(compared) and "metric auroc" in str(compared)


def test_a_version_is_never_lost_by_accident(registry):
    with pytest.raises(FileExistsError, match=r"v1\.9 exists: choose the next version"):
        registry.save(tiny(), "eeg_foundation", "v1.9")
    registry.save(tiny(d_model=32), "eeg_foundation", "v1.9", overwrite=True)
    assert registry.from_pretrained("eeg_foundation", "v1.9").config.hidden_size == 32
    assert sorted(path.name for path in (registry.root / "eeg_foundation").iterdir()) == ["v1.10", "v1.9"]


@pytest.mark.parametrize(
    ("name", "version", "message"),
    [
        ("eeg_foundation", "v3.0", "has no eeg_foundation v3.0: it has v1.9, v1.10"),
        ("other", None, "has no other: it has no version; there is eeg_foundation"),
    ],
)
def test_what_is_not_there_is_named_with_what_is(registry, name, version, message):
    with pytest.raises(FileNotFoundError, match=message):
        registry.path(name, version)


@pytest.mark.parametrize(("name", "version"), [("eeg_foundation", "1.0"), ("a/b", "v1.0"), ("..", "v1.0")])
def test_names_that_cannot_be_folders_are_refused(registry, name, version):
    with pytest.raises(ValueError, match="expected a name like eeg_foundation and a version like v1.0"):
        registry.save(tiny(), name, version)


def test_of_two_processes_that_save_a_version_one_succeeds(tmp_path):
    registry = LocalRegistry(tmp_path)
    with Holder(tmp_path / "m" / "v1.0"), pytest.raises(FolderInUseError, match="in use by process"):
        registry.save(tiny(), "m", "v1.0")
    registry.save(tiny(), "m", "v1.0")
    with pytest.raises(FileExistsError, match="choose the next version"):
        registry.save(tiny(), "m", "v1.0")
    assert [path.name for path in (tmp_path / "m").iterdir()] == ["v1.0"]


@pytest.mark.parametrize("fatal", range(3))
def test_a_kill_while_a_version_is_replaced_leaves_a_whole_one(tmp_path, monkeypatch, fatal):
    registry = LocalRegistry(tmp_path)
    registry.save(tiny(), "m", "v1.0", metrics={"auroc": 0.5})
    registry.save(tiny(), "m", "v1.0.1")
    replace, calls = os.replace, []

    def dies(source, target):
        if len(calls) == fatal:
            os._exit(9)  # neither finally nor except run
        calls.append(source)
        replace(source, target)

    child = os.fork()
    if not child:
        monkeypatch.setattr("eeg_hf.hub.registry.os.replace", dies)
        monkeypatch.setattr("eeg_hf.hub.registry.shutil.rmtree", lambda *_, **__: os._exit(9))
        registry.save(tiny(), "m", "v1.0", metrics={"auroc": 0.6}, overwrite=True)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert registry.versions("m") == ["v1.0", "v1.0.1"]
    metrics = json.loads((registry.path("m", "v1.0") / "metrics.json").read_text())
    assert metrics == {"auroc": 0.6 if fatal == 2 else 0.5}
    registry.save(tiny(), "m", "v1.0", overwrite=True)
    assert sorted(path.name for path in (tmp_path / "m").iterdir()) == ["v1.0", "v1.0.1"]
