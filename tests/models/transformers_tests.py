# SPDX-License-Identifier: Apache-2.0
"""The common tests of transformers, which its source distribution carries and its wheel does not.

`tools/fetch_common_tests.py`, a part of `make install`, puts them beside the installed packages.
"""

import importlib
import sys
from types import ModuleType

import pytest
import transformers
from tools.fetch_common_tests import folder_of_tests

PACKAGE = "transformers_common_tests"
# What `test_modeling_common.py` imports from folders that the source distribution lacks: mixins for exports
# (ours are in test_exports.py) and for text generation, which no model here does
LEFT_OUT = {"exporters.test_export": "ExportTesterMixin", "generation.test_utils": "GenerationTesterMixin"}


def load_common_tests() -> ModuleType:
    """Import transformers' `tests/test_modeling_common.py`; skip the module that asks where it is absent."""
    folder = folder_of_tests(transformers.__version__)
    if not folder.is_dir():
        pytest.skip(
            "transformers' own tests are absent: make install fetches them",
            allow_module_level=True,
        )
    package = ModuleType(PACKAGE)
    package.__path__ = [str(folder)]
    sys.modules[PACKAGE] = package
    for name, mixin in LEFT_OUT.items():
        parent = f"{PACKAGE}.{name.partition('.')[0]}"
        sys.modules.setdefault(parent, ModuleType(parent))
        module = ModuleType(f"{PACKAGE}.{name}")
        setattr(module, mixin, type(mixin, (), {}))
        sys.modules[module.__name__] = module
    return importlib.import_module(f"{PACKAGE}.test_modeling_common")
