# SPDX-License-Identifier: Apache-2.0
"""The developers' tools as modules: they belong to no package."""

import importlib.util
import sys

from tests.conftest import ROOT


def load_tool(name):
    """Import tools/<name>.py."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their annotations up there, and pickle their functions
    spec.loader.exec_module(module)
    return module
