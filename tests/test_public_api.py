# SPDX-License-Identifier: Apache-2.0
"""What `import eeg_hf` offers, and what it costs."""

import json
import subprocess
import sys

import pytest

import eeg_hf


def test_packages_are_attributes_after_the_import_and_nothing_heavy_is_loaded():
    code = (
        "import json, sys\n"
        "before = set(sys.modules)\n"
        "import eeg_hf\n"
        "assert {'hub', 'corpora', 'evaluation', 'push', 'prepare'} <= set(dir(eeg_hf))\n"
        "print(eeg_hf.bundled('eeg-foundation-tiny'))\n"
        "loaded = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "print(json.dumps(sorted(loaded - set(sys.stdlib_module_names))))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    folder, loaded = done.stdout.splitlines()
    assert folder == str(eeg_hf.bundled("eeg-foundation-tiny"))
    assert json.loads(loaded) == ["eeg_hf"]
    assert all(eeg_hf.__getattr__(name).__name__ == f"eeg_hf.{name}" for name in eeg_hf._PACKAGES)


def test_the_verbs_of_the_readme_are_public():
    verbs = {"prepare", "load_windows", "split_windows", "EEGTrainer", "push", "pull", "LocalRegistry"}
    assert verbs <= set(eeg_hf.__all__)
    assert eeg_hf.prepare is eeg_hf.corpora.prepare and eeg_hf.EEGTrainer is eeg_hf.training.EEGTrainer


@pytest.mark.parametrize("name", eeg_hf.__all__)
def test_a_public_name_is_documented(name):
    value = getattr(eeg_hf, name)
    if callable(value):
        assert (value.__doc__ or "").strip(), name


def test_an_unknown_name_is_refused():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        eeg_hf.nothing  # noqa: B018
