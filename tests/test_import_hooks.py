# SPDX-License-Identifier: Apache-2.0
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
