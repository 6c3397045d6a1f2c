# SPDX-License-Identifier: Apache-2.0
import json
import subprocess
import sys

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


# Each first import below pulls in the registries of transformers and datasets in another order
FIRST_IMPORTS = (
    "import eeg_hf, importlib; importlib.reload(eeg_hf); from transformers import AutoModel; import datasets",
    # as libraries do that ask what there is, before they need it
    "import eeg_hf, importlib.util; importlib.util.find_spec('datasets'); from transformers import pipeline",
    "from transformers import AutoModel; import datasets, transformers.pipelines, eeg_hf",
    "from eeg_hf import EEGCLIPConfig",
    "from eeg_hf import create_model",
    "import eeg_hf.inference.pipelines",
)
KNOWN = """
import sys
from transformers import AutoConfig, AutoFeatureExtractor, AutoModel, AutoModelForPreTraining
config = AutoConfig.for_model("eeg_clip", vision_tower="features:x")
from eeg_hf import EEGCLIPConfig, EEGFeatureExtractor, EEGMaskedVAEConfig, EEGMaskedVAEForPreTraining
from transformers.models.auto.feature_extraction_auto import FEATURE_EXTRACTOR_MAPPING
from eeg_hf.models.vision_registry import _builders
assert type(config) is EEGCLIPConfig and FEATURE_EXTRACTOR_MAPPING[EEGCLIPConfig] is EEGFeatureExtractor
assert type(AutoModel.from_config(config)).__name__ == "EEGCLIPModel" and _builders
assert AutoModelForPreTraining._model_mapping[EEGMaskedVAEConfig] is EEGMaskedVAEForPreTraining
optional = {"open_clip", "braindecode", "spd_learn", "moabb", "ray", "onnx", "onnxruntime", "evaluate"}
assert not optional & set(sys.modules), optional & set(sys.modules)
from datasets import packaged_modules
assert "eegfolder" in packaged_modules._PACKAGED_DATASETS_MODULES
from transformers.pipelines import SUPPORTED_TASKS
assert "eeg-classification" in SUPPORTED_TASKS
"""
# A fork for each order, from a process that has imported torch, but none of the registries
FORKS = """
import json, os, sys, traceback
import torch, torch._dynamo, torch.distributed.tensor, pyarrow, scipy.stats, sklearn.linear_model
assert not {"transformers", "datasets", "huggingface_hub", "eeg_hf"} & set(sys.modules)
for first, known in json.loads(sys.argv[1]):
    child = os.fork()
    if not child:
        try:
            exec(first + "\\n" + known, {})
        except BaseException:
            print(first, traceback.format_exc(), flush=True)
            os._exit(1)
        os._exit(0)
    os.waitpid(child, 0)
"""


def test_everything_is_known_whichever_import_comes_first():
    orders = json.dumps([[first, KNOWN] for first in FIRST_IMPORTS])
    command = [sys.executable, "-W", "error::UserWarning", "-c", FORKS, orders]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
