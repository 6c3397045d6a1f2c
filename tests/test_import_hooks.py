# SPDX-License-Identifier: Apache-2.0
import subprocess
import sys

import pytest

CODE = """
import sys
from eeg_hf.import_hooks import when_imported
calls = []
when_imported("json.tool", lambda: calls.append("later"))
when_imported("json.tool", lambda: calls.append("twice"))
when_imported("sys", lambda: calls.append("now"))
assert calls == ["now"] and "json.tool" not in sys.modules
import json.tool
assert calls == ["now", "later"] and json.tool.main
assert type(json.tool.__spec__.loader).__module__ != "eeg_hf.import_hooks"
when_imported("there.was.none", lambda: calls.append("never"))
try:
    import there.was.none
except ModuleNotFoundError as error:
    print(error.name, calls)
"""


def test_an_action_waits_for_its_module_and_leaves_nothing_behind():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "there ['now', 'later']"


# Each first import below pulls in the registries of transformers in another order
FIRST_IMPORTS = (
    "import eeg_hf; from transformers import AutoModel",
    "import eeg_hf; from transformers import pipeline",
    "from transformers import AutoModel; import eeg_hf",
    "from eeg_hf import EEGCLIPConfig",
    "from eeg_hf import create_model",
)
KNOWN = """
from transformers import AutoConfig, AutoFeatureExtractor, AutoModel, AutoModelForPreTraining
from eeg_hf import EEGCLIPConfig, EEGFeatureExtractor, EEGMaskedVAEConfig, EEGMaskedVAEForPreTraining
from transformers.models.auto.feature_extraction_auto import FEATURE_EXTRACTOR_MAPPING
from eeg_hf.models.vision_registry import _builders
config = AutoConfig.for_model("eeg_clip", vision_tower="features:x")
assert type(config) is EEGCLIPConfig and FEATURE_EXTRACTOR_MAPPING[EEGCLIPConfig] is EEGFeatureExtractor
assert type(AutoModel.from_config(config)).__name__ == "EEGCLIPModel" and _builders
assert AutoModelForPreTraining._model_mapping[EEGMaskedVAEConfig] is EEGMaskedVAEForPreTraining
"""


@pytest.mark.parametrize("code", FIRST_IMPORTS)
def test_models_are_known_whichever_import_comes_first(code):
    done = subprocess.run([sys.executable, "-c", code + KNOWN], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_recordings_and_pipelines_are_known_whichever_is_imported_first():
    for code in (
        "import eeg_hf, datasets, transformers.pipelines as p",
        "import datasets, transformers.pipelines as p, eeg_hf",
        # as libraries do that ask what there is, before they need it
        "import eeg_hf, importlib.util; importlib.util.find_spec('datasets'); "
        "import datasets, transformers.pipelines as p",
    ):
        check = (
            "; from datasets import packaged_modules as m; "
            "print('eegfolder' in m._PACKAGED_DATASETS_MODULES, 'eeg-classification' in p.SUPPORTED_TASKS)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code + check], capture_output=True, text=True, check=False
        )
        assert done.stdout.strip() == "True True", done.stderr
