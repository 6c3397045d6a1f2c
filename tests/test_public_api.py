# SPDX-License-Identifier: Apache-2.0
"""What `import eeg_hf` offers, and what it costs."""

import subprocess
import sys

import pytest

import eeg_hf


def test_packages_are_attributes_after_the_import_and_nothing_heavy_is_loaded():
    code = (
        "import sys, eeg_hf\n"
        "assert {'hub', 'corpora', 'evaluation', 'push', 'prepare'} <= set(dir(eeg_hf))\n"
        "assert not {'torch', 'transformers', 'datasets', 'mne'} & set(sys.modules)\n"
        "assert eeg_hf.hub.push is eeg_hf.push and 'eegmat' in eeg_hf.corpora.CORPORA\n"
        "assert callable(eeg_hf.evaluation.classification_metrics) and eeg_hf.training.EEGTrainer"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


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
